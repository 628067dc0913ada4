"""tsca: the page docs/ca.md, command by command, with custodians at a terminal; then openssl, a plain web server and
pkcs11-tool judge what came out, and what must be refused is refused."""
import base64
import contextlib
import hashlib
import http.server
import json
import os
import re
import shlex
import shutil
import signal
import sqlite3
import threading
import urllib.parse
import urllib.request

import harness
from harness import BIN, TOP, Terminal, run

SOFTHSM = '/usr/lib/softhsm/libsofthsm2.so'
WHY = ['--why', 'test', '--by', 'op-1']


def element(octets):
    """(tag, content, rest) of the first DER element."""
    tag, length, at = octets[0], octets[1], 2
    if length & 0x80:
        at = 2 + (length & 0x7f)
        length = int.from_bytes(octets[2:at], 'big')
    return tag, octets[at:at + length], octets[at + length:]


def file_of_request(octets):
    """Where a publication has the response for this OCSP request: docs/ca.md in other words."""
    cert_id = octets
    for _ in range(5):  # OCSPRequest, TBSRequest, requestList, Request, CertID
        cert_id = element(cert_id)[1]
    _, algorithm, rest = element(cert_id)
    hashes = {bytes.fromhex('2b0e03021a'): 'sha1', bytes.fromhex('608648016503040201'): 'sha256'}
    name = hashes[element(algorithm)[1]]
    _, _, rest = element(rest)  # issuerNameHash
    _, key, rest = element(rest)
    _, serial, _ = element(rest)
    return f'{name}-{key.hex()}-{serial.lstrip(bytes(1)).hex()}.der'


def read_in(folder, name):
    """A file of an open folder."""
    with open(os.open(name, os.O_RDONLY, dir_fd=folder), 'rb') as file:
        return file.read()


