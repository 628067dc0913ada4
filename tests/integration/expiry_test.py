"""Records that have passed their time are removed (ARC-1), with the real programs: an archive that was begun twelve years ago goes on
today. docs/retention.md"""
import contextlib
import hashlib
import json
import os
import re
import shutil
import sqlite3
import time

import harness
from harness import BIN, TOP, run, until
import rfc3161
import seals_test

REASONS = ('--why', 'their time is over', '--by', 'operator 3')
YEARS = 12


class ExpiryTest(harness.TestCase):
    """One archive; its tests build upon each other."""
    archives_untouched = False  # they verify it themselves: what it is judged by is of two ages

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.begin_long_ago()
        cls.go_on_today()

    @classmethod
    def begin_long_ago(cls):
        now = time.gmtime()
        then = time.mktime((now.tm_year - YEARS, now.tm_mon, 15, 12, 0, 0, 0, 0, 0)) - time.timezone
        env = {'LD_PRELOAD': harness.FAKETIME, 'FAKETIME': f'{int(then - time.time())}', 'DONT_FAKE_MONOTONIC': '1', 'FAKETIME_NO_CACHE': '1'}
        cls.month = time.strftime('%Y-%m', time.gmtime(then))
        old = harness.Demo(cls.folder / 'old', env=env)
        old.start_taad(env=env)
        old.start_tsad(env=env)
        old.wait_ready()
        cls.tokens = [old.stamp().token for _ in range(20)]
        old.stop()
        cls.old = old

    @classmethod
    def go_on_today(cls):
        """The old archive and HSM, with a new TSU's key in it, and the certificates of today."""
        demo, old, pki = cls.demo, cls.old, cls.demo.dir / 'pki'

        def token(folder):
            return next(path.parent for path in (folder / 'tokens').glob('*/token.object') if b'kokuin-tsu' in path.read_bytes())
        for name in ('archive', 'custody'):
            shutil.rmtree(demo.dir / name)
            shutil.copytree(old.dir / name, demo.dir / name)
        shutil.rmtree(token(demo.dir))
        shutil.copytree(token(old.dir), demo.dir / 'tokens' / token(old.dir).name)
        pin = run(BIN / 'kokuin-share', *(demo.dir / 'custody' / f'demo-{i}' for i in (1, 2, 3))).out.split()[6]
        hsm = ('pkcs11-tool', '--module', '/usr/lib/softhsm/libsofthsm2.so', '--token-label', 'kokuin-tsu')
        env = {'SOFTHSM2_CONF': str(demo.dir / 'softhsm2.conf'), 'PIN': pin}
        run(*hsm, '--login', '--pin', 'env:PIN', '--keypairgen', '--key-type', 'rsa:2048', '--label', 'tsu-2', '--id', '77', '--usage-sign',
            '--sensitive', env=env)
        run(*hsm, '--read-object', '--type', 'pubkey', '--label', 'tsu-2', '-o', pki / 'tsu.pub', env=env)
        run('openssl', 'rsa', '-pubin', '-inform', 'DER', '-in', pki / 'tsu.pub', '-out', pki / 'tsu.pub.pem')
        (pki / 'tsu.ext').write_text('extendedKeyUsage=critical,timeStamping\nkeyUsage=critical,digitalSignature\n')
        run('openssl', 'x509', '-new', '-force_pubkey', pki / 'tsu.pub.pem', '-subj', '/C=JP/O=Kokuin Demo/CN=Kokuin Demo TSU 2', '-CA',
            pki / 'issuing.pem', '-CAkey', pki / 'issuing.key', '-sha512', '-days', '800', '-set_serial', '0x' + os.urandom(8).hex(),
            '-extfile', pki / 'tsu.ext', '-out', pki / 'tsu.pem')
        for name in ('tsad', 'taad'):
            file = demo.dir / f'{name}.toml'
            file.write_text(file.read_text().replace('tsu-1', 'tsu-2'))
        run(BIN / 'taad', '--config', demo.dir / 'taad.toml', 'tsu', 'admit', 'tsu-2', *REASONS)
        cls.tsa = seals_test.OtherTsa(cls.folder / 'tsa', {})
        cls.addClassCleanup(cls.tsa.close)
        cls.copy = cls.folder / 'second'
        demo.edit('tsad', (r'^#   copy = .*\n +#.*$', f'copy = "{cls.copy}"'), append=f'''
[seal]
tsa = "{cls.tsa.url}"
anchors = "{cls.tsa.dir}/root.pem"
every = "1s"
''')
        cls.archive = demo.dir / 'archive'
        demo.start_tsad()

    @classmethod
    def events(cls, kind):
        return cls.demo.events(kind)

    def expire(self, *words, ok=(0,)):
        return self.demo.tsactl('archive', 'expire', *words, *REASONS, ok=ok)

    def approve(self, asked):
        """Two custodians agree; what the last of them was told."""
        proposal = re.search(r'proposal (\w+): to be approved by 2 custodians', asked.out)[1]
        for name in ('demo-1', 'demo-2'):
            at = self.demo.dir / 'custody' / name
            done = self.demo.tsactl('approve', proposal, '--share', f'{at}.share', '--passphrase-file', f'{at}.passphrase')
        return done.out

    def verify(self, archive=None, ok=(0,)):
        return json.loads(run(BIN / 'tsaudit', '--archive', archive or self.archive, 'verify', '--trust', self.trust, '--json', ok=ok).out)

    def covered(self):
        archive = json.loads(self.demo.tsactl('status', '--json').out)['archive']
        return archive['covered'] >= archive['records']

    @staticmethod
    def rows(file, query):
        with contextlib.closing(sqlite3.connect(f'file:{file}?mode=ro', uri=True)) as database:
            return database.execute(query).fetchall()

    def gone(self, archive=None):
        """Numbers of the old month's records of which only the hash is there."""
        with contextlib.closing(sqlite3.connect(f'file:{archive or self.archive}/{self.month}.sqlite?mode=ro', uri=True)) as database:
            return {number: der for number, der in database.execute('SELECT number, der FROM record') if len(der) == 32}

    def old_file(self, archive=None):
        return (archive or self.archive) / f'{self.month}.sqlite'

    def month_of(self, said):
        return next(segment for segment in said['segments'] if segment['segment'] == self.month)

    def test_1_only_by_a_proved_clock(self):
        self.assertIn('no TSU\'s gate is open', self.expire(ok=(1,)).err)
        self.demo.start_taad()
        self.demo.wait_ready()
        # The old month is still written.
        self.assertIn('nothing of that kind in a finished month has passed its time', self.expire(ok=(1,)).err)
        self.token = self.demo.stamp().token
        until(self.covered, 'a checkpoint over all', 20, 0.1)

        def stamped():
            months = json.loads(self.demo.tsactl('seal', 'list', '--json').out)['months']
            return [month['state'] for month in months] == ['stamped']
        until(stamped, 'a time-stamped month', 30, 0.1)
        for words in (('--month', '2001-01'), ('--kind', 'key.activated'), ('--kind', 'room')):
            self.assertIn('nothing of that kind', self.expire(*words, ok=(1,)).err)
        self.assertEqual(self.gone(), {})
        self.assertEqual(self.events('archive.expired'), [])
        self.write_trust()
        self.assertEqual(self.verify()['removed'], {'records': 0, 'tokens': 0, 'still_there': 0, 'time_unproved': False, 'last': None})
        self.demo.tsactl('archive', 'backup', self.folder / 'backup')
        shutil.copytree(self.folder / 'backup', self.folder / 'before')

    def write_trust(self):
        type(self).trust = self.folder / 'trust.toml'
        keys = sorted({event['fields']['verifier'] for event in self.events('archive.key')})
        lines = {'log_keys': keys, 'anchors': [str(demo.root()) for demo in (self.old, self.demo)], 'seal_anchors': [f'{self.tsa.dir}/root.pem'],
                 'certificates': [str(path) for demo in (self.old, self.demo) for path in (demo.chain(), demo.dir / 'pki/taa.pem')]}
        self.trust.write_text(''.join(f'{name} = {json.dumps(value)}\n' for name, value in lines.items()))

    def test_2_one_kind_goes(self):
        before = dict(self.rows(self.old_file(), 'SELECT number, der FROM record'))
        month = lambda: json.loads(self.demo.tsaudit('--json', 'report', '--month', self.month, ok=(0, 1)).out)
        self.assertTrue(month()['availability'])
        asked = self.expire('--kind', 'server.stopped', '--list', self.folder / 'list.jsonl')
        self.assertRegex(asked.out, rf'(?m)^{self.month}  server.stopped: \d records, past their time since \d{{4}}-')
        content = (self.folder / 'list.jsonl').read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        self.assertIn(f'list sha256 {digest}\n', asked.out)
        self.assertEqual(self.gone(), {})  # nobody has agreed
        said = self.approve(asked)
        self.assertIn('removed after their time: ', said)
        until(self.gone, 'the records are gone', 20, 0.1)
        (event,) = self.events('archive.expired')
        self.assertEqual((event['fields']['custodians'], event['fields']['why'], event['fields']['tokens']), ('demo-1, demo-2', REASONS[1], 0))
        self.assertEqual(event['blobs'], [digest])
        agreed = self.events('custody.agreed')[-1]
        self.assertEqual(agreed['fields']['act'], 'archive-expire')
        self.assertIn(f'list sha256 {digest}', agreed['fields']['content'])
        self.assertEqual(agreed['fields']['proposal'], event['fields']['agreed_in'])
        # Exactly those that the list names; what is left is what they hash to.
        (listed,) = map(json.loads, content.splitlines())
        numbers = [number for first, last in listed['numbers'] for number in range(first, last + 1)]
        gone = self.gone()
        self.assertEqual(list(gone), numbers)
        self.assertEqual(len(numbers), event['fields']['records'])
        # How long the server was up then nobody knows any more.
        report = month()
        self.assertEqual((report['availability'], report['outages'], report['integrity']['unknown_for']), (None, None, ['server.stopped']))
        page = self.demo.tsaudit('report', '--month', self.month, ok=(0, 1)).out
        self.assertEqual(page.count('Not known any more: records from which it follows were removed after their time: server.stopped'), 3)
        for number in numbers:
            self.assertEqual(gone[number], hashlib.sha256(b'\0' + before[number]).digest())
            self.assertNotIn(before[number], self.old_file().read_bytes())
        report = self.verify()
        self.assertEqual((report['removed']['records'], report['removed']['tokens'], report['removed']['still_there']), (len(numbers), 0, 0))
        self.assertEqual(run('sqlite3', '-readonly', self.old_file(), 'PRAGMA integrity_check').out, 'ok\n')
        # The month's tokens are proved as before, by those of its seal and by the tree.
        serial = rfc3161.TstInfo(self.tokens[3]).serial
        (self.folder / 'token.der').write_bytes(self.tokens[3])
        run(BIN / 'tsaudit', '--archive', self.archive, 'evidence', serial, '-o', self.folder / 'token.ers')
        run(BIN / 'tsaudit', 'check-evidence', self.folder / 'token.ers', self.folder / 'token.der', '--trust', self.trust)
        self.demo.tsaudit('prove', serial, '-o', self.folder / 'proof.txt')
        run(BIN / 'tsaudit', 'check-proof', self.folder / 'proof.txt', '--trust', self.trust)
        until(lambda: list(self.gone(self.copy)) == numbers, 'gone in the second place', 20, 0.1)

    def test_3_all_of_it(self):
        self.assertIn(self.tokens[0][-200:], self.old_file().read_bytes())
        size = self.old_file().stat().st_size
        plan = self.month_of(json.loads(self.demo.tsaudit('--json', 'expire').out))
        self.approve(self.expire('--month', self.month))
        for archive in (self.archive, self.copy):
            # Its log has what was removed too, until it is moved into the file.
            log = self.old_file(archive).with_name(f'{self.month}.sqlite-wal')
            until(lambda: len(self.gone(archive)) > 20 and not log.exists(), f'gone in {archive}', 20, 0.1)
        self.assertLess(self.old_file().stat().st_size, size)
        self.assertEqual(self.gone(self.copy), self.gone())
        for archive in (self.archive, self.copy):
            octets = self.old_file(archive).read_bytes()
            for token in self.tokens:
                self.assertNotIn(token[-200:], octets)
                self.assertNotIn(rfc3161.TstInfo(token).imprint, octets)
            report = self.verify(archive)
            self.assertEqual(report['removed']['tokens'], 21)  # and the demo's own
            self.assertEqual(report['tokens'], 1)
            # Nothing that judges others has gone, and a blob for each that is named.
            self.assertEqual(report['problems'], [])
        kinds = {kind['kind']: kind for kind in plan['kinds']}
        now = self.month_of(json.loads(self.demo.tsaudit('--json', 'expire').out))
        self.assertEqual(now['removed']['token'], 21)
        self.assertNotIn('token', {kind['kind'] for kind in now['kinds']})
        for kind in ('key.activated', 'archive.key'):
            self.assertEqual(kinds[kind], {kind['kind']: kind for kind in now['kinds']}[kind])
        self.assertIn(f'{self.month}: removed after their time: 21 token\n', self.demo.tsaudit('expire').out)
        said = self.demo.tsaudit('verify', '--trust', self.trust).out
        self.assertRegex(said, r'of \d+ records \(21 tokens\) only the hashes are left: removed after their time, the last on 20')
        self.assertIn('nothing was added, changed or moved, and nothing else removed', said)
        # Who asks for such a token is told; who asks for another one isn't told that.
        status, _, answer = self.demo.post(self.tokens[3], '/collate', 'application/timestamp-reply')
        self.assertEqual((status, json.loads(answer)['result']), (200, 'removed'))
        self.assertIn(self.month, json.loads(answer)['detail'])
        other = self.demo.stamp().token
        self.assertEqual(json.loads(self.demo.post(other, '/collate', 'application/timestamp-reply')[2])['result'], 'matches')
        self.assertIn('no token with the serial number', self.demo.tsaudit('show', rfc3161.TstInfo(self.tokens[3]).serial, ok=(1,)).err)
        self.assertEqual(len(self.demo.tsaudit('find', '--json').out.splitlines()), 2)
        report = json.loads(self.demo.tsaudit('--json', 'report', '--month', self.month).out)
        self.assertEqual(report['integrity']['removed'], len(self.gone()))
        self.demo.tsaudit('export', '--format', 'sqlite', '-o', self.folder / 'export.sqlite')
        self.assertIn('were removed after their time: an evidence record is made before that', self.demo.tsaudit('evidence', '--month', self.month, '-o', self.folder / 'never', ok=(1,)).err)
        # Its seal has nothing more to prove.
        until(lambda: json.loads(self.demo.tsactl('seal', 'list', '--json').out)['months'][0]['state'] == 'expired', 'the seal', 20, 0.1)
        self.assertEqual(self.events('seal.late'), [])
        self.assertEqual(self.events('removal.late'), [])
        self.assertIn('nothing of that kind', self.expire('--kind', 'token', ok=(1,)).err)
        # What was proved to somebody in time stays proved.
        run(BIN / 'tsaudit', 'check-proof', self.folder / 'proof.txt', '--trust', self.trust)
        run(BIN / 'tsaudit', 'check-evidence', self.folder / 'token.ers', self.folder / 'token.der', '--trust', self.trust)

    def test_4_the_page_tells_how_to_read_it(self):
        page = (TOP / 'docs/archive.md').read_text()
        script = next(block for block in re.findall(r'^```sh\n(.*?)^```$', page, re.M | re.S) if 'NOT OVER THESE RECORDS' in block)
        said = run('bash', '-euo', 'pipefail', '-c', script, cwd=self.folder, env={'ARCHIVE': str(self.archive)}).out
        self.assertEqual(said, 'the checkpoint is over these records\n')
        page = (TOP / 'docs/retention.md').read_text()
        self.assertIn('tsactl archive expire --month 2014-11 --kind token --list list.jsonl --why', page)

    def test_5_a_backup_follows(self):
        backup = self.folder / 'backup'
        self.assertEqual(self.gone(backup), {})
        self.assertTrue(self.verify(backup)['ok'])
        said = json.loads(self.demo.tsactl('archive', 'backup', backup, '--json').out)
        self.assertEqual(said['removed'], len(self.gone()))
        self.assertEqual(self.gone(backup), self.gone())
        self.assertTrue(self.verify(backup)['ok'])
        # And one that begins now.
        fresh = self.folder / 'fresh'
        self.demo.tsactl('archive', 'backup', fresh)
        self.assertEqual(self.gone(fresh), self.gone())
        self.assertTrue(self.verify(fresh)['ok'])

    def test_6_nobody_else_removes_anything(self):
        """A record whose hash alone is there, and no event that says so."""
        number = sorted(number for number, in self.rows(self.old_file(self.folder / 'before'), 'SELECT number FROM by_serial'))[4]
        tampered = self.folder / 'tampered'
        shutil.copytree(self.folder / 'before', tampered)

        def shrink(archive, numbers):
            with contextlib.closing(sqlite3.connect(self.old_file(archive))) as database, database:
                for one in numbers:
                    (der,) = database.execute('SELECT der FROM record WHERE number = ?', (one,)).fetchone()
                    database.execute('UPDATE record SET der = ? WHERE number = ?', (hashlib.sha256(b'\0' + der).digest(), one))
                    for table in ('by_serial', 'by_time', 'by_imprint', 'event'):
                        database.execute(f'DELETE FROM {table} WHERE number = ?', (one,))
        shrink(tampered, [number])
        problems = self.verify(tampered, ok=(1,))['problems']
        self.assertIn(('missing', number), {(one['kind'], one['number']) for one in problems})
        self.assertEqual({one['kind'] for one in problems}, {'missing', 'seal'})
        (missing,) = (one for one in problems if one['kind'] == 'missing')
        self.assertIn('no record under a checkpoint says that it was removed', missing['detail'])
        # No copy takes it for removed either.
        done = self.demo_backup(tampered, self.folder / 'of-tampered')
        self.assertIn(f'record {number} isn\'t there, and wasn\'t removed either', done.err)
        # Another leaf's hash in place of one that was removed.
        last = self.folder / 'last'
        shutil.copytree(self.folder / 'backup', last)
        one, other = list(self.gone(last))[:2]
        with contextlib.closing(sqlite3.connect(self.old_file(last))) as database, database:
            database.execute('UPDATE record SET der = (SELECT der FROM record WHERE number = ?) WHERE number = ?', (other, one))
        problems = self.verify(last, ok=(1,))['problems']
        self.assertIn(('damaged', one), {(problem['kind'], problem['number']) for problem in problems})
        # The list of what was removed, taken away.
        shutil.copy(self.old_file(self.folder / 'backup'), self.old_file(last))
        newest = sorted(last.glob('*.sqlite'))[-1]
        with contextlib.closing(sqlite3.connect(newest)) as database, database:
            database.execute('DELETE FROM blob WHERE id = ?', (bytes.fromhex(self.events('archive.expired')[-1]['blobs'][0]),))
        problems = self.verify(last, ok=(1,))['problems']
        self.assertLessEqual({'blob', 'removal', 'missing'}, {problem['kind'] for problem in problems})

    def demo_backup(self, archive, to):
        """tsactl archive backup of another archive."""
        file = self.folder / 'other.toml'
        text = (self.demo.dir / 'tsad.toml').read_text()
        text, changed = re.subn(r'^dir = ".*archive"', f'dir = "{archive}"', text, flags=re.M)
        self.assertEqual(changed, 1)
        file.write_text(re.sub(r'"(pki|custody|run)/', rf'"{self.demo.dir}/\1/', text))
        return run(BIN / 'tsactl', '--config', file, 'archive', 'backup', to, ok=(3,))

    def test_7_restored_from_a_backup(self):
        demo = self.demo
        until(self.covered, 'a checkpoint over all', 20, 0.1)
        run('curl', '-fsS', f'http://127.0.0.1:{demo.port}/repository/checkpoint', '-o', self.folder / 'witnessed.txt')
        demo.tsactl('archive', 'backup', self.folder / 'backup')
        gone = self.gone()
        demo.tsad.stop()
        os.rename(self.archive, self.folder / 'damaged')
        shutil.rmtree(self.copy)
        shares = [word for name in ('demo-1', 'demo-2')
                  for word in ('--share', f'{demo.dir}/custody/{name}.share', '--passphrase-file', f'{demo.dir}/custody/{name}.passphrase')]
        demo.tsactl('archive', 'restore', '--from', self.folder / 'backup', '--witnessed', self.folder / 'witnessed.txt', *REASONS, *shares)
        self.assertEqual(self.gone(), gone)
        demo.start_tsad()
        demo.wait_ready()
        demo.stamp()
        self.assertEqual(self.gone(), gone)
        demo.stop()
        self.write_trust()
        self.assertEqual(self.verify()['removed']['records'], len(gone))


if __name__ == '__main__':
    harness.main()
