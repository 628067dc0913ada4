"""The demo's SoftHSM behind p11-kit's remoting: a process that can be stopped or killed."""
import os
import pathlib
import signal

from harness import Program

CLIENT = '/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so'


class RemoteHsm:
    """For a harness.TestCase."""

    client = CLIENT

    def start_remote(self, token='kokuin-tsu'):
        socket = self.folder / 'p11.sock'
        socket.unlink(missing_ok=True)
        self.remote = self.started(Program(
            '/usr/bin/p11-kit', 'server', '-f', '-n', socket, '--provider', '/usr/lib/softhsm/libsofthsm2.so',
            f'pkcs11:token={token}', log=self.folder / 'remote.log',
            env={'SOFTHSM2_CONF': str(self.demo.dir / 'softhsm2.conf')}, ready=socket.exists))

    def children(self):
        """The server forks one process per connection; these are those that it started."""
        return [int(p.parent.name) for p in pathlib.Path('/proc').glob('[0-9]*/stat')
                if self.parent_of(p) == self.remote.pid]

    def kill_remote(self):
        children = self.children()
        self.remote.kill()
        for pid in children:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return len(children)

    @staticmethod
    def parent_of(stat):
        try:
            return int(stat.read_text().rpartition(')')[2].split()[1])
        except OSError:
            return 0

    def use_remote(self, name):
        """p11-kit's remoting passes no EdDSA on: nobody signs this archive's checkpoints then."""
        if name == 'tsad':
            self.demo.without_archive_key()
        self.demo.edit(name, (r'^module = .*$', f'module = "{CLIENT}"'),
                       (r'^environment = .*$', f'environment = ["P11_KIT_SERVER_ADDRESS=unix:path={self.folder}/p11.sock"]'))