class Repository(http.server.ThreadingHTTPServer):
    """A plain web server over a folder; POST .../ocsp looks the response up by the CertID."""

    def __init__(self, folder):
        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments):
                super().__init__(*arguments, directory=str(folder))

            def do_POST(self):
                asked = self.rfile.read(int(self.headers['Content-Length']))
                answer = (folder / 'repository/ocsp' / file_of_request(asked)).read_bytes()
                self.send_response(200)
                self.send_header('Content-Type', 'application/ocsp-response')
                self.send_header('Content-Length', str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        super().__init__(('127.0.0.1', 0), Handler)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def end(self):
        self.shutdown()
        self.server_close()


class CaTest(harness.TestCase):
    demo_wanted = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.dir = cls.folder / 'ca'
        (cls.dir / 'tokens').mkdir(parents=True)
        (cls.dir / 'softhsm2.conf').write_text(
            f'directories.tokendir = {cls.dir}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n')
        sample = (TOP / 'conf/tsca.toml').read_text()
        (cls.dir / 'tsca.toml').write_text(
            sample.replace('# environment = ["SOFTHSM2_CONF=/etc/softhsm2.conf"]',
                           f'environment = ["SOFTHSM2_CONF={cls.dir}/softhsm2.conf"]'))
        cls.env = {'SOFTHSM2_CONF': f'{cls.dir}/softhsm2.conf', 'PATH': f'{BIN}:{os.environ["PATH"]}'}
        cls.request('tsu', '/C=JP/O=Example/CN=TSU 1')
        cls.request('tsu-2027', '/C=JP/O=Example/CN=TSU 1')
        cls.follow_the_page()

    # -- the page

    @staticmethod
    def ask(name):
        return f'passphrase of {name}'

    @classmethod
    def sh(cls, line, **how):
        return run('bash', '-euo', 'pipefail', '-c', line, cwd=cls.dir, env=cls.env, **how)

    @classmethod
    def typed(cls, words):
        """A command whose custodians type their passphrases: (exit status, what it said)."""
        terminal = Terminal(*words, cwd=cls.dir, env=cls.env)
        said = ''
        for share in (words[i + 1] for i, word in enumerate(words) if word == '--share'):
            name = re.sub(r'.*/|\.share$', '', share)
            said += terminal.expect(f'Passphrase of the custodian {name}:')
            assert not terminal.echoes()
            terminal.type(cls.ask(name))
        status, rest = terminal.end()
        return status, said + rest

    @classmethod
    def follow_the_page(cls):
        """Every command of docs/ca.md, in its order, as it stands there."""
        page = (TOP / 'docs/ca.md').read_text()
        cls.said = {}
        cls.server = None
        for line in filter(None, ''.join(re.findall(r'^```text\n(.*?)^```', page, re.M | re.S)).splitlines()):
            if 'SERIAL' in line:
                line = line.replace('SERIAL', cls.entries('tsu')[0]['serial'])
            if 'http://tsa.example' in line:
                if not cls.server:
                    cls.server = Repository(cls.dir)
                    cls.addClassCleanup(cls.server.end)
                line = line.replace('http://tsa.example', f'http://127.0.0.1:{cls.server.port}')
            words = shlex.split(line)
            if words[:3] == ['tsca', 'ceremony', 'init']:
                custodians = [words[i + 1] for i, word in enumerate(words) if word == '--custodian']
                cls.said[line] = harness.hold_ceremony(['tsca'], custodians, cls.ask, cwd=cls.dir, env=cls.env)
            elif '--share' in words:
                status, cls.said[line] = cls.typed(words)
                assert status == 0, f'{line}\n{cls.said[line]}'
            else:
                done = cls.sh(line)
                cls.said[line] = done.out + done.err
        assert len(cls.said) == 20, len(cls.said)
        # From here on passphrases come from files.
        for name in ('officer-1', 'officer-2', 'officer-3'):
            file = cls.dir / f'custody/{name}.passphrase'
            file.write_text(cls.ask(name))
            file.chmod(0o600)

    # -- tools

    @classmethod
    def tsca(cls, *arguments, ok=(0,), **how):
        return run(BIN / 'tsca', *arguments, ok=ok, cwd=cls.dir, env={**cls.env, **how.pop('env', {})}, **how)

    @classmethod
    def shares(cls, *names):
        names = names or ('officer-1', 'officer-2')
        return [word for name in names for word in
                ('--share', f'custody/{name}.share', '--passphrase-file', f'custody/{name}.passphrase')]

    @classmethod
    def entries(cls, profile=None):
        lines = cls.tsca('list', '--json').out.splitlines()
        return [one for one in map(json.loads, lines) if profile in (None, one['profile'])]

    @classmethod
    def request(cls, name, subject, *more):
        run('openssl', 'req', '-new', '-newkey', 'rsa:2048', '-nodes', '-keyout', cls.dir / f'{name}.key', '-out',
            cls.dir / f'{name}.csr', '-subj', subject, *more)
        run('openssl', 'req', '-verify', '-noout', '-in', cls.dir / f'{name}.csr')

    def issue(self, name, profile, *more, ok=(0,)):
        return self.tsca('issue', '--profile', profile, '--csr', f'{name}.csr', '-o', f'{name}.pem', *more, *WHY,
                         *self.shares(), ok=ok)

    def publish(self, *more, ok=(0,), **how):
        return self.tsca('publish', 'publication', *WHY, *self.shares(), *more, ok=ok, **how)

    def refused(self, done, status, *parts):
        """One line that says why."""
        self.assertEqual(done.returncode, status, done.err)
        line = [line for line in done.err.splitlines() if not line.startswith('WARNING')]
        self.assertEqual(len(line), 1, done.err)
        for part in parts:
            self.assertIn(part, line[0])

    def events(self, kind=None):
        lines = run(BIN / 'tsaudit', '--archive', self.dir / 'ca-archive', 'events', '--json',
                    *(['--kind', kind] if kind else [])).out.splitlines()
        return [json.loads(line) for line in lines]

    def openssl(self, *arguments, ok=(0,)):
        return run('openssl', *arguments, cwd=self.dir, ok=ok)

    def crl_check(self, certificate, ok=(0,)):
        return self.openssl('verify', '-crl_check_all', '-x509_strict', '-CAfile', 'publication/root.pem', '-untrusted',
                            'publication/issuing.pem', '-CRLfile', 'publication/crl.pem', certificate, ok=ok)

    # -- what the page has made

    def test_a_the_page_has_made(self):
        said = {line.split(' --')[0]: text for line, text in self.said.items()}
        self.assertIn('its PINs are with 2 of 3 custodians', said['tsca ceremony init'])
        # Each custodian saw what for.
        agreed = next(text for line, text in self.said.items() if line.startswith('tsca issue --profile tsu --csr'))
        self.assertRegex(agreed, r"custodian officer-2: you agree that tsca opens the token 'kokuin-ca' for: the certificate "
                                 r"'tsu' for CN=TSU 1,O=Example,C=JP .* until 2036-")
        ocsp = next(text for line, text in self.said.items() if line.startswith('openssl ocsp'))
        self.assertIn('Response verify OK', ocsp)
        self.assertIn('tsu-2027.pem: good', ocsp)
        first, second = self.entries('tsu')
        self.assertEqual((first['state'], first['reason']), ('revoked', 'superseded'))
        self.assertEqual((second['state'], second['successor_of']), ('good', first['serial']))
        # RFC 3161 2.3.
        text = self.openssl('x509', '-in', 'tsu.pem', '-noout', '-text').out
        self.assertIn('X509v3 Extended Key Usage: critical\n                Time Stamping\n', text)
        self.assertIn('Policy: 2.999.1', text)
        text = self.openssl('x509', '-in', 'publication/issuing.pem', '-noout', '-text').out
        self.assertIn('CA:TRUE, pathlen:0', text)

    def test_b_keys_stay_in_the_token(self):
        """CA-3: sensitive, never extractable; and no share, passphrase or PIN has been written anywhere."""
        secrets = run(BIN / 'kokuin-share', *(self.dir / f'custody/officer-{i}' for i in (1, 2, 3))).out.split()
        pin = secrets[6]
        objects = run('pkcs11-tool', '--module', SOFTHSM, '--token-label', 'kokuin-ca', '--login', '--pin', pin, '-O',
                      '--type', 'privkey', env=self.env).out
        self.assertEqual(objects.count('Private Key Object; RSA'), 2)
        self.assertEqual(objects.count('Access:     sensitive, always sensitive, never extractable, local'), 2)
        for file in self.dir.rglob('*'):
            if file.is_file() and 'custody' not in file.parts:
                content = file.read_bytes()
                for secret in (pin.encode(), secrets[7].encode(), self.ask('officer-1').encode()):
                    self.assertNotIn(secret, content, file)

    def test_c_each_session_is_a_record(self):
        opened, closed = self.events('custody.activated'), self.events('custody.deactivated')
        self.assertEqual(len(opened), len(closed))
        signing = [line for line in self.said if '--share' in line]
        self.assertEqual(len(opened), len(signing))
        self.assertEqual([event['fields']['custodians'] for event in opened],
                         [', '.join(re.findall(r'custody/(officer-\d)', line)) for line in signing])
        self.assertTrue(all(event['fields']['content'] for event in opened))
        for event in self.events('ca.issued'):
            self.assertTrue(event['text'] and event['fields']['by'] == 'operator 1' and event['fields']['account'])
        self.assertEqual([e['subject'] for e in self.events('ca.crl')], ['root', 'issuing'])

    def test_d_publication(self):
        """Everything in it, for openssl and for a web server that knows nothing of OCSP."""
        publication = self.dir / 'publication'
        self.crl_check('tsu-2027.pem')
        self.assertIn('certificate revoked', self.crl_check('tsu.pem', ok=(2,)).err)
        crl = self.openssl('crl', '-in', 'publication/issuing.crl', '-inform', 'DER', '-noout', '-text', '-CAfile',
                           'publication/issuing.pem').out
        self.assertIn('Superseded', crl)
        self.assertIn('X509v3 CRL Number: \n                1\n', crl)
        for name in ('root', 'issuing'):
            for kind, command in (('crl', 'crl'), ('crt', 'x509')):
                pem = 'crl.pem' if kind == 'crl' else 'pem'
                self.assertEqual(self.openssl(command, '-in', f'publication/{name}.{kind}', '-inform', 'DER').out,
                                 (publication / f'{name}.{pem}').read_text())
        server = self.server
        root = 'publication/root.pem'
        for certificate, issuer, says in (('tsu.pem', 'issuing', 'revoked'), ('tsu-2027.pem', 'issuing', 'good'),
                                          ('publication/issuing.pem', 'root', 'good')):
            for hash_name in ('sha1', 'sha256'):
                with self.subTest(certificate=certificate, hash=hash_name):
                    who = ['-issuer', f'publication/{issuer}.pem', f'-{hash_name}', '-cert', certificate, '-no_nonce']
                    posted = self.openssl('ocsp', '-url', f'http://127.0.0.1:{server.port}/repository/ocsp', *who,
                                          '-CAfile', root)
                    self.assertIn(f'{certificate}: {says}', posted.out)
                    self.assertIn('Response verify OK', posted.err)
                    if says == 'revoked':
                        self.assertIn('Reason: superseded', posted.out)
                    # By GET, encoded as RFC 6960 A.1 wants, and as careless clients do.
                    self.openssl('ocsp', *who, '-reqout', 'q.der')
                    asked = base64.b64encode((self.dir / 'q.der').read_bytes()).decode()
                    for path in (urllib.parse.quote(asked, safe=''), asked):
                        url = f'http://127.0.0.1:{server.port}/repository/ocsp/{path}'
                        with urllib.request.urlopen(url, timeout=10) as answer:
                            (self.dir / 'r.der').write_bytes(answer.read())
                        got = self.openssl('ocsp', '-respin', 'r.der', *who, '-CAfile', root)
                        self.assertIn(f'{certificate}: {says}', got.out)
                        self.assertIn('Response verify OK', got.err)
        self.assertEqual((publication / 'unauthorized.der').read_bytes().hex(), '30030a0106')

    # -- what changes, and what is refused

    def test_e_profiles(self):
        self.request('taa', '/C=JP/O=Example TAA/CN=TAA 1')
        self.request('tls', '/CN=tsa.example', '-addext', 'subjectAltName=DNS:tsa.example,IP:127.0.0.1')
        self.request('audit', '/CN=audit', '-addext', 'subjectAltName=DNS:tsu.audit.example')
        self.request('responder', '/CN=responder')
        self.issue('taa', 'taa')
        self.issue('tls', 'tls-server', '--days', '30')
        self.issue('audit', 'channel')
        self.issue('responder', 'ocsp')
        # stdout is one JSON object; custodians see what they sign all the same.
        done = self.publish('--json')
        self.assertEqual(json.loads(done.out)['certificates'], len(self.entries()) - 1)
        self.assertIn('custodian officer-2: you agree that tsca opens the token', done.err)
        for name, purpose in (('taa', 'any'), ('tls', 'sslserver'), ('audit', 'sslclient'), ('responder', 'ocsphelper')):
            self.openssl('verify', '-x509_strict', '-purpose', purpose, '-CAfile', 'publication/root.pem', '-untrusted',
                         'publication/issuing.pem', '-crl_check_all', '-CRLfile', 'publication/crl.pem', f'{name}.pem')
        self.assertIn('DNS:tsa.example, IP Address:127.0.0.1', self.openssl('x509', '-in', 'tls.pem', '-noout', '-text').out)
        shown = json.loads(self.tsca('show', self.entries('tls-server')[0]['serial'], '--json').out)
        self.assertEqual(shown['pem'], (self.dir / 'tls.pem').read_text())
        # A server with it, and curl, which trusts the root.
        done = self.tsca('show', self.entries('taa')[0]['serial'], '-o', 'again.pem')
        self.assertIn('good until', done.out)
        self.assertEqual((self.dir / 'again.pem').read_text(), (self.dir / 'taa.pem').read_text())

    def test_f_refused_before_anybody_types(self):
        csr = (self.dir / 'tsu.csr').read_text()
        der = self.sh('openssl req -in tsu.csr -outform DER | base64 -w0').out
        broken = bytearray(base64.b64decode(der))
        broken[-10] ^= 1
        (self.dir / 'broken.csr').write_bytes(broken)
        self.refused(self.issue('broken', 'tsu', ok=None), 1, 'isn\'t signed by its own key', 'CA-7')
        (self.dir / 'cut.csr').write_text(csr[:len(csr) // 2])
        self.refused(self.issue('cut', 'tsu', ok=None), 2, 'cut.csr')
        shutil.copy(self.dir / 'tsu.csr', self.dir / 'same.csr')
        self.refused(self.issue('same', 'tsu', ok=None), 1, 'certified before')
        self.request('twin', '/C=JP/O=EXAMPLE/CN=tsu 1')
        self.refused(self.issue('twin', 'tsu', ok=None), 1, 'TSA-18',
                     '--successor-of ' + self.entries('tsu')[1]['serial'])
        self.request('long', '/CN=long')
        self.refused(self.issue('long', 'tsu', '--days', '6000', ok=None), 1, 'CA-5', 'the longest possible is --days 54')
        self.request('weak', '/CN=weak', '-newkey', 'rsa:1024')
        self.refused(self.issue('weak', 'taa', ok=None), 1, '1024 bits')
        self.refused(self.issue('long', 'tls-server', ok=None), 1, 'subjectAltName')
        self.refused(self.issue('long', 'root', ok=None), 2, 'allowed: tsu, taa')
        self.refused(self.tsca('issue', '--profile', 'taa', '--csr', 'long.csr', '-o', 'tsu.pem', *WHY, *self.shares(),
                               ok=None), 2, 'tsu.pem: is there already')
        for noun in ('root', 'issuing'):
            self.refused(self.tsca(noun, 'init', *WHY, *self.shares(), ok=None), 1, 'already')
        self.refused(self.tsca('key', 'generate', 'other', *WHY, *self.shares(), ok=None), 2,
                     'none of the keys of the configuration')
        serial = self.entries('tsu')[0]['serial']
        revoke = lambda *words: self.tsca('revoke', *words, *WHY, ok=None)
        self.refused(revoke(serial, '--reason', 'keyCompromise'), 1, 'was revoked on')
        self.refused(revoke(serial, '--reason', 'certificateHold'), 2, 'allowed: unspecified')
        self.refused(revoke('0815', '--reason', 'superseded'), 1, 'nothing of the serial')
        self.refused(revoke(self.entries('root')[0]['serial'], '--reason', 'superseded'), 1, 'revoke itself')
        (self.dir / 'mine').mkdir(exist_ok=True)
        self.refused(self.tsca('publish', 'mine', *WHY, *self.shares(), ok=None), 2, "isn't a publication")
        self.refused(self.tsca('publish', 'no/where', *WHY, *self.shares(), ok=None), 2, 'make it first')
        self.assertFalse((self.dir / 'long.pem').exists())

    def test_f_usage(self):
        """--help everywhere, and one line for what is wrong (design: exit 2)."""
        for words in ([], ['issue'], ['revoke'], ['publish'], ['list'], ['show'], ['root', 'init'], ['key', 'generate'],
                      ['ceremony', 'init']):
            self.assertIn('--help', self.tsca(*words, '--help').out)
        for words, part in ((['nonsense'], "there is no verb 'nonsense'"), (['root'], 'a verb is missing'),
                            (['issue'], '--profile'), (['show', 'zz'], 'no serial number'),
                            (['revoke', 'zz', '--reason', 'superseded', *WHY], 'no serial number'),
                            (['publish', 'publication', '--why', ' ', '--by', 'x'], '--why'),
                            (['--config', 'none.toml', 'list'], 'none.toml')):
            self.refused(self.tsca(*words, ok=None), 2, part)
        self.refused(self.tsca('show', '0815', ok=None), 1, 'nothing of the serial')
        self.refused(self.tsca('archive', 'init', ok=None), 2, 'ca-archive')

    def test_g_shares(self):
        """Too few, wrong ones, a wrong passphrase, nobody at a terminal: nothing is signed, nothing recorded."""
        before = len(self.events())
        go = lambda *shares: self.tsca('publish', 'publication', *WHY, *shares, ok=None)
        self.refused(go(), 1, '0 shares are given')
        self.refused(go(*self.shares('officer-1')), 1, '1 share is given')
        self.refused(go(*self.shares('officer-1', 'officer-1')), 1, 'another copy')
        (self.dir / 'wrong').write_text('not that passphrase')
        (self.dir / 'wrong').chmod(0o600)
        self.refused(go(*self.shares('officer-1')[:2], '--passphrase-file', 'wrong', *self.shares('officer-2')), 1,
                     'officer-1.share')
        status, said = self.typed_wrong(['tsca', 'publish', 'publication', *WHY, '--share', 'custody/officer-3.share',
                                         '--share', 'custody/officer-2.share'])
        self.assertEqual(status, 1, said)
        self.assertIn('custody/officer-3.share', said)
        self.assertEqual(len(self.events()), before)

    def typed_wrong(self, words):
        terminal = Terminal(*words, cwd=self.dir, env=self.env)
        terminal.expect('Passphrase of the custodian officer-3:')
        terminal.type('something else')
        return terminal.end()

    def test_h_revoked_and_published_as_one(self):
        """While a publication is replaced again and again, whoever looks sees one of them whole."""
        self.request('victim', '/CN=victim')
        self.issue('victim', 'tsu')
        self.publish()
        self.crl_check('victim.pem')
        numbers = lambda: [e['fields']['number'] for e in self.events('ca.crl') if e['subject'] == 'issuing']
        serial = self.entries('tsu')[-1]['serial']
        self.tsca('revoke', serial.upper(), '--reason', 'keyCompromise', *WHY)
        self.crl_check('victim.pem')  # nobody knows yet
        wrong, stop = [], threading.Event()

        def look():
            while not stop.is_set():
                # One folder, opened once, is one publication, whatever stands at its name then.
                folder = os.open(self.dir / 'publication', os.O_RDONLY | os.O_DIRECTORY)
                try:
                    listed = read_in(folder, 'SHA256SUMS').decode().splitlines()
                    for line in listed:
                        digest, _, name = line.partition('  ')
                        if hashlib.sha256(read_in(folder, name)).hexdigest() != digest:
                            wrong.append(line)
                except FileNotFoundError:
                    pass  # removed meanwhile: the one who copies sees that
                finally:
                    os.close(folder)

        looking = threading.Thread(target=look)
        looking.start()
        try:
            self.publish()
            self.publish()
        finally:
            stop.set()
            looking.join()
        self.assertEqual(wrong, [])
        self.sh('cd publication && sha256sum --quiet -c SHA256SUMS')
        self.assertIn('certificate revoked', self.crl_check('victim.pem', ok=(2,)).err)
        self.assertEqual(numbers(), list(range(1, len(numbers()) + 1)))
        told = json.loads((self.dir / 'publication/publication.json').read_text())
        self.assertEqual(told['issuing']['crl_number'], numbers()[-1])
        self.assertEqual(told['revoked'], 2)
        self.assertEqual([p.name for p in self.dir.glob('publication.new*')], [])

    def test_i_one_at_a_time(self):
        """While custodians of one tsca are asked, another one waits for nothing: it is refused."""
        first = Terminal('tsca', 'publish', 'publication', *WHY, '--share', 'custody/officer-1.share', '--share',
                         'custody/officer-2.share', cwd=self.dir, env=self.env)
        first.expect('Passphrase of the custodian officer-1:')
        done = self.publish(ok=None)
        self.refused(done, 3, str(first.pid))
        self.assertEqual(self.tsca('list').returncode, 0)  # who only looks may
        os.kill(first.pid, signal.SIGKILL)
        first.end()
        self.publish()

    def test_j_clock_and_configuration(self):
        (self.folder / 'faketime').write_text('-3600\n')
        self.refused(self.publish(ok=None, env=self.faked()), 3, 'set the clock')
        # What custodians sign names the configuration (ARC-7).
        digests = {e['fields']['settings'] for e in self.events('custody.activated')}
        self.assertEqual(digests, {hashlib.sha256((self.dir / 'tsca.toml').read_bytes()).hexdigest()})
        # A year later the responses are over, and everybody sees that.
        done = self.openssl('verify', '-crl_check_all', '-attime', '1900000000', '-CAfile', 'publication/root.pem', '-untrusted',
                            'publication/issuing.pem', '-CRLfile', 'publication/crl.pem', 'tsu-2027.pem', ok=(2,))
        self.assertIn('CRL has expired', done.err)

    def test_k_in_house(self):
        """With a pin_file one person alone does it all; every command says so."""
        own = self.folder / 'own'
        (own / 'tokens').mkdir(parents=True)
        (own / 'softhsm2.conf').write_text(f'directories.tokendir = {own}/tokens\nobjectstore.backend = file\n')
        text = (TOP / 'conf/tsca.toml').read_text()
        (own / 'tsca.toml').write_text(text.replace('#   pin_file', 'pin_file'))
        for name in ('ca.pin', 'so.pin'):
            (own / name).write_text('123456-' + name)
            (own / name).chmod(0o600)
        at = dict(cwd=own, env={'SOFTHSM2_CONF': f'{own}/softhsm2.conf'})
        go = lambda *words, ok=(0,): run(BIN / 'tsca', *words, ok=ok, **at)
        go('archive', 'init')
        go('token', 'init', '--so-pin-file', 'so.pin')
        for words in (('key', 'generate', 'root'), ('key', 'generate', 'issuing'), ('root', 'init'), ('issuing', 'init'),
                      ('publish', 'out')):
            done = go(*words, *WHY)
            self.assertIn('WARNING: the PIN of the token', done.err)
        run('openssl', 'verify', '-crl_check_all', '-CAfile', 'out/root.pem', '-CRLfile', 'out/crl.pem', 'out/issuing.pem',
            cwd=own)
        self.assertEqual(go('root', 'init', *WHY, '--share', 'x', ok=None).returncode, 1)
        self.assertEqual(go('publish', 'out', *WHY, '--share', 'x', ok=None).returncode, 2)
        # A configuration that names the wrong key.
        text = (own / 'tsca.toml').read_text()
        (own / 'tsca.toml').write_text(
            text.replace('# key = "root"', 'key = "issuing"').replace('# key = "issuing"', 'key = "root"'))
        self.refused(go('publish', 'out', *WHY, ok=None), 2, "isn't that of the certificate")

    def test_l_archive(self):
        """An archive that somebody has changed is refused, by all commands."""
        copy = self.folder / 'copy'
        shutil.copytree(self.dir, copy, symlinks=True)
        at = dict(cwd=copy, env=self.env)
        run(BIN / 'tsca', 'list', **at)
        segment = next((copy / 'ca-archive').glob('*.sqlite'))
        with contextlib.closing(sqlite3.connect(segment)) as db:
            number, der = db.execute("SELECT number, der FROM record NATURAL JOIN event WHERE kind = 'ca.revoked' "
                                     'ORDER BY number').fetchone()
            self.assertIn(b'superseded', der)
            db.execute('UPDATE record SET der = ? WHERE number = ?', (der.replace(b'operator 2', b'operator 9'), number))
            db.commit()
        for words in (('list',), ('publish', 'publication', *WHY, *self.shares())):
            done = run(BIN / 'tsca', *words, ok=None, **at)
            self.refused(done, 3, 'the archive was changed', "the CA's signature isn't over the records before it")

    def test_m_another_custodian(self):
        """The page's last commands: officer-3 goes, officer-4 comes, and keys and certificates stay."""
        page = (TOP / 'docs/ca.md').read_text()
        (block,) = re.findall(r'^```sh\n(.*?)^```', page, re.M | re.S)
        join, reshare = map(shlex.split, block.splitlines())
        before = run(BIN / 'kokuin-share', *(self.dir / f'custody/officer-{i}' for i in (1, 2, 3))).out.split()[6]
        terminal = Terminal(*join, cwd=self.dir, env=self.env)
        for ask in ('Custodian officer-4, choose a passphrase', 'Custodian officer-4, the same again:'):
            terminal.expect(ask)
            terminal.type(self.ask('officer-4'))
        status, said = terminal.end()
        self.assertEqual(status, 0, said)
        number = re.search(r'officer-4  ([0-9a-f]+)', said)[1]
        # Too few, or somebody who holds nothing yet: the token hears nothing.
        alone = reshare[:reshare.index('--share') + 2] + reshare[-4:]
        done = self.tsca(*alone[1:], ok=None)
        self.assertEqual(done.returncode, 1, done.err)
        self.assertIn('but 1 share of them is given', done.err)
        status, said = self.typed(reshare)
        self.assertEqual(status, 0, said)
        self.assertIn(f'officer-4 {number}', said)  # each saw who shall hold the PINs
        self.assertRegex(said, r'now: 20\d\d-')
        self.assertIn('both PINs are new, and with 2 of 3 custodians (officer-1, officer-2, officer-4), generation 2', said)
        (event,) = self.events('custody.resharing')
        self.assertEqual((event['text'], event['fields']['custodians']), ('officer-3 leaves', 'officer-3, officer-1'))
        self.assertEqual([e['fields']['generation'] for e in self.events('custody.shared')], [1, 2])
        self.assertEqual(self.events()[-1]['kind'], 'custody.deactivated')
        done = run('pkcs11-tool', '--module', SOFTHSM, '--token-label', 'kokuin-ca', '--login', '--pin', before, '-O', ok=None, env=self.env)
        self.assertIn('CKR_PIN_INCORRECT', done.out + done.err)
        # Who went opens nothing; who stays needs no other file; who came opens.
        file = self.dir / 'custody/officer-4.passphrase'
        file.write_text(self.ask('officer-4'))
        file.chmod(0o600)
        self.refused(self.tsca('publish', 'publication', *WHY, *self.shares('officer-3', 'officer-1'), ok=None), 1, 'none of the custodians')
        self.tsca('publish', 'publication', *WHY, *self.shares('officer-4', 'officer-2'))
        self.crl_check('tsu-2027.pem')


if __name__ == '__main__':
    harness.main()
