"""Hostile input over the wire: every prefix of a valid request, every single-octet change, trailing octets, BER, huge bodies,
wrong media types and methods, garbage for HTTP and TLS. Always a well-formed answer or a closed connection, never a crash;
the server still stamps afterwards. Runs against the asan+ubsan build when there is one (KOKUIN_ASAN_BIN or build-asan)."""
import concurrent.futures
import http.client
import os
import pathlib
import re
import socket
import ssl

import harness
import rfc3161
from harness import QUERY_TYPE, REPLY_TYPE, TOP

NONCE = 0x0123456789abcdef
SANITIZED = pathlib.Path(os.environ.get('KOKUIN_ASAN_BIN') or TOP / 'build-asan' / 'bin') / 'tsad'


class HostileTest(harness.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        assert SANITIZED.exists() or 'KOKUIN_ASAN_BIN' not in os.environ, f'{SANITIZED} is missing; build the asan preset'
        cls.binary = SANITIZED if SANITIZED.exists() else harness.BIN / 'tsad'
        print(f'against {cls.binary}')
        # Short deadlines: half-sent requests are part of this.
        cls.demo.edit('tsad', (r'^# deadline = .*$', 'deadline = "2s"'))
        cls.demo.start(binary=cls.binary, env={
            # Stacks whole: libcrypto keeps no frame pointers, and what SoftHSM loses in there is not ours.
            'ASAN_OPTIONS': 'detect_leaks=1:halt_on_error=1:exitcode=66:fast_unwind_on_malloc=0',
            'LSAN_OPTIONS': f'suppressions={TOP}/tests/lsan.supp:print_suppressions=0',
            'UBSAN_OPTIONS': 'halt_on_error=1:print_stacktrace=1:exitcode=66'})

    def setUp(self):
        self.valid = rfc3161.query(imprint=bytes(range(32)), nonce=NONCE, policy='1.3.6.1.4.1.1291.1.1.1.1')
        self.assert_stamps()

    def tearDown(self):
        self.assert_stamps()

    @classmethod
    def tearDownClass(cls):
        status = cls.demo.tsad.stop()
        written = cls.demo.tsad.written()
        found = re.search(r'.*(AddressSanitizer|LeakSanitizer|runtime error|terminate called|internal fault).*', written)
        assert status == 0 and not found, f'tsad ended with {status}:\n{cls.demo.tsad.tail(60)}'
        super().tearDownClass()

    def assert_stamps(self):
        self.demo.tsad.must_live()
        self.assertEqual(self.demo.stamp().status, 0)

    # -- bodies

    def answers(self, bodies):
        """The Response to each body; keep-alive, a few connections side by side."""
        bodies = list(bodies)

        def work(part):
            connection, out = http.client.HTTPConnection('127.0.0.1', self.demo.port, timeout=30), []
            for body in part:
                try:
                    connection.request('POST', '/', body, {'Content-Type': QUERY_TYPE})
                    answer = connection.getresponse()
                    content = answer.read()
                except OSError as error:
                    raise AssertionError(f'{error} for {body.hex()}\n{self.demo.tsad.tail()}')
                assert answer.status == 200 and answer.headers['Content-Type'] == REPLY_TYPE, (answer.status, body.hex())
                try:
                    out.append(rfc3161.Response(content))
                except (rfc3161.Malformed, ValueError, IndexError, KeyError) as error:
                    raise AssertionError(f'{error!r}: {content.hex()} for {body.hex()}')
            connection.close()
            return out

        parts = [bodies[i::4] for i in range(4)]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            found = list(pool.map(work, parts))
        merged = [None] * len(bodies)
        for i, part in enumerate(found):
            merged[i::4] = part
        return merged

    def assert_refused(self, bodies, allowed=('badDataFormat',)):
        bodies = list(bodies)
        for body, response in zip(bodies, self.answers(bodies)):
            self.assertEqual(response.status, 2, body.hex())
            self.assertIn(response.fail, allowed, body.hex())

    def test_prefixes(self):
        self.assert_refused(self.valid[:n] for n in range(len(self.valid)))

    def test_single_octet_changes(self):
        imprint = self.valid.index(bytes(range(32)))
        nonce = self.valid.index(NONCE.to_bytes(8, 'big'))
        free = {*range(imprint, imprint + 32), *range(nonce, nonce + 8)}
        bodies = []
        for at, octet in enumerate(self.valid):
            # Imprint and nonce may have any value (and cost a signature each): some of them. Elsewhere: all.
            values = {0, 0x7f, 0x80, 0xff, octet ^ 1} if at in free else range(256)
            bodies += [(at, self.valid[:at] + bytes([v]) + self.valid[at + 1:]) for v in values if v != octet]
        counts, others = {}, 0
        for (at, body), response in zip(bodies, self.answers(body for _, body in bodies)):
            outcome = response.fail or 'granted'
            counts[outcome] = counts.get(outcome, 0) + 1
            if at in free:
                expected = ('granted', 'badDataFormat') if at == nonce else ('granted',)
                self.assertIn(outcome, expected, (at, body.hex()))
                if outcome == 'granted':
                    self.assertIn(response.tst.imprint, body)
            elif outcome == 'granted':
                # Few changes make another good request (the other policy's number; a longer nonce that swallows certReq):
                # then it is answered, and as it stands.
                others += 1
                self.assertIn(response.tst.policy, ('1.3.6.1.4.1.1291.1.1.1.1', '1.3.6.1.4.1.1291.1.1.1.2'))
                self.assertIn(rfc3161.oid(response.tst.policy) + rfc3161.tlv(2, response.tst.nonce), body)
                self.assertEqual(response.tst.certificates is not None, len(response.tst.nonce) == 8)
            else:
                self.assertIn(outcome, ('badDataFormat', 'badRequest', 'badAlg', 'unacceptedPolicy', 'unacceptedExtension'),
                              (at, body.hex()))
        self.assertLessEqual(others, 3)
        print(f'{len(bodies)} changes: {counts}')

    def test_octets_more_or_less(self):
        self.assert_refused([self.valid + b'\0', self.valid + self.valid, self.valid + bytes(1000), b'', b'\0', b'\x30',
                             b'\x30\x00', self.valid[1:], b'\0' + self.valid])
        # One octet taken out or put in, anywhere.
        bodies = [self.valid[:i] + self.valid[i + 1:] for i in range(len(self.valid))]
        bodies += [self.valid[:i] + octet + self.valid[i:] for i in range(len(self.valid)) for octet in (b'\0', b'\x30', b'\xff')]
        for body, response in zip(bodies, self.answers(bodies)):
            self.assertEqual(response.status, 2, body.hex())

    def test_ber(self):
        """What BER allows and DER doesn't."""
        tlv, oid = rfc3161.tlv, rfc3161.oid
        imprint, version, sha256 = os.urandom(32), rfc3161.integer(1), oid('2.16.840.1.101.3.4.2.1') + b'\x05\x00'
        algorithm = tlv(0x30, sha256)
        message = tlv(0x30, algorithm + tlv(4, imprint))
        self.assertEqual(self.answers([tlv(0x30, version + message)])[0].status, 0)
        long_form = lambda tag, content: bytes([tag, 0x81, len(content)]) + content
        endless = lambda tag, content: bytes([tag, 0x80]) + content + b'\0\0'
        self.assert_refused([
            endless(0x30, version + message),
            long_form(0x30, version + message),
            b'\x30\x82\x00' + bytes([len(version + message)]) + version + message,
            tlv(0x30, version + endless(0x30, algorithm + tlv(4, imprint))),
            tlv(0x30, version + long_form(0x30, algorithm + tlv(4, imprint))),
            tlv(0x30, version + tlv(0x30, long_form(0x30, sha256) + tlv(4, imprint))),
            tlv(0x30, version + tlv(0x30, algorithm + tlv(0x24, tlv(4, imprint[:16]) + tlv(4, imprint[16:])))),
            tlv(0x30, version + tlv(0x30, algorithm + endless(0x24, tlv(4, imprint)))),
            tlv(0x30, b'\x02\x02\x00\x01' + message),
            tlv(0x30, version + message + b'\x02\x02\x00\x01'),
            tlv(0x30, version + message + b'\x02\x02\xff\xff'),
            tlv(0x30, version + message + b'\x02\x00'),
            tlv(0x30, version + message + b'\x01\x01\x01'),
            tlv(0x30, version + message + b'\x01\x01\x00'),  # the DEFAULT, written out
            tlv(0x30, version + message + b'\x01\x00'),
            tlv(0x30, version + message + b'\x01\x01\xff' + b'\x02\x01\x05'),  # wrong order
            tlv(0x30, version + message + b'\x02\x01\x05' + b'\x02\x01\x05'),  # twice
            tlv(0x30, version + message + b'\x05\x00'),
            tlv(0x31, version + message),
            tlv(0x30, message + version),
            bytes([0x3f, 0x81, 0x00, 0x00]),
            b'\x30\x84\xff\xff\xff\xff' + version, b'\x30\x88' + b'\xff' * 8 + version, b'\x30\xff' + b'\xff' * 127,
        ], ('badDataFormat', 'badRequest'))
        deep = b''
        for _ in range(1000):
            deep = tlv(0x30, deep)
        self.assert_refused([deep, tlv(0x30, version + tlv(0x30, deep))])

    def test_what_is_readable_but_not_accepted(self):
        q = rfc3161.query
        extension = rfc3161.tlv(0xa0, rfc3161.tlv(0x30, rfc3161.oid('1.2.3.4') + rfc3161.tlv(4, b'x')))
        for body, fail in ((q(hash='sha1'), ('badAlg',)), (q(policy='1.2.3'), ('unacceptedPolicy',)),
                           (q(imprint=bytes(31)), ('badDataFormat',)), (q(imprint=bytes(33)), ('badDataFormat',)),
                           (q(imprint=b''), ('badDataFormat',)), (q(hash='sha512', imprint=bytes(32)), ('badDataFormat',)),
                           (q(extensions=extension), ('unacceptedExtension',)),
                           (q(nonce_octets=b'\x01' * 6000), ('badDataFormat', 'badRequest', 'granted'))):
            response = self.answers([body])[0]
            self.assertIn(response.fail or 'granted', fail, body.hex())

    # -- HTTP

    def exchange(self, octets, port=None, half_close=True, context=None):
        """Sends octets as they are; all that comes back until the server closes."""
        with socket.create_connection(('127.0.0.1', port or self.demo.port), timeout=30) as s:
            if not context:
                return self.talk(s, octets, half_close)
            with context.wrap_socket(s, server_hostname='localhost') as secured:
                return self.talk(secured, octets, False)

    @staticmethod
    def talk(s, octets, half_close):
        try:
            s.sendall(octets)
            if half_close:
                s.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the server has seen enough already
        out = b''
        try:
            while part := s.recv(65536):
                out += part
        except (ConnectionError, ssl.SSLError):
            pass
        return out

    def assert_status(self, answer, *statuses):
        if answer == b'' and 0 in statuses:
            return
        match = re.match(rb'HTTP/1\.[01] (\d\d\d) ', answer)
        self.assertTrue(match, answer[:100])
        self.assertIn(int(match[1]), statuses, answer[:300])

    def request(self, body=None, method='POST', target='/', type=QUERY_TYPE, version='1.1', more=(), length=None):
        body = self.valid if body is None else body
        lines = [f'{method} {target} HTTP/{version}', 'Host: localhost', *more]
        if type:
            lines.append(f'Content-Type: {type}')
        if length is not False:
            lines.append(f'Content-Length: {len(body) if length is None else length}')
        return '\r\n'.join(lines).encode() + b'\r\n\r\n' + body

    def test_large_bodies(self):
        for body in (bytes(1_000_000), self.valid + bytes(1_000_000), b'\x30\x83\x0f\x42\x40' + bytes(1_000_000)):
            self.assert_status(self.exchange(self.request(body), half_close=False), 413)
        self.assert_status(self.exchange(self.request(length=10**18)), 413)
        self.assert_status(self.exchange(self.request(length=10**30)), 400, 413)
        chunked = b''.join(b'ffff\r\n' + bytes(65535) + b'\r\n' for _ in range(16)) + b'0\r\n\r\n'
        self.assert_status(self.exchange(self.request(chunked, length=False, more=['Transfer-Encoding: chunked']),
                                         half_close=False), 400, 411, 413, 501)

    def test_media_types_and_methods(self):
        for type in ('text/plain', 'application/timestamp-reply', 'application/timestamp-queryx', '', 'x' * 1000, ';', '/',
                     'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'multipart/form-data'):
            self.assert_status(self.exchange(self.request(type=type, more=['Connection: close'])), 400, 415)
        for type in ('application/timestamp-query; charset=binary', 'APPLICATION/Timestamp-Query', 'application/timestamp-query;x'):
            self.assert_status(self.exchange(self.request(type=type, more=['Connection: close'])), 200)
        for method in ('GET', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH', 'TRACE', 'CONNECT', 'PRI', 'X'):
            self.assert_status(self.exchange(self.request(method=method, more=['Connection: close'])), 400, 404, 405, 501)
        for target in ('/nowhere', '/tsa/', '/tsa/none', '/tsa/a2/x', '/../etc/passwd', '/%00', '/%', '/%zz', '//', '*', 'x',
                       '/tsa/' + 'a' * 5000, '/?' + 'a=b&' * 1000, '/\x01'):
            self.assert_status(self.exchange(self.request(target=target, more=['Connection: close'])), 200, 400, 404, 405, 414, 431)

    def test_garbage(self):
        valid = self.request(more=['Connection: close'])
        self.assert_status(self.exchange(valid), 200)
        self.assert_status(self.exchange(self.request(version='1.0')), 200)
        broken = [b'', b'\r\n', b'\r\n' * 1000, b'\0' * 1000, os.urandom(5000), b'POST', b'POST /', b'POST / HTTP/1.1\r\n',
                  b'POST / HTTP/9.9\r\n\r\n', b'POST / FTP/1.1\r\n\r\n', b'POST  / HTTP/1.1\r\n\r\n', b'POST /\r\n\r\n',
                  b'A' * 100_000, b'POST /' + b'a' * 100_000 + b' HTTP/1.1\r\n\r\n',
                  b'POST / HTTP/1.1\r\n' + b'X: y\r\n' * 20_000 + b'\r\n',
                  b'POST / HTTP/1.1\r\nX: ' + b'y' * 200_000 + b'\r\n\r\n',
                  b'POST / HTTP/1.1\r\n: x\r\n\r\n', b'POST / HTTP/1.1\r\nno colon\r\n\r\n', b'POST / HTTP/1.1\r\nX\0: y\r\n\r\n',
                  self.request(length=-1), self.request(length='abc'), self.request(length='0x10'), self.request(length=''),
                  self.request(length=3), self.request(more=['Content-Length: 3', 'Connection: close']),
                  self.request(more=['Transfer-Encoding: chunked']), self.request(length=False),
                  self.request(b'zz\r\nabc\r\n0\r\n\r\n', length=False, more=['Transfer-Encoding: chunked']),
                  self.request(b'ffffffffffffffff\r\nabc', length=False, more=['Transfer-Encoding: chunked']),
                  self.request(b'-1\r\nabc', length=False, more=['Transfer-Encoding: chunked']),
                  self.request(more=['Content-Encoding: gzip', 'Connection: close']),
                  self.request(bytes.fromhex('1f8b0800000000000003') + os.urandom(60), more=['Content-Encoding: gzip', 'Connection: close']),
                  self.request(more=['Content-Encoding: br', 'Connection: close']),
                  self.request(more=['Expect: 100-continue', 'Connection: close']),
                  self.request(more=['Range: bytes=0-1000000000,5-6,-3', 'Connection: close']),
                  self.request(more=['Range: bytes=' + '0-0,' * 3000 + '1-1', 'Connection: close']),
                  b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + os.urandom(512)]
        for octets in broken:
            self.assert_status(self.exchange(octets), 0, 100, 200, 206, 400, 404, 405, 408, 411, 413, 414, 415, 416, 417, 431, 501, 505)
        # Cut off anywhere, and given up by the client.
        for n in range(0, len(valid), 3):
            with socket.create_connection(('127.0.0.1', self.demo.port), timeout=30) as s:
                s.sendall(valid[:n])
        # Octet by octet in a hurry, and two requests at once.
        with socket.create_connection(('127.0.0.1', self.demo.port), timeout=30) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for octet in valid:
                s.sendall(bytes([octet]))
            self.assert_status(s.recv(65536), 200)
        double = self.exchange(self.request() + valid)
        self.assertEqual(double.count(b'HTTP/1.1 200'), 2, double[:300])

    def test_slow_senders_are_cut(self):
        with socket.create_connection(('127.0.0.1', self.demo.port), timeout=30) as s:
            s.sendall(self.request()[:-10])
            answer = s.recv(65536)  # the deadline of 2 s ends this, one way or the other
            if answer:
                self.assert_status(answer, 408)

    def test_tls_and_audit_ports(self):
        context = ssl.create_default_context(cafile=self.demo.root())
        https, audit, taa = self.demo.port + 1, self.demo.port + 2, self.demo.port + 3
        self.assert_status(self.exchange(self.request(more=['Connection: close']), https, context=context), 200)
        for port in (https, audit, taa):
            for octets in (b'', os.urandom(3000), self.request(), b'\x16\x03\x01' + b'\xff' * 3000, b'\x16\x03\x01\x00\x00',
                           b'\x80\x2e\x01\x03\x01' + bytes(50)):
                self.exchange(octets, port)
        for port in (audit, taa):  # a client without certificate
            loose = ssl.create_default_context()
            loose.check_hostname, loose.verify_mode = False, ssl.CERT_NONE
            try:
                answer = self.exchange(self.request(target='/audit/clock', type='application/json', body=b'{}',
                                                    more=['Connection: close']), port, context=loose)
                self.assertEqual(answer, b'')
            except (ssl.SSLError, ConnectionError):
                pass
        self.demo.taad.must_live()

    def test_audit_bodies(self):
        """What only the TAA may send, with its certificate, but nonsense in it."""
        context = ssl.create_default_context(cafile=self.demo.root())
        context.check_hostname = False
        context.load_cert_chain(self.demo.dir / 'pki/audit-taa.pem', self.demo.dir / 'pki/audit-taa.key')
        bodies = [b'', b'{', b'{}', b'[]', b'null', b'"x"', b'0', b'{"nonce": 1}', b'{"nonce": "zz"}', b'{"nonce": ""}',
                  b'[' * 50_000, b'{"a":' * 20_000, b'{"nonce": "' + b'00' * 20_000 + b'"}', b'\xff\xfe', b'{"nonce": "\\ud800"}',
                  b'{"nonce": "00112233445566778899aabbccddeeff", "tac": "AAAA", "tsu": "tsu-1"}',
                  b'{"version": 99999999999999999999999}', os.urandom(1000), bytes(1_000_000)]
        for method, target in (('POST', '/audit/clock'), ('PUT', '/audit/tac')):
            for body in bodies:
                answer = self.exchange(self.request(body, method=method, target=target, type='application/json',
                                                    more=['Connection: close']), self.demo.port + 2, context=context)
                self.assert_status(answer, 0, 200, 400, 413, 415, 422)


if __name__ == '__main__':
    harness.main()
