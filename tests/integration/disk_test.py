"""The archive's disk runs full under load: requests are refused with systemFailure, nothing that left is lost, and stamping
comes back by itself once there is room. And an order to stop that comes while the disk is full: it holds, isn't acknowledged before it
is on record, and what was acknowledged holds over kill -9. Needs root (a small tmpfs in a mount namespace of the test's own)."""
import os
import shutil
import sys

import harness
from harness import Saved, run, until

MEGABYTE = 1 << 20


class OnSmallDisk(harness.TestCase):
    archives_untouched = False  # the disk goes with its test
    def put_archive_on_small_disk(self):
        archive, aside = self.demo.dir / 'archive', self.folder / 'aside'
        mode = archive.stat().st_mode & 0o7777
        archive.rename(aside)
        archive.mkdir()
        run('mount', '-t', 'tmpfs', '-o', f'size=24m,mode={mode:o}', 'kokuin-disk-test', archive)
        self.addCleanup(lambda: run('umount', '-l', archive, ok=None))
        shutil.copytree(aside, archive, dirs_exist_ok=True)
        return archive


class DiskTest(OnSmallDisk):
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
        archive = self.put_archive_on_small_disk()
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
        self.assertEqual(demo.tsad.stop(), 0)
        # Every checkpoint, those of before the disk was full too, is over what is there.
        self.assertEqual(demo.verify()['uncovered'], 0)


class OrderTest(OnSmallDisk):
    def setUp(self):
        self.filler = self.put_archive_on_small_disk() / 'filler'
        self.demo.audit_often()

    def fill(self):
        """Takes all the room there is, until what is left to the archive is none: stamping fails, and goes on failing."""
        def failing():
            with open(self.filler, 'ab', buffering=0) as file:
                try:
                    while file.write(bytes(4096)) == 4096:
                        pass
                except OSError:
                    pass
            return self.demo.stamp().fail == 'systemFailure'
        # A recovery may find room in the log it empties, which is then taken too; three in a row found none.
        until(lambda: all(failing() for _ in range(3)), lambda: f'a full disk: {self.demo.readiness()}', 60)

    def order_on_full_disk(self):
        """The TAA orders to stop while nothing can be archived."""
        demo = self.demo
        self.fill()
        self.set_clock('+0.7')
        demo.start_taad()
        until(lambda: 'order to stop' in str(demo.readiness()[1]), lambda: f'stopped: {demo.readiness()}\n{demo.taad.tail()}')
        self.assertEqual(demo.stamp().fail, 'timeNotAvailable')
        until(lambda: 'undelivered' in demo.taad.written(), lambda: f'the TAA hears that it failed: {demo.taad.tail()}')
        self.assertNotIn('stop-accepted', demo.taad.written())
        demo.taad.stop()

    def good_again(self):
        self.set_clock('+0')
        self.demo.start_taad()
        self.demo.wait_ready()
        self.demo.taad.stop()
        self.assertEqual(self.demo.stamp().status, 0)

    def test_order(self):
        demo, faked = self.demo, self.faked()
        self.set_clock('+0')
        demo.start_tsad(env=faked)
        self.good_again()

        # Room comes back: the order goes on record by itself, and from then on holds whatever happens.
        self.order_on_full_disk()
        self.assertEqual(demo.events('tac.stop'), [])
        self.filler.unlink()
        until(lambda: demo.events('tac.stop'), lambda: f'the order on record: {demo.tsad.tail()}')
        demo.tsad.kill()
        demo.start_tsad(env=faked)
        self.assertIn('order to stop', str(demo.readiness()[1]))
        self.assertEqual(demo.stamp().fail, 'timeNotAvailable')
        self.good_again()

        # Stopped in good order while the disk is full: it says that something is lost.
        orders = len(demo.events('tac.stop'))
        self.order_on_full_disk()
        self.assertEqual(demo.tsad.stop(), 3)
        self.assertIn('could not be archived', demo.tsad.tail(1))
        # On the full disk it doesn't start, so it doesn't stamp either.
        done = run(harness.BIN / 'tsad', '--config', demo.dir / 'tsad.toml', ok=(3,))
        self.assertIn('make room', done.err.splitlines()[-1])
        self.filler.unlink()
        demo.start_tsad(env=faked)
        self.good_again()

        # Killed before it could be recorded: nobody was told that it was. The TAA orders it again, and that one holds.
        self.order_on_full_disk()
        demo.tsad.kill()
        self.filler.unlink()
        self.assertEqual(len(demo.events('tac.stop')), orders)
        demo.start_taad()
        demo.start_tsad(env=faked)
        until(lambda: demo.events('tac.stop')[orders:], lambda: f'ordered again: {demo.taad.tail()}')
        demo.taad.stop()
        demo.tsad.kill()
        demo.start_tsad(env=faked)
        self.assertIn('order to stop', str(demo.readiness()[1]))
        self.assertEqual(demo.stamp().fail, 'timeNotAvailable')


if __name__ == '__main__':
    if os.geteuid() != 0:
        print('skipped: needs root to mount a tmpfs')
        sys.exit(77)  # ctest: SKIP_RETURN_CODE
    if not os.environ.get('KOKUIN_OWN_MOUNTS'):
        os.environ['KOKUIN_OWN_MOUNTS'] = '1'
        os.execvp('unshare', ['unshare', '-m', '--propagation', 'private', sys.executable, *sys.argv])
    harness.main()
