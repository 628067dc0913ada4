"""The TAA's own clock (TAA-4): watched by a second, independent chrony. While it isn't known to be within 30 ms no TAC is
issued, no TSU is stopped, and the TSUs are told."""
import json

import harness
from harness import TimeServer, reference, until


class TaaClockTest(harness.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.port = harness.free_ports(1)
        cls.servers = [TimeServer(cls.folder, number, cls.port) for number in (1, 2, 3)]

    @classmethod
    def _clean_up(cls):
        for server in getattr(cls, 'servers', []):
            server.kill()
        super()._clean_up()

    def events(self, kind):
        """Of the TAA's archive."""
        out = harness.run(harness.BIN / 'tsaudit', '--archive', self.demo.dir / 'taa-archive', 'events', '--kind', kind,
                          '--json', ok=(0, 1)).out
        return [json.loads(line) for line in out.splitlines()]

    def status(self):
        return json.loads(self.demo.tsactl('status', '--json', ok=(0, 1)).out)['tsus'][0]

    def test_no_tac_without_a_proved_clock(self):
        demo = self.demo
        demo.audit_often()
        demo.edit('taad', (r'^unwatched = true.*$', ''), append=reference(self.servers, dir='run/taa-reference', max_age='20s'))
        before = len(self.events('audit'))
        self.set_clock('+0')
        demo.start_tsad()
        demo.start_taad(env=self.faked_with_chrony())
        good = lambda: [e for e in self.events('audit')[before:] if e['fields']['outcome'] == 'good']
        until(good, lambda: f'an audit; {demo.taad.tail()}')
        # It says how well the TAA knew its own clock.
        first = good()[0]
        self.assertLess(first['fields']['own_bound_us'], 30_000)
        self.assertEqual(self.events('clock.proved')[-1]['fields'].keys(), {'own_bound_us'})
        stops = len(demo.events('tac.stop'))

        unproved, told = len(self.events('clock.unproved')), len(demo.events('taa.notice'))
        # Its clock is set 50 ms off: by its own measure of the TSU nothing is wrong, but it knows better.
        self.set_clock('+0.05')
        until(lambda: len(self.events('clock.unproved')) > unproved, lambda: f'unproved; {demo.taad.tail()}')
        until(lambda: self.status()['taa_notice'] == 'clock-unproved', lambda: f'noticed; {demo.taad.tail()}')
        self.assertEqual(self.events('audit')[-1]['fields']['outcome'], 'own-clock')
        self.assertEqual([e['fields']['notice'] for e in demo.events('taa.notice')[told:]], ['clock-unproved'])
        issued = len(demo.events('tac.accepted'))
        until(lambda: sum(e['fields']['outcome'] == 'own-clock' for e in self.events('audit')) >= 3, 'further audits')
        self.assertEqual(len(demo.events('tac.accepted')), issued)
        self.assertEqual(len(demo.events('tac.stop')), stops)
        # The TAC that was delivered before stays true.
        self.assertEqual(demo.readiness()[0], 200)
        self.assertEqual(len(demo.events('taa.notice')), told + 1)

        self.set_clock('+0')
        until(lambda: len(demo.events('tac.accepted')) > issued, lambda: f'a TAC again; {demo.taad.tail()}', 90)
        self.assertIsNone(self.status()['taa_notice'])

        # And without time servers it knows nothing after max_age.
        unproved = len(self.events('clock.unproved'))
        for server in self.servers:
            server.kill()
        until(lambda: len(self.events('clock.unproved')) > unproved, lambda: f'unproved; {demo.taad.tail()}', 60)
        self.assertIn('reference has measured nothing lately', self.events('clock.unproved')[-1]['text'])
        demo.taad.stop()
        compared = self.events('reference.compared')[-1]['fields']
        self.assertGreaterEqual(compared['measurements'], 1)
        self.assertLess(abs(compared['offset_min_us']), 20_000)

        # By hand it is the same: neither a TAC nor an order to stop.
        done = harness.run(harness.BIN / 'taad', '--config', demo.dir / 'taad.toml', 'audit', 'now', 'tsu-1', ok=(3,))
        self.assertIn('outcome=own-clock', done.out)

    def test_samples_for_the_systems_own_chronyd(self):
        for name in ('chrony-tsu.conf', 'chrony-taa.conf'):
            said = harness.run(harness.CHRONY / 'usr/sbin/chronyd', '-p', '-f', harness.TOP / 'conf' / name)
            self.assertIn('leapsecmode system', said.out)

    def test_a_taa_that_nobody_watches_must_say_so(self):
        demo, path = self.demo, self.demo.dir / 'unwatched.toml'
        path.write_text((demo.dir / 'taad.toml').read_text().replace('unwatched = true', 'unwatched = false'))
        if '[reference]' in path.read_text():
            path.write_text(path.read_text().split('[reference]')[0])
        done = harness.run(harness.BIN / 'taad', '--config', path, 'key', 'list', ok=(2,))
        self.assertIn("nothing watches this TAA's clock", done.err)


if __name__ == '__main__':
    harness.main()
