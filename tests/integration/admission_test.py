"""Who is served (TAA-6): TSUs are admitted, suspended, reviewed and removed with taad's command line, while it runs and while
it is down; each step is a record. And what its operators are told: a TSU that can't be reached."""
import contextlib
import http.client
import json
import ssl

import harness
from harness import until


class AdmissionTest(harness.TestCase):
    def tsu(self, verb, *more, ok=0):
        if '--why' in more and '--by' not in more:
            more += ('--by', 'operator 1')
        return harness.run(harness.BIN / 'taad', '--config', self.demo.dir / 'taad.toml', 'tsu', verb, *more, ok=(ok,))

    def standing(self):
        return json.loads(self.tsu('list', '--json').out)

    def ask(self):
        """(HTTP status, text): the TSU asks for an audit."""
        context = ssl.create_default_context(cafile=self.demo.root())
        context.load_cert_chain(self.demo.dir / 'pki/audit-tsu.pem', self.demo.dir / 'pki/audit-tsu.key')
        context.check_hostname = False
        connection = http.client.HTTPSConnection('127.0.0.1', self.demo.port + 3, context=context, timeout=10)
        with contextlib.closing(connection):
            connection.request('POST', '/audit/request', json.dumps({'tsu': 'tsu-1', 'why': 'test'}),
                               {'Content-Type': 'application/json'})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def accepted(self):
        return len(self.demo.events('tac.accepted'))

    def test_1_steps_while_taad_runs(self):
        demo = self.demo
        demo.audit_often()
        demo.start()
        self.assertTrue(self.standing()['served'])
        self.assertEqual(self.ask()[0], 200)

        said = self.tsu('suspend', 'tsu-1', '--why', 'its operator moves it', '--by', 'operator 3').out
        record = int(said.split()[-1])
        self.assertEqual(self.ask(), (403, "this TSU isn't served at present; its TAA knows why\n"))
        standing = self.standing()
        self.assertEqual((standing['state'], standing['served'], standing['why'], standing['by']),
                         ('suspended', False, 'its operator moves it', 'operator 3'))
        self.assertEqual(self.tsu('suspend', 'tsu-1', '--why', 'again', ok=1).err.count('\n'), 1)
        self.assertIn('NOT SERVED', self.tsu('list').out)
        event = demo.taa_events('tsu.suspended')[-1]
        self.assertEqual((event['number'], event['subject'], event['text']), (record, 'tsu-1', 'its operator moves it'))
        self.assertEqual(event['fields'], {'account': harness.pwd.getpwuid(harness.os.geteuid()).pw_name, 'by': 'operator 3',
                                           'tsa': 'TSA'})

        # Somebody else's archive, the same socket: this taad takes no order for it.
        other = demo.dir / 'other.toml'
        other.write_text((demo.dir / 'taad.toml').read_text().replace('dir = "taa-archive"', 'dir = "other-archive"'))
        harness.run(harness.BIN / 'taad', '--config', other, 'archive', 'init')
        done = harness.run(harness.BIN / 'taad', '--config', other, 'tsu', 'resume', 'tsu-1', '--why', 'wrong house',
                           '--by', 'x', ok=(2,))
        self.assertIn('writes another archive', done.err)
        self.assertFalse(self.standing()['served'])

        # Served again it is audited at once.
        before, audits = self.accepted(), len(demo.taa_events('audit'))
        self.assertEqual(self.accepted(), before)
        self.tsu('resume', 'tsu-1', '--why', 'it is there')
        until(lambda: self.accepted() > before, lambda: f'a TAC; {demo.taad.tail()}')
        self.assertEqual(demo.taa_events('audit')[audits]['fields']['cause'], 'schedule')
        self.tsu('review', 'tsu-1', '--why', 'yearly', '--json')
        reviewed = demo.taa_events('tsu.reviewed')[-1]['fields']
        self.assertGreaterEqual(reviewed['good'], 2)
        self.assertEqual(reviewed['audits'], reviewed['good'] + reviewed['stops'] + reviewed['failed'])

    def test_2_steps_while_taad_is_down(self):
        demo = self.demo
        demo.taad.stop()
        self.tsu('remove', 'tsu-1', '--why', 'the contract is over')
        done = harness.run(harness.BIN / 'taad', '--config', demo.dir / 'taad.toml', 'audit', 'now', 'tsu-1', ok=(1,))
        self.assertIn('was removed on', done.err)
        accepted = self.accepted()
        demo.start_taad()
        until(lambda: "isn't served" in demo.taad.written(), lambda: demo.taad.tail())
        self.assertEqual(self.ask()[0], 403)
        self.assertEqual(self.accepted(), accepted)
        # Its operators see why no TAC comes: once, for tsad asks when its clock's proof runs out.
        demo.tsad.kill()
        demo.edit('tsad', (r'^# request_before = .*$', 'request_before = "24h"'))
        demo.start_tsad()
        until(lambda: self.demo.tsactl('status', ok=(0, 1)).out.count('gives notice: not-served'), 'a notice')
        self.assertEqual([e['fields']['notice'] for e in demo.events('taa.notice')], ['not-served'])
        self.tsu('admit', 'tsu-1', '--why', 'a new contract')
        until(lambda: self.accepted() > accepted, lambda: f'a TAC; {demo.taad.tail()}')
        # Killed without warning it knows the same.
        self.tsu('suspend', 'tsu-1', '--why', 'just so')
        demo.taad.kill()
        demo.start_taad()
        self.assertEqual(self.ask()[0], 403)
        self.tsu('resume', 'tsu-1', '--why', 'enough')

    def test_3_another_certificate_is_another_tsu(self):
        demo = self.demo
        demo.taad.stop()
        pki = demo.dir / 'pki'
        harness.run('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', self.folder / 'renewed.key', '-out',
                    pki / 'renewed.pem', '-CA', pki / 'issuing.pem', '-CAkey', pki / 'issuing.key', '-days', '30', '-subj',
                    '/C=JP/O=Kokuin Demo/CN=Kokuin Demo TSU 1', '-addext', 'extendedKeyUsage=critical,timeStamping',
                    '-addext', 'keyUsage=critical,digitalSignature', '-addext', 'basicConstraints=critical,CA:FALSE')
        demo.edit('taad', (r'^certificate = "pki/tsu\.pem"', 'certificate = "pki/renewed.pem"'))
        done = harness.run(harness.BIN / 'taad', '--config', demo.dir / 'taad.toml', 'audit', 'now', 'tsu-1', ok=(1,))
        self.assertIn("isn't the one that was looked at", done.err)
        self.tsu('review', 'tsu-1', '--why', 'renewed its certificate')
        self.assertTrue(self.standing()['served'])
        # A running taad records what it looked at itself, not what its configuration has become meanwhile.
        demo.start_taad()
        demo.edit('taad', (r'^certificate = "pki/renewed\.pem"', 'certificate = "pki/tsu.pem"'))
        done = self.tsu('review', 'tsu-1', '--why', 'took it back', ok=1)
        self.assertIn('restart it, then do this again', done.err)
        self.assertEqual(demo.taa_events('tsu.reviewed')[-1]['text'], 'renewed its certificate')
        demo.taad.stop()
        demo.edit('taad', (r'^certificate = "pki/tsu\.pem"', 'certificate = "pki/renewed.pem"'))
        demo.edit('taad', (r'^certificate = "pki/renewed\.pem"', 'certificate = "pki/tsu.pem"'))
        self.assertFalse(self.standing()['served'])
        self.tsu('review', 'tsu-1', '--why', 'took it back')

    def test_4_a_tsu_that_cannot_be_reached_is_a_notice(self):
        demo = self.demo
        told = self.folder / 'told'
        script = self.folder / 'tell'
        script.write_text(f'#!/bin/sh\ncat >> {told}\n')
        script.chmod(0o755)
        demo.edit('taad', (r'^# unreachable_after = .*$', 'unreachable_after = "2s"'),
                  append=f'\n[hook]\ncommand = ["{script}"]\n')
        demo.tsad.stop()
        demo.start_taad()
        kinds = lambda: [json.loads(line)['kind'] for line in told.read_text().splitlines()] if told.exists() else []
        until(lambda: 'tsu.unreachable' in kinds(), lambda: f'a notice; {demo.taad.tail()}')
        lost = demo.taa_events('tsu.unreachable')
        self.assertEqual([e['subject'] for e in lost], ['tsu-1'])
        self.assertIn('connection refused', lost[0]['text'])
        demo.start_tsad()
        until(lambda: 'tsu.fine' in kinds(), lambda: f'fine again; {demo.taad.tail()}')
        demo.taad.stop()
        # Once each: how the HSM was opened, and the notices.
        self.assertEqual(kinds(), ['custody.share', 'custody.share', 'custody.activated', 'taa.started', 'tsu.unreachable', 'tsu.fine',
                                   'taa.stopped'])
        self.assertEqual(len(demo.taa_events('tsu.unreachable')), 1)


if __name__ == '__main__':
    harness.main()
