"""The real programs with another PKCS#11 module: NSS softokn (docs/hsm.md). The TSU's and the CA's tokens are with custodians, the
TAA's under a PIN file; everything an operator does with keys, done there, and openssl as the judge."""
import json
import os
import re

import harness
from harness import BIN, TOP, Saved, activate, run, until
from rotation_test import REASONS, TSU_NAME, Keys

SOFTOKN = '/usr/lib/x86_64-linux-gnu/libsoftokn3.so'
WRAPPED = BIN / 'kokuin-module-with-parameters.so'
TAA_NAME = 'C=JP,O=Kokuin Demo TAA,CN=Kokuin Demo TAA 1'
OFFICERS = ('demo-1', 'demo-2', 'demo-3')


def parameters(folder, token):
    return f"tokens=<4=[configdir='sql:{folder / token}' tokenDescription='{token}']>"


def secret_file(path, text):
    path.touch(0o600)
    path.write_text(text + '\n')
    return path


def passphrases(folder):
    """A folder with a passphrase for each custodian, and the words that name them all."""
    folder.mkdir(mode=0o700)
    for name in OFFICERS:
        secret_file(folder / f'{name}.passphrase', f'the passphrase of {name}')
    return [word for name in OFFICERS for word in ('--custodian', name)]


class NssTest(Keys):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        demo = cls.demo
        # What the demo has made in SoftHSM is out of reach.
        for name in ('archive', 'taa-archive', 'custody', 'taa-custody', 'tokens', 'softhsm2.conf', 'pki/tsu.pem', 'pki/taa.pem'):
            os.rename(demo.dir / name, cls.folder / name.replace('/', '-'))
        for name, token in (('tsad', 'kokuin-tsu'), ('taad', 'kokuin-taa')):
            (demo.dir / token).mkdir(mode=0o700)
            path = demo.dir / f'{name}.toml'
            text = re.sub(r'(?m)^(unattended|environment) = .*\n(?:[ ]+#.*\n)*', '', path.read_text())
            path.write_text(text)
            demo.edit(name, (r'^module = .*$', f'module = "{SOFTOKN}"\nmodule_parameters = "{parameters(demo.dir, token)}"'))
        demo.edit('taad', (r'^token = ', 'pin_file = "taa.pin"\ntoken = '))

    def tearDown(self):
        for program in (self.demo.tsad, self.demo.taad):
            if program and program.alive():
                program.kill()

    def taad(self, *words):
        return run(BIN / 'taad', '--config', self.demo.dir / 'taad.toml', *words)

    def certified(self, csr, out, extensions):
        """What the demo's CA makes of a request, with the CA's own certificate behind it."""
        pki = self.demo.dir / 'pki'
        ext = self.folder / 'ext'
        ext.write_text(extensions)
        run('openssl', 'x509', '-req', '-in', csr, '-CA', pki / 'issuing.pem', '-CAkey', pki / 'issuing.key', '-sha512', '-days', 800,
            '-set_serial', '0x' + os.urandom(8).hex(), '-extfile', ext, '-out', out)
        out.write_text(out.read_text() + (pki / 'issuing.pem').read_text())
        return out

    def give(self, name):
        return activate([BIN / 'tsactl', '--config', self.demo.dir / 'tsad.toml'], self.demo.dir / f'custody/{name}.share',
                        self.passphrase(name))

    def open_by_custodians(self):
        for name in ('demo-1', 'demo-3'):
            status, said = self.give(name)
            self.assertEqual(status, 0, said)
        self.demo.wait_ready()

    def start(self):
        self.demo.start_tsad()
        self.demo.start_taad()
        self.open_by_custodians()

    def stamped(self):
        """A token for a file, and openssl's word for it."""
        demo, file, query, reply = self.demo, *(self.folder / f'judged{kind}' for kind in ('.txt', '.tsq', '.tsr'))
        file.write_bytes(os.urandom(100))
        run('openssl', 'ts', '-query', '-data', file, '-sha512', '-cert', '-out', query)
        status, _, body = demo.post(query.read_bytes())
        self.assertEqual(status, 200)
        reply.write_bytes(body)
        done = run('openssl', 'ts', '-verify', '-queryfile', query, '-in', reply, '-CAfile', demo.root(), '-untrusted', demo.chain())
        self.assertIn('Verification: OK', done.out + done.err)
        return body

    def seen_by_pkcs11_tool(self):
        pin = run(BIN / 'kokuin-share', *(self.demo.dir / f'custody/demo-{i}' for i in (1, 2, 3))).out.split()[-2]
        return run('pkcs11-tool', '--module', WRAPPED, '--token-label', 'kokuin-tsu', '-l', '--pin', pin, '-O',
                   env={'KOKUIN_MODULE': SOFTOKN, 'KOKUIN_MODULE_PARAMETERS': parameters(self.demo.dir, 'kokuin-tsu')}).out

    # In this order: each goes on where the one before has ended.

    def test_1_set_up_and_stamp(self):
        demo = self.demo
        self.tsactl('archive', 'init')
        words = passphrases(demo.dir / 'custody')
        said = self.tsactl('ceremony', 'init', '--threshold', 2, *words, '--dir', demo.dir / 'custody', '--passphrases', demo.dir / 'custody',
                    '--key', 'tsu-1', '--subject', TSU_NAME, '--csr', self.folder / 'tsu.csr')
        self.assertIn("the archive's key 'archive' was NOT made: ", said)
        self.assertIn('this HSM has no Ed25519', said)
        demo.without_archive_key()
        self.certified(self.folder / 'tsu.csr', demo.dir / 'pki/tsu.pem',
                       'extendedKeyUsage=critical,timeStamping\nkeyUsage=critical,digitalSignature\n')

        demo.without_archive_key('taad')
        self.taad('archive', 'init')
        secret_file(demo.dir / 'taa.pin', "the TAA's PIN")
        so_pin = secret_file(demo.dir / 'taa-so.pin', 'nobody will want it')
        self.taad('token', 'init', '--so-pin-file', so_pin)
        done = run(BIN / 'taad', '--config', demo.dir / 'taad.toml', 'token', 'init', '--so-pin-file', so_pin, ok=(2,))
        self.assertIn("there is a token 'kokuin-taa' already", done.err)
        done = run(BIN / 'taad', '--config', demo.dir / 'taad.toml', 'key', 'generate', 'taa', '--type', 'ed25519', ok=(3,))
        self.assertIn('this HSM has no Ed25519', done.err.splitlines()[-1])
        self.taad('key', 'generate', 'taa')
        self.taad('key', 'csr', 'taa', '--subject', TAA_NAME, '-o', self.folder / 'taa.csr')
        self.taad('key', 'import', 'taa', self.certified(self.folder / 'taa.csr', demo.dir / 'pki/taa.pem',
                                                         'keyUsage=critical,digitalSignature\n'))
        self.assertIn('certificate of CN=Kokuin Demo TAA 1', self.taad('key', 'list').out)
        self.taad('tsu', 'admit', 'tsu-1', *REASONS)

        # Without its parameters the module doesn't start, and that is said.
        config = demo.dir / 'bare.toml'
        config.write_text(re.sub(r'(?m)^module_parameters = .*\n', '', (demo.dir / 'tsad.toml').read_text()))
        done = run(BIN / 'tsad', '--config', config, ok=(2,))
        self.assertIn('[hsm] module_parameters', done.err.splitlines()[-1])

        demo.start_tsad()
        demo.start_taad()
        status, said = self.give('demo-1')
        self.assertEqual(status, 0, said)
        self.assertIn('locked', json.dumps(demo.readiness()[1]['reasons']))
        self.assertNotEqual(demo.stamp().status, 0)
        status, said = self.give('demo-2')
        self.assertEqual(status, 0, said)
        demo.wait_ready()
        self.stamped()

        # Several at once, through several sessions of one token.
        saved = Saved(self.folder / 'saved')
        load = self.started(demo.load('--connections', 8, '--save', saved.path, '--save-refusals'))
        until(lambda: demo.tsad.must_live() or sum(1 for _ in saved.records()) > 40, lambda: demo.tsad.tail())
        result = load.result()
        self.assertEqual((result['refused'], result['errors']), ({}, {}))
        compared = demo.compare(saved.path)
        self.assertEqual([compared[fault] for fault in ('missing', 'different', 'repeated')], [0, 0, 0])

    def test_2_closed_and_opened_again(self):
        demo = self.demo
        self.start()
        self.stamped()
        demo.tsactl('deactivate', '--why', 'an exercise', '--by', 'operator 3')
        self.assertEqual(demo.stamp().fail, 'systemFailure')
        self.open_by_custodians()
        self.stamped()
        for end in (lambda: demo.tsad.kill(), lambda: demo.tsad.stop()):
            end()
            # Nobody is logged in: what is public of the token is told all the same.
            listed = {key['label']: key for key in json.loads(self.tsactl('key', 'list', '--json'))}
            self.assertEqual((listed['tsu-1']['bits'], listed['tsu-1']['sensitive']), (2048, None))
            demo.start_tsad()
            self.assertEqual(demo.stamp().fail, 'systemFailure')
            self.open_by_custodians()
            self.stamped()

    def test_3_the_life_of_a_key(self):
        demo = self.demo
        demo.audit_often()
        self.start()
        self.assertIn('this HSM has no Ed25519', self.tsactl('key', 'generate', 'checkpoints', '--type', 'ed25519', *REASONS, ok=3))
        certificate = self.successor('tsu-1-next')
        self.tsactl('key', 'rotate', 'tsu-1-next', *REASONS)
        self.assertEqual(self.states(), {'tsu-1': 'retired', 'tsu-1-next': 'active'})
        der = run('openssl', 'x509', '-in', certificate, '-outform', 'DER').stdout
        self.assertIn(der, self.stamped())
        objects = self.seen_by_pkcs11_tool()
        self.assertEqual(len(re.findall(r'(?m)^Private Key Object', objects)), 2, objects)
        self.assertRegex(objects, r'Certificate Object[^\0]*label: +tsu-1-next\b')
        self.tsactl('key', 'destroy', 'tsu-1', *REASONS)
        for name in ('demo-1', 'demo-2'):
            status, said = self.approve(name)
            self.assertEqual(status, 0, said)
        self.assertIn("the key 'tsu-1' is destroyed", said)
        objects = self.seen_by_pkcs11_tool()
        self.assertEqual(len(re.findall(r'(?m)^Private Key Object', objects)), 1, objects)
        self.assertNotRegex(objects, r'(?m)label: +tsu-1$')
        self.stamped()

    def test_4_no_officer_no_new_pins(self):
        demo = self.demo
        self.start()
        self.tsactl('ceremony', 'reshare', '--threshold', 2, '--keep', 'demo-1', '--keep', 'demo-2', *REASONS)
        status, said = self.approve('demo-1')
        self.assertEqual(status, 0, said)
        status, said = self.approve('demo-3')
        self.assertNotEqual(status, 0, said)
        self.assertIn('no security officer', said)
        self.stamped()
        # Nothing has changed: who could open it can.
        demo.tsad.stop()
        demo.start_tsad()
        self.open_by_custodians()
        self.stamped()


