"""An order to stop, end to end: the TAA finds the clock 700 ms ahead (inside the token's accuracy, beyond the audit limit)
and orders to stop; stamping ends at once, stays stopped over a restart without a TAA, and resumes with a good TAC."""
import json
import os

import harness
import rfc3161
from harness import Saved, until


class StopTest(harness.TestCase):
    def set_clock(self, offset):
        new = self.folder / 'faketime.new'
        new.write_text(offset + '\n')
        os.rename(new, self.folder / 'faketime')

    def test_order_to_stop(self):
        demo = self.demo
        self.set_clock('+0')
        faked = {'LD_PRELOAD': harness.FAKETIME, 'FAKETIME_TIMESTAMP_FILE': str(self.folder / 'faketime'),
                 'DONT_FAKE_MONOTONIC': '1', 'FAKETIME_NO_CACHE': '1'}
        demo.edit('taad', (r'^# request_spacing = .*$', 'request_spacing = "1s"'), (r'^# retry = .*$', 'retry = "1s"'))
        demo.start(env=faked)
        self.assertEqual(demo.stamp().status, 0)
        demo.taad.stop()

        # 0.7 s ahead is inside the second that the token promises, so stamping goes on …
        self.set_clock('+0.7')
        answer = demo.stamp()
        self.assertEqual(answer.status, 0, demo.readiness())
        # … until the TAA measures it.
        saved = Saved(self.folder / 'answers')
        load = self.started(demo.load('--connections', 4, '--save', saved.path, '--save-refusals'))
        until(lambda: saved.size() > 0, 'first answers')
        demo.start_taad()
        until(lambda: demo.readiness()[0] == 503, lambda: f'stopped: {demo.readiness()}\n{demo.taad.tail()}')
        print(demo.readiness())
        at = saved.size()
        until(lambda: saved.size() > at, 'an answer after the stop')
        demo.taad.stop()
        result = load.result()
        self.assertEqual(set(result['refused']), {'timeNotAvailable'})
        kinds = [record[0] for record in saved.records()]
        first = kinds.index(1)
        # Answers of requests side by side may arrive crosswise; nothing is granted once the stop has been answered.
        self.assertFalse(any(kind == 0 for kind in kinds[first + 4:]), 'a token after the order to stop')

        self.assertEqual(demo.tsad.stop(), 0)
        demo.start_tsad(env=faked)
        self.assertEqual(demo.readiness()[0], 503)
        self.assertEqual(demo.stamp().fail, 'timeNotAvailable')
        # A right clock alone doesn't lift it.
        self.set_clock('+0')
        self.assertEqual(demo.stamp().fail, 'timeNotAvailable')
        demo.tsad.kill()
        demo.start_tsad(env=faked)
        self.assertEqual(demo.stamp().fail, 'timeNotAvailable')

        demo.start_taad()
        demo.wait_ready()
        self.assertEqual(demo.stamp().status, 0)
        self.assertIs(json.loads(demo.tsactl('status', '--json').out)['ready'], True)
        # Both are on record: the order, and that service was resumed after it.
        self.assertIn('order to stop', demo.tsaudit('events', '--kind', 'tac.stop').out)
        self.assertIn('resumes after an order to stop', demo.tsaudit('events', '--kind', 'tac.accepted').out)


if __name__ == '__main__':
    harness.main()
