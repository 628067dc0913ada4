"""Leap seconds on running servers (TSA-15, TAA-9): the TAA announces what its list says, the TSU takes it from the TAC,
compares it with its own list, and tells of it a day ahead. Their passing is tested on simulated time (tests/taa/leap_test.cpp)."""
import json
import time

import harness
from harness import until

DAY = 86_400
SINCE_1900 = 2_208_988_800


def leap_list(leaps, expires):
    """leap-seconds.list with these midnights (days since 1970: +1 or -1), as the IERS writes it, without a hash."""
    difference = 37
    lines = [f'#@\t{expires * DAY + SINCE_1900}', f'{17167 * DAY + SINCE_1900} {difference}']
    for day, direction in sorted(leaps.items()):
        difference += direction
        lines.append(f'{day * DAY + SINCE_1900} {difference} # made up')
    return '\n'.join(lines) + '\n'


class LeapTest(harness.TestCase):
    def setUp(self):
        # Not while a real midnight passes.
        self.set_clock('-1h' if DAY - time.time() % DAY < 300 else '+0')
        self.tomorrow = int((time.time() - (3600 if DAY - time.time() % DAY < 300 else 0)) // DAY) + 1

    def tearDown(self):
        self.demo.stop()

    def leap(self):
        return json.loads(self.demo.tsactl('status', '--json', ok=(0, 1)).out)['leap']

    def configure(self, tsa, taa):
        for name, text in (('tsad', tsa), ('taad', taa)):
            (self.folder / f'{name}.leaps').write_text(text)
            path = self.demo.dir / f'{name}.toml'
            lines = [line for line in path.read_text().splitlines() if not line.startswith('leap_seconds')]
            lines.insert(lines.index('[clock]') + 1, f'leap_seconds = "{self.folder}/{name}.leaps"')
            path.write_text('\n'.join(lines) + '\n')

    def start(self):
        before = len(self.demo.events('tac.accepted'))
        self.demo.start_tsad(env=self.faked())
        self.demo.start_taad(env=self.faked())
        until(lambda: len(self.demo.events('tac.accepted')) > before, 'a TAC')
        self.demo.wait_ready()

    def test_announced_a_day_ahead(self):
        demo, leaps = self.demo, {self.tomorrow: 1}
        told = self.folder / 'told.jsonl'
        demo.edit('tsad', append=f'\n[hook]\ncommand = ["sh", "-c", "cat >> {told}"]\n')
        self.configure(leap_list(leaps, self.tomorrow + 100), leap_list(leaps, self.tomorrow + 100))
        self.start()
        until(lambda: (self.leap()['pending'] or {}).get('announced_by') == 'the TAA, leap-seconds.list', self.leap)
        self.assertEqual(self.leap()['pending']['direction'], 1)
        self.assertRegex(self.leap()['pending']['midnight'], r'T00:00:00Z$')
        self.assertIsNone(self.leap()['warning'])
        [event] = demo.events('leap.pending')
        self.assertEqual(event['fields'], {'direction': 1, 'midnight': self.leap()['pending']['midnight']})
        self.assertEqual(demo.events('leap.disputed'), [])
        self.assertIn('LEAP SECOND inserted before', demo.tsactl('status').out)
        metrics = harness.run('curl', '-fsS', demo.url('/metrics')).out
        self.assertRegex(metrics, r'kokuin_leap_second_in_seconds\{kind="inserted"\} \d')
        self.assertEqual(demo.stamp().status, 0)
        # The TAC itself says so, and the proof of each token counts it.
        token = demo.stamp()
        demo.tsaudit('show', token.tst.serial, '--tac', self.folder / 'tac.der')
        shown = json.loads(harness.run(harness.BIN / 'tsaudit', 'tac', 'show', self.folder / 'tac.der', '--json').out)
        self.assertEqual([leap['midnight'] for leap in shown['leap_events']], [event['fields']['midnight']])
        # Each change was told to the operators' hook, once, as the archive has it.
        demo.tsad.stop()
        heard = [json.loads(line) for line in told.read_text().splitlines()]
        kinds = [e['kind'] for e in heard]
        for kind in ('server.started', 'leap.pending', 'gate.opened', 'server.stopped'):
            self.assertEqual(kinds.count(kind), 1, kinds)
        [pending] = [e for e in heard if e['kind'] == 'leap.pending']
        self.assertEqual({k: event[k] for k in pending}, pending)

    def test_disputed(self):
        """The TAA announces one that a list in force doesn't have: said, recorded, and service goes on."""
        demo = self.demo
        self.configure(leap_list({}, self.tomorrow + 100), leap_list({self.tomorrow + 3: -1}, self.tomorrow + 100))
        self.start()
        until(lambda: any('by the TAA a leap second is deleted before' in e['text'] for e in demo.events('leap.disputed')),
              lambda: f'a dispute: {demo.events("leap.disputed")}')
        self.assertEqual(demo.stamp().status, 0)

    def test_expired_or_missing_lists_warn_and_close_nothing(self):
        demo = self.demo
        self.configure(leap_list({}, self.tomorrow - 10), leap_list({}, self.tomorrow - 10))
        self.start()
        until(lambda: 'expired at' in (self.leap()['warning'] or ''), self.leap)
        self.assertIn('expired at', demo.events('leap.list')[-1]['text'])
        self.assertEqual(demo.stamp().status, 0)
        demo.stop()
        (self.folder / 'tsad.leaps').unlink()
        (self.folder / 'taad.leaps').write_text('nonsense\n')
        self.start()
        until(lambda: 'tsad.leaps' in (self.leap()['warning'] or ''), self.leap)
        self.assertEqual(demo.stamp().status, 0)


if __name__ == '__main__':
    harness.main()
