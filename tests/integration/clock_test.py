"""The wall clock of a running tsad jumps (libfaketime) by +2 s, -2 s, +26 h and -26 h while a client hammers: not one token
with a wrong genTime, refusals from the first request after the jump on, and tokens again once the clock is right."""
import time

import harness
import rfc3161
from harness import Saved, until

ACCURACY = 10**9  # ns, as the demo's policies state it


class ClockTest(harness.TestCase):
    def test_each_policy_has_its_gate(self):
        """One whose accuracy the TAC can't prove is closed, with its own event and metric, while the other one stamps."""
        demo, oid = self.demo, 'oid = "1.3.6.1.4.1.1291.1.1.1.2"'
        plain = (demo.dir / 'tsad.toml').read_text()
        demo.edit('tsad', ('^' + oid.replace('.', '[.]'), oid + '\naccuracy = "20ms"'))
        # What the set-up's own servers recorded, if a tick of theirs came while they ran, is of both policies together.
        last = max(e['number'] for kind in ('server.started', 'gate.opened', 'gate.closed') for e in demo.events(kind))
        since = lambda kind: [e for e in demo.events(kind) if e['number'] > last]
        demo.start()
        until(lambda: len(since('gate.opened')) > 0, 'opened')
        closed = [e for e in since('gate.closed') if e['fields']['cause'] == 'bound']
        self.assertEqual([e['fields']['policies'] for e in closed], ['g'])
        self.assertEqual([e['fields']['policies'] for e in since('gate.opened')], ['a2'])
        self.assertEqual(demo.stamp('/tsa/a2').status, 0)
        self.assertEqual(demo.stamp('/tsa/g').fail, 'timeNotAvailable')
        metrics = harness.run('curl', '-fs', demo.url('/metrics')).out
        self.assertIn('kokuin_policy_ready{policy="a2"} 1', metrics)
        self.assertIn('kokuin_policy_ready{policy="g"} 0', metrics)
        demo.stop()
        (demo.dir / 'tsad.toml').write_text(plain)

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
