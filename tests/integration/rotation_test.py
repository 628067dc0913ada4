"""The life of a key with the real programs (KEY-1 … KEY-8): one key after the other takes over under load, what is refused on the
way, what custodians must agree to, and what 13 months and one more bring."""
import base64
import datetime
import hashlib
import json
import os
import pathlib
import re

import harness
from harness import BIN, Saved, TOP, run, until

ROTATIONS = int(os.environ.get('KOKUIN_ROTATIONS', '3'))
SOFTHSM = '/usr/lib/softhsm/libsofthsm2.so'
REASONS = ('--why', 'a test', '--by', 'operator 1')
TSU_NAME = 'C=JP,O=Kokuin Demo,CN=Kokuin Demo TSU 1'


def der_of(pem):
    text = pathlib.Path(pem).read_text()
    return base64.b64decode(''.join(re.search(r'-----BEGIN CERTIFICATE-----(.*?)-----END', text, re.S)[1].split()))


class Keys(harness.TestCase):
    """What both classes do with keys."""

    def tsactl(self, *words, ok=0):
        done = self.demo.tsactl(*words, ok=None)
        self.assertEqual(done.returncode, ok, done.out + done.err)
        if ok:
            self.assertEqual(len(done.err.splitlines()), 1, done.err)
            return done.err
        return done.out

    def states(self):
        return {key['label']: key.get('state') for key in json.loads(self.tsactl('key', 'list', '--json'))}

    def issue(self, label, extensions='extendedKeyUsage=critical,timeStamping\nkeyUsage=critical,digitalSignature\n', days=800,
              subject=TSU_NAME):
        """A certificate for the key's request, from the demo's CA: its path."""
        pki = self.demo.dir / 'pki'
        csr, ext, crt = (self.folder / f'{label}.{kind}' for kind in ('csr', 'ext', 'pem'))
        self.tsactl('key', 'csr', label, '--subject', subject, '-o', csr, *REASONS)
        ext.write_text(extensions)
        run('openssl', 'x509', '-req', '-in', csr, '-CA', pki / 'issuing.pem', '-CAkey', pki / 'issuing.key', '-sha512', '-days', days,
            '-set_serial', '0x' + os.urandom(8).hex(), '-extfile', ext, '-out', crt)
        return crt

    def successor(self, label):
        self.tsactl('key', 'generate', label, *REASONS)
        crt = self.issue(label)
        self.tsactl('key', 'import', label, crt, *REASONS)
        return crt

    def passphrase(self, name):
        return (self.demo.dir / f'custody/{name}.passphrase').read_text().strip()

    def approve(self, name, *words):
        terminal = harness.Terminal(BIN / 'tsactl', '--config', self.demo.dir / 'tsad.toml', 'approve', *words, '--share',
                                    self.demo.dir / f'custody/{name}.share')
        before = terminal.expect('Passphrase of the custodian')
        terminal.type(self.passphrase(name))
        status, said = terminal.end()
        return status, before + said


    def each_signed_while_active(self, saved, certificates):
        """Each saved token is signed by a key that was active when its record was made, and names that key's certificate; openssl
        judges the first of each key and a later one. `certificates`: PEM files by the key's label; returns their DER."""
        demo = self.demo
        ders = {label: der_of(pem) for label, pem in certificates.items()}
        span = {label: [None, float('inf')] for label in certificates}
        for kind, end in (('key.activated', 0), ('key.retired', 1)):
            for event in demo.events(kind):
                span[event['fields']['key']][end] = event['number']
        numbers = {row['serial']: row['number'] for row in map(json.loads, demo.tsaudit('find', '--json').out.splitlines())}
        count = dict.fromkeys(certificates, 0)
        for kind, _, _, imprint, token in saved.records():
            self.assertEqual(kind, 0)
            (label,) = [label for label, octets in ders.items() if octets in token]
            number = numbers[harness.rfc3161.TstInfo(token).serial]
            self.assertTrue(span[label][0] < number < span[label][1], (label, number, span[label]))
            count[label] += 1
            if count[label] in (1, 20):
                (self.folder / 'token.der').write_bytes(token)
                done = run('openssl', 'ts', '-verify', '-digest', imprint.hex(), '-in', self.folder / 'token.der', '-token_in', '-CAfile',
                           demo.root(), '-untrusted', demo.chain())
                self.assertIn('Verification: OK', done.out + done.err)
        self.assertEqual([label for label, many in count.items() if many == 0], [])
        return ders


