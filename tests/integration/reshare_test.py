"""Custodians are replaced (KEY-2): the PINs are drawn anew, the keys stay, and nobody who went opens anything; also under
load, over a crash with a keeper, and where the server dies in the middle."""
import json
import os
import pathlib
import signal

import harness
from custodians import CustodyCase
from harness import BIN, Saved, Terminal, run, until
from remote_hsm import RemoteHsm

PASSPHRASE = 'a new custodian, a new phrase'


class ReshareCase(RemoteHsm, CustodyCase):
    def setUp(self):
        super().setUp()
        self.new = self.folder / 'new'

    def join(self, name, tool=None, passphrase=PASSPHRASE):
        """A new custodian makes keys at a terminal; what was said."""
        terminal = Terminal(*(tool or self.tsactl()), 'ceremony', 'join', '--custodian', name, '--dir', self.new)
        for _ in range(2):
            terminal.expect(f'Custodian {name}, ')
            terminal.expect(':')
            self.assertFalse(terminal.echoes())
            terminal.type(passphrase)
        status, said = terminal.end()
        self.assertEqual(status, 0, said)
        return said

    def approve(self, share, passphrase, tool=None):
        terminal = Terminal(*(tool or self.tsactl()), 'approve', '--share', share)
        said = terminal.expect('Passphrase of the custodian')
        terminal.type(passphrase)
        status, rest = terminal.end()
        return status, said + rest

    def demo_approves(self, name, tool=None, folder='custody'):
        return self.approve(self.demo.dir / folder / f'{name}.share', self.passphrase(name, folder), tool)

    def reshare(self, tool=None, keep=('demo-1', 'demo-2'), join=('officer-4',)):
        words = [word for name in keep for word in ('--keep', name)]
        words += [word for name in join for word in ('--join', self.new / f'{name}.custodian')]
        return run(*(tool or self.tsactl()), 'ceremony', 'reshare', '--threshold', 2, *words, '--why', 'demo-3 leaves', '--by',
                   'operator 3').out

    def takes_pin(self, pin, kind='user'):
        """By pkcs11-tool's word; an officer can look at nothing, but set the own PIN to what it is."""
        what = ('--pin', pin, '--list-objects') if kind == 'user' else ('--so-pin', pin, '--change-pin', '--new-pin', pin)
        done = run('pkcs11-tool', '--module', '/usr/lib/softhsm/libsofthsm2.so', '--token-label', 'kokuin-tsu', '--login',
                   '--login-type', kind, *what, ok=None, env={'SOFTHSM2_CONF': str(self.demo.dir / 'softhsm2.conf')})
        return done.returncode == 0

    def give_early(self, name):
        """Refused before anybody types."""
        done = run(*self.tsactl(), 'activate', '--share', self.demo.dir / f'custody/{name}.share', ok=None)
        return done.returncode, done.err

    def old_pins(self):
        return run(BIN / 'kokuin-share', *(self.demo.dir / 'custody' / f'demo-{i}' for i in (1, 2, 3))).out.split()[6:]


