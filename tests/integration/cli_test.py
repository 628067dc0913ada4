"""tsactl and tsaudit as scripts use them: JSON keys, exit codes 0/1/2/3, one line of error."""
import datetime
import http.server
import json
import os
import pathlib
import re
import shlex
import sqlite3
import sys
import threading

import harness
import rfc3161
from harness import BIN, run

HEX = re.compile(r'[0-9a-f]+')
TIME = re.compile(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z')


class CliTest(harness.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.demo.edit('tsad', append='\n[policy.embedding]\noid = "1.3.6.1.4.1.1291.1.1.2.1"\nembed_tac = "signer-attribute"\n')
        cls.demo.start()
        cls.other_ports = harness.free_ports()
        cls.file = cls.folder / 'file.txt'
        cls.file.write_text('content\n')

    def assert_fails(self, done, status):
        self.assertEqual(done.returncode, status, done.out + done.err)
        lines = done.err.strip().splitlines()
        self.assertEqual(len(lines), 1, done.err)
        self.assertRegex(lines[0], r'^(tsad|tsactl|tsaudit|taad): .{10,}')
        return lines[0]

    def find(self, *arguments, ok=(0,)):
        return [json.loads(line) for line in self.demo.tsaudit('find', '--json', *arguments, ok=ok).out.splitlines()]

    def test_status(self):
        status = json.loads(self.demo.tsactl('status', '--json').out)
        self.assertIs(status['ready'], True)
        self.assertEqual(status['reasons'], [])
        tsu = status['tsus'][0]
        self.assertEqual((tsu['name'], tsu['key']), ('tsu-1', 'tsu-1'))
        self.assertRegex(tsu['certificate_not_after'], TIME)
        self.assertRegex(tsu['closes_at'], TIME)
        self.assertIsInstance(tsu['clock_bound_us'], int)
        self.assertLessEqual(tsu['clock_bound_us'], 1_000_000)
        self.assertRegex(tsu['tac']['serial'], HEX)
        self.assertRegex(tsu['tac']['not_after'], TIME)
        self.assertIsInstance(tsu['tac']['offset_us'], int)
        self.assertIsInstance(tsu['tac']['delay_us'], int)
        self.assertIn('ready', self.demo.tsactl('status').out)
        self.assertTrue(run('curl', '-fsS', f'http://127.0.0.1:{self.demo.port}/readyz').out.endswith('}\n'))
        code, readiness = self.demo.readiness()
        self.assertEqual((code, readiness['ready'], readiness['reasons']), (200, True, []))

    def test_health(self):
        for port in (self.demo.port, self.demo.port + 4):
            for path in ('/healthz', '/readyz', '/metrics'):
                done = run('curl', '-fsS', '-i', f'http://127.0.0.1:{port}{path}')
                self.assertIn(' 200 ', done.out.splitlines()[0])
        self.assertRegex(done.out, r'(?m)^# TYPE \w+ counter')

    def test_stamp_verify(self):
        out = self.folder / 'file.tsr'
        self.demo.tsactl('stamp', self.file, '-o', out)
        response = rfc3161.Response(out.read_bytes())
        self.assertEqual(response.status, 0)
        run('openssl', 'ts', '-verify', '-data', self.file, '-in', out, '-CAfile', self.demo.root(), '-untrusted', self.demo.chain())
        done = json.loads(self.demo.tsactl('verify', '--json', self.file, out).out)
        self.assertIs(done['ok'], True)
        token = self.folder / 'file.tst'
        token.write_bytes(response.token)
        self.demo.tsactl('verify', self.file, token)
        # Without a configuration, with trust of one's own.
        run(BIN / 'tsactl', 'verify', self.file, out, '--ca', self.demo.root(), '--certificates', self.demo.chain(), cwd=self.folder)
        # The TAC in the token is judged too.
        self.demo.tsactl('stamp', self.file, '-o', out, '--policy', '1.3.6.1.4.1.1291.1.1.2.1')
        done = json.loads(self.demo.tsactl('verify', '--json', self.file, out).out)
        self.assertIn(('tac', 'passed'), [(c['check'], c['outcome']) for c in done['checks']])
        # No certificates in the token: found in the configuration.
        self.demo.tsactl('stamp', self.file, '-o', out, '--no-certificates', '--hash', 'sha512')
        self.demo.tsactl('verify', self.file, out)
        # HTTPS.
        run(BIN / 'tsactl', 'stamp', self.file, '-o', out, '--url', f'https://localhost:{self.demo.port + 1}/tsa/g', '--ca',
            self.demo.root(), cwd=self.folder)
        self.assertEqual(rfc3161.Response(out.read_bytes()).tst.policy, '1.3.6.1.4.1.1291.1.1.1.2')

    def test_verify_says_no(self):
        out, other = self.folder / 'no.tsr', self.folder / 'other.txt'
        self.demo.tsactl('stamp', self.file, '-o', out)
        other.write_text('other content\n')
        done = self.demo.tsactl('verify', '--json', other, out, ok=(1,))
        self.assertIs(json.loads(done.out)['ok'], False)
        # An octet of what is signed, or of the signature, changed: never good. (The certificates are outside of it.)
        good = bytearray(out.read_bytes())
        tst = rfc3161.Response(good).tst
        begin = good.index(tst.der)
        for at in (*range(begin, begin + len(tst.der), 9), *range(len(good) - 400, len(good), 40)):
            bad = bytearray(good)
            bad[at] ^= 0x01
            (self.folder / 'bad.tsr').write_bytes(bad)
            self.demo.tsactl('verify', self.file, self.folder / 'bad.tsr', ok=(1,))
        # Another root.
        run('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', self.folder / 'x.key', '-out',
            self.folder / 'x.pem', '-subj', '/CN=Another Root', '-days', '30')
        run(BIN / 'tsactl', 'verify', self.file, out, '--ca', self.folder / 'x.pem', ok=(1,), cwd=self.folder)

    def test_text_of_others_is_one_line(self):
        """What a TSA says may hold anything; on the terminal it is one line without control characters."""
        says = b'no\ntsactl: all is well\x1b[2J\xc2\x9b2J'
        tlv = lambda tag, content: bytes([tag, len(content)]) + content
        response = tlv(0x30, tlv(0x30, tlv(0x02, b'\x02') + tlv(0x30, tlv(0x0c, says))))

        class Hostile(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers['Content-Length']))
                self.send_response(200)
                self.send_header('Content-Type', 'application/timestamp-reply')
                self.send_header('Content-Length', str(len(response)))
                self.end_headers()
                self.wfile.write(response)

            def log_message(self, *_):
                pass

        with http.server.HTTPServer(('127.0.0.1', 0), Hostile) as server:
            serving = threading.Thread(target=server.handle_request)
            serving.start()
            done = run(BIN / 'tsactl', 'stamp', self.file, '-o', self.folder / 'x.tsr', '--url',
                       f'http://127.0.0.1:{server.server_port}/', ok=None, cwd=self.folder)
            serving.join()
        line = self.assert_fails(done, 1)
        self.assertIn('no tsactl: all is well [2J 2J', line)

    def test_key_list(self):
        text = self.demo.tsactl('key', 'list').out
        self.assertIn('tsu-1', text)
        self.assertIn('tsu-1', json.dumps(json.loads(self.demo.tsactl('key', 'list', '--json').out)))

    def test_find_and_show(self):
        imprint = os.urandom(48)
        before = datetime.datetime.now(datetime.timezone.utc)
        response = self.demo.stamp('/tsa/g', hash='sha384', imprint=imprint)
        tst, found = response.tst, self.find('--imprint', imprint.hex())
        self.assertEqual(len(found), 1)
        row = found[0]
        self.assertEqual(row['serial'].lstrip('0'), tst.serial.lstrip('0'))
        self.assertRegex(row['gen_time'], TIME)
        shown = datetime.datetime.fromisoformat(row['gen_time'].replace('Z', '+00:00')).timestamp()
        self.assertAlmostEqual(shown, tst.gen_time_ns / 1e9, places=3)
        self.assertEqual(row['policy'], '1.3.6.1.4.1.1291.1.1.1.2')
        self.assertEqual(row['imprint'], imprint.hex())
        self.assertIn(row['imprint_algorithm'], ('sha384', '2.16.840.1.101.3.4.2.2'))
        self.assertIsInstance(row['tsu'], str)
        self.assertRegex(row['tac'], HEX)
        self.assertIsInstance(row['clock_bound_us'], int)
        self.assertRegex(row['segment'], r'^\d{4}-\d\d$')
        self.assertEqual(row['tac'].lstrip('0'),
                         json.loads(self.demo.tsactl('status', '--json').out)['tsus'][0]['tac']['serial'].lstrip('0'))

        token = self.folder / 'shown.der'
        shown = json.loads(self.demo.tsaudit('show', tst.serial, '--json', '--token', token).out)
        self.assertEqual(token.read_bytes(), response.token)
        self.assertEqual({k: shown[k] for k in row}, row)
        # The proof of its clock is kept, and computed again here.
        self.assertEqual(shown['clock_proof'], 'holds')
        evidence = shown['clock_evidence'][-1]
        self.assertEqual((evidence['source'], evidence['applies']), ('tac', True))
        self.assertEqual(evidence['note'], 'TAC ' + row['tac'])
        self.assertLessEqual(abs(evidence['offset_us']), evidence['uncertainty_us'])
        self.assertRegex(self.demo.tsaudit('show', tst.serial).out,
                         r'could not have been more than \S+ ms from UTC: an audit by the TAA \(TAC ')
        for serial in ('00' + tst.serial, tst.serial.upper() if tst.serial.islower() else tst.serial):
            self.demo.tsaudit('show', serial, ok=(0, 2))
        self.assertEqual(self.find('--serial', tst.serial), [row])
        self.assertEqual(self.find('--serial', '0000' + tst.serial), [row])
        self.assertIn(row, self.find('--policy', row['policy']))
        self.assertNotIn(row, self.find('--policy', '1.3.6.1.4.1.1291.1.1.1.1', ok=(0, 1)))
        day = (before - datetime.timedelta(hours=1)).strftime('%Y-%m-%dT%H:%M:%SZ')
        later = (before + datetime.timedelta(hours=1)).strftime('%Y-%m-%dT%H:%M:%SZ')
        self.assertIn(row, self.find('--from', day, '--to', later))
        self.assertEqual(self.find('--from', later, ok=(0, 1)), [])
        self.assertEqual(self.find('--to', day, ok=(0, 1)), [])
        # [from, to): at exactly its own time it is in, ending there it is not.
        self.assertIn(row, self.find('--from', row['gen_time'], '--to', later))
        self.assertNotIn(row, self.find('--from', day, '--to', row['gen_time'], ok=(0, 1)))
        self.assertIn(row, self.find('--from', before.strftime('%Y-%m-%d')))

    def test_tac_show(self):
        out = self.folder / 'with-tac.tsr'
        self.demo.tsactl('stamp', self.file, '-o', out, '--policy', '1.3.6.1.4.1.1291.1.1.2.1')
        token = self.folder / 'with-tac.der'
        token.write_bytes(rfc3161.Response(out.read_bytes()).token)
        shown = json.loads(run(BIN / 'tsaudit', 'tac', 'show', token, '--json').out)
        self.assertEqual(shown['placement'], 'signer-attribute')
        for key in ('serial', 'holder', 'issuer', 'not_before', 'not_after', 'ntp_time', 'expiration', 'offset_us', 'delay_us',
                    'policies', 'max_offset_us', 'max_delay_us'):
            self.assertIn(key, shown)
        for key in ('not_before', 'not_after', 'ntp_time', 'expiration'):
            self.assertRegex(shown[key], TIME)
        self.assertEqual((shown['max_offset_us'], shown['max_delay_us']), (500_000, 100_000))
        status = json.loads(self.demo.tsactl('status', '--json').out)['tsus'][0]['tac']
        self.assertEqual(shown['serial'].lstrip('0'), status['serial'].lstrip('0'))

    def test_the_answer_is_no(self):
        self.assert_fails(self.demo.tsaudit('show', '0badc0de', ok=None), 1)
        self.assertEqual(self.demo.tsaudit('find', '--imprint', '00' * 32, ok=(0, 1)).out, '')

    def test_wrong_usage(self):
        nowhere = self.folder / 'nowhere'
        for command in ([BIN / 'tsactl', 'dance'], [BIN / 'tsactl', 'stamp'], [BIN / 'tsaudit', 'find'],
                        [BIN / 'tsactl', '--config', nowhere, 'status'], [BIN / 'tsad', '--config', nowhere],
                        [BIN / 'taad', '--config', nowhere], [BIN / 'tsaudit', '--archive', nowhere, 'find'],
                        [BIN / 'tsad', '--nonsense'], [BIN / 'tsactl', 'verify', self.file, nowhere, '--ca', nowhere]):
            with self.subTest(command=command):
                done = run(*command, ok=(2, 3), cwd=self.folder)
                self.assert_fails(done, done.returncode)
        for bad in (['--serial', 'xyz'], ['--from', 'yesterday'], ['--imprint', '0'], ['--policy', 'a2']):
            with self.subTest(bad=bad):
                self.assert_fails(self.demo.tsaudit('find', *bad, ok=None), 2)
        for program in ('tsad', 'tsactl', 'tsaudit', 'taad'):
            self.assertIn('--help', run(BIN / program, '--help').out)

    def test_unknown_verbs_are_named(self):
        """The word, and what is allowed in its place; a word that is missing is told apart from one that is wrong."""
        for program, words, say in (('tsactl', ['nonsense'], ("tsactl: there is no verb 'nonsense'", 'status', 'stamp')),
                                    ('tsactl', ['key', 'foo'], ("tsactl key: there is no verb 'foo'", 'generate', 'import')),
                                    ('tsactl', ['key'], ('tsactl key: a verb is missing', 'generate')),
                                    ('tsactl', [], ('tsactl: a verb is missing', 'status')),
                                    ('tsactl', ['--jsn'], ('there is no option --jsn',)),
                                    ('tsaudit', ['--archive', 'a', 'nonsense'], ("tsaudit: there is no verb 'nonsense'", 'find')),
                                    ('tsaudit', ['tac', 'foo'], ("tsaudit tac: there is no verb 'foo'", 'show')),
                                    ('taad', ['audit', 'list'], ("taad audit: there is no verb 'list'", 'now')),
                                    ('taad', ['nonsense'], ("taad: there is no verb 'nonsense'", 'archive', 'audit'))):
            with self.subTest(program=program, words=words):
                line = self.assert_fails(run(BIN / program, *words, ok=None), 2)
                for word in say:
                    self.assertIn(word, line)

    def test_json_everywhere(self):
        """Before or after the verb; and a verb that only makes something says what it made."""
        demo, place = self.demo, self.folder / 'made'
        place.mkdir()
        tsactl = lambda *a: json.loads(demo.tsactl(*a).out)
        self.assertEqual(tsactl('--json', 'key', 'list'), tsactl('key', 'list', '--json'))
        self.assertEqual(tsactl('--json', 'status')['ready'], True)
        taad = lambda *a: json.loads(run(BIN / 'taad', '--config', demo.dir / 'taad.toml', *a).out)
        self.assertEqual(taad('--json', 'key', 'list'), taad('key', 'list', '--json'))
        self.assertEqual(sorted(key['label'] for key in taad('key', '--json', 'list')), ['archive', 'taa'])
        early = run(BIN / 'tsaudit', '--json', '--archive', demo.dir / 'archive', 'events', '--kind', 'server.started').out
        self.assertEqual(json.loads(early.splitlines()[0])['kind'], 'server.started')
        self.assertEqual(early, demo.tsaudit('events', '--kind', 'server.started', '--json').out)

        reasons = ('--why', 'a test', '--by', 'operator 1')
        made = tsactl('--json', 'key', 'generate', 'spare', *reasons)
        self.assertEqual((made['made'], made['label'], made['type'], made['bits']), ('key', 'spare', 'RSA', 2048))
        self.assertRegex(made['id'], HEX)
        made = taad('key', 'csr', 'taa', '--subject', 'CN=TAA', '--json', '-o', place / 'taa.csr')
        self.assertEqual(made, {'made': 'request', 'key': 'taa', 'file': str(place / 'taa.csr')})
        self.assertEqual([e['fields']['key'] for e in demo.taa_events('key.requested')], ['taa', 'taa'])  # the ceremony's, and this
        made = tsactl('key', 'csr', 'spare', '--subject', 'CN=Spare', '--json', *reasons)
        self.assertIn('BEGIN CERTIFICATE REQUEST', made['pem'])
        for pin in ('user', 'officer'):
            (place / f'{pin}.pin').touch(0o600)
            (place / f'{pin}.pin').write_text('1234567890')
        for name, program in (('tsad', 'tsactl'), ('taad', 'taad')):
            path = demo.dir / f'spare-{name}.toml'
            text = (demo.dir / f'{name}.toml').read_text()
            text = re.sub(r'(?m)^(\[archive\]\s+dir = )"[^"]*"', rf'\1"{place}/{name}"', text)
            text = re.sub(r'(?m)^unattended = .*$', f'pin_file = "{place}/user.pin"', text)
            path.write_text(re.sub(r'(?m)^token = "[^"]*"', f'token = "spare {name}"', text))
            done = run(BIN / program, '--config', path, 'archive', 'init', '--json')
            self.assertEqual(json.loads(done.out), {'made': 'archive', 'dir': f'{place}/{name}'})
            done = run(BIN / program, '--config', path, '--json', 'token', 'init', '--so-pin-file', place / 'officer.pin')
            self.assertEqual(json.loads(done.out), {'made': 'token', 'token': f'spare {name}'})
            path.write_text(path.read_text().replace(f'"spare {name}"', f'"other {name}"'))
            done = run(BIN / program, '--config', path, 'token', 'init', '--so-pin-file', place / 'officer.pin')
            self.assertEqual(done.out, f'made the token other {name}\n')
            path.unlink()

    def test_ed25519_key(self):
        """Of the other kind, made in the token itself while no tsad runs; openssl judges its request."""
        demo, place = self.demo, self.folder / 'ed25519'
        place.mkdir()
        for pin in ('user', 'officer'):
            (place / f'{pin}.pin').touch(0o600)
            (place / f'{pin}.pin').write_text('1234567890')
        text = (demo.dir / 'tsad.toml').read_text().replace('run/tsad.sock', 'run/nobody.sock')
        text = re.sub(r'(?m)^unattended = .*$', f'pin_file = "{place}/user.pin"', text)
        path = demo.dir / 'ed25519.toml'
        path.write_text(re.sub(r'(?m)^token = "[^"]*"', 'token = "ed25519"', text))
        tsactl = lambda *words, ok=0: run(BIN / 'tsactl', '--config', path, *words, ok=(ok,))
        reasons = ('--why', 'a test', '--by', 'operator 1')
        try:
            tsactl('token', 'init', '--so-pin-file', place / 'officer.pin')
            made = json.loads(tsactl('key', 'generate', 'checkpoints', '--type', 'ed25519', '--json', *reasons).out)
            self.assertEqual([made[key] for key in ('made', 'label', 'type', 'bits')], ['key', 'checkpoints', 'Ed25519', 255])
            self.assertRegex(tsactl('key', 'generate', 'second', '--type', 'ed25519', *reasons).out,
                             r"^made the key 'second', Ed25519 255 bits, id [0-9a-f]{32}\n$")
            self.assertIn('bits are for RSA', tsactl('key', 'generate', 'x', '--type', 'ed25519', '--bits', '2048', *reasons, ok=2).err)
            line = self.assert_fails(tsactl('key', 'generate', 'x', '--type', 'dsa', *reasons, ok=2), 2)
            self.assertIn('ed25519', line)
            keys = json.loads(tsactl('key', 'list', '--json').out)
            self.assertEqual([(key['label'], key['type'], key['bits'], key['sensitive'], key['extractable']) for key in keys],
                             [('checkpoints', 'Ed25519', 255, True, False), ('second', 'Ed25519', 255, True, False)])
            self.assertIn('checkpoints: Ed25519 255 bits', tsactl('key', 'list').out)
            tsactl('key', 'csr', 'checkpoints', '--subject', 'CN=Checkpoints', '-o', place / 'csr', *reasons)
            done = run('openssl', 'req', '-in', place / 'csr', '-noout', '-verify', '-text')
            self.assertIn('verify OK', done.out + done.err)
            self.assertIn('ED25519', done.out)
            self.assertNotIn('Extended Key Usage', done.out)
            # What is public of it is told without a PIN too.
            path.write_text(re.sub(r'(?m)^pin_file = .*$', '', path.read_text()))
            keys = json.loads(tsactl('key', 'list', '--json').out)
            self.assertEqual([(key['label'], key['type'], key['bits'], key['sensitive']) for key in keys],
                             [('checkpoints', 'Ed25519', 255, None), ('second', 'Ed25519', 255, None)])
            # No TSU signs with it.
            path.write_text(path.read_text().replace('key = "tsu-1"', 'key = "checkpoints"').replace('dir = "archive"', f'dir = "{place}/a"')
                            .replace('token = "ed25519"', f'token = "ed25519"\npin_file = "{place}/user.pin"'))
            tsactl('archive', 'init')
            line = self.assert_fails(run(BIN / 'tsad', '--config', path, ok=None), 2)
            self.assertIn("the key 'checkpoints' is an Ed25519 key, and an RSA key is needed", line)
        finally:
            path.unlink()

    def test_bad_configuration(self):
        good = (self.demo.dir / 'tsad.toml').read_text()
        for change, words in ((lambda t: t + '\n[nonsense]\nx = 1\n', ('nonsense',)),
                              (lambda t: t.replace('listen =', 'lisen =', 1), ('lisen', 'listen')),
                              (lambda t: t.replace('default = true', 'default = "yes"'), ('default',)),
                              (lambda t: t.replace('key = "tsu-1"', 'key = 7'), ('key',)),
                              (lambda t: t + '\n[http', ()),
                              (lambda t: t.replace('embed_tac = "signer-attribute"', 'embed_tac = "everywhere"'),
                               ('embed_tac', 'certificates-v1'))):
            path = self.demo.dir / 'bad.toml'
            path.write_text(change(good))
            done = run(BIN / 'tsad', '--config', path, ok=(2,))
            self.assertRegex(done.err, r'bad\.toml:\d+')
            for word in words:
                self.assertIn(word, done.err)
            path.unlink()

    def test_files_that_a_configuration_names(self):
        """One that isn't there is a mistake in the configuration (2), one that can't be read is not (3)."""
        demo = self.demo
        good = (demo.dir / 'tsad.toml').read_text()
        path, loop = demo.dir / 'other.toml', demo.dir / 'pki/loop.pem'
        loop.symlink_to('loop.pem')  # nobody can read it, not even root
        ours = good.replace('socket = "run/tsad.sock"', 'socket = "run/other.sock"').replace('dir = "archive"', 'dir = "other"')
        for port in range(5):
            ours = ours.replace(f':{demo.port + port}"', f':{self.other_ports + port}"')
        try:
            # A token of its own, locked: nothing is said before what is wrong.
            ours = re.sub(r'(?m)^unattended = .*$', '', ours)
            ours = re.sub(r'(?m)^token = "[^"]*"', 'token = "other files"', ours)
            path.write_text(ours)
            run(BIN / 'tsactl', '--config', path, 'archive', 'init')
            run(BIN / 'tsactl', '--config', path, 'ceremony', 'init', '--threshold', '2', '--custodian', 'demo-1', '--custodian',
                'demo-2', '--dir', demo.dir / 'other-custody', '--passphrases', demo.dir / 'custody', '--key', 'unused', '--subject',
                'CN=Unused', '--csr', self.folder / 'unused.csr')
            for key in ('tsu.pem', 'chain.pem', 'root.pem', 'taa.pem', 'tls.pem', 'tls.key', 'audit-tsu.pem', 'audit-tsu.key'):
                for other, status in (('pki/none.pem', 2), ('pki/tsu.pem/none.pem', 2), ('pki/loop.pem', 3)):
                    with self.subTest(key=key, other=other):
                        path.write_text(ours.replace(f'"pki/{key}"', f'"{other}"'))
                        self.assertIn(other, self.assert_fails(run(BIN / 'tsad', '--config', path, ok=None), status))
            path.write_text(ours.replace('ca = "pki/chain.pem"', 'ca = "pki/none.pem"'))
            self.assertIn('none.pem', self.assert_fails(run(BIN / 'tsad', '--config', path, ok=None), 2))
            path.write_text(ours.replace('dir = "other"', 'dir = "tsad.toml"'))
            self.assertIn('no folder', self.assert_fails(run(BIN / 'tsad', '--config', path, ok=None), 2))
            taa = (demo.dir / 'taad.toml').read_text().replace(f':{demo.port + 3}"', f':{self.other_ports + 3}"')
            for key in ('taa.pem', 'audit-taa.pem', 'audit-taa.key', 'tsu.pem', 'chain.pem'):
                with self.subTest(taad=key):
                    self.assertIn(f'"pki/{key}"', taa)
                    path.write_text(taa.replace(f'"pki/{key}"', '"pki/none.pem"').replace('dir = "taa-archive"', 'dir = "other"'))
                    self.assertIn('none.pem', self.assert_fails(run(BIN / 'taad', '--config', path, ok=None), 2))
        finally:
            path.unlink()
            loop.unlink()
        for not_there in (demo.dir / 'tsad.toml', demo.dir / 'nowhere'):
            self.assert_fails(run(BIN / 'tsaudit', '--archive', not_there, 'find', ok=None), 2)

    def test_a_service_of_ones_own(self):
        """The README's steps in a fresh folder, from the sample configurations, lead to a server that runs."""
        demo = self.demo
        text = (harness.TOP / 'README.md').read_text()
        steps = re.search(r'^```text\n(mkdir pki\n.*?)^```', text, re.M | re.S)[1]
        before, after = steps.split('# now the files under pki/\ntsad &\n')
        ports = harness.free_ports()
        for name, program, tool, key in (('tsad', 'tsad', 'tsactl', 'tsu-1'), ('taad', 'taad', 'taad', 'taa')):
            with self.subTest(program=program):
                own = self.folder / f'own-{name}'
                (own / 'tokens').mkdir(parents=True)
                (own / 'softhsm2.conf').write_text(f'directories.tokendir = {own}/tokens\nobjectstore.backend = file\n')
                sample = (harness.TOP / 'conf' / f'{name}.toml').read_text()
                for port in range(5):
                    sample = sample.replace(f':{3161 + port}"', f':{ports + port}"')
                (own / f'{name}.toml').write_text(sample)
                env = {'SOFTHSM2_CONF': str(own / 'softhsm2.conf'), 'PATH': f'{BIN}:{os.environ["PATH"]}'}

                at_hand = dict(env=env, cwd=own)
                ask = lambda who: f'passphrase of {who}'

                def shell(lines):
                    """The commands, one by one; a person types what the ceremony asks for."""
                    if name == 'taad':
                        lines = re.sub(r'\btsu-1\b', 'taa', lines.replace('tsactl', 'taad'))
                        lines = re.sub(r'\btsu(?=\.|-so)', 'taa', lines)
                    for line in lines.replace('\\\n', ' ').splitlines():
                        words = shlex.split(line)
                        if 'ceremony' in words:
                            who = [words[i + 1] for i, word in enumerate(words) if word == '--custodian']
                            rest = words[words.index('--custodian') + 2 * len(who):]
                            self.assertEqual(words[1:5], ['ceremony', 'init', '--threshold', '2'])
                            harness.hold_ceremony([BIN / tool], who, ask, *rest, **at_hand)
                        elif 'activate' in words:
                            self.assertEqual(words[:3], [tool, 'activate', '--share'])
                            status, said = harness.activate([BIN / tool], words[3], ask(pathlib.Path(words[3]).stem), **at_hand)
                            self.assertEqual(status, 0, said)
                        else:
                            run('bash', '-euo', 'pipefail', '-c', line, **at_hand)

                shell(before)
                pki = demo.dir / 'pki'
                for file in pki.iterdir():
                    if not (own / 'pki' / file.name).exists():
                        (own / 'pki' / file.name).write_bytes(file.read_bytes())
                (own / 'ext').write_text('extendedKeyUsage=critical,timeStamping\nkeyUsage=critical,digitalSignature\n'
                                         if key == 'tsu-1' else 'keyUsage=critical,digitalSignature\n')
                certificate = own / f'pki/{"tsu" if key == "tsu-1" else "taa"}.pem'
                run('openssl', 'x509', '-req', '-in', own / f'{"tsu" if key == "tsu-1" else "taa"}.csr', '-CA', pki / 'issuing.pem',
                    '-CAkey', pki / 'issuing.key', '-sha512', '-days', '30', '-set_serial', '0x4711', '-extfile', own / 'ext',
                    '-out', certificate)
                if key == 'taa':
                    with open(certificate, 'ab') as out:
                        out.write((pki / 'issuing.pem').read_bytes())
                # Each from the folder it was set up in.
                server = self.started(harness.Program('env', '-C', own, BIN / program, log=own / 'log', env=env,
                                                      ready=lambda: demo.listens(ports + (0 if name == 'tsad' else 3))))
                shell(after)
                if name == 'tsad':
                    self.assertEqual((own / 'run').stat().st_mode & 0o777, 0o700)
                    status = json.loads(run(BIN / 'tsactl', 'status', '--json', cwd=own, env=env, ok=(0, 1)).out)
                    self.assertIs(status['ready'], False)  # nobody has audited it
                    self.assertIs(status['hsm']['available'], True)
                    self.assertEqual(status['tsus'][0]['key'], 'tsu-1')
                # Now it has its certificate beside it (KEY-3).
                keys = {key['label']: key for key in json.loads(run(BIN / tool, 'key', 'list', '--json', cwd=own, env=env).out)}
                self.assertEqual(len(keys.pop('tsu-1' if name == 'tsad' else 'taa')['certificates']), 1)
                # And its archive has a key of its own, which needs none.
                self.assertEqual([(key['type'], key['certificates']) for key in keys.values()], [('Ed25519', [])])
                self.assertEqual(server.stop(), 0)

    def test_environment(self):
        """What isn't there: exit 3, one line that says what to do; never a new archive or key by itself."""
        demo = self.demo
        # A second server on the same archive and ports.
        line = self.assert_fails(run(BIN / 'tsad', '--config', demo.dir / 'tsad.toml', ok=None), 3)
        self.assertRegex(line, str(demo.tsad.pid))
        good = (demo.dir / 'tsad.toml').read_text()
        path = demo.dir / 'other.toml'
        try:
            path.write_text(good.replace('dir = "archive"', 'dir = "missing"'))
            done = run(BIN / 'tsad', '--config', path, ok=(2, 3))
            self.assertIn('archive init', done.err)
            self.assertFalse((demo.dir / 'missing').exists())
            path.write_text(good.replace('run/tsad.sock', 'run/nobody.sock'))
            done = run(BIN / 'tsactl', '--config', path, 'status', ok=None)
            line = self.assert_fails(done, 3)
            self.assertIn('nobody.sock', line)
            self.assertEqual(line.count('running?'), 1)
            # Each hint once.
            (self.folder / 'any.pin').touch(0o600)
            (self.folder / 'any.pin').write_text('1234567890')
            own = re.sub(r'(?m)^unattended = .*$', f'pin_file = "{self.folder}/any.pin"', good)
            own = re.sub(r'(?m)^token = "[^"]*"', 'token = "no keys"', own)
            path.write_text(own.replace('key = "tsu-1"', 'key = "nokey"').replace('dir = "archive"', f'dir = "{self.folder}/a"'))
            run(BIN / 'tsactl', '--config', path, 'archive', 'init')
            run(BIN / 'tsactl', '--config', path, 'token', 'init', '--so-pin-file', self.folder / 'any.pin')
            line = self.assert_fails(run(BIN / 'tsad', '--config', path, ok=None), 2)
            self.assertEqual(line.count('key generate'), 1)
            # [taa] that believes nobody, and two listeners at one place.
            path.write_text(good.replace('anchors = "pki/root.pem"', 'anchors = "pki/taa.pem"'))
            self.assertIn('holds no root', self.assert_fails(run(BIN / 'tsad', '--config', path, ok=None), 2))
            path.write_text(good.replace(f'127.0.0.1:{demo.port + 1}', f'127.0.0.1:{demo.port}'))
            line = self.assert_fails(run(BIN / 'tsad', '--config', path, ok=None), 2)
            self.assertRegex(line, r'other\.toml:\d+: \[https\] listen: \[http\]')
        finally:
            path.unlink()

    def test_monthly_report(self):
        """Of the running month, while taad runs: files, JSON, a page in either language; of a month that is over; errors."""
        demo, events = self.demo, []
        for kind in ('audit', 'audit.verdict'):
            out = run(BIN / 'tsaudit', '--archive', demo.dir / 'taa-archive', 'events', '--kind', kind, '--json').out
            events.append(json.loads(out.splitlines()[0]))
        audit, month = events[0], events[0]['at'][:7]
        self.assertEqual(audit['fields']['tsa'], 'TSA')

        def report(*words, ok=(0,), **more):
            return run(BIN / 'taad', '--config', demo.dir / 'taad.toml', 'report', *words, ok=ok, **more)

        done = report('--month', month)
        names = [f'{month}-TSA.interim.{ending}' for ending in ('en.html', 'ja.html', 'json')]
        self.assertEqual(done.out.splitlines(), [str(demo.dir / 'reports' / name) for name in names])
        self.assertIn('interim and not kept', done.err)
        page = self.folder / 'report.html'
        done = report('--month', month, '--json', '--tsa', 'TSA', '--html', page, '--lang', 'ja')
        told = json.loads(done.out)
        self.assertEqual((told['month'], told['tsa'], told['interim'], told['time_faults']), (month, 'TSA', True, 0))
        tsu = told['tsus'][0]
        self.assertEqual(tsu['name'], 'tsu-1')
        self.assertIn('CN=', tsu['certificates'][0]['subject'])
        first = tsu['audits'][0]
        self.assertEqual((first['record'], first['outcome'], first['verdict']), (audit['number'], 'good', 'accepted'))
        self.assertEqual(first['tac'], audit['fields']['tac_serial'])
        self.assertEqual(first['offset_us'], int(audit['fields']['offset_ns'] / 1000))
        offsets = [one['offset_us'] for one in tsu['audits']]
        self.assertEqual((tsu['offset_us']['min'], tsu['offset_us']['max']), (min(offsets), max(offsets)))
        check = harness.TOP / 'tests/taa/page_check.py'
        self.assertIn('時刻監査規格', run(sys.executable, '-B', check, page, 'ja').out)
        self.assertIn('Audit limits', run(sys.executable, '-B', check, demo.dir / 'reports' / names[0], 'en').out)

        # The month is over, but taad writes the archive.
        later = {'LD_PRELOAD': harness.FAKETIME, 'FAKETIME': '+40d', 'DONT_FAKE_MONOTONIC': '1', 'FAKETIME_NO_CACHE': '1'}
        done = report('--month', month, '--json', env=later)
        self.assertIs(json.loads(done.out)['interim'], False)
        self.assertEqual(len(done.err.splitlines()), 1, done.err)
        self.assertIn('is not kept in the archive now', done.err)
        self.assertIn(str(demo.taad.pid), done.err)
        self.assertTrue((demo.dir / 'reports' / f'{month}-TSA.json').exists())

        for words, status, part in ((['--month', 'May'], 2, 'YYYY-MM'), ([], 2, '--month'), (['--month', '2020-01'], 1, '2020-01'),
                                    (['--month', '2099-01'], 1, "hasn't begun"), (['--month', month, '--tsa', 'X'], 2, 'allowed: TSA'),
                                    (['--month', month, '--lang', 'ja'], 2, '--html'),
                                    (['--month', month, '--html', page, '--lang', 'fr'], 2, '--lang'),
                                    (['--month', month, '--html', self.folder / 'none/x.html'], 3, 'none/x.html')):
            with self.subTest(words=words):
                done = report(*words, ok=None)
                self.assertEqual(done.returncode, status, done.err)
                self.assertIn(part, self.assert_fails(done, status))

    def test_zz_tac_survives_and_keys_without_server(self):
        """Last: stops the servers."""
        demo = self.demo
        before = json.loads(demo.tsactl('status', '--json').out)['tsus'][0]['tac']
        demo.taad.stop()
        self.assertEqual(demo.tsad.stop(), 0)
        self.assertIn('tsu-1', demo.tsactl('key', 'list').out)
        self.assert_fails(demo.tsactl('status', ok=None), 3)
        self.find()  # auditors need no server
        copy = self.folder / 'copy'
        run('cp', '-a', demo.dir / 'archive', copy)
        run('chmod', '-R', 'a-w', copy)
        self.assertEqual(run(BIN / 'tsaudit', '--archive', copy, 'find', '--json').out, demo.tsaudit('find', '--json').out)
        for segment in copy.glob('*.sqlite'):
            with sqlite3.connect(f'file:{segment}?mode=ro&immutable=1', uri=True) as db:
                self.assertEqual(db.execute('PRAGMA integrity_check').fetchone(), ('ok',))
        run('chmod', '-R', 'u+w', copy)
        # Its middle is damaged: neither reads past it.
        segment = max(copy.glob('*.sqlite'))
        with open(segment, 'r+b') as file:
            file.seek(4096)
            file.write(os.urandom(segment.stat().st_size - 2 * 4096))
        path = demo.dir / 'damaged.toml'
        path.write_text((demo.dir / 'tsad.toml').read_text().replace('dir = "archive"', f'dir = "{copy}"'))
        for done in (run(BIN / 'tsaudit', '--archive', copy, 'find', ok=None),
                     run(BIN / 'tsad', '--config', path, ok=None)):
            line = self.assert_fails(done, 3)
            self.assertIn(str(segment), line)
            self.assertIn('restore a copy', line)
        path.unlink()
        demo.start_tsad()
        demo.wait_ready()
        self.assertEqual(json.loads(demo.tsactl('status', '--json').out)['tsus'][0]['tac'], before)
        # The server is killed: a stale socket is no obstacle.
        demo.tsad.kill()
        self.assert_fails(demo.tsactl('status', ok=None), 3)
        demo.start_tsad()
        demo.wait_ready()


if __name__ == '__main__':
    harness.main()
