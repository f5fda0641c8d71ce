"""Processes that write and read while something happens to the servers, and what must be true of what they saw."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

from sqlitedict_kv import Namespace, NotConfirmedError, OutcomeUnknownError, Store
from sqlitedict_kv.engines.valkey.client.redis_py import LostError
from sqlitedict_kv.engines.valkey.client.retry import Retry
from tests.faults.crew import Crew, Voice

NAMESPACE = "ns"
OWN_KEYS = 5  # of each writer
SHARED_KEYS = ("shared 0", "shared 1", "shared 2")
WARM = 20  # rounds of each process before anything happens to the servers
UNKNOWN = (OutcomeUnknownError, NotConfirmedError)


class Told(NamedTuple):
    """What a writer saw."""

    number: int
    written: list[tuple[str, int, Any]]  # key, version, value of the writes that were acknowledged, in their order
    counted: int  # calls of incr that were acknowledged
    listed: list[str]  # what was appended by calls of modify that were acknowledged
    added: list[str]
    refused: list[str]  # keys that nobody else adds, of which add() said that they are there
    unknown: Counter[str]  # calls by their verb of which it is not known whether they were done
    outage: float  # the longest time between two acknowledged calls, in seconds


class Writer:
    """Makes calls and notes what came of them."""

    def __init__(self, ns: Namespace, number: int) -> None:
        self.ns = ns
        self.told = Told(number, [], 0, [], [], [], Counter(), 0.0)
        self.counted = 0
        self.outage = 0.0
        self._last = time.monotonic()

    def attempt(self, call, *arguments, **options):
        """Return what a verb of the namespace returns, None if nobody knows whether it was done."""
        try:
            answer = getattr(self.ns, call)(*arguments, **options)
        except UNKNOWN:
            self.told.unknown[call] += 1
            return None
        now = time.monotonic()
        self.outage, self._last = max(self.outage, now - self._last), now
        return answer

    def set(self, key, value):
        """Write one entry whatever is there."""
        if version := self.attempt("set", key, value):
            self.told.written.append((key, version, value))

    def turn(self, turn):
        """Make one call of each kind."""
        told, mark = self.told, f"{self.told.number}-{turn}"
        self.set(f"own {told.number} {turn % OWN_KEYS}", turn)
        self.set(SHARED_KEYS[turn % len(SHARED_KEYS)], mark)
        self.counted += self.attempt("incr", "count") is not None
        if turn % 4 == 0 and self.attempt("modify", "list", lambda old: [*old, mark], default=[]):  # its value grows
            told.listed.append(mark)
        before = told.unknown.total()
        added = self.attempt("add", f"added {mark}", mark, ttl=3600 if turn % 2 else None)
        if added or told.unknown.total() == before:
            (told.added if added else told.refused).append(f"added {mark}")
        several = {f"own {told.number} {number}": f"several {turn}" for number in range(OWN_KEYS)}
        versions = self.attempt("set_many", several) or {}
        told.written.extend((key, version, several[key]) for key, version in versions.items())


def write(voice: Voice, url: str, options: dict[str, Any], number: int) -> None:
    """Write until told to stop."""
    with Store(url, **options) as store:
        writer = Writer(store.ns(NAMESPACE), number)
        turn = 0
        while not voice.is_spoken_to():
            writer.turn(turn)
            turn += 1
            if turn == WARM:
                voice.say("warm")
        voice.hear()
        # Once more, so that the load does not end before the servers are there again.
        for key in (f"own {number} 0", *SHARED_KEYS):
            writer.set(key, "last")
    voice.say(writer.told._replace(counted=writer.counted, outage=writer.outage))


class Read(NamedTuple):
    """What a reader saw that must not be."""

    wrong: list[str]
    rounds: int


def read(voice: Voice, url: str, options: dict[str, Any], lasting: dict[str, Any]) -> None:
    """Read until told to stop; the entries of *lasting* are there all the time and nobody changes them."""
    wrong: list[str] = []
    turn = 0
    names = list(lasting)
    prefix = names[0][:4]

    def expect(what, got, wanted):
        if got != wanted and len(wrong) < 10:
            wrong.append(f"{what}: {got!r} instead of {wanted!r}")

    with Store(url, **options) as store:
        ns = store.ns(NAMESPACE)
        while not voice.is_spoken_to():
            name = names[turn % len(names)]
            expect("get", ns.get(name), lasting[name])
            expect("absent", ns.get(f"absent {turn}"), None)
            expect("get_many", ns.get_many(names), lasting)
            expect("list", list(ns.list(prefix).keys), sorted(names))
            expect("scan", {key: entry.value for key, entry in ns.scan(prefix)}, lasting)
            turn += 1
            if turn == WARM:
                voice.say("warm")
        voice.hear()
    voice.say(Read(wrong, turn))


class Load:
    """Writers and readers in processes of their own, for as long as a `with` block; then `told` is what they saw."""

    def __init__(self, url, *, writers=3, readers=0, lasting=None, **options):
        self._stack = ExitStack()
        self._start = url, options, writers, readers, lasting
        self.told: list[Told] = []
        self.wrong: list[str] = []

    def __enter__(self):
        url, options, writers, readers, lasting = self._start
        crew = self._stack.enter_context(Crew())
        with ExitStack() as guard:
            guard.callback(self._stack.close)
            self._writers = [crew.start(write, url, options, number) for number in range(writers)]
            self._readers = [crew.start(read, url, options, lasting) for _ in range(readers)]
            for hand in (*self._writers, *self._readers):
                assert hand.hear() == "warm"
            guard.pop_all()
        return self

    def __exit__(self, kind, error, traceback):
        with self._stack:
            if kind is None:
                for hand in (*self._writers, *self._readers):
                    hand.say("stop")
                self.told = [hand.hear() for hand in self._writers]
                self.wrong = [text for hand in self._readers for text in hand.hear().wrong]

    @property
    def unknown(self):
        """How many calls there are of which it is not known whether they were done, by their verb."""
        return sum((told.unknown for told in self.told), Counter())

    @property
    def outage(self):
        """The longest time that a writer waited for an acknowledged write, in seconds."""
        return max(told.outage for told in self.told)

    def assert_nothing_was_lost_or_done_twice(self, url, **options):
        """Compare what the writers saw with each other, and with what the servers have now."""
        with Store(url, **options) as store:
            ns = store.ns(NAMESPACE)
            entries = dict(ns.scan())
            assert sorted(entries) == list(ns.list(limit=100_000).keys)
            assert len(ns) == len(entries)
        assert_versions_grow(self.told)
        unknown = self.unknown
        last = {}
        for told in self.told:
            for key, version, value in told.written:
                if version > last.get(key, (0, None))[0]:
                    last[key] = version, value
        for key, (version, value) in last.items():
            now = entries[key].meta.version, entries[key].value
            assert now[0] >= version, f"{key!r}: {version} was acknowledged, and {now} is there"
            if not unknown["set"] + unknown["set_many"]:
                assert now == (version, value), key

        counted = sum(told.counted for told in self.told)
        assert counted <= entries["count"].value <= counted + unknown["incr"]

        listed = [mark for told in self.told for mark in told.listed]
        found = Counter(entries["list"].value)
        assert set(found.values()) == {1}, "a modify was done twice"
        assert set(listed) <= set(found)
        assert len(found) <= len(listed) + unknown["modify"]

        assert [key for told in self.told for key in told.refused] == [], "add() took its own entry for another one's"
        added = [key for told in self.told for key in told.added]
        assert set(added) <= set(entries)
        assert sum(key.startswith("added ") for key in entries) <= len(added) + unknown["add"]


def assert_versions_grow(tolds):
    """Check that each process saw versions of a key grow, and that no version of it was given twice."""
    given = defaultdict(list)
    for told in tolds:
        seen = {}
        for key, version, _ in told.written:
            assert version > seen.get(key, 0), f"{key!r}: {version} after {seen[key]}"
            seen[key] = version
            given[key].append(version)
    for key, versions in given.items():
        assert len(set(versions)) == len(versions), f"a version of {key!r} was given twice"


@contextmanager
def hurried(client, seconds=0.4):
    """Let the calls of a store or of a link, none of which is answered, give up soon.

    Outside of the block they have the time that calls need on a busy machine.
    """
    link = getattr(getattr(client, "sync_store", client), "_engine", client)
    link = getattr(link, "_link", link)
    with patch.object(link, "_timeout", seconds):
        yield


@contextmanager
def giving_up(refusals=3):
    """Let a call give up when servers refused it a number of times, however long that takes them."""
    pause = Retry._pause

    def count(retry, error):
        if not isinstance(error, LostError):
            retry.refusals = getattr(retry, "refusals", 0) + 1
            if retry.refusals == refusals:
                retry._give_up(error)
        pause(retry, error)

    with patch.object(Retry, "_pause", count):
        yield
