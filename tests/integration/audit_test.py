"""docs/audit.md, command by command, against a running demo; and what tsaudit says to wrong files."""
import base64
import csv
import json
import os
import pathlib
import re
import shutil
import tempfile
import unittest

import harness
from harness import run, until
import rfc3161


class AuditTest(harness.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.demo.start()
        for _ in range(20):
            cls.demo.stamp()
        cls.serial = json.loads(cls.demo.tsaudit('find', '--json').out.splitlines()[7])['serial']
        cls.place = cls.folder / 'auditor'
        cls.place.mkdir()
        cls.demo.trust(cls.place / 'trust.toml', 'witnessed.txt')
        until(cls.covered, 'a checkpoint over all that was stamped', 20)

    @classmethod
    def covered(cls):
        archive = json.loads(cls.demo.tsactl('status', '--json').out)['archive']
        return archive['covered'] >= 20 and archive['covered'] == archive['records']

    def test_1_the_documented_commands(self):
        page = (harness.TOP / 'docs/audit.md').read_text()
        blocks = re.findall(r'^```sh\n(.*?)^```$', page, re.M | re.S)
        self.assertEqual(len(blocks), 7)
        env = {'PATH': f'{harness.BIN}:{os.environ["PATH"]}', 'ARCHIVE': str(self.demo.dir / 'archive'), 'TSA': self.demo.url()[:-1],
               'SERIAL': self.serial}
        said = [run('bash', '-euo', 'pipefail', '-c', block, cwd=self.place, env=env).out for block in blocks]
        self.assertIn('whole: nothing was added, changed, moved or removed', said[0])
        self.assertIn('anchored: false', said[0])
        self.assertIn('anchored: true', said[1])
        self.assertIn('the proof holds', said[4])
        self.assertIn('the proof holds, and is of that token', said[5])
        self.assertIn('Signature Verified Successfully', said[6])
        # The token in the proof is the one that was issued.
        self.demo.tsaudit('show', self.serial, '--token', self.place / 'shown.der')
        self.assertEqual((self.place / 'token.der').read_bytes(), (self.place / 'shown.der').read_bytes())
        # Every key of the documented trust file is one.
        keys = re.findall(r'^(\w+) = ', re.search(r'```toml\n(.*?)```', page, re.S)[1], re.M)
        (self.place / 'all.toml').write_text(''.join(f'{key} = []\n' for key in keys if key != 'checkpoint'))
        self.assertEqual(run(harness.BIN / 'tsaudit', 'check-proof', 'token.tlog-proof', '--trust', 'all.toml', cwd=self.place).returncode, 0)

    def test_1a_a_proof_of_another_token(self):
        check = lambda *words, ok: run(harness.BIN / 'tsaudit', 'check-proof', 'token.tlog-proof', *words, '--trust', 'trust.toml', cwd=self.place, ok=(ok,))
        status, _, other = self.demo.post(rfc3161.query())
        self.assertEqual(status, 200)
        (self.place / 'other.tsr').write_bytes(other)
        self.assertIn("other.tsr is another token", check('other.tsr', ok=1).out)
        self.assertIn('trust.toml: ', check('trust.toml', ok=2).err)
        # What lies there stays there.
        (self.place / 'mine.der').write_bytes(b'precious')
        self.assertIn('is there already', check('--token', 'mine.der', ok=2).err)
        self.assertEqual((self.place / 'mine.der').read_bytes(), b'precious')

    def test_1b_a_proof_that_was_changed(self):
        lines = (self.place / 'token.tlog-proof').read_text().splitlines(keepends=True)
        extra = base64.b64decode(lines[1].removeprefix('extra '))
        listed = run('openssl', 'asn1parse', '-inform', 'DER', stdin=extra).out
        places = [tuple(map(int, found)) for found in re.findall(r'^ *(\d+):d=\d *hl=(\d+) l= *(\d+) prim: OCTET STRING', listed, re.M)]
        self.assertGreater(len(places), 5)  # the record, its context, certificate, TAC, basis, stretches
        for index, (at, header, length) in enumerate(places):
            octets = bytearray(extra)
            octets[at + header + length // 2] ^= 1
            (self.place / 'changed.tlog-proof').write_text(''.join((lines[0], f'extra {base64.b64encode(octets).decode()}\n', *lines[2:])))
            done = run(harness.BIN / 'tsaudit', 'check-proof', 'changed.tlog-proof', '--trust', 'trust.toml', cwd=self.place, ok=(1, 2))
            if index == 1:
                self.assertIn('its context, the blob ', done.err)
                self.assertIn(' is missing', done.err)

    def refused(self, *words, status=2):
        """The one line that it says."""
        done = run(harness.BIN / 'tsaudit', *words, ok=(status,), cwd=self.place)
        self.assertEqual(len(done.err.splitlines()), 1, done.err)
        self.assertNotIn('terminate', done.err)
        return done.err

    def test_2_what_is_wrong_is_said_in_a_line(self):
        archive = ('--archive', self.demo.dir / 'archive')
        self.assertIn('--archive is missing', self.refused('verify'))
        self.assertIn('no archive', self.refused('--archive', self.place, 'verify'))
        self.assertIn('nowhere.toml', self.refused(*archive, 'verify', '--trust', 'nowhere.toml'))
        good = (self.place / 'trust.toml').read_text()
        for name, text, said in (('key', good.replace('log_keys = ["', 'log_keys = ["x'), 'is no key of a log or witness'),
                                 ('anchor', good.replace('root.pem', 'none.pem'), 'none.pem'),
                                 ('unknown', good + 'anchor = []\n', 'anchor'),
                                 ('checkpoint', good.replace('witnessed.txt', 'trust.toml'), 'no signed note')):
            with self.subTest(name):
                (self.place / 'bad.toml').write_text(text)
                self.assertIn(said, self.refused(*archive, 'verify', '--trust', 'bad.toml'))
        self.assertIn('trust.toml', self.refused(*archive, 'verify', '--since', 'trust.toml'))
        self.assertIn('no token with the serial number', self.refused(*archive, 'prove', 'abcdef', status=1))
        self.assertIn("isn't hexadecimal", self.refused(*archive, 'prove', 'xyz'))
        self.assertIn('no proof', self.refused('check-proof', 'trust.toml'))
        self.assertIn('nowhere', self.refused('check-proof', 'nowhere', status=3))
        # A checkpoint of another log is none of this one's.
        other = (self.place / 'witnessed.txt').read_text().replace('kokuin/', 'kokuim/')
        (self.place / 'other.txt').write_text(other)
        self.assertIn('no log key that is known has signed it', self.refused(*archive, 'verify', '--since', 'other.txt'))

    def test_3_a_token_that_is_under_no_checkpoint_yet(self):
        """For some seconds after it was issued."""
        for _ in range(50):
            self.demo.stamp()
            newest = json.loads(self.demo.tsaudit('find', '--json').out.splitlines()[-1])
            status = json.loads(self.demo.tsactl('status', '--json').out)['archive']
            if newest['number'] >= status['covered']:
                done = self.demo.tsaudit('prove', newest['serial'], ok=(0, 1))
                if done.returncode == 1:
                    self.assertIn('under no checkpoint yet', done.err)
                    break
        else:
            self.fail('each one was covered at once')
        until(lambda: self.demo.tsaudit('prove', newest['serial'], ok=(0, 1)).returncode == 0, 'a proof', 20)

    def test_4_a_copy_that_the_auditor_may_only_read(self):
        place = pathlib.Path(tempfile.mkdtemp(prefix='kokuin-test-'))
        self.addCleanup(shutil.rmtree, place, ignore_errors=True)
        copy = place / 'copy'
        copy.mkdir()
        for segment in (self.demo.dir / 'archive').glob('*.sqlite'):
            run('sqlite3', segment, f'.backup {copy / segment.name}')
        shutil.copy(harness.BIN / 'tsaudit', place)  # its own folder may be nobody's business
        for path, mode in ((place, 0o755), (copy, 0o555), *((file, 0o444) for file in copy.iterdir())):
            path.chmod(mode)
        somebody = ('setpriv', '--reuid', 'nobody', '--regid', 'nogroup', '--clear-groups') if os.geteuid() == 0 else ()
        done = run(*somebody, place / 'tsaudit', '--archive', copy, 'verify', cwd='/')
        self.assertIn('whole', done.out)
        self.assertEqual({file.name for file in copy.iterdir()}, {file.name for file in (self.demo.dir / 'archive').glob('*.sqlite')})
        copy.chmod(0o755)

    def test_5_found_by_whatever_is_known_and_exported(self):
        every = [json.loads(line) for line in self.demo.tsaudit('find', '--json').out.splitlines()]
        digest = run('openssl', 'x509', '-in', self.demo.dir / 'pki/tsu.pem', '-noout', '-fingerprint', '-sha256').out
        digest = digest.strip().split('=')[1].replace(':', '').lower()
        for words in (('--tsu', 'tsu-1'), ('--certificate', digest), ('--key', 'tsu-1'), ('--tac', every[0]['tac'])):
            found = [json.loads(line) for line in self.demo.tsaudit('find', '--json', *words).out.splitlines()]
            self.assertEqual(found, [one for one in every if words[0] != '--tac' or one['tac'] == every[0]['tac']])
        for words in (('--tsu', 'tsu-2'), ('--certificate', '00' * 32), ('--tac', 'abcd'), ('--key', 'nobody'), ('--key', 'archive')):
            self.assertEqual(self.demo.tsaudit('find', *words, ok=(1,)).out, '')
        self.assertIn('64 digits', self.demo.tsaudit('find', '--certificate', 'abcd', ok=(2,)).err)
        # In pages.
        pages, after = [], -1
        while page := self.demo.tsaudit('find', '--json', '--limit', 6, '--after', after, ok=(0, 1)).out.splitlines():
            self.assertLessEqual(len(page), 6)
            pages += [json.loads(line) for line in page]
            after = pages[-1]['number']
        self.assertEqual(pages[:len(every)], every)

        place = self.folder / 'exported'
        place.mkdir()
        upto = ('--after', every[2]['number'])
        wanted = every[3:]
        self.demo.tsaudit('export', *upto, '-o', place / 'all.csv')
        with open(place / 'all.csv', newline='') as file:
            rows = list(csv.DictReader(file))[:len(wanted)]
        self.assertEqual([row['serial'] for row in rows], [one['serial'] for one in wanted])
        self.assertEqual([{**one, 'number': str(one['number']), 'clock_bound_us': str(one['clock_bound_us'])} for one in wanted],
                         [{key: row[key] for key in wanted[0]} for row in rows])
        self.demo.tsaudit('export', *upto, '--format', 'jsonl', '-o', place / 'all.jsonl')
        lines = [json.loads(line) for line in (place / 'all.jsonl').read_text().splitlines()][:len(wanted)]
        self.demo.tsaudit('export', *upto, '--format', 'tokens', '-o', place / 'tokens')
        for one, line in zip(wanted, lines):
            self.assertEqual({key: line[key] for key in one}, one)
            token = (place / 'tokens' / f'{one["serial"]}.der').read_bytes()
            self.assertEqual(base64.b64decode(line['token']), token)
            self.assertEqual(rfc3161.TstInfo(token).serial, one['serial'])
        self.assertEqual(sorted(file.name for file in place.iterdir()), ['all.csv', 'all.jsonl', 'tokens'])
        self.assertIn('nothing matched', self.demo.tsaudit('export', '--tsu', 'none', '-o', place / 'none.csv', ok=(1,)).err)
        self.assertFalse((place / 'none.csv').exists() or (place / 'none.csv.new').exists())
        self.assertIn('--out is missing', self.demo.tsaudit('export', '--format', 'tokens', ok=(2,)).err)


if __name__ == '__main__':
    harness.main()
