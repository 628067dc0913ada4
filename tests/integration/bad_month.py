"""The archive of a demo that had a bad month and a quiet one, for the tests of what auditors ask."""
import contextlib
import datetime
import json
import sqlite3
import time

import harness
from harness import until

ISSUED, LATER = 22, 3  # tokens until the bad month's end (scripts/demo stamps the first, maybe a month before), and in the next


def us(text):
    """Microseconds of an RFC 3339 time."""
    whole, _, fraction = text.rstrip('Z').partition('.')
    time = datetime.datetime.fromisoformat(whole).replace(tzinfo=datetime.timezone.utc)
    return int(time.timestamp()) * 10**6 + int((fraction + '000000')[:6])


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


class BadMonth(harness.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        demo = cls.demo
        demo.audit_often()
        cls.set_clock(cls, '+0')
        demo.start(env=cls.faked(cls))
        for _ in range(12):
            demo.stamp()
        # It ends without a word, and starts again.
        demo.tsad.kill()
        demo.start_tsad(env=cls.faked(cls))
        demo.wait_ready()
        for _ in range(4):
            demo.stamp('/tsa/g')
        # Refused, in three ways.
        for _ in range(3):
            demo.stamp(policy='1.2.3')
        demo.post(b'nothing')
        demo.deliver(bytes.fromhex(demo.events('tac.accepted')[0]['fields']['tac']))
        # The clock goes wrong, is ordered to stop, and is put right.
        cls.audited('+1.5', 'tac.stop')
        demo.taad.stop()  # or it orders so again
        until(lambda: any(event['fields']['cause'] == 'order-to-stop' for event in demo.events('gate.closed')), 'the gate is seen closed', 20)
        for _ in range(2):
            demo.stamp()
        cls.audited('+0', 'tac.accepted')
        # What comes after the order has a later time than it.
        until(lambda: time.time() * 10**6 > us(demo.events('tac.stop')[0]['at']), 'the wrong clock is caught up with', 20)
        demo.wait_ready()
        demo.tsactl('key', 'generate', 'spare', '--why', 'a test', '--by', 'operator 1')
        for _ in range(5):
            demo.stamp()
        demo.stop()
        cls.month = demo.events('server.started')[-1]['at'][:7]
        cls.every = lines(demo.tsaudit('find', '--json').out)
        cls.tokens = [token for token in cls.every if token['gen_time'].startswith(cls.month)]
        cls.all_events = lines(demo.tsaudit('events', '--json').out)
        cls.of_month = [event for event in cls.all_events if event['at'].startswith(cls.month)]
        cls.database = cls.folder / 'archive.sqlite'
        demo.tsaudit('export', '--format', 'sqlite', '-o', cls.database)
        cls.trust = demo.trust(cls.folder / 'trust.toml')
        # Another month, in a segment of its own.
        cls.set_clock(cls, '+33d')
        cls.both_start()
        for _ in range(LATER):
            demo.stamp()
        demo.stop()
        cls.later = lines(demo.tsaudit('find', '--json').out)[ISSUED:]
        cls.next_month = cls.later[0]['gen_time'][:7]

    @classmethod
    def both_start(cls):
        """TSA and TAA, by the clock that was set."""
        cls.demo.start_tsad(env=cls.faked(cls))
        cls.demo.start_taad(env=cls.faked(cls))
        cls.demo.wait_ready()

    @classmethod
    def audited(cls, clock, kind):
        """An audit of the clock that was set so, with this outcome."""
        demo = cls.demo
        if demo.taad.alive():
            demo.taad.stop()
        cls.set_clock(cls, clock)
        before = len(demo.events(kind))
        demo.start_taad()
        until(lambda: len(demo.events(kind)) > before, lambda: f'{kind}: {demo.tsad.tail()}')

    def report(self, *words, ok=(0,)):
        return self.demo.tsaudit('report', '--month', self.month, *words, ok=ok)

    def rows(self, query):
        with contextlib.closing(sqlite3.connect(f'file:{self.database}?mode=ro', uri=True)) as database:
            return database.execute(query).fetchall()

    def of_kind(self, kind):
        return [event for event in self.of_month if event['kind'] == kind]
