"""Whole programs (ARC-9): files that change, code that is altered in memory, a tracer; told, or nothing stamped until it is settled;
and docs/programs.md, command by command."""
import ctypes
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal

import harness
from custodians import CustodyCase
from harness import BIN, run, until

REASONS = ('--why', 'a test', '--by', 'operator 1')
PTRACE_SEIZE = 0x4206


def sha256(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


class ProgramsTest(CustodyCase):
    """One tsad after the other, each from a folder of its own with a library of its own. Its tests build upon each other."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        demo = cls.demo
        cls.own = cls.folder / 'own'
        cls.own.mkdir()
        cls.binary = cls.own / 'tsad'
        run('strip', '-o', cls.binary, BIN / 'tsad')  # what is looked at again and again shall be short
        # The same library that it would have anyway; this one may be altered.
        linked = run('ldd', BIN / 'tsad').out
        cls.library = cls.own / 'libsqlite3.so.0'
        shutil.copy(re.search(r'libsqlite3\.so\.0 => (\S+)', linked)[1], cls.library)
        cls.watched = cls.own / 'watched'
        cls.watched.write_text('a script\n')
        cls.told = cls.folder / 'told.jsonl'
        demo.edit('tsad', append=f'\n[hook]\ncommand = ["sh", "-c", "cat >> {cls.told}"]\n')
        demo.edit('tsad', (r'^# check_every = "10m" .*$', 'check_every = "200ms"'),
                  (r'^# on_change = .*$', 'on_change = "alarm"'), (r'^#   watch = .*$', f'watch = ["{cls.watched}"]'))

    def setUp(self):
        """Who gives the shares is set up once, with what each test makes of it."""
        if self.demo.tsad is None:
            super().setUp()

    def tearDown(self):
        """The next test goes on with these servers."""

    def start(self):
        self.demo.start_tsad(binary=self.binary, env={'LD_LIBRARY_PATH': str(self.own)})
        if not (self.demo.taad and self.demo.taad.alive()):
            self.demo.start_taad()
            for name in ('demo-1', 'demo-3'):
                status, said = self.give(name, self.taad(), 'taa-custody')
                self.assertEqual(status, 0, said)

    def activate(self):
        for name in ('demo-1', 'demo-3'):
            status, said = self.give(name)
            self.assertEqual(status, 0, said)

    def status(self):
        return json.loads(self.demo.tsactl('status', '--json', ok=(0, 1)).out)

    def troubles(self):
        return self.status()['programs']['troubles']

    def kinds(self):
        done = self.demo.tsaudit('events', '--json')
        return [kind for kind in (json.loads(line)['kind'] for line in done.out.splitlines()) if kind.startswith('programs.')]

    def seen(self, text):
        """Until the running tsad tells of this trouble."""
        until(lambda: any(text in one for one in self.troubles()), lambda: f'{text}: {self.troubles()}')

    def whole(self):
        until(lambda: not self.troubles(), self.troubles)

    def refused(self):
        answer = self.demo.stamp()
        self.assertEqual((answer.status, answer.fail), (2, 'systemFailure'))
        # The wire says nothing of it; who runs it knows.
        self.assertNotIn('programs', answer.text or '')
        status, said = self.demo.readiness()
        self.assertEqual(status, 503)
        self.assertTrue(any(reason.startswith('programs: ') for reason in said['reasons']), said)

    def stamps(self):
        self.assertEqual(self.demo.stamp().status, 0)

    def accept(self):
        """An operator asks, two custodians agree; what the last of them was told."""
        said = self.demo.tsactl('programs', 'accept', *REASONS).out
        proposal = re.search(r'proposal (\w+): to be approved by 2 custodians', said)[1]
        for name in ('demo-2', 'demo-3'):
            terminal = harness.Terminal(*self.tsactl(), 'approve', proposal, '--share', self.demo.dir / f'custody/{name}.share')
            shown = terminal.expect('Passphrase of the custodian')
            terminal.type(self.passphrase(name))
            status, said = terminal.end()
            self.assertEqual(status, 0, said)
        return shown + said

    # -- alarm

    def test_1_alarm(self):
        demo = self.demo
        self.start()
        self.activate()
        demo.wait_ready()
        # The demo was set up with other programs at other places.
        set_up = self.kinds()
        self.assertEqual(set_up, ['programs.running', 'programs.changed', 'programs.running'])
        event = demo.events('programs.running')[-1]
        listed = json.loads(demo.tsactl('programs', 'list', '--json').out)
        files = {file['path']: file['sha256'] for file in listed['files']}
        for path in (self.binary, self.library, self.watched, demo.dir / 'tsad.toml', demo.dir / 'pki/tsu.pem', demo.chain()):
            self.assertEqual(files[str(path)], sha256(path))
        self.assertTrue(any('/libcrypto.so' in path for path in files))
        self.assertTrue(any('softhsm' in path for path in files))
        self.assertEqual((event['fields']['list'], event['fields']['files']), (listed['list'], len(files)))
        # No secret is among them, and no digest of one.
        for path in files:
            self.assertNotRegex(path, r'\.(key|share|passphrase|pin)$|/archive/')
        self.assertIn('files are whole', demo.tsactl('status').out)

        # A file of the configuration; the library in place, in a part of it that isn't code.
        certificate = demo.chain()
        before = certificate.read_bytes()
        certificate.write_bytes(before + b'\n')
        self.seen(f'{certificate}: other content')
        self.stamps()
        with open(self.library, 'ab') as file:
            file.write(b'x')
        self.seen(f'{self.library}: other content')
        said = demo.tsactl('programs', 'list', ok=(1,)).out
        self.assertRegex(said, rf'{self.library}  <- other content; should be {files[str(self.library)]}')
        self.assertIn('stamping goes on', said)
        self.assertIn(f'PROGRAMS: {self.library}: other content', demo.tsactl('status').out)
        self.assertIn('kokuin_programs_troubles 2', run('curl', '-fsS', demo.url('/metrics')).out)
        self.assertIn(f' error programs.changed text="{self.library}: other content', demo.tsad.written())
        os.truncate(self.library, self.library.stat().st_size - 1)
        certificate.write_bytes(before)
        self.whole()
        self.assertEqual(self.kinds()[:5], [*set_up, 'programs.changed', 'programs.changed'])
        self.assertEqual(self.kinds()[-1], 'programs.settled')

        # Moved away, another in its place, put back: it is the same file all the time.
        joined, away = demo.events('programs.joined'), self.own / 'away'
        os.rename(self.library, away)
        self.library.write_bytes(away.read_bytes() + b'x')
        self.seen(f'{self.library}: other content')
        os.rename(away, self.library)
        self.whole()
        self.assertEqual(demo.events('programs.joined'), joined)

        # The next start: the same files are nothing new, others are, and the hook hears of each.
        demo.tsad.stop()
        before = self.kinds()
        self.start()
        self.assertEqual(self.kinds(), before)
        demo.tsad.stop()
        self.watched.write_text('another script\n')
        self.start()
        self.assertEqual(self.kinds(), [*before, 'programs.changed', 'programs.running'])
        self.assertEqual(demo.events('programs.changed')[-1]['text'], f'since the last start: {self.watched}: other content')
        self.assertEqual(self.troubles(), [])
        demo.tsad.stop()
        heard = [json.loads(line)['kind'] for line in self.told.read_text().splitlines()]
        self.assertEqual([kind for kind in heard if kind.startswith('programs.')], self.kinds()[1:])

    # -- stop, with custodians

    def test_2_stop_and_what_custodians_accept(self):
        demo = self.demo
        demo.edit('tsad', (r'^on_change = .*$', 'on_change = "stop"'))
        self.start()
        self.activate()
        # Other programs than those of the last start: the configuration says something else now.
        until(lambda: all(reason.startswith('programs: ') for reason in demo.readiness()[1].get('reasons', ['?'])),
              lambda: demo.readiness(), 60)
        self.assertEqual(self.troubles(), [f'{demo.dir}/tsad.toml: other content at the start'])
        self.refused()
        self.assertIn('kokuin_refusals_total{fail_info="systemFailure",cause="programs"} 1', run('curl', '-fsS', demo.url('/metrics')).out)
        listed = json.loads(demo.tsactl('programs', 'list', '--json', ok=(1,)).out)
        said = self.accept()
        self.assertIn(f'list sha256 {listed["list"]}', said)  # what they have signed
        self.assertIn(f'the programs count as they are now, SHA-256 {listed["list"]}', said)
        demo.wait_ready()
        self.stamps()
        event = demo.events('programs.accepted')[-1]
        self.assertEqual((event['fields']['list'], event['fields']['custodians'], event['fields']['by'], event['fields']['why']),
                         (listed['list'], 'demo-2, demo-3', 'operator 1', 'a test'))
        self.assertEqual(demo.events('programs.settled')[-1]['number'], event['number'] + 1)
        done = demo.tsactl('programs', 'accept', *REASONS, ok=(1,))
        self.assertIn('nothing to accept', done.err)

        # Changed while it runs, as it was again.
        with open(self.library, 'ab') as file:
            file.write(b'x')
        self.seen(str(self.library))
        self.refused()
        os.truncate(self.library, self.library.stat().st_size - 1)
        self.whole()
        self.stamps()

        # An upgrade: the program is another file, and what runs is the one before.
        upgrade = self.own / 'tsad.new'
        shutil.copy(self.binary, upgrade)
        with open(upgrade, 'ab') as file:
            file.write(b'x')
        os.rename(upgrade, self.binary)
        self.seen(f'{self.binary}: other content (replaced while this process runs')
        self.refused()
        # What was asked for isn't what is there when the last custodian comes.
        proposal = re.search(r'proposal (\w+)', demo.tsactl('programs', 'accept', *REASONS).out)[1]
        self.watched.write_text('a third script\n')
        self.seen(str(self.watched))
        for name, status in (('demo-2', 0), ('demo-3', 1)):
            terminal = harness.Terminal(*self.tsactl(), 'approve', proposal, '--share', demo.dir / f'custody/{name}.share')
            terminal.expect('Passphrase of the custodian')
            terminal.type(self.passphrase(name))
            ended, said = terminal.end()
            self.assertEqual(ended, status, said)
        self.assertIn('are others now than when that was asked for', said)
        self.refused()
        self.watched.write_text('another script\n')
        self.seen(str(self.binary))

    def test_3_docs(self):
        """docs/programs.md, command by command, while the program is another one than counts."""
        demo, place = self.demo, self.folder / 'auditor'
        place.mkdir()
        page = (harness.TOP / 'docs/programs.md').read_text()
        blocks = re.findall(r'^```sh\n(.*?)^```$', page, re.M | re.S)
        self.assertEqual(len(blocks), 3)
        env = {'PATH': f'{place}:{os.environ["PATH"]}', 'ARCHIVE': str(demo.dir / 'archive')}
        (place / 'tsactl').write_text(f'#!/bin/sh\nexec {BIN}/tsactl --config {demo.dir}/tsad.toml "$@"\n')
        (place / 'tsactl').chmod(0o755)
        (place / 'tsaudit').symlink_to(BIN / 'tsaudit')
        said = [run('bash', '-euo', 'pipefail', '-c', block, cwd=place, env=env).out for block in blocks[:2]]
        self.assertIn('<- other content', said[0])
        digest = json.loads(demo.tsactl('programs', 'list', '--json', ok=(1,)).out)['list']
        self.assertIn(f'{digest}  running.sha256', said[0])
        self.assertIn('files make up this tsad', said[1])
        self.assertIn('programs.sha256: OK', said[1])
        # The list in the archive isn't what is there: sha256sum says which.
        done = run('bash', '-euo', 'pipefail', '-c', blocks[2], cwd=place, env=env, ok=(1,))
        self.assertEqual(sorted(done.out.splitlines()), sorted(f'{path}: FAILED' for path in (self.binary, demo.dir / 'tsad.toml')))
        shutil.copy(place / 'running.sha256', place / 'programs.sha256')
        said = run('bash', '-euo', 'pipefail', '-c', blocks[2], cwd=place, env=env).out
        self.assertIn(str(self.binary), said.splitlines())
        self.assertFalse([line for line in said.splitlines() if '/libcrypto.so' in line])
        self.assertEqual((place / 'altered.txt').read_text(), '')
        self.assertIn('libssl3', (place / 'packages.txt').read_text().split())

    # -- memory and tracers, and a pin_file

    def test_4_pin_file(self):
        """One person alone may do it."""
        demo = self.demo
        demo.tsad.stop()
        pin = self.demo.dir / 'alone.pin'
        pin.write_text(run(BIN / 'kokuin-share', *(demo.dir / 'custody' / f'demo-{i}' for i in (1, 2, 3))).out.split()[6])
        pin.chmod(0o600)
        demo.edit('tsad', (r'^#   pin_file = "tsu\.pin" ', f'pin_file = "{pin}" '))
        self.start()  # a start is no way round
        self.refused()
        said = demo.tsactl('programs', 'accept', *REASONS).out
        self.assertIn('the programs count as they are now', said)
        demo.wait_ready()
        self.stamps()
        event = demo.events('programs.accepted')[-1]
        self.assertNotIn('custodians', event['fields'])
        self.assertNotIn(str(pin), demo.tsactl('programs', 'list').out)

    def test_5_code_in_memory(self):
        pid = self.demo.tsad.pid
        mapped = [line.split() for line in pathlib.Path(f'/proc/{pid}/maps').read_text().splitlines()]
        (end,) = [int(words[0].split('-')[1], 16) for words in mapped if words[-1] == str(self.binary) and words[1] == 'r-xp']
        try:
            memory = open(f'/proc/{pid}/mem', 'r+b', buffering=0)
        except PermissionError:
            self.skipTest('only root may write into a process that forbids it')
        with memory:
            memory.seek(end - 1)
            (before,) = memory.read(1)
            memory.seek(end - 1)
            memory.write(bytes([before ^ 1]))
            self.seen(f'{self.binary}: the code in memory')
            self.refused()
            self.assertIn(str(self.binary), self.demo.events('programs.memory')[-1]['text'])
            # No file is another one, so there is nothing to accept.
            self.demo.tsactl('programs', 'accept', *REASONS, ok=(1,))
            memory.seek(end - 1)
            memory.write(bytes([before]))
        self.whole()
        self.stamps()

    def test_6_tracer(self):
        """A debugger of one thread."""
        threads = sorted(int(name) for name in os.listdir(f'/proc/{self.demo.tsad.pid}/task'))
        libc = ctypes.CDLL(None, use_errno=True)
        libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        tracer = os.fork()
        if tracer == 0:
            # It ends with this test, and lets go of what it traces.
            libc.prctl(1, signal.SIGKILL)
            if libc.ptrace(PTRACE_SEIZE, threads[-1], None, None) != 0:
                os._exit(1)
            signal.pause()
            os._exit(0)
        try:
            until(lambda: self.troubles() or os.waitpid(tracer, os.WNOHANG)[0], 'a tracer that is noticed')
            if not self.troubles():
                tracer = None
                self.skipTest('only root may trace a process that forbids it')
            self.seen(f'the process {tracer} (')
            self.refused()
        finally:
            if tracer:
                os.kill(tracer, signal.SIGKILL)
                os.waitpid(tracer, 0)
        self.whole()
        self.stamps()
        self.assertEqual([e['kind'] for e in self.demo.events('programs.traced')], ['programs.traced'])
        # A start that looks at files it knows: nobody is told anything.
        told = self.kinds()
        self.demo.tsad.stop()
        self.start()
        self.assertEqual(self.kinds(), told)
        self.assertEqual(self.troubles(), [])


if __name__ == '__main__':
    harness.main()
