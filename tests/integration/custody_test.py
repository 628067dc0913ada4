"""The HSM's PIN in the hands of several people (KEY-2): the ceremony at a terminal, servers that start locked, shares that
are wrong in every way, and where the PIN must never be."""
import hashlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys

import harness
from custodians import CustodyCase
from harness import BIN, Saved, Terminal, activate, run, until

SPY = '/usr/lib/x86_64-linux-gnu/pkcs11-spy.so'
SOFTHSM = '/usr/lib/softhsm/libsofthsm2.so'


class CustodyTest(CustodyCase):
    # -- ceremony

    def own_site(self, name):
        """A configuration with an archive and a token of its own, still to be made."""
        text = (self.demo.dir / 'tsad.toml').read_text()
        text = re.sub(r'(?m)^(\[archive\]\s+dir = )"[^"]*"', rf'\1"{name}-archive"', text)
        path = self.demo.dir / f'{name}.toml'
        path.write_text(re.sub(r'(?m)^token = "[^"]*"', f'token = "{name}"', text))
        run(BIN / 'tsactl', '--config', path, 'archive', 'init')
        return path

    def tokens(self):
        return run('softhsm2-util', '--show-slots', env={'SOFTHSM2_CONF': str(self.demo.dir / 'softhsm2.conf')}).out

    def test_ceremony_at_a_terminal(self):
        site, folder = self.own_site('typed'), self.folder / 'shares'
        tool = [BIN / 'tsactl', '--config', site]
        words = ['ceremony', 'init', '--threshold', '2', '--custodian', 'a', '--custodian', 'b', '--dir', folder,
                 '--key', 'k', '--subject', 'C=JP,O=Test,CN=Typed', '--csr', self.folder / 'k.csr']
        # One who gives up: nothing was made.
        terminal = Terminal(*tool, *words)
        terminal.expect('Custodian a, choose a passphrase')
        self.assertFalse(terminal.echoes())
        terminal.type('passphrase of a')
        terminal.expect('Custodian a, the same again:')
        os.write(terminal.master, b'\x03')
        status, said = terminal.end()
        self.assertEqual(status, 2, said)
        self.assertIn('given up', said)
        self.assertNotIn("'typed'", self.tokens())
        self.assertEqual(list(folder.iterdir()), [])
        self.assertFalse((self.folder / 'k.csr').exists())

        terminal = Terminal(*tool, *words)
        terminal.expect('Custodian a, choose a passphrase')
        terminal.type('short')
        terminal.expect('too short')
        terminal.expect('Custodian a, choose a passphrase')
        terminal.type('passphrase of a')
        terminal.expect('the same again:')
        terminal.type('passphrase of b')
        terminal.expect('something else')
        terminal.expect('Custodian a, choose a passphrase')
        terminal.type('passphraze\x7f\x7fse of a')  # mistyped and mended
        terminal.expect('the same again:')
        terminal.type('oops\x15passphrase of a')  # typed over
        terminal.expect('Custodian b, choose a passphrase')
        terminal.type('パスワード、長い')
        terminal.expect('the same again:')
        terminal.type('パスワード、長い')
        status, said = terminal.end()
        self.assertEqual(status, 0, said)
        for typed in ('passphrase of', 'パスワード'):
            self.assertNotIn(typed, said)
        self.assertIn('2 of 2 custodians (a, b)', said)
        self.assertIn('typed', self.tokens())
        for share in ('a', 'b'):
            self.assertEqual((folder / f'{share}.share').stat().st_mode & 0o777, 0o600)
        self.assertEqual(folder.stat().st_mode & 0o777, 0o700)
        # An outside judge of the request: the key signed it, and it asks for what a TSU needs.
        request = run('openssl', 'req', '-verify', '-noout', '-text', '-in', self.folder / 'k.csr')
        self.assertIn('verify OK', request.out + request.err)
        self.assertRegex(request.out, r'Extended Key Usage: critical\s+Time Stamping')
        events = [json.loads(line) for line in run(BIN / 'tsaudit', '--archive', self.demo.dir / 'typed-archive', 'events', '--json').out.splitlines()]
        self.assertEqual([e['kind'] for e in events], ['custody.shared', 'key.generated', 'key.requested', 'key.generated'])
        self.assertEqual([(e['subject'], e['fields']['key'], e['fields']['type']) for e in events if e['kind'] == 'key.generated'],
                         [('tsu-1', 'k', 'RSA'), ('archive', 'archive', 'Ed25519')])
        self.assertEqual((events[1]['subject'], events[1]['fields']['key'], events[1]['fields']['custodians']), ('tsu-1', 'k', 'a, b'))
        shown = json.loads(run(*tool, '--json', 'ceremony', 'show').out)
        self.assertEqual(([c['name'] for c in shown['custodians']], shown['threshold'], shown['activated']), (['a', 'b'], 2, False))
        # Once is enough.
        done = run(*tool, *words[:-1], self.folder / 'again.csr', ok=(2,))
        self.assertIn('already with 2 of 2 custodians', done.err)
        self.assertFalse((self.folder / 'again.csr').exists())

    def test_ceremony_refusals(self):
        site = self.own_site('refused')

        def fails(status, *words, config=site, subject='CN=x', csr=self.folder / 'x.csr'):
            done = run(BIN / 'tsactl', '--config', config, 'ceremony', 'init', *words, '--dir', self.folder / 'none', '--key', 'k',
                       '--subject', subject, '--csr', csr, '--passphrases', self.demo.dir / 'custody', ok=(status,))
            lines = [line for line in done.err.splitlines() if not line.startswith('WARNING: UNATTENDED')]
            self.assertEqual(len(lines), 1, done.err)
            self.assertNotIn("'refused'", self.tokens())
            return lines[0]

        two = ('--custodian', 'demo-1', '--custodian', 'demo-2')
        self.assertIn('one alone must not be enough', fails(2, '--threshold', '1', *two))
        self.assertIn('must be 2 to 2', fails(2, '--threshold', '3', *two))
        self.assertIn('2 to 16 custodians', fails(2, '--threshold', '2', '--custodian', 'demo-1'))
        self.assertIn('role or number', fails(2, '--threshold', '2', '--custodian', 'demo-1', '--custodian', 'Mr. X'))
        self.assertIn('twice', fails(2, '--threshold', '2', '--custodian', 'demo-1', '--custodian', 'demo-1'))
        self.assertIn('demo-9.passphrase', fails(2, '--threshold', '2', '--custodian', 'demo-1', '--custodian', 'demo-9'))
        # What would leave a token without a request is found before there is a token.
        self.assertIn("'Country' isn't known", fails(2, '--threshold', '2', *two, subject='Country=JP,CN=x'))
        self.assertIn('nowhere/x.csr', fails(3, '--threshold', '2', *two, csr=self.folder / 'nowhere/x.csr'))
        self.assertIn('is there already', fails(2, '--threshold', '2', *two, csr=self.demo.dir / 'tsad.toml'))
        # Nobody types, and nobody said that files are meant.
        done = subprocess.run([BIN / 'tsactl', '--config', site, 'ceremony', 'init', '--threshold', '2', *two, '--dir', self.folder / 'n',
                               '--key', 'k', '--subject', 'CN=x', '--csr', self.folder / 'n.csr'],
                              capture_output=True, text=True, stdin=subprocess.DEVNULL, start_new_session=True, timeout=60)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn('no terminal', done.stderr)
        # The archive is in use: the server of that archive runs.
        self.demo.start_tsad()
        text = (self.demo.dir / 'tsad.toml').read_text()
        other = self.demo.dir / 'busy.toml'
        other.write_text(re.sub(r'(?m)^token = "[^"]*"', 'token = "refused"', text))
        self.assertIn(str(self.demo.tsad.pid), fails(3, '--threshold', '2', *two, config=other))

    # -- activation

    def test_locked_until_two_custodians_come(self):
        demo = self.demo
        self.start_locked()
        status, answer = demo.readiness()
        self.assertEqual(status, 503)
        self.assertTrue(any('locked: its custodians have to activate it' in r for r in answer['reasons']), answer)
        refused = demo.stamp()
        self.assertEqual((refused.status, refused.fail), (2, 'systemFailure'))
        self.assertEqual(self.custody()['given'], [])
        self.assertIn('its private half was not looked at: the token is locked', demo.tsactl('key', 'list').out)
        self.assertIn('kokuin_hsm_locked 1', run('curl', '-fsS', demo.url('/metrics')).out)

        status, said = self.give('demo-1')
        self.assertEqual(status, 0, said)
        self.assertIn('1 of 2 shares are here (demo-1)', said)
        self.assertEqual(self.custody()['given'], ['demo-1'])
        self.assertEqual(demo.readiness()[0], 503)
        status, said = self.give('demo-3')
        self.assertEqual(status, 0, said)
        self.assertIn('activated', said)
        self.assertEqual(self.custody()['activated'], True)
        # The TAA is locked too: it has issued no TAC since it was started.
        tacs = lambda: len(demo.events('tac.accepted'))
        before = tacs()
        self.assertIn('locked: its custodians have to activate it', demo.taad.written())
        for name in ('demo-2', 'demo-3'):
            status, said = self.give(name, self.taad(), 'taa-custody')
            self.assertEqual(status, 0, said)
        until(lambda: tacs() > before, lambda: f'a TAC; {demo.taad.tail()}')
        demo.wait_ready()
        self.assertEqual(demo.stamp().status, 0)
        self.assertIn('kokuin_hsm_locked 0', run('curl', '-fsS', demo.url('/metrics')).out)

        # What the custodians agreed to: this very configuration.
        activated = demo.events('custody.activated')[-1]
        self.assertEqual(activated['fields']['custodians'], 'demo-1, demo-3')
        self.assertEqual(activated['fields']['settings'], hashlib.sha256((demo.dir / 'tsad.toml').read_bytes()).hexdigest())
        self.assertEqual([e['fields']['custodian'] for e in demo.events('custody.share')][-2:], ['demo-1', 'demo-3'])
        self.assertEqual(demo.taa_events('custody.activated')[-1]['fields']['custodians'], 'demo-2, demo-3')
        # Outside judges: keys that stay inside.
        pin = self.secrets('custody')[-2].decode()
        objects = run('pkcs11-tool', '--module', SOFTHSM, '--token-label', 'kokuin-tsu', '-l', '--pin', pin, '-O',
                      env={'SOFTHSM2_CONF': str(demo.dir / 'softhsm2.conf')}).out
        self.assertIn('always sensitive, never extractable', objects)
        self.assertIn('Certificate Object', objects)
        # A third one isn't needed, and is told.
        done = run(*self.tsactl(), 'activate', '--share', demo.dir / 'custody/demo-2.share', ok=(1,))
        self.assertIn('activated already', done.err)

        # A restart locks it again; so does kill -9.
        for end in (lambda: demo.tsad.stop(), lambda: demo.tsad.kill()):
            end()
            demo.start_tsad()
            self.assertEqual(self.custody()['activated'], False)
            self.assertEqual(demo.stamp().fail, 'systemFailure')

    def test_wrong_shares_never_reach_the_token(self):
        demo = self.demo
        log = self.folder / 'spy.log'
        demo.edit('tsad', (r'^module = .*$', f'module = "{SPY}"'),
                  (r'^environment = \[', f'environment = ["PKCS11SPY={SOFTHSM}", "PKCS11SPY_OUTPUT={log}", '))
        demo.start_tsad()
        logins = lambda: len(re.findall(r'^\d+: C_Login$', log.read_text(), re.M))

        def fails(done, status, *words):
            status_, said = done if isinstance(done, tuple) else (done.returncode, done.err)
            self.assertEqual(status_, status, said)
            last = said.strip().splitlines()[-1]
            self.assertTrue(last.startswith('tsactl: '), said)
            for word in words:
                self.assertIn(word, last)

        shares = demo.dir / 'custody'
        fails(self.give('demo-1', passphrase='not the passphrase'), 1, 'demo-1.share', 'passphrase is wrong')
        # The TAA's, of another ceremony; before anything is typed.
        fails(run(*self.tsactl(), 'activate', '--share', demo.dir / 'taa-custody/demo-1.share', ok=None), 1, "'kokuin-taa'", "'kokuin-tsu'")
        # Damaged anywhere.
        text = (shares / 'demo-1.share').read_text()
        for change in (lambda t: t[:400] + ('0' if t[400] != '0' else '1') + t[401:], lambda t: t[:-200], lambda t: '', lambda t: 'x' * 70000):
            (self.folder / 'bad.share').write_text(change(text))
            fails(run(*self.tsactl(), 'activate', '--share', self.folder / 'bad.share', ok=None), 2, 'bad.share')
        fails(run(*self.tsactl(), 'activate', '--share', self.folder / 'none.share', ok=None), 3, 'none.share')
        # One custodian three times.
        for _ in range(3):
            self.assertEqual(self.give('demo-1')[0], 0)
        self.assertEqual(self.custody()['given'], ['demo-1'])
        self.assertEqual(logins(), 0)
        # Somebody who speaks to the socket without a share.
        for body in ('{}', 'nonsense', json.dumps({'ceremony': self.custody()['ceremony'], 'generation': 1, 'custodian': 'demo-2',
                                                   'signature': '00' * 64, 'share': {'ephemeral': '09' + '00' * 31, 'sealed': '00' * 80}})):
            answer = run('curl', '-sS', '--unix-socket', demo.dir / 'run/tsad.sock', '-H', 'Content-Type: application/json', '-d', body,
                         '-w', '\n%{http_code}', 'http://tsad/custody/share').out
            self.assertIn(answer.splitlines()[-1], ('400', '409'), answer)
        self.assertEqual(logins(), 0)
        # And then the right one, with the token asked once.
        status, said = self.give('demo-2')
        self.assertEqual(status, 0, said)
        self.assertEqual(logins(), 1)
        demo.tsad.stop()

        # A PIN that somebody has changed behind the custodians' backs: one attempt, no second.
        pin = self.secrets('custody')[-2].decode()
        run('pkcs11-tool', '--module', SOFTHSM, '--token-label', 'kokuin-tsu', '-l', '--pin', pin, '--change-pin', '--new-pin', 'somebody-elses-pin',
            env={'SOFTHSM2_CONF': str(demo.dir / 'softhsm2.conf')})
        log.unlink()
        demo.start_tsad()
        self.give('demo-1')
        fails(self.give('demo-2'), 2, 'CKR_PIN_INCORRECT')
        self.assertEqual(logins(), 1)
        fails(run(*self.tsactl(), 'activate', '--share', shares / 'demo-3.share', ok=None), 2, 'out of use')
        self.assertEqual(logins(), 1)
        self.assertEqual(len(demo.events('custody.refused')), 1)
        self.assertNotIn(pin, demo.tsad.written())

    def test_deactivated_under_load(self):
        demo = self.demo
        self.start_locked()
        self.give_all()
        demo.wait_ready()
        saved = Saved(self.folder / 'saved')
        load = self.started(demo.load('--connections', 8, '--save', saved.path, '--save-refusals'))
        until(lambda: saved.path.exists() and saved.path.stat().st_size > 200_000, 'tokens are made')
        demo.tsactl('deactivate', '--why', 'an exercise', '--by', 'operator 3')
        self.assertEqual(demo.readiness()[0], 503)
        self.assertEqual(demo.stamp().fail, 'systemFailure')
        self.assertEqual(self.custody()['activated'], False)
        for name in ('demo-2', 'demo-3'):
            self.assertEqual(self.give(name)[0], 0)
        demo.wait_ready()
        self.assertEqual(demo.stamp().status, 0)
        result = load.result()
        self.assertEqual(list(result['refused']), ['systemFailure'])
        self.assertEqual(result['errors'], {})
        compared = demo.compare(saved.path)
        self.assertEqual((compared['missing'], compared['different'], compared['repeated']), (0, 0, 0))
        self.assertEqual(compared['tokens'], result['granted'])
        (event,) = demo.events('custody.deactivated')
        self.assertEqual((event['text'], event['fields']['by']), ('an exercise', 'operator 3'))
        done = demo.tsactl('deactivate', '--why', ' ', '--by', 'x', ok=(2,))
        self.assertIn('--why', done.err)

    def test_approvals_can_be_verified_by_anybody(self):
        """With the archive, sqlite3 and openssl alone, as docs/custody.md has it."""
        demo = self.demo
        demo.start_tsad()
        for name in ('demo-2', 'demo-3'):
            self.assertEqual(self.give(name)[0], 0)

        def blob(event):
            (name,) = event['blobs']
            for segment in (demo.dir / 'archive').glob('*.sqlite'):
                found = run('sqlite3', '-readonly', segment, f"SELECT hex(content) FROM blob WHERE id = x'{name}'").out.strip()
                if found:
                    return json.loads(bytes.fromhex(found))

        roster = {c['name']: c for c in blob(demo.events('custody.shared')[-1])['custodians']}
        self.assertEqual(list(roster), ['demo-1', 'demo-2', 'demo-3'])
        approvals = blob(demo.events('custody.activated')[-1])['approvals']
        self.assertEqual([a['custodian'] for a in approvals], ['demo-2', 'demo-3'])
        digest = hashlib.sha256((demo.dir / 'tsad.toml').read_bytes()).hexdigest()
        for approval in approvals:
            self.assertIn(f'\nact: activate\nprogram: tsad\n', approval['statement'])
            self.assertIn(f'\nsettings: {digest}\n', approval['statement'])
            # SubjectPublicKeyInfo of an Ed25519 key (RFC 8410) around the raw one.
            key = bytes.fromhex('302a300506032b6570032100' + roster[approval['custodian']]['signing_key'])
            (self.folder / 'key.der').write_bytes(key)
            (self.folder / 'statement').write_text(approval['statement'])
            (self.folder / 'signature').write_bytes(bytes.fromhex(approval['signature']))
            verify = ('openssl', 'pkeyutl', '-verify', '-rawin', '-pubin', '-keyform', 'DER', '-inkey', self.folder / 'key.der',
                      '-in', self.folder / 'statement', '-sigfile', self.folder / 'signature')
            self.assertIn('Signature Verified Successfully', run(*verify).out)
            (self.folder / 'statement').write_text(approval['statement'].replace('tsad', 'taad'))
            run(*verify, ok=(1,))

    # -- the keeper

    def child(self, *but):
        """The server that the keeper runs now, none of `but`."""
        def running():
            children = pathlib.Path(f'/proc/{self.demo.tsad.pid}/task/{self.demo.tsad.pid}/children').read_text().split()
            found = [int(pid) for pid in children if int(pid) not in but]
            return found[0] if found and self.demo.listens(self.demo.port) else None
        return until(lambda: self.demo.tsad.must_live() or running(), lambda: f'the keeper runs a server; {self.demo.tsad.tail()}')

    def start_kept(self):
        self.demo.tsad = harness.Program(BIN / 'tsad', '--keep', '--config', self.demo.dir / 'tsad.toml', log=self.demo.dir / 'log/kept.log',
                                         ready=lambda: self.demo.listens(self.demo.port))

    def test_keeper(self):
        demo = self.demo
        self.start_kept()
        demo.start_taad()
        self.give_all()
        demo.wait_ready()
        first = self.child()
        cmdline = pathlib.Path(f'/proc/{first}/cmdline').read_bytes().split(b'\0')
        self.assertIn(b'--kept-by', cmdline)

        # A crash at night.
        os.kill(first, signal.SIGKILL)
        second = self.child(first)
        demo.wait_ready()
        self.assertEqual(demo.stamp().status, 0)
        self.assertEqual(self.custody()['activated'], True)
        self.assertEqual(len(demo.events('custody.kept')), 1)
        # A new program or a new certificate: one that ends in good order and one that starts.
        demo.tsad.process.send_signal(signal.SIGHUP)
        third = self.child(first, second)
        demo.wait_ready()
        self.assertEqual(demo.stamp().status, 0)
        self.assertEqual(demo.events('server.stopped')[-1]['text'], 'tsad stopped in good order')
        # Nothing of it lies where a core dump would find it, in neither process.
        secrets = self.secrets('custody')
        for pid in (demo.tsad.pid, third) if self.may_look(third) else ():
            dumped, hidden = self.memory(pathlib.Path('/proc') / str(pid))
            self.assert_free(dumped, secrets, f'what a core dump of {pid} would hold')
            self.assertIn(secrets[-2], hidden)
            self.assert_free(pathlib.Path(f'/proc/{pid}/cmdline').read_bytes() + pathlib.Path(f'/proc/{pid}/environ').read_bytes(), secrets, pid)

        # A configuration that it refuses: the keeper waits, and holds.
        good = (demo.dir / 'tsad.toml').read_text()
        (demo.dir / 'tsad.toml').write_text(good + '[nonsense]\n')
        demo.tsad.process.send_signal(signal.SIGHUP)
        until(lambda: 'event=waits' in demo.tsad.written(), lambda: demo.tsad.tail())
        (demo.dir / 'tsad.toml').write_text(good)
        demo.tsad.process.send_signal(signal.SIGHUP)
        fourth = self.child(first, second, third)
        demo.wait_ready()
        # Settings that nobody agreed to: locked, and said.
        (demo.dir / 'tsad.toml').write_text(good.replace('# level = "info"', 'level = "info"'))
        os.kill(fourth, signal.SIGKILL)
        fifth = self.child(first, second, third, fourth)
        self.assertEqual(self.custody()['activated'], False)
        self.assertIn('isn\'t the one that the custodians agreed to', demo.events('custody.changed')[-1]['text'])
        self.assertEqual(demo.stamp().fail, 'systemFailure')
        # It is not asked what it isn't given any more: also the old settings don't bring it back.
        (demo.dir / 'tsad.toml').write_text(good)
        demo.tsad.process.send_signal(signal.SIGHUP)
        sixth = self.child(first, second, third, fourth, fifth)
        self.assertEqual(self.custody()['activated'], False)
        for name in ('demo-1', 'demo-2'):
            self.assertEqual(self.give(name)[0], 0)
        demo.wait_ready()
        # What was deactivated stays so.
        demo.tsactl('deactivate', '--why', 'an exercise', '--by', 'operator 3')
        os.kill(sixth, signal.SIGKILL)
        # (Nothing is held, and it was well for less than a minute: the keeper doesn't hide that.)
        self.assertEqual(demo.tsad.process.wait(30), 128 + signal.SIGKILL)
        self.start_kept()
        self.assertEqual(self.custody()['activated'], False)
        self.assertIs(self.custody()['kept'], True)
        # Killed, it leaves a server that goes on, and says that nobody holds its PIN any more.
        orphan = self.child()
        demo.tsad.kill()
        (event,) = until(lambda: demo.events('custody.unkept'), 'that the keeper is gone is an event')
        self.assertIn('custodians will be needed', event['text'])
        self.assertIs(self.custody()['kept'], False)
        os.kill(orphan, signal.SIGTERM)
        # Whoever inherits it may not look after it.
        ended = lambda: not pathlib.Path(f'/proc/{orphan}').exists() or ') Z ' in pathlib.Path(f'/proc/{orphan}/stat').read_text()
        until(lambda: not demo.listens(demo.port) and ended(), 'it ended')
        self.start_kept()
        # And its end is the end of both.
        child = self.child()
        self.assertEqual(demo.tsad.stop(), 0)
        until(lambda: not pathlib.Path(f'/proc/{child}').exists(), 'the server ended with its keeper')
        # The same for the TAA, in short.
        demo.taad.stop()
        demo.taad = harness.Program(BIN / 'taad', '--keep', '--config', demo.dir / 'taad.toml', log=demo.dir / 'log/kept-taad.log',
                                    ready=lambda: demo.listens(demo.port + 3))
        for name in ('demo-1', 'demo-2'):
            self.assertEqual(self.give(name, self.taad(), 'taa-custody')[0], 0)
        demo.taad.process.send_signal(signal.SIGHUP)
        # Once it listens again, a signal is an order: before, it is its own effect.
        until(lambda: len(demo.taa_events('custody.kept')) == 1 and demo.listens(demo.port + 3), lambda: demo.taad.tail())
        self.assertEqual(demo.taad.stop(), 0)

    # -- where the PIN must not be

    def test_no_secret_in_memory_that_is_dumped_nor_anywhere_else(self):
        demo = self.demo
        self.start_locked()
        self.give_all()
        demo.wait_ready()
        for _ in range(20):
            self.assertEqual(demo.stamp().status, 0)
        if not self.may_look(demo.tsad.pid):
            self.skipTest("this machine lets nobody look into another process's memory (CAP_SYS_PTRACE)")
        for program, folder in ((demo.tsad, 'custody'), (demo.taad, 'taa-custody')):
            secrets = self.secrets(folder)
            proc = pathlib.Path('/proc') / str(program.pid)
            for place in ('cmdline', 'environ'):
                self.assert_free((proc / place).read_bytes(), secrets, f'{proc}/{place}')
            dumped, hidden = self.memory(proc)
            self.assertGreater(len(dumped), 1_000_000)
            self.assert_free(dumped, secrets, f'what a core dump of {program.command[0]} would hold')
            # The search finds what is there: the PIN itself lives, in pages that are never dumped.
            self.assertIn(secrets[-2], hidden)
            for share in secrets[:-2]:
                self.assertNotIn(share, hidden, 'a share outlives its use')
            self.assertNotIn(secrets[-1], hidden, "the officer's PIN is never made in a server")
        everything = b''.join(file.read_bytes() for file in demo.dir.rglob('*')
                              if file.is_file() and file.suffix != '.passphrase')
        for folder in ('custody', 'taa-custody'):
            self.assert_free(everything, self.secrets(folder), 'a file of the demo')
        # And there is no dump.
        demo.tsad.process.send_signal(signal.SIGSEGV)
        self.assertEqual(demo.tsad.process.wait(30), -signal.SIGSEGV)
        self.assertEqual([p for p in demo.dir.rglob('core*') if p.is_file()], [])

    def assert_free(self, octets, secrets, where):
        for number, secret in enumerate(secrets):
            self.assertGreaterEqual(len(secret), 20)
            self.assertFalse(secret in octets, f'secret {number} is in {where}')

    @staticmethod
    def may_look(pid):
        """Whether we may read the memory of a process that forbids debuggers; said aloud if not."""
        try:
            with open(f'/proc/{pid}/mem', 'rb'), open(f'/proc/{pid}/smaps') as maps:
                maps.read(1)
            return True
        except PermissionError:
            print('NOT LOOKED AT: the memory of process', pid, '(CAP_SYS_PTRACE is missing)', file=sys.stderr)
            return False

    @staticmethod
    def memory(proc):
        """(what a core dump would hold, what it would leave out) of a process's writable memory."""
        dumped, hidden = [], []
        with open(proc / 'mem', 'rb', buffering=0) as memory:
            for mapping in re.split(r'(?m)^(?=[0-9a-f]+-[0-9a-f]+ )', (proc / 'smaps').read_text()):
                head = re.match(r'([0-9a-f]+)-([0-9a-f]+) rw', mapping)
                if not head:
                    continue
                start, end = int(head[1], 16), int(head[2], 16)
                memory.seek(start)
                try:
                    content = memory.read(end - start)
                except OSError:  # the kernel's own
                    continue
                flags = re.search(r'(?m)^VmFlags: (.*)$', mapping)[1].split()
                (hidden if 'dd' in flags else dumped).append(content)
        return b'\n'.join(dumped), b'\n'.join(hidden)


if __name__ == '__main__':
    harness.main()
