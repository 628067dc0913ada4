"""A long steady load (KOKUIN_SOAK_MINUTES, 10): memory, descriptors and threads don't grow, every answer is a token, and the
archive holds each of them once. Not part of CI: scripts/test-long runs it."""
import os
import time

import harness

MINUTES = float(os.environ.get('KOKUIN_SOAK_MINUTES', '10'))


class SoakTest(harness.TestCase):
    def state(self):
        pid = self.demo.tsad.pid
        return {'resident_mb': self.demo.tsad.resident_kb() / 1024, 'files': len(os.listdir(f'/proc/{pid}/fd')),
                'threads': len(os.listdir(f'/proc/{pid}/task')),
                'wal_mb': sum(f.stat().st_size for f in (self.demo.dir / 'archive').glob('*-wal')) / 2**20}

    def test_soak(self):
        demo = self.demo.start()
        before = demo.compare()['issued']
        steady = self.started(demo.load('--connections', 32))
        coming_and_going = self.started(demo.load('--connections', 8, '--keep-alive', 'off'))
        begin, early, shown = time.monotonic(), None, 0
        while time.monotonic() - begin < MINUTES * 60:
            time.sleep(1)
            for program in (demo.tsad, demo.taad, steady, coming_and_going):
                program.must_live()
            self.assertEqual(demo.readiness()[0], 200)
            now = self.state()
            self.assertLess(now['resident_mb'], 100)
            self.assertLess(now['wal_mb'], 200)
            if early is None and time.monotonic() - begin > MINUTES * 15:  # a quarter of the time
                early = now
            if time.monotonic() - begin > shown:
                shown += 60
                print(now)
        late = self.state()
        print('after a quarter:', early, '\nin the end:', late)
        self.assertLess(late['resident_mb'], early['resident_mb'] + 20)
        self.assertLess(late['files'], early['files'] + 50)
        granted = 0
        for load in (steady, coming_and_going):
            result = load.result()
            print(result)
            self.assertEqual((result['refused'], result['errors']), ({}, {}))
            granted += result['granted']
        self.assertEqual(demo.tsad.stop(), 0)
        compared = demo.compare()
        self.assertEqual((compared['issued'] - before, compared['repeated']), (granted, 0))


if __name__ == '__main__':
    harness.main()