class UnderLoadTest(ReshareCase):
    def test_under_load(self):
        demo = self.demo
        self.start_locked()
        self.give_all()
        demo.wait_ready()
        key = json.loads(demo.tsactl('key', 'list', '--json').out)
        self.assertRegex(self.join('officer-4'), r'custodian officer-4  [0-9a-f]{32}\s+own file: \S+/officer-4.share')
        card = json.loads((self.new / 'officer-4.custodian').read_text())
        self.assertEqual(os.stat(self.new / 'officer-4.share').st_mode & 0o777, 0o600)
        saved = Saved(self.folder / 'saved')
        load = self.started(demo.load('--connections', 8, '--save', saved.path, '--save-refusals'))
        until(lambda: saved.path.exists() and saved.path.stat().st_size > 200_000, 'tokens are made')

        said = self.reshare()
        self.assertRegex(said, r'proposal [0-9a-f]{8}: the PINs anew, with 2 of demo-1 [0-9a-f]{32}, demo-2 [0-9a-f]{32}, officer-4')
        status, said = self.demo_approves('demo-3')
        self.assertEqual(status, 0, said)
        self.assertRegex(said, r'you approve reshare of 2 of demo-1 [0-9a-f]{32}, demo-2 [0-9a-f]{32}, officer-4 [0-9a-f]{32}; asked')
        status, said = self.demo_approves('demo-1')
        self.assertEqual(status, 0, said)
        self.assertIn('both PINs are new, and with 2 of 3 custodians (demo-1, demo-2, officer-4), generation 2', said)
        size = saved.path.stat().st_size
        until(lambda: saved.path.stat().st_size > size + 200_000, 'tokens are made again')
        result = load.result()
        self.assertEqual(result['errors'], {})
        self.assertLessEqual(set(result['refused']), {'systemFailure'})
        compared = demo.compare(saved.path)
        self.assertEqual((compared['missing'], compared['different'], compared['repeated']), (0, 0, 0))
        self.assertEqual(compared['tokens'], result['granted'])
        self.assertEqual(json.loads(demo.tsactl('key', 'list', '--json').out), key)

        # Neither PIN of before is worth anything, and whoever went opens nothing.
        for pin, kind in zip(self.old_pins(), ('user', 'so')):
            self.assertFalse(self.takes_pin(pin, kind), kind)
        demo.tsad.stop()
        demo.start_tsad()
        status, said = self.give_early('demo-3')
        self.assertEqual(status, 1)
        self.assertIn("'demo-3' is none of the custodians of this ceremony, generation 2", said)
        self.assertEqual(self.give('demo-1')[0], 0)
        self.assertFalse(self.custody()['activated'])
        status, said = self.give('officer-4', share=self.new / 'officer-4.share', passphrase=PASSPHRASE)
        self.assertEqual(status, 0, said)
        demo.wait_ready()
        self.assertEqual(demo.stamp().status, 0)
        shown = demo.tsactl('ceremony', 'show').out
        self.assertIn('generation 2: 2 of 3 custodians (demo-1, demo-2, officer-4)', shown)
        self.assertIn(f'officer-4  ', shown)
        self.assertIn(card['signing_key'], shown)
        agreed = demo.events('custody.agreed')[-1]
        self.assertEqual((agreed['fields']['act'], agreed['fields']['custodians']), ('reshare', 'demo-3, demo-1'))
        self.assertEqual(len(demo.events('custody.resharing')), 1)
        self.assertEqual(len(demo.events('custody.shared')), 2)


class RefusalsTest(ReshareCase):
    def test_refusals(self):
        demo = self.demo
        # Somebody has set the officer's PIN (while the server is down: SoftHSM reads it once).
        user, officer = self.old_pins()
        run('pkcs11-tool', '--module', '/usr/lib/softhsm/libsofthsm2.so', '--token-label', 'kokuin-tsu', '--login', '--login-type',
            'so', '--so-pin', officer, '--change-pin', '--new-pin', 'somebody-elses',
            env={'SOFTHSM2_CONF': str(demo.dir / 'softhsm2.conf')})
        demo.start_tsad()

        def fails(status, *words):
            done = run(*self.tsactl(), 'ceremony', *words, ok=(status,))
            self.assertEqual(len(done.err.strip().splitlines()), 1, done.err)
            return done.err

        reshare = ('reshare', '--threshold', 2, '--why', 'w', '--by', 'b', '--keep', 'demo-1')
        self.assertIn('demo-9: is none of the 2 of 3 custodians', fails(2, *reshare, '--keep', 'demo-9'))
        self.assertIn('2 to 16 custodians', fails(2, *reshare))
        self.assertIn('named twice', fails(2, *reshare, '--keep', 'demo-1'))
        self.assertIn("is no custodian's card", fails(2, *reshare, '--join', demo.dir / 'custody/demo-2.share'))
        self.assertIn('no-such', fails(3, *reshare, '--join', self.folder / 'no-such'))
        self.assertIn('a role or number', fails(2, 'join', '--custodian', 'Hanako'))
        phrase = self.folder / 'phrase'
        phrase.write_text('short\n')
        phrase.chmod(0o600)
        new = ('join', '--custodian', 'officer-4', '--dir', self.new, '--passphrase-file', phrase)
        self.assertIn('too short', run(*self.tsactl(), 'ceremony', *new, ok=(2,)).err)
        self.assertFalse((self.new / 'officer-4.share').exists())
        # Locked, it can be asked for, and approved by one; the last is told that the token must be open.
        self.join('officer-4')
        self.assertIn('is there already', run(*self.tsactl(), 'ceremony', *new, ok=(2,)).err)
        self.reshare()
        self.assertEqual(self.demo_approves('demo-1')[0], 0)
        status, said = self.demo_approves('demo-2')
        self.assertEqual(status, 3, said)
        self.assertIn('must be activated first', said)
        self.assertEqual(demo.events('custody.agreed'), [])
        for name in ('demo-1', 'demo-3'):
            self.assertEqual(self.give(name)[0], 0)
        # The officer's PIN isn't what the custodians think: the token says no, nothing has changed.
        status, said = self.demo_approves('demo-2')
        self.assertNotEqual(status, 0)
        self.assertIn('CKR_PIN_INCORRECT', said)
        custody = self.custody()
        self.assertEqual((custody['activated'], custody['generation']), (True, 1))
        self.assertTrue(self.takes_pin(user))
        self.assertIn('nothing was changed', demo.events('custody.shared')[-1]['text'])


