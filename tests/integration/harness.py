"""What the integration tests share: a demo in a folder of its own, its servers started and killed by hand, clients.

Every process started here dies with the test (PR_SET_PDEATHSIG) and is ended by its own pid. Nothing sleeps for luck:
until() polls a condition with a deadline. Environment: KOKUIN_BIN, the programs to test (default build/bin);
KOKUIN_KEEP=1 keeps the folders of a run; KOKUIN_DEMO_TEMPLATE, where a demo is kept that tests copy (ctest sets it).
"""
import base64
import contextlib
import ctypes
import fcntl
import http.client
import json
import os
import pathlib
import pwd
import pty
import random
import re
import select
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import unittest

import rfc3161

TOP = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get('KOKUIN_BIN') or TOP / 'build' / 'bin')
CHRONY = TOP / 'build' / 'chrony'  # unpacked by scripts/setup --test
FAKETIME = '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1'
QUERY_TYPE = 'application/timestamp-query'
REPLY_TYPE = 'application/timestamp-reply'


def until(condition, what, seconds=30, step=0.02):
    """The first true value of condition(); AssertionError after the deadline."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f'not within {seconds} s: {what() if callable(what) else what}')
        time.sleep(step)


def free_ports(count=5):
    """The first of `count` consecutive ports nobody has; below the kernel's own (ephemeral) range."""
    while True:
        first = random.randrange(10000, 32000 - count)
        with contextlib.ExitStack() as held:
            try:
                for port in range(first, first + count):
                    s = held.enter_context(socket.socket())
                    s.bind(('127.0.0.1', port))
                return first
            except OSError:
                continue


def run(*command, ok=(0,), seconds=120, env=None, cwd=None, stdin=None):
    """Runs a command to its end; its exit status must be in `ok` (None: any)."""
    done = subprocess.run([str(c) for c in command], capture_output=True, timeout=seconds, cwd=cwd, input=stdin,
                          env={**os.environ, **(env or {})})
    done.out, done.err = done.stdout.decode(errors='replace'), done.stderr.decode(errors='replace')
    if ok is not None and done.returncode not in ok:
        raise AssertionError(f'{" ".join(map(str, command))}\nended with {done.returncode}\n{done.out}{done.err}')
    return done


_libc = ctypes.CDLL(None)


