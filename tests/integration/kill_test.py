"""kill -9 of tsad under load, again and again: every token that a client received is in the archive byte for byte, and no
serial number repeats. No TAA runs meanwhile: the TAC survives each restart. KOKUIN_KILLS: how often (20)."""
import os
import random

import harness
from harness import Saved, until
import rfc3161

KILLS = int(os.environ.get('KOKUIN_KILLS', '20'))


class KillTest(harness.TestCase):
    def test_kill(self):
        demo = self.demo.start()
        demo.taad.stop()
        saved = Saved(self.folder / 'tokens')
        load = self.started(demo.load('--connections', 16, '--save', saved.path))
        dice = random.Random(KILLS)
        for round in range(KILLS):
            had = saved.size()
            # Some hundred KB of tokens later: 3,000 octets and more each.
            want = had + dice.randrange(20_000, 400_000)
            until(lambda: demo.tsad.must_live() or load.must_live() or saved.size() >= want,
                  lambda: f'tokens in round {round}: {saved.size() - had} octets; {demo.readiness()}\n{demo.tsad.tail()}', 60)
            demo.tsad.kill()
            demo.start_tsad()
        until(lambda: saved.size() > want, 'tokens after the last start')
        result = load.result()
        self.assertEqual(demo.tsad.stop(), 0)
        print(f'{KILLS} kills; {result}')
        self.assertEqual(result['refused'], {})
        allowed = {'connect', 'reset_before_answer', 'closed_before_answer', 'closed_in_answer', 'closed_when_idle'}
        self.assertLessEqual(set(result['errors']), allowed)

        compared = demo.compare(saved.path)
        print(compared)
        self.assertEqual(compared['tokens'], result['granted'])
        self.assertGreaterEqual(compared['tokens'], KILLS)
        self.assertEqual((compared['missing'], compared['different'], compared['repeated']), (0, 0, 0))

        # All that was ever signed over the archive fits what is in it, and nothing is without a checkpoint.
        report = demo.verify()
        self.assertGreaterEqual(report['tokens'], compared['tokens'])
        self.assertEqual(report['uncovered'], 0)
        self.assertGreaterEqual(report['checkpoints'], KILLS // 2)

        # The same with the auditors' program, for some of them.
        tokens = [body for kind, _, _, _, body in saved.records() if kind == 0]
        for token in dice.sample(tokens, 10):
            tst, out = rfc3161.TstInfo(token), self.folder / 'token.der'
            demo.tsaudit('show', tst.serial, '--token', out)
            self.assertEqual(out.read_bytes(), token)


if __name__ == '__main__':
    harness.main()
