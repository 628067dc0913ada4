"""The demo as its users get it, with tsca as its CA: what tsad serves of what the CA has published (OCSP, CRLs), the life of a key
with that CA, and a revocation that stops the TSU."""
import pathlib
import re
import tempfile
import unittest
import urllib.error
import urllib.request

import harness
from harness import BIN, TOP, run, until


class DemoCaTest(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix='kokuin-test-')) / 'demo'
        self.addCleanup(lambda: run('rm', '-rf', self.dir.parent))
        self.addCleanup(lambda: self.script('--stop', ok=None))
        self.port = harness.free_ports()
        self.script('--port', self.port, '--detach')
        self.url = f'http://127.0.0.1:{self.port}'

    def script(self, *words, ok=(0,)):
        return run(TOP / 'scripts/demo', '--dir', self.dir, *words, ok=ok, env={'KOKUIN_BIN': str(BIN)}, seconds=200).out

    def tsca(self, *words):
        shares = [word for i in (1, 3) for word in ('--share', self.dir / f'ca-custody/demo-{i}.share', '--passphrase-file',
                                                    self.dir / f'ca-custody/demo-{i}.passphrase')]
        return run(BIN / 'tsca', '--config', self.dir / 'tsca.toml', *words, *(shares if words[0] == 'publish' else ()),
                   cwd=self.dir).out

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=20) as answer:
            return answer.headers, answer.read()

    def ocsp(self, certificate, *words, ok=(0,)):
        done = run('openssl', 'ocsp', '-issuer', self.dir / 'pki/issuing.pem', '-cert', certificate, '-CAfile', self.dir / 'pki/root.pem',
                   '-no_nonce', *words, ok=ok)
        self.assertIn('Response verify OK', done.out + done.err)
        return done.out + done.err

    def test_from_issue_to_revocation(self):
        pki = self.dir / 'pki'
        first = self.dir.parent / 'first.pem'
        first.write_bytes((pki / 'tsu.pem').read_bytes())
        self.assertIn('is signed by tsu-1-', self.script('--rotate'))
        self.assertNotEqual(first.read_bytes(), (pki / 'tsu.pem').read_bytes())
        # What openssl says of it all, by itself and by what tsad serves.
        judge = ('openssl', 'verify', '-crl_check_all', '-x509_strict', '-purpose', 'timestampsign', '-CAfile', pki / 'root.pem',
                 '-untrusted', pki / 'issuing.pem', '-CRLfile', pki / 'crl.pem')
        for certificate in (first, pki / 'tsu.pem'):
            run(*judge, certificate)
            for digest in ('-sha1', '-sha256'):
                said = run('openssl', 'ocsp', '-url', f'{self.url}/repository/ocsp', '-issuer', pki / 'issuing.pem', digest, '-cert',
                           certificate, '-CAfile', pki / 'root.pem', '-no_nonce')
                self.assertIn('Response verify OK', said.out + said.err)
                self.assertIn(f'{certificate}: good', said.out)
        # Nonsense, and what nobody here has issued, is answered in OCSP's own way: malformedRequest, unauthorized.
        asked = self.dir.parent / 'asked.der'
        run('openssl', 'ocsp', '-issuer', pki / 'root.pem', '-cert', pki / 'tsu.pem', '-no_nonce', '-reqout', asked)
        for body, answer in ((b'nonsense', '30030a0101'), (asked.read_bytes(), '30030a0106')):
            posted = urllib.request.Request(f'{self.url}/repository/ocsp', body, {'Content-Type': 'application/ocsp-request'})
            with urllib.request.urlopen(posted, timeout=20) as response:
                self.assertEqual(response.headers['Content-Type'], 'application/ocsp-response')
                self.assertEqual(response.read().hex(), answer)
        for file, kind in (('issuing.crl', 'pkix-crl'), ('root.crt', 'pkix-cert'), ('chain.pem', 'x-pem-file'), ('SHA256SUMS', 'plain')):
            headers, body = self.get(f'/repository/{file}')
            self.assertIn(kind, headers['Content-Type'])
            self.assertEqual(body, (self.dir / 'publication' / file).read_bytes())
        for file in ('.hidden', 'unauthorized.der', 'nothing.pem', 'ocsp', '..%2Ftsad.toml', '%2e%2e/tsad.toml'):
            with self.assertRaises(urllib.error.HTTPError, msg=file):
                self.get(f'/repository/{file}')
        self.assertEqual(run('curl', '-s', '-o', '/dev/null', '-w', '%{http_code}', f'{self.url}/readyz').out, '200')
        # Revoked: recorded by one operator, known to the world and to tsad with the next publication.
        serial = run('openssl', 'x509', '-in', pki / 'tsu.pem', '-noout', '-serial').out.strip().partition('=')[2]
        self.tsca('revoke', serial, '--reason', 'keyCompromise', '--why', 'an exercise', '--by', 'operator 1')
        self.assertIn('good', self.ocsp(pki / 'tsu.pem', '-url', f'{self.url}/repository/ocsp'))
        self.tsca('publish', 'publication', '--why', 'an exercise', '--by', 'operator 1')
        said = self.ocsp(pki / 'tsu.pem', '-url', f'{self.url}/repository/ocsp')
        self.assertRegex(said, r'tsu.pem: revoked[\s\S]*Reason: keyCompromise')
        self.assertIn('good', self.ocsp(first, '-url', f'{self.url}/repository/ocsp'))
        self.assertIn('certificate revoked', run(*judge, pki / 'tsu.pem', ok=(2,)).err)
        status = lambda: run(BIN / 'tsactl', '--config', self.dir / 'tsad.toml', 'status', ok=None).out
        until(lambda: re.search(r'is revoked since', status()), 'tsad sees it', 15)
        self.assertEqual(run('curl', '-s', '-o', '/dev/null', '-w', '%{http_code}', f'{self.url}/readyz').out, '503')


if __name__ == '__main__':
    harness.main()