def _die_with_parent():
    _libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Program:
    """A process in the background, with what it writes in a file."""

    def __init__(self, *command, log, env=None, ready=None):
        self.command = [str(c) for c in command]
        self.log = pathlib.Path(log)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, 'ab') as out:
            self.log_from = out.tell()
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            env={**os.environ, **(env or {})}, preexec_fn=_die_with_parent)
        self.pid = self.process.pid
        if ready:
            until(lambda: ready() or self.must_live(), lambda: f'{self.command[0]} ready; log:\n{self.tail()}')

    def must_live(self):
        if self.process.poll() is not None:
            raise AssertionError(f'{self.command[0]} ended with {self.process.returncode}; log:\n{self.tail()}')

    def alive(self):
        return self.process.poll() is None

    def written(self):
        with open(self.log, 'rb') as file:
            file.seek(self.log_from)
            return file.read().decode(errors='replace')

    def tail(self, lines=15):
        return '\n'.join(self.written().splitlines()[-lines:])

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, seconds=30, by=signal.SIGTERM):
        """SIGTERM (or another signal); the exit status."""
        if self.alive():
            self.process.send_signal(by)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f'{self.command[0]} did not end within {seconds} s of SIGTERM:\n{self.tail()}')

    def cpu_seconds(self):
        fields = pathlib.Path(f'/proc/{self.pid}/stat').read_text().rpartition(')')[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

    def resident_kb(self):
        return int(re.search(r'VmRSS:\s+(\d+)', pathlib.Path(f'/proc/{self.pid}/status').read_text())[1])


class Terminal:
    """A command at a terminal of its own (/dev/tty), and a person who types."""

    def __init__(self, *command, env=None, cwd=None):
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            try:
                _die_with_parent()
                if cwd:
                    os.chdir(cwd)
                os.execvpe(str(command[0]), [str(c) for c in command], {**os.environ, **(env or {})})
            finally:
                os._exit(127)
        self.seen = ''
        self.status = None

    def expect(self, text, seconds=60):
        """Reads until `text` stands on the screen, after what was expected before."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            if not self._read(end - time.monotonic()):
                raise AssertionError(f'{text!r} does not appear; what does: {self.seen!r}')
        before, _, self.seen = self.seen.partition(text)
        return before

    def type(self, line):
        os.write(self.master, line.encode() + b'\r')

    def echoes(self):
        return bool(termios.tcgetattr(self.master)[3] & termios.ECHO)

    def end(self, seconds=60):
        """The exit status, and all that was not expected yet."""
        end = time.monotonic() + seconds
        while self._read(end - time.monotonic()):
            pass
        if self.status is None:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            os.close(self.master)
        return self.status, self.seen

    def _read(self, seconds):
        if not select.select([self.master], [], [], max(seconds, 0))[0]:
            os.kill(self.pid, signal.SIGKILL)
            raise AssertionError(f'nothing more is said; so far: {self.seen!r}')
        try:
            piece = os.read(self.master, 65536)
        except OSError:  # the other side is closed
            return False
        self.seen += piece.decode(errors='replace').replace('\r\n', '\n')
        return bool(piece)


def hold_ceremony(tool, custodians, passphrase, *arguments, threshold=2, env=None, cwd=None):
    """`tool … ceremony init`, typed by its custodians one after the other: passphrase(name). What it said."""
    words = [word for name in custodians for word in ('--custodian', name)]
    terminal = Terminal(*tool, 'ceremony', 'init', '--threshold', threshold, *words, *arguments, env=env, cwd=cwd)
    for name in custodians:
        for ask in (f'Custodian {name}, choose a passphrase', f'Custodian {name}, the same again:'):
            terminal.expect(ask)
            terminal.type(passphrase(name))
    status, said = terminal.end()
    assert status == 0, said
    return said


def activate(tool, share, passphrase, env=None, cwd=None):
    """`tool … activate`, typed by a custodian: (exit status, what it said)."""
    terminal = Terminal(*tool, 'activate', '--share', share, env=env, cwd=cwd)
    terminal.expect('Passphrase of the custodian')
    terminal.type(passphrase)
    return terminal.end()


class Demo:
    """A set-up of scripts/demo under its own folder and ports; its servers run as children of the test."""

    def __init__(self, directory, env=None):
        """`env`: it is set up anew in this one, with another clock for example."""
        self.dir = pathlib.Path(directory)
        self.port = free_ports()
        self.tsad = self.taad = None
        template = os.environ.get('KOKUIN_DEMO_TEMPLATE')
        if template and not env:
            self._copy(pathlib.Path(template))
        else:
            self._set_up(self.dir, self.port, env)

    def _set_up(self, directory, port, env=None):
        try:
            self.script('--dir', directory, '--port', port, '--detach', '--outside-ca', env=env)
        finally:
            self.script('--stop', '--dir', directory, ok=None)

    def _copy(self, template):
        """A run of ctest sets up one demo with scripts/demo; each test has a copy of it, with paths and ports of its own."""
        whole = template.with_suffix('.whole')
        template.parent.mkdir(parents=True, exist_ok=True)
        with open(template.with_suffix('.lock'), 'w') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            newest = max((BIN / name).stat().st_mtime for name in ('tsad', 'tsactl', 'taad', 'tsaudit', 'tsca'))
            if not whole.exists() or whole.stat().st_mtime < max(newest, time.time() - 1200):
                whole.unlink(missing_ok=True)
                shutil.rmtree(template, ignore_errors=True)
                self._set_up(template, free_ports())
                whole.touch()
            shutil.copytree(template, self.dir)
        first = int((self.dir / 'demo.port').read_text())
        for name in ('tsad.toml', 'taad.toml', 'softhsm2.conf'):
            text = (self.dir / name).read_text().replace(str(template), str(self.dir))
            for number in range(5):
                text = text.replace(f'"127.0.0.1:{first + number}"', f'"127.0.0.1:@{self.port + number}"')
            (self.dir / name).write_text(text.replace(':@', ':'))
        (self.dir / 'demo.port').write_text(f'{self.port}\n')

    @staticmethod
    def script(*arguments, ok=(0,), build=False, env=None):
        env = {**(env or {}), **({} if build else {'KOKUIN_BIN': str(BIN)})}
        return run(TOP / 'scripts' / 'demo', *arguments, ok=ok, env=env, seconds=900)

    # -- servers

    def listens(self, port):
        with socket.socket() as s:
            return s.connect_ex(('127.0.0.1', port)) == 0

    def start_tsad(self, binary=None, env=None, wait=True):
        self.tsad = Program(binary or BIN / 'tsad', '--config', self.dir / 'tsad.toml', log=self.dir / 'log/tsad.log',
                            env=env, ready=(lambda: self.listens(self.port)) if wait else None)
        return self.tsad

    def start_taad(self, binary=None, env=None):
        self.taad = Program(binary or BIN / 'taad', '--config', self.dir / 'taad.toml', log=self.dir / 'log/taad.log',
                            env=env, ready=lambda: self.listens(self.port + 3))
        return self.taad

    def start(self, **tsad):
        self.start_tsad(**tsad)
        self.start_taad()
        self.wait_ready()
        return self

    def stop(self):
        for program in (self.tsad, self.taad):
            if program and program.alive():
                program.stop()

    def readiness(self):
        """(HTTP status, parsed JSON) of /readyz; (0, {}) when nobody answers."""
        try:
            with contextlib.closing(http.client.HTTPConnection('127.0.0.1', self.port, timeout=10)) as connection:
                connection.request('GET', '/readyz')
                answer = connection.getresponse()
                return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            return 0, {}

    def wait_ready(self, seconds=60):
        until(lambda: self.tsad.must_live() or self.readiness()[0] == 200,
              lambda: f'ready; {self.readiness()}\ntsad: {self.tsad.tail()}\n'
                      f'taad: {self.taad.tail() if self.taad else "-"}', seconds)

    # -- configuration

    def edit(self, name, *changes, append=''):
        """Changes NAME.toml: each change is (pattern, replacement), which must match exactly once (MULTILINE)."""
        path = self.dir / f'{name}.toml'
        text = path.read_text()
        for pattern, replacement in changes:
            text, count = re.subn(pattern, lambda _: replacement, text, flags=re.M)
            assert count == 1, f'{pattern} matches {count} times in {path}'
        path.write_text(text + append)

    def without_archive_key(self, name='tsad'):
        """Nobody signs checkpoints: for HSMs that have no Ed25519."""
        self.edit(name, (r'^key = "archive" .*\n(?: +#.*\n)?', ''))

    def audit_often(self):
        """Audits follow each other within a second, whatever came of the last one."""
        self.edit('taad', (r'^# request_spacing = .*$', 'request_spacing = "1s"'), (r'^# retry = .*$', 'retry = "1s"'))

    # -- clients

    def as_taa(self, method, path, body):
        """(HTTP status, parsed JSON) of one request to the audit listener, made with the TAA's channel certificate."""
        context = ssl.create_default_context(cafile=self.root())
        context.load_cert_chain(self.dir / 'pki/audit-taa.pem', self.dir / 'pki/audit-taa.key')
        raw = socket.create_connection(('127.0.0.1', self.port + 2), timeout=30)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = http.client.HTTPConnection('127.0.0.1')
        connection.sock = context.wrap_socket(raw, server_hostname='tsu.audit.kokuin.example')
        with contextlib.closing(connection):
            connection.request(method, path, json.dumps(body), {'Content-Type': 'application/json'})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def deliver(self, tac, tsu='tsu-1'):
        """Delivers a TAC (DER) with the nonce of a fresh exchange about `tsu`; (verdict, reason)."""
        nonce = os.urandom(16).hex()
        status, answer = self.as_taa('POST', '/audit/clock', {'nonce': nonce, 'tsu': tsu})
        assert status == 200, answer
        status, answer = self.as_taa('PUT', '/audit/tac', {'nonce': nonce, 'tac': base64.b64encode(tac).decode()})
        assert status == 200, answer
        return answer['verdict'], answer['reason']

    def audited_at(self, port):
        """From its next start on taad looks for tsu-1 at this port."""
        self.edit('taad', (r'^audit = "127\.0\.0\.1:\d+"', f'audit = "127.0.0.1:{port}"'))

    def audit_now(self, ok=0, configuration='taad.toml'):
        """One audit of tsu-1, while taad is down; what it reports."""
        return json.loads(run(BIN / 'taad', '--config', self.dir / configuration, '--json', 'audit', 'now', 'tsu-1', ok=(ok,)).out)

    def taa_events(self, kind):
        """The same as events() of the TAA's archive."""
        done = run(BIN / 'tsaudit', '--archive', self.dir / 'taa-archive', 'events', '--kind', kind, '--json', ok=(0, 1))
        return [json.loads(line) for line in done.out.splitlines()]

    def events(self, kind):
        """The archive's events of a kind, parsed."""
        return [json.loads(line) for line in self.tsaudit('events', '--kind', kind, '--json', ok=(0, 1)).out.splitlines()]

    def url(self, path='/'):
        return f'http://127.0.0.1:{self.port}{path}'

    def post(self, body, path='/', content_type=QUERY_TYPE, port=None):
        """(HTTP status, headers, body) of one POST on a connection of its own."""
        connection = http.client.HTTPConnection('127.0.0.1', port or self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request('POST', path, body, {'Content-Type': content_type} if content_type else {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def stamp(self, path='/', **query):
        """The Response to a query (see rfc3161.query)."""
        status, headers, body = self.post(rfc3161.query(**query), path)
        assert status == 200, f'HTTP {status}: {body!r}'
        assert headers['Content-Type'] == REPLY_TYPE, headers['Content-Type']
        return rfc3161.Response(body)

    def load(self, *arguments, log=None):
        """kokuin-load in the background; result() of it ends it."""
        return Load(self, *arguments, log=log or self.dir / 'log' / f'load-{random.randrange(10**9)}.json')

    def tsaudit(self, *arguments, ok=(0,)):
        return run(BIN / 'tsaudit', '--archive', self.dir / 'archive', *arguments, ok=ok)

    def tsactl(self, *arguments, ok=(0,)):
        return run(BIN / 'tsactl', '--config', self.dir / 'tsad.toml', *arguments, ok=ok)

    def trust(self, file, checkpoint=None, taa=False):
        """A trust file for this archive, or the TAA's, with the log key that its newest event names."""
        key = (self.taa_events if taa else self.events)('archive.key')[-1]['fields']['verifier']
        lines = {'log_keys': [key], 'anchors': [str(self.root())], 'certificates': [str(self.chain()), str(self.dir / 'pki/taa.pem')]}
        if checkpoint:
            lines['checkpoint'] = str(checkpoint)
        file.write_text(''.join(f'{name} = {json.dumps(value)}\n' for name, value in lines.items()))
        return file

    def verify(self, *arguments):
        """tsaudit verify --json of the whole archive, against the demo's anchors; it must find nothing."""
        done = self.tsaudit('verify', '--json', '--trust', self.trust(self.dir / 'trust.toml'), *arguments, ok=(0, 1))
        report = json.loads(done.out)
        assert report['ok'] and done.returncode == 0, report['problems'][:5]
        return report

    def compare(self, saved=os.devnull):
        """kokuin-compare: every token of a --save file against the archive, its signature and path, and all serials of the archive."""
        done = run(BIN / 'kokuin-compare', '--archive', self.dir / 'archive', '--saved', saved, '--anchors', self.root(),
                   '--certificates', self.chain(), ok=(0, 1), seconds=300)
        return json.loads(done.out)

    def root(self):
        return self.dir / 'pki/root.pem'

    def chain(self):
        return self.dir / 'pki/chain.pem'


class Load(Program):
    def __init__(self, demo, *arguments, log):
        arguments = [str(a) for a in arguments]
        if '--url' not in arguments:
            arguments += ['--url', demo.url()]
        super().__init__(BIN / 'kokuin-load', *arguments, log=log)

    def result(self, end=True, seconds=120):
        """Its JSON; with end=False it runs to its own end first."""
        if end:
            self.process.terminate()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f'kokuin-load does not end; {self.tail()}')
        assert self.process.returncode in (0, 1), self.tail()
        return json.loads(self.written())


class Relay:
    """Passes the octets of TCP connections on to a port; what goes one way arrives late, or changed."""

    def __init__(self, port):
        self.to = port
        self.change = lambda way, piece: piece
        self.base = {'there': 0.0, 'back': 0.0}  # seconds, at least
        self.jitter = {'there': 0.0, 'back': 0.0}  # up to so much more
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def delay(self, way='there', base=0.0, jitter=0.0):
        """From now on only this way is late."""
        self.base, self.jitter = {'there': 0.0, 'back': 0.0, way: base}, {'there': 0.0, 'back': 0.0, way: jitter}

    def close(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connection, args=(client,), daemon=True).start()

    def _connection(self, client):
        with client, socket.create_connection(('127.0.0.1', self.to)) as server:
            for s in (client, server):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=self._pass, args=('back', server, client), daemon=True)
            back.start()
            self._pass('there', client, server)
            back.join()

    def _pass(self, way, source, sink):
        # In an exchange there is one piece on its way at a time, so the one that waits keeps no other waiting.
        try:
            while piece := source.recv(65536):
                late = self.base[way] + random.uniform(0, self.jitter[way])
                if late:
                    time.sleep(late)
                sink.sendall(self.change(way, piece))
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Nts:
    """A certificate for 127.0.0.13 under a root of its own: what a time server needs to offer NTS (RFC 8915)."""

    def __init__(self, folder, port):
        self.folder, self.port = pathlib.Path(folder), port
        openssl = lambda *words: run('openssl', *words, cwd=folder)
        openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'nts-root.key', '-out', 'nts-root.pem',
                '-subj', '/CN=NTS root', '-days', '2')
        openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'nts.key', '-out', 'nts.pem', '-subj', '/CN=NTS',
                '-days', '2', '-CA', 'nts-root.pem', '-CAkey', 'nts-root.key', '-addext', 'subjectAltName=IP:127.0.0.13',
                '-addext', 'basicConstraints=critical,CA:FALSE')
        self.root = self.folder / 'nts-root.pem'

    def server(self):
        return (f'ntsport {self.port}\nntsservercert {self.folder}/nts.pem\nntsserverkey {self.folder}/nts.key\n'
                f'ntsdumpdir {self.folder}\n')


