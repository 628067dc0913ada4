"""An order to stop, end to end: the TAA finds the clock 700 ms ahead (inside the token's accuracy, beyond the audit limit)
and orders to stop; stamping ends at once, stays stopped over a restart without a TAA, and resumes with a good TAC."""
import json

import harness
import rfc3161
from harness import BIN, Saved, run, until


class StopTest(harness.TestCase):
    def test_order_to_stop(self):
        demo = self.demo
        self.set_clock('+0')
        faked = self.faked()
        demo.audit_often()
        demo.start(env=faked)
        self.assertEqual(demo.stamp().status, 0)
        demo.taad.stop()

        # 0.7 s ahead is inside the second that the token promises, so stamping goes on …
        self.set_clock('+0.7')
        answer = demo.stamp()
        self.assertEqual(answer.status, 0, demo.readiness())
        # … until the TAA measures it.
        saved = Saved(self.folder / 'answers')
        load = self.started(demo.load('--connections', 4, '--save', saved.path, '--save-refusals'))
        until(lambda: saved.size() > 0, 'first answers')
        demo.start_taad()
        until(lambda: demo.readiness()[0] == 503, lambda: f'stopped: {demo.readiness()}\n{demo.taad.tail()}')
        print(demo.readiness())
        at = saved.size()
        until(lambda: saved.size() > at, 'an answer after the stop')
        demo.taad.stop()
        result = load.result()
        self.assertEqual(set(result['refused']), {'timeNotAvailable'})
        kinds = [record[0] for record in saved.records()]
        first = kinds.index(1)
        # Answers of requests side by side may arrive crosswise; nothing is granted once the stop has been answered.
        self.assertFalse(any(kind == 0 for kind in kinds[first + 4:]), 'a token after the order to stop')

        self.assertEqual(demo.tsad.stop(), 0)
        demo.start_tsad(env=faked)
        self.assertEqual(demo.readiness()[0], 503)
        self.assertEqual(demo.stamp().fail, 'timeNotAvailable')
        # A right clock alone doesn't lift it.
        self.set_clock('+0')
        self.assertEqual(demo.stamp().fail, 'timeNotAvailable')
        demo.tsad.kill()
        demo.start_tsad(env=faked)
        self.assertEqual(demo.stamp().fail, 'timeNotAvailable')

        demo.start_taad()
        demo.wait_ready()
        self.assertEqual(demo.stamp().status, 0)
        self.assertIs(json.loads(demo.tsactl('status', '--json').out)['ready'], True)
        # Both are on record: the order, and that service was resumed after it.
        self.assertIn('order to stop', demo.tsaudit('events', '--kind', 'tac.stop').out)
        self.assertIn('resumes after an order to stop', demo.tsaudit('events', '--kind', 'tac.accepted').out)


class AheadTaaTest(harness.TestCase):
    """A TAA whose own clock is a day ahead orders to stop; when it is right again, its next good TAC lifts the order."""

    def test_ahead(self):
        demo = self.demo
        demo.audit_often()
        demo.start()
        self.assertEqual(demo.stamp().status, 0)
        demo.taad.stop()
        self.set_clock('+26h')
        demo.start_taad(env=self.faked())
        until(lambda: demo.stamp().fail == 'timeNotAvailable', lambda: f'an order to stop: {demo.taad.tail()}')
        demo.taad.stop()
        # The order holds over a restart, and still doesn't shut out the right TAC.
        demo.tsad.kill()
        demo.start_tsad(wait=False)
        until(lambda: demo.listens(demo.port), 'tsad listens')
        self.assertEqual(demo.stamp().fail, 'timeNotAvailable')
        demo.start_taad()
        until(lambda: demo.stamp().status == 0, lambda: f'a new TAC lifts it: {demo.taad.tail()}')
        self.assertTrue(any('resumes' in e['text'] for e in demo.events('tac.accepted')), demo.events('tac.accepted'))


