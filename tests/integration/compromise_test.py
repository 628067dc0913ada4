"""A key is compromised (KEY-6): what stops, what is written, who is told and what the repository says (TSA-17), until another
key signs; also while the TAA is away, and over restarts."""
import json
import re
import urllib.error
import urllib.request

import harness
from harness import BIN, run, until
from rotation_test import REASONS, Keys


class CompromiseTest(Keys):
    def repository(self, path, ok=200):
        try:
            with urllib.request.urlopen(f'http://127.0.0.1:{self.demo.port}{path}', timeout=20) as answer:
                status, body = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, body = error.code, error.read()
        self.assertEqual(status, ok, body)
        return json.loads(body) if status == 200 else body.decode()

    def lost(self, notice):
        tokens, path = [], notice['tokens']
        while path:
            page = self.repository(path)
            tokens += page['tokens']
            path = page['next']
        return tokens

    def taad(self, *words):
        return run(BIN / 'taad', '--config', self.demo.dir / 'taad.toml', *words).out

    def certificate(self, path, what):
        return run('openssl', 'x509', '-in', path, '-noout', what).out.strip().partition('=')[2].lower()

    def test_from_the_first_word_to_the_next_key(self):
        demo = self.demo
        demo.audit_often()
        demo.start()
        self.assertEqual(self.repository('/repository/notices'), {'notices': []})
        for _ in range(3):
            self.assertEqual(demo.stamp().status, 0)
        # Another key's tokens keep their reliability.
        self.successor('second')
        self.tsactl('key', 'rotate', 'second', *REASONS)
        for _ in range(2):
            self.assertEqual(demo.stamp().status, 0)
        first = [json.loads(line) for line in demo.tsaudit('find', '--json').out.splitlines()]
        self.assertGreaterEqual(len(first), 5)

        demo.taad.stop()
        papers = self.folder / 'papers'
        said = self.tsactl('key', 'compromise', 'second', '--why', 'the rack stood open', '--by', 'operator 2', '--dir', papers)
        self.assertEqual(demo.stamp().fail, 'systemFailure')
        second = self.folder / 'second.pem'
        serial, sha256 = (self.certificate(second, '-serial'),
                          run('openssl', 'x509', '-in', second, '-noout', '-fingerprint', '-sha256').out.strip()
                          .partition('=')[2].replace(':', '').lower())
        self.assertEqual(int(re.search(r'have its certificate revoked: serial ([0-9a-f]+) of', said).group(1), 16), int(serial, 16))
        self.assertIn('2 tokens have lost their reliability', said)
        request = json.loads((papers / 'revocation-request.json').read_text())
        self.assertEqual((request['reason'], request['certificate_sha256'], request['why'], request['asked_by']),
                         ('keyCompromise', sha256, 'the rack stood open', 'operator 2'))
        self.assertEqual(int(request['serial'], 16), int(serial, 16))
        tokens = [json.loads(line) for line in (papers / 'tokens.jsonl').read_text().splitlines()]
        self.assertEqual([t['serial'] for t in tokens], [t['serial'] for t in first[-2:]])
        for token, known in zip(tokens, first[-2:]):
            self.assertEqual({k: known[k] for k in ('policy', 'imprint', 'imprint_algorithm')},
                             {k: token[k] for k in ('policy', 'imprint', 'imprint_algorithm')})

        # What everybody may read; nothing of the operators' words.
        (notice,) = self.repository('/repository/notices')['notices']
        self.assertEqual((notice['notice'], notice['certificate']['sha256'], notice['tsu']), ('key-compromised', sha256, 'tsu-1'))
        self.assertNotIn('rack', json.dumps(notice))
        self.assertEqual(self.lost(notice), tokens)
        self.assertEqual(self.repository(f'/repository/lost/{sha256}/{10**9}')['tokens'], [])
        for path in ('0' * 64, 'x', f'{sha256}/-1', f'{sha256}/x', f'{sha256}/99999999999999999999'):
            self.repository(f'/repository/lost/{path}', 404)

        # The TAA was away: it is told when it is back, once, also by a server that was started again.
        self.assertEqual(demo.events('key.compromise-told'), [])
        demo.tsad.kill()
        demo.start_tsad()
        self.assertEqual(self.repository('/repository/notices')['notices'], [notice])
        self.assertEqual(demo.events('key.compromise-told'), [])
        demo.start_taad()
        until(lambda: demo.events('key.compromise-told'), 'the TAA is told', 40)
        told = lambda: [e for e in demo.taa_events('tsu.compromised')]
        self.assertEqual([e['fields']['certificate'] for e in told()], [sha256])
        self.assertRegex(self.taad('tsu', 'list'), rf'COMPROMISED, told .*: the key of certificate {sha256}')
        # It still knows when it is started again.
        demo.taad.stop()
        demo.start_taad()
        self.assertEqual(list(json.loads(self.taad('tsu', 'list', '--json').splitlines()[0])['compromised']), [sha256])
        self.assertEqual(self.repository('/repository/notices')['notices'], [notice])

        # Said again, nothing more happens, and the papers are there again.
        (papers / 'tokens.jsonl').unlink()
        self.tsactl('key', 'compromise', 'second', *REASONS, '--dir', papers)
        self.assertEqual(len((papers / 'tokens.jsonl').read_text().splitlines()), 2)
        self.assertEqual(len(self.repository('/repository/notices')['notices']), 1)

        # Another key: audited, and it signs. The TAA follows it.
        self.successor('third')
        self.assertIn('third signs for tsu-1 now', self.tsactl('key', 'activate', 'third', *REASONS))
        self.assertEqual(demo.stamp().status, 0)
        until(lambda: demo.taa_events('tsu.succeeded'), 'the TAA follows')
        self.assertNotIn('NOT SERVED', self.taad('tsu', 'list'))
        self.assertEqual(len(told()), 1)
        self.assertEqual(len(demo.events('key.compromise-told')), 1)
        self.assertEqual(self.lost(notice), tokens)

        # A folder that can't be written: it says what is done and what isn't.
        (self.folder / 'file').write_text('')
        err = self.tsactl('key', 'compromise', 'second', *REASONS, '--dir', self.folder / 'file', ok=3)
        self.assertIn("signs nothing any more, and that is recorded, but its papers aren't written", err)


if __name__ == '__main__':
    harness.main()