class RotationTest(Keys):
    def test_1_under_load(self):
        demo = self.demo
        demo.audit_often()
        demo.start()
        certificates = {'tsu-1': demo.dir / 'pki/tsu.pem'}
        saved = Saved(self.folder / 'saved')
        load = self.started(demo.load('--connections', 4, '--save', saved.path, '--save-refusals'))
        until(lambda: saved.path.exists() and saved.path.stat().st_size > 100_000, 'tokens are made')
        last = 'tsu-1'
        for number in range(1, ROTATIONS + 1):
            label = f'tsu-1-{number}'
            certificates[label] = self.successor(label)
            # Another certificate of the same name, that nobody asked for, changes nothing until it is told to.
            self.assertEqual(self.states()[last], 'active')
            said = self.tsactl('key', 'rotate', label, *REASONS)
            self.assertIn(f'{label} signs for tsu-1 now', said)
            self.assertIn(f'{last} is retired', said)
            last = label
        result = load.result()
        self.assertEqual((result['refused'], result['errors']), ({}, {}))
        self.assertGreater(result['granted'], 100 * ROTATIONS)
        compared = demo.compare(saved.path)
        self.assertEqual([compared[fault] for fault in ('missing', 'different', 'repeated', 'unverified')], [0, 0, 0, 0])
        states = self.states()
        self.assertEqual([label for label, state in states.items() if state == 'active'], [last])
        self.assertEqual(sum(state == 'retired' for state in states.values()), ROTATIONS)

        der = self.each_signed_while_active(saved, certificates)
        # The TAA has recorded each that it has audited, and follows the one that signs.
        self.assertEqual(len(demo.taa_events('tsu.successor')), ROTATIONS)
        digest = hashlib.sha256(der[last]).hexdigest()
        until(lambda: [e['fields']['certificate'] for e in demo.taa_events('tsu.succeeded')][-1:] == [digest], lambda: demo.taad.tail())

    def test_2_a_restart_goes_on_with_the_last_one(self):
        """The configurations still name the first key and its certificate."""
        demo = self.demo
        (last,) = [label for label, state in self.states().items() if state == 'active']
        demo.stop()
        demo.start()
        self.assertEqual(json.loads(self.tsactl('status', '--json'))['tsus'][0]['key'], last)
        self.assertEqual(demo.stamp().status, 0)
        demo.tsad.kill()
        demo.start_tsad()
        before = len(demo.events('tac.accepted'))
        demo.taad.stop()
        demo.start_taad()
        until(lambda: len(demo.events('tac.accepted')) > before, lambda: demo.taad.tail())
        demo.wait_ready()
        listed = json.loads(run(BIN / 'taad', '--config', demo.dir / 'taad.toml', 'tsu', 'list', '--json').out)
        self.assertIs(listed['served'], True)

    def test_2_neither_side_is_left_behind(self):
        """Killed at the worst moments: between the TAC and the switch, and before the TAA has recorded what it delivered."""
        demo = self.demo
        (before,) = [label for label, state in self.states().items() if state == 'active']
        seen = demo.taad.log.stat().st_size
        self.successor('half')
        rotation = self.started(harness.Program(BIN / 'tsactl', '--config', demo.dir / 'tsad.toml', 'key', 'rotate', 'half', *REASONS,
                                                log=self.folder / 'rotation'))
        until(lambda: demo.taad.log.read_bytes().find(b'event=successor', seen) >= 0, lambda: demo.taad.tail(), step=0.001)
        demo.tsad.kill()
        rotation.process.wait(60)
        demo.start_tsad()
        demo.wait_ready()
        (now,) = [label for label, state in self.states().items() if state == 'active']
        if now == before:  # it died before it was recorded: the one before has its own TAC still, and is audited on
            tacs = len(demo.events('tac.accepted'))
            demo.taad.stop()
            demo.start_taad()
            until(lambda: len(demo.events('tac.accepted')) > tacs, lambda: demo.taad.tail())
            self.tsactl('key', 'rotate', 'half', *REASONS)
        self.assertEqual(self.states()['half'], 'active')
        # Now the TAA dies as soon as the TAC is here, and knows nothing of what it has delivered.
        self.successor('other half')
        tacs = len(demo.events('tac.accepted'))
        rotation = self.started(harness.Program(BIN / 'tsactl', '--config', demo.dir / 'tsad.toml', 'key', 'rotate', 'other half', *REASONS,
                                                log=self.folder / 'rotation'))
        until(lambda: b'accepted: TAC' in demo.tsad.log.read_bytes()[-2000:] and len(demo.events('tac.accepted')) > tacs, 'a TAC', step=0.001)
        demo.taad.kill()
        until(lambda: self.states()['other half'] == 'active', lambda: demo.tsad.tail())
        demo.tsad.stop()
        demo.edit('tsad', (r'^# request_before = .*$', 'request_before = "24h"'))
        demo.start_tsad()
        demo.start_taad()
        tacs = len(demo.events('tac.accepted'))
        until(lambda: len(demo.events('tac.accepted')) > tacs + 1, lambda: demo.taad.tail(), 60)
        digest = json.loads(self.tsactl('key', 'show', 'other half', '--json'))['certificate_sha256']
        until(lambda: demo.taa_events('tsu.succeeded')[-1]['fields']['certificate'] == digest, lambda: demo.taad.tail())
        demo.wait_ready()

    def test_2_retired_by_hand(self):
        """Nothing signs any more, nothing is recorded after it, and the server can be started again to put that right."""
        demo = self.demo
        (active,) = [label for label, state in self.states().items() if state == 'active']
        load = self.started(demo.load('--connections', 4))
        until(lambda: demo.stamp().status == 0, 'it stamps')
        self.tsactl('key', 'retire', active, *REASONS)
        self.assertEqual(demo.stamp().fail, 'systemFailure')
        load.result()
        retired = demo.events('key.retired')[-1]
        self.assertEqual(retired['fields']['key'], active)
        self.assertLess(json.loads(demo.tsaudit('find', '--json').out.splitlines()[-1])['number'], retired['number'])
        demo.tsad.stop()
        demo.start_tsad()
        self.assertIn('signs nothing', demo.tsad.written())
        self.assertEqual(demo.stamp().fail, 'systemFailure')
        self.successor('after')
        # Not while its custodians have locked the token, either.
        demo.tsactl('deactivate', '--why', 'a test', '--by', 'x')
        self.assertIn('locked', self.tsactl('key', 'rotate', 'after', *REASONS, ok=3))
        self.assertEqual(self.states()['after'], 'certified')
        for name in ('demo-1', 'demo-2'):
            status, said = harness.activate([BIN / 'tsactl', '--config', demo.dir / 'tsad.toml'], demo.dir / f'custody/{name}.share',
                                            self.passphrase(name))
            self.assertEqual(status, 0, said)
        self.tsactl('key', 'rotate', 'after', *REASONS)
        demo.wait_ready()
        self.assertEqual(demo.stamp().status, 0)

    def test_3_what_is_refused(self):
        demo = self.demo
        records = lambda: [e['number'] for kind in ('key.certified', 'key.activated', 'key.retired') for e in demo.events(kind)]
        (active,) = [label for label, state in self.states().items() if state == 'active']
        self.tsactl('key', 'generate', 'next', *REASONS)
        before = records()
        self.assertIn("is generated and can't become active; it can become requested or certified", self.tsactl('key', 'rotate', 'next', *REASONS, ok=1))
        self.assertIn("can't become retired", self.tsactl('key', 'retire', 'next', *REASONS, ok=1))
        self.assertIn('there is a key', self.tsactl('key', 'generate', 'next', *REASONS, ok=1))
        self.assertIn('it can become retired', self.tsactl('key', 'destroy', active, *REASONS, ok=1))
        self.assertIn('no record of a key', self.tsactl('key', 'rotate', 'nobody', *REASONS, ok=1))
        self.assertIn('there is no [tsu.nobody]', self.tsactl('key', 'generate', 'x', '--tsu', 'nobody', *REASONS, ok=2))
        self.assertIn('--why', self.tsactl('key', 'rotate', 'next', '--why', ' ', '--by', 'x', ok=2))
        # Certificates that are none of a TSU's, or not this key's.
        for extensions, days, words in (('keyUsage=critical,digitalSignature\n', 800, 'alone and critical'),
                                        ('extendedKeyUsage=timeStamping\n', 800, 'alone and critical'),
                                        ('extendedKeyUsage=critical,timeStamping\n', 7000, "isn't inside its issuer's"),
                                        ('extendedKeyUsage=critical,timeStamping\nkeyUsage=critical,digitalSignature,keyEncipherment\n', 800, 'key usage')):
            with self.subTest(words=words):
                self.assertIn(words, self.tsactl('key', 'import', 'next', self.issue('next', extensions, days), *REASONS, ok=1))
        self.assertIn("isn't for the key 'next'", self.tsactl('key', 'import', 'next', demo.dir / 'pki/tsu.pem', *REASONS, ok=1))
        run('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', self.folder / 'x.key', '-out', self.folder / 'x.pem', '-days', '30',
            '-subj', '/CN=x', '-addext', 'extendedKeyUsage=critical,timeStamping')
        self.tsactl('key', 'import', 'next', self.folder / 'x.pem', *REASONS, ok=1)
        # A key of the other kind: made, listed, requested, and no TSU's.
        self.tsactl('key', 'generate', 'checkpoints', '--type', 'ed25519', *REASONS)
        (made,) = [e for e in demo.events('key.generated') if e['fields']['key'] == 'checkpoints']
        self.assertEqual(made['fields']['type'], 'Ed25519')
        (listed,) = [key for key in json.loads(self.tsactl('key', 'list', '--json')) if key['label'] == 'checkpoints']
        self.assertEqual((listed['type'], listed['bits'], listed['state']), ('Ed25519', 255, 'generated'))
        self.assertIn('bits are for RSA', self.tsactl('key', 'generate', 'x', '--type', 'ed25519', '--bits', 2048, *REASONS, ok=2))
        for step in (['rotate', 'checkpoints'], ['import', 'checkpoints', self.issue('checkpoints')]):
            self.assertIn("'checkpoints' is an Ed25519 key and can't become a TSU's", self.tsactl('key', *step, *REASONS, ok=1))
        self.assertEqual(records(), before)

        # One of another name is certified, but the TAA doesn't take it: who signs goes on.
        self.tsactl('key', 'import', 'next', self.issue('next', subject='C=JP,O=Kokuin Demo,CN=Somebody else'), *REASONS)
        self.assertIn('a successor has the same name', self.tsactl('key', 'rotate', 'next', *REASONS, ok=1))
        self.assertEqual(self.states()['next'], 'certified')
        self.assertEqual(self.states()[active], 'active')
        self.assertEqual(demo.stamp().status, 0)
        # Nor one of a TSU that isn't served, or by a TAA that isn't there.
        self.tsactl('key', 'retire', 'next', *REASONS)
        self.successor('again')
        taad = lambda *words: run(BIN / 'taad', '--config', demo.dir / 'taad.toml', 'tsu', *words, 'tsu-1', *REASONS)
        taad('suspend')
        self.assertIn("isn't served", self.tsactl('key', 'rotate', 'again', *REASONS, ok=1))
        taad('resume')
        # A rotation that fails leaves nothing behind: the next one goes through.
        self.tsactl('key', 'rotate', 'again', *REASONS)
        self.assertEqual((self.states()[active], self.states()['again']), ('retired', 'active'))

    def test_4_destroyed_by_several_people(self):
        demo = self.demo
        pin = run(BIN / 'kokuin-share', *(demo.dir / f'custody/demo-{i}' for i in (1, 2, 3))).out.split()[-2]
        objects = lambda: run('pkcs11-tool', '--module', SOFTHSM, '--token-label', 'kokuin-tsu', '-l', '--pin', pin, '-O',
                              env={'SOFTHSM2_CONF': str(demo.dir / 'softhsm2.conf')}).out
        self.assertRegex(objects(), r'label: +next\b')
        proposal = json.loads(self.tsactl('key', 'destroy', 'next', '--json', *REASONS))['proposal']
        self.assertIn(proposal['id'], self.tsactl('ceremony', 'show'))
        self.assertIn('already', self.tsactl('key', 'destroy', 'next', *REASONS, ok=1))
        status, said = self.approve('demo-1', proposal['id'])
        self.assertEqual(status, 0, said)
        self.assertIn('you approve key-destroy of key next, spki_sha256', said)
        self.assertIn('approved by 1 of 2', said)
        self.approve('demo-1', proposal['id'])  # twice is once
        self.assertEqual(self.states()['next'], 'retired')
        self.assertIn("no proposal 'ffffffff'", self.tsactl('approve', 'ffffffff', '--share', demo.dir / 'custody/demo-2.share', ok=1))
        taa_share = demo.dir / 'taa-custody/demo-1.share'
        self.assertIn('another ceremony', self.tsactl('approve', '--share', taa_share, ok=1))
        status, said = self.approve('demo-3')
        self.assertEqual(status, 0, said)
        self.assertIn("the key 'next' is destroyed", said)
        self.assertNotRegex(objects(), r'label: +next\b')
        shown = json.loads(self.tsactl('key', 'show', 'next', '--json'))
        self.assertEqual((shown['state'], shown.get('missing')), ('destroyed', True))
        (event,) = demo.events('key.destroyed')
        self.assertEqual((event['fields']['key'], event['fields']['custodians'], event['fields']['by']), ('next', 'demo-1, demo-3', 'operator 1'))
        (agreed,) = demo.events('custody.agreed')
        self.assertEqual(agreed['fields']['proposal'], event['fields']['proposal'])
        self.assertIn("can't become anything any more", self.tsactl('key', 'destroy', 'next', *REASONS, ok=1))
        self.assertIn('nothing waits', self.tsactl('approve', '--share', demo.dir / 'custody/demo-2.share', ok=1))

    def test_4_compromised(self):
        demo = self.demo
        (active,) = [label for label, state in self.states().items() if state == 'active']
        self.assertEqual(demo.stamp().status, 0)
        said = self.tsactl('key', 'compromise', active, '--why', 'somebody had the rack open', '--by', 'operator 2',
                           '--dir', self.folder / 'papers')
        serial = json.loads(self.tsactl('key', 'show', active, '--json'))
        self.assertEqual((serial['state'], serial['compromised']), ('retired', True))
        self.assertRegex(said, r'revoked: serial [0-9a-f]+ of .*, reason keyCompromise')
        self.assertEqual(demo.stamp().fail, 'systemFailure')
        self.assertEqual([e['fields']['key'] for e in demo.events('key.compromised')], [active])
        self.assertIn('COMPROMISED', self.tsactl('key', 'list'))
        self.assertIn('can only be destroyed', self.tsactl('key', 'rotate', active, *REASONS, ok=1))
        # One that was to come is as bad.
        self.tsactl('key', 'generate', 'also bad', *REASONS)
        self.tsactl('key', 'compromise', 'also bad', *REASONS)
        self.assertIn('can only be destroyed', self.tsactl('key', 'csr', 'also bad', '--subject', TSU_NAME, *REASONS, ok=1))
        self.successor('good')
        self.tsactl('key', 'rotate', 'good', *REASONS)
        self.assertEqual(demo.stamp().status, 0)

    def test_5_the_demo_rotates(self):
        demo = self.demo
        demo.stop()
        run(TOP / 'scripts/demo', '--dir', demo.dir, '--detach', env={'KOKUIN_BIN': str(BIN)}, seconds=120)
        try:
            done = run(TOP / 'scripts/demo', '--rotate', '--dir', demo.dir, env={'KOKUIN_BIN': str(BIN)}, seconds=120)
            self.assertIn('openssl verified it', done.out)
            self.assertIn(' is retired', done.out)
        finally:
            run(TOP / 'scripts/demo', '--stop', '--dir', demo.dir)
        done = run(TOP / 'scripts/demo', '--rotate', '--dir', demo.dir, ok=(2,), env={'KOKUIN_BIN': str(BIN)})
        self.assertIn('is not running', done.err)


