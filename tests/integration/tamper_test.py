"""What an operator, or whoever has the disk, does to an archive with sqlite3 and a hex editor: tsaudit verify names it, and
never accuses an archive that nobody touched. KOKUIN_TAMPERINGS: how many changes of one octet are tried (72)."""
import base64
import contextlib
import hashlib
import json
import os
import pathlib
import random
import shutil
import sqlite3
import time
import unittest

import harness
from harness import run, until

TAMPERINGS = int(os.environ.get('KOKUIN_TAMPERINGS', '72'))
SEED = int(os.environ.get('KOKUIN_SEED', '5'))
TABLES = ('meta', 'record', 'blob', 'by_serial', 'by_time', 'by_imprint', 'event', 'tile', 'checkpoint', 'cosignature')


def contents(folder):
    """All that the segments of a folder hold, whatever their files look like."""
    found = []
    for path in sorted(folder.glob('*.sqlite')):
        with contextlib.closing(sqlite3.connect(f'file:{path}?immutable=1', uri=True)) as db:
            found.append([path.name, [(sql, kind) for sql, kind in db.execute('SELECT sql, type FROM sqlite_schema ORDER BY name')]])
            for table in TABLES:
                columns = [row[1] for row in db.execute(f'PRAGMA table_info({table})')]
                typed = ', '.join(f'typeof({column}), {column}' for column in columns)
                found[-1].append(sorted(db.execute(f'SELECT {typed} FROM {table}'), key=repr))
    return found


