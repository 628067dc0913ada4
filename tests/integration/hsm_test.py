"""The HSM dies under load: SoftHSM behind p11-kit's remoting, the remote killed. Requests fail with systemFailure, and
signing comes back by itself once the remote is there again. And the HSM hangs while a program starts: a signal ends it."""
import os
import pathlib
import signal
import time

import harness
from harness import BIN, Program, Saved, until
from remote_hsm import RemoteHsm


class HsmTest(RemoteHsm, harness.TestCase):
    def connections(self):
        """How many connections the remote's socket has, taken by it or not yet."""
        table = pathlib.Path('/proc/net/unix').read_text()
        return sum(line.endswith(f' {self.folder}/p11.sock') for line in table.splitlines()) - 1  # itself

    def test_hanging_start(self):
        demo = self.demo
        originals = {name: (demo.dir / f'{name}.toml').read_text() for name in ('tsad', 'taad')}
        self.start_remote()
        for name in originals:
            self.use_remote(name)
        # A remote that is stopped takes connections (the kernel does) and answers none: the module waits for ever.
        os.kill(self.remote.pid, signal.SIGSTOP)
        for name in originals:
            for by in (signal.SIGTERM, signal.SIGINT):
                with self.subTest(program=name, signal=by):
                    before = self.connections()
                    program = self.started(Program(BIN / name, '--config', demo.dir / f'{name}.toml',
                                                   log=demo.dir / f'log/{name}.log'))
                    until(lambda: program.must_live() or self.connections() > before, 'it talks to the HSM')
                    begin = time.monotonic()
                    # Nothing is under way that could be lost, so the signal's own effect is the good order.
                    self.assertEqual(program.stop(seconds=10, by=by), -by)
                    self.assertLess(time.monotonic() - begin, 5)
                    self.assertFalse((demo.dir / 'run/tsad.sock').exists())
        # Nothing of it stands in the way of the next start.
        os.kill(self.remote.pid, signal.SIGCONT)
        (demo.dir / 'taad.toml').write_text(originals['taad'])
        demo.start()
        self.assertEqual(demo.stamp().status, 0)
        demo.stop()
        self.assertEqual(demo.tsad.process.returncode, 0)
        (demo.dir / 'tsad.toml').write_text(originals['tsad'])
        self.kill_remote()

    def test_hanging_stop(self):
        """The HSM hangs while tsad is stopped: everything is in the archive, and a second signal ends it."""
        demo = self.demo
        original = (demo.dir / 'tsad.toml').read_text()
        self.start_remote()
        self.use_remote('tsad')
        demo.start()
        self.assertEqual(demo.stamp().status, 0)
        for pid in self.children():
            os.kill(pid, signal.SIGSTOP)
        demo.tsad.process.send_signal(signal.SIGTERM)
        # What comes after this is to give the sessions back, which never comes to an end.
        until(lambda: demo.events('server.stopped'), lambda: f'stopped but for the HSM: {demo.tsad.tail()}')
        self.assertTrue(demo.tsad.alive())
        self.assertEqual(demo.tsad.stop(seconds=10), -signal.SIGTERM)
        self.kill_remote()
        (demo.dir / 'tsad.toml').write_text(original)
        demo.start_tsad()
        demo.wait_ready()
        demo.stop()

    def test_token_dies(self):
        demo = self.demo
        self.start_remote()
        self.use_remote('tsad')
        demo.start()
        pid = demo.tsad.pid
        saved = Saved(self.folder / 'answers')
        load = self.started(demo.load('--connections', 8, '--save', saved.path, '--save-refusals', '--timeout', 20))
        for round in range(3):
            at = saved.size()
            until(lambda: demo.tsad.must_live() or sum(r[0] == 0 for r in saved.records(at)) > 20,
                  lambda: f'tokens, round {round}: {demo.readiness()}\n{demo.tsad.tail()}', 60)
            self.assertGreater(self.kill_remote(), 0)
            at = saved.size()
            until(lambda: demo.tsad.must_live() or sum(r[0] == 1 for r in saved.records(at)) > 20,
                  lambda: f'refusals, round {round}: {demo.readiness()}\n{demo.tsad.tail()}', 60)
            self.assertEqual(demo.readiness()[0], 503)
            self.start_remote()
        at = saved.size()
        until(lambda: demo.tsad.must_live() or sum(r[0] == 0 for r in saved.records(at)) > 20,
              lambda: f'tokens in the end: {demo.readiness()}\n{demo.tsad.tail()}', 60)
        result = load.result()
        print(result)
        self.assertEqual(set(result['refused']), {'systemFailure'})
        self.assertEqual(result['errors'], {})
        self.assertEqual(demo.tsad.pid, pid)
        self.assertTrue(demo.tsad.alive())
        compared = demo.compare(saved.path)
        self.assertEqual((compared['missing'], compared['different'], compared['repeated']), (0, 0, 0))


if __name__ == '__main__':
    harness.main()