class CalendarTest(Keys):
    """Thirteen months, and one more, by moving the wall clock of both servers."""

    def at(self, days):
        """Both servers, started at this many days from now."""
        self.demo.stop()
        self.set_clock(f'{days:+d}d')
        self.demo.start_tsad(env=self.faked())
        self.demo.start_taad(env=self.faked())

    def ready(self):
        self.demo.wait_ready()
        self.assertEqual(self.demo.stamp().status, 0)

    def status(self):
        return json.loads(self.demo.tsactl('status', '--json', ok=(0, 1)).out)

    def endings(self):
        return [event['fields']['days'] for event in self.demo.events('key.ending')]

    def test_calendar(self):
        demo = self.demo
        demo.start()
        self.ready()
        begun = demo.events('key.activated')[0]['at']
        year, month, day = map(int, begun[:10].split('-'))
        ends = self.status()['tsus'][0]['key_signs_until']
        # A year and a month later (KEY-4); both dates exist in this test's months, or the last day of the month is meant.
        self.assertEqual((int(ends[:4]) - year) * 12 + int(ends[5:7]) - month, 13)
        self.assertLessEqual(int(ends[8:10]), day)
        instant = lambda text: datetime.datetime.fromisoformat(text.replace('Z', '+00:00'))
        length = round((instant(ends) - instant(begun)) / datetime.timedelta(days=1))
        self.assertEqual(self.endings(), [])
        for days_left, said in ((61, []), (59, [60]), (6, [60, 7]), (1, [60, 7, 1])):
            self.at(length - days_left)
            self.ready()
            until(lambda: self.endings() == said, lambda: f'{self.endings()} is {said}')
            self.assertEqual(bool(self.status()['key_warnings']), bool(said))
        # The day after: no token, by whichever policy, and a line that says why.
        self.at(length + 1)
        until(lambda: any('key' in r for r in demo.readiness()[1].get('reasons', [])), lambda: demo.readiness())
        until(lambda: self.status()['tsus'][0]['tac'], lambda: demo.taad.tail())
        self.assertEqual(demo.readiness()[0], 503)
        self.assertEqual(demo.stamp().status, 2)
        until(lambda: demo.events('key.ended'), 'the end of the key is an event')
        until(lambda: demo.events('gate.closed')[-1]['fields']['cause'] == 'key-ended', 'the gate closes for that')
        # A successor brings the service back.
        self.successor('tsu-1-b')
        self.tsactl('key', 'rotate', 'tsu-1-b', *REASONS)
        self.ready()
        retired = demo.events('key.retired')[0]
        self.assertEqual(demo.events('key.overdue'), [])
        # A month and a day later the old one should be gone (KEY-5). By then the channel's certificates have ended, which is
        # another matter: the alarm doesn't need the TAA.
        self.at(length + 1 + 32)
        (overdue,) = until(lambda: demo.events('key.overdue'), 'an alarm')
        self.assertEqual(overdue['fields']['key'], 'tsu-1')
        self.assertIn('OVERDUE', '\n'.join(self.status()['key_warnings']))
        self.assertIn('kokuin_keys_overdue 1', run('curl', '-fsS', demo.url('/metrics')).out)
        self.tsactl('key', 'destroy', 'tsu-1', *REASONS)
        for name in ('demo-1', 'demo-2'):
            status, said = self.approve(name)
            self.assertEqual(status, 0, said)
        self.assertIn('kokuin_keys_overdue 0', run('curl', '-fsS', demo.url('/metrics')).out)
        self.assertEqual(self.status()['key_warnings'], [])


if __name__ == '__main__':
    harness.main()