def changed(value, dice):
    """The value with one octet of it another one."""
    if isinstance(value, int):
        return value ^ 1 << dice.randrange(8 * max(1, (value.bit_length() + 7) // 8) - 1)
    octets = bytearray(value if isinstance(value, bytes) else value.encode())
    if not octets:
        octets = bytearray(b'x')
    else:
        octets[dice.randrange(len(octets))] ^= 1 << dice.randrange(7)
    return bytes(octets) if isinstance(value, bytes) else octets.decode(errors='replace')


def root_of(hashes):
    """RFC 6962 2.1."""
    if len(hashes) == 1:
        return hashes[0]
    half = 1 << (len(hashes) - 1).bit_length() - 1
    return hashlib.sha256(b'\1' + root_of(hashes[:half]) + root_of(hashes[half:])).digest()


class TamperTest(harness.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        demo = cls.demo
        cls.dice = random.Random(SEED)
        key = run(harness.BIN / 'tsaudit', 'witness', 'init', '--key', cls.folder / 'witness.key', '--name', 'witness.example/w1').out.strip()
        port = harness.free_ports(1)
        log = demo.events('archive.key')[-1]['fields']['verifier']
        witness = harness.Program(harness.BIN / 'tsaudit', 'witness', 'serve', '--key', cls.folder / 'witness.key', '--log', log, '--state',
                                  cls.folder / 'seen', '--listen', f'127.0.0.1:{port}', log=cls.folder / 'witness.log',
                                  ready=lambda: demo.listens(port))
        cls.addClassCleanup(lambda: witness.alive() and witness.kill())
        demo.edit('tsad', (r'^# witness_every = .*$', 'witness_every = "1s"'),
                  append=f'\n[witness.w1]\nurl = "http://127.0.0.1:{port}"\nkey = "{key}"\n')
        # Three months within seconds: both servers see the last moments of this one, then those of the next.
        for ahead in (1, 2):
            now = time.gmtime()
            month = now.tm_year * 12 + now.tm_mon - 1 + ahead
            begin = time.mktime((month // 12, month % 12 + 1, 1, 0, 0, 0, 0, 0, 0)) - time.timezone
            env = {'LD_PRELOAD': harness.FAKETIME, 'FAKETIME': f'+{int(begin - time.time()) - 5}', 'DONT_FAKE_MONOTONIC': '1',
                   'FAKETIME_NO_CACHE': '1'}
            demo.taad = None
            demo.start_taad(env=env)
            demo.start_tsad(env=env)
            demo.wait_ready()
            want = len(list((demo.dir / 'archive').glob('*.sqlite'))) + 1
            stamped = 0
            until(lambda: (demo.stamp(), len(list((demo.dir / 'archive').glob('*.sqlite'))) == want)[1], 'the next month', 60, 0.05)
            for _ in range(300 if ahead == 1 else 20):
                demo.stamp()
            if ahead == 2:
                cls.early = cls.folder / 'early'
                until(lambda: cls.covered(demo) >= cls.records(demo), 'a checkpoint over all', 20, 0.1)
                until(lambda: cls.cosigned(demo) >= cls.records(demo), 'and cosigned', 20, 0.1)
                cls.copy_live(demo.dir / 'archive', cls.early)
                for _ in range(10):
                    demo.stamp()
            demo.stop()
        cls.archive = demo.dir / 'archive'
        status = json.loads(run('sqlite3', '-json', cls.newest(), 'SELECT note FROM checkpoint ORDER BY size DESC LIMIT 1').out)
        (cls.folder / 'witnessed.txt').write_text(status[0]['note'])
        cls.trust = demo.trust(cls.folder / 'trust.toml', cls.folder / 'witnessed.txt')
        cls.work = cls.folder / 'work'
        cls.reset()

    @classmethod
    def newest(cls, folder=None):
        return sorted((folder or cls.archive).glob('*.sqlite'))[-1]

    @staticmethod
    def covered(demo):
        return json.loads(demo.tsactl('status', '--json').out)['archive']['covered']

    @staticmethod
    def cosigned(demo):
        return json.loads(demo.tsactl('status', '--json').out)['archive']['witnesses'][0]['size']

    @staticmethod
    def records(demo):
        return json.loads(demo.tsactl('status', '--json').out)['archive']['records']

    @staticmethod
    def copy_live(archive, to):
        to.mkdir()
        for path in archive.glob('*.sqlite'):
            run('sqlite3', path, f'.backup {to / path.name}')

    @classmethod
    def reset(cls, source=None):
        shutil.rmtree(cls.work, ignore_errors=True)
        cls.work.mkdir()
        for path in (source or cls.archive).glob('*.sqlite'):
            shutil.copy(path, cls.work)

    def verify(self, *arguments, trust=True, folder=None):
        """What tsaudit verify --json says; its exit status must agree."""
        words = ('--trust', self.trust) if trust else ()
        done = run(harness.BIN / 'tsaudit', '--archive', folder or self.work, 'verify', '--json', *words, *arguments, ok=(0, 1, 3))
        if done.returncode == 3:  # nothing could be looked at
            self.assertIn(str(folder or self.work), done.err)
            return {'ok': False, 'problems': [{'kind': 'segment', 'detail': done.err, 'number': None, 'serial': None}]}
        report = json.loads(done.out)
        self.assertEqual(report['ok'], done.returncode == 0, done.out[:2000])
        self.assertEqual(report['ok'], not report['problems'])
        return report

    def sql(self, *statements, segment=None):
        path = segment or self.newest(self.work)
        with contextlib.closing(sqlite3.connect(path)) as db:
            for statement, *values in statements:
                db.execute(statement, values)
            db.commit()
        return path

    def accused(self, report, number):
        """The problems that name this record."""
        return [one for one in report['problems'] if one['number'] == number]

    # -- an archive that nobody touched

    def test_1_untouched(self):
        report = self.verify()
        self.assertEqual(report['problems'], [])
        self.assertTrue(report['anchored'])
        self.assertEqual(report['uncovered'], 0)
        self.assertEqual(len(report['segments']), 3)
        self.assertEqual(report['covered'], report['records'])
        self.assertGreater(report['tokens'], 320)
        alone = self.verify(trust=False)
        self.assertTrue(alone['ok'])
        self.assertFalse(alone['anchored'])
        # A copy of before is an honest copy, but not the newest.
        self.assertTrue(self.verify(trust=False, folder=self.early)['ok'])
        # What is new since then; the later copy's tree goes on from the earlier one's.
        saved = self.folder / 'saved.txt'
        self.verify('--save', saved, trust=False, folder=self.early)
        newer = self.verify('--since', saved)
        self.assertTrue(newer['ok'])
        self.assertGreater(newer['records'], 9)
        self.assertLess(newer['records'], 40)
        # Where nothing is new that is no reason to alarm, and the next audit begins where this one did.
        quiet = self.folder / 'quiet.txt'
        self.assertTrue(self.verify('--since', saved, '--save', quiet, folder=self.early, trust=False)['ok'])
        self.assertEqual(quiet.read_bytes(), saved.read_bytes())
        # And a copy of before an audit isn't taken for one of after it.
        latest = self.folder / 'latest.txt'
        self.verify('--save', latest)
        report = self.verify('--since', latest, folder=self.early, trust=False)
        self.assertIn('rolled-back', {one['kind'] for one in report['problems']})

    # -- one octet of one value

    def test_2_one_octet_of_one_value(self):
        dice = self.dice
        missed = []
        for trial in range(TAMPERINGS):
            table = TABLES[trial % len(TABLES)]
            self.reset()
            path = dice.choice(sorted(self.work.glob('*.sqlite')))
            with contextlib.closing(sqlite3.connect(path)) as db:
                columns = [row[1] for row in db.execute(f'PRAGMA table_info({table})')]
                rows = list(db.execute(f'SELECT {", ".join(columns)} FROM {table}'))
                if not rows:
                    continue
                row, at = dice.choice(rows), dice.randrange(len(columns))
                new = changed(row[at], dice)
                where = ' AND '.join(f'{column} = ?' for column in columns)
                try:
                    count = db.execute(f'UPDATE {table} SET {columns[at]} = ? WHERE {where}', (new, *row)).rowcount
                except sqlite3.IntegrityError:
                    continue
                self.assertEqual(count, 1)
                db.commit()
            report = self.verify(trust=trial % 2 == 0)
            if report['ok']:
                missed.append((path.name, table, columns[at], row, new))
            elif table == 'record' and columns[at] == 'der':
                self.assertTrue(self.accused(report, row[0]), (row[0], report['problems'][:5]))
            elif table in ('by_serial', 'by_time', 'by_imprint') and columns[at] != 'number':
                self.assertTrue(self.accused(report, row[1]), (table, row[1], report['problems'][:5]))
        self.assertEqual(missed, [])

    # -- one octet of one file

    def test_3_one_octet_of_a_file(self):
        dice = self.dice
        self.reset()
        whole = contents(self.work)
        missed, noticed = [], 0
        for _ in range(TAMPERINGS // 2):
            self.reset()
            path = dice.choice(sorted(self.work.glob('*.sqlite')))
            octets = bytearray(path.read_bytes())
            at = dice.randrange(len(octets))
            octets[at] ^= 1 << dice.randrange(8)
            path.write_bytes(octets)
            if not self.verify(trust=False)['ok']:
                noticed += 1
                continue
            with contextlib.suppress(sqlite3.DatabaseError):
                if contents(self.work) == whole:
                    continue  # an octet that holds nothing
            missed.append((path.name, at))
        self.assertEqual(missed, [])
        self.assertGreater(noticed, TAMPERINGS // 8)

    # -- whole records

    def tokens(self, path):
        with contextlib.closing(sqlite3.connect(f'file:{path}?mode=ro', uri=True)) as db:
            return [(number, serial.hex()) for serial, number in db.execute('SELECT serial, number FROM by_serial ORDER BY number')]

    def test_4_deleted_inserted_swapped_duplicated(self):
        segment = sorted(self.archive.glob('*.sqlite'))[1]
        middle = self.tokens(segment)[100:160]
        path = self.work / segment.name
        (a, serial_a), (b, serial_b) = self.dice.sample(middle, 2)

        def trial(kinds, numbers, *statements, serials=()):
            self.reset()
            self.sql(*statements, segment=path)
            report = self.verify(trust=False)
            self.assertFalse(report['ok'])
            for number in numbers:
                found = self.accused(report, number)
                self.assertTrue(set(kinds) & {one['kind'] for one in found}, (number, report['problems'][:5]))
            for serial in serials:
                self.assertIn(serial, report['affected'])
            return report

        gone = [(f'DELETE FROM {table} WHERE number = ?', a) for table in ('record', 'by_serial', 'by_time', 'by_imprint')]
        trial(['missing'], [a], *gone)
        trial(['missing'], [a], gone[0], serials=[serial_a])
        # The rest closes up: each is where another one was.
        trial(['moved', 'damaged'], [a, a + 1], *gone, ('UPDATE record SET number = number - 1 WHERE number > ?', a))
        trial(['moved'], [a, b], ('UPDATE record SET number = -1 WHERE number = ?', a),
              ('UPDATE record SET number = ? WHERE number = ?', a, b), ('UPDATE record SET number = ? WHERE number = -1', b),
              serials=[serial_a, serial_b])
        trial(['moved'], [b], ('UPDATE record SET der = (SELECT der FROM record WHERE number = ?) WHERE number = ?', a, b),
              serials=[serial_a])
        last = self.tokens(segment)[-1][0]
        trial(['foreign'], [last + 100_000], ('INSERT INTO record SELECT ?, der FROM record WHERE number = ?', last + 100_000, a))
        # In the newest one, at its end: no checkpoint speaks for it, and its own number gives it away.
        self.reset()
        end = self.records_in(self.work)
        self.sql(('INSERT INTO record SELECT ?, der FROM record WHERE number = ?', end, self.tokens(self.newest())[0][0]))
        report = self.verify(trust=False)
        self.assertIn('moved', {one['kind'] for one in self.accused(report, end)})
        self.assertEqual(report['uncovered'], 1)

    def test_4b_rows_that_no_search_meets(self):
        saved = self.folder / 'saved-early.txt'
        self.verify('--save', saved, trust=False, folder=self.early)
        number = self.tokens(self.newest())[-3][0]
        for since, statement in (
                (False, "INSERT INTO by_serial VALUES ('abc', 5)"), (False, "INSERT INTO by_serial VALUES (x'', -9223372036854775808)"),
                (False, 'INSERT INTO by_time VALUES (-1e300, 5)'), (False, "INSERT INTO by_imprint VALUES (-9223372036854775808, 5)"),
                (False, "INSERT INTO event VALUES (-9223372036854775808, 'archive.key', 'x')"),
                (False, "INSERT INTO checkpoint VALUES (-9223372036854775808, 'x')"), (False, "INSERT INTO checkpoint VALUES (0, 'x')"),
                (False, "INSERT INTO record VALUES (9223372036854775807, x'00')"), (False, "INSERT INTO record VALUES (-7, x'00')"),
                (False, "INSERT INTO record VALUES (1000000000, x'00')"), (False, "INSERT INTO tile VALUES (7, 0, x'00')"),
                (False, 'DELETE FROM tile WHERE length(hashes) < 8192'), (False, "UPDATE meta SET value = value || '0' WHERE key = 'archive'"),
                (False, "UPDATE meta SET value = 4611686018427387904 WHERE key = 'first'"), (False, 'CREATE TABLE more (x)'),
                (False, 'CREATE VIEW more AS SELECT * FROM record'), (False, 'CREATE TRIGGER more AFTER INSERT ON record BEGIN SELECT 1; END'),
                (True, f'DELETE FROM by_serial WHERE number = {number}'), (True, f'DELETE FROM by_time WHERE number = {number}'),
                (True, "INSERT INTO blob VALUES (x'00', x'00')")):
            with self.subTest(statement):
                self.reset()
                self.sql((statement,))
                report = self.verify(*(('--since', saved) if since else ()), trust=False)
                self.assertFalse(report['ok'])
                self.assertLess(len(report['problems']), 60)
        self.reset()
        (self.newest(self.work).parent / (self.newest(self.work).name + '-journal')).write_bytes(b'x' * 512)
        self.assertFalse(self.verify(trust=False)['ok'])
        # Checkpoints taken out, so that nothing speaks for tokens of many minutes.
        # (Here all tokens are of seconds, which a crash may leave: they are told, and nobody is accused.)
        self.reset()
        self.sql((f'DELETE FROM checkpoint WHERE size > {number}',))
        report = self.verify(trust=False)
        self.assertGreater(report['uncovered'], 0)

    def test_4c_what_records_share_changed_or_gone(self):
        """A context: every token that names it is named, and no other; what else it named is nobody's fault."""
        segment = sorted(self.archive.glob('*.sqlite'))[1]
        path = self.work / segment.name
        with contextlib.closing(sqlite3.connect(f'file:{segment}?mode=ro', uri=True)) as db:
            names = {}
            for blob, number, serial in db.execute('SELECT id, number, serial FROM blob JOIN record JOIN by_serial USING (number) '
                                                   "WHERE instr(substr(der, 1, 80), id) AND instr(content, 'tsu-1')"):
                names.setdefault(blob, {})[number] = serial.hex()
            context = max(names, key=lambda one: len(names[one]))
            content, = db.execute('SELECT content FROM blob WHERE id = ?', (context,)).fetchone()
            every = {number: serial for number, serial in self.tokens(segment)}
            self.assertEqual(set(every), {number for one in names.values() for number in one}, 'each token has a context')
            self.assertLess(len(names), len(every) / 2)
        self.assertIn(b'tsu-1', content)
        forged = content.replace(b'tsu-1', b'tsu-2')
        octet = bytearray(content)
        octet[self.dice.randrange(len(octet))] ^= 1 << self.dice.randrange(8)
        for why, statement in (('is missing', ('DELETE FROM blob WHERE id = ?', context)),
                               ('another SHA-256', ('UPDATE blob SET content = ? WHERE id = ?', bytes(octet), context)),
                               ('another SHA-256', ('UPDATE blob SET content = ? WHERE id = ?', forged, context)),
                               ('another SHA-256', ("UPDATE blob SET content = '30' WHERE id = ?", context)),
                               ('is missing', ('UPDATE blob SET content = ?, id = ? WHERE id = ?', forged, hashlib.sha256(forged).digest(), context))):
            with self.subTest(why):
                self.reset()
                self.sql(statement, segment=path)
                report = self.verify(trust=False)
                named = {one['number']: one['serial'] for one in report['problems'] if one['number'] is not None}
                self.assertEqual(named, names[context])
                self.assertLessEqual(set(names[context].values()), set(report['affected']))
                for one in report['problems']:
                    self.assertEqual((one['segment'], one['kind']), (segment.stem, 'blob'), one)
                    if one['number'] is not None:
                        self.assertIn(f'its context, the blob {context.hex()}', one['detail'])
                        self.assertIn(why, one['detail'])
        # A record that names another one, whether it is there or was brought along, isn't the one that was signed.
        number = sorted(names[context])[1]
        for other in (*(one for one in names if one != context), hashlib.sha256(forged).digest()):
            self.reset()
            with contextlib.closing(sqlite3.connect(path)) as db:
                db.execute('INSERT OR IGNORE INTO blob VALUES (?, ?)', (hashlib.sha256(forged).digest(), forged))
                der, = db.execute('SELECT der FROM record WHERE number = ?', (number,)).fetchone()
                db.execute('UPDATE record SET der = ? WHERE number = ?', (der.replace(context, other, 1), number))
                db.commit()
            report = self.verify(trust=False)
            self.assertIn('damaged', {one['kind'] for one in self.accused(report, number)}, report['problems'][:5])
            self.assertIn(names[context][number], report['affected'])

    def test_4c_what_no_segment_has(self):
        """A view in place of a table, which never ends; the format of an archive that was restored."""
        self.reset()
        self.sql(('DROP TABLE cosignature',),
                 ('CREATE VIEW cosignature AS WITH RECURSIVE endless(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM endless) '
                  'SELECT n AS size, n AS witness, n AS line FROM endless',))
        report = self.verify(trust=False)
        self.assertIn("'cosignature', a view", ' '.join(one['detail'] for one in report['problems'] if one['kind'] == 'segment'))
        self.reset()
        self.sql(('PRAGMA user_version = 5',))
        self.assertIn("its format is that of an archive that was restored, which this one wasn't",
                      [one['detail'] for one in self.verify(trust=False)['problems'] if one['kind'] == 'segment'])
        # A row of the index that names what never was there, with nothing before it.
        self.reset()
        saved = self.folder / 'before-stray.txt'
        self.verify('--save', saved, trust=False, folder=self.early)
        first = sorted(self.work.glob('*.sqlite'))[0]
        first.unlink()
        self.sql(("INSERT INTO event (number, kind, subject) VALUES (0, 'archive.key', 'x')",), segment=sorted(self.work.glob('*.sqlite'))[0])
        self.assertFalse(self.verify('--since', saved)['ok'])

    def test_4d_a_time_changed_accuses_its_token_alone(self):
        for change in (0x01, 0x20):
            self.reset()
            path = self.newest(self.work)
            number, serial = self.tokens(path)[5]
            with contextlib.closing(sqlite3.connect(path)) as db:
                gen_time = db.execute('SELECT gen_time FROM by_time WHERE number = ?', (number,)).fetchone()[0]
                der = db.execute('SELECT der FROM record WHERE number = ?', (number,)).fetchone()[0]
                octets = gen_time.to_bytes(7, 'big')
                self.assertEqual(der.count(octets), 1)
                db.execute('UPDATE record SET der = ? WHERE number = ?', (der.replace(octets, bytes((octets[0] ^ change,)) + octets[1:]), number))
                db.commit()
            for trust in (True, False):
                report = self.verify(trust=trust)
                self.assertIn('token', {one['kind'] for one in self.accused(report, number)})
                self.assertEqual({one['number'] for one in report['problems'] if one['kind'] == 'clock'} - {number}, set())
                if not trust:
                    self.assertLess(len(report['affected']), 50)
                self.assertIn(serial, report['affected'])

    def test_4e_what_a_witness_has_cosigned_narrows_it(self):
        """A changed record that no tile names: all since the last checkpoint that somebody outside has seen."""
        (keys,) = [[event['fields']['verifier'] for event in self.demo.events('witness.key')]]
        self.assertTrue(keys)
        near = self.folder / 'near.toml'
        without = [line for line in self.trust.read_text().splitlines() if not line.startswith('checkpoint')]
        near.write_text('\n'.join([*without, f'witnesses = {json.dumps(keys)}', '']))
        self.reset()
        sizes = []
        for path in self.work.glob('*.sqlite'):
            with contextlib.closing(sqlite3.connect(path)) as db:
                sizes += [size for (size,) in db.execute('SELECT DISTINCT size FROM cosignature')]
                db.execute('DELETE FROM tile')
                db.commit()
        sizes.sort()
        with contextlib.closing(sqlite3.connect(self.newest(self.work))) as db:
            number, der = db.execute('SELECT number, der FROM by_serial JOIN record USING (number) WHERE number < ? ORDER BY number DESC LIMIT 1', (sizes[-1],)).fetchone()
            db.execute('UPDATE record SET der = ? WHERE number = ?', (der[:-1] + bytes((der[-1] ^ 1,)), number))
            db.commit()
        last = max((size for size in sizes if size <= number), default=0)
        self.assertGreater(last, 0)
        far, close = (run(harness.BIN / 'tsaudit', '--archive', self.work, 'verify', '--json', '--trust', trust, ok=(1,)) for trust in (self.trust, near))
        named = lambda done: {one['number'] for one in json.loads(done.out)['problems'] if one['kind'] == 'tree' and one['number'] is not None}
        self.assertLess(len(named(close)), len(named(far)))
        self.assertGreaterEqual(min(named(close)), last)
        self.assertIn(number, {one['number'] for one in json.loads(close.out)['problems']})

    def records_in(self, folder):
        with contextlib.closing(sqlite3.connect(f'file:{self.newest(folder)}?mode=ro', uri=True)) as db:
            return db.execute('SELECT max(number) + 1 FROM record').fetchone()[0]

    def test_5_a_record_changed_with_its_index_and_its_hashes(self):
        """An event's text, where nothing else signs it; the tile is made to fit. The next checkpoint doesn't."""
        for path in sorted(self.archive.glob('*.sqlite'))[:2]:
            with contextlib.closing(sqlite3.connect(f'file:{path}?mode=ro', uri=True)) as db:
                number, der = db.execute("SELECT number, der FROM event JOIN record USING (number) WHERE kind = 'gate.opened' LIMIT 1").fetchone()
            self.assertIn(b'tsu-1', der)
            forged = der.replace(b'tsu-1', b'tsu-2', 1)
            statements = [('UPDATE record SET der = ? WHERE number = ?', forged, number)]
            self.reset()
            self.sql(*statements, segment=self.work / path.name)
            report = self.verify(trust=False)
            self.assertTrue(self.accused(report, number) or any(one['kind'] == 'tree' for one in report['problems']))
            # And with the tile that names its hash, wherever that is.
            leaf = lambda octets: hashlib.sha256(b'\0' + octets).digest()
            for segment in self.work.glob('*.sqlite'):
                with contextlib.closing(sqlite3.connect(segment)) as db:
                    for level, position, hashes in list(db.execute('SELECT level, position, hashes FROM tile')):
                        db.execute('UPDATE tile SET hashes = ? WHERE level = ? AND position = ?',
                                   (hashes.replace(leaf(der), leaf(forged)), level, position))
                    db.commit()
            report = self.verify(trust=False)
            self.assertFalse(report['ok'])
            told = ' '.join(one['detail'] for one in report['problems'] if one['kind'] == 'tree')
            self.assertIn('was signed over', told)

    # -- cosignatures

    def test_5_cosignatures_added_and_moved(self):
        path = self.work / self.newest().name
        with contextlib.closing(sqlite3.connect(f'file:{self.newest()}?mode=ro', uri=True)) as db:
            sizes = [size for size, in db.execute('SELECT size FROM checkpoint ORDER BY size')]
            size, line = db.execute('SELECT size, line FROM cosignature ORDER BY size LIMIT 1').fetchone()
        other = next(one for one in sizes if one != size)
        for why, statement in (('no checkpoint', ('UPDATE cosignature SET size = ? WHERE size = ?', max(sizes) + 7, size)),
                               ('is wrong', ('INSERT OR REPLACE INTO cosignature VALUES (?, ?, ?)', other, 'witness.example/w1', line)),
                               ('somebody else', ('UPDATE cosignature SET witness = ? WHERE size = ?', 'witness.example/w2', size)),
                               ('nobody says', ('INSERT INTO cosignature VALUES (?, ?, ?)', size, 'w3', line.replace('witness.example/w1', 'w3')))):
            for trust in (True, False):
                self.reset()
                self.sql(statement, segment=path)
                report = self.verify(trust=trust)
                self.assertEqual({one['kind'] for one in report['problems']}, {'cosignature'}, report['problems'])
                self.assertIn(why, report['problems'][0]['detail'])
        # Removed ones are missed by nobody here: whoever has seen them brings them along.
        self.reset()
        self.sql(('DELETE FROM cosignature',), segment=path)
        self.assertTrue(self.verify()['ok'])

    # -- whole segments

    def test_6_segments_rolled_back_and_removed(self):
        names = [path.name for path in sorted(self.archive.glob('*.sqlite'))]
        for index, name in enumerate(names):
            self.reset()
            (self.work / name).unlink()
            report = self.verify(trust=index == 2)
            self.assertFalse(report['ok'])
            if index < 2:
                self.assertIn('chain', {one['kind'] for one in report['problems']})
                with contextlib.closing(sqlite3.connect(f'file:{self.archive / name}?mode=ro', uri=True)) as db:
                    first, last, count = db.execute('SELECT min(number), max(number), count(*) FROM record').fetchone()
                self.assertEqual(report['lost'], count)
                self.assertIn(f'the records {first} to {last} are missing', ' '.join(one['detail'] for one in report['problems']))
            else:
                self.assertIn('rolled-back', {one['kind'] for one in report['problems']})
        # The middle one as it was, so to say, an hour before its end: with its last records gone it doesn't reach the next.
        self.reset()
        first = self.tokens(self.archive / names[1])[-20][0]
        self.sql(*((f'DELETE FROM {table} WHERE number >= ?', first) for table in ('record', 'by_serial', 'by_time', 'by_imprint', 'event')),
                 ('DELETE FROM checkpoint WHERE size > ?', first), segment=self.work / names[1])
        report = self.verify(trust=False)
        self.assertTrue(self.accused(report, first))
        self.assertEqual({one['kind'] for one in self.accused(report, first)}, {'missing'})
        # Segments of another archive.
        self.reset()
        shutil.copy(self.work / names[0], self.work / '2000-01.sqlite')
        self.assertIn('segment', {one['kind'] for one in self.verify(trust=False)['problems']})

    # -- what a copy alone can't show

    def test_7_the_last_records_dropped_or_an_old_copy_replayed(self):
        self.assertTrue(self.verify(trust=False, folder=self.early)['ok'])
        report = self.verify(folder=self.early)
        self.assertFalse(report['ok'])
        self.assertIn('rolled-back', {one['kind'] for one in report['problems']})
        # Dropped without a trace: records, index, checkpoints.
        self.reset()
        first = self.tokens(self.newest())[-5][0]
        self.sql(*((f'DELETE FROM {table} WHERE number >= ?', first) for table in ('record', 'by_serial', 'by_time', 'by_imprint', 'event')),
                 *((f'DELETE FROM {table} WHERE size > ?', first) for table in ('checkpoint', 'cosignature')))
        self.verify(trust=False)
        report = self.verify()
        self.assertIn('rolled-back', {one['kind'] for one in report['problems']})
        told = next(one['detail'] for one in report['problems'] if one['kind'] == 'rolled-back')
        self.assertIn('are missing', told)

    def test_8_everything_signed_again_by_another_key(self):
        """An operator who has rewritten an event, all hashes of the tree, and has signed it all with a key of his own that the
        archive names as its own: by itself that archive is sound."""
        self.reset(self.early)
        for path in sorted(self.work.glob('*.sqlite'))[1:]:
            path.unlink()
        path = self.newest(self.work)
        run('openssl', 'genpkey', '-algorithm', 'ed25519', '-out', 'forger.pem', cwd=self.folder)
        public = run('openssl', 'pkey', '-in', 'forger.pem', '-pubout', '-outform', 'DER', cwd=self.folder).stdout[-32:]
        with contextlib.closing(sqlite3.connect(path)) as db:
            origin = db.execute("SELECT value FROM meta WHERE key = 'origin'").fetchone()[0]
            identity = hashlib.sha256(origin.encode() + b'\n\x01' + public).digest()[:4]
            verifier = f'{origin}+{identity.hex()}+{base64.b64encode(bytes([1]) + public).decode()}'
            number, der = db.execute("SELECT number, der FROM event JOIN record USING (number) WHERE kind = 'archive.key'").fetchone()
            size = db.execute('SELECT max(size) FROM checkpoint').fetchone()[0]
            honest = [hashlib.sha256(b'\0' + der).digest() for der, in db.execute('SELECT der FROM record ORDER BY number')]
            (self.folder / 'honest.txt').write_text(self.signed(origin, identity, size, root_of(honest[:size])))
            old = self.demo.events('archive.key')[0]['fields']['verifier']
            db.execute('UPDATE record SET der = ? WHERE number = ?', (der.replace(old.encode(), verifier.encode()), number))
            leaves = [hashlib.sha256(b'\0' + der).digest() for der, in db.execute('SELECT der FROM record ORDER BY number')]
            for level, position, hashes in list(db.execute('SELECT level, position, hashes FROM tile')):
                self.assertEqual(level, 0)
                db.execute('UPDATE tile SET hashes = ? WHERE position = ?', (b''.join(leaves[256 * position:256 * position + 256]), position))
            db.execute('DELETE FROM cosignature')  # the witness's key isn't his
            for size, in list(db.execute('SELECT size FROM checkpoint')):
                db.execute('UPDATE checkpoint SET note = ? WHERE size = ?', (self.signed(origin, identity, size, root_of(leaves[:size])), size))
            db.commit()
        alone = self.verify(trust=False)
        self.assertEqual(alone['problems'], [])
        self.assertFalse(alone['anchored'])
        report = self.verify()
        self.assertFalse(report['ok'])
        self.assertIn('checkpoint', {one['kind'] for one in report['problems']})
        # The operator himself, whose key it is: somebody outside has seen another tree of the same size.
        theirs = self.folder / 'theirs.toml'
        theirs.write_text(self.trust.read_text().replace(old, verifier).replace('witnessed.txt', 'honest.txt'))
        done = run(harness.BIN / 'tsaudit', '--archive', self.work, 'verify', '--json', '--trust', theirs, ok=(1,))
        told = [one['detail'] for one in json.loads(done.out)['problems'] if one['kind'] == 'tree']
        self.assertIn('somebody outside has seen', ' '.join(told))

    def signed(self, origin, identity, size, root):
        """A checkpoint by the forger's key."""
        text = f'{origin}\n{size}\n{base64.b64encode(root).decode()}\n'
        (self.folder / 'text').write_text(text)
        run('openssl', 'pkeyutl', '-sign', '-inkey', 'forger.pem', '-rawin', '-in', 'text', '-out', 'signature', cwd=self.folder)
        line = base64.b64encode(identity + (self.folder / 'signature').read_bytes()).decode()
        return f'{text}\n\u2014 {origin} {line}\n'

    # -- proofs

    def test_9_a_proof_needs_no_archive(self):
        segment = sorted(self.archive.glob('*.sqlite'))[1]
        number, serial = self.tokens(segment)[17]
        file = self.folder / 'token.tlog-proof'
        self.demo.tsaudit('prove', serial, '-o', file)
        check = lambda path, *words, ok=(0,): run(harness.BIN / 'tsaudit', 'check-proof', path, '--json', *words, ok=ok)
        told = json.loads(check(file, '--trust', self.trust, '--token', self.folder / 'token.der').out)
        self.assertTrue(told['ok'] and told['anchored'])
        self.assertEqual((told['serial'], told['number']), (serial, number))
        self.demo.tsaudit('show', serial, '--token', self.folder / 'shown.der')
        self.assertEqual((self.folder / 'token.der').read_bytes(), (self.folder / 'shown.der').read_bytes())
        self.assertFalse(json.loads(check(file).out)['anchored'])
        # Any octet of it: refused, or it wasn't a proof any more; never "holds" for something else.
        octets = file.read_bytes()
        broken = self.folder / 'broken.tlog-proof'
        for _ in range(TAMPERINGS // 3):
            at = self.dice.randrange(len(octets))
            other = bytearray(octets)
            other[at] = self.dice.choice([c for c in b'ABCDabcd0123+/=\n ' if c != octets[at]])
            broken.write_bytes(other)
            done = check(broken, '--trust', self.trust, ok=(0, 1, 2))
            self.assertNotEqual(done.returncode, 0, (at, octets[at], other[at]))
            self.assertEqual(len(done.err.splitlines()), 1)


if __name__ == '__main__':
    harness.main()