class TimeServer(Program):
    """A chronyd of its own on 127.0.0.1N that serves this machine's time, or with lie() another one."""

    def __init__(self, folder, number, port, nts=None):
        self.nts = nts
        self.host, self.port, base = f'127.0.0.1{number}', port, pathlib.Path(folder) / f'server{number}'
        self.socket = f'{base}.sock'
        # On one machine a measurement is good to microseconds, and whether intervals so narrow overlap is luck; it is none
        # with a server that claims no better than a quarter of a millisecond, as any over a network.
        base.with_suffix('.conf').write_text(
            f'local stratum 2\nclockprecision 0.0002\nallow 127.0.0.0/8\nbindaddress {self.host}\nport {port}\ncmdport 0\n'
            f'bindcmdaddress {self.socket}\npidfile {base}.pid\n' + (nts.server() if nts else ''))
        user = pwd.getpwuid(os.geteuid()).pw_name
        super().__init__(CHRONY / 'usr/sbin/chronyd', '-x', '-d', '-U', '-u', user, '-f', f'{base}.conf',
                         log=f'{base}.log', ready=lambda: self.answers('tracking'))

    def answers(self, *words):
        return run(CHRONY / 'usr/bin/chronyc', '-h', self.socket, *words, ok=None).returncode == 0

    def lie(self, seconds):
        """It is ahead by so much more from now on."""
        assert self.answers('doffset', str(seconds))


