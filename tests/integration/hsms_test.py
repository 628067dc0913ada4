"""Two TSUs side by side, each with an HSM of its own (TSA-2): losing one takes nothing of the other down, each has its own
custodians, and a TSU's keys follow each other from one HSM into the other under load."""
import json
import os
import pathlib
import re
import signal

import harness
from harness import BIN, Saved, run, until
from remote_hsm import RemoteHsm
from rotation_test import REASONS, Keys, der_of

ROTATIONS = int(os.environ.get('KOKUIN_ROTATIONS', '4'))
SECOND_NAME = 'C=JP,O=Kokuin Demo,CN=Kokuin Demo TSU 2'


class HsmsTest(RemoteHsm, Keys):
    """[hsm] is the demo's SoftHSM; [hsm.second] another token, which is reached through p11-kit's remoting."""
    token = 'kokuin-second'

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        demo = cls.demo
        # As docs/hsm.md says: the tables, a ceremony for the new token, its certificate, its admission.
        for custodian in ('demo-1', 'demo-2', 'demo-3'):
            path = demo.dir / f'custody-2/{custodian}.passphrase'
            path.parent.mkdir(mode=0o700, exist_ok=True)
            path.touch(0o600)
            path.write_text(os.urandom(16).hex() + '\n')
        demo.edit('tsad', append=f'\n[hsm.second]\nmodule = "/usr/lib/softhsm/libsofthsm2.so"\ntoken = "{cls.token}"\n'
                                 'unattended = ["custody-2/demo-1", "custody-2/demo-2"]\n'
                                 '[tsu.tsu-2]\nhsm = "second"\nkey = "tsu-2"\ncertificate = "pki/tsu-2.pem"\nchain = "pki/chain.pem"\n'
                                 'crls = ["pki/crl.pem"]\n')
        said = demo.tsactl('ceremony', 'init', '--hsm', 'second', '--threshold', 2, '--custodian', 'demo-1', '--custodian', 'demo-2',
                           '--custodian', 'demo-3', '--dir', demo.dir / 'custody-2', '--passphrases', demo.dir / 'custody-2',
                           '--key', 'tsu-2', '--subject', SECOND_NAME, '--csr', cls.folder / 'tsu-2.csr')
        assert f"made the token '{cls.token}'" in said.out, said.out
        assert 'tsactl --hsm second activate' in said.out, said.out
        (cls.folder / 'ext').write_text('extendedKeyUsage=critical,timeStamping\nkeyUsage=critical,digitalSignature\n')
        pki = demo.dir / 'pki'
        run('openssl', 'x509', '-req', '-in', cls.folder / 'tsu-2.csr', '-CA', pki / 'issuing.pem', '-CAkey', pki / 'issuing.key', '-sha512',
            '-days', 800, '-set_serial', '0x2222', '-extfile', cls.folder / 'ext', '-out', pki / 'tsu-2.pem')
        demo.edit('taad', append=f'\n[tsu.tsu-2]\naudit = "127.0.0.1:{demo.port + 2}"\npeer = "tsu.audit.kokuin.example"\n'
                                 'certificate = "pki/tsu-2.pem"\nsuccessors = "pki/chain.pem"\n')
        run(BIN / 'taad', '--config', demo.dir / 'taad.toml', 'tsu', 'admit', 'tsu-2', '--why', 'a second TSU', '--by', 'x')
        demo.audit_often()

    def start_remote(self):
        super().start_remote(self.token)

    def setUp(self):
        self.start_remote()
        text = (self.demo.dir / 'tsad.toml').read_text()
        head, _, tail = text.partition('[hsm.second]\n')
        tail = re.sub(r'^module = .*$', f'module = "{self.client}"\nenvironment = ["P11_KIT_SERVER_ADDRESS=unix:path={self.folder}/p11.sock"]',
                      tail, count=1, flags=re.M) if 'p11-kit' not in tail else tail
        (self.demo.dir / 'tsad.toml').write_text(head + '[hsm.second]\n' + tail)
        self.addCleanup(self.kill_remote)
        self.addCleanup(self.demo.stop)
        self.demo.start()
        self.both_stamp()

    def tsus(self):
        return {tsu['name']: tsu for tsu in json.loads(self.demo.tsactl('status', '--json', ok=(0, 1)).out)['tsus']}

    def second(self):
        (second,) = json.loads(self.demo.tsactl('status', '--json', ok=(0, 1)).out)['more_hsms']
        return second

    def both_stamp(self):
        until(lambda: self.signers(30) == {'tsu-1', 'tsu-2'}, lambda: f'{self.tsus()}\n{self.demo.tsad.tail()}', 90)

    def signers(self, count):
        """Which TSUs answer so many requests."""
        before = self.tail_number()
        for _ in range(count):
            if self.demo.stamp().status != 0:
                return set()
        return {row['tsu'] for row in self.rows() if row['number'] > before}

    def rows(self):
        return [json.loads(line) for line in self.demo.tsaudit('find', '--json', ok=(0, 1)).out.splitlines()]

    def tail_number(self):
        return max((row['number'] for row in self.rows()), default=0)

    def wait_tokens(self, saved, at, count=50):
        until(lambda: self.demo.tsad.must_live() or sum(r[0] == 0 for r in saved.records(at)) > count,
              lambda: f'tokens: {self.demo.readiness()}\n{self.demo.tsad.tail()}', 60)

    def test_1_side_by_side(self):
        """Each TSU with its certificate and the key of its own token; status names both."""
        demo = self.demo
        tsus = self.tsus()
        self.assertEqual({name: tsu['hsm'] for name, tsu in tsus.items()}, {'tsu-1': 'kokuin-tsu', 'tsu-2': self.token})
        self.assertEqual(self.second()['custody']['activated'], True)
        said = demo.tsactl('status').out
        self.assertIn("HSM second: ready", said)
        self.assertIn('custodians second: activated', said)
        metrics = run('curl', '-fsS', demo.url('/metrics')).out
        for line in ('kokuin_hsm_available 1', 'kokuin_hsm_available{hsm="second"} 1', 'kokuin_hsm_locked{hsm="second"} 0'):
            self.assertIn(line, metrics)
        keys = {key['label']: key for key in json.loads(self.tsactl('key', 'list', '--json'))}
        self.assertEqual({label: key['hsm'] for label, key in keys.items()}, {'tsu-1': 'hsm', 'tsu-2': 'second', 'archive': 'hsm'})
        self.assertEqual({label: key['state'] for label, key in keys.items()},
                         {'tsu-1': 'active', 'tsu-2': 'active', 'archive': 'generated'})
        self.assertIn('in the HSM second', self.tsactl('key', 'list'))
        saved = Saved(self.folder / 'both')
        load = self.started(demo.load('--connections', 4, '--save', saved.path))
        self.wait_tokens(saved, 0, 400)
        result = load.result()
        self.assertEqual((result['refused'], result['errors']), ({}, {}))
        ders = {'tsu-1': der_of(demo.dir / 'pki/tsu.pem'), 'tsu-2': der_of(demo.dir / 'pki/tsu-2.pem')}
        count = dict.fromkeys(ders, 0)
        for kind, _, _, imprint, token in saved.records():
            (name,) = [name for name, der in ders.items() if der in token]
            count[name] += 1
            if count[name] <= 3:
                (self.folder / 'token.der').write_bytes(token)
                done = run('openssl', 'ts', '-verify', '-digest', imprint.hex(), '-in', self.folder / 'token.der', '-token_in', '-CAfile',
                           demo.root(), '-untrusted', demo.chain())
                self.assertIn('Verification: OK', done.out + done.err)
        self.assertGreater(min(count.values()), 20, count)

    def test_2_one_dies_and_comes_back(self):
        """No request fails, whatever becomes of the second HSM: it hangs, it is killed, it is there again."""
        demo = self.demo
        saved = Saved(self.folder / 'dies')
        load = self.started(demo.load('--connections', 4, '--save', saved.path, '--save-refusals', '--timeout', 20))
        self.wait_tokens(saved, 0)
        for pid in self.children():
            os.kill(pid, signal.SIGSTOP)
        at = saved.size()
        self.wait_tokens(saved, at, 200)
        self.assertEqual(demo.readiness(), (200, {'ready': True, 'reasons': []}))
        # After 5 s it counts as hanging, and nobody waits for it: not operators either.
        until(lambda: not self.second()['available'], lambda: self.second())
        self.assertIn("doesn't answer", self.second()['state'])
        keys = {key['label']: key for key in json.loads(self.tsactl('key', 'list', '--json'))}
        self.assertEqual((keys['tsu-2']['state'], keys['tsu-2']['missing'], keys['tsu-2']['hsm']), ('active', False, 'second'))
        self.assertEqual(demo.readiness()[0], 200)
        at = saved.size()
        self.wait_tokens(saved, at, 200)
        self.assertGreater(self.kill_remote(), 0)
        until(lambda: [e['subject'] for e in demo.events('hsm.lost')][-1:] == [self.token], lambda: demo.tsad.tail())
        at = saved.size()
        self.wait_tokens(saved, at, 200)
        self.assertEqual(demo.readiness()[0], 200)
        self.assertIs(self.second()['available'], False)
        self.assertIn('kokuin_hsm_available{hsm="second"} 0', run('curl', '-fsS', demo.url('/metrics')).out)
        self.start_remote()
        until(lambda: [e['subject'] for e in demo.events('hsm.back')][-1:] == [self.token], lambda: demo.tsad.tail(), 60)
        result = load.result()
        self.assertEqual((result['refused'], result['errors']), ({}, {}))
        compared = demo.compare(saved.path)
        self.assertEqual([compared[fault] for fault in ('missing', 'different', 'repeated', 'unverified')], [0, 0, 0, 0])
        self.both_stamp()

    def test_3_each_has_its_custodians(self):
        """The second's lock it and open it again; the first's can't, and their token goes on."""
        demo = self.demo
        tsactl = [BIN / 'tsactl', '--config', demo.dir / 'tsad.toml']
        self.tsactl('deactivate', '--hsm', 'second', *REASONS)
        self.assertEqual((self.second()['custody']['activated'], self.second()['available']), (False, False))
        self.assertEqual(self.signers(10), {'tsu-1'})
        self.assertEqual(demo.readiness()[0], 200)
        # Their share files say whose they are, before anybody types.
        said = self.tsactl('activate', '--hsm', 'second', '--share', demo.dir / 'custody/demo-1.share', ok=1)
        self.assertIn("is a share of the token 'kokuin-tsu'", said)
        self.assertIn(f"waits for shares of the token '{self.token}'", said)
        self.assertIn('no [hsm.third]', self.tsactl('activate', '--hsm', 'third', '--share', demo.dir / 'custody-2/demo-1.share', ok=2))
        for name in ('demo-1', 'demo-3'):
            status, said = harness.activate([*tsactl, '--hsm', 'second'], demo.dir / f'custody-2/{name}.share',
                                            (demo.dir / f'custody-2/{name}.passphrase').read_text().strip())
            self.assertEqual(status, 0, said)
        self.both_stamp()

    def test_3_starts_while_one_is_away(self):
        """And a keeper holds the PINs of both over a crash."""
        demo = self.demo
        demo.tsad.stop()
        self.kill_remote()
        demo.start_tsad()
        demo.wait_ready()
        self.assertEqual(self.signers(10), {'tsu-1'})
        self.start_remote()
        self.both_stamp()
        demo.tsad.stop()

        # Without anybody to open them but the keeper.
        text = (demo.dir / 'tsad.toml').read_text()
        self.addCleanup((demo.dir / 'tsad.toml').write_text, text)
        (demo.dir / 'tsad.toml').write_text(re.sub(r'(?m)^unattended = .*\n(?:[ ]+#.*\n)*', '', text))
        keeper = self.started(harness.Program(BIN / 'tsad', '--config', demo.dir / 'tsad.toml', '--keep', log=self.folder / 'keeper.log',
                                              ready=lambda: demo.listens(demo.port)))
        for hsm, folder in (('hsm', 'custody'), ('second', 'custody-2')):
            for name in ('demo-2', 'demo-3'):
                status, said = harness.activate([BIN / 'tsactl', '--config', demo.dir / 'tsad.toml', '--hsm', hsm],
                                                demo.dir / f'{folder}/{name}.share',
                                                (demo.dir / f'{folder}/{name}.passphrase').read_text().strip())
                self.assertEqual(status, 0, said)
        until(lambda: self.signers(20) == {'tsu-1', 'tsu-2'}, keeper.tail, 60)
        (child,) = [int(p.parent.name) for p in pathlib.Path('/proc').glob('[0-9]*/stat') if self.parent_of(p) == keeper.pid]
        os.kill(child, signal.SIGKILL)
        until(lambda: len(re.findall('custody event=kept token=', keeper.written())) == 2, keeper.tail, 60)
        until(lambda: demo.listens(demo.port) and self.signers(20) == {'tsu-1', 'tsu-2'}, keeper.tail, 60)
        keeper.stop()

    def test_4_from_one_hsm_into_the_other(self):
        """The keys of tsu-1 follow each other through both HSMs under load; each is destroyed by the custodians of its own."""
        demo = self.demo
        certificates = {'tsu-1': demo.dir / 'pki/tsu.pem', 'tsu-2': demo.dir / 'pki/tsu-2.pem'}
        saved = Saved(self.folder / 'rotations')
        load = self.started(demo.load('--connections', 4, '--save', saved.path, '--save-refusals'))
        self.wait_tokens(saved, 0)
        self.assertIn("there is a key 'tsu-1'", self.tsactl('key', 'generate', 'tsu-1', '--hsm', 'second', '--tsu', 'tsu-1', *REASONS, ok=1))
        last = 'tsu-1'
        for number in range(1, ROTATIONS + 1):
            label, hsm = f'tsu-1-{number}', ('hsm', 'second')[number % 2]
            self.tsactl('key', 'generate', label, '--tsu', 'tsu-1', '--hsm', hsm, *REASONS)
            certificates[label] = self.issue(label)
            self.tsactl('key', 'import', label, certificates[label], *REASONS)
            said = self.tsactl('key', 'rotate', label, *REASONS)
            self.assertIn(f'{label} signs for tsu-1 now', said)
            self.assertEqual(self.tsus()['tsu-1']['hsm'], {'hsm': 'kokuin-tsu', 'second': self.token}[hsm])
            last = label
        at = saved.size()
        self.wait_tokens(saved, at)
        result = load.result()
        self.assertEqual((result['refused'], result['errors']), ({}, {}))
        compared = demo.compare(saved.path)
        self.assertEqual([compared[fault] for fault in ('missing', 'different', 'repeated', 'unverified')], [0, 0, 0, 0])
        states = self.states()
        self.assertEqual({label for label, state in states.items() if state == 'active'}, {last, 'tsu-2'})

        self.each_signed_while_active(saved, certificates)

        # After a restart the records say which HSM has the key that signs.
        demo.tsad.stop()
        demo.start_tsad()
        self.both_stamp()
        self.assertEqual(self.tsus()['tsu-1']['key'], last)

        # The one that was retired in the second HSM is destroyed by that one's custodians, and by no others.
        said = self.tsactl('key', 'destroy', 'tsu-1-1', *REASONS)
        self.assertIn('to be approved by 2 custodians', said)
        self.assertIn('nothing waits', self.tsactl('approve', '--share', demo.dir / 'custody/demo-1.share', ok=1))
        for name in ('demo-1', 'demo-2'):
            terminal = harness.Terminal(BIN / 'tsactl', '--config', demo.dir / 'tsad.toml', '--hsm', 'second', 'approve', '--share',
                                        demo.dir / f'custody-2/{name}.share')
            terminal.expect('Passphrase of the custodian')
            terminal.type((demo.dir / f'custody-2/{name}.passphrase').read_text().strip())
            status, said = terminal.end()
            self.assertEqual(status, 0, said)
        self.assertIn("'tsu-1-1' is destroyed", said)
        self.assertEqual(self.states()['tsu-1-1'], 'destroyed')
        pin = run(BIN / 'kokuin-share', *(demo.dir / f'custody-2/demo-{i}' for i in (1, 2, 3))).out.split()[6]
        objects = run('pkcs11-tool', '--module', '/usr/lib/softhsm/libsofthsm2.so', '--token-label', self.token, '--login', '--pin', pin, '-O',
                      '--type', 'privkey', env={'SOFTHSM2_CONF': str(demo.dir / 'softhsm2.conf')}).out
        self.assertNotIn('tsu-1-1\n', objects)
        self.assertIn('tsu-2\n', objects)
        # Beside the keys lie their certificates and what is above them (KEY-3).
        objects = run('pkcs11-tool', '--module', '/usr/lib/softhsm/libsofthsm2.so', '--token-label', self.token, '-O', '--type', 'cert',
                      env={'SOFTHSM2_CONF': str(demo.dir / 'softhsm2.conf')}).out
        for name in ('Kokuin Demo TSU 1', 'Kokuin Demo Issuing CA', 'Kokuin Demo Root'):
            self.assertRegex(objects, f'subject: .*CN={name}')
        # Each step says who, why and which custodians had activated the token.
        for kind in ('key.generated', 'key.requested', 'key.certified', 'key.activated', 'key.retired'):
            (event,) = [e for e in demo.events(kind) if e['fields']['key'] == 'tsu-1-2']
            self.assertEqual((event['text'], event['fields']['by']), ('a test', 'operator 1'), kind)
            self.assertEqual(event['fields']['custodians'], 'demo-1, demo-2', kind)
            self.assertEqual(event['fields']['token'], 'kokuin-tsu', kind)

    def test_5_one_is_compromised(self):
        """Under load: nothing of its key leaves after that, and the other TSU goes on (KEY-6, TSA-2)."""
        demo = self.demo
        saved = Saved(self.folder / 'compromised')
        load = self.started(demo.load('--connections', 4, '--save', saved.path, '--save-refusals'))
        self.wait_tokens(saved, 0)
        self.tsactl('key', 'compromise', 'tsu-2', *REASONS, '--dir', self.folder / 'papers')
        at = saved.size()
        self.wait_tokens(saved, at, 200)
        result = load.result()
        # But for what was on its way at that moment, at most one request of each connection.
        self.assertEqual(result['errors'], {})
        self.assertLessEqual(sum(result['refused'].values()), 4)
        self.assertLessEqual(set(result['refused']), {'systemFailure'})
        (event,) = demo.events('key.compromised')
        last = max(row['number'] for row in self.rows() if row['tsu'] == 'tsu-2')
        self.assertLess(last, event['number'])
        self.assertGreater(max(row['number'] for row in self.rows() if row['tsu'] == 'tsu-1'), event['number'])
        lost = [json.loads(line)['serial'] for line in (self.folder / 'papers/tokens.jsonl').read_text().splitlines()]
        self.assertEqual(sorted(lost), sorted(row['serial'] for row in self.rows() if row['tsu'] == 'tsu-2'))


if __name__ == '__main__':
    harness.main()
