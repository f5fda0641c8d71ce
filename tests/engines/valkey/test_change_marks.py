"""What tells a process that the lease that it waits for has changed, and what becomes of that when anything breaks."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from threading import Event

import pytest

from sqlitedict_kv import Store
from sqlitedict_kv.concurrency.backoff import Backoff
from sqlitedict_kv.engines.protocol import Delete, Layout
from sqlitedict_kv.engines.valkey.client.connect import connect
from sqlitedict_kv.engines.valkey.engine import ValkeyEngine
from sqlitedict_kv.engines.valkey.tracking.change_marks import IDLE, LISTENS_AFTER, ChangeMarks
from sqlitedict_kv.memoization import flow
from tests.conftest import redis_binary, valkey_binary
from tests.support.processes import forked
from tests.support.servers import until

LEASES = "results.leases"
NOW = 1_700_000_000_000

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture(params=["valkey", "redis"])
def server(request, start_server):
    return start_server(binary=valkey_binary() if request.param == "valkey" else redis_binary())


@pytest.fixture
def open_engine():
    """Open engines with a lease of a key, as memoize lays them out."""
    with ExitStack() as stack:

        def make(url):
            engine = stack.enter_context(closing(ValkeyEngine(connect(url, timeout=5.0))))
            engine.declare("results", Layout(key_marks="!~"))
            engine.declare(LEASES, Layout(colocated_with="results"))
            write(engine)
            return engine

        yield make


def write(engine, key="k", namespace=LEASES):
    engine.put(namespace, key, b"1", "application/json", None, NOW)


def listening(engine, key="k"):
    """Return the mark of a key, once the servers tell of it."""
    mark = engine.change_mark(LEASES, key)
    until(lambda: mark() is not None, "the first message")
    return mark


@pytest.mark.parametrize("change", ["write", "delete"])
def test_a_mark_moves_when_another_store_changes_the_entry(server, open_engine, change):
    ours, theirs = open_engine(server.url), open_engine(server.url)
    mark = listening(ours)
    seen = mark()

    if change == "write":
        write(theirs)
    else:
        theirs.commit([Delete(LEASES, "k")], NOW)

    until(lambda: mark() != seen, "a message")
    assert mark() is not None


def test_a_mark_stays_where_it_is_when_other_entries_change(server, open_engine):
    ours, theirs = open_engine(server.url), open_engine(server.url)
    mark, other = listening(ours), listening(ours, "other")
    seen, before = mark(), other()

    write(theirs, namespace="results")
    write(theirs, "other")

    until(lambda: other() != before, "a message of what came last")
    assert mark() == seen


def test_marks_on_a_cluster_are_told_by_each_primary(start_cluster, open_engine):
    cluster = start_cluster(primaries=3, replicas=0)
    with closing(ValkeyEngine(connect(cluster.url, timeout=5.0))) as ours, Store(cluster.url) as store:
        for engine in (ours, store._engine):
            engine.declare("results", Layout(shards=16, key_marks="!~"))
            engine.declare(LEASES, Layout(colocated_with="results"))
        keys = [f"k{number}" for number in range(32)]
        for key in keys:
            write(ours, key)
        marks = {key: listening(ours, key) for key in keys}
        seen = {key: mark() for key, mark in marks.items()}
        for key in keys:
            write(store._engine, key)
        until(lambda: all(mark() != seen[key] for key, mark in marks.items()), "messages of all primaries")


def test_it_listens_when_a_wait_has_lasted_some_time_and_no_longer_when_nobody_waits(server, open_engine):
    engine = open_engine(server.url)
    now = [1000.0]
    engine._marks.clock = lambda: now[0]

    mark = engine.change_mark(LEASES, "k")
    assert mark() is None
    assert engine._marks._feed is None

    now[0] += 2 * LISTENS_AFTER
    until(lambda: mark() is not None, "the first message")
    feed = engine._marks._feed
    now[0] += 2 * IDLE
    until(lambda: engine._marks._used == now[0], "a step of the feed")
    assert not feed.closed  # somebody waits

    del mark
    now[0] += 2 * IDLE
    until(lambda: feed.closed, "the end of the feed")
    assert not engine._marks._told

    mark = engine.change_mark(LEASES, "k")
    now[0] += 2 * LISTENS_AFTER
    until(lambda: mark() is not None, "another connection")


def test_a_mark_has_moved_when_the_connection_was_lost_meanwhile(server, open_engine):
    engine = open_engine(server.url)
    mark = listening(engine)
    seen = mark()

    server.ask("CLIENT", "KILL", "TYPE", "pubsub")

    until(lambda: mark() not in (None, seen), "another connection")


def test_a_server_that_does_not_tell_leaves_a_wait_to_looks(start_server):
    server = start_server("--rename-command", "HELLO", "", binary=redis_binary())
    with Store(server.url) as ours, Store(server.url) as theirs, ThreadPoolExecutor(2) as pool:
        begun, go_on = Event(), Event()
        owner = pool.submit(computed(ours, begun, go_on))
        assert begun.wait(60)
        waiter = pool.submit(computed(theirs, begun, go_on))
        until(lambda: theirs._engine._marks._feed is not None, "an attempt to listen")
        go_on.set()
        assert owner.result(60) == waiter.result(60)


def computed(store, begun, go_on):
    """Return a call of a memoized function, which goes on when it is told to."""

    @store.memoize()
    def once():
        begun.set()
        assert go_on.wait(60)
        return os.urandom(8).hex()

    return once


def test_a_wait_for_another_process_ends_by_a_message(server, monkeypatch):
    monkeypatch.setattr(flow, "WATCH", Backoff(90.0, 90.0))  # no look before that but for a message
    reads, plain = [], ChangeMarks.mark

    def watched(marks, *arguments):
        mark = plain(marks, *arguments)
        return lambda: reads.append(mark()) or reads[-1]

    monkeypatch.setattr(ChangeMarks, "mark", watched)
    with Store(server.url) as ours, Store(server.url) as theirs, ThreadPoolExecutor(2) as pool:
        begun, go_on = Event(), Event()
        owner = pool.submit(computed(ours, begun, go_on))
        assert begun.wait(60)
        waiter = pool.submit(computed(theirs, begun, go_on))
        # The first one that is told is from before a look, all others from after it.
        until(lambda: sum(read is not None for read in reads) > 1, "a wait for a message")
        go_on.set()
        assert owner.result(60) == waiter.result(60)


@needs_fork
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_has_marks_of_its_own(server, open_engine):
    engine = open_engine(server.url)
    kept = listening(engine)

    def child():
        assert kept() is None
        mark = listening(engine)
        seen = mark()
        write(engine)
        until(lambda: mark() != seen, "a message to the child")

    assert forked(child) == 0
    seen = kept()
    write(engine)
    until(lambda: kept() != seen, "a message to the parent")


def test_a_closed_store_listens_no_more(server, open_engine):
    engine = open_engine(server.url)
    mark = listening(engine)
    feed = engine._marks._feed
    engine.close()
    assert feed.closed
    assert mark() is None
    assert engine._marks._feed is feed
