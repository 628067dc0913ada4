"""How right the TAA measures a TSU's clock that is known to be 200 ms ahead (TAA-3): within 5 ms on loopback, within 50 ms
on a path that delays one direction by up to 100 ms, and not at all where the delay is above the limit."""
import json
import random
import socket
import threading
import time

import harness
from harness import BIN, run

AHEAD = 200_000  # µs


class Relay:
    """Passes the octets of TCP connections on to a port; what goes one way arrives late."""

    def __init__(self, port):
        self.to = port
        self.base = {'there': 0.0, 'back': 0.0}  # seconds, at least
        self.jitter = {'there': 0.0, 'back': 0.0}  # up to so much more
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def delay(self, way='there', base=0.0, jitter=0.0):
        """From now on only this way is late."""
        self.base, self.jitter = {'there': 0.0, 'back': 0.0, way: base}, {'there': 0.0, 'back': 0.0, way: jitter}

    def close(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connection, args=(client,), daemon=True).start()

    def _connection(self, client):
        with client, socket.create_connection(('127.0.0.1', self.to)) as server:
            for s in (client, server):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=self._pass, args=('back', server, client), daemon=True)
            back.start()
            self._pass('there', client, server)
            back.join()

    def _pass(self, way, source, sink):
        # In an exchange there is one piece on its way at a time, so the one that waits keeps no other waiting.
        try:
            while piece := source.recv(65536):
                late = self.base[way] + random.uniform(0, self.jitter[way])
                if late:
                    time.sleep(late)
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class MeasuringTest(harness.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.relay = Relay(cls.demo.port + 2)
        cls.addClassCleanup(cls.relay.close)

    def setUp(self):
        self.set_clock('+0.2')
        if not self.demo.tsad:
            self.demo.start_tsad(env=self.faked())
        self.audited_at(self.relay.port)
        self.relay.delay()

    def audited_at(self, port):
        self.demo.edit('taad', (r'^audit = "127\.0\.0\.1:\d+"', f'audit = "127.0.0.1:{port}"'))

    def audit(self, ok=0):
        """One audit by the real taad; its report and the record of it in the TAA's archive."""
        demo = self.demo
        done = run(BIN / 'taad', '--config', demo.dir / 'taad.toml', '--json', 'audit', 'now', 'tsu-1', ok=(ok,))
        report = json.loads(done.out)
        events = run(BIN / 'tsaudit', '--archive', demo.dir / 'taa-archive', 'events', '--kind', 'audit', '--json').out
        print({key: report.get(key) for key in ('outcome', 'offset_us', 'delay_us', 'text')})
        return report, json.loads(events.splitlines()[-1])

    def assert_measured(self, within, delay):
        """An audit leads to a TAC whose offset is this right, and the TSU's bound contains the true error."""
        report, _ = self.audit()
        self.assertEqual((report['outcome'], report['verdict']), ('good', 'accepted'))
        self.assertLessEqual(abs(report['offset_us'] - AHEAD), within, report)
        self.assertTrue(delay[0] <= report['delay_us'] <= delay[1], report)
        status = json.loads(self.demo.tsactl('status', '--json').out)['tsus'][0]
        self.assertEqual((status['tac']['serial'], status['tac']['offset_us']), (report['tac'], report['offset_us']))
        # The error a measurement can have is half its delay: what it was wrong by is inside that, and in the bound.
        self.assertLessEqual(abs(report['offset_us'] - AHEAD), report['delay_us'] / 2 + 1000, report)
        self.assertGreaterEqual(status['clock_bound_us'], AHEAD)
        self.assertLess(status['clock_bound_us'], AHEAD + within + report['delay_us'] / 2 + 40_000)
        self.assertEqual(self.demo.stamp().status, 0)
        return report

    def test_1_loopback(self):
        self.audited_at(self.demo.port + 2)
        for _ in range(3):
            self.assert_measured(within=5_000, delay=(0, 10_000))

    def test_2_one_sided_delay(self):
        # A request that is late makes the TSU look ahead of what it is, a late answer behind. The audits of one way
        # follow those of the other: what differs by less than their uncertainties is no contradiction.
        for way, sign in (('there', 1), ('back', -1)):
            for base, jitter in ((0.0, 0.1), (0.06, 0.04), (0.095, 0.005)):
                with self.subTest(way=way, base=base, jitter=jitter):
                    self.relay.delay(way, base, jitter)
                    report = self.assert_measured(within=50_000, delay=(base * 1e6, 100_000))
                    self.assertGreaterEqual(sign * (report['offset_us'] - AHEAD), base / 2 * 1e6 - 5_000)

    def test_3_delay_above_the_limit(self):
        """Neither TAC nor order to stop, though the clock that can't be measured is far off by now."""
        demo = self.demo
        self.assert_measured(within=5_000, delay=(0, 10_000))
        before = {kind: demo.events(kind) for kind in ('tac.accepted', 'tac.stop', 'tac.refused')}
        self.set_clock('+0.75')
        for way in ('there', 'back'):
            self.relay.delay(way, 0.11, 0.04)
            report, event = self.audit(ok=3)
            self.assertEqual(report['outcome'], 'delay-too-large')
            self.assertNotIn('tac', report)
            self.assertGreater(report['delay_us'], 100_000)
            self.assertIn('limit is 100ms', report['text'])
            fields = event['fields']
            self.assertEqual((fields['outcome'], fields['measurements'], fields['samples'], event['text']),
                             ('delay-too-large', 3, 8, report['text']))
            self.assertNotIn('tac_serial', fields)
            self.assertEqual({kind: demo.events(kind) for kind in before}, before)
            self.assertEqual(demo.readiness()[0], 200)
            self.assertEqual(demo.stamp().status, 0)


if __name__ == '__main__':
    harness.main()
