"""tsaudit report and export --format sqlite on the archive of a bad month: docs/report.md, docs/sql.md. What they say is computed
again from the records."""
import collections
import contextlib
import hashlib
import html.parser
import json
import os
import pathlib
import re
import shutil
import signal
import tempfile
import threading

import harness
from bad_month import ISSUED, LATER, BadMonth, lines, us
from harness import run, until

HOUR, MINUTE = 3600 * 10**6, 60 * 10**6
VIEWS = {
    'segments': 'name first records previous tokens events',
    'tokens': 'number segment serial gen_time_us gen_time policy imprint_algorithm imprint tsu tac tac_sha256 clock_bound_us '
              'certificate_sha256 at_us at',
    'events': 'number segment at_us at kind subject text',
    'event_fields': 'number key type text integer octets',
    'event_blobs': 'number position sha256',
    'refusals': 'number at_us at failure cause requests',
    'tacs': 'number at_us at tsu verdict reason times tac tac_sha256 holder issuer policy audited_us audited expires_us expires '
            'not_before_us not_after_us offset_us delay_us max_offset_us max_delay_us der',
    'certificates': 'sha256 role subject issuer serial not_before_us not_before not_after_us not_after der',
    'keys': 'spki_sha256 label tsu token certificate_sha256 generated_us generated certified_us certified activated_us activated '
            'retired_us retired compromised_us compromised destroyed_us destroyed',
    'checkpoints': 'size segment origin root note',
    'cosignatures': 'size witness at_us at line',
}


