"""Real tsad and taad whose clocks are apart (libfaketime): 300 ms, 700 ms and 1.5 s under both audit limits (TAC-3), and a slew
of 500 ppm. No token whose time is farther off than its accuracy says, or than its record says."""
import json
import time

import harness
import rfc3161
from harness import Saved, until

SECOND = 10**9


class OffsetsTest(harness.TestCase):
    def setUp(self):
        self.plain = {name: (self.demo.dir / f'{name}.toml').read_text() for name in ('tsad', 'taad')}

    def tearDown(self):
        self.demo.stop()
        for name, text in self.plain.items():
            (self.demo.dir / f'{name}.toml').write_text(text)

    def status(self):
        return json.loads(self.demo.tsactl('status', '--json', ok=(0, 1)).out)['tsus'][0]

    def check(self, saved, off):
        """Every token saved: off by what the clock was off, and within its accuracy and the bound in its record."""
        bounds = {}
        for row in map(json.loads, self.demo.tsaudit('find', '--json').out.splitlines()):
            bounds[row['serial'].lstrip('0')] = row['clock_bound_us']
        count = 0
        for kind, sent, received, _, body in saved.records():
            if kind != 0:
                continue
            count += 1
            info = rfc3161.TstInfo(body)
            wrong = max(abs(info.gen_time_ns - sent), abs(info.gen_time_ns - received))
            self.assertLessEqual(abs(off(sent)), bounds[info.serial.lstrip('0')] * 1000)
            # What passed between sending and receiving isn't the clock's fault.
            self.assertLessEqual(wrong - (received - sent), SECOND)
        return count

    def use(self, limit):
        """Audits under the policy with this limit, accepted by the TSU."""
        oid = {'500ms': '1.3.6.1.4.1.955.1.18.1.1', '1s': '1.3.6.1.4.1.955.1.18.1.2'}[limit]
        self.demo.audit_often()
        self.demo.edit('taad', (r'^# policy = .*$', f'policy = "{oid}"'))
        self.demo.edit('tsad', (r'^\[taa\.policy\.seiko-500ms\]\noid = .*$', f'[taa.policy.limit]\noid = "{oid}"'))

    def test_apart_under_both_limits(self):
        demo = self.demo
        for limit in ('500ms', '1s'):
            self.use(limit)
            self.set_clock('+0')
            demo.start_tsad(env=self.faked())
            for offset, good in ((0.3, True), (-0.3, True), (0.7, limit == '1s'), (1.5, False), (-1.5, False)):
                with self.subTest(limit=limit, offset=offset):
                    self.set_clock(f'{offset:+}')
                    events = {kind: len(demo.events(kind)) for kind in ('tac.accepted', 'tac.stop')}
                    demo.start_taad()
                    kind = 'tac.accepted' if good else 'tac.stop'
                    until(lambda: len(demo.events(kind)) > events[kind], lambda: f'{kind}: {demo.tsad.tail()}')
                    demo.taad.stop()
                    saved = Saved(self.folder / f'{limit}{offset}')
                    load = self.started(demo.load('--connections', 2, '--save', saved.path, '--save-refusals'))
                    until(lambda: load.must_live() or sum(1 for _ in saved.records()) > 100, 'answers')
                    result = load.result()
                    tokens = self.check(saved, lambda _: offset * SECOND)
                    if good:
                        # Bound: offset + what the TAA may be off; inside a second.
                        self.assertGreater(tokens, 90, result)
                        self.assertLess(abs(self.status()['tac']['offset_us'] - offset * 1e6), 5000)
                        self.assertGreaterEqual(self.status()['clock_bound_us'], abs(offset) * 1e6)
                    else:
                        self.assertEqual((tokens, set(result['refused'])), (0, {'timeNotAvailable'}))
                        # A TAA that finds it right again lifts the order.
                        self.set_clock('+0')
                        accepted = len(demo.events('tac.accepted'))
                        demo.start_taad()
                        until(lambda: len(demo.events('tac.accepted')) > accepted, lambda: f'resumed: {demo.tsad.tail()}')
                        demo.taad.stop()
            demo.stop()
            self.tearDown()

    def test_slew_of_500_ppm(self):
        """A clock that is pulled away slowly: each record says how wrong it is, and it ends before the accuracy does."""
        demo = self.demo
        demo.edit('tsad', (r'^# accuracy = .*$', 'accuracy = "38ms"'))
        self.set_clock('+0')
        demo.start_tsad(env=self.faked())
        before = len(demo.events('tac.accepted'))
        demo.start_taad()
        until(lambda: len(demo.events('tac.accepted')) > before, 'a TAC')
        demo.taad.stop()
        demo.wait_ready()
        saved = Saved(self.folder / 'slew')
        load = self.started(demo.load('--connections', 1, '--save', saved.path, '--save-refusals'))
        until(lambda: load.must_live() or any(r[0] == 0 for r in saved.records()), 'tokens')
        begun = time.time_ns()
        self.set_clock('+0 x1.0005')
        until(lambda: demo.readiness()[0] == 503, lambda: f'closed: {self.status()}', 60)
        self.assertIn('may be off by', self.status()['closed_because'])
        load.result()
        tokens, latest = 0, 0
        for kind, sent, received, _, body in saved.records():
            if kind != 0:
                continue
            tokens += 1
            off = rfc3161.TstInfo(body).gen_time_ns - received
            self.assertLess(off, 38_000_000)
            latest = max(latest, sent)
        # It went on for some seconds, as long as the proof lasted.
        self.assertGreater(tokens, 100)
        self.assertGreater((latest - begun) / SECOND, 3)

    def correction(self):
        return json.loads(self.demo.tsactl('status', '--json', ok=(0, 1)).out)['correction']

    def test_follow_tac(self):
        """A machine whose clock nobody may set comes to the TAA's time by itself, out of an order to stop, over a kill."""
        demo = self.demo
        demo.audit_often()
        demo.edit('tsad', (r'^# follow_tac = false.*$', 'follow_tac = true'), (r'^# slew_ppm = 500 .*$', 'slew_ppm = 5000'))
        self.set_clock('-0.52')
        demo.start_tsad(env=self.faked())
        accepted = len(demo.events('tac.accepted'))
        demo.start_taad()
        until(lambda: demo.events('clock.followed'), 'followed')
        self.assertAlmostEqual(self.correction()['target_us'], 520_000, delta=5000)
        self.assertLess(self.correction()['now_us'], 60_000)  # no jump
        until(lambda: len(demo.events('tac.accepted')) > accepted, lambda: f'resumed: {self.correction()} {demo.tsad.tail()}')
        first = demo.events('clock.followed')[0]['fields']
        self.assertEqual(first['from_ns'], 0)
        self.assertAlmostEqual(first['error_us'], -520_000, delta=5000)
        # What it says is the corrected clock's: the offset of the TAC, genTime, and the bound.
        offset = self.status()['tac']['offset_us']
        self.assertGreater(offset, -500_000)
        self.assertLess(offset, -400_000)
        saved = Saved(self.folder / 'follow')
        load = self.started(demo.load('--connections', 2, '--save', saved.path, '--save-refusals'))
        until(lambda: load.must_live() or sum(r[0] == 0 for r in saved.records()) > 100, 'tokens')
        before, at = self.correction()['now_us'], time.monotonic()
        demo.tsad.kill()
        demo.start_tsad(env=self.faked())
        demo.wait_ready()
        # It goes on where it was: slower than 5000 ppm, never back.
        moved, passed = self.correction()['now_us'] - before, time.monotonic() - at
        self.assertGreaterEqual(moved, 0)
        self.assertLessEqual(moved, passed * 5000 + 1000)
        until(lambda: self.correction()['now_us'] > before + 5000, self.correction)
        load.result()
        self.assertGreater(self.check(saved, lambda _: 0), 100)
        self.assertIn('follows the TAA: corrected by', demo.tsactl('status', ok=(0, 1)).out)


if __name__ == '__main__':
    harness.main()
