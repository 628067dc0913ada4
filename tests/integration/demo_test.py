"""scripts/demo: set-up, reuse, restart of what died, stop, taken ports, wrong usage; what it and the README print works."""
import concurrent.futures
import json
import os
import pathlib
import re
import signal
import socket
import unittest

import harness
from harness import TOP, Demo, run, until

# The demo builds for itself, as it does for a stranger, unless another build is under test.
BUILD = harness.BIN == TOP / 'build' / 'bin' and not os.environ.get('KOKUIN_NO_BUILD')


def script(*arguments, ok=(0,)):
    return Demo.script(*arguments, ok=ok, build=BUILD)


class DemoTest(harness.TestCase):
    demo_wanted = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.dir = cls.folder / 'demo'
        cls.port = harness.free_ports()
        cls.addClassCleanup(lambda: script('--stop', '--dir', cls.dir, ok=None))
        cls.first = script('--dir', cls.dir, '--port', cls.port, '--detach')

    def pids(self):
        return {name: int((self.dir / f'run/{name}.pid').read_text()) for name in ('tsad', 'taad')}

    @staticmethod
    def gone(pid):
        try:
            return pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] == 'Z'
        except OSError:
            return True

    def assert_line(self, done, status, *parts):
        self.assertEqual(done.returncode, status, done.out + done.err)
        lines = done.err.strip().splitlines()
        self.assertEqual(len(lines), 1, done.err)
        for part in parts:
            self.assertIn(str(part), lines[0])

    def test_1_what_it_left(self):
        for name in ('tsad.toml', 'taad.toml', 'softhsm2.conf', 'pki/root.pem', 'pki/chain.pem', 'pki/tsu.pem', 'archive',
                     'taa-archive', 'log/tsad.log', 'log/taad.log', 'run/tsad.pid', 'run/taad.pid', 'run/tsad.sock'):
            self.assertTrue((self.dir / name).exists(), name)
        for secret in (*self.dir.glob('*.pin'), *self.dir.glob('pki/*.key')):
            self.assertEqual(secret.stat().st_mode & 0o077, 0, secret)
        self.assertIn('no independent reference', self.first.out)

    def test_2_printed_commands_work(self):
        lines = [l.strip() for l in self.first.out.splitlines()]
        commands = [l for l in lines if l.startswith(('openssl', 'curl', '/')) and ('ts' in l)]
        self.assertGreaterEqual(len(commands), 5, self.first.out)
        mine = self.folder / 'mine.txt'
        mine.write_text('a file of mine\n')
        done = run('bash', '-euo', 'pipefail', '-c', '\n'.join(re.sub(r'\bFILE\b', str(mine), c) for c in commands))
        self.assertIn('Verification: OK', done.out + done.err)

    def test_2_readme_commands_work(self):
        readme = TOP / 'README.md'
        text = readme.read_text()
        blocks = re.findall(r'^```sh\n(.*?)^```', text, re.M | re.S)
        self.assertIn('scripts/demo', blocks[0])
        for name in set(re.findall(r'(?<![\w/])((?:scripts|conf|docs)/[\w./-]*\w)', text)):
            self.assertTrue((TOP / name).exists(), f'README.md names {name}')
        # As in a checkout, with its own folder for /tmp.
        checkout = self.folder / 'checkout'
        for link, target in (('var/demo', self.dir), ('build/bin', harness.BIN), ('README.md', readme)):
            (checkout / link).parent.mkdir(parents=True, exist_ok=True)
            (checkout / link).symlink_to(target)
        # Who reads has read for more than the few seconds after which the first token is under a checkpoint.
        archive = self.dir / 'archive'
        first = json.loads(run(harness.BIN / 'tsaudit', '--archive', archive, 'find', '--limit', 1, '--json').out)
        until(lambda: run(harness.BIN / 'tsaudit', '--archive', archive, 'prove', first['serial'], ok=(0, 1)).returncode == 0,
              'a checkpoint over the first token', 20, 0.2)
        ran = 0
        for block in blocks:
            for port in range(5):
                block = block.replace(f':{3161 + port}/', f':{self.port + port}/')
            lines = [line for line in block.replace('/tmp/', f'{self.folder}/').splitlines()
                     if not line.startswith(('scripts/', 'git '))]
            ran += len(lines)
            run('bash', '-euo', 'pipefail', '-c', '\n'.join(lines), cwd=checkout)
        self.assertGreater(ran, 5)

    def test_3_second_call_reuses(self):
        pids, root = self.pids(), (self.dir / 'pki/root.pem').read_bytes()
        done = script('--dir', self.dir, '--detach')
        self.assertEqual(self.pids(), pids)
        self.assertEqual((self.dir / 'pki/root.pem').read_bytes(), root)
        self.assertIn(str(self.port), done.out)

    def test_4_starts_what_died(self):
        pids = self.pids()
        os.kill(pids['tsad'], signal.SIGKILL)
        until(lambda: self.gone(pids['tsad']), 'tsad killed')
        script('--dir', self.dir, '--detach')
        now = self.pids()
        self.assertNotEqual(now['tsad'], pids['tsad'])
        self.assertEqual(now['taad'], pids['taad'])

    def test_5_other_port_for_the_same_folder(self):
        self.assert_line(script('--dir', self.dir, '--port', self.port + 7, '--detach', ok=None), 2, self.port)

    def test_6_port_taken(self):
        other, port = self.folder / 'other', harness.free_ports()
        with socket.socket() as taken:
            taken.bind(('127.0.0.1', port + 2))
            taken.listen()
            self.assert_line(script('--dir', other, '--port', port, '--detach', ok=None), 3, port + 2)
        # Nothing was fixed by the refused call: another port will do for the same folder.
        self.assertEqual(list(other.iterdir()), [])
        self.addCleanup(lambda: script('--stop', '--dir', other, ok=None))
        script('--dir', other, '--port', (other_port := harness.free_ports()), '--detach')
        # Now it is fixed: a port that was taken in the meantime starts neither server, and is told with what to do.
        script('--stop', '--dir', other)
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(('127.0.0.1', other_port + 3))
            taken.listen()
            self.assert_line(script('--dir', other, '--detach', ok=None), 3, other_port + 3, 'another --dir')
        for name in ('tsad', 'taad'):
            self.assertFalse((other / f'run/{name}.pid').exists())

    def test_7_wrong_usage(self):
        here = pathlib.Path.cwd()
        for arguments in (['--port', 'abc'], ['--port', '65532'], ['--nonsense'], ['--dir'], ['--dir', '--detach'], ['--dir', ''],
                          ['--port', '--detach'], ['--dir', 'a#b'], ['--dir', 'a\nb'], ['--dir', '/tmp/' + 90 * 'a']):
            self.assert_line(script(*arguments, ok=None), 2)
        self.assertFalse((here / '--detach').exists())
        full = self.folder / 'full'
        full.mkdir()
        (full / 'thesis.tex').write_text('mine')
        self.assert_line(script('--dir', full, '--detach', ok=None), 2, full)
        self.assertEqual((full / 'thesis.tex').read_text(), 'mine')
        # A folder of SoftHSM's own is not taken for an unfinished demo.
        (full / 'softhsm2.conf').write_text('mine too')
        self.assert_line(script('--dir', full, '--detach', ok=None), 2, full)
        self.assertEqual((full / 'softhsm2.conf').read_text(), 'mine too')
        for no_demo in (self.folder / 'nowhere', full):
            self.assert_line(script('--stop', '--dir', no_demo, ok=None), 2, 'no demo', no_demo)
        self.assert_line(script('--dir', full / 'thesis.tex', '--detach', ok=None), 2, 'thesis.tex')
        # Nobody can make a folder there, not even root.
        self.assert_line(script('--dir', '/proc/demo', '--detach', ok=None), 3, '/proc/demo')
        self.assert_line(script('--dir', full / 'thesis.tex' / 'demo', '--detach', ok=None), 3, 'thesis.tex')

    def test_7_programs_that_are_not_there(self):
        line = run(TOP / 'scripts/demo', '--dir', self.folder / 'without', ok=None, env={'KOKUIN_BIN': str(self.folder)})
        self.assert_line(line, 2, 'KOKUIN_BIN', self.folder / 'tsad')

    def test_8_a_server_that_does_not_start(self):
        """One line: the reason it gave now, none of an earlier run."""
        script('--stop', '--dir', self.dir)
        configuration = self.dir / 'tsad.toml'
        good = configuration.read_text()
        with open(self.dir / 'log/tsad.log', 'a') as log:
            log.write('an old line\n')
        try:
            configuration.write_text(good + '\n[nonsense]\n')
            self.assert_line(script('--dir', self.dir, '--detach', ok=None), 3, 'nonsense', 'log/tsad.log')
        finally:
            configuration.write_text(good)
        script('--dir', self.dir, '--detach')

    def test_8_any_name_of_a_folder(self):
        odd, port = self.folder / 'a & b|c "d" \\e \'f\' $g 100% [h] 刻印', harness.free_ports()
        self.addCleanup(lambda: script('--stop', '--dir', odd, ok=None))
        script('--dir', odd, '--port', port, '--detach')
        self.assertIn('stopped', script('--stop', '--dir', odd).out)

    def test_7_scripts_say_what_they_take(self):
        """--help and an unknown option end at once: nothing is installed, built or run before (the deadline is the proof)."""
        for name in ('demo', 'setup', 'test', 'test-long', 'bench'):
            with self.subTest(script=name):
                self.assertIn(f'scripts/{name}', run(TOP / 'scripts' / name, '--help', seconds=10).out)
        for arguments in (['--nonsense'], ['nonsense'], ['-R'], ['-R', 'x', '--dance']):
            self.assert_line(run(TOP / 'scripts/test', *arguments, ok=None, seconds=10), 2, '--help')

    def test_8_interrupted_setup(self):
        half, port = self.folder / 'half', harness.free_ports()
        (half / '.setup/pki').mkdir(parents=True)
        (half / '.unfinished').touch()
        (half / '.setup/pki/root.key').write_text('half a key')
        self.addCleanup(lambda: script('--stop', '--dir', half, ok=None))
        script('--dir', half, '--port', port, '--detach')

    def test_8_two_calls_at_once(self):
        """Both succeed, there is one of each server, and --stop ends it: no process of the folder is left."""
        both, port = self.folder / 'both', harness.free_ports()
        self.addCleanup(lambda: script('--stop', '--dir', both, ok=None))
        for _ in range(2):  # on an empty folder, then on one that is set up
            with concurrent.futures.ThreadPoolExecutor() as pool:
                for done in [pool.submit(script, '--dir', both, '--port', port, '--detach') for _ in range(2)]:
                    done.result()
            self.assertEqual(len(self.servers_of(both)), 2)
            script('--stop', '--dir', both)
            self.assertEqual(self.servers_of(both), [])

    @staticmethod
    def servers_of(folder):
        """The processes that run on a configuration of the folder."""
        found = []
        for command in pathlib.Path('/proc').glob('[0-9]*/cmdline'):
            try:
                if str(folder / 'tsad.toml') in (words := command.read_text(errors='replace').split('\0')) or \
                        str(folder / 'taad.toml') in words:
                    found.append(command.parent.name)
            except OSError:
                continue
        return found

    def test_9_stop(self):
        pids = self.pids()
        script('--stop', '--dir', self.dir)
        for pid in pids.values():
            self.assertTrue(self.gone(pid))
        self.assertIn('not running', script('--stop', '--dir', self.dir).out)


if __name__ == '__main__':
    harness.main()
