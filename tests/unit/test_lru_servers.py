"""The LRU in front of servers: what it serves, how soon it knows of what others write, and when it serves nothing."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import threading
import time
from collections import defaultdict
from contextlib import ExitStack, closing
from threading import Event, Thread

import pytest
import redis

from sqlitedict_kv import AsyncStore, Store, StoreClosedError
from sqlitedict_kv.engines.valkey.client.connect import connect
from sqlitedict_kv.engines.valkey.engine import ValkeyEngine
from sqlitedict_kv.lru import STALENESS, InvalidatedLRU, NotHeldError
from tests.conftest import ON_SERVERS, redis_binary, valkey_binary
from tests.engines.valkey.load import hurried
from tests.support.processes import Worker, forked
from tests.support.servers import until

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning"),  # of a fork beside threads
]
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
SOON = 0.005  # seconds between two questions, so that no test waits long for a proof


@pytest.fixture(params=ON_SERVERS)
def engine(request):
    return request.param


@pytest.fixture
def open_at(make_store):
    """Open stores with an LRU."""
    return lambda url, **options: quick(make_store(url, lru_bytes="1 MB", **options))


@pytest.fixture
def store(open_at, where):
    return open_at(where)


@pytest.fixture
def other(make_store, where):
    """Another store on the same servers, which tells the first nothing itself."""
    return make_store(where)


@pytest.fixture(params=["valkey", "redis"])
def binary(request):
    return valkey_binary() if request.param == "valkey" else redis_binary()


class Clock:
    """A monotonic clock that stands still until it is moved."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def ticks():
    return Clock()


@pytest.fixture
def cached(ticks):
    """Make an engine with an LRU in front of it, whose clock the test moves."""
    with ExitStack() as stack:

        def make(url, staleness=None):
            engine = stack.enter_context(closing(ValkeyEngine(connect(url, timeout=20))))
            return engine, InvalidatedLRU(engine, 1_000_000, staleness, clock=ticks)

        yield make


def quick(store):
    store._engine._tracking._interval = SOON
    return store


def lru_of(store):
    return store._context.lru.stats()


def warmed(ns, *keys):
    """Read keys until the LRU holds them; return what was read last."""
    for _ in range(2):
        found = [ns.get(key) for key in keys]
    return found


def is_held(store, ns, key):
    """Whether a read of the key is served by the LRU."""
    before = lru_of(store).hits
    ns.get(key)
    return lru_of(store).hits == before + 1


def informed(store):
    """Wait until all that was acknowledged before this call has been told, as the next proof says."""
    informed_core(store._context)


def informed_core(core):
    begun = core.lru.clock()
    until(lambda: core.lru._until > begun + STALENESS, "a proof")


def told_of(store):
    """Wait until somebody tells it of changes."""
    until(lambda: store._context.lru._until > store._context.lru.clock(), "hits")


class Interrupted:
    """Stands before an engine and calls a hook once, when a value was read and before the LRU has it."""

    def __init__(self, store, hook):
        self._engine, self._hook, self._lru = store._context.lru._engine, hook, store._context.lru
        self._lru._engine = self

    def read_value(self, namespace, key):
        found = self._engine.read_value(namespace, key)
        self._lru._engine = self._engine
        self._hook()
        return found

    def __getattr__(self, name):
        return getattr(self._engine, name)


