"""Witnesses (docs/witness.md, command by command): real ones cosign a demo's checkpoints, are killed and come back, and catch an
archive that was replaced by an older copy; stamping goes on through all of it."""
import base64
import contextlib
import hashlib
import http.client
import json
import os
import re
import shutil
import sqlite3

import harness
from harness import BIN, TOP, Program, run, until

PAGE = (TOP / 'docs/witness.md').read_text()


def blocks(language):
    return re.findall(rf'^```{language}\n(.*?)^```$', PAGE, re.M | re.S)


class WitnessTest(harness.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        demo = cls.demo
        cls.place = cls.folder / 'elsewhere'
        cls.place.mkdir()
        cls.port = harness.free_ports(1)
        cls.env = {'PATH': f'{BIN}:{os.environ["PATH"]}', 'LOG': demo.events('archive.key')[-1]['fields']['verifier'],
                   'ROOT': str(demo.root()), 'CHAIN': str(demo.chain()), 'TAA': str(demo.dir / 'pki/taa.pem'),
                   'ARCHIVE': str(demo.dir / 'archive')}
        cls.init, cls.serve, cls.visit, cls.verify, cls.by_hand = (
            block.replace(':3170', f':{cls.port}').replace(':3161', f':{demo.port}') for block in blocks('sh'))
        cls.sh(cls.init)
        cls.key = (cls.place / 'witness.pub').read_text().strip()
        table = blocks('toml')[0].replace(':3170', f':{cls.port}').replace('…', cls.key)
        demo.edit('tsad', (r'^# covered_within = .*$', 'covered_within = "4s"'),
                  (r'^# witness_every = .*$', 'witness_every = "1s"'), append='\n' + table)
        demo.audit_often()

    @classmethod
    def sh(cls, script, ok=(0,)):
        return run('sh', '-euc', script, ok=ok, env=cls.env, cwd=cls.place)

    def start_witness(self):
        program = Program('sh', '-c', f'cd {self.place} && exec {self.serve.strip()}', log=self.folder / 'witness.log', env=self.env,
                          ready=lambda: self.demo.listens(self.port))
        type(self).witness = self.started(program)
        return program

    def started(self, program):
        """It lives on in the next test."""
        self.addClassCleanup(lambda: program.alive() and program.kill())
        return program

    def get(self, path, port=None, method='GET', body=None):
        connection = http.client.HTTPConnection('127.0.0.1', port or self.demo.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def archive_now(self):
        return json.loads(self.demo.tsactl('status', '--json', ok=(0, 1)).out)['archive']

    def witness_now(self):
        return self.archive_now()['witnesses'][0]

    def stamp(self, count):
        for _ in range(count):
            self.assertEqual(self.demo.stamp().status, 0)

    def checkpoint(self, path='checkpoint'):
        status, _, body = self.get(f'/repository/{path}')
        return int(body.split(b'\n')[1]) if status == 200 else 0

    def catch_up(self):
        """Until all records that there are now are cosigned."""
        size = self.archive_now()['records']
        until(lambda: self.checkpoint('checkpoint/witnessed') >= size, lambda: f'{size} cosigned: {self.witness_now()}', 15)

    def visit_again(self, ok=(0,)):
        return self.sh(self.visit.splitlines()[1], ok=ok)

    def test_1_a_key_is_made_once_and_never_shown(self):
        private = (self.place / 'witness.key').read_bytes()
        self.assertEqual((self.place / 'witness.key').stat().st_mode & 0o777, 0o600)
        again = self.sh(self.init.replace('witness.pub', 'again.pub'), ok=(2,))
        self.assertIn('there is a file already', again.err)
        self.assertEqual((self.place / 'witness.key').read_bytes(), private)
        self.assertRegex(self.key, r'^witness\.example/w1\+[0-9a-f]{8}\+B')
        (self.place / 'open.key').write_bytes(private)
        refused = self.sh(self.serve.replace('witness.key', 'open.key'), ok=(2,))
        self.assertIn('chmod 600', refused.err)
        beyond = self.sh(self.serve.replace('127.0.0.1', '0.0.0.0'), ok=(2,))
        self.assertIn('--beyond-loopback', beyond.err)

    def test_2_cosigned_within_seconds(self):
        demo = self.demo
        self.start_witness()
        demo.start()
        self.stamp(1)
        self.catch_up()
        status, headers, body = self.get('/repository/checkpoint/witnessed')
        self.assertEqual((status, headers['Content-Type']), (200, 'text/plain; charset=utf-8'))
        self.assertEqual(body.count(b'\xe2\x80\x94 '), 2)
        (self.place / 'served.txt').write_bytes(body)
        told = self.sh(self.by_hand.replace('cosigned.txt', 'served.txt').replace('visitor.pub', 'witness.pub')).out
        self.assertIn('Verified Successfully', told)
        one = self.witness_now()
        self.assertEqual((one['name'], one['state'], one['trouble']), ('witness.example/w1', 'cosigned', None))
        self.assertRegex(one['at'], r'^20.*Z$')
        metrics = self.get('/metrics')[2].decode()
        self.assertRegex(metrics, r'kokuin_witness_size\{witness="witness.example/w1"\} \d\d')
        self.assertEqual(demo.events('witness.key')[0]['fields']['verifier'], self.key)
        self.assertEqual(demo.events('witness.away'), [])
        # Nothing of the key goes anywhere.
        secret = (self.place / 'witness.key').read_text().strip().rpartition('+')[2]
        self.assertNotIn(secret, self.witness.written() + demo.tsad.written())

    def test_3_tiles_and_visits(self):
        self.sh(self.visit)
        self.assertIn('Verified Successfully', self.sh(self.by_hand).out)
        self.assertEqual(self.visit_again().err, '')  # the same, or a little newer
        self.stamp(280)
        self.catch_up()
        size = self.checkpoint()
        path = next((self.demo.dir / 'archive').glob('*.sqlite'))
        with contextlib.closing(sqlite3.connect(f'file:{path}?mode=ro', uri=True)) as db:
            leaves = [hashlib.sha256(b'\0' + der).digest() for der, in db.execute('SELECT der FROM record ORDER BY number')]
        status, headers, body = self.get('/repository/tile/0/000')
        self.assertEqual((status, headers['Content-Type'], body), (200, 'application/octet-stream', b''.join(leaves[:256])))
        self.assertIn('immutable', headers['Cache-Control'])
        last, width = divmod(size, 256)
        status, headers, body = self.get(f'/repository/tile/0/{last:03}.p/{width}')
        self.assertEqual((status, body), (200, b''.join(leaves[256 * last:size])))
        self.assertNotIn('immutable', headers['Cache-Control'])
        self.assertEqual(len(self.get(f'/repository/tile/1/000.p/{last}')[2]), 32 * last)
        for none in (f'0/{last:03}', '0/1', '0/0000', '00/000', '0/x000/000', '0/000.p/0', '0/000.p/256', '0/000.p/01', '1/000', '64/000',
                     '0/x999/x999/x999/x999/x999/x999/999', 'entries/000', f'0/{last:03}.p/{width + 50}', '7/000.p/1', '0/-01'):
            status, headers, _ = self.get(f'/repository/tile/{none}')
            self.assertEqual((status, headers['Cache-Control']), (404, 'no-store'), none)
        # Over the end of a tile.
        self.assertEqual(self.visit_again().err, '')
        self.assertIn('Verified Successfully', self.sh(self.by_hand).out)
        report = self.sh(self.verify)
        self.assertIn('anchored: true', report.out)
        self.assertIn('whole:', report.out)

    def test_4_a_witness_that_is_away_stops_nothing(self):
        demo = self.demo
        load = self.started(demo.load('--connections', 1))
        self.witness.kill()
        until(lambda: self.witness_now()['state'] == 'away', lambda: self.witness_now(), 15)
        before = self.catch_up_without()
        self.start_witness()
        until(lambda: self.witness_now()['state'] == 'cosigned', lambda: self.witness_now(), 15)
        until(lambda: self.checkpoint('checkpoint/witnessed') > before, 'newer ones are cosigned', 15)
        result = load.result()
        self.assertGreater(result['granted'], 10)
        self.assertEqual((result['refused'], result['errors']), ({}, {}))
        for kind in ('witness.away', 'witness.back'):
            events = demo.events(kind)
            self.assertEqual([one['subject'] for one in events], ['witness.example/w1'], events)
        self.assertIn('refused', demo.events('witness.away')[0]['text'])

    def catch_up_without(self):
        size = self.checkpoint()
        until(lambda: self.checkpoint() > size, 'checkpoints go on', 15)
        return self.checkpoint()

    def test_5_history_rewritten(self):
        demo = self.demo
        demo.tsad.stop()
        gone = self.visit_again(ok=(3,))
        self.assertEqual(len(gone.err.splitlines()), 1)
        shutil.copytree(demo.dir / 'archive', self.folder / 'older')
        demo.start_tsad()
        demo.wait_ready()
        self.stamp(30)
        self.catch_up()
        self.assertEqual(self.visit_again().err, '')
        seen = int((self.place / 'cosigned.txt').read_text().splitlines()[1])
        self.assertIn('whole:', self.sh(self.verify).out)
        shutil.copy(self.place / 'cosigned.txt', self.place / 'last.txt')
        demo.tsad.stop()
        shutil.rmtree(demo.dir / 'archive')
        shutil.copytree(self.folder / 'older', demo.dir / 'archive')

        demo.start_tsad()
        demo.wait_ready()
        self.stamp(1)
        told = until(lambda: demo.events('witness.conflict'), lambda: self.witness_now(), 15)
        self.assertIn('HISTORY DIFFERS', told[0]['text'])
        self.assertEqual(self.witness_now()['state'], 'conflict')
        self.assertLess(self.checkpoint(), seen)
        back = self.visit_again(ok=(1,))
        self.assertEqual(len(back.err.splitlines()), 1)
        self.assertIn('ROLLED BACK', back.err)
        self.assertIn(f'cosigned {seen} records', back.err)
        kept = list((self.place / 'visits').glob('*.conflict.*'))
        self.assertEqual(len(kept), 2, kept)
        for file in kept:
            self.assertIn(str(file.name), back.err)
        # It has grown over what was seen: now it takes the tree to tell.
        last = json.loads(run('sqlite3', '-json', f'file:{next((demo.dir / "archive").glob("*.sqlite"))}?mode=ro',
                              'SELECT max(size) AS size FROM cosignature').out)[0]['size']
        self.stamp(45)
        until(lambda: self.checkpoint() > seen, 'it has grown', 15)
        rewritten = self.visit_again(ok=(1,))
        self.assertIn('HISTORY REWRITTEN', rewritten.err)
        self.assertEqual(len(list((self.place / 'visits').glob('*.conflict.*'))), 3)
        # Asked directly: it goes on from what it has cosigned, or not at all.
        note = self.get('/repository/checkpoint')[2]
        status, headers, body = self.get('/add-checkpoint', self.port, 'POST', b'old 0\n\n' + note)
        self.assertEqual((status, headers['Content-Type']), (409, 'text/x.tlog.size'))
        self.assertGreater(int(body), last)
        status, _, _ = self.get('/add-checkpoint', self.port, 'POST',
                                b'old ' + body + base64.b64encode(bytes(32)) + b'\n\n' + note)
        self.assertEqual(status, 422)
        until(lambda: 'refuses the proof' in (self.witness_now()['trouble'] or ''), lambda: self.witness_now(), 15)
        self.assertIn('REWRITTEN', rewritten.err)
        self.assertIn('no proof that the checkpoint', self.witness.written())
        self.assertEqual(len(demo.events('witness.conflict')), 1)
        shutil.copy(self.place / 'last.txt', self.place / 'cosigned.txt')
        self.assertIn('tree:', self.sh(self.verify, ok=(1,)).out)
        self.stamp(5)


if __name__ == '__main__':
    harness.main()
