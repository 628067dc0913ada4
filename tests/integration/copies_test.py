"""A second place, backups and restoring (ARC-2, ARC-6 to ARC-8): docs/copies.md command by command, on a running demo whose second
place goes and comes back, whose archive is destroyed, and comes back from the copy and then from an older backup."""
import contextlib
import http.client
import json
import os
import re
import shutil
import sqlite3

import harness
from harness import BIN, run, until

PAGE = (harness.TOP / 'docs/copies.md').read_text()


class CopiesTest(harness.TestCase):
    archives_untouched = False  # it is destroyed; what comes back is verified here, by the keys of all its logs

    tokens = {}  # by serial number

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        demo = cls.demo
        cls.archive, cls.copy, cls.backup = demo.dir / 'archive', demo.dir / 'second', cls.folder / 'backup'
        cls.place = cls.folder / 'operator'
        cls.place.mkdir()
        demo.edit('tsad', (r'^#   copy = .*\n +#.*$', 'copy = "second"'), (r'^# covered_within = .*$', 'covered_within = "1s"'))
        cls.env = {'PATH': f'{BIN}:{os.environ["PATH"]}', 'CONFIG': str(demo.dir / 'tsad.toml'), 'TSA': demo.url()[:-1],
                   'ARCHIVE': str(cls.archive), 'COPY': str(cls.copy), 'BACKUP': str(cls.backup),
                   'ROOT': str(demo.root()), 'CHAIN': str(demo.chain()), 'TAA': str(demo.dir / 'pki/taa.pem')}
        blocks = re.findall(r'^```sh\n(.*?)^```$', PAGE, re.M | re.S)
        for number in (1, 3):
            share = f'custody/officer-{number}.share'
            blocks = [block.replace(share, f'{demo.dir}/custody/demo-{number}.share --passphrase-file '
                                           f'{demo.dir}/custody/demo-{number}.passphrase') for block in blocks]
        cls.back_up, cls.witness, restore, cls.after = blocks
        cls.move, cls.restore = restore.split('\n', 1)

    @classmethod
    def sh(cls, script, ok=(0,), **env):
        return run('bash', '-euo', 'pipefail', '-c', script, ok=ok, env={**cls.env, **env}, cwd=cls.place)

    def now(self):
        return json.loads(self.demo.tsactl('status', '--json', ok=(0, 1)).out)

    def copy_is(self, state):
        def reached():
            archive = self.now()['archive']
            return archive['copy']['state'] == state and (state != 'ready' or archive['copy']['records'] == archive['records'])
        until(reached, lambda: f'the copy is {state}: {self.now()["archive"]}', 20)

    def stamp(self, count=1):
        """Serial numbers of so many tokens."""
        answers = [self.demo.stamp() for _ in range(count)]
        self.assertEqual({answer.status for answer in answers}, {0})
        self.tokens.update((answer.tst.serial, answer.token) for answer in answers)
        return [answer.tst.serial for answer in answers]

    def collated(self, serial):
        return json.loads(self.demo.post(self.tokens[serial], '/collate', 'application/timestamp-reply')[2])

    def covered(self):
        def all_are():
            archive = self.now()['archive']
            return archive['covered'] == archive['records']
        until(all_are, 'all records under a checkpoint', 20)

    def kinds(self):
        return [json.loads(line)['kind'] for line in self.demo.tsaudit('events', '--json').out.splitlines() if '"copy.' in line]

    def has_kinds(self, *kinds):
        until(lambda: self.kinds() == list(kinds), lambda: f'{kinds}: {self.kinds()}', 20)

    def in_copy(self, serial, place=None):
        return run(BIN / 'tsaudit', '--archive', place or self.copy, 'find', '--serial', serial, ok=(0, 1)).returncode == 0

    def test_1_the_second_place_goes_along(self):
        demo = self.demo
        demo.start()
        self.stamp(5)
        self.copy_is('ready')
        run(BIN / 'tsaudit', '--archive', self.copy, 'verify')
        status = self.now()
        self.assertEqual(status['archive']['copy']['dir'], str(self.copy))
        self.assertTrue([d for d in status['departures'] if 'is on the file system of the first (ARC-2)' in d], status['departures'])
        self.assertIn(f'copy: {self.copy}: ready, ', demo.tsactl('status').out)
        # It goes and comes back; nothing stops.
        away = self.folder / 'away'
        self.copy.rename(away)
        (serial,) = self.stamp()
        self.copy_is('failing')
        self.assertEqual(self.now()['ready'], True)
        self.has_kinds('copy.begun', 'copy.late')
        (after,) = self.stamp()
        away.rename(self.copy)
        self.copy_is('ready')
        self.has_kinds('copy.begun', 'copy.late', 'copy.back')
        for one in (serial, after):
            self.assertTrue(self.in_copy(one))
        _, _, metrics = self.get('/metrics')
        self.assertIn(b'\nkokuin_archive_copy_ready 1', metrics)

    def get(self, path):
        connection = http.client.HTTPConnection('127.0.0.1', self.demo.port, timeout=30)
        with contextlib.closing(connection):
            connection.request('GET', path)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def test_2_no_token_without_its_copy(self):
        demo = self.demo
        self.assertEqual(demo.tsad.stop(), 0)
        demo.edit('tsad', (r'^# copy_waits = false', 'copy_waits = true'))
        demo.start_tsad()
        demo.wait_ready()
        for serial in self.stamp(5):
            self.assertTrue(self.in_copy(serial))  # at once
        away = self.folder / 'away'
        self.copy.rename(away)
        self.assertEqual(demo.stamp().status, 2)
        self.assertEqual(demo.readiness()[0], 503)
        self.assertIn('the copy fails', demo.readiness()[1]['reasons'][0])
        self.assertEqual(demo.stamp().status, 2)
        away.rename(self.copy)
        demo.wait_ready()
        (serial,) = self.stamp()
        self.assertTrue(self.in_copy(serial))

    def test_3_a_backup_while_it_stamps(self):
        demo = self.demo
        self.covered()
        said = self.sh(self.back_up).out
        self.assertIn(f'{self.backup} holds ', said)
        self.assertRegex(said, r'its newest checkpoint is over \d+ records')
        self.assertIn('whole: nothing was added', said)
        (told,) = demo.events('archive.backed-up')
        self.assertEqual(told['fields']['dir'], str(self.backup))
        type(self).early = self.stamp()
        load = self.started(demo.load('--connections', 2))
        again = json.loads(demo.tsactl('--json', 'archive', 'backup', self.backup).out)
        load.result()
        self.assertGreater(again['new'], 0)
        self.assertEqual(again['records'], told['fields']['records'] + again['new'])
        self.assertTrue(self.in_copy(self.early[0], self.backup))
        # What holds something else isn't touched.
        other = self.folder / 'other'
        shutil.copytree(demo.dir / 'taa-archive', other)
        refused = demo.tsactl('archive', 'backup', other, ok=(1,))
        self.assertIn('it is of the archive', refused.err)
        inside = demo.tsactl('archive', 'backup', self.archive / 'backup', ok=(2,))
        self.assertIn('a place of its own', inside.err)

    def test_4_restored_from_the_second_place(self):
        demo = self.demo
        type(self).late = self.stamp(3)
        self.covered()
        self.sh(self.witness)
        self.sh('tsaudit witness init --key visitor.key --name witness.example/visitor')
        self.visit(demo.events('archive.key')[-1])
        shutil.copy(self.place / 'witnessed.txt', self.place / 'witnessed-1.txt')
        self.assertIn('tsad runs', self.sh(self.restore, ok=(2,)).err)
        self.assertEqual(demo.tsad.stop(), 0)
        self.assertIn("isn't empty", self.sh(self.restore, ok=(2,)).err)
        # The disk fails.
        segment = next(self.archive.glob('????-??.sqlite'))
        with open(segment, 'r+b') as file:
            file.seek(8192)
            file.write(os.urandom(65536))
        self.sh(self.move)
        alone = self.sh(self.restore.replace(f'--share {demo.dir}/custody/demo-3.share', '')
                        .replace(f'--passphrase-file {demo.dir}/custody/demo-3.passphrase', ''), ok=(1,))
        self.assertIn('add more with --share FILE', alone.err)
        self.assertFalse(self.archive.exists())
        self.assertFalse((demo.dir / 'archive.restoring').exists())
        said = self.sh(self.restore).out
        self.assertIn('custodian demo-1: you agree that tsactl opens the token', said)
        self.assertIn('nothing is lost of what was seen outside', said)
        self.assertIn('from now on', said)
        demo.start_tsad()
        demo.wait_ready()
        self.assertTrue(self.in_copy(self.late[-1], self.archive))
        self.stamp(2)
        self.copy_is('ready')  # the copy that it came from goes on with it
        self.covered()
        said = self.sh(self.after).out
        self.assertIn('whole: nothing was added', said)
        self.assertIn('anchored: true', said)
        self.assertRegex(said, r'restored at \S+ with \d+ records; none is lost .*; by demo-1, demo-3: the disk failed, case 17')
        self.assertEqual(len((self.place / 'log-keys.txt').read_text().split()), 2)
        self.assertFalse((self.place / 'lost.jsonl').exists())
        (told,) = demo.events('archive.restored')
        self.assertEqual((told['fields']['custodians'], told['fields']['lost'], told['fields']['by']),
                         ('demo-1, demo-3', 0, 'operator 3'))
        run(BIN / 'tsaudit', '--archive', self.copy, 'verify')
        # An auditor who comes with what was seen before finds it whole as well.
        trust = (self.place / 'trust-since.toml').read_text()
        (self.place / 'trust-before.toml').write_text(trust.replace('witnessed-since.txt', 'witnessed-1.txt'))
        self.sh('tsaudit --archive "$ARCHIVE" verify --trust trust-before.toml')
        # To a witness it is another log, which begins.
        before, since = demo.events('archive.key')[0], demo.events('archive.key')[-1]
        self.assertIn('it is of the log ' + since['subject'], self.visit(before, ok=(1,)).err)
        self.assertIn(since['subject'], self.visit(since).out)

    def visit(self, event, ok=(0,)):
        return self.sh(f'tsaudit witness visit --key visitor.key --log "{event["fields"]["verifier"]}" --state visits '
                       '--url "$TSA/repository"', ok=ok)

    def test_5_restored_from_an_older_backup(self):
        demo = self.demo
        # The log of the backup is the one before; what was seen of it last counts.
        self.assertEqual(demo.tsad.stop(), 0)
        shutil.rmtree(self.archive)
        shutil.rmtree(f'{self.archive}.damaged')
        options = self.restore.replace('--damaged "$ARCHIVE.damaged"', '')
        other = (self.place / 'witnessed-since.txt').read_text()
        (self.place / 'witnessed.txt').write_text(other)
        self.assertIn('no log key that is known has signed it', self.sh(options, ok=(1,), COPY=str(self.backup)).err)
        # Somebody has changed a record in a copy.
        tampered = self.folder / 'tampered'
        shutil.copytree(self.backup, tampered)
        shutil.copy(self.place / 'witnessed-1.txt', self.place / 'witnessed.txt')
        segment = next(tampered.glob('????-??.sqlite'))
        with sqlite3.connect(segment) as database:
            number, der = database.execute("SELECT number, der FROM record JOIN by_serial USING (number) LIMIT 1").fetchone()
            database.execute('UPDATE record SET der = ? WHERE number = ?', (der[:-1] + bytes([der[-1] ^ 1]), number))
        database.close()
        refused = self.sh(options, ok=(1,), COPY=str(tampered))
        self.assertIn('was signed over other records', refused.err)
        no_witness = options.replace('--witnessed witnessed.txt', '')
        self.assertIn('--no-witness', self.sh(no_witness, ok=(2,), COPY=str(self.backup)).err)
        self.assertFalse(self.archive.exists())

        # The second place holds what the backup lacks: it serves as what is left.
        options = self.restore.replace('"$ARCHIVE.damaged"', '"$LEFT"').replace('archive restore', '--json archive restore')
        done = self.sh(options, COPY=str(self.backup), LEFT=str(self.copy))
        report = json.loads(done.out)
        size = int((self.place / 'witnessed.txt').read_text().split('\n')[1])
        self.assertLess(report['records'], size)
        lost = {one['serial'] for one in report['lost']}
        for serial in self.late:
            self.assertIn(serial, lost)
        self.assertNotIn(self.early[0], lost)
        self.assertIn('custodian demo-3', done.err)
        # The second place knows more than the archive now: it is no copy of it, and stays as it is.
        refused = run(BIN / 'tsad', '--config', demo.dir / 'tsad.toml', ok=(1,))
        self.assertIn('is no copy of', refused.err)
        self.copy.rename(self.folder / 'second-before')
        self.copy.mkdir()
        demo.tsactl('archive', 'backup', self.copy)
        demo.start_tsad()
        demo.wait_ready()
        self.stamp(2)
        self.covered()
        said = self.sh(self.after).out
        self.assertIn('whole: nothing was added', said)
        self.assertRegex(said, r'but for \d+ records that were lost before a restore')
        # Who brings such a token is told so, and not that it was never issued.
        answer = self.collated(self.late[0])
        self.assertEqual(answer['result'], 'lost')
        self.assertIn('was lost before: what it said', answer['detail'])
        self.assertEqual(self.collated(self.early[0])['result'], 'matches')
        listed = {one.get('serial') for one in map(json.loads, (self.place / 'lost.jsonl').read_text().splitlines())}
        self.assertEqual(listed - {None}, lost - {None})
        self.assertRegex(said, r'restored at \S+ with \d+ records; \d+ are lost, \d+ of them known to be tokens')
        # Judged by what was seen of the log before, it isn't all there.
        (self.place / 'trust-before.toml').write_text(
            (self.place / 'trust-since.toml').read_text().replace('witnessed-since.txt', 'witnessed-1.txt'))
        found = self.sh('tsaudit --archive "$ARCHIVE" verify --trust trust-before.toml', ok=(1,)).out
        self.assertIn('rolled-back', found)
        self.assertIn('the others are lost', found)
        for serial in self.late:
            self.assertFalse(self.in_copy(serial, self.archive))
        # Another log without the record of a restore is somebody else's.
        forged = self.folder / 'forged'
        demo.tsactl('archive', 'backup', forged)
        with sqlite3.connect(sorted(forged.glob('*.sqlite'))[-1]) as database:
            database.execute("UPDATE meta SET value = value || '0' WHERE key = 'origin'")
        database.close()
        found = run(BIN / 'tsaudit', '--archive', forged, 'verify', ok=(1,)).out
        self.assertIn("doesn't begin with a record that says how the archive was restored", found)


if __name__ == '__main__':
    harness.main()
