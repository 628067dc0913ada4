"""GET /repository/tac/{serial}: the TAC that covers a token, for whoever holds the token (TSA-10)."""
import http.client
import json

import harness
from harness import BIN, run, until

TYPE = 'application/pkix-attr-cert'


class RepositoryTest(harness.TestCase):
    def get(self, serial, method='GET'):
        """(HTTP status, headers, body); `serial` goes out as it is."""
        connection = http.client.HTTPConnection('127.0.0.1', self.demo.port, timeout=30)
        self.addCleanup(connection.close)
        connection.request(method, '/repository/tac/' + serial)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def covering(self, response):
        """(serial, DER) of the TAC that covers a token, as an auditor finds it."""
        serial = json.loads(self.demo.tsaudit('show', response.tst.serial, '--json').out)['tac']
        file = self.folder / 'shown.der'
        self.demo.tsaudit('show', response.tst.serial, '--tac', file)
        return serial, file.read_bytes()

    def assert_served(self, serial, tac):
        # Just after a start the answer is "not yet" (503) while earlier TACs are read.
        until(lambda: self.get(serial)[0] != 503, 'the TACs of earlier runs are read')
        status, headers, body = self.get(serial)
        self.assertEqual((status, headers['Content-Type'], body), (200, TYPE, tac))
        self.assertIn('immutable', headers['Cache-Control'])

    def assert_nothing(self, serial, ok=(404,)):
        status, headers, body = self.get(serial)
        self.assertIn(status, ok, (serial, body))
        self.assertEqual(len(body.splitlines()), 1, body)
        self.assertLess(len(body), 100)
        for word in (b'/', b'sqlite', b'archive', b'.cpp'):
            self.assertNotIn(word, body.lower())
        if status == 404 and ok == (404,):  # there may be one tomorrow
            self.assertEqual(headers['Cache-Control'], 'no-store')

    def test_tac_of_a_token(self):
        demo = self.demo
        demo.audit_often()
        self.set_clock('+0')
        demo.start(env=self.faked())
        serial, tac = self.covering(demo.stamp())

        # By curl, on both listeners.
        file = self.folder / 'got.der'
        for url in (demo.url(f'/repository/tac/{serial}'), f'https://localhost:{demo.port + 1}/repository/tac/{serial}'):
            head = run('curl', '-fsS', '--cacert', demo.root(), '-D', '-', '-o', file, url).out
            self.assertIn(f'content-type: {TYPE}', head.lower())
            self.assertEqual(file.read_bytes(), tac)
        self.assertEqual(json.loads(run(BIN / 'tsaudit', 'tac', 'show', file, '--json').out)['serial'], serial)
        self.assertIn(serial, run(BIN / 'tsaudit', 'tac', 'show', file).out)

        for other in (serial.upper(), '0' + serial, '0' * 60 + serial, serial.swapcase(), f'%{ord(serial[0]):02x}{serial[1:]}'):
            self.assert_served(other, tac)
        status, headers, body = self.get(serial, 'HEAD')
        self.assertEqual((status, headers['Content-Type'], headers['Content-Length'], body), (200, TYPE, str(len(tac)), b''))
        self.assertEqual(self.get(serial, 'POST')[0], 405)

        unknown = ('0', '1', serial + '0', serial[:-1], 'f' * 40)
        malformed = ('xyz', '-1', '0x' + serial, serial + '%20', serial + '%00', serial + '.der', 'f' * 4000, '%ff', "'or'1")
        traversal = ('..', '../..', '..%2f..%2fetc%2fpasswd', '%2e%2e%2f%2e%2e%2ftsad.toml', f'{serial}/../{serial}/x', f'{serial}/',
                     '', f'..\\{serial}', f'{serial}/tsad.toml')
        for word in unknown:
            self.assert_nothing(word)
        for word in (*malformed, *traversal):
            self.assert_nothing(word, (400, 404, 414))

        # The next TAC is there as soon as it covers tokens; the old one still is.
        demo.taad.stop()
        demo.start_taad()
        until(lambda: self.covering(demo.stamp())[0] != serial, 'a second TAC')
        second = self.covering(demo.stamp())
        self.assert_served(*second)
        self.assert_served(serial, tac)

        # While the gate is closed, and after a restart with the gate closed.
        demo.taad.stop()
        self.set_clock('+3')
        self.assertEqual(demo.stamp().fail, 'timeNotAvailable')
        self.assert_served(serial, tac)
        self.assertEqual(demo.tsad.stop(), 0)
        demo.start_tsad(env=self.faked())
        self.assertEqual(demo.stamp().fail, 'timeNotAvailable')
        for known in ((serial, tac), second):
            self.assert_served(*known)
        for word in unknown:
            self.assert_nothing(word)
        demo.tsad.kill()
        self.set_clock('+0')
        demo.start_tsad(env=self.faked())
        for known in ((serial, tac), second):
            self.assert_served(*known)


class PublishedTest(harness.TestCase):
    """TSA-11: without the operators' help a token is verified, and an auditor knows whose signatures count."""

    def fetch(self, name):
        """(HTTP status, headers, body) of what stands below /repository."""
        connection = http.client.HTTPConnection('127.0.0.1', self.demo.port, timeout=30)
        self.addCleanup(connection.close)
        connection.request('GET', '/repository/' + name)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def test_what_verification_needs(self):
        demo = self.demo
        demo.start()
        status, headers, body = self.fetch('policy')
        self.assertEqual((status, headers['Cache-Control'], body), (404, 'no-store', b'no policy is published here\n'))
        self.assertEqual(demo.tsad.stop(), 0)
        demo.edit('tsad', (r'^#   \[repository\]$', '[repository]'), (r'^#   policy = "policy.pdf"$', 'policy = "policy.txt"'))
        demo.start_tsad()
        self.assertEqual(self.fetch('policy')[0], 503)
        (demo.dir / 'policy.txt').write_text('Tokens are issued under …\n')
        status, headers, body = self.fetch('policy')
        self.assertEqual((status, headers['Content-Type'], body.decode()), (200, 'text/plain; charset=utf-8', 'Tokens are issued under …\n'))

        data, response, tsus = (self.folder / name for name in ('data', 'data.tsr', 'tsus.pem'))
        data.write_bytes(b'what verification needs')
        run(BIN / 'tsactl', 'stamp', data, '-o', response, '--url', demo.url('/'))
        status, headers, body = self.fetch('certificates')
        self.assertEqual((status, headers['Content-Type']), (200, 'application/x-pem-file'))
        self.assertIn(b'# TSU tsu-1, active\n-----BEGIN CERTIFICATE-----\n', body)
        tsus.write_bytes(body)
        run('openssl', 'ts', '-verify', '-data', data, '-in', response, '-CAfile', demo.root(), '-untrusted', tsus)
        status, headers, body = self.fetch('log-key')
        self.assertEqual(status, 200)
        self.assertEqual(body.decode().splitlines(), [event['fields']['verifier'] for event in demo.events('archive.key')])


if __name__ == '__main__':
    harness.main()
