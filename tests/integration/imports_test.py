"""Imports (ARC-1), their personal data apart and erasable (TSA-13), and what has passed its time: docs/retention.md, and what
an operator, custodians and an auditor see of it."""
import datetime
import hashlib
import hmac
import json
import os
import re
import shutil

import harness
from harness import BIN, run

REASONS = ('--why', 'a test', '--by', 'operator 1')
PERSON = 'Aoyama Hanako'


class ImportsTest(harness.TestCase):
    """One demo, whose custodians' shares open the token by themselves; its tests build upon each other."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.demo.start()
        cls.personal = cls.demo.dir / 'personal'
        for _ in range(2):
            cls.demo.stamp()
        cls.place = cls.folder / 'operator'
        cls.place.mkdir()
        (cls.place / 'tsactl').write_text(f'#!/bin/sh\nexec {BIN}/tsactl --config {cls.demo.dir}/tsad.toml "$@"\n')
        (cls.place / 'tsactl').chmod(0o755)
        (cls.place / 'tsaudit').symlink_to(BIN / 'tsaudit')
        (cls.place / 'door.csv').write_text(f'2026-10-05 09:00,{PERSON}\n')
        (cls.place / 'contract.pdf').write_bytes(b'%PDF ' + os.urandom(5000))

    def listed(self, ok=(0,)):
        """What tsactl says, and tsaudit too; by id."""
        said = json.loads(self.demo.tsactl('archive', 'imports', '--json', ok=ok).out)
        audited = json.loads(self.demo.tsaudit('--json', 'imports', '--personal', self.personal, ok=ok).out)
        self.assertEqual(said, audited)
        self.assertEqual(said['ok'], ok == (0,))
        return {one['id']: one for one in said['imports']}, said['strays']

    def take(self, content, kind='other', period=('2026-01-01', '2026-02-01')):
        """Imports it; its id."""
        file = self.folder / 'content'
        file.write_bytes(content)
        said = self.demo.tsactl('archive', 'import', file, '--kind', kind, '--subject', 'a list', '--from', period[0], '--to', period[1],
                                *REASONS, '--json')
        return json.loads(said.out)['id']

    def approve(self, proposal, status=(0, 0)):
        """Two custodians agree; what the last of them was told."""
        for name, ok in zip(('demo-1', 'demo-2'), status):
            at = self.demo.dir / 'custody' / name
            done = self.demo.tsactl('approve', proposal, '--share', f'{at}.share', '--passphrase-file', f'{at}.passphrase', ok=(ok,))
        return done.out + done.err

    def ask_to_erase(self, which):
        return re.search(r'proposal (\w+): to be approved by 2 custodians', self.demo.tsactl('archive', 'erase', which, *REASONS).out)[1]

    def test_1_docs(self):
        page = (harness.TOP / 'docs/retention.md').read_text()
        blocks = re.findall(r'^```sh\n(.*?)^```$', page, re.M | re.S)
        self.assertEqual(len(blocks), 5)
        env = {'PATH': f'{self.place}:{os.environ["PATH"]}', 'ARCHIVE': str(self.demo.dir / 'archive'), 'PERSONAL': str(self.personal)}
        said = [run('bash', '-euo', 'pipefail', '-c', block, cwd=self.place, env=env).out for block in blocks]
        self.assertIn('nothing has passed its time', said[0])
        self.assertRegex(said[0], r'(?m)^  token: (\d+) of \1, numbers \d+ to \d+, kept for 10 years$')
        self.assertIn('tokens', said[1])
        self.assertEqual(len(re.findall(r'imported as [0-9a-f]{32}', said[2])), 2)
        self.assertRegex(said[2], r'room-entry  2026-10-01T00:00:00Z to 2026-11-01T00:00:00Z  whole  machine room\n')
        self.assertIn('not looked at', said[4])
        self.assertIn('whole', said[4])
        # The table names no kind of events that there isn't.
        known = (harness.TOP / 'store/retention.cpp').read_text()
        table = page[page.index('| what | kinds'):page.index('The one list of all kinds')]
        for kind in re.findall(r'`([a-z]+\.[a-z-]+)`', table):
            self.assertTrue(f'"{kind}"' in known or kind.endswith('.toml'), kind)

    def test_2_what_is_apart_and_what_is_recorded(self):
        imports, strays = self.listed()
        self.assertEqual(strays, [])
        room, contract = imports.values()
        self.assertEqual([one['kind'] for one in imports.values()], ['room-entry', 'subscription'])
        self.assertEqual((room['kept_until'], contract['kept_until']), ('2027-11-01T00:00:00Z', '2036-10-01T00:00:00Z'))
        file = self.personal / room['id']
        self.assertEqual((self.personal.stat().st_mode & 0o777, file.stat().st_mode & 0o777), (0o700, 0o600))
        octets, content = file.read_bytes(), (self.place / 'door.csv').read_bytes()
        self.assertEqual(octets[32:], content)
        (event,) = self.demo.events('import.room-entry')
        self.assertEqual(event['fields']['hmac'], hmac.new(octets[:32], content, 'sha256').hexdigest())
        self.assertEqual((event['subject'], event['fields']['id'], event['fields']['octets'], event['fields']['by'], event['fields']['why']),
                         ('machine room', room['id'], len(content), 'operator 3', 'monthly list of the guards'))
        us = [int(datetime.datetime(2026, month, 1, tzinfo=datetime.timezone.utc).timestamp()) * 10**6 for month in (10, 11)]
        self.assertEqual([event['fields']['from_us'], event['fields']['to_us']], us)
        self.assertNotEqual(event['fields']['hmac'], hashlib.sha256(content).hexdigest())
        # Nobody's name is anywhere else.
        for path in [*(self.demo.dir / 'archive').iterdir(), *(self.demo.dir / 'log').iterdir()]:
            self.assertNotIn(PERSON.encode(), path.read_bytes(), path)

    def test_3_refused_in_a_line(self):
        for changes, said in (({'--kind': 'entry'}, 'none of room-entry, subscription, other'), ({'--to': '2126-01-01'}, 'yet to come'),
                              ({'--to': '2026-01-01'}, "isn't before --to"), ({'--from': 'May'}, 'is no date'),
                              ({'--subject': 'two\nlines'}, '--subject'), ({'--by': ' '}, '--by'), ({'FILE': '/nowhere'}, '/nowhere')):
            words = {'FILE': self.place / 'door.csv', '--kind': 'other', '--subject': 's', '--from': '2026-01-01', '--to': '2026-02-01',
                     '--why': 'w', '--by': 'b', **changes}
            file = words.pop('FILE')
            done = self.demo.tsactl('archive', 'import', file, *(word for pair in words.items() for word in pair), ok=(2, 3))
            self.assertIn(said, done.err)
            self.assertEqual(len(done.err.splitlines()), 1)
        empty = self.folder / 'empty'
        empty.write_bytes(b'')
        words = ('--kind', 'other', '--subject', 's', '--from', '2026-01-01', '--to', '2026-02-01', *REASONS)
        self.assertIn('is empty', self.demo.tsactl('archive', 'import', empty, *words, ok=(2,)).err)
        empty.write_bytes(bytes((4 << 20) + 1))
        self.assertIn('larger than', self.demo.tsactl('archive', 'import', empty, *words, ok=(2,)).err)
        self.assertEqual(len(list(self.personal.iterdir())), 2)
        for which, said, status in (('0' * 32, 'there is no import', 1), ('../tsad.toml', 'there is no import', 1)):
            self.assertIn(said, self.demo.tsactl('archive', 'erase', which, *REASONS, ok=(status,)).err)

    def test_4_custodians_agree_to_an_erasure(self):
        largest = os.urandom(4 << 20)
        which = self.take(largest, 'room-entry', ('2024-01-01', '2024-02-01'))
        self.assertTrue(self.listed()[0][which]['past'])
        self.assertRegex(self.demo.tsactl('archive', 'imports').out, rf'{which}  room-entry .* whole, PAST ITS TIME since 2025-02-01')
        proposal = self.ask_to_erase(which)
        self.assertIn('waits', self.demo.tsactl('archive', 'erase', which, *REASONS, ok=(1,)).err)
        shutil.copy(self.personal / which, self.folder / 'kept')
        self.assertEqual((self.personal / which).read_bytes()[32:], largest)
        self.assertIn('is erased', self.approve(proposal))
        self.assertFalse((self.personal / which).exists())
        (event,) = self.demo.events('import.erased')
        self.assertEqual((event['subject'], event['fields']['custodians'], event['fields']['by'], event['fields']['why']),
                         (which, 'demo-1, demo-2', 'operator 1', 'a test'))
        agreed = self.demo.events('custody.agreed')[-1]
        self.assertEqual(agreed['fields']['act'], 'import-erase')
        self.assertIn(f'import {which}, room-entry, hmac sha256 ', agreed['fields']['content'])
        one = self.listed()[0][which]
        self.assertEqual((one['state'], one['past']), ('erased', False))
        self.assertIn('erased already', self.demo.tsactl('archive', 'erase', which, *REASONS, ok=(1,)).err)

        # A copy of the folder comes back: erased is erased.
        for restart in (True, False):
            shutil.copy(self.folder / 'kept', self.personal / which)
            self.assertEqual(self.listed(ok=(1,))[0][which]['state'], 'still there')
            if restart:
                self.demo.tsad.stop()
                self.demo.start_tsad()
                self.assertIn(f'{which} was still there', self.demo.tsad.written())
            else:
                self.assertIn('is erased', self.demo.tsactl('archive', 'erase', which, *REASONS).out)
            self.assertFalse((self.personal / which).exists())
            self.assertEqual(self.listed()[0][which]['state'], 'erased')
        self.assertEqual(len(self.demo.events('import.erased')), 1)

    def test_5_by_hand_without_a_word(self):
        which = self.take(b'whatever was written down')
        file = self.personal / which
        before = file.read_bytes()
        for at in (0, len(before) - 1):
            file.write_bytes(before[:at] + bytes([before[at] ^ 1]) + before[at + 1:])
            self.assertEqual(self.listed(ok=(1,))[0][which]['state'], 'altered')
        self.assertIn('  altered', self.demo.tsactl('archive', 'imports', ok=(1,)).out)
        file.unlink()
        self.assertEqual(self.listed(ok=(1,))[0][which]['state'], 'missing')
        file.write_bytes(before)
        # What a crash leaves: a content that no record names, whole or in part.
        stray, half = 'ab' * 16, 'cd' * 16 + '.new.0123456789ab'
        for name in (stray, half):
            (self.personal / name).write_bytes(before)
        imports, strays = self.listed(ok=(1,))
        self.assertEqual((imports[which]['state'], strays), ('whole', [stray, half]))
        self.assertIn(f'{stray}  STRAY', self.demo.tsactl('archive', 'imports', ok=(1,)).out)
        for name in (stray, half):
            self.assertIn('is erased', self.approve(self.ask_to_erase(name)))
        self.listed()
        # What was asked for is gone when the last custodian comes.
        proposal = self.ask_to_erase(which)
        second = self.folder / 'second'
        shutil.copy(file, second)
        file.unlink()
        self.assertIn('is erased', self.approve(proposal))  # the record says so now
        self.assertEqual(self.listed()[0][which]['state'], 'erased')

    def test_6_what_has_passed_its_time(self):
        found = [json.loads(line) for line in self.demo.tsaudit('find', '--json').out.splitlines()]
        certificate = run('openssl', 'x509', '-in', self.demo.dir / 'pki/tsu.pem', '-noout', '-enddate', '-dateopt', 'iso_8601').out
        certificate_end = datetime.datetime.fromisoformat(certificate.strip().split('=')[1].replace('Z', '+00:00'))

        def end(token):
            issued = datetime.datetime.fromisoformat(token['gen_time'].replace('Z', '+00:00'))
            if (issued.month, issued.day) == (2, 29):
                issued += datetime.timedelta(days=1)
            return max(certificate_end, issued.replace(year=issued.year + 10))

        def kinds(at, archive='archive'):
            said = json.loads(run(BIN / 'tsaudit', '--archive', self.demo.dir / archive, '--json', 'expire', '--at', at).out)
            return said, {kind['kind']: kind for segment in said['segments'] for kind in segment['kinds']}

        last = max(map(end, found))
        after = (last + datetime.timedelta(seconds=1)).isoformat()
        before = (min(map(end, found)) - datetime.timedelta(seconds=1)).isoformat()
        said, then = kinds(before)
        self.assertEqual((then['token']['past'], then['token']['first_past']), (0, None))
        said, then = kinds(after)
        numbers = [token['number'] for token in found]
        self.assertEqual([then['token'][key] for key in ('records', 'past', 'first_past', 'last_past')],
                         [len(found), len(found), min(numbers), max(numbers)])
        self.assertEqual(then['token']['ends'][:19], last.isoformat()[:19])
        self.assertEqual((then['key.activated']['past'], then['archive.key']['past']), (0, 0))
        self.assertEqual(then['import.room-entry']['past'], 2)
        self.assertIsNone(said['segments'][0]['ends'])  # the keys
        self.assertEqual([one['kind'] for one in said['imports']], ['room-entry', 'subscription'])
        # A TAC that was taken stays as long as the tokens of its month.
        self.assertGreaterEqual(then['tac.accepted']['ends'], then['token']['ends'])
        # Nothing has been written, on either side, that nobody has sorted in.
        for archive in ('archive', 'taa-archive'):
            said, all_kinds = kinds('2100-01-01', archive)
            self.assertGreater(len(all_kinds), 4)
            self.assertEqual([kind for kind in all_kinds if not all_kinds[kind]['listed']], [])
            self.assertEqual(sum(kind['records'] for kind in all_kinds.values()), sum(one['records'] for one in said['segments']))
        records = len(self.demo.tsaudit('events', '--json').out.splitlines()) + len(found)
        self.assertEqual(sum(one['records'] for one in kinds('2100-01-01')[0]['segments']), records)

    def test_7_pin_file(self):
        """One person alone may do it."""
        demo = self.demo
        which = self.take(b'something else')
        pin = demo.dir / 'alone.pin'
        pin.write_text(run(BIN / 'kokuin-share', *(demo.dir / 'custody' / f'demo-{i}' for i in (1, 2, 3))).out.split()[6])
        pin.chmod(0o600)
        demo.edit('tsad', (r'^#   pin_file = "tsu\.pin" ', f'pin_file = "{pin}" '), (r'^unattended = .*$', ''))
        demo.tsad.stop()
        demo.start_tsad()
        self.assertIn('is erased', demo.tsactl('archive', 'erase', which, *REASONS).out)
        self.assertNotIn('custodians', demo.events('import.erased')[-1]['fields'])
        self.assertEqual(self.listed()[0][which]['state'], 'erased')
        # Custodians had held the PIN until then, and an auditor is told.
        last = demo.events('import.erased')[-1]['number']
        alone = json.loads(demo.tsaudit('verify', '--json').out)['alone']
        self.assertEqual([(one['kind'], one['number'], one['since']) for one in alone], [('import.erased', last, 0)])
        self.assertIn(f'record {last} (import.erased): done by one person alone', demo.tsaudit('verify').out)


if __name__ == '__main__':
    harness.main()