class UnevenPath:
    """In front of a TimeServer: what is sent to 127.0.0.2N arrives there this much later, and comes back at once. An honest
    server looks up to half of that ahead, and says so: its interval ends just at the truth."""

    def __init__(self, server, seconds):
        self.server, self.seconds = server, seconds
        self.host, self.port, self.nts = f'127.0.0.2{server.host[-1]}', server.port, None
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((self.host, self.port))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                request, client = self.socket.recvfrom(2048)
            except OSError:
                return
            threading.Thread(target=self._one, args=(request, client), daemon=True).start()

    def _one(self, request, client):
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
            time.sleep(self.seconds)
            way.settimeout(2)
            way.sendto(request, (self.server.host, self.server.port))
            self.socket.sendto(way.recv(2048), client)

    def close(self):
        self.socket.close()


def reference(servers, nts=True, **keys):
    """The table [reference] of a configuration, with these time servers; by NTS those that offer it, if `nts`."""
    table = {'chronyd': str(CHRONY / 'usr/sbin/chronyd'), 'chronyc': str(CHRONY / 'usr/bin/chronyc'),
             'servers': [f'{server.host}:{server.port}' for server in servers if not (nts and server.nts)]}
    for server in servers:
        if nts and server.nts:
            table |= {'nts_servers': [f'{server.host}:{server.nts.port}'], 'nts_ca': str(server.nts.root)}
    table |= keys
    return '\n[reference]\n' + ''.join(f'{key} = {json.dumps(value)}\n' for key, value in table.items())