class Headings(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.inside, self.all = None, []

    def handle_starttag(self, tag, attributes):
        self.inside = tag

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        if self.inside in ('title', 'h1', 'h2', 'h3', 'th', 'p', 'text') and data.strip():
            self.all.append(data.strip())


class ReportTest(BadMonth):
    def test_a_the_numbers_follow_from_the_records(self):
        report = json.loads(self.report('--json', '--trust', self.trust).out)
        self.assertTrue(report['interim'])
        volume, tokens = report['volume'], self.tokens
        self.assertEqual((volume['tokens'], volume['without_tac']), (len(tokens), 0))
        self.assertGreaterEqual(len(tokens), ISSUED - 1)
        by = collections.Counter((token['policy'], token['tsu']) for token in tokens)
        self.assertEqual({(row['policy'], row['tsu']): row['tokens'] for row in volume['by']}, by)
        self.assertEqual(sorted(by.values()), [4, len(tokens) - 4])
        minutes = collections.Counter(us(token['gen_time']) // MINUTE for token in tokens)
        peak = max(minutes.values())
        self.assertEqual(volume['peak_minute']['tokens'], peak)
        self.assertEqual(us(volume['peak_minute']['at']) // MINUTE, min(at for at, count in minutes.items() if count == peak))
        self.assertEqual(volume['days'], collections.Counter(token['gen_time'][:10] for token in tokens))
        hours = collections.defaultdict(list)
        for token in tokens:
            hours[us(token['gen_time']) // HOUR].append(token['clock_bound_us'])
        self.assertEqual([(us(hour['at']) // HOUR, hour['tokens'], hour['clock_bound_max_us'], hour['clock_bound_median_us'])
                          for hour in volume['hours']],
                         [(at, len(all), max(all), sorted(all)[(len(all) - 1) // 2]) for at, all in sorted(hours.items())])
        worst = max(tokens, key=lambda token: token['clock_bound_us'])
        self.assertEqual((report['clock']['bound_max_us'], report['clock']['bound_max_serial']),
                         (worst['clock_bound_us'], worst['serial']))
        self.assertEqual(report['clock']['accuracy_us'], {policy: [10**6] for policy, _ in by})

        refusals = collections.Counter()
        for event in self.of_kind('refusals'):
            refusals.update(event['fields'])
        self.assertEqual({reason: row['total'] for reason, row in report['refusals']['by'].items()}, refusals)
        self.assertEqual(report['refusals']['total'], 6)
        self.assertEqual(sorted(refusals.values()), [1, 2, 3])
        for row in report['refusals']['by'].values():
            self.assertEqual(sum(row['days'].values()), row['total'])

        self.assertEqual(report['events'], collections.Counter(event['kind'] for event in self.of_month))
        self.assertEqual((report['first'], report['last']),
                         (self.of_month[0]['number'], max(self.all_events[-1]['number'], tokens[-1]['number'])))
        self.assertEqual(us(report['last_at']) // 1000, max(us(one) for one in [event['at'] for event in self.of_month] +
                                                            [token['gen_time'] for token in tokens]) // 1000)
        verdicts = {'accepted': 'tac.accepted', 'stop': 'tac.stop', 'refused': 'tac.refused'}
        self.assertEqual(report['verdicts'], {verdict: len(self.of_kind(kind)) for verdict, kind in verdicts.items()})
        self.assertEqual((report['verdicts']['stop'], report['verdicts']['refused']), (1, 1))
        for audit in report['audits']:
            (event,) = [one for one in self.of_month if one['number'] == audit['number']]
            self.assertEqual(event['kind'], verdicts[audit['verdict']])
            if audit['verdict'] == 'refused':
                # An old one, delivered again.
                self.assertEqual((audit['text'], audit['tac'], audit['offset_us']), (event['text'], report['audits'][0]['tac'], None))
                continue
            (self.folder / 'tac.der').write_bytes(bytes.fromhex(event['fields']['tac']))
            tac = json.loads(run(harness.BIN / 'tsaudit', 'tac', 'show', self.folder / 'tac.der', '--json').out)
            self.assertEqual([audit[key] for key in ('tac', 'offset_us', 'delay_us', 'max_offset_us')],
                             [tac[key] for key in ('serial', 'offset_us', 'delay_us', 'max_offset_us')])
            self.assertEqual(us(audit['valid_until']) // 1000, us(tac['expiration']) // 1000)
            self.assertEqual(round(audit['offset_us'] / 100_000), 15 if audit['verdict'] == 'stop' else 0)
        # The order to stop took it out of force, until the next one.
        (gap,) = report['gaps']
        (stop,) = self.of_kind('tac.stop')
        again = next(event for event in self.of_kind('tac.accepted') if event['number'] > stop['number'])
        # The clock was put right in between, so the end may seem to be before the beginning.
        self.assertEqual([us(gap[end]) // 1000 for end in ('from', 'to')], [at // 1000 for at in (
            us(stop['at']), max(us(stop['at']), us(again['at'])))])
        self.assertEqual([step['number'] for step in report['keys']],
                         [event['number'] for event in self.of_month if re.match(r'(key|custody)\.|archive\.key$', event['kind'])])
        self.assertIn(('tsu-1', 'spare'), [(step['subject'], step['key']) for step in report['keys']])
        steps = [event for event in self.of_month
                 if re.match(r'(archive\.(?!key)|seal|copy|removal|programs|import)|events\.lost$', event['kind'])]
        self.assertEqual([(step['number'], step['kind'], step['text']) for step in report['steps']],
                         [(event['number'], event['kind'], event['text']) for event in steps])
        self.assertIn('programs.running', [step['kind'] for step in report['steps']])

    def test_b_outages_and_availability(self):
        report = json.loads(self.report('--json', '--no-verify').out)
        self.assertIsNone(report['integrity']['verified'])
        # Where the clock was put right, an end before the beginning is no time.
        everything = sorted(self.all_events + [{'kind': 'token', **token} for token in self.every], key=lambda one: one['number'])
        at_us = dict(self.rows('SELECT number, at_us FROM tokens UNION SELECT number, at_us FROM events'))
        # A server, one gate; what starts says so when it is up, and a few records before that are of its start.
        down, up, opened, first, open_us, outages, last_sign = None, False, None, None, 0, [], None
        closed, month = None, us(self.month + '-01T00:00:00Z')
        for one in everything:
            at = at_us[one['number']]

            def shut(end):
                nonlocal opened, closed, open_us
                if opened is not None:
                    open_us += max(0, end - max(opened, month))
                if closed:
                    outages.append(('gate', closed[1], closed[0], max(closed[0], end)))
                opened = closed = None
            if one['kind'] == 'server.stopped':
                shut(at)
                down, up = ('stopped', at), False
            elif one['kind'] == 'server.started':
                if up:
                    shut(last_sign)
                    down = ('crashed', last_sign)
                if down:
                    outages.append(('server', down[0], down[1], at))
                first, down, up = first or at, None, True
            elif one['kind'] == 'gate.closed':
                shut(at)
                closed = (at, one['fields']['cause'])
            elif one['kind'] == 'gate.opened':
                shut(at)
                opened = at
            if not re.match(r'(custody|key|archive|witness|checkpoint|leap)\.', one['kind']):
                last_sign = at
        found = [(one['what'], one['cause'], us(one['from']) // 1000, us(one['to']) // 1000) for one in report['outages'] if one['to']]
        self.assertCountEqual(found, [(what, cause, begin // 1000, end // 1000) for what, cause, begin, end in outages if end >= month])
        causes = {(one['what'], one['cause']) for one in report['outages']}
        self.assertLessEqual({('server', 'crashed'), ('gate', 'order-to-stop')}, causes)
        # The last is that it is down now.
        (lasting,) = [one for one in report['outages'] if one['to'] is None]
        self.assertEqual((lasting['what'], lasting['cause'], us(lasting['from']) // 1000), ('server', 'stopped', down[1] // 1000))
        self.assertEqual([one['recorded'] for one in report['outages'] if one['cause'] == 'crashed'], [False])
        (row,) = report['availability']
        self.assertEqual((row['tsu'], row['policies']), ('tsu-1', 'a2, g'))
        self.assertAlmostEqual(row['open_us'], open_us, delta=10)
        self.assertAlmostEqual(row['of_us'], us(report['until']) - max(first, month), delta=1000)

    def test_c_integrity(self):
        report = json.loads(self.report('--json', '--trust', self.trust).out)
        integrity = report['integrity']
        checkpoints = [row for file in sorted((self.demo.dir / 'archive').glob('*.sqlite'))
                       for row in json.loads(run('sqlite3', '-json', file, 'SELECT size, note FROM checkpoint').out or '[]')]
        mine = [one for one in checkpoints if report['first'] < one['size'] <= report['last'] + 1]
        newest = max(mine, key=lambda one: one['size'])
        self.assertEqual(integrity['checkpoints'], len(mine))
        self.assertEqual(integrity['head'], {'size': newest['size'], 'root': newest['note'].splitlines()[2], 'note': newest['note']})
        self.assertEqual(integrity['uncovered'], max(0, report['last'] + 1 - newest['size']))
        sizes = sorted(one['size'] for one in checkpoints)
        groups = collections.defaultdict(list)
        for number, at in self.rows(f'SELECT number, at_us FROM tokens WHERE gen_time_us >= {us(self.month + "-01T00:00:00Z")}'):
            if number < sizes[-1]:
                groups[min(size for size in sizes if size > number)].append(at)
        self.assertEqual(integrity['longest_uncovered_us'], max(max(all) - min(all) for all in groups.values()))
        verified = integrity['verified']
        self.assertEqual((verified['ok'], verified['tokens'], verified['problems']),
                         (True, len([one for one in self.every if one['number'] >= verified['since']]) + LATER, []))
        # Somebody changes a record of a copy.
        copy = self.folder / 'copy'
        shutil.copytree(self.demo.dir / 'archive', copy)
        victim = self.tokens[3]
        segment = copy / f'{victim["segment"]}.sqlite'
        run('sqlite3', segment, "UPDATE event SET subject = 'nobody' WHERE kind = 'tac.stop'")
        done = run(harness.BIN / 'tsaudit', '--archive', copy, 'report', '--month', self.month, '--json', ok=(1,))
        self.assertIn('not whole', done.err)
        verified = json.loads(done.out)['integrity']['verified']
        self.assertEqual((verified['ok'], {one['kind'] for one in verified['problems']}), (False, {'index'}))
        done = run(harness.BIN / 'tsaudit', '--archive', copy, 'report', '--month', self.month, '--lang', 'ja', ok=(1,))
        self.assertIn('完全ではありません', done.out)

    def test_d_a_month_that_begins_in_the_segment_before(self):
        report = json.loads(self.demo.tsaudit('report', '--month', self.next_month, '--json', '--trust', self.trust).out)
        events = [event for event in lines(self.demo.tsaudit('events', '--json').out) if event['at'].startswith(self.next_month)]
        self.assertEqual({one['segment'] for one in self.later}, {self.next_month})
        self.assertIn(self.month, {event['segment'] for event in events})
        self.assertEqual((report['volume']['tokens'], report['events']), (LATER, collections.Counter(event['kind'] for event in events)))
        self.assertEqual(report['first'], events[0]['number'])
        # It was down since the month before, and had no TAC.
        before = self.all_events[-1]
        self.assertEqual([(one['what'], one['cause'], us(one['from']) // 1000) for one in report['outages']][0],
                         ('server', 'stopped', us(before['at']) // 1000))
        self.assertEqual([gap['from'][:7] for gap in report['gaps']], [self.month])
        # Older records aren't verified again, but the tree over them is.
        verified = report['integrity']['verified']
        self.assertEqual((verified['ok'], verified['anchored'], verified['tokens'], verified['problems']), (True, False, LATER, []))
        self.assertEqual(verified['since'], report['first'])
        self.assertEqual(verified['records'], report['last'] + 1 - verified['since'])

    def page(self, language):
        file = self.folder / f'month.{language}.html'
        self.report('--lang', language, '-o', file)
        checked = run('python3', '-B', harness.TOP / 'tests/taa/page_check.py', file, language)
        return file.read_text(), checked.out.splitlines()

    def test_e_the_page(self):
        report = json.loads(self.report('--json').out)
        values = [('Tokens issued', '発行トークン数', str(len(self.tokens))), ('Requests refused', '拒否した要求の件数', '6'),
                  ('Orders to stop', '時刻認証機能停止命令', '1'), ('TACs accepted', '受理した時刻監査証明書', str(report['verdicts']['accepted'])),
                  ('Checkpoints signed', '署名済みチェックポイント', str(report['integrity']['checkpoints'])),
                  ('Outages', '停止・障害', str(len(report['outages']))), ('Problems of integrity', '完全性の問題', '0'),
                  ('Largest possible error', '誤差上限の最大値', f'{report["clock"]["bound_max_us"] / 1000:.3f} ms')]
        for column, language in ((0, 'en'), (1, 'ja')):
            page, texts = self.page(language)
            for row in values:
                self.assertEqual(texts[texts.index(row[column]) + 1], row[2], row)
            for serial in [audit['tac'] for audit in report['audits'] if audit['tac']] + [report['clock']['bound_max_serial']]:
                self.assertIn(serial, page)
            for reason, row in report['refusals']['by'].items():
                self.assertEqual(texts[texts.index(reason) + 1], str(row['total']))
            # Five plots, a mark for each thing measured; nothing from elsewhere.
            plots = re.findall(r'<svg .*?</svg>', page, re.S)
            self.assertEqual(len(plots), 5)
            bars = [len(re.findall('Z', ''.join(re.findall(r'<path d="([^"]*Z)"', plot)))) for plot in plots]
            self.assertEqual(bars[0], len(report['volume']['hours']))
            self.assertGreaterEqual(bars[1], 1)
            measured = [audit for audit in report['audits'] if audit['offset_us'] is not None]
            self.assertEqual(plots[3].count('h0'), len(measured))
            self.assertEqual(plots[4].count('h0'), len(measured))
            self.assertEqual(plots[2].count('h0'), 2 * len(report['volume']['hours']))
            self.assertEqual(set(re.findall(r'https?://[^"\s<]*', page)), {'http://www.w3.org/2000/svg'})
            self.assertNotRegex(page, r'<script|@import|url\(')
        headings = Headings()
        headings.feed(page)
        for text in headings.all:
            foreign = set(re.findall(r'[A-Za-z]{2,}', text.replace(report['origin'], ''))) - {'TSU', 'TAC', 'UTC', 'genTime', 'ms'}
            self.assertFalse(foreign, text)
        self.assertGreater(len([text for text in headings.all if re.search('[ぁ-んァ-ン一-龥]', text)]), 40)

    def test_f_the_documented_commands(self):
        place = self.folder / 'auditor'
        place.mkdir()
        shutil.copy(self.trust, place / 'trust.toml')
        env = {'PATH': f'{harness.BIN}:{os.environ["PATH"]}', 'ARCHIVE': str(self.demo.dir / 'archive'), 'MONTH': self.month}
        page = (harness.TOP / 'docs/report.md').read_text()
        blocks = re.findall(r'^```sh\n(.*?)^```$', page, re.M | re.S)
        blocks += re.findall(r'^```sh\n(.*?)^```$', (harness.TOP / 'docs/sql.md').read_text(), re.M | re.S)
        self.assertEqual(len(blocks), 2)
        for block in blocks:
            run('bash', '-euo', 'pipefail', '-c', block, cwd=place, env=env)
        self.assertEqual({file.name for file in place.iterdir()},
                         {'trust.toml', 'month.html', 'month.ja.html', 'month.json', 'archive.sqlite'})
        report = json.loads((place / 'month.json').read_text())
        # The page names every key that there is, and no other.
        table = page[page.index('## JSON'):page.index('| `what` | `cause` |')]
        named = [key for row in re.findall(r'^\| (`.*?) \|', table, re.M) for key in re.findall(r'`(\w+)`', row)]
        self.assertEqual(named, list(report))
        # Wrong or nothing.
        for words, status, said in ((('--month', '2026-13'), 2, '--month'), (('--month', '1999-01'), 1, 'no record of 1999-01'),
                                    ((), 2, '--month'), (('--month', self.month, '--lang', 'fr'), 2, '--lang'),
                                    (('--month', self.month, '--trust', 'nowhere.toml'), 2, 'nowhere.toml')):
            done = self.demo.tsaudit('report', *words, ok=(status,))
            self.assertIn(said, done.err)
            self.assertEqual(len(done.err.splitlines()), 1)
        other = json.loads(self.report('--json', '--tsu', 'tsu-2').out)
        self.assertEqual((other['volume']['tokens'], other['audits'], other['availability']), (0, [], []))
        taa = run(harness.BIN / 'tsaudit', '--archive', self.demo.dir / 'taa-archive', 'report', '--month', self.month, '--json').out
        self.assertEqual(json.loads(taa)['volume']['tokens'], 0)

    def test_g_sql(self):
        self.assertEqual(self.rows('PRAGMA user_version'), [(1,)])
        self.assertEqual(self.rows("SELECT value FROM meta WHERE key = 'views'"), [('1',)])
        views = {name for name, in self.rows("SELECT name FROM sqlite_schema WHERE type = 'view'")}
        self.assertEqual(views, set(VIEWS))
        page = (harness.TOP / 'docs/sql.md').read_text()
        for view, columns in VIEWS.items():
            self.assertEqual([row[1] for row in self.rows(f'PRAGMA table_info({view})')], columns.split(), view)
            (told,) = re.findall(rf'^\| `{view}` \|.*\|(.*)\|$', page, re.M)
            self.assertLessEqual(set(columns.split()), set(re.findall(r'`([a-z_0-9]+)`', told)), view)
        # They give what find and events give.
        self.assertEqual([dict(zip(('number', 'serial', 'policy', 'imprint', 'imprint_algorithm', 'tsu', 'tac', 'clock_bound_us', 'segment'), row))
                          for row in self.rows('SELECT number, serial, policy, imprint, imprint_algorithm, tsu, tac, clock_bound_us, segment '
                                               'FROM tokens ORDER BY number')],
                         [{key: token[key] for key in ('number', 'serial', 'policy', 'imprint', 'imprint_algorithm', 'tsu', 'tac',
                                                       'clock_bound_us', 'segment')} for token in self.every])
        for (gen_time, gen_time_us), token in zip(self.rows('SELECT gen_time, gen_time_us FROM tokens ORDER BY number'), self.every):
            self.assertEqual((us(gen_time), gen_time_us), (us(token['gen_time']),) * 2)
        self.assertEqual(self.rows('SELECT number, at, kind, subject, text, segment FROM events ORDER BY number'),
                         [tuple(event[key] for key in ('number', 'at', 'kind', 'subject', 'text', 'segment')) for event in self.all_events])
        fields = collections.defaultdict(dict)
        for number, key, kind, text, integer, octets in self.rows('SELECT * FROM event_fields'):
            value = {'text': text, 'integer': integer, 'octets': octets}[kind]
            fields[number][key] = value.hex() if kind == 'octets' else value
        self.assertEqual({event['number']: event['fields'] for event in self.all_events if event['fields']}, fields)
        # DER is what it says it is, by others.
        for digest, subject, der in self.rows('SELECT sha256, subject, der FROM certificates'):
            self.assertEqual(hashlib.sha256(der).hexdigest(), digest)
            said = run('openssl', 'x509', '-inform', 'DER', '-noout', '-subject', '-nameopt', 'RFC2253', stdin=der).out
            self.assertEqual(said.strip(), 'subject=' + subject)

        asked = re.findall(r'^([A-Z][^\n]*\?)\n\n```sql\n(.*?)^```$', page, re.M | re.S)
        self.assertEqual(len(asked), 9)
        report = json.loads(self.report('--json', '--no-verify').out)
        answers = {}
        for question, query in asked:
            done = run('sqlite3', '-readonly', '-json', self.database, query)
            answers[question.split(',')[0].rstrip('?')] = json.loads(done.out or '[]')
        days = collections.Counter((token['gen_time'][:10], token['policy']) for token in self.every)
        self.assertEqual({(row['day'], row['policy']): row['tokens'] for row in answers.pop('How many tokens on which day')}, days)
        worst = max(self.every, key=lambda token: token['clock_bound_us'])
        self.assertEqual(answers.pop('Which token had the least certain clock'), [{key: worst[key] for key in ('clock_bound_us', 'serial')}])
        audits = {audit['tac']: audit for audit in report['audits'] if audit['verdict'] == 'accepted'}
        for row in answers.pop('What was stamped under each TAC'):
            found = lines(self.demo.tsaudit('find', '--tac', row['tac'], '--json').out)
            self.assertEqual((row['tokens'], us(row['first']), us(row['last'])),
                             (len(found), us(min(one['gen_time'] for one in found)), us(max(one['gen_time'] for one in found))))
            if audit := audits.get(row['tac']):  # not of the month before
                self.assertEqual((row['offset_us'], row['delay_us']), (audit['offset_us'], audit['delay_us']))
        (key,) = answers.pop('Which tokens has each key signed')
        self.assertEqual((key['label'], key['tsu'], key['tokens'], key['retired']), ('tsu-1', 'tsu-1', ISSUED, None))
        self.assertEqual(us(key['activated']), next(event['fields']['activated_us'] for event in self.all_events if event['kind'] == 'key.activated'))
        self.assertEqual({f'{row["failure"]}/{row["cause"]}': row['requests'] for row in answers.pop('How many requests were refused')},
                         {reason: row['total'] for reason, row in report['refusals']['by'].items()})
        self.assertEqual([(row['at'], row['subject'], row['cause'], row['text']) for row in answers.pop('When did a gate close')],
                         [(event['at'], event['subject'], event['fields']['cause'], event['text']) for event in self.all_events if event['kind'] == 'gate.closed'])
        self.assertEqual(answers.pop('Is any serial number there twice'), [])
        self.assertEqual(answers.pop('How many tokens are under no checkpoint yet'), [{'tokens': 0}])
        self.assertEqual(answers.pop('Which tokens did a TSU issue after its certificate had ended'), [])
        self.assertEqual(answers, {})

    def test_h_what_an_export_takes_along(self):
        place = self.folder / 'some'
        place.mkdir()
        after, stop = self.every[13]['number'], self.of_kind('tac.stop')[0]
        file = place / 'some.sqlite'
        file.write_text('something else')
        self.database, whole = file, self.database
        self.demo.tsaudit('export', '--format', 'sqlite', '--after', after, '--to', stop['at'], '-o', file)
        self.assertEqual(self.rows('SELECT serial FROM tokens ORDER BY number'), [(one['serial'],) for one in self.every[14:17]])
        self.assertEqual(self.rows('SELECT number FROM events ORDER BY number'),
                         [(one['number'],) for one in self.all_events if one['number'] > after and one['at'] < stop['at']])
        # The TACs of older records are there all the same.
        self.assertEqual(self.rows('SELECT DISTINCT tokens.tac FROM tokens JOIN tacs USING (tac_sha256)'), [(self.every[14]['tac'],)])
        self.assertEqual(self.rows('SELECT count(*) FROM tokens JOIN certificates ON sha256 = certificate_sha256'), [(3,)])
        self.assertEqual(self.rows("SELECT value FROM meta WHERE key = 'to'"), [(stop['at'],)])
        self.database = whole
        done = self.demo.tsaudit('export', '--format', 'sqlite', '--from', '2200-01-01', '-o', place / 'none.sqlite', ok=(1,))
        self.assertIn('nothing matched', done.err)
        self.assertIn('--out is missing', self.demo.tsaudit('export', '--format', 'sqlite', ok=(2,)).err)
        self.assertIn('nowhere', self.demo.tsaudit('export', '--format', 'sqlite', '-o', place / 'nowhere/x.sqlite', ok=(3,)).err)
        self.assertEqual([one.name for one in place.iterdir()], ['some.sqlite'])

    def test_i_events_in_pages(self):
        every = lines(self.demo.tsaudit('events', '--json').out)
        self.assertEqual({event['segment'] for event in every}, {self.month, self.next_month})
        pages, after = [], -1
        while page := lines(self.demo.tsaudit('events', '--json', '--limit', 7, '--after', after, ok=(0, 1)).out):
            self.assertLessEqual(len(page), 7)
            pages += page
            after = page[-1]['number']
        self.assertEqual(pages, every)
        accepted = self.demo.events('tac.accepted')
        self.assertEqual(lines(self.demo.tsaudit('events', '--kind', 'tac.accepted', '--after', accepted[0]['number'], '--limit', 1, '--json').out),
                         accepted[1:2])
        self.assertEqual(self.demo.tsaudit('events', '--after', every[-1]['number'], ok=(1,)).out, '')

    def test_j_reading_changes_nothing(self):
        """As somebody who may only read: beside a tsad that writes, and beside one that is held, so that each file can be compared."""
        demo, archive = self.demo, self.demo.dir / 'archive'
        self.both_start()
        place = pathlib.Path(tempfile.mkdtemp(prefix='kokuin-test-'))
        self.addCleanup(shutil.rmtree, place, ignore_errors=True)
        shutil.copy(harness.BIN / 'tsaudit', place)
        place.chmod(0o755)
        out = place / 'out'
        out.mkdir()
        out.chmod(0o777)
        for folder in (self.folder, demo.dir):
            folder.chmod(0o711)
        archive.chmod(0o555)
        self.addCleanup(archive.chmod, 0o750)
        somebody = ('setpriv', '--reuid', 'nobody', '--regid', 'nogroup', '--clear-groups') if os.geteuid() == 0 else ()
        commands = (('find', '--json'), ('events', '--json'), ('report', '--month', self.next_month, '--json'),
                    ('report', '--month', self.next_month, '-o', out / 'month.html'),
                    ('export', '--format', 'csv', '-o', out / 'all.csv'), ('export', '--format', 'sqlite', '-o', out / 'all.sqlite'))

        def all_of_them():
            return [run(*somebody, place / 'tsaudit', '--archive', archive, *words, cwd='/').out for words in commands]

        with contextlib.ExitStack() as after:
            writing, ended = threading.Event(), threading.Event()
            stamped = []

            def write():
                while not ended.is_set():
                    stamped.append(demo.stamp())
                    writing.set()

            thread = threading.Thread(target=write)
            thread.start()
            after.callback(thread.join)
            after.callback(ended.set)
            self.assertTrue(writing.wait(30))
            before = len(stamped)
            found, events, report, *_ = all_of_them()
        self.assertGreater(len(stamped), before)
        self.assertGreaterEqual(len(lines(found)), ISSUED + LATER + before)
        self.assertTrue(json.loads(report)['integrity']['verified']['ok'])
        self.assertEqual({token.status for token in stamped}, {0})

        def state():
            return {file.name: (file.stat().st_mtime_ns, file.stat().st_size, hashlib.sha256(file.read_bytes()).digest())
                    for file in archive.iterdir() if somebody or not file.name.endswith('-shm')}

        def covered():
            status = json.loads(demo.tsactl('status', '--json').out)['archive']
            return status['covered'] == status['records']

        until(covered, 'a checkpoint over everything', 20)
        os.kill(demo.tsad.pid, signal.SIGSTOP)
        try:
            before = state()
            self.assertIn(f'{self.next_month}.sqlite-wal', before)
            found, events, report, *_ = all_of_them()
            self.assertEqual(state(), before)
        finally:
            os.kill(demo.tsad.pid, signal.SIGCONT)
        self.assertEqual(json.loads(report)['volume']['tokens'], LATER + len(stamped))
        self.assertEqual(len(lines(found)), ISSUED + LATER + len(stamped))
        demo.stop()


if __name__ == '__main__':
    harness.main()
