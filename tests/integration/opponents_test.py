"""What a hostile TAA, TSU or man in the middle may try with the real tsad and taad: each attempt is refused by name, is on
record, and changes nothing (the table is in docs/tac.md)."""
import base64
import contextlib
import http.client
import http.server
import json
import os
import re
import ssl
import threading
import time

import harness
from harness import BIN, Relay, run, until


class Front:
    """Between taad and tsad, with the TSU's own channel key: keeps TACs to itself, and tells what it likes."""

    def __init__(self, demo, certificate, key):
        self.demo, self.seen, self.held = demo, [], []
        self.straight()
        front = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'
            wbufsize, disable_nagle_algorithm = -1, True  # an answer is one piece, and leaves at once

            def answer(self):
                body = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
                front.seen.append(self.path)
                if self.path == '/audit/clock':
                    time.sleep(front.before)
                    status, said = front.demo.as_taa(self.command, self.path, body)
                    said = front.tell(said)
                    time.sleep(front.after)
                elif front.keep:
                    front.held.append(body)
                    status, said = 503, {'error': 'kept'}
                else:
                    status, said = front.demo.as_taa(self.command, self.path, body)
                octets = json.dumps(said).encode()
                self.send_response(status)
                self.send_header('Content-Type', 'application/json')
                self.send_header('Content-Length', str(len(octets)))
                self.end_headers()
                self.wfile.write(octets)

            do_POST = do_PUT = answer

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass  # a client that doesn't like the certificate

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server = Server(('127.0.0.1', 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def straight(self):
        """No lies and no delays."""
        self.tell, self.keep, self.before, self.after = (lambda said: said), False, 0.0, 0.0

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class OpponentsTest(harness.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        demo, pki = cls.demo, cls.demo.dir / 'pki'
        cls.front = Front(demo, pki / 'audit-tsu.pem', pki / 'audit-tsu.key')
        cls.addClassCleanup(cls.front.close)
        demo.start_tsad()
        # A certificate authority of the opponent's own.
        cls.openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'rogue.key', '-out', 'rogue.pem', '-subj',
                    '/C=JP/O=Kokuin Demo/CN=Kokuin Demo Root', '-days', '30')

    @classmethod
    def openssl(cls, *words):
        run('openssl', *words, cwd=cls.folder)

    def setUp(self):
        self.front.straight()
        self.demo.audited_at(self.demo.port + 2)

    def in_force(self):
        """Serial number of the TAC in force, or None."""
        tac = json.loads(self.demo.tsactl('status', '--json', ok=(0, 1)).out)['tsus'][0].get('tac')
        return tac and tac['serial']

    def fresh(self):
        """The delivery of a good TAC that didn't reach tsad."""
        self.demo.audited_at(self.front.port)
        self.front.keep = True
        report = self.demo.audit_now(ok=3)
        self.assertEqual((report['outcome'], report['verdict']), ('good', 'none'))
        self.demo.audited_at(self.demo.port + 2)
        return self.front.held.pop()

    def assert_refused(self, delivery, reason, nonce=True):
        """Refused for this reason, with the nonce of a fresh exchange or its own; nothing changes."""
        before = self.in_force(), self.demo.readiness()
        if nonce:
            self.assertEqual(self.demo.deliver(base64.b64decode(delivery['tac'])), ('refused', reason))
        else:
            status, answer = self.demo.as_taa('PUT', '/audit/tac', delivery)
            self.assertEqual((status, answer['verdict'], answer['reason']), (200, 'refused', reason))
        self.assertEqual((self.in_force(), self.demo.readiness()[0]), (before[0], before[1][0]))
        self.assertIn(reason, {event['fields']['reason'] for event in self.demo.events('tac.refused')})

    def test_1_tacs_at_the_wrong_time(self):
        """With another exchange's nonce, with an invented one, twice, older ones."""
        demo = self.demo
        first = self.fresh()
        self.assert_refused(first, 'contradiction')  # its audit was another one
        self.assert_refused({**first, 'nonce': os.urandom(32).hex()}, 'unknown-nonce', nonce=False)
        before = self.in_force()
        status, answer = demo.as_taa('PUT', '/audit/tac', first)  # all was well with it
        self.assertEqual((status, answer['verdict']), (200, 'accepted'))
        self.assertNotEqual(self.in_force(), before)
        self.assert_refused(first, 'unknown-nonce', nonce=False)
        self.assert_refused(first, 'replay')
        late = self.fresh()
        self.assertEqual(demo.audit_now()['verdict'], 'accepted')
        self.assert_refused(first, 'replay')
        self.assert_refused(late, 'replay', nonce=False)
        # The same after a restart.
        self.assertEqual(demo.tsad.stop(), 0)
        demo.start_tsad()
        for old in (first, late):
            self.assert_refused(old, 'replay')
        self.assertEqual(demo.stamp().status, 0)

    def test_2_tacs_that_were_changed(self):
        delivery = self.fresh()
        der = base64.b64decode(delivery['tac'])
        for changed, reason in ((der[:-1] + bytes([der[-1] ^ 1]), 'signature'), (der[:-1], 'malformed'), (der + b'\0', 'malformed'),
                                (der.replace(b'Kokuin Demo TAA 1', b'Kokuin Demo TAA 2'), 'chain'),
                                (der.replace(b'Kokuin Demo TSU 1', b'Kokuin Demo TSU 2'), 'signature')):
            self.assertNotEqual(changed, der)
            self.assert_refused({'tac': base64.b64encode(changed)}, reason)
        # None of it has used the good one up.
        self.assertEqual(self.demo.as_taa('PUT', '/audit/tac', delivery)[1]['verdict'], 'accepted')

    def test_3_another_taa(self):
        """A real taad that holds the TAA's channel key, but another signing key."""
        demo, pki = self.demo, self.demo.dir / 'pki'
        self.assertEqual(demo.audit_now()['verdict'], 'accepted')
        configuration = demo.dir / 'rogue.toml'
        text = (demo.dir / 'taad.toml').read_text()
        for old, new in (('key = "taa"', 'key = "rogue"'), ('certificate = "pki/taa.pem"', 'certificate = "pki/rogue-taa.pem"'),
                         ('dir = "taa-archive"', 'dir = "rogue-archive"')):
            self.assertEqual(text.count(old), 1, old)
            text = text.replace(old, new)
        # Its own token, for the TAA's is in other hands.
        (self.folder / 'rogue.pin').touch(0o600)
        (self.folder / 'rogue.pin').write_text('1234567890')
        text = re.sub(r'(?m)^unattended = .*$', f'pin_file = "{self.folder}/rogue.pin"', text)
        configuration.write_text(re.sub(r'(?m)^token = "[^"]*"', 'token = "rogue"', text))
        taad = lambda *words: run(BIN / 'taad', '--config', configuration, *words)
        name = 'C=JP,O=Kokuin Demo TAA,CN=Kokuin Demo TAA '
        taad('token', 'init', '--so-pin-file', self.folder / 'rogue.pin')
        taad('key', 'generate', 'rogue')
        taad('key', 'generate', 'archive', '--type', 'ed25519')
        taad('archive', 'init')
        taad('tsu', 'admit', 'tsu-1', '--why', 'it is worth attacking', '--by', 'opponent')
        (self.folder / 'rogue.ext').write_text('keyUsage=critical,digitalSignature,nonRepudiation\nsubjectKeyIdentifier=hash\n'
                                               'authorityKeyIdentifier=keyid\n')
        # The TAA's name under another root (with the true root's name), and another name under the true root.
        for ca, number in ((self.folder / 'rogue', '1'), (pki / 'issuing', '2')):
            with self.subTest(ca=ca.name):
                taad('key', 'csr', 'rogue', '--subject', name + number, '-o', self.folder / 'rogue-taa.csr')
                self.openssl('x509', '-req', '-in', 'rogue-taa.csr', '-CA', f'{ca}.pem', '-CAkey', f'{ca}.key', '-days', '30', '-extfile',
                             'rogue.ext', '-out', 'rogue-taa.pem')
                chain = (self.folder / 'rogue-taa.pem').read_text()
                (pki / 'rogue-taa.pem').write_text(chain + (pki / 'issuing.pem').read_text() if number == '2' else chain)
                before = self.in_force()
                report = demo.audit_now(ok=1, configuration='rogue.toml')
                self.assertEqual((report['outcome'], report['verdict'], report['reason']), ('good', 'refused', 'chain'))
                self.assertEqual((self.in_force(), demo.readiness()[0]), (before, 200))
        self.assertIn('chain', {event['fields']['reason'] for event in demo.events('tac.refused')})

    def revoke(self, certificate, reason):
        """The issuer's next list names this certificate."""
        pki = self.demo.dir / 'pki'
        # Its time is in whole seconds, and it is to be newer than the one before.
        until(lambda: int(time.time()) > int((pki / 'crl.pem').stat().st_mtime), 'another second')
        ca = ['openssl', 'ca', '-config', 'issuing.cnf', '-cert', 'issuing.pem', '-keyfile', 'issuing.key']
        run(*ca, '-revoke', certificate, '-crl_reason', reason, cwd=pki)
        run(*ca, '-gencrl', '-crldays', '30', '-out', self.folder / 'revoked.crl', cwd=pki)
        os.rename(self.folder / 'revoked.crl', pki / 'crl.pem')

    def take_back(self, old):
        """An old list isn't taken for a new one; one that is newer and names nobody is."""
        demo, pki = self.demo, self.demo.dir / 'pki'
        (self.folder / 'old.crl').write_text(old)
        os.rename(self.folder / 'old.crl', pki / 'crl.pem')
        until(lambda: any('older than the one' in d for d in self.departures()), 'the old list is named')
        self.assertEqual(demo.readiness()[0], 503)
        (pki / 'issuing.index').write_text('')
        run('openssl', 'ca', '-config', 'issuing.cnf', '-cert', 'issuing.pem', '-keyfile', 'issuing.key', '-gencrl', '-crldays',
            '30', '-out', self.folder / 'good.crl', cwd=pki)
        with open(self.folder / 'good.crl', 'a') as file:
            file.write((pki / 'root.crl').read_text())
        os.rename(self.folder / 'good.crl', pki / 'crl.pem')

    def departures(self):
        return json.loads(self.demo.tsactl('status', '--json', ok=(0, 1)).out)['departures']

    def test_6_a_revoked_taa(self):
        """Its issuer revokes its certificate while its TAC is in force: it is taken back, and nothing of it is believed."""
        demo, pki = self.demo, self.demo.dir / 'pki'
        demo.audited_at(demo.port + 2)
        self.assertEqual(demo.audit_now()['verdict'], 'accepted')
        before, kept = self.in_force(), self.fresh()
        good, leaf = (pki / 'crl.pem').read_text(), self.folder / 'taa-alone.pem'
        leaf.write_text((pki / 'taa.pem').read_text())
        self.revoke(leaf, 'keyCompromise')
        until(lambda: demo.readiness()[0] == 503, 'closed')
        self.assertIn('Kokuin Demo TAA 1', demo.readiness()[1]['reasons'][0])
        self.assertIn('key compromise', demo.readiness()[1]['reasons'][0])
        self.assertEqual(demo.stamp().fail, 'timeNotAvailable')
        self.assertIsNone(self.in_force())
        revoked = demo.events('tac.revoked')
        self.assertEqual([e['fields']['tac'] for e in revoked], [before])
        self.assertEqual(demo.events('gate.closed')[-1]['fields']['cause'], 'taa-revoked')
        # Neither a new one, nor one made before, nor an order; and not by a restart either.
        report = demo.audit_now(ok=1)
        self.assertEqual((report['verdict'], report['reason']), ('refused', 'revoked'))
        self.assert_refused(kept, 'revoked', nonce=False)
        demo.tsad.kill()
        demo.start_tsad()
        self.assertEqual(demo.readiness()[0], 503)
        self.assertEqual(demo.audit_now(ok=1)['reason'], 'revoked')
        self.assertIn("isn't believed any more", demo.readiness()[1]['reasons'][0])
        self.assertEqual(len(demo.events('tac.revoked')), 1)
        # The issuer's list was wrong.
        self.take_back(good)
        self.assertEqual(demo.audit_now()['verdict'], 'accepted')
        self.assertEqual(demo.readiness()[0], 200)
        # A list that goes away says what it said, and status says so.
        os.rename(pki / 'crl.pem', pki / 'crl.away')
        self.assertTrue([d for d in self.departures() if 'what it said before still counts' in d], self.departures())
        demo.tsad.stop()
        done = run(BIN / 'tsad', '--config', demo.dir / 'tsad.toml', ok=(2,))
        self.assertIn('[taa] crls', done.err)
        os.rename(pki / 'crl.away', pki / 'crl.pem')
        demo.start_tsad()

    def test_7_a_revoked_tsu(self):
        """The TSU's own certificate is revoked: it signs nothing from then on, nor from the first request after a restart."""
        demo, pki = self.demo, self.demo.dir / 'pki'
        demo.audited_at(demo.port + 2)
        self.assertEqual(demo.audit_now()['verdict'], 'accepted')
        self.assertEqual(demo.stamp().status, 0)
        good = (pki / 'crl.pem').read_text()
        self.revoke(pki / 'tsu.pem', 'superseded')
        until(lambda: demo.readiness()[0] == 503, 'closed')
        self.assertIn('Kokuin Demo TSU 1', demo.readiness()[1]['reasons'][0])
        self.assertIn('(superseded)', demo.readiness()[1]['reasons'][0])
        self.assertEqual(demo.stamp().fail, 'systemFailure')  # time isn't the cause
        self.assertEqual(len(demo.events('key.revoked')), 1)
        until(lambda: demo.events('gate.closed')[-1]['fields']['cause'] == 'key-revoked', 'an event')
        demo.tsad.kill()
        demo.start_tsad()
        self.assertEqual(demo.stamp().fail, 'systemFailure')
        # It was on hold, or a mistake: the next list doesn't name it.
        self.take_back(good)
        until(lambda: demo.stamp().status == 0, lambda: f'open: {demo.readiness()}')
        self.assertEqual(len(demo.events('key.unrevoked')), 1)

    def test_4_no_certificate_of_the_channel(self):
        """Nobody without one speaks to tsad as the TAA, or to taad as the TSU."""
        demo, pki = self.demo, self.demo.dir / 'pki'
        self.assertEqual(demo.audit_now()['verdict'], 'accepted')
        before = self.in_force(), len(demo.events('tac.accepted')), len(demo.events('tac.refused'))
        for which, names in (('tsu', 'tsu.audit.kokuin.example'), ('taa', 'taa.audit.kokuin.example')):
            self.openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', f'{which}.key', '-out', f'{which}.pem', '-subj',
                         f'/CN={which}', '-days', '30', '-addext', f'subjectAltName=DNS:{names}')
        # In the place of tsad: a certificate of its own, one of the opponent's CA with our root's name, one of ours made
        # for something else. taad ends the handshake, and asks nothing.
        self.openssl('req', '-new', '-key', 'tsu.key', '-subj', '/CN=tsu', '-out', 'tsu.csr')
        (self.folder / 'tsu.ext').write_text('subjectAltName=DNS:tsu.audit.kokuin.example\n')
        self.openssl('x509', '-req', '-in', 'tsu.csr', '-CA', 'rogue.pem', '-CAkey', 'rogue.key', '-days', '30', '-extfile', 'tsu.ext',
                     '-out', 'tsu-rogue.pem')
        for certificate, key in ((self.folder / 'tsu.pem', self.folder / 'tsu.key'),
                                 (self.folder / 'tsu-rogue.pem', self.folder / 'tsu.key'), (pki / 'tls.pem', pki / 'tls.key')):
            with contextlib.closing(Front(demo, certificate, key)) as middle:
                demo.audited_at(middle.port)
                report = demo.audit_now(ok=3)
                self.assertEqual(report['outcome'], 'unreachable')
                self.assertRegex(report['text'], 'certificate|verif')
                self.assertEqual(middle.seen, [])
        # Octets changed under way: no TLS record is taken, in either direction.
        relay = Relay(demo.port + 2)
        self.addCleanup(relay.close)
        demo.audited_at(relay.port)
        for way in ('there', 'back'):
            relay.change = lambda at, piece: piece[:-1] + bytes([piece[-1] ^ 1]) if at == way and piece[:1] == b'\x17' else piece
            self.assertEqual(demo.audit_now(ok=3)['outcome'], 'unreachable')
        relay.change = lambda at, piece: piece
        # In the place of taad.
        context = ssl.create_default_context(cafile=demo.root())
        for certificate, key in ((None, None), (self.folder / 'taa.pem', self.folder / 'taa.key')):
            if certificate:
                context.load_cert_chain(certificate, key)
            with self.assertRaises((OSError, http.client.HTTPException)):  # before any answer
                self.ask(context)
        # Of ours, but the TSU's own: its name isn't the TAA's.
        context.load_cert_chain(pki / 'audit-tsu.pem', pki / 'audit-tsu.key')
        self.assertEqual(self.ask(context)[0], 403)
        self.assertEqual(self.ask(context, 'PUT', '/audit/tac')[0], 403)
        self.assertEqual((self.in_force(), len(demo.events('tac.accepted')), len(demo.events('tac.refused'))), before)
        self.assertEqual(demo.audit_now()['verdict'], 'accepted')  # through the relay, now that it is honest

    def ask(self, context, method='POST', path='/audit/clock'):
        connection = http.client.HTTPSConnection('127.0.0.1', self.demo.port + 2, timeout=30, context=context)
        context.check_hostname = False
        with contextlib.closing(connection):
            connection.request(method, path, '{}', {'Content-Type': 'application/json'})
            answer = connection.getresponse()
            return answer.status, answer.read()

    def test_5_times_that_are_lies(self):
        """T2 and T3 changed on their way by somebody who has the TSU's channel key."""
        demo, front = self.demo, self.front
        demo.audited_at(front.port)
        shift = lambda ms: lambda said: {**said, 't2_ns': said['t2_ns'] + ms * 10**6, 't3_ns': said['t3_ns'] + ms * 10**6}
        # Larger than the delay explains: tsad's own record says otherwise.
        for ms in (60, -60):
            front.tell = shift(ms)
            before = self.in_force()
            report = demo.audit_now(ok=1)
            self.assertEqual((report['verdict'], report['reason']), ('refused', 'contradiction'))
            self.assertEqual(self.in_force(), before)
        # Inside the delay, on top of a path that is slow one way only: taken, but the lie is counted as uncertainty. This
        # machine's clock is right, so what the evidence says contains 0.
        for ms, before, after in ((-30, 0.0, 0.07), (30, 0.07, 0.0)):
            front.tell, front.before, front.after = shift(ms), before, after
            # A machine that is busy adds a delay of its own, which hides the lie: then it is told again.
            report = until(lambda: (told := demo.audit_now())['delay_us'] < 78_000 and told, 'a measurement that was not held up')
            self.assertEqual((report['outcome'], report['verdict']), ('good', 'accepted'))
            self.assertGreater(abs(report['offset_us']), report['delay_us'] / 2 + 20_000)
            shown = json.loads(demo.tsaudit('show', demo.stamp().tst.serial, '--json').out)
            evidence = [e for e in shown['clock_evidence'] if e['note'] == 'TAC ' + report['tac']][0]
            print(report, evidence)
            self.assertGreaterEqual(evidence['uncertainty_us'], report['delay_us'] / 2 + 30_000 + 29_000)
            self.assertLessEqual(abs(evidence['offset_us']), evidence['uncertainty_us'])
        # No measurement at all.
        front.straight()
        before = self.in_force()
        for change, outcome, text in (
                (lambda said: {**said, 't3_ns': said['t3_ns'] + 5 * 10**9}, 'bad-answer', 'took longer to answer'),
                (lambda said: {**said, 't3_ns': said['t2_ns'] - 1}, 'bad-answer', 'ran backwards'),
                # Around the moment of tsad's own record, to hide the delay.
                (lambda said: {**said, 't2_ns': said['t2_ns'] - 10**6, 't3_ns': said['t3_ns'] + 10**6}, 'bad-answer', 'to answer'),
                (lambda said: {**said, 'nonce': os.urandom(32).hex()}, 'bad-answer', 'another nonce'),
                (lambda said: {**said, 'certificate_sha256': os.urandom(32).hex()}, 'other-certificate', 'signs with')):
            front.tell = change
            report = demo.audit_now(ok=3)
            self.assertEqual(report['outcome'], outcome)
            self.assertIn(text, report['text'])
            self.assertNotIn('tac', report)
        # An answer played back, out of an earlier exchange.
        earlier = demo.as_taa('POST', '/audit/clock', {'nonce': os.urandom(32).hex(), 'tsu': 'tsu-1'})[1]
        front.tell = lambda said: earlier
        self.assertIn('another nonce', demo.audit_now(ok=3)['text'])
        self.assertEqual(self.in_force(), before)


if __name__ == '__main__':
    harness.main()