class LateTacTest(harness.TestCase):
    """After an order to stop: a good TAC from before it, and the good TAC of another TSU."""

    def add_tsu(self, name):
        demo, pki = self.demo, self.demo.dir / 'pki'
        demo.start_tsad()  # it alone can open the token
        reasons = ('--why', 'a second TSU', '--by', 'operator 1')
        demo.tsactl('key', 'generate', name, *reasons)
        demo.tsactl('key', 'csr', name, '--subject', f'C=JP,O=Kokuin Demo,CN=Kokuin Demo {name}', '-o', pki / f'{name}.csr', *reasons)
        (pki / f'{name}.ext').write_text('extendedKeyUsage=critical,timeStamping\nkeyUsage=critical,digitalSignature\n')
        run('openssl', 'x509', '-req', '-in', pki / f'{name}.csr', '-CA', pki / 'issuing.pem', '-CAkey', pki / 'issuing.key',
            '-days', '365', '-extfile', pki / f'{name}.ext', '-out', pki / f'{name}.pem')
        demo.tsactl('key', 'import', name, pki / f'{name}.pem', *reasons)
        demo.tsad.stop()
        demo.edit('tsad', append=f'\n[tsu.{name}]\nkey = "{name}"\ncertificate = "pki/{name}.pem"\n'
                                 'chain = "pki/chain.pem"\n')
        demo.edit('taad', append=f'\n[tsu.{name}]\naudit = "127.0.0.1:{demo.port + 2}"\npeer = "tsu.audit.kokuin.example"\n'
                                 f'certificate = "pki/{name}.pem"\n')
        run(BIN / 'taad', '--config', demo.dir / 'taad.toml', 'tsu', 'admit', name, '--why', 'a second one', '--by', 'test')

    def tac_of(self, tsu):
        """The TAC under which that TSU stamps now, as its archive has it."""
        demo = self.demo
        demo.stamp(), demo.stamp()  # it is each one's turn once
        serial = [row['serial'] for row in map(json.loads, demo.tsaudit('find', '--json').out.splitlines())
                  if row['tsu'] == tsu][-1]
        demo.tsaudit('show', serial, '--tac', self.folder / 'tac.der')
        return (self.folder / 'tac.der').read_bytes()

    def all_open(self):
        status = json.loads(self.demo.tsactl('status', '--json', ok=(0, 1)).out)
        return all(tsu.get('closes_at') for tsu in status['tsus'])

    def all_closed(self):
        status = json.loads(self.demo.tsactl('status', '--json', ok=(0, 1)).out)
        return not status['ready'] and not any(tsu.get('closes_at') for tsu in status['tsus'])

    def test_late_and_foreign(self):
        demo = self.demo
        self.add_tsu('tsu-2')
        demo.audit_often()
        self.set_clock('+0')
        demo.start(env=self.faked())
        until(self.all_open, lambda: f'both TSUs audited: {demo.taad.tail()}')
        own, foreign = self.tac_of('tsu-1'), self.tac_of('tsu-2')
        self.assertNotEqual(own, foreign)
        demo.taad.stop()
        self.set_clock('+0.7')
        demo.start_taad()
        until(self.all_closed, lambda: f'both TSUs stopped: {demo.readiness()}\n{demo.taad.tail()}')
        demo.taad.stop()
        self.set_clock('+0')  # only the order keeps the gate closed

        def late_and_foreign():
            self.assertEqual(demo.deliver(own), ('refused', 'replay'))
            self.assertEqual(demo.deliver(foreign), ('refused', 'holder-name'))
            self.assertEqual(demo.deliver(own, 'tsu-2'), ('refused', 'holder-name'))
            self.assertTrue(self.all_closed(), demo.readiness())
            self.assertEqual(demo.stamp().fail, 'timeNotAvailable')

        late_and_foreign()
        self.assertEqual(demo.tsad.stop(), 0)
        demo.start_tsad(env=self.faked())
        late_and_foreign()
        demo.tsad.kill()
        demo.start_tsad(env=self.faked())
        late_and_foreign()
        self.assertEqual({(e['subject'], e['fields']['reason']) for e in demo.events('tac.refused')},
                         {('tsu-1', 'replay'), ('tsu-1', 'holder-name'), ('tsu-2', 'holder-name')})
        # A newer one of their own is taken.
        demo.start_taad()
        until(self.all_open, lambda: f'both TSUs audited again: {demo.taad.tail()}')
        self.assertEqual(demo.stamp().status, 0)


if __name__ == '__main__':
    harness.main()
