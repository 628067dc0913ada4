"""How right the TAA measures a TSU's clock that is known to be 200 ms ahead (TAA-3): within 5 ms on loopback, within 50 ms
on a path that delays one direction by up to 100 ms, and not at all where the delay is above the limit."""
import json

import harness
from harness import Relay

AHEAD = 200_000  # µs


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
        self.demo.audited_at(self.relay.port)
        self.relay.delay()

    def audit(self, ok=0):
        """One audit by the real taad; its report and the record of it in the TAA's archive."""
        report = self.demo.audit_now(ok)
        print({key: report.get(key) for key in ('outcome', 'offset_us', 'delay_us', 'text')})
        return report, self.demo.taa_events('audit')[-1]

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
        self.demo.audited_at(self.demo.port + 2)
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
