"""Revocation that tsad fetches itself (TAC-1, KEY-7, TAA-12, CA-6): OCSP from openssl's responder for the TSU, CRLs from a web
server for the TAA and the CA between; good, revoked, silent and lying ones, in both modes, and over restarts."""
import http.server
import json
import os
import shutil
import threading
import time

import harness
from harness import run, until
from rotation_test import REASONS, Keys

TAA_NAME = '/C=JP/O=Kokuin Demo TAA/CN=Kokuin Demo TAA 1'


class Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Replayer(http.server.BaseHTTPRequestHandler):
    """Answers whatever is asked with what it was given."""
    answer = b''

    def do_POST(self):
        self.rfile.read(int(self.headers['Content-Length']))
        self.send_response(200)
        self.send_header('Content-Type', 'application/ocsp-response')
        self.send_header('Content-Length', str(len(self.answer)))
        self.end_headers()
        self.wfile.write(self.answer)

    def log_message(self, *_):
        pass


class RevocationTest(Keys):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ocsp_port = harness.free_ports(1)
        cls.public = cls.folder / 'public'
        cls.public.mkdir()
        cls.web = http.server.ThreadingHTTPServer(('127.0.0.1', 0), lambda *a: Files(*a, directory=cls.public))
        threading.Thread(target=cls.web.serve_forever, daemon=True).start()
        cls.addClassCleanup(cls.web.server_close)
        cls.addClassCleanup(cls.web.shutdown)
        cls.responder = None
        cls.addClassCleanup(cls.silence)

    def setUp(self):
        self.pki = self.demo.dir / 'pki'

    # -- the CA

    def url(self, name):
        return f'http://127.0.0.1:{self.web.server_port}/{name}'

    def ca(self, *words):
        run('openssl', 'ca', '-config', 'issuing.cnf', '-cert', 'issuing.pem', '-keyfile', 'issuing.key', *words, cwd=self.pki)

    def register(self, certificate):
        """openssl's index names it: good."""
        said = run('openssl', 'x509', '-in', certificate, '-noout', '-serial', '-subject', '-nameopt', 'compat').out
        serial, subject = (line.partition('=')[2].strip() for line in said.splitlines())
        with open(self.pki / 'issuing.index', 'a') as index:
            index.write(f'V\t491231000000Z\t\t{serial}\tunknown\t{subject}\n')

    def publish_crl(self):
        until(lambda: not (self.public / 'issuing.crl').exists() or int(time.time()) > int((self.public / 'issuing.crl').stat().st_mtime),
              'another second')
        self.ca('-gencrl', '-crldays', '1', '-out', self.folder / 'new.pem')
        run('openssl', 'crl', '-in', self.folder / 'new.pem', '-outform', 'DER', '-out', self.folder / 'new.crl')
        os.rename(self.folder / 'new.crl', self.public / 'issuing.crl')

    def set_index(self, text):
        new = self.folder / 'new.index'
        new.write_text(text)
        os.rename(new, self.pki / 'issuing.index')

    def respond(self, signer='responder', ca=None):
        """openssl's responder; its answers say nothing of when the next one comes."""
        self.silence()
        folder = self.folder
        type(self).responder = harness.Program(
            'openssl', 'ocsp', '-port', self.ocsp_port, '-index', self.pki / 'issuing.index', '-CA', ca or self.pki / 'issuing.pem', '-rsigner',
            folder / f'{signer}.pem', '-rkey', folder / f'{signer}.key', log=folder / 'ocsp.log')
        # Not by connecting: this responder waits for ever for the request of whoever has gone again.
        until(lambda: self.responder.must_live() or 'waiting for' in self.responder.written(), self.responder.tail)

    @classmethod
    def silence(cls):
        if cls.responder and cls.responder.alive():
            cls.responder.kill()

    # -- what tsad says

    def status(self):
        return json.loads(self.demo.tsactl('status', '--json', ok=(0, 1)).out)

    def seen(self, name):
        return [one for one in self.status()['revocation']['certificates'] if name in one['certificate']][0]

    def cause(self):
        return self.demo.events('gate.closed')[-1]['fields']['cause']

    def wait_closed(self, words, seconds=20):
        until(lambda: any(words in reason for reason in self.demo.readiness()[1].get('reasons', [])),
              lambda: f'closed for "{words}": {self.demo.readiness()} {self.demo.tsad.tail()}', seconds)

    # -- the story

    def test_1_certificates_that_name_their_places(self):
        demo, pki = self.demo, self.pki
        demo.audit_often()
        extensions = 'keyUsage=critical,digitalSignature\n'
        # The TAA's certificate again, for the same key: its list is on the web.
        csr, ext, crt = self.folder / 'taa.csr', self.folder / 'taa.ext', self.folder / 'taa.crt'
        (self.folder / 'taa.pub').write_text(run('openssl', 'x509', '-in', pki / 'taa.pem', '-pubkey', '-noout').out)
        run('openssl', 'req', '-newkey', 'rsa:2048', '-nodes', '-keyout', self.folder / 'unused.key', '-subj', TAA_NAME, '-out', csr)
        ext.write_text(f'keyUsage=critical,digitalSignature,nonRepudiation\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n'
                       f'crlDistributionPoints=URI:{self.url("issuing.crl")}\n')
        issue = ('-CA', pki / 'issuing.pem', '-CAkey', pki / 'issuing.key', '-sha512', '-days', '300', '-set_serial')
        run('openssl', 'x509', '-req', '-in', csr, *issue, '0x' + os.urandom(8).hex(), '-extfile', ext,
            '-force_pubkey', self.folder / 'taa.pub', '-out', crt)
        self.register(crt)
        (pki / 'taa.pem').write_text(crt.read_text() + (pki / 'issuing.pem').read_text())
        # A responder that the issuer has named, and one that calls itself so.
        for name in ('responder', 'liar'):
            run('openssl', 'req', '-newkey', 'rsa:2048', '-nodes', '-keyout', f'{name}.key', '-subj', '/CN=OCSP responder', '-out', f'{name}.csr',
                cwd=self.folder)
        (self.folder / 'ocsp.ext').write_text('extendedKeyUsage=OCSPSigning\nnoCheck=ignored\n' + extensions)
        run('openssl', 'x509', '-req', '-in', self.folder / 'responder.csr', *issue, '77', '-extfile', self.folder / 'ocsp.ext', '-out',
            self.folder / 'responder.pem')
        run('openssl', 'x509', '-req', '-in', self.folder / 'liar.csr', '-signkey', self.folder / 'liar.key', '-days', '30', '-extfile',
            self.folder / 'ocsp.ext', '-out', self.folder / 'liar.pem')
        shutil.copy(pki / 'root.crl', self.public / 'root.crl')
        self.publish_crl()

        # Another key for the TSU, whose certificate names the responder.
        demo.start()
        self.tsactl('key', 'generate', 'watched', *REASONS)
        certificate = self.issue('watched', 'extendedKeyUsage=critical,timeStamping\nkeyUsage=critical,digitalSignature\n'
                                            f'authorityInfoAccess=OCSP;URI:http://127.0.0.1:{self.ocsp_port}/\n', days=300)
        self.register(certificate)
        self.tsactl('key', 'import', 'watched', certificate, *REASONS)
        self.tsactl('key', 'rotate', 'watched', *REASONS)
        self.assertEqual(demo.stamp().status, 0)
        self.assertIsNone(self.status()['revocation'])
        demo.tsad.stop()

        path = demo.dir / 'tsad.toml'
        path.write_text(path.read_text().replace('crls = ["pki/crl.pem"]', '# crls = []') +
                        '\n[revocation]\nmode = "soft"\ngrace = "6s"\nevery = "1s"\ntimeout = "1s"\n'
                        f'[revocation.issuer.root]\ncertificate = "pki/root.pem"\ncrl = "{self.url("root.crl")}"\n')
        self.respond()
        demo.start_tsad()
        demo.wait_ready()
        until(lambda: all(one['state'] == 'good' for one in self.status()['revocation']['certificates']), lambda: str(self.status()['revocation']))
        self.assertEqual(demo.stamp().status, 0)
        self.assertEqual([self.seen(name)['source'] for name in ('TSU 1', 'TAA 1', 'Issuing CA')], ['ocsp', 'crl', 'crl'])
        self.assertEqual([d for d in self.status()['departures'] if 'revoked' in d], [])
        self.assertIn('revocation: CN=Kokuin Demo TSU 1,O=Kokuin Demo,C=JP: good, by ocsp', self.tsactl('status'))

    def test_2_soft_goes_on_for_its_grace(self):
        """Nobody answers, and then somebody who isn't believed."""
        demo = self.demo
        self.silence()
        until(lambda: demo.events('revocation.unknown'), 'it is noticed')
        self.assertEqual(demo.stamp().status, 0)
        self.assertTrue([d for d in self.status()['departures'] if 'stamping goes on until' in d])
        self.respond('liar', self.folder / 'liar.pem')
        self.wait_closed('nobody knows whether')
        self.assertEqual(demo.stamp().fail, 'systemFailure')
        until(lambda: (self.seen('TSU 1')['trouble'] or '').find('OCSP') >= 0, lambda: str(self.seen('TSU 1')))
        self.assertEqual(self.seen('TSU 1')['state'], 'unknown')
        until(lambda: self.cause() == 'revocation-unknown', self.cause)
        self.respond()
        demo.wait_ready()
        self.assertEqual(demo.stamp().status, 0)
        until(lambda: demo.events('revocation.known'), 'and that it is known again')

    def test_3_a_revoked_tsu(self):
        demo, pki = self.demo, self.pki
        certificate = self.folder / 'watched.pem'
        good = (pki / 'issuing.index').read_text()
        run('openssl', 'ocsp', '-issuer', pki / 'issuing.pem', '-cert', certificate, '-no_nonce', '-url', f'http://127.0.0.1:{self.ocsp_port}/',
            '-CAfile', demo.root(), '-verify_other', pki / 'issuing.pem', '-respout', self.folder / 'good.der')
        self.ca('-revoke', certificate, '-crl_reason', 'certificateHold')
        self.wait_closed('is revoked since', 10)
        self.assertEqual(demo.stamp().fail, 'systemFailure')
        until(lambda: demo.events('key.revoked'), 'it is recorded')
        until(lambda: self.cause() == 'key-revoked', self.cause)
        # An old answer, of before, brings nothing back; nor does a start at which nobody answers.
        self.silence()
        Replayer.answer = (self.folder / 'good.der').read_bytes()
        with http.server.HTTPServer(('127.0.0.1', self.ocsp_port), Replayer) as replayer:
            threading.Thread(target=replayer.serve_forever, daemon=True).start()
            until(lambda: 'is older than the one of' in (self.seen('TSU 1')['trouble'] or ''), lambda: str(self.seen('TSU 1')))
            self.assertEqual(demo.stamp().fail, 'systemFailure')
            replayer.shutdown()
        demo.tsad.kill()
        demo.start_tsad()
        self.assertEqual(demo.stamp().fail, 'systemFailure')
        self.wait_closed('is revoked since')
        self.assertEqual(self.seen('TSU 1')['state'], 'revoked')
        # It was on hold.
        self.set_index(good)
        self.respond()
        demo.wait_ready()
        self.assertEqual(demo.stamp().status, 0)

    def test_4_a_revoked_taa(self):
        demo, pki = self.demo, self.pki
        good = (pki / 'issuing.index').read_text()
        self.ca('-revoke', self.folder / 'taa.crt', '-crl_reason', 'certificateHold')
        self.publish_crl()
        self.wait_closed("the TAC isn't believed any more", 10)
        self.assertEqual(demo.stamp().fail, 'timeNotAvailable')
        self.assertIsNone(self.status()['tsus'][0]['tac'])
        until(lambda: demo.events('tac.revoked'), 'it is recorded')
        until(lambda: self.cause() == 'taa-revoked', self.cause)
        refused = len(demo.events('tac.refused'))
        demo.taad.stop()
        demo.start_taad()
        until(lambda: [e for e in demo.events('tac.refused')[refused:] if e['fields']['reason'] == 'revoked'], lambda: demo.tsad.tail())
        self.assertEqual(demo.readiness()[0], 503)
        self.set_index(good)
        self.publish_crl()
        until(lambda: self.seen('TAA 1')['state'] == 'good', lambda: str(self.seen('TAA 1')))
        demo.taad.stop()
        demo.start_taad()
        demo.wait_ready()

    def test_5_hard_waits_for_the_first_answer(self):
        demo = self.demo
        demo.tsad.stop()
        demo.edit('tsad', (r'^mode = "soft"\ngrace = "6s"$', 'mode = "hard"'))
        shutil.rmtree(demo.dir / 'revocation')
        self.silence()
        demo.start_tsad()
        self.wait_closed('nobody knows whether CN=Kokuin Demo TSU 1')
        self.assertEqual(demo.stamp().fail, 'systemFailure')
        until(lambda: self.cause() == 'revocation-unknown', self.cause)
        self.respond()
        demo.wait_ready()
        self.assertEqual(demo.stamp().status, 0)
        self.silence()
        self.wait_closed('nobody knows whether CN=Kokuin Demo TSU 1', 10)
        self.assertEqual(demo.stamp().fail, 'systemFailure')


if __name__ == '__main__':
    harness.main()
