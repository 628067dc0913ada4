"""The field's own clients: openssl ts and cms, curl over HTTP and HTTPS, jarsigner, Bouncy Castle, osslsigncode; every
embed_tac form and every ESS attribute."""
import itertools
import os
import shutil
import struct
import unittest

import harness
import rfc3161
from harness import run

A2, G = '1.3.6.1.4.1.1291.1.1.1.1', '1.3.6.1.4.1.1291.1.1.1.2'
TAC_ATTRIBUTE = '1.2.840.113549.1.9.16.2.18'
FORMS = ('none', 'signer-attribute', 'certificates-v1', 'certificates-v2')
ESS = ('v1', 'v2', 'both')
BOUNCY_CASTLE = ':'.join(f'/usr/share/java/{jar}.jar' for jar in ('bcprov', 'bcpkix', 'bcutil'))


def portable_executable():
    """The smallest Windows program that tools take for one: headers and one section."""
    code = b'\xc3'.ljust(512, b'\0')
    dos = b'MZ'.ljust(60, b'\0') + struct.pack('<I', 64)
    coff = b'PE\0\0' + struct.pack('<HHIIIHH', 0x8664, 1, 0, 0, 0, 240, 0x22)
    optional = struct.pack('<HBBIIIII', 0x20b, 14, 0, 512, 0, 0, 0x1000, 0x1000)
    optional += struct.pack('<QIIHHHHHHIIIIHH', 0x140000000, 0x1000, 0x200, 6, 0, 0, 0, 6, 0, 0, 0x2000, 0x200, 0, 3, 0)
    optional += struct.pack('<QQQQII', 0x100000, 0x1000, 0x100000, 0x1000, 0, 16) + bytes(16 * 8)
    section = b'.text\0\0\0' + struct.pack('<IIIIIIHHI', 512, 0x1000, 512, 512, 0, 0, 0, 0, 0x60000020)
    assert len(optional) == 240
    return (dos + coff + optional + section).ljust(512, b'\0') + code


