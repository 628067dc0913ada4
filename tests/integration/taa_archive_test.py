"""The TAA's archive (TAA-8): what docs/taa.md has an auditor do, and what a TAA that changes its records can't hide."""
import json
import re
import shutil
import signal
import sqlite3
import time

import harness
from harness import BIN, run, until


class TaaArchiveTest(harness.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        demo = cls.demo
        cls.archive = demo.dir / 'taa-archive'
        demo.start()
        until(lambda: demo.taa_events('audit.verdict'), 'a TAC that was delivered')
        until(cls.all_covered, 'a checkpoint over all records', 20)
        shutil.copytree(cls.archive, cls.folder / 'older')
        cls.page = (harness.TOP / 'docs/taa.md').read_text()
        # Another month's report would do as well; it has what the archive is by then.
        demo.taad.stop()
        assert demo.audit_now()['outcome'] == 'good'
        assert cls.all_covered()

    @classmethod
    def verify(cls, archive=None, *more, ok=(0,)):
        return json.loads(run(BIN / 'tsaudit', '--archive', archive or cls.archive, 'verify', '--json', *more, ok=ok).out)

    @classmethod
    def all_covered(cls):
        report = cls.verify()
        return report['uncovered'] == 0 and report['covered'] == report['records']

    def documented(self, archive, ok=0):
        """The commands of the page, in a folder of their own; what the last one says."""
        place = self.folder / 'auditor'
        place.mkdir(exist_ok=True)
        block = re.search(r'^## Its archive.*?^```sh\n(.*?)^```$', self.page, re.M | re.S)[1]
        block = block.replace('--config taad.toml', f'--config {self.demo.dir}/taad.toml')
        done = run('bash', '-euo', 'pipefail', '-c', block, cwd=place, ok=(ok,),
                   env={'PATH': f'{BIN}:/usr/bin:/bin', 'ARCHIVE': str(archive), 'ROOT': str(self.demo.root())})
        return done.out

    def test_1_as_the_page_has_it(self):
        said = self.documented(self.archive)
        self.assertIn('anchored: true', said)
        self.assertIn('whole: nothing was added, changed, moved or removed', said)
        # What it was judged by has come out of the house in the page for people, too.
        checkpoint = (self.folder / 'auditor/taa-checkpoint.txt').read_text()
        html = next((self.demo.dir / 'reports').glob('*.en.html')).read_text()
        for line in checkpoint.split('\n'):
            self.assertIn(line, html)

    def test_1b_what_is_covered_in_another_time(self):
        """Each change of it is an event that names the key; a report names it once."""
        demo = self.demo
        for within, now in (('# covered_within = "5s"', 'covered_within = "9s"'), ('covered_within = "9s"', '# covered_within = "5s"')):
            demo.edit('taad', (within, now))
            demo.audit_now()
        self.assertEqual(len(demo.taa_events('archive.key')), 3)
        self.assertIn('anchored: true', self.documented(self.archive))

    def test_1c_an_audit_by_hand_that_takes_long(self):
        """What is signed for when it begins must not be late when its TAC is to leave, longer than its limit later."""
        demo = self.demo
        demo.edit('taad', ('# covered_within = "5s"', 'covered_within = "3s"'), (r'^# deadline = "5s"', 'deadline = "30s"'))
        demo.tsad.process.send_signal(signal.SIGSTOP)
        begun = len(demo.taa_events('custody.activated'))
        audit = self.started(harness.Program(BIN / 'taad', '--config', demo.dir / 'taad.toml', 'audit', 'now', 'tsu-1',
                                             log=self.folder / 'now.log'))
        until(lambda: len(demo.taa_events('custody.activated')) > begun, 'its token is open')
        since = time.monotonic()
        until(lambda: time.monotonic() > since + 4, 'four seconds')
        demo.tsad.process.send_signal(signal.SIGCONT)
        self.assertEqual(audit.process.wait(30), 0, audit.tail())
        demo.edit('taad', ('covered_within = "3s"', '# covered_within = "5s"'))

    def test_2_an_older_copy_in_its_place(self):
        said = self.documented(self.folder / 'older', ok=1)
        self.assertIn('rolled-back', said)
        self.assertIn('NOT WHOLE', said)

    def test_3_an_audit_that_says_something_else(self):
        """As if the clock hadn't been good: whatever is put right around it, no key signs that."""
        changed = self.folder / 'changed'
        shutil.copytree(self.archive, changed)
        segment, = changed.glob('*.sqlite')
        last = self.demo.taa_events('audit')[-1]
        with sqlite3.connect(segment) as db:
            record, = db.execute('SELECT der FROM record WHERE number = ?', (last['number'],)).fetchone()
            self.assertEqual(record.count(b'good'), 1)
            db.execute('UPDATE record SET der = ? WHERE number = ?', (record.replace(b'good', b'stop'), last['number']))
        db.close()
        found = self.verify(changed, ok=(1,))
        self.assertIn(('tree', last['number']), [(one['kind'], one['number']) for one in found['problems']])

    def test_4_gone_on_from_an_older_copy_with_another_key(self):
        """The archive is whole by itself, and says itself whose key it is. The report's keys tell."""
        demo = self.demo
        demo.start_taad()
        run(BIN / 'taad', '--config', demo.dir / 'taad.toml', 'key', 'generate', 'anew', '--type', 'ed25519')
        demo.taad.stop()
        shutil.copytree(self.folder / 'older', demo.dir / 'anew')
        text = (demo.dir / 'taad.toml').read_text()
        for old, new in (('dir = "taa-archive"', 'dir = "anew"'), ('key = "archive"', 'key = "anew"')):
            self.assertEqual(text.count(old), 1, old)
            text = text.replace(old, new)
        (demo.dir / 'anew.toml').write_text(text)
        for _ in range(5):
            self.assertEqual(demo.audit_now(configuration='anew.toml')['outcome'], 'good')
        self.assertTrue(self.verify(demo.dir / 'anew')['ok'])
        said = self.documented(demo.dir / 'anew', ok=1)
        self.assertRegex(said, 'checkpoint.* log key')

    def test_5_tacs_under_no_checkpoint_for_days(self):
        """No key signs any more: what the archive had promised tells."""
        demo = self.demo
        shutil.copytree(self.archive, demo.dir / 'unsigned')
        text = (demo.dir / 'taad.toml').read_text()
        text = text.replace('dir = "taa-archive"', 'dir = "unsigned"')
        (demo.dir / 'unsigned.toml').write_text(re.sub(r'(?m)^key = "archive" .*\n(?: +#.*\n)?', '', text))
        demo.tsad.stop()
        for offset in ('+0', '+2d'):
            self.set_clock(offset)
            demo.start_tsad(env=self.faked())
            done = run(BIN / 'taad', '--config', demo.dir / 'unsigned.toml', '--json', 'audit', 'now', 'tsu-1', env=self.faked(), ok=None)
            self.assertEqual(json.loads(done.out)['outcome'], 'good', done.err)
            self.assertIn('nobody signs checkpoints over it', done.err)
            demo.tsad.stop()
        found = self.verify(demo.dir / 'unsigned', ok=(1,))
        self.assertEqual([one['kind'] for one in found['problems']], ['checkpoint'])
        self.assertRegex(found['problems'][0]['detail'], 'TACs of .* are under no checkpoint')


if __name__ == '__main__':
    harness.main()
