"""The independent reference (TSA-6) on a running tsad, with real chronyd processes, good and lying ones: it opens the gate,
narrows the bound, contradicts a lying TAA, and closes the gate when it has nothing to say."""
import datetime
import json
import time

import harness
import rfc3161
from harness import Saved, TimeServer, reference, until

SECOND = 10**9
ONE_PLACE = 'the archive is in one place only (ARC-2): no [archive] copy is configured'


def seconds_until(moment):
    return datetime.datetime.fromisoformat(moment.replace('Z', '+00:00')).timestamp() - time.time()


class ReferenceTest(harness.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.port = harness.free_ports(2)
        cls.nts = harness.Nts(cls.folder, cls.port + 1)
        cls.start_servers()
        cls.plain = (cls.demo.dir / 'tsad.toml').read_text()

    @classmethod
    def start_servers(cls):
        """The third is asked by NTS."""
        cls.servers = [TimeServer(cls.folder, number, cls.port, cls.nts if number == 3 else None) for number in (1, 2, 3)]

    @classmethod
    def _clean_up(cls):
        for server in getattr(cls, 'servers', []):
            server.kill()
        super()._clean_up()

    def tearDown(self):
        self.demo.stop()
        (self.demo.dir / 'tsad.toml').write_text(self.plain)

    def configure(self, *changes, **keys):
        self.demo.edit('tsad', *changes, append=reference(self.servers, **keys))

    def status(self):
        return json.loads(self.demo.tsactl('status', '--json', ok=(0, 1)).out)

    def state(self):
        return self.status()['reference']['state']

    def become(self, state, seconds=60):
        until(lambda: self.state() == state, lambda: f'reference {state}; {self.status()["reference"]}', seconds)

    def cause(self):
        status = self.status()
        return status['tsus'][0]['closed_because'] or ''

    def refused(self):
        response = self.demo.stamp()
        self.assertEqual((response.status, response.fail), (2, 'timeNotAvailable'))

    def test_honest_servers_behind_uneven_paths(self):
        """Two whose interval ends just at the truth and a wide one that draws chrony's mean away from it: what is said of the
        clock contains the truth (this machine's time) all the same."""
        paths = [harness.UnevenPath(server, late) for server, late in zip(self.servers, (0.01, 0.01, 0.03))]
        for path in paths:
            self.addCleanup(path.close)
        self.demo.edit('tsad', append=reference(paths, nts=False))
        self.demo.start_tsad()
        seen = {}

        def measured():
            said = self.status()['reference']
            if said['last']:
                seen[said['measurements']] = (said['last']['offset_us'], said['last']['uncertainty_us'])
            return said['measurements'] >= 3
        until(measured, lambda: f'measurements; {self.status()["reference"]}', 90)
        for offset, uncertainty in seen.values():
            self.assertLessEqual(abs(offset), uncertainty)
            self.assertGreater(abs(offset), 4_000)  # or it wasn't late

    def test_opens_narrows_and_is_recorded(self):
        demo = self.demo
        self.configure()
        demo.start_tsad()
        demo.start_taad()
        # A TAC alone doesn't do where a reference is configured.
        until(lambda: self.status()['tsus'][0]['tac'], 'a TAC')
        if self.state() == 'starting':
            self.assertIn('reference', self.cause())
        demo.wait_ready()
        # The third, by NTS, may still be at its first samples.
        until(lambda: self.status()['reference']['sources']['agreeing'] == 3, self.status)
        token = demo.stamp()
        shown = json.loads(demo.tsaudit('show', token.tst.serial, '--json').out)
        self.assertEqual(shown['clock_proof'], 'holds')
        self.assertEqual({e['source'] for e in shown['clock_evidence']}, {'tac', 'reference'})
        # A TAC alone can't say better than 30 ms (the TAA's own bound).
        self.assertLess(shown['clock_bound_us'], 20_000)
        said = demo.tsaudit('show', token.tst.serial).out
        self.assertRegex(said, r'from UTC: the independent reference \([23] of 3 sources agree[^)]*, followed: 127\.0\.0\.1\d\) had found it '
                               r'\S+ ms (ahead|behind), \+/- \S+ ms, \d+ s before; an audit by the TAA \(TAC \w+\)')
        status = self.status()
        self.assertEqual(status['departures'], [ONE_PLACE])
        self.assertEqual(status['reference']['sources']['agreeing'], 3)
        socket = demo.dir / 'run/reference/chronyd.sock'
        said = harness.run(harness.CHRONY / 'usr/bin/chronyc', '-n', '-h', socket, 'authdata').out
        self.assertRegex(said, r'127\.0\.0\.13 +NTS +1 +15')
        self.assertTrue(status['policies'][0]['require_reference'])
        # It closes when the reference has been silent for max_age; the TAC would last for hours.
        closes = seconds_until(status['tsus'][0]['closes_at'])
        self.assertLess(closes, 65)
        self.assertGreater(seconds_until(status['tsus'][0]['tac_needed_at']), 3600)
        self.assertIn('reference: good, ', demo.tsactl('status').out)
        metrics = harness.run('curl', '-fsS', demo.url('/metrics')).out
        self.assertIn('kokuin_reference_state{state="good"} 1', metrics)
        self.assertIn('kokuin_reference_sources_agreeing 3', metrics)
        self.assertEqual([e['kind'] for e in self.reference_events()][:2], ['reference.starting', 'reference.good'])
        demo.tsad.stop()
        compared = demo.events('reference.compared')[-1]['fields']
        self.assertGreaterEqual(compared['measurements'], 1)
        self.assertLess(abs(compared['offset_last_us']), 20_000)

    def reference_events(self):
        out = self.demo.tsaudit('events', '--json').out
        return [e for e in map(json.loads, out.splitlines()) if e['kind'].startswith('reference.')]

    def test_stamps_without_a_taa(self):
        """require_tac = false (a TAA is optional in Japan since 2021): the reference alone, and status names it."""
        demo = self.demo
        self.configure((r'^\[policy\.g\]$', '[policy.g]\nrequire_tac = false'))
        demo.start_tsad()
        self.become('good')
        before = len(demo.events('tac.accepted'))
        response = demo.stamp('/tsa/g')
        self.assertEqual(response.status, 0)
        row = json.loads(demo.tsaudit('show', response.tst.serial, '--json').out)
        if not before:
            self.assertIsNone(row['tac'])
        self.assertIn('reference', {e['source'] for e in row['clock_evidence']})
        self.assertEqual(self.status()['departures'],
                         ['policy g needs no TAC (TAC-2): the independent reference alone proves the time', ONE_PLACE])

    def test_sources_that_die(self):
        demo = self.demo
        self.configure(max_age='20s')
        demo.start()
        # Two of three: chrony would go on with the third and count the dead ones for minutes.
        for server in self.servers[:2]:
            server.kill()
        until(lambda: demo.readiness()[0] == 503, lambda: f'closed; {self.status()["reference"]}', 90)
        self.assertEqual(self.state(), 'unsynchronised')
        self.assertLess(self.status()['reference']['sources']['agreeing'], 2)
        # In good order: what an NTS server gave out holds when it comes back. Killed it forgets that, and chrony asks anew
        # after pauses that it doubles.
        self.servers[2].stop()
        self.assertIn('reference has measured nothing lately', self.cause())
        self.refused()
        # By then chrony may have noticed that it can choose none of them, or still say that all is well.
        until(lambda: self.state() in ('stale', 'unsynchronised'), self.state)
        self.start_servers()
        # A chronyd that has given up on all of them asks again by its polls of 16 s, and wants several answers.
        demo.wait_ready(seconds=150)
        demo.tsad.stop()
        # Not required, it may be missing; that is a departure, and it is named.
        (demo.dir / 'tsad.toml').write_text(self.plain)
        self.configure(max_age='20s', required=False)
        for server in self.servers:
            server.kill()
        demo.start_tsad()
        demo.wait_ready()
        self.assertEqual(demo.stamp().status, 0)
        self.assertEqual(len(self.status()['departures']), 3)
        self.assertIn('stamps without the independent reference', self.status()['departures'][0])
        self.start_servers()


    def test_taa_that_lies_is_contradicted(self):
        """400 ms are inside the TAA's limit of 500; the reference knows better."""
        demo = self.demo
        self.configure()
        self.set_clock('+0.4')
        demo.start_tsad()
        self.become('good')
        demo.start_taad(env=self.faked())
        until(lambda: 'contradicts itself' in self.cause(), lambda: f'contradiction: {self.status()}')
        self.refused()
        until(lambda: any(e['fields']['cause'] == 'contradiction' for e in demo.events('gate.closed')), 'an event')

    def test_a_majority_of_sources_that_lies_is_contradicted(self):
        demo = self.demo
        self.servers[0].lie(0.4)
        self.servers[1].lie(0.4)
        self.configure(nts=False)
        demo.start_tsad()
        demo.start_taad()
        until(lambda: 'contradicts itself' in self.cause(), lambda: f'contradiction: {self.status()}')
        self.refused()
        self.assertEqual(self.status()['reference']['sources']['falsetickers'], 1)
        demo.tsad.stop()
        # An authenticated one among them is believed more than any number of others; alone it isn't enough.
        (demo.dir / 'tsad.toml').write_text(self.plain)
        self.configure()
        demo.start_tsad()
        until(lambda: (self.status()['reference']['sources'] or {}).get('falsetickers') == 2, lambda: f'outvoted: {self.status()}')
        self.assertNotEqual(self.state(), 'good')
        self.assertIn('reference has measured nothing', self.cause())
        self.servers[0].lie(-0.4)
        self.servers[1].lie(-0.4)

    def test_steps_of_the_clock(self):
        """The reference follows a moved clock with its next measurements; no token before, and none with a wrong time."""
        demo = self.demo
        self.configure((r'^\[policy\.a2\]$', '[policy.a2]\nrequire_tac = false'))
        self.set_clock('+0')
        demo.start_tsad(env=self.faked_with_chrony())
        self.become('good')
        saved = Saved(self.folder / 'answers')
        load = self.started(demo.load('--connections', 2, '--save', saved.path, '--save-refusals'))
        granted_after = lambda at: load.must_live() or any(r[0] == 0 for r in saved.records(at))
        until(lambda: granted_after(0), 'tokens')
        for offset, accurate in (('+0.3', True), ('+2', False), ('-2', False)):
            at = saved.size()
            self.set_clock(offset)
            jumped = time.time_ns()
            if accurate:
                # 300 ms are within the accuracy of a second: it may go on, and says how wrong it is.
                until(lambda: granted_after(at), 'tokens')
            else:
                until(lambda: sum(r[0] == 1 for r in saved.records(at)) > 50, 'refusals')
                # chrony is made to measure anew, and then tells how wrong the clock is: the gate stays closed.
                wrong = float(offset)
                measured = lambda: abs(self.status()['reference']['last']['offset_us'] / 1e6 - wrong) < 0.1
                until(measured, lambda: f'measured: {self.status()["reference"]}', 90)
                print(f'{offset}: {self.cause()}; {self.status()["reference"]["text"]}')
            mended = time.time_ns()
            self.set_clock('+0')
            if not accurate:
                for kind, sent, received, _, _ in saved.records(at):
                    if sent > jumped and received < mended:
                        self.assertEqual(kind, 1, f'a token while the clock was off by {offset}')
            at = saved.size()
            until(lambda: granted_after(at), lambda: f'tokens after {offset}: {self.status()}', 90)
        self.assertEqual(set(load.result()['refused']), {'timeNotAvailable'})
        for kind, sent, received, _, body in saved.records():
            if kind == 0:
                gen_time = rfc3161.TstInfo(body).gen_time_ns
                self.assertTrue(sent - SECOND <= gen_time <= received + SECOND, f'off by {(gen_time - sent) / SECOND} s')


if __name__ == '__main__':
    harness.main()