class TaaTest(ReshareCase):
    def test_taad_and_keeper(self):
        """The same for a TAA; and its keeper has the new PIN when the server crashes."""
        demo = self.demo
        demo.taad = harness.Program(BIN / 'taad', '--keep', '--config', demo.dir / 'taad.toml', log=demo.dir / 'log/kept.log',
                                    ready=lambda: demo.listens(demo.port + 3))
        self.join('officer-4', self.taad())
        for name in ('demo-1', 'demo-3'):
            self.assertEqual(self.give(name, self.taad(), 'taa-custody')[0], 0)
        self.reshare(self.taad())
        for name in ('demo-2', 'demo-3'):
            status, said = self.demo_approves(name, self.taad(), 'taa-custody')
            self.assertEqual(status, 0, said)
        self.assertIn('generation 2', said)
        (child,) = pathlib.Path(f'/proc/{demo.taad.pid}/task/{demo.taad.pid}/children').read_text().split()
        os.kill(int(child), signal.SIGKILL)
        shown = lambda: json.loads(run(*self.taad(), 'ceremony', 'show', '--json').out)
        until(lambda: shown()['activated'], 'the keeper opens it with the new PIN')
        self.assertEqual(shown()['generation'], 2)


class BrokenOffTest(ReshareCase):
    def test_killed_in_the_middle(self):
        demo = self.demo
        self.start_remote()
        self.use_remote('tsad')
        self.start_locked()
        self.join('officer-4')
        for name in ('demo-1', 'demo-3'):
            self.assertEqual(self.give(name)[0], 0)
        self.reshare()
        self.assertEqual(self.demo_approves('demo-1')[0], 0)
        # The HSM answers no more; what the last approval begins stands still there.
        for pid in (self.remote.pid, *self.children()):
            os.kill(pid, signal.SIGSTOP)
        approving = self.started(harness.Program(*self.tsactl(), 'approve', '--share', demo.dir / 'custody/demo-2.share',
                                                 '--passphrase-file', demo.dir / 'custody/demo-2.passphrase',
                                                 log=self.folder / 'approve.log'))
        until(lambda: demo.events('custody.resharing'), 'the re-sharing is begun')
        demo.tsad.kill()
        approving.process.wait(60)
        self.kill_remote()
        self.start_remote()

        demo.start_tsad()
        self.assertIn('shares of both generations must come', self.custody()['state'])
        status, said = self.give('officer-4', share=self.new / 'officer-4.share', passphrase=PASSPHRASE)
        self.assertEqual(status, 0, said)
        for name in ('demo-3', 'demo-1'):
            self.assertFalse(self.custody()['activated'])
            status, said = self.give(name)
            self.assertEqual(status, 0, said)
        custody = self.custody()
        self.assertEqual((custody['activated'], custody['generation']), (True, 2))
        for name in ('demo-1', 'demo-2'):
            self.assertEqual(self.give(name, self.taad(), 'taa-custody')[0], 0)
        demo.wait_ready()
        self.assertEqual(demo.stamp().status, 0)
        for pin, kind in zip(self.old_pins(), ('user', 'so')):
            self.assertFalse(self.takes_pin(pin, kind), kind)


if __name__ == '__main__':
    harness.main()
