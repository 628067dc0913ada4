"""What scripts/bench measures; run it through that. Needs the release build's programs in KOKUIN_BIN."""
import argparse
import collections
import json
import os
import pathlib
import re
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'integration'))
import harness  # noqa: E402
from harness import BIN, Demo, run  # noqa: E402

MODULE = '/usr/lib/softhsm/libsofthsm2.so'


def tree_size(folder):
    """(octets in files, octets on the disk)"""
    stats = [f.stat() for f in pathlib.Path(folder).rglob('*') if f.is_file()]
    return sum(s.st_size for s in stats), sum(s.st_blocks * 512 for s in stats)


class Bench:
    def __init__(self, folder, options):
        self.options = options
        self.demo = Demo(pathlib.Path(folder) / 'demo')
        # Nobody knows the PIN of the demo's token: an equal key in another one.
        self.bare = pathlib.Path(folder) / 'bare'
        (self.bare / 'tokens').mkdir(parents=True)
        (self.bare / 'softhsm2.conf').write_text(f'directories.tokendir = {self.bare}/tokens\n')
        (self.bare / 'pin').write_text('123456')
        (self.bare / 'pin').chmod(0o600)
        self.bare_env = {'SOFTHSM2_CONF': str(self.bare / 'softhsm2.conf')}
        run('softhsm2-util', '--init-token', '--free', '--label', 'bare', '--pin', '123456', '--so-pin', '123456', env=self.bare_env)
        run('pkcs11-tool', '--module', MODULE, '--token-label', 'bare', '--login', '--pin', '123456', '--keypairgen', '--key-type', 'rsa:2048',
            '--label', 'bare', '--usage-sign', env=self.bare_env)

    def sign_rate(self, threads=2):
        done = run(BIN / 'kokuin-sign-rate', '--module', MODULE, '--token', 'bare', '--key', 'bare', '--pin-file', self.bare / 'pin',
                   '--threads', threads, '--seconds', self.options.seconds, env=self.bare_env)
        return json.loads(done.out)

    def load(self, connections, *more, seconds=None):
        done = run(BIN / 'kokuin-load', '--url', self.demo.url(), '--connections', connections, '--seconds',
                   seconds or self.options.seconds, *more, ok=(0, 1))
        result = json.loads(done.out)
        if result['errors'] or result['refused'] or not result['granted']:
            raise SystemExit(f'bench: the load was not served: {done.out}{self.demo.tsad.tail()}')
        return result

    def start(self):
        """Starts tsad; milliseconds until it listens, and until it would stamp (on the TAC it has)."""
        began = time.monotonic()
        self.demo.start_tsad(wait=False)
        harness.until(lambda: self.demo.tsad.must_live() or self.demo.listens(self.demo.port), 'tsad listens', step=0.002)
        listens = time.monotonic() - began
        harness.until(lambda: self.demo.readiness()[0] == 200, 'tsad is ready', step=0.002)
        return round(listens * 1000, 1), round((time.monotonic() - began) * 1000, 1)

    def round(self):
        bare = self.sign_rate()
        cpu = self.demo.tsad.cpu_seconds()
        load = self.load(32)
        cpu_us = (self.demo.tsad.cpu_seconds() - cpu) * 1e6 / load['granted']
        return {'sign_rate': bare['rate'], 'sign_cpu_us': bare['cpu_us'], 'token_rate': load['rate'], 'tsad_cpu_us': round(cpu_us, 1),
                'R': round(load['rate'] / bare['rate'], 4), 'O_us': round(cpu_us - bare['cpu_us'], 1),
                'latency_ms': load['latency_ms'],
                'load_cpu_us': round(load['cpu_seconds'] * 1e6 / load['granted'], 1)}

    def run(self):
        demo, result = self.demo, {'cpus': os.cpu_count(), 'seconds': self.options.seconds, 'connections': 32}
        demo.start()
        demo.tsad.stop()
        # Started anew, on the TAC that the archive holds.
        result['start_ms'], result['ready_ms'] = self.start()
        self.load(32, seconds=1)  # warm
        print(f'{"round":>5} {"C_Sign/s":>9} {"tokens/s":>9} {"R":>7} {"CPU/sign":>9} {"CPU/token":>10} {"O":>7} '
              f'{"p50":>7} {"p99":>8}')
        result['rounds'] = []
        for number in range(self.options.rounds):
            one = self.round()
            result['rounds'].append(one)
            print(f'{number + 1:>5} {one["sign_rate"]:>9.0f} {one["token_rate"]:>9.0f} {one["R"]:>7.1%} '
                  f'{one["sign_cpu_us"]:>6.0f} us {one["tsad_cpu_us"]:>7.0f} us {one["O_us"]:>4.0f} us '
                  f'{one["latency_ms"]["p50"]:>4.1f} ms {one["latency_ms"]["p99"]:>5.1f} ms', flush=True)
        for key in ('sign_rate', 'token_rate', 'R', 'O_us', 'sign_cpu_us', 'tsad_cpu_us'):
            result[key] = round(statistics.median(one[key] for one in result['rounds']), 4)

        many = self.demo.load('--connections', 256)
        end = time.monotonic() + min(3, self.options.seconds)
        resident = []
        while time.monotonic() < end:
            many.must_live()
            resident.append(demo.tsad.resident_kb())
            time.sleep(0.1)
        at_256 = many.result()
        result['resident_mb_256'] = round(max(resident) / 1024, 1)
        result['rate_256'], result['latency_ms_256'] = at_256['rate'], at_256['latency_ms']
        if at_256['errors'] or at_256['refused']:
            raise SystemExit(f'bench: 256 connections were not served: {at_256}')
        single = self.load(32, '--keep-alive', 'off')
        result['rate_without_keep_alive'], result['latency_ms_without_keep_alive'] = single['rate'], single['latency_ms']

        # Growth of the archive, between two orderly ends (the write-ahead log is inside then).
        demo.tsad.stop()
        before = tree_size(demo.dir / 'archive')
        self.start()
        grown = self.load(32)['granted']
        demo.tsad.stop()
        after = tree_size(demo.dir / 'archive')
        result['octets_per_token'] = round((after[0] - before[0]) / grown)
        demo.stop()
        self.verify(result)
        self.look_up(result)
        return result

    def verify(self, result):
        """tsaudit verify of what was stamped, with what RSA verification alone allows on as many cores."""
        demo = self.demo
        trust = demo.trust(demo.dir / 'trust.toml')
        rounds = []
        for _ in range(self.options.rounds):
            speed = run('openssl', 'speed', '-mr', '-seconds', max(1, round(self.options.seconds / 2)), '-multi', os.cpu_count(), 'rsa2048').out
            bare = float(re.findall(r'^\+F2:\d+:2048:[0-9.]+:([0-9.]+)', speed, re.M)[-1])
            began = time.monotonic()
            report = json.loads(demo.tsaudit('verify', '--json', '--trust', trust).out)
            seconds = time.monotonic() - began
            rounds.append({'rsa_rate': round(bare), 'verify_rate': round(report['tokens'] / seconds),
                           'V': round(report['tokens'] / seconds / bare, 4)})
        result['verify_rounds'], result['verified_tokens'] = rounds, report['tokens']
        for key in ('rsa_rate', 'verify_rate', 'V'):
            result[key] = round(statistics.median(one[key] for one in rounds), 4)

    def look_up(self, result):
        """Single tokens out of very many in twelve months, by processes of their own; less what a process costs."""
        archive = self.demo.dir / 'many'
        some = [json.loads(line) for line in run(BIN / 'kokuin-fill', archive, self.options.tokens, seconds=3600).out.splitlines()]
        result['look_up_tokens'], result['look_up_octets'] = self.options.tokens, tree_size(archive)[0]
        times = collections.defaultdict(list)
        for one in some:
            for name, words in (('process', ('--version',)), ('serial', ('find', '--serial', one['serial'])),
                                ('imprint', ('find', '--imprint', one['imprint'])),
                                ('second', ('find', '--from', one['gen_time'], '--limit', 1))):
                began = time.monotonic()
                said = run(BIN / 'tsaudit', '--archive', archive, *words).out
                times[name].append((time.monotonic() - began) * 1000)
                if name != 'process' and one['serial'] not in said:
                    raise SystemExit(f'bench: {words} did not find {one}: {said}')
        bare = statistics.median(times['process'])
        for name in ('serial', 'imprint', 'second'):
            result[f'look_up_{name}_ms'] = [round(statistics.median(times[name]) - bare, 1), round(max(times[name]) - bare, 1)]