class Saved:
    """The records of a kokuin-load --save file."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.whole = 0  # octets of records that are there whole

    def size(self):
        """Where the last whole record ends: what is written next begins there, whatever is in the file of it already."""
        if self.path.exists():
            with open(self.path, 'rb') as file:
                file.seek(self.whole)
                data = file.read()
            at = 0
            while at + 4 <= len(data) and at + 4 + (length := struct.unpack_from('>I', data, at)[0]) <= len(data):
                at += 4 + length
            self.whole += at
        return self.whole

    def records(self, from_octet=0):
        """Yields (kind, sent ns, received ns, imprint, body); a record that is still being written is left out."""
        if not self.path.exists():
            return
        with open(self.path, 'rb') as file:
            file.seek(from_octet)
            data = file.read()
        at = 0
        while at + 4 <= len(data):
            length = struct.unpack_from('>I', data, at)[0]
            if at + 4 + length > len(data):
                return
            kind, sent, received = struct.unpack_from('>BQQ', data, at + 4)
            yield kind, sent, received, data[at + 21:at + 53], data[at + 53:at + 4 + length]
            at += 4 + length


class TestCase(unittest.TestCase):
    """One folder per class; setUpClass makes a demo there unless `demo_wanted` is False."""
    demo_wanted = True
    archives_untouched = True  # False: its test damages them
    demo = None

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix='kokuin-test-'))
        cls.addClassCleanup(cls._clean_up)
        if cls.demo_wanted:
            cls.demo = Demo(cls.folder / 'demo')

    @classmethod
    def tearDownClass(cls):
        """Whatever its test did to the servers, their clocks, keys and disks: nobody has touched the demo's archives."""
        if not cls.demo or not cls.archives_untouched:
            return
        cls.demo.stop()
        for archive in ('archive', 'taa-archive'):
            done = run(BIN / 'tsaudit', '--archive', cls.demo.dir / archive, 'verify', ok=(0, 1))
            assert done.returncode == 0, done.out
        if cls.demo.events('archive.key'):
            cls.demo.verify()

    @classmethod
    def _clean_up(cls):
        if cls.demo:
            for program in (cls.demo.tsad, cls.demo.taad):
                if program and program.alive():
                    program.kill()
        if not os.environ.get('KOKUIN_KEEP'):
            shutil.rmtree(cls.folder, ignore_errors=True)

    def set_clock(self, offset):
        """From its return on every reading of the wall clock of a program started with faked() is off by this much."""
        new = self.folder / 'faketime.new'
        new.write_text(offset + '\n')
        os.rename(new, self.folder / 'faketime')

    def faked(self):
        """The environment of a program whose wall clock set_clock() sets."""
        return {'LD_PRELOAD': FAKETIME, 'FAKETIME_TIMESTAMP_FILE': str(self.folder / 'faketime'),
                'DONT_FAKE_MONOTONIC': '1', 'FAKETIME_NO_CACHE': '1'}

    def faked_with_chrony(self):
        """The same of a program that starts a chronyd: that one's clock is off by as much."""
        env = self.faked()
        return {**env, 'LD_PRELOAD': f'{FAKETIME}:{BIN}/kokuin-userland-stamps.so'}

    def started(self, program):
        """Registers a background program to be ended with the test."""
        self.addCleanup(lambda: program.alive() and program.kill())
        return program


def main():
    # A test's first failure often explains the others: stop there, and say how long each took.
    sys.stdout.reconfigure(line_buffering=True)
    unittest.main(verbosity=2, failfast=True)