class ClientsTest(harness.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.policies = {}
        extra = ''
        for number, (form, ess) in enumerate(itertools.product(FORMS, ESS)):
            name = f'{form}-{ess}'
            cls.policies[name] = f'1.3.6.1.4.1.1291.1.1.2.{number}'
            extra += (f'\n[policy.{name}]\noid = "{cls.policies[name]}"\nembed_tac = "{form}"\n'
                      f'signing_certificate = "{ess}"\n')
        cls.demo.edit('tsad', append=extra)
        cls.demo.start()
        cls.certificates = cls.folder / 'all.pem'
        cls.certificates.write_bytes((cls.demo.dir / 'pki/tsu.pem').read_bytes() + cls.demo.chain().read_bytes())
        cls.file = cls.folder / 'document.txt'
        cls.file.write_text('a document\n')

    def ask(self, *options, path='/', name='token', tls=False, ok=True):
        """openssl ts -query, curl; (query file, response file)."""
        query, reply = self.folder / f'{name}.tsq', self.folder / f'{name}.tsr'
        run('openssl', 'ts', '-query', '-data', self.file, *options, '-out', query)
        url = f'https://localhost:{self.demo.port + 1}{path}' if tls else self.demo.url(path)
        run('curl', '-fsS', '--cacert', self.demo.root(), '-H', 'Content-Type: application/timestamp-query',
            '--data-binary', f'@{query}', '-o', reply, url)
        return query, reply

    def ts_verify(self, query, reply, ok=True):
        """openssl ts -verify, with the query and with the data."""
        for what in (['-queryfile', query], ['-data', self.file]):
            done = run('openssl', 'ts', '-verify', *what, '-in', reply, '-CAfile', self.demo.root(), '-untrusted',
                       self.certificates, ok=None)
            self.assertEqual((done.returncode == 0, 'Verification: OK' in done.out + done.err), (ok, ok), done.out + done.err)

    def cms_verify(self, reply):
        response = rfc3161.Response(reply.read_bytes())
        token, tst = self.folder / 'token.der', self.folder / 'tst.der'
        token.write_bytes(response.token)
        run('openssl', 'cms', '-verify', '-inform', 'DER', '-in', token, '-binary', '-purpose', 'timestampsign',
            '-CAfile', self.demo.chain(), '-certfile', self.certificates, '-out', tst)
        self.assertEqual(tst.read_bytes(), response.tst.der)
        return run('openssl', 'asn1parse', '-inform', 'DER', '-in', token).out

    def test_openssl(self):
        for hash, cert, nonce, tls in itertools.product(('sha256', 'sha384', 'sha512'), (['-cert'], []), ([], ['-no_nonce']),
                                                        (False, True)):
            with self.subTest(hash=hash, cert=cert, nonce=nonce, tls=tls):
                query, reply = self.ask(f'-{hash}', *cert, *nonce, tls=tls)
                self.ts_verify(query, reply)
                response = rfc3161.Response(reply.read_bytes())
                self.assertEqual(response.status, 0)
                self.assertEqual(response.tst.policy, A2)
                self.assertEqual(response.tst.certificates is not None, bool(cert))
                self.assertEqual(response.tst.nonce is None, bool(nonce))
                self.cms_verify(reply)

    def test_profile(self):
        """TSA-7, as others' tools show it."""
        query, reply = self.ask('-sha256', '-cert')
        dump = self.cms_verify(reply)
        for wanted in ('sha512', 'id-smime-aa-signingCertificate', 'id-smime-aa-signingCertificateV2', 'contentType',
                       'messageDigest', 'sha512WithRSAEncryption'):
            self.assertIn(wanted, dump)
        response = rfc3161.Response(reply.read_bytes())
        self.assertEqual(response.tst.cms_version, 3)
        self.assertEqual(response.tst.accuracy, bytes([2, 1, 1]))  # one second
        self.assertIsNone(response.text)
        self.assertLessEqual(len(response.tst.serial_octets), 20)
        text = run('openssl', 'ts', '-reply', '-in', reply, '-text').out
        self.assertIn('Ordering: no', text)
        self.assertIn('Kokuin Demo TSU 1', text)
        self.assertIn('Status: Granted.', text)

    def test_policies(self):
        for path, options, expected in (
                ('/', [], A2), ('/tsa', [], A2), ('/tsa/a2', [], A2), ('/tsa/g', [], G),
                ('/', ['-tspolicy', G], G), ('/tsa', ['-tspolicy', A2], A2), ('/tsa/g', ['-tspolicy', G], G),
                ('/tsa/g', ['-tspolicy', A2], None), ('/tsa/a2', ['-tspolicy', G], None), ('/', ['-tspolicy', '1.2.3.4'], None)):
            with self.subTest(path=path, options=options):
                query, reply = self.ask('-sha256', '-cert', *options, path=path)
                response = rfc3161.Response(reply.read_bytes())
                if expected:
                    self.assertEqual(response.tst.policy, expected)
                    self.ts_verify(query, reply)
                else:
                    self.assertEqual(response.fail, 'unacceptedPolicy')
                    text = run('openssl', 'ts', '-reply', '-in', reply, '-text').out
                    self.assertIn('policy is not supported', text)

    def test_unaccepted_hash(self):
        _, reply = self.ask('-sha1')
        self.assertEqual(rfc3161.Response(reply.read_bytes()).fail, 'badAlg')
        self.ts_verify(_, reply, ok=False)

    def test_wrong_data_is_refused_by_the_client(self):
        query, reply = self.ask('-sha256', '-cert')
        other = self.folder / 'other.txt'
        other.write_text('another document\n')
        done = run('openssl', 'ts', '-verify', '-data', other, '-in', reply, '-CAfile', self.demo.root(), '-untrusted',
                   self.demo.chain(), ok=None)
        self.assertNotEqual(done.returncode, 0)

    def test_nonces(self):
        """Any length and sign, echoed octet for octet."""
        for octets in (b'\0', b'\x01', b'\xff', b'\x80', b'\0\x80', b'\x7f' * 20, b'\xff\x7f' + bytes(30), b'\x01' + bytes(63)):
            response = self.demo.stamp(nonce_octets=octets)
            self.assertEqual(response.tst.nonce, octets)

    def test_embedded_forms(self):
        for name, policy in self.policies.items():
            with self.subTest(policy=name):
                query, reply = self.ask('-sha256', '-cert', path=f'/tsa/{name}', name=name)
                dump = self.cms_verify(reply)
                response = rfc3161.Response(reply.read_bytes())
                self.assertEqual(response.tst.policy, policy)
                form, _, ess = name.rpartition('-')
                # OpenSSL's ts can't parse attribute certificates among the certificates.
                self.ts_verify(query, reply, ok=form in ('none', 'signer-attribute'))
                self.assertEqual('id-smime-aa-signingCertificateV2' in dump, ess in ('v2', 'both'))
                self.assertEqual('id-smime-aa-signingCertificate\n' in dump, ess in ('v1', 'both'))
                tags = [child.tag for child in response.tst.certificates.children()]
                self.assertEqual(tags, {'certificates-v1': [0x30, 0xa1], 'certificates-v2': [0x30, 0xa2]}.get(form, [0x30]))
                self.assertEqual(response.tst.cms_version, 4 if form == 'certificates-v2' else 3)
                self.assertEqual(rfc3161.oid(TAC_ATTRIBUTE) in response.token, form == 'signer-attribute')
                # Without certificates only the attribute carries the TAC.
                query, reply = self.ask('-sha384', path=f'/tsa/{name}', name=name)
                self.ts_verify(query, reply)
                response = rfc3161.Response(reply.read_bytes())
                self.assertIsNone(response.tst.certificates)
                self.assertEqual(response.tst.cms_version, 3)
                self.assertEqual(rfc3161.oid(TAC_ATTRIBUTE) in response.token, form == 'signer-attribute')

    @unittest.skipUnless(shutil.which('java'), 'no Java')
    def test_bouncy_castle(self):
        asks = []
        for hash, certificates in itertools.product(('SHA-256', 'SHA-384', 'SHA-512'), ('yes', 'no')):
            asks += [self.demo.url(), hash, certificates, '-']
        asks += [self.demo.url(), 'SHA-256', 'yes', G]
        for name in self.policies:
            for certificates in ('yes', 'no'):
                asks += [self.demo.url(f'/tsa/{name}'), 'SHA-512', certificates, '-']
        done = run('java', '-cp', BOUNCY_CASTLE, harness.TOP / 'tests/integration/BouncyCastle.java',
                   self.demo.dir / 'pki/tsu.pem', *asks, ok=None)
        self.assertEqual(done.returncode, 0, done.out + done.err)
        lines = done.out.splitlines()
        self.assertEqual(len(lines), len(asks) // 4)
        for number, line in enumerate(lines):
            carries = '/certificates-v' in line and asks[4 * number + 2] == 'yes'
            self.assertTrue(line.endswith(f'attribute certificates: {int(carries)}'), line)
        print(done.out)

    @unittest.skipUnless(shutil.which('jarsigner'), 'no jarsigner')
    def test_jarsigner(self):
        store, jar = self.folder / 'keys.p12', self.folder / 'signed.jar'
        (self.folder / 'Main.txt').write_text('content')
        run('jar', 'cf', jar, '-C', self.folder, 'Main.txt')
        password = ['-storepass', 'changeit', '-keystore', store]
        run('keytool', '-genkeypair', '-alias', 'signer', '-keyalg', 'RSA', '-keysize', '2048', '-dname', 'CN=Signer',
            '-validity', '365', '-ext', 'eku=codeSigning', *password)
        # jarsigner builds the TSA's path from what it trusts and what is in the token, where the profile (TSA-7) has the
        # TSU's certificate alone.
        for number, certificate in enumerate(self.demo.chain().read_text().split('-----BEGIN CERTIFICATE-----')[1:]):
            run('keytool', '-importcert', '-noprompt', '-alias', f'tsa-{number}', *password,
                stdin=f'-----BEGIN CERTIFICATE-----{certificate}'.encode())
        for policy in (None, G):
            more = ['-tsapolicyid', policy] if policy else []
            run('jarsigner', *password, '-tsa', self.demo.url(), *more, jar, 'signer')
            done = run('jarsigner', '-verify', '-verbose', '-certs', *password, jar)
            self.assertIn('jar verified', done.out)
            self.assertIn('Kokuin Demo TSU 1', done.out)
            self.assertNotIn('does not include a timestamp', done.out)
            self.assertNotIn('timestamp is invalid', done.out)
            self.assertNotIn('TSA certificate chain', done.out)
            print(*[l for l in done.out.splitlines() if 'Timestamped' in l or 'Timestamp sig' in l], sep='\n')

    @unittest.skipUnless(shutil.which('osslsigncode'), 'no osslsigncode')
    def test_osslsigncode(self):
        program, signed, stamped = (self.folder / f for f in ('a.exe', 'signed.exe', 'stamped.exe'))
        program.write_bytes(portable_executable())
        key, certificate = self.folder / 'code.key', self.folder / 'code.pem'
        run('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', certificate, '-subj',
            '/CN=Code Signer', '-days', '30', '-addext', 'extendedKeyUsage=codeSigning', '-addext',
            'keyUsage=critical,digitalSignature', '-addext', 'basicConstraints=critical,CA:FALSE')
        verify = ['osslsigncode', 'verify', '-CAfile', certificate, '-TSA-CAfile', self.demo.chain(), '-in', stamped]
        sign = ['osslsigncode', 'sign', '-h', 'sha256', '-certs', certificate, '-key', key, '-in', program]
        # Signed and stamped in one go, and a stamp added to what is signed.
        run(*sign, '-ts', self.demo.url(), '-out', stamped)
        self.check_stamped(run(*verify, ok=None))
        stamped.unlink()
        run(*sign, '-out', signed)
        run('osslsigncode', 'add', '-ts', self.demo.url('/tsa/signer-attribute-both'), '-h', 'sha384', '-in', signed, '-out', stamped)
        self.check_stamped(run(*verify, ok=None))

    def check_stamped(self, done):
        text = done.out + done.err
        self.assertIn('Kokuin Demo TSU 1', text)
        self.assertIn('Timestamp Server Signature verification: ok', text)


if __name__ == '__main__':
    harness.main()