class CaTest(harness.TestCase):
    demo_wanted = False

    def test_ca(self):
        site = self.folder / 'ca'
        (site / 'kokuin-ca').mkdir(parents=True, mode=0o700)
        text, count = re.subn(r'(?m)^module = .*\n#   module_parameters = .*$',
                              lambda _: f'module = "{SOFTOKN}"\nmodule_parameters = "{parameters(site, "kokuin-ca")}"',
                              (TOP / 'conf/tsca.toml').read_text())
        self.assertEqual(count, 1)
        (site / 'tsca.toml').write_text(text)
        words = passphrases(site / 'custody')
        shares = [word for name in OFFICERS[1:] for word in
                  ('--share', f'custody/{name}.share', '--passphrase-file', f'custody/{name}.passphrase')]
        tsca = lambda *words: run(BIN / 'tsca', *words, cwd=site)
        tsca('archive', 'init')
        tsca('ceremony', 'init', '--threshold', 2, *words, '--passphrases', 'custody')
        for made in (('key', 'generate', 'root'), ('key', 'generate', 'issuing'), ('root', 'init'), ('issuing', 'init')):
            tsca(*made, *shares, *REASONS)
        run('openssl', 'req', '-new', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'tsu.key', '-out', 'tsu.csr', '-subj', '/C=JP/O=Example/CN=TSU 1',
            cwd=site)
        tsca('issue', '--profile', 'tsu', '--csr', 'tsu.csr', '-o', 'tsu.pem', *shares, *REASONS)
        tsca('publish', 'publication', *shares, *REASONS)
        done = run('openssl', 'verify', '-x509_strict', '-purpose', 'timestampsign', '-crl_check_all', '-CAfile', 'publication/root.pem', '-untrusted',
                   'publication/issuing.pem', '-CRLfile', 'publication/crl.pem', 'tsu.pem', cwd=site)
        self.assertIn('tsu.pem: OK', done.out)


if __name__ == '__main__':
    harness.main()