def in_thread(work):
    """Call *work* in another thread and wait for its end."""
    failures = []

    def run():
        try:
            work()
        except BaseException as error:
            failures.append(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive(), "the thread hangs"
    if failures:
        raise failures[0]


# -- what it serves


def test_the_second_read_is_served_from_memory(store):
    n = store.ns("n")
    n["k"] = {"a": [1]}
    told_of(store)
    informed(store)
    assert warmed(n, "k") == [{"a": [1]}]
    assert is_held(store, n, "k")
    assert lru_of(store).entries == 1
    n["k"]["a"].clear()
    assert n["k"] == {"a": [1]}


def test_it_is_off_by_default(other):
    assert other._context.lru is None
    assert other._engine._tracking is None


def test_expiry_is_seen_by_a_hit(store, clock):
    n = store.ns("n")
    n.set("k", 1, ttl=10)
    informed(store)
    assert warmed(n, "k") == [1]
    clock.advance(9.999)
    assert is_held(store, n, "k")
    clock.advance(0.001)
    assert n.get("k") is None


OWN_WRITES = {
    "set": (lambda s, n: n.set("k", "new"), "new"),
    "delete": (lambda s, n: n.delete("k"), None),
    "pop": (lambda s, n: n.pop("k"), None),
    "popitem": (lambda s, n: n.popitem(), None),
    "cas_set": (lambda s, n: n.cas_set("k", "new", n.get_with_meta("k").meta.version), "new"),
    "modify": (lambda s, n: n.modify("k", lambda old: old + 1), 2),
    "incr": (lambda s, n: n.incr("k"), 2),
    "touch": (lambda s, n: n.touch("k", 0.001), 1),
    "update": (lambda s, n: n.update(k="new"), "new"),
    "set_many": (lambda s, n: n.set_many({"k": "new"} | {str(i): i for i in range(300)}), "new"),
    "delete_many": (lambda s, n: n.delete_many(["k", "absent"]), None),
    "clear": (lambda s, n: n.clear(), None),
    "drop": (lambda s, n: s.drop("n"), None),
    "atomic": (lambda s, n: _atomically(s), "new"),
}


def _atomically(store):
    with store.atomic() as transaction:
        transaction.ns("n").check("absent", 0) if store.capabilities.atomic_across_namespaces else None
        transaction.ns("n")["k"] = "new"


@pytest.mark.parametrize("name", OWN_WRITES)
def test_an_own_write_is_seen_by_the_next_read_of_any_thread(store, name):
    n = store.ns("n")
    write, expected = OWN_WRITES[name]
    n["k"] = 1
    told_of(store)
    assert warmed(n, "k") == [1]
    write(store, n)
    found = []
    in_thread(lambda: found.append(n.get("k")))
    assert found == [expected]
    assert warmed(n, "k") == [expected]


def test_an_own_write_of_which_nobody_knows_whether_it_was_done_is_forgotten(store):
    n = store.ns("n")
    n["k"] = 1
    informed(store)
    warmed(n, "k")
    link = store._engine._link
    one = link.one

    def lost(call):
        one(call)
        if call.writes:
            raise ConnectionError("the answer was lost")

    link.one = lost
    try:
        with pytest.raises(ConnectionError):
            n["k"] = 2
    finally:
        link.one = one
    assert n["k"] == 2


# -- what others write

VERBS = """
store = Store(sys.argv[1], clock=lambda: float(sys.argv[2]))
n = store.ns("n")
def atomic():
    with store.atomic() as transaction:
        transaction.ns("n")["k"] = "atomic"
say("ready")
while line := hear():
    eval(line)
    say("done")
"""
LINES = {
    "n.set('k', 2)": 2,
    "n.delete('k')": None,
    "n.set('k', 3, ttl=9)": 3,
    "n.touch('k', 9000)": 3,
    "n.incr('k')": 4,
    "n.modify('k', lambda old: old + 1)": 5,
    "n.cas_set('k', 6, n.get_with_meta('k').meta.version)": 6,
    "n.pop('k')": None,
    "n.set_many({'k': 7, 'l': 7})": 7,
    "n.set_many({'k': 8} | {str(number): 0 for number in range(300)})": 8,
    "n.delete_many(['k'] + [str(number) for number in range(300)])": None,
    "atomic()": "atomic",
    "n.clear()": None,
    "n.set('k', 9)": 9,
    "store.drop('n')": None,
    "n.setdefault('k', 11)": 11,
    "n.set('k', 12, ttl=0.001)": 12,
}


def test_every_verb_of_another_process_is_seen_after_the_next_proof(store, where, clock):
    n = store.ns("n")
    n["k"] = 1
    told_of(store)
    with Worker(VERBS, where, clock()) as worker:
        assert worker.hear() == "ready"
        for line, expected in LINES.items():
            warmed(n, "k", "other")
            worker.say(line)
            assert worker.hear() == "done"
            informed(store)
            assert n.get("k") == expected, line
            assert warmed(n, "k") == [expected], line
        worker.say("")
        worker.finish()


def test_a_busy_store_does_not_keep_it_from_holding_what_nobody_touches(store, other):
    n = store.ns("n")
    n["k"] = 1
    told_of(store)
    informed(store)
    Interrupted(store, lambda: (other.ns("n").set("l", 1), informed(store)))
    assert n["k"] == 1
    assert is_held(store, n, "k")
    other.ns("n")["l"] = 2
    other.ns("m")["k"] = 2
    informed(store)
    assert is_held(store, n, "k")


@pytest.mark.parametrize("change", ["set", "delete"])
def test_a_value_that_another_store_changes_between_its_read_and_the_fill_is_not_held(store, other, change):
    n = store.ns("n")
    n["k"] = "old"
    informed(store)

    def hook():
        other.ns("n")["k"] = "new"
        if change == "delete":
            del other.ns("n")["k"]
        informed(store)

    Interrupted(store, hook)
    assert n["k"] == "old"  # it began before the change
    assert n.get("k") == (None if change == "delete" else "new")


def test_a_value_that_another_thread_changes_between_its_read_and_the_fill_is_not_held(store):
    n = store.ns("n")
    n["k"] = "old"
    informed(store)
    Interrupted(store, lambda: in_thread(lambda: n.set("k", "new")))
    assert n["k"] == "old"
    assert n["k"] == "new"


def test_once_a_new_value_was_read_none_that_is_older_is_served(store, other):
    """One thread reads before the change and is slow; another one reads after it. The change is not told yet."""
    n = store.ns("n")
    n["k"] = "old"
    informed(store)
    lru = store._context.lru
    with silenced(store):
        read = []

        def hook():
            other.ns("n")["k"] = "new"
            in_thread(lambda: read.append(n["k"]))

        Interrupted(store, hook)
        assert n["k"] == "old"
        assert read == ["new"]
        assert n["k"] == "new"
        # The other way round: what is slow is the read of the new value, and an old one was held meanwhile.
        InvalidatedLRU.forget(lru, None)
        engine, steps = lru._engine, iter(range(2))

        class Old:
            def read_value(self, namespace, key):
                found = engine.read_value(namespace, key)
                if next(steps) == 0:
                    in_thread(lambda: read.append(n["k"]))
                    return found
                return (b'"old"', *found[1:])

            def __getattr__(self, name):
                return getattr(engine, name)

        lru._engine = Old()
        assert n["k"] == "new"
        lru._engine = engine
        assert read == ["new", "old"]
        assert n["k"] == "new"


class Scripted:
    """An engine whose reads go on when the test says so, and with what it says."""

    detours = 0

    def __init__(self):
        self.reads = []

    def subscribe(self, memory, staleness):
        memory.begin()
        memory.extend(float("inf"))
        return self

    def read_value(self, namespace, key):
        entered, go_on, value = self.reads.pop(0)
        entered.set()
        assert go_on.wait(20)
        return value, "", None, None

    def expect(self, value):
        """Return what is set when the next read is under way, and what lets it go on."""
        entered, go_on = Event(), Event()
        self.reads.append((entered, go_on, value))
        return entered, go_on


def test_a_slow_read_of_an_old_value_does_not_outlive_the_read_of_a_new_one():
    """Three reads: the first is the last one to be answered by the server, and the third the last one to return."""
    engine = Scripted()
    lru = InvalidatedLRU(engine, 100_000)

    def start(value):
        entered, go_on = engine.expect(value)
        thread = Thread(target=lru.read_value, args=("n", "k"), daemon=True)
        thread.start()
        assert entered.wait(20)
        return lambda: (go_on.set(), thread.join(20))

    first = start(b"new")
    start(b"old")()
    lru.extend(0)  # what is held may not be served for a while
    third = start(b"old")
    first()
    third()
    lru.extend(float("inf"))
    engine.expect(b"new")[1].set()
    assert body(lru.read_value("n", "k")) == b"new"


class silenced:  # noqa: N801
    """Nothing is told to the LRU of a store meanwhile, though hits go on; afterwards it is told again."""

    def __init__(self, store):
        self._lru = store._context.lru

    def __enter__(self):
        self._forget = self._lru.forget
        self._lru.forget = lambda keys: None

    def __exit__(self, *error):
        self._lru.forget = self._forget
        self._lru.forget(None)


def test_a_key_that_is_being_read_by_many_threads_at_once_is_held(store):
    n = store.ns("n")
    n["k"] = 1
    informed(store)
    start = threading.Barrier(8)

    def read():
        start.wait(20)
        for _ in range(20):
            assert n["k"] == 1

    threads = [Thread(target=read, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert is_held(store, n, "k")
    assert lru_of(store).hits > 100


@pytest.mark.parametrize("command", ["FLUSHALL", "FLUSHDB", "DEL", "UNLINK", "RENAME", "PEXPIRE", "SET"])
def test_what_is_done_by_hand_is_seen_after_the_next_proof(start_server, binary, open_at, command):
    server = start_server(binary=binary)
    store = open_at(server.url)
    n = store.ns("n")
    n.update(k=1, l=2)
    informed(store)
    assert warmed(n, "k", "l") == [1, 2]
    k, other = "kv:d{n:0}k", "kv:d{n:0}l"
    arguments = {
        "DEL": [k],
        "UNLINK": [k],
        "RENAME": [other, k],
        "PEXPIRE": [k, 0],
        "SET": [k, server.plain.get(other)],
    }
    server.ask(command, *arguments.get(command, ()))
    informed(store)
    if command in ("RENAME", "SET"):
        with pytest.raises(Exception, match="k"):  # the seal of an entry is good for its own key
            n.get("k")
    else:
        assert n.get("k") is None
        assert n.get("l") == (None if command.startswith("FLUSH") else 2)


def test_a_foreign_write_costs_no_more_than_its_own_keys(store, other):
    n = store.ns("n")
    n.update({str(number): number for number in range(50)})
    informed(store)
    warmed(n, *map(str, range(50)))
    for number in range(10):
        other.ns("n")[str(number)] = -number
    informed(store)
    assert [n[str(number)] for number in range(10)] == [-number for number in range(10)]
    assert all(is_held(store, n, str(number)) for number in range(10, 50))
    assert lru_of(store).invalidations == 0


# -- the bound


def put(engine, value, key="k"):
    engine.put("n", key, value, "application/octet-stream", None, 0)


def settled(lru, ticks, staleness=STALENESS):
    """Wait until the servers told what was written so far, our own writes too: they would take away what is held."""
    ticks.now += staleness / 2
    until(lambda: lru._until == ticks.now + staleness, "a proof")


def body(found):
    return found and found[0]


def test_a_hit_ends_at_the_bound_if_the_server_hangs(start_server, binary, cached, ticks):
    server = start_server(binary=binary)
    engine, lru = cached(server.url)
    put(engine, b"old")
    settled(lru, ticks)
    assert body(lru.read_value("n", "k")) == b"old"
    server.pause()
    try:
        ticks.now += STALENESS * 0.99
        assert body(lru.read_value("n", "k")) == b"old"
        assert body(lru.held_value("n", "k")) == b"old"
        ticks.now += STALENESS * 0.02
        with pytest.raises(NotHeldError):
            lru.held_value("n", "k")
        with hurried(engine), pytest.raises(ConnectionError):  # it asks, and nobody answers
            lru.read_value("n", "k")
    finally:
        server.resume()
    until(lambda: body(lru.read_value("n", "k")) == b"old" and lru.stats().hits > 3, "hits")


def test_a_hit_ends_at_the_bound_if_nobody_listens(start_server, binary, cached, ticks):
    """The thread is held, as by a long call that keeps the interpreter's lock, and another client writes."""
    server = start_server(binary=binary)
    engine, lru = cached(server.url)
    put(engine, b"old")
    settled(lru, ticks)
    lru.read_value("n", "k")
    with engine._tracking._lock:
        step, inside, go_on = engine._tracking.step, Event(), Event()

        def held():
            inside.set()
            go_on.wait(20)
            return step()

        engine._tracking.step = held
    assert inside.wait(20)
    with closing(ValkeyEngine(connect(server.url, timeout=5))) as other:
        put(other, b"new")
    assert body(lru.read_value("n", "k")) == b"old"  # within the bound
    ticks.now += STALENESS * 1.01
    assert body(lru.read_value("n", "k")) == b"new"
    assert body(lru.read_value("n", "k")) == b"new"
    del engine._tracking.step
    go_on.set()


def test_the_bound_is_what_was_asked_for(start_server, cached, ticks):
    server = start_server()
    engine, lru = cached(server.url, 5.0)
    put(engine, b"old")
    settled(lru, ticks, 5.0)
    assert body(lru.read_value("n", "k")) == b"old"
    server.pause()
    try:
        ticks.now += 4.9
        assert body(lru.held_value("n", "k")) == b"old"
        ticks.now += 0.2
        with pytest.raises(NotHeldError):
            lru.held_value("n", "k")
    finally:
        server.resume()


def test_a_time_that_is_moved_on_while_a_hit_looks_for_its_entry_is_not_that_of_the_hit(start_server, cached, ticks):
    """The entry that it found was taken away just then, by the news that the new time stands for."""
    engine, lru = cached(start_server().url)
    put(engine, b"old")
    settled(lru, ticks)
    lru.read_value("n", "k")
    held = lru._held
    ticks.now += STALENESS

    def slow(name):
        entry = held(name)
        lru.forget([name])
        lru.extend(ticks.now + STALENESS)
        return entry

    lru._held = slow
    with pytest.raises(NotHeldError):
        lru.held_value("n", "k")
    lru._held = held
    lru.read_value("n", "k")
    lru._held = slow
    before = lru.stats().misses
    lru._until = ticks.now
    lru.read_value("n", "k")
    assert lru.stats().misses == before + 1


# -- without anybody who tells


@pytest.fixture
def silent_url(start_server, binary):
    """A server that tells this user of nothing."""
    server = start_server(binary=binary)
    server.ask("ACL", "SETUSER", "ada", "on", "nopass", "~*", "&*", "+@all", "-client|tracking")
    return server.url.replace("://", "://ada:x@")


def test_a_server_that_tells_nothing_has_an_lru_that_holds_nothing(silent_url, cached):
    engine, lru = cached(silent_url)
    put(engine, b"1")
    for _ in range(3):
        assert body(lru.read_value("n", "k")) == b"1"
    with pytest.raises(NotHeldError):
        lru.held_value("n", "k")
    assert lru.stats()[:3] == (0, 3, 0)
    assert any("tracking" in line for line in engine.probe())


def test_by_time_alone_an_entry_is_served_for_as_long_as_was_allowed(silent_url, cached, ticks):
    engine, lru = cached(silent_url, 2.0)
    put(engine, b"old")
    with closing(ValkeyEngine(connect(silent_url, timeout=5))) as other:
        assert body(lru.read_value("n", "k")) == b"old"
        put(other, b"new")
        ticks.now += 1.99
        assert body(lru.read_value("n", "k")) == b"old"
        assert body(lru.held_value("n", "k")) == b"old"
        ticks.now += 0.01
        with pytest.raises(NotHeldError):
            lru.held_value("n", "k")
        assert body(lru.read_value("n", "k")) == b"new"
        put(other, b"newer")
        ticks.now += 1.99
        assert body(lru.read_value("n", "k")) == b"new"
        ticks.now += 0.01
        assert body(lru.read_value("n", "k")) == b"newer"
    put(engine, b"own")
    assert body(lru.read_value("n", "k")) == b"own"


def test_by_time_alone_it_counts_from_before_the_read(silent_url, cached, ticks):
    engine, lru = cached(silent_url, 2.0)
    put(engine, b"old")

    class Slow:
        def read_value(self, namespace, key):
            found = engine.read_value(namespace, key)
            ticks.now += 1.5
            return found

    lru._engine = Slow()
    assert body(lru.read_value("n", "k")) == b"old"
    ticks.now += 0.49
    assert body(lru.held_value("n", "k")) == b"old"
    ticks.now += 0.01
    with pytest.raises(NotHeldError):
        lru.held_value("n", "k")


def test_what_was_read_by_time_alone_is_forgotten_when_somebody_tells(start_server, cached, ticks):
    """And what was read on the way from one to the other."""
    server = start_server()
    server.ask("ACL", "SETUSER", "ada", "on", "nopass", "~*", "&*", "+@all", "-client|tracking")
    engine, lru = cached(server.url.replace("://", "://ada:x@"), 2.0)
    put(engine, b"old")
    put(engine, b"old", "l")
    assert body(lru.read_value("n", "k")) == b"old"

    class Slow:
        def read_value(self, namespace, key):
            found = engine.read_value(namespace, key)
            server.ask("ACL", "SETUSER", "ada", "+@all")
            engine._tracking._connect()
            return found

    lru._engine = Slow()
    assert body(lru.read_value("n", "l")) == b"old"
    lru._engine = engine
    assert lru.stats().entries == 0
    lru.read_value("n", "l")
    assert lru.stats().entries == 1


# -- what is lost


def test_a_lost_connection_empties_it_and_the_next_one_begins_anew(start_server, binary, open_at):
    server = start_server(binary=binary)
    store = open_at(server.url)
    n = store.ns("n")
    n.update(k=1, l=1)
    informed(store)
    warmed(n, "k", "l")
    assert lru_of(store).entries == 2
    server.ask("CLIENT", "KILL", "TYPE", "pubsub")
    until(lambda: lru_of(store).invalidations == 1, "the loss")
    assert lru_of(store).entries == 0
    told_of(store)
    assert warmed(n, "k") == [1]
    assert is_held(store, n, "k")


def test_a_read_that_is_under_way_when_the_connection_is_lost_is_not_held(store, other):
    n = store.ns("n")
    n["k"] = "old"
    informed(store)

    def hook():
        store._engine._tracking._lose(ConnectionError("lost"))
        other.ns("n")["k"] = "new"
        told_of(store)

    Interrupted(store, hook)
    assert n["k"] == "old"
    assert n["k"] == "new"


def test_what_is_read_while_nobody_listens_is_not_held(store):
    n = store.ns("n")
    n["k"] = 1
    informed(store)
    tracking = store._engine._tracking
    tracking.close()
    assert warmed(n, "k") == [1]
    assert lru_of(store).entries == 0


def test_a_server_that_was_killed_and_began_anew_is_seen(start_server, binary, open_at):
    server = start_server(binary=binary)
    store = open_at(server.url)
    n = store.ns("n")
    n["k"] = 1
    informed(store)
    warmed(n, "k")
    server.restart()  # it forgot everything
    until(lambda: lru_of(store).invalidations == 1, "the loss")
    assert n.get("k") is None
    n["k"] = 2
    told_of(store)
    assert warmed(n, "k") == [2]
    assert is_held(store, n, "k")


def test_a_closed_store_serves_nothing(store):
    n = store.ns("n")
    n["k"] = 1
    informed(store)
    warmed(n, "k")
    thread = store._engine._tracking._thread
    store.close()
    with pytest.raises(StoreClosedError):
        n.get("k")
    thread.join(20)
    assert not thread.is_alive()


@needs_fork
def test_parent_and_child_read_and_write_after_a_fork(store):
    n = store.ns("n")
    n.update(k=0, l=0)
    informed(store)
    for number in range(1, 4):
        warmed(n, "k", "l")

        def child(number=number):
            assert lru_of(store)[:3] == (0, 0, 0)
            assert warmed(n, "k", "l") == [number - 1, number - 1]
            told_of(store)
            assert warmed(n, "k", "l") == [number - 1, number - 1]
            assert is_held(store, n, "k")
            n["k"] = number
            assert warmed(n, "k", "l") == [number, number - 1]

        assert forked(child) == 0
        informed(store)
        assert n["k"] == number
        n["l"] = number
        assert warmed(n, "k", "l") == [number, number]


@needs_fork
def test_a_child_sees_what_its_parent_writes_later(store):
    n = store.ns("n")
    n["k"] = 0
    informed(store)
    warmed(n, "k")
    ready, go = os.pipe()
    listening, warm = os.pipe()

    def work():
        n.get("k")
        told_of(store)
        assert warmed(n, "k") == [0]
        os.write(warm, b"x")
        os.read(ready, 1)
        informed(store)
        assert n["k"] == 1

    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    os.read(listening, 1)
    n["k"] = 1
    os.write(go, b"x")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    for descriptor in (ready, go, listening, warm):
        os.close(descriptor)


# -- Sentinels and clusters


def test_a_failover_of_sentinels_leaves_nothing_stale(start_replicated, open_at, make_store):
    servers = start_replicated()
    store, other = open_at(servers.url, timeout=60), make_store(servers.url, timeout=60)
    n, m = store.ns("n"), other.ns("n")
    n["k"] = "old"
    informed(store)
    warmed(n, "k")
    servers.primary().kill()
    m["k"] = "new"
    informed(store)
    assert warmed(n, "k") == ["new"]
    assert is_held(store, n, "k")
    m["k"] = "newer"
    informed(store)
    assert n["k"] == "newer"


def test_a_failover_leaves_nothing_stale(start_cluster, open_at, make_store):
    cluster = start_cluster()
    store, other = open_at(cluster.url, timeout=60), make_store(cluster.url, timeout=60)
    n, m = store.ns("n"), other.ns("n")
    n["k"] = "old"
    informed(store)
    warmed(n, "k")
    primary = cluster.node_of_slot(redis.crc.key_slot(b"kv:d{n:0}k"))
    primary.kill()
    m["k"] = "new"  # it waits for the new primary
    informed(store)
    assert n["k"] == "new"
    assert warmed(n, "k") == ["new"]
    assert is_held(store, n, "k")
    m["k"] = "newer"
    informed(store)
    assert n["k"] == "newer"


def test_a_slot_that_moves_leaves_nothing_stale(start_cluster, open_at, make_store):
    """While it moves, a script waits if one of its keys is nowhere; so there it is a plain client that writes."""
    cluster = start_cluster()
    store, other = open_at(cluster.url, timeout=60), make_store(cluster.url, timeout=60)
    n, m = store.ns("n"), other.ns("n")
    key = b"kv:d{n:0}k"
    slot = redis.crc.key_slot(key)
    source = cluster.node_of_slot(slot)
    to = next(node for node in cluster.primaries() if node is not source)
    raws = []
    for value in range(4):
        m["k"] = value
        raws.append(source.plain.get(key))
    informed(store)
    assert warmed(n, "k") == [3]
    assert is_held(store, n, "k")

    migration = cluster.migrate_slot(slot, to)
    migration.begin()
    source.plain.set(key, raws[0])
    informed(store)
    assert warmed(n, "k") == [0]
    while migration.move():
        pass
    informed(store)
    assert warmed(n, "k") == [0]
    client = to.client(single_connection_client=True)
    client.execute_command("ASKING")
    client.set(key, raws[1])
    informed(store)
    assert warmed(n, "k") == [1]
    migration.finish()
    to.plain.set(key, raws[2])
    informed(store)
    assert warmed(n, "k") == [2]
    m["k"] = 4
    informed(store)
    assert warmed(n, "k") == [4]
    assert is_held(store, n, "k")


def test_what_was_read_where_an_ask_led_is_not_held(start_cluster, open_at):
    """A node may own a key before it owns any slot, and then nobody listens to it yet."""
    cluster = start_cluster()
    store = open_at(cluster.url)
    n = store.ns("n")
    n["k"] = 1
    informed(store)
    slot = redis.crc.key_slot(b"kv:d{n:0}k")
    to = next(node for node in cluster.primaries() if node is not cluster.node_of_slot(slot))
    migration = cluster.migrate_slot(slot, to)
    migration.begin()
    while migration.move():
        pass
    informed(store)
    for _ in range(3):
        assert not is_held(store, n, "k")
        assert n["k"] == 1
    migration.finish()
    n.get("k")
    until(lambda: is_held(store, n, "k"), "hits")


# -- tasks


def test_a_hit_of_a_task_takes_no_thread(where):
    async def work():
        async with AsyncStore(where, lru_bytes="1 MB") as store:
            n = store.ns("n")
            await n.set("k", 1)
            core = (await store._lazy.open_for_task()).context
            await asyncio.to_thread(informed_core, core)
            await n.get("k")
            step = n.get("k")
            with pytest.raises(StopIteration) as stopped:
                step.send(None)
            assert stopped.value.value == 1

    asyncio.run(work())


# -- any schedule


class Plan:
    """Who writes what for how long; see test_no_read_is_older_than_the_bound."""

    keys, seconds, staleness = 6, 2.0, 0.05


def write(url, number, start, out):
    """Write growing numbers, each key by one process; tell when each write began and was acknowledged."""
    with Store(url, lru_bytes="1 MB", timeout=30) as store:
        n, dice, count = store.ns("n"), random.Random(number), 0
        writes = []
        start.wait(60)
        end = time.monotonic() + Plan.seconds
        while time.monotonic() < end:
            count += 1
            key = f"{number} {dice.randrange(Plan.keys)}"
            begun = time.monotonic()
            if dice.random() < 0.1:
                n.set_many({key: count, f"{key} too": count})
            else:
                n[key] = count
            writes.append((key, count, begun, time.monotonic()))
            if n.get(key) != count:
                out.put(("failure", f"own write of {key} was not read"))
            time.sleep(dice.random() * 0.004)
        out.put(("writes", writes))


def read(url, number, start, out, deaf):
    """Read as fast as it goes in two threads; tell what each saw and when."""
    with Store(url, lru_bytes="1 MB", lru_staleness=Plan.staleness, timeout=30) as store:
        lru = store._context.lru
        if deaf:
            lru.forget = lambda keys: None
        n = store.ns("n")
        histories = [[], []]

        def work(history):
            dice = random.Random(number)
            end = time.monotonic() + Plan.seconds
            while time.monotonic() < end:
                for _ in range(20):
                    key = f"{dice.randrange(2)} {dice.randrange(Plan.keys)}"
                    begun = time.monotonic()
                    history.append((key, n.get(key, 0), begun, time.monotonic()))
                time.sleep(0.0002)  # else the thread that listens waits for the interpreter's lock

        start.wait(60)
        threads = [Thread(target=work, args=(history,)) for history in histories]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        out.put(("reads", histories))
        out.put(("hits", lru.stats().hits))


def observed(url, *, deaf=False):
    """Return the faults of a run of two writers and two readers, and how many hits there were."""
    context = multiprocessing.get_context("spawn")
    start, out = context.Barrier(4), context.Queue()
    workers = [context.Process(target=write, args=(url, number, start, out), daemon=True) for number in range(2)]
    workers += [context.Process(target=read, args=(url, number, start, out, deaf), daemon=True) for number in (2, 3)]
    for worker in workers:
        worker.start()
    try:
        told = defaultdict(list)
        for _ in range(6):
            kind, what = out.get(timeout=90)
            told[kind].append(what)
    finally:
        for worker in workers:
            worker.kill()
            worker.join()
    faults = list(told["failure"])
    writes = defaultdict(list)
    for key, count, begun, returned in (each for some in told["writes"] for each in some):
        writes[key].append((count, begun, returned))
    for history in (each for some in told["reads"] for each in some):
        last = {}
        for key, value, begun, returned in history:
            oldest = max((count for count, _, done in writes[key] if done < begun - Plan.staleness), default=0)
            newest = max((count for count, first, _ in writes[key] if first < returned), default=0)
            if not oldest <= value <= newest:
                faults.append(f"{key}: {value} is not from {oldest} to {newest}")
            if value < last.get(key, 0):
                faults.append(f"{key}: {value} after {last[key]}")
            last[key] = value
    return faults, sum(told["hits"])


def test_no_read_is_older_than_the_bound_and_none_goes_back(where):
    faults, hits = observed(where)
    assert not faults
    assert hits > 1000


def test_an_lru_that_is_told_nothing_is_found_out(shared_valkey):
    faults, _ = observed(f"{shared_valkey.url}?prefix=deaf", deaf=True)
    assert faults
