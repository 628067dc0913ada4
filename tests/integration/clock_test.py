"""The wall clock of a running tsad jumps (libfaketime) by +2 s, -2 s, +26 h and -26 h while a client hammers: not one token
with a wrong genTime, refusals from the first request after the jump on, and tokens again once the clock is right."""
import time

import harness
import rfc3161
from harness import Saved, until

ACCURACY = 10**9  # ns, as the demo's policies state it


class ClockTest(harness.TestCase):
    def test_jumps(self):
        demo = self.demo
        self.set_clock('+0')
        # A clock that jumped is ordered to stop; audits at short intervals bring it back soon after.
        demo.audit_often()
        demo.start(env=self.faked())
        saved = Saved(self.folder / 'answers')
        load = self.started(demo.load('--connections', 4, '--save', saved.path, '--save-refusals'))

        def alive():
            demo.tsad.must_live()
            demo.taad.must_live()
            load.must_live()

        jumps = []
        for offset in ('+2', '-2', '+26h', '-26h'):
            at = saved.size()
            granted_again = lambda: alive() or any(r[0] == 0 for r in saved.records(at))
            until(granted_again, lambda: f'tokens before {offset}: {demo.readiness()}\n{demo.tsad.tail()}', 60)
            self.set_clock(offset)
            jumped = time.time_ns()
            at = saved.size()
            until(lambda: alive() or sum(r[0] == 1 for r in saved.records(at)) > 300,
                  lambda: f'refusals after {offset}: {demo.readiness()}', 60)
            status, reasons = demo.readiness()
            self.assertEqual(status, 503, reasons)
            print(f'{offset}: {reasons}')
            mended = time.time_ns()
            self.set_clock('+0')
            jumps.append((offset, jumped, mended))
        at = saved.size()
        until(granted_again, lambda: f'tokens in the end: {demo.readiness()}\n{demo.tsad.tail()}', 60)
        result = load.result()
        print(result)
        self.assertEqual(set(result['refused']), {'timeNotAvailable'})
        self.assertEqual(result['errors'], {})

        tokens = 0
        seen = {offset: 0 for offset, _, _ in jumps}
        for kind, sent, received, _, body in saved.records():
            if kind == 0:
                tokens += 1
                gen_time = rfc3161.TstInfo(body).gen_time_ns
                self.assertTrue(sent - ACCURACY <= gen_time <= received + ACCURACY,
                                f'genTime is off by {(gen_time - sent) / 1e9} s')
            for offset, jumped, mended in jumps:
                if sent > jumped and received < mended:
                    self.assertEqual(kind, 1, f'a token {(sent - jumped) / 1e9} s after the clock was off by {offset}')
                    seen[offset] += 1
        self.assertGreater(tokens, 0)
        for offset, count in seen.items():
            self.assertGreater(count, 0, offset)
        compared = demo.compare(saved.path)
        self.assertEqual((compared['missing'], compared['different'], compared['repeated']), (0, 0, 0))


if __name__ == '__main__':
    harness.main()
