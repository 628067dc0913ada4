"""The archive's disk runs full under load: requests are refused with systemFailure, nothing that left is lost, and stamping
comes back by itself once there is room. Needs root (a small tmpfs in a mount namespace of the test's own)."""
import os
import shutil
import sys

import harness
from harness import Saved, run, until

MEGABYTE = 1 << 20


class DiskTest(harness.TestCase):
    @staticmethod
    def fill(filler):
        room = os.statvfs(filler.parent)
        try:
            with open(filler, 'wb') as file:
                os.posix_fallocate(file.fileno(), 0, max(4096, room.f_bavail * room.f_frsize - MEGABYTE // 2))
            return True
        except OSError:
            return False  # the server was quicker

    def test_full(self):
        demo = self.demo
        archive, aside = demo.dir / 'archive', self.folder / 'aside'
        mode = archive.stat().st_mode & 0o7777
        archive.rename(aside)
        archive.mkdir()
        run('mount', '-t', 'tmpfs', '-o', f'size=24m,mode={mode:o}', 'kokuin-disk-test', archive)
        self.addCleanup(lambda: run('umount', '-l', archive, ok=None))
        shutil.copytree(aside, archive, dirs_exist_ok=True)
        demo.start()
        saved = Saved(self.folder / 'answers')
        load = self.started(demo.load('--connections', 8, '--save', saved.path, '--save-refusals'))
        filler = archive / 'filler'
        for round in range(2):
            at = saved.size()
            until(lambda: demo.tsad.must_live() or sum(r[0] == 0 for r in saved.records(at)) > 20,
                  lambda: f'tokens, round {round}: {demo.readiness()}\n{demo.tsad.tail()}', 60)
            # All but half a megabyte goes at once, the rest by the records themselves.
            until(lambda: self.fill(filler), 'the disk filled')
            at = saved.size()
            until(lambda: demo.tsad.must_live() or sum(r[0] == 1 for r in saved.records(at)) > 50,
                  lambda: f'refusals, round {round}: {demo.readiness()}\n{demo.tsad.tail()}', 60)
            status, reasons = demo.readiness()
            print(status, reasons)
            self.assertEqual(status, 503)
            filler.unlink()
        at = saved.size()
        until(lambda: demo.tsad.must_live() or sum(r[0] == 0 for r in saved.records(at)) > 20,
              lambda: f'tokens in the end: {demo.readiness()}\n{demo.tsad.tail()}', 60)
        result = load.result()
        print(result)
        self.assertEqual(set(result['refused']), {'systemFailure'})
        self.assertEqual(result['errors'], {})
        self.assertEqual(demo.tsad.stop(), 0)
        compared = demo.compare(saved.path)
        print(compared)
        self.assertEqual((compared['missing'], compared['different'], compared['repeated']), (0, 0, 0))
        # And it starts on what it left.
        demo.start_tsad()
        demo.wait_ready()
        self.assertEqual(demo.stamp().status, 0)


if __name__ == '__main__':
    if os.geteuid() != 0:
        print('skipped: needs root to mount a tmpfs')
        sys.exit(77)  # ctest: SKIP_RETURN_CODE
    if not os.environ.get('KOKUIN_OWN_MOUNTS'):
        os.environ['KOKUIN_OWN_MOUNTS'] = '1'
        os.execvp('unshare', ['unshare', '-m', '--propagation', 'private', sys.executable, *sys.argv])
    harness.main()
