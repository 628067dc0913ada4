"""SIGTERM under load loses nothing: every request that was taken gets its answer, the exit status is 0."""
import signal

import harness
from harness import Saved, until


class GracefulTest(harness.TestCase):
    def rounds(self, keep_alive):
        demo = self.demo
        saved = Saved(self.folder / f'tokens-{keep_alive}')
        load = self.started(demo.load('--connections', 16, '--keep-alive', keep_alive, '--save', saved.path))
        for _ in range(4):
            want = saved.size() + 300_000
            until(lambda: demo.tsad.must_live() or saved.size() >= want, lambda: demo.tsad.tail(), 60)
            self.assertEqual(demo.tsad.stop(), 0, demo.tsad.tail())
            demo.start_tsad()
        return load.result(), demo.compare(saved.path)

    def test_sigterm(self):
        self.demo.start()
        issued = self.demo.compare()['issued']  # the demo's own greeting
        for keep_alive in ('on', 'off'):
            result, compared = self.rounds(keep_alive)
            print(result, compared)
            self.assertEqual(compared['tokens'], result['granted'])
            self.assertEqual((compared['missing'], compared['different'], compared['repeated']), (0, 0, 0))
            # Whatever was stamped was received: no answer got lost on its way out.
            self.assertEqual(compared['issued'] - issued, compared['tokens'])
            issued = compared['issued']
            self.assertNotIn('closed_in_answer', result['errors'])
            self.assertEqual(result['refused'], {})

        # Ctrl-C is the same.
        self.assertEqual(self.demo.tsad.stop(by=signal.SIGINT), 0)


if __name__ == '__main__':
    harness.main()