def main():
    parser = argparse.ArgumentParser(prog='scripts/bench')
    parser.add_argument('--json', metavar='FILE')
    parser.add_argument('--seconds', type=float, default=4)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--tokens', type=int, default=200_000)
    options = parser.parse_args()
    if options.rounds < 1 or options.seconds <= 0 or options.tokens < 12:
        parser.error('--rounds and --seconds must be positive, --tokens 12 at least')
    with tempfile.TemporaryDirectory(prefix='kokuin-bench-') as folder:
        bench = Bench(folder, options)
        try:
            result = bench.run()
        finally:
            for program in (bench.demo.tsad, bench.demo.taad):
                if program and program.alive():
                    program.kill()
    def look_up(name):
        return '{} ({}) ms'.format(*result[f'look_up_{name}_ms'])
    print(f'''
R, durable tokens per second / bare C_Sign per second   {result["R"]:.1%}   (medians {result["token_rate"]:.0f} / {result["sign_rate"]:.0f})
O, CPU time per token outside the PKCS#11 module        {result["O_us"]:.0f} us   ({result["tsad_cpu_us"]:.0f} - {result["sign_cpu_us"]:.0f})
resident with 256 connections                           {result["resident_mb_256"]:.0f} MB   ({result["rate_256"]:.0f} tokens/s, p99 {result["latency_ms_256"]["p99"]:.0f} ms)
without keep-alive, 32 connections                      {result["rate_without_keep_alive"]:.0f} tokens/s, p99 {result["latency_ms_without_keep_alive"]["p99"]:.0f} ms
start until it listens / is ready                       {result["start_ms"]:.0f} ms / {result["ready_ms"]:.0f} ms
archive                                                 {result["octets_per_token"]} octets per token
V, tokens verified per second / bare RSA verifications  {result["V"]:.1%}   ({result["verified_tokens"]} tokens; medians {result["verify_rate"]:.0f} / {result["rsa_rate"]:.0f}, all cores)
one of {result["look_up_tokens"]} tokens in 12 months, median (most) by serial number {look_up("serial")}, by imprint {look_up("imprint")}, by time {look_up("second")}''')
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(result, indent=1) + '\n')


main()
