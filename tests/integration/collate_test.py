"""Collation (照合, ARC-5) as the holder of a token asks for it: docs/collation.md, and every result."""
import json
import os
import random
import re
import unittest

import harness
from harness import run, until
import rfc3161


def tlv(tag, *parts):
    body = b''.join(parts)
    size = len(body)
    length = bytes([size]) if size < 128 else (lambda octets: bytes([0x80 | len(octets)]) + octets)(size.to_bytes((size.bit_length() + 7) // 8, 'big'))
    return bytes([tag]) + length + body


class CollateTest(harness.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.demo.start()
        cls.responses = [cls.demo.post(rfc3161.query())[2] for _ in range(3)]
        cls.response = cls.responses[0]
        cls.token = rfc3161.Response(cls.response).token
        until(lambda: cls.ask(cls.token).get('proof'), 'a proof', 20)

    @classmethod
    def ask(cls, body, content_type='application/timestamp-reply', **fields):
        status, headers, answer = cls.demo.post(body, '/collate', content_type)
        assert status == 200, (status, answer)
        assert headers['Content-Type'].startswith('application/json'), headers['Content-Type']
        return json.loads(answer)

    def test_1_the_documented_commands(self):
        place = self.folder / 'holder'
        place.mkdir()
        (place / 'token.tsr').write_bytes(self.response)
        page = (harness.TOP / 'docs/collation.md').read_text()
        blocks = re.findall(r'^```sh\n(.*?)^```$', page, re.M | re.S)
        self.assertEqual(len(blocks), 2)
        env = {'PATH': f'{harness.BIN}:{os.environ["PATH"]}', 'TSA': self.demo.url()[:-1]}
        for block in blocks:
            done = run('bash', '-euo', 'pipefail', '-c', block, cwd=place, env=env)
        self.assertIn('the proof holds', done.out)
        answer = json.loads((place / 'answer.json').read_text())
        self.assertEqual(answer['result'], 'matches')
        serial = rfc3161.TstInfo(self.token).serial
        found = json.loads(self.demo.tsaudit('find', '--serial', serial, '--json').out)
        for key in ('serial', 'policy', 'imprint', 'tsu', 'clock_bound_us'):
            self.assertEqual(answer[key], found[key])
        self.assertEqual(answer['gen_time'], found['gen_time'])
        self.assertEqual(answer['tac']['serial'], found['tac'])
        self.assertEqual(run('curl', '-fsS', self.demo.url(answer['tac']['path'])).returncode, 0)
        until_text = run('openssl', 'x509', '-in', self.demo.dir / 'pki/tsu.pem', '-noout', '-enddate', '-dateopt', 'iso_8601').out
        self.assertEqual(answer['holds_until'], until_text.strip().split('=')[1].replace(' ', 'T'))
        self.assertEqual(answer['holds_until_because'], 'certificate')
        self.assertIsNone(answer['key_compromised'])
        # Over HTTPS, and the bare token.
        done = run('curl', '-fsS', '--cacert', self.demo.root(), '--data-binary', f'@{place}/token.tsr', f'https://localhost:{self.demo.port + 1}/collate')
        self.assertEqual(json.loads(done.out)['result'], 'matches')
        self.assertEqual(self.ask(self.token)['result'], 'matches')
        self.assertEqual(self.ask(self.token, None)['result'], 'matches')

    def test_2_altered_and_what(self):
        tst = self.token.index(bytes.fromhex(rfc3161.TstInfo(self.token).serial))
        imprint = bytes.fromhex(self.ask(self.token)['imprint'])

        def altered(at, octet=None):
            octets = bytearray(self.token)
            octets[at] = octets[at] ^ 1 if octet is None else octet
            return self.ask(bytes(octets))

        answer = altered(self.token.index(imprint) + 5)
        self.assertEqual((answer['result'], answer['differs']), ('altered', ['imprint']))
        self.assertEqual(answer['imprint'], imprint.hex())  # of the record
        gen_time = re.search(rb'20\d{12}', self.token).start()
        answer = altered(gen_time + 3)
        self.assertEqual((answer['result'], answer['differs']), ('altered', ['gen_time']))
        answer = altered(len(self.token) - 3)
        self.assertEqual((answer['result'], answer['differs']), ('altered', ['signature']))
        # Another serial number: none of ours.
        answer = altered(tst + 15)
        self.assertEqual(answer['result'], 'not-issued-here')
        self.assertNotIn('imprint', answer)
        # Any octet whatever: it never "matches", and the server answers.
        dice = random.Random(5)
        for _ in range(200):
            answer = altered(dice.randrange(len(self.token)), dice.randrange(256))
            if answer['result'] == 'matches':
                self.assertEqual(answer['token_sha256'], self.ask(self.token)['token_sha256'])
            self.assertIn(answer['result'], ('matches', 'altered', 'not-issued-here', 'malformed'))

    def test_3_malformed(self):
        for body, said in ((self.token[:-1], 'octet'), (self.token + b'\0', 'octet'), (b'', 'octet'), (b'hello', 'octet'),
                           (rfc3161.query(), 'octet'), (tlv(0x30, tlv(2, b'\2'), self.token), 'unknown version')):
            answer = self.ask(body)
            self.assertEqual(answer['result'], 'malformed')
            self.assertIn(said, answer['detail'])
        refused = self.demo.post(rfc3161.query(policy='1.2.3'))[2]  # a response without a token
        self.assertEqual(self.ask(refused)['result'], 'malformed')
        self.assertEqual(self.demo.post(bytes(70000), '/collate')[0], 413)

    def test_4_verify_request(self):
        other = bytearray(self.token)
        other[-1] ^= 1
        for request_id in (b'', tlv(4, b'my request'), tlv(0x80, b'mine')):
            for token, status in ((self.token, 0), (bytes(other), 2)):
                asked = tlv(0x30, tlv(2, b'\1'), token, request_id)
                code, headers, answer = self.demo.post(asked, '/collate', 'application/octet-stream')
                self.assertEqual((code, headers['Content-Type']), (200, 'application/octet-stream'))
                text = b'altered: the token with this serial number was issued here, and differs in: signature'
                info = tlv(0x30, tlv(2, bytes([status])), *([tlv(0x30, tlv(0x0c, text))] if status else []))
                self.assertEqual(answer, tlv(0x30, tlv(2, b'\1'), info, token, request_id))

    def test_5_an_algorithm_is_given_up(self):
        """ARC-13: tokens that are long with their holders answer otherwise from the next start on."""
        page = (harness.TOP / 'docs/collation.md').read_text()
        (table,) = re.findall(r'^```toml\n(.*?)^```$', page, re.M | re.S)
        for old, new, until_then, because in ((None, table.replace('2031', '2028').replace('2040', '2029'), '2028-01-01T00:00:00Z', 'rsa2048'),
                                              ('2029', '2027', '2027-01-01T00:00:00Z', 'sha256')):
            if old:
                self.demo.edit('tsad', (f'"{old}-01-01"', f'"{new}-01-01"'))
            else:
                self.demo.edit('tsad', append=f'\n{new}')
            self.demo.tsad.stop()
            self.demo.start_tsad()
            answer = self.ask(self.token)
            self.assertEqual((answer['result'], answer['holds_until'], answer['holds_until_because']), ('matches', until_then, because))
        self.demo.wait_ready()

    def test_6_a_compromised_key(self):
        self.assertIsNone(self.ask(self.token)['key_compromised'])
        self.demo.tsactl('key', 'compromise', 'tsu-1', '--why', 'a test', '--by', 'test', '--dir', self.folder / 'papers')
        answer = self.ask(self.token)
        self.assertEqual(answer['result'], 'matches')
        self.assertRegex(answer['key_compromised'], r'^20\d\d-')


if __name__ == '__main__':
    harness.main()
