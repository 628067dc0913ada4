"""Months are sealed, time-stamped by a TSA of another organisation (openssl ts), renewed; evidence records are judged by tsaudit and by
Bouncy Castle: docs/seals.md."""
import http.server
import json
import os
import re
import sqlite3
import subprocess
import threading
import time
import unittest

import harness
from harness import run, until
import rfc3161

BOUNCY_CASTLE = ':'.join(f'/usr/share/java/{name}.jar' for name in ('bcprov', 'bcutil', 'bcpkix'))
TSA_CONF = '''[tsa]
default_tsa = it
[it]
serial = {dir}/serial
signer_cert = {dir}/tsa.pem
certs = {dir}/root.pem
signer_key = {dir}/tsa.key
signer_digest = sha512
default_policy = 1.3.6.1.4.1.99999.1
digests = sha256, sha384, sha512
accuracy = secs:1
'''


class OtherTsa:
    """openssl ts behind Python's HTTP server, with a root of its own. `mode`: what it does."""

    def __init__(self, folder, env):
        folder.mkdir()
        self.dir, self.env, self.mode, self.asked = folder, env, 'good', 0
        (folder / 'tsa.cnf').write_text(TSA_CONF.format(dir=folder))
        (folder / 'ext.cnf').write_text('basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=critical,timeStamping\n')
        run('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', folder / 'root.key', '-out', folder / 'root.pem',
            '-subj', '/O=Other/CN=Other Root', '-days', '4000')
        run('openssl', 'req', '-newkey', 'rsa:2048', '-nodes', '-keyout', folder / 'tsa.key', '-out', folder / 'tsa.csr', '-subj', '/O=Other/CN=Other TSA')
        run('openssl', 'x509', '-req', '-in', folder / 'tsa.csr', '-CA', folder / 'root.pem', '-CAkey', folder / 'root.key', '-CAcreateserial',
            '-days', '365', '-extfile', folder / 'ext.cnf', '-out', folder / 'tsa.pem')
        tsa = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers['Content-Length']))
                status, answer = tsa.answer(body)
                self.send_response(status)
                self.send_header('Content-Type', 'application/timestamp-reply')
                self.send_header('Content-Length', str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = http.server.HTTPServer(('127.0.0.1', 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.url = f'http://127.0.0.1:{self.server.server_port}/tsa'

    def answer(self, query):
        self.asked += 1
        if self.mode == 'away':
            return 503, b''
        env = self.env
        if self.mode == 'replay':
            return 200, self.last
        if self.mode == 'itself':
            return 200, self.post(query)[2]
        if self.mode == 'wrong clock':
            env = {}
        if self.mode == 'behind':
            env = {**env, 'FAKETIME': f'+{int(env["FAKETIME"]) - 300}'}
        (self.dir / 'query').write_bytes(query)
        done = run('openssl', 'ts', '-reply', '-config', self.dir / 'tsa.cnf', '-queryfile', self.dir / 'query', '-out', self.dir / 'reply', env=env)
        self.last = (self.dir / 'reply').read_bytes()
        return 200, self.last

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class SealsTest(harness.TestCase):
    words = []  # for Bouncy Castle
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        demo = cls.demo
        cls.env = {'LD_PRELOAD': harness.FAKETIME, 'DONT_FAKE_MONOTONIC': '1', 'FAKETIME_NO_CACHE': '1'}
        cls.tsa = OtherTsa(cls.folder / 'other', cls.env)
        cls.addClassCleanup(cls.tsa.close)
        # Whoever believes the other TSA's root believes that of this one too, as it may be.
        (cls.tsa.dir / 'roots.pem').write_text((cls.tsa.dir / 'root.pem').read_text() + demo.root().read_text())
        cls.tsa.post = demo.post
        demo.edit('tsad', (r'^# covered_within = .*$', 'covered_within = "1s"'), append=f'''
[seal]
tsa = "{cls.tsa.url}"
anchors = "{cls.tsa.dir}/roots.pem"
certificates = ["{demo.chain()}"]
hash = "sha256"
every = "1s"
''')
        # Both servers, the other TSA and whoever judges see the last moments of this month, then the next one.
        now = time.gmtime()
        month = now.tm_year * 12 + now.tm_mon
        begin = time.mktime((month // 12, month % 12 + 1, 1, 0, 0, 0, 0, 0, 0)) - time.timezone
        cls.env['FAKETIME'] = f'+{int(begin - time.time()) - 16}'
        cls.month = time.strftime('%Y-%m', now)
        demo.start_taad(env=cls.env)
        demo.start_tsad(env=cls.env)
        demo.wait_ready()
        cls.tokens = []
        while len(list((demo.dir / 'archive').glob('*.sqlite'))) == 1:
            cls.tokens.append(demo.stamp().token)
            time.sleep(0.1)
        cls.late = cls.tokens.pop()  # the next month's first
        cls.trust = cls.folder / 'trust.toml'
        demo.trust(cls.trust)
        cls.trust.write_text(cls.trust.read_text() + f'seal_anchors = ["{cls.tsa.dir}/root.pem"]\n')
        cls.stamped(1, 1)

    @classmethod
    def seals(cls):
        return json.loads(cls.demo.tsactl('seal', 'list', '--json').out)

    @classmethod
    def stamped(cls, chains, stamps):
        def done():
            seals = cls.seals()
            months = seals['months']
            return len(months) == 1 and months[0]['chains'] == chains and months[0]['time_stamps'] == stamps and months[0]['state'] == 'stamped'
        until(done, lambda: f'{chains} chains, {stamps} time-stamps: {cls.seals()}', 30, 0.1)

    def serial(self, token):
        return rfc3161.TstInfo(token).serial

    def tsaudit(self, *arguments, ok=(0,)):
        return run(harness.BIN / 'tsaudit', '--archive', self.demo.dir / 'archive', *arguments, ok=ok, env=self.env)

    def judged(self, expected_stamps):
        """Some tokens' evidence records and the head's, judged by tsaudit; what Bouncy Castle is to say of them is noted."""
        place = self.folder / f'judged-{expected_stamps}'
        place.mkdir()
        words = []
        objects = []
        for i, token in enumerate((self.tokens[0], self.tokens[len(self.tokens) // 2], self.tokens[-1])):
            (place / f'{i}.der').write_bytes(token)
            self.tsaudit('evidence', self.serial(token), '-o', place / f'{i}.ers')
            objects.append((place / f'{i}.ers', place / f'{i}.der'))
        self.tsaudit('evidence', '--month', self.month, '--head', place / 'head.txt', '-o', place / 'head.ers')
        objects.append((place / 'head.ers', place / 'head.txt'))
        for record, thing in objects:
            answer = json.loads(self.tsaudit('check-evidence', record, thing, '--trust', self.trust, '--json').out)
            self.assertTrue(answer['ok'] and answer['anchored'], answer)
            self.assertEqual(len(answer['time_stamps']), expected_stamps)
            words += [record, thing, 'yes']
        (place / 'other.der').write_bytes(self.late)
        self.tsaudit('check-evidence', objects[0][0], place / 'other.der', '--trust', self.trust, ok=(1,))
        words += [objects[0][0], place / 'other.der', 'no', objects[3][0], objects[1][1], 'no']
        spoiled = bytearray(objects[1][0].read_bytes())
        at = spoiled.index(b'\x04\x20') + 9  # in a hash of its tree
        spoiled[at] ^= 1
        (place / 'spoiled.ers').write_bytes(spoiled)
        words += [place / 'spoiled.ers', objects[1][1], 'no']
        self.tsaudit('check-evidence', place / 'spoiled.ers', objects[1][1], '--trust', self.trust, ok=(1,))
        self.words.extend(words)

    def verify(self, folder=None, ok=(0,)):
        return json.loads(run(harness.BIN / 'tsaudit', '--archive', folder or self.demo.dir / 'archive', 'verify', '--trust', self.trust, '--json', ok=ok).out)

    def test_1_sealed_stamped_and_proved(self):
        made = self.demo.events('seal.made')
        self.assertEqual([event['subject'] for event in made], [self.month])
        self.judged(1)
        answer = self.verify()
        self.assertEqual([(seal['month'], seal['time_stamps'], seal['tsa']) for seal in answer['seals']], [(self.month, 1, 'CN=Other TSA,O=Other')])
        done = self.tsaudit('evidence', self.serial(self.late), ok=(1,))
        self.assertIn("isn't sealed yet", done.err)
        self.tsaudit('evidence', 'abcdef', ok=(1,))
        self.tsaudit('evidence', ok=(2,))
        self.assertIn('has no month of this name', self.tsaudit('evidence', '--month', '1999-13', ok=(1,)).err)
        # A finished segment is a plain file.
        self.assertFalse((self.demo.dir / 'archive' / f'{self.month}.sqlite-wal').exists())

    def test_2_renewed_twice(self):
        for stamps in (2, 3):
            self.demo.tsactl('seal', 'renew', self.month, '--why', 'a test', '--by', 'operator-1')
            self.stamped(1, stamps)
            self.judged(stamps)
        wished = self.demo.events('seal.wished')
        self.assertEqual([event['fields']['by'] for event in wished], ['operator-1'] * 2)
        self.assertIn('no time-stamp', self.demo.tsactl('seal', 'renew', '2001-01', '--why', 'a test', '--by', 'operator-1', ok=(1,)).err)

    def test_3_what_the_other_tsa_does_wrong_stops_nothing(self):
        asked = self.tsa.asked
        for mode, text in (('away', 'HTTP status 503'), ('replay', 'another'), ('wrong clock', 'certificate_time|more than ten minutes off'),
                           ('itself', 'a TSU of this server, which is nobody else'), ('behind', 'older than the one before')):
            self.tsa.mode = mode
            self.demo.tsactl('seal', 'renew', self.month, '--why', 'a test', '--by', 'operator-1')
            until(lambda: re.search(text, self.seals()['trouble'] or ''), lambda: str(self.seals()), 30, 0.1)
            self.assertEqual(self.seals()['months'][0]['state'], 'to be renewed')
            self.assertTrue(self.demo.stamp().token)
            self.assertIn('kokuin_seal_trouble 1', self.demo_metrics())
        self.assertEqual(len(self.demo.events('seal.late')), 1)
        self.tsa.mode = 'good'
        self.stamped(1, 4)
        self.assertIsNone(self.seals()['trouble'])
        until(lambda: self.demo.events('seal.back'), 'the trouble is over', 20, 0.1)
        self.assertGreater(self.tsa.asked, asked + 5)

    def demo_metrics(self):
        return run('curl', '-fsS', f'http://127.0.0.1:{self.demo.port + 4}/metrics').out

    def test_4_another_hash_function(self):
        self.demo.tsad.stop()
        self.demo.edit('tsad', (r'^hash = "sha256"$', 'hash = "sha512"'))
        # A token that has rotted since isn't time-stamped anew, as if it had always been so.
        number = json.loads(self.tsaudit('find', '--serial', self.serial(self.tokens[2]), '--json').out)['number']
        database = sqlite3.connect(self.demo.dir / 'archive' / f'{self.month}.sqlite')
        good = database.execute('SELECT der FROM record WHERE number = ?', (number,)).fetchone()[0]
        at = good.rindex(b'\x04\x82\x01\x00') + 60  # in the longest literal: its signature
        for der in (good[:at] + bytes([good[at] ^ 1]) + good[at + 1:], good):
            with database:
                database.execute('UPDATE record SET der = ? WHERE number = ?', (der, number))
            if der == good:
                break
            self.demo.start_tsad(env=self.env)
            until(lambda: "aren't those that were time-stamped" in (self.seals()['trouble'] or ''), lambda: str(self.seals()), 30, 0.1)
            self.demo.tsad.stop()
        database.close()
        self.demo.start_tsad(env=self.env)
        self.demo.wait_ready()
        self.stamped(2, 5)
        self.judged(5)
        self.demo.tsactl('seal', 'renew', self.month, '--why', 'a test', '--by', 'operator-1')
        self.stamped(2, 6)
        self.judged(6)

    def test_5_bouncy_castle_agrees(self):
        """One start of Java for all stages: one time-stamp to six, renewals of both kinds."""
        self.assertEqual(len(self.words), 5 * 7 * 3)
        done = run('java', '-cp', BOUNCY_CASTLE, harness.TOP / 'tests/integration/EvidenceRecord.java', self.tsa.dir / 'tsa.pem', *self.words, ok=(0, 1))
        self.assertEqual(done.returncode, 0, done.out + done.err)
        self.assertEqual(done.out.count(': proved'), 5 * 4, done.out)

    def test_6_the_documented_commands(self):
        place = self.folder / 'auditor'
        place.mkdir()
        (place / 'token.der').write_bytes(self.tokens[1])
        (place / 'trust.toml').write_text(self.trust.read_text())
        page = (harness.TOP / 'docs/seals.md').read_text()
        blocks = re.findall(r'^```sh\n(.*?)^```$', page, re.M | re.S)
        self.assertEqual(len(blocks), 4)
        env = {**self.env, 'PATH': f'{harness.BIN}:{os.environ["PATH"]}', 'ARCHIVE': str(self.demo.dir / 'archive'), 'CONFIG': str(self.demo.dir / 'tsad.toml'),
               'SERIAL': self.serial(self.tokens[1]), 'MONTH': self.month, 'OTHER_ROOT': str(self.tsa.dir / 'root.pem')}
        said = ''.join(run('bash', '-euo', 'pipefail', '-c', block, cwd=place, env=env).out for block in blocks)
        self.assertIn('it holds: the object existed at', said)
        self.assertIn('Verification: OK', said)
        self.assertIn(f'{self.month}: stamped', said)

    def test_7_a_seal_convicts(self):
        """Whatever else is made to fit: what was time-stamped is known."""
        until(lambda: self.verify()['uncovered'] == 0, 'all under a checkpoint', 20, 0.1)
        self.demo.stop()
        self.assertTrue(self.verify()['ok'])
        place = self.folder / 'spoiled'

        def spoiled(statement, *values):
            run('rm', '-rf', place)
            run('cp', '-r', self.demo.dir / 'archive', place)
            newest = sorted(place.glob('*.sqlite'))[-1]
            segment = place / f'{self.month}.sqlite'
            with sqlite3.connect(segment if '@old' in statement else newest) as database:
                self.assertGreater(database.execute(statement.replace('@old', ''), values).rowcount, 0)
            database.close()
            answer = self.verify(place, ok=(1,))
            return [problem for problem in answer['problems'] if problem['kind'] == 'seal']

        number = json.loads(self.tsaudit('find', '--serial', self.serial(self.tokens[3]), '--json').out)['number']
        problems = spoiled("@old UPDATE record SET der = substr(der, 1, length(der) - 9) || x'00' || substr(der, length(der) - 7) WHERE number = ?", number)
        self.assertEqual([problem['segment'] for problem in problems], [self.month])
        problems = spoiled('@old DELETE FROM record WHERE number = ?', number)
        self.assertEqual([problem['segment'] for problem in problems], [self.month])
        for kind in ('seal.made', 'seal.stamped'):
            self.assertTrue(spoiled('UPDATE record SET der = (SELECT r.der FROM record r JOIN event USING (number) WHERE kind = ? LIMIT 1) '
                                    'WHERE number IN (SELECT number FROM event WHERE kind = ?)', 'server.started', kind))


if __name__ == '__main__':
    harness.main()
