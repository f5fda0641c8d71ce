"""The LRU in one process: what it serves, what it forgets, and how much it keeps."""

from __future__ import annotations

import gc
import os
import sqlite3
import sys
import threading
import weakref
from contextlib import closing

import pytest

from sqlitedict_kv import LocationError, Store, StoreClosedError, StoreDetachedError, TooLargeError
from sqlitedict_kv.engines.sqlite.coherence import data_version
from sqlitedict_kv.engines.sqlite.coherence.data_version import QueriedDataVersion, WalIndexDataVersion
from sqlitedict_kv.lru import ENTRY_OVERHEAD
from tests.support.ids import shown
from tests.support.linearizability import Plan, first_fault, record
from tests.support.processes import run

posix = pytest.mark.skipif(os.name != "posix", reason="the wal-index is read on POSIX only")


ON_FILES = ("shared", "asked")
on_file = pytest.mark.parametrize("kind", ON_FILES, indirect=True)  # memory has one user
KINDS = (*ON_FILES, "memory")


@pytest.fixture(params=KINDS)
def kind(request, monkeypatch):
    """How the LRU learns of commits; "asked" is the slower way, for a file."""
    if request.param == "shared" and os.name != "posix":
        pytest.skip("the wal-index is read on POSIX only")
    if request.param == "asked":
        monkeypatch.setattr(data_version, "_wal_index_data_version", lambda _: None)
    return request.param


@pytest.fixture
def open_cached(kind, make_store, path):
    """Open stores with an LRU; those on a file share one."""

    def open_one(**options):
        chosen = {"lru_bytes": "1 MB"} | options
        return make_store(":memory:" if kind == "memory" else path, **chosen)

    return open_one


@pytest.fixture
def store(open_cached):
    return open_cached()


def lru_of(store):
    return store.stats().lru


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


def in_thread(work):
    """Call *work* in another thread and wait for its end."""
    failures = []

    def run():
        try:
            work()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive(), "the thread hangs"
    if failures:
        raise failures[0]


class Interrupted:
    """Stands before an engine and calls a hook once, when a row was read and before the LRU has it."""

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


# -- what it serves


def test_the_kinds_are_what_they_are_called(store, kind):
    expected = WalIndexDataVersion if kind == "shared" else QueriedDataVersion
    assert type(store._engine._database.main.data_version) is expected


def test_the_second_read_is_served_from_memory(store):
    n = store.ns("n")
    n["k"] = {"a": 1}
    assert warmed(n, "k") == [{"a": 1}]
    stats = lru_of(store)
    assert (stats.hits, stats.misses, stats.entries) == (1, 1, 1)
    assert "k" in n
    assert n["k"] == {"a": 1}
    assert lru_of(store).hits == 3


def test_it_is_off_by_default(make_store, path):
    assert make_store(path).stats().lru is None


def test_a_miss_is_not_kept(store):
    n = store.ns("n")
    assert warmed(n, "absent") == [None]
    assert lru_of(store)[:3] == (0, 2, 0)


def test_the_same_key_of_two_namespaces_is_two_entries(store):
    store.ns("a")["k"], store.ns("b")["k"] = 1, 2
    assert warmed(store.ns("a"), "k") == [1]
    assert warmed(store.ns("b"), "k") == [2]
    assert warmed(store.ns("a"), "k") == [1]


VALUES = [
    {"list": [1, [2]], "dict": {"a": []}},
    [1, 2, [3]],
    {1: {2}, "t": (1, [2])},
    {"set": {1, 2}},
    "text",
    b"bytes",
    None,
    bytearray(b"array"),
]


@pytest.mark.parametrize("value", VALUES, ids=shown)
def test_nobody_can_change_what_another_reads(store, value):
    n = store.ns("n")
    try:
        n["k"] = value
    except TypeError:
        assert isinstance(value, bytearray)  # no codec keeps it
        return
    before = repr(n["k"])
    for _ in range(3):
        found = n["k"]
        assert repr(found) == before
        if isinstance(found, dict):
            for inner in found.values():
                if isinstance(inner, (dict, list, set)):
                    inner.clear()
            found.clear()
        elif isinstance(found, (list, bytearray)):
            found.clear()
    assert lru_of(store).hits >= 2


@pytest.mark.frameworks
def test_nobody_can_change_an_array_that_another_reads(store):
    numpy = pytest.importorskip("numpy")
    n = store.ns("n")
    n["k"] = numpy.arange(4)
    for _ in range(3):
        found = n["k"]
        assert found.tolist() == [0, 1, 2, 3]
        if found.flags.writeable:
            found[:] = 9
    assert lru_of(store).hits >= 2


# -- what it forgets

OWN_WRITES = {
    "set": (lambda s, n: n.set("k", "new"), "new"),
    "set with ttl": (lambda s, n: n.set("k", "new", ttl=5), "new"),
    "delete": (lambda s, n: n.delete("k"), None),
    "del": (lambda s, n: n.__delitem__("k"), None),
    "pop": (lambda s, n: n.pop("k"), None),
    "popitem": (lambda s, n: n.popitem(), None),
    "cas_set": (lambda s, n: n.cas_set("k", "new", 1), "new"),
    "modify": (lambda s, n: n.modify("k", lambda old: old + 1), 2),
    "incr": (lambda s, n: n.incr("k"), 2),
    "update": (lambda s, n: n.update(k="new"), "new"),
    "set_many": (lambda s, n: n.set_many({"k": "new", "l": 1}), "new"),
    "set_many long": (lambda s, n: n.set_many({"k": "new"} | {str(i): i for i in range(2500)}), "new"),
    "delete_many": (lambda s, n: n.delete_many(["k", "absent"]), None),
    "delete_many long": (lambda s, n: n.delete_many(["k", *map(str, range(2500))]), None),
    "clear": (lambda s, n: n.clear(), None),
    "drop": (lambda s, n: s.drop("n"), None),
    "or": (lambda s, n: n.__ior__({"k": "new"}), "new"),
    "another view": (lambda s, n: s.ns("n", ttl=9).set("k", "new"), "new"),
}


@pytest.mark.parametrize("name", OWN_WRITES)
def test_an_own_write_is_seen_by_the_next_read(store, name):
    n = store.ns("n")
    write, expected = OWN_WRITES[name]
    n["k"] = 1
    assert warmed(n, "k") == [1]
    write(store, n)
    assert warmed(n, "k") == [expected]
    assert n.get_with_meta("k") is None if expected is None else n.get_with_meta("k").value == expected


def test_an_atomic_block_is_seen_when_it_ends_and_not_before(store):
    n, m = store.ns("n"), store.ns("m")
    n.update(a=1, b=1, c=1)
    m["a"] = 1
    with store.atomic() as transaction:
        t = transaction.ns("n")
        t.set("a", 2)
        t.delete("b")
        t.incr("c")
        transaction.ns("m")["a"] = 2
        assert warmed(n, "a", "b", "c") == [1, 1, 1]
        assert warmed(m, "a") == [1]
    assert warmed(n, "a", "b", "c") == [2, None, 2]
    assert warmed(m, "a") == [2]


def test_a_block_that_fails_leaves_what_the_lru_holds_right(store):
    n = store.ns("n")
    n["a"] = 1
    warmed(n, "a")
    with pytest.raises(KeyError), store.atomic() as transaction:
        transaction.ns("n")["a"] = 2
        del transaction.ns("n")["absent"]
    assert warmed(n, "a") == [1]


def test_a_refused_write_leaves_what_the_lru_holds(open_cached):
    store = open_cached(max_value_bytes=100)
    n = store.ns("n")
    n["k"] = 1
    warmed(n, "k")
    with pytest.raises(TooLargeError):
        n["k"] = "x" * 1000
    assert is_held(store, n, "k")
    assert n["k"] == 1


def test_eviction_is_seen(open_cached):
    store = open_cached(max_entries=64)
    n = store.ns("n")
    for number in range(300):
        n[str(number)] = number
        warmed(n, *map(str, range(max(0, number - 70), number + 1)))
    assert store.stats().evicted > 200
    kept = n.copy()
    for number in range(300):
        assert n.get(str(number)) == kept.get(str(number))


def test_upkeep_leaves_nothing_stale(store, kind, tmp_path, clock):
    n = store.ns("n")
    n["k"] = 1
    for step in (
        store.vacuum,
        store.sync,
        store._engine._maintenance.checkpoint,
        store.check,
        store.stats,
        store.healthcheck,
    ):
        warmed(n, "k")
        step()
        assert warmed(n, "k") == [n.get_with_meta("k").value]
        n.incr("k")
        assert warmed(n, "k") == [n.get_with_meta("k").value]
    value = n["k"]
    store.backup(tmp_path / "copy.db")
    assert warmed(n, "k") == [value]
    n["k"] = "later"
    with Store(tmp_path / "copy.db", lru_bytes=10_000, clock=clock) as copy:
        assert warmed(copy.ns("n"), "k") == [value]
        copy.ns("n")["k"] = "other"
        assert warmed(copy.ns("n"), "k") == ["other"]
        assert warmed(n, "k") == ["later"]


def test_each_sync_commits_something(make_store, path):
    """A sync that commits nothing would write nothing to the log, and sync nothing."""
    store = make_store(path)
    other = make_store(path)
    read = other._engine._database.main.raw.execute
    seen = [read("PRAGMA data_version").fetchone()]
    for _ in range(3):
        store.sync()
        seen.append(read("PRAGMA data_version").fetchone())
    assert len(set(seen)) == 4


@on_file
def test_a_commit_through_another_connection_is_seen(store, path):
    n = store.ns("n")
    n.update(k=1, l=1)
    warmed(n, "k", "l")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        for number in range(2, 30):
            other.execute("UPDATE kv SET value = ?, version = version + 1 WHERE key = 'k'", (str(number).encode(),))
            assert n["k"] == number
            n["l"] = number  # our own commit right behind it
            assert warmed(n, "k", "l") == [number, number]
        other.execute("DELETE FROM kv WHERE key = 'k'")
        assert n.get("k") is None


@on_file
def test_an_uncommitted_write_is_not_seen_nor_one_that_is_rolled_back(store, path):
    n = store.ns("n")
    n["k"] = 1
    warmed(n, "k")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("UPDATE kv SET value = CAST('2' AS BLOB), version = version + 1")
        assert warmed(n, "k") == [1]
        other.execute("ROLLBACK")
        assert warmed(n, "k") == [1]


@on_file
def test_two_stores_in_one_process_see_each_other(open_cached):
    a, b = open_cached(), open_cached()
    for number in range(20):
        a.ns("n")["k"] = number
        assert warmed(a.ns("n"), "k") == warmed(b.ns("n"), "k") == [number]
        b.ns("n").incr("k", 100)
        assert warmed(a.ns("n"), "k") == warmed(b.ns("n"), "k") == [number + 100]


def test_an_own_write_forgets_only_its_key(store):
    n = store.ns("n")
    n.update({str(number): number for number in range(50)})
    warmed(n, *map(str, range(50)))
    before = lru_of(store)
    for number in range(200):
        n[str(number % 5)] = number
        n.delete("absent")
        n.delete_many(["absent", "absent too"])
    after = lru_of(store)
    assert after.invalidations == before.invalidations
    warmed(n, *map(str, range(5, 50)))
    assert lru_of(store).misses == after.misses


def test_with_one_write_in_ten_the_hot_set_is_served_from_memory(store):
    n = store.ns("n")
    hot = [f"key {number}" for number in range(100)]
    n.update(dict.fromkeys(hot, {"name": "x" * 80}))
    before = lru_of(store)
    reads = 0
    for step in range(5000):
        if step % 10 == 0:
            n[hot[step * 7 % 100]] = step
        else:
            n.get(hot[step * 31 % 100])
            reads += 1
    assert lru_of(store).hits - before.hits >= 0.8 * reads


# -- time


def test_an_entry_does_not_outlive_its_time(store, clock):
    n = store.ns("n")
    n.set("k", 1, ttl=1.5)
    assert warmed(n, "k") == [1]
    clock.advance(1.499)
    assert is_held(store, n, "k")
    assert "k" in n
    clock.advance(0.001)
    assert n.get("k") is None
    assert "k" not in n


def test_a_touch_is_seen(store, clock):
    n = store.ns("n")
    n.set("k", 1, ttl=10)
    warmed(n, "k")
    n.touch("k", 1)
    warmed(n, "k")
    clock.advance(1)
    assert n.get("k") is None
    n.set("k", 2, ttl=1)
    warmed(n, "k")
    n.touch("k", 100)
    clock.advance(50)
    assert n["k"] == 2
    n.touch("k", None)
    clock.advance(500)
    assert n["k"] == 2


def test_an_entry_that_was_purged_stays_away_when_the_clock_goes_back(store, clock):
    n = store.ns("n")
    n.set("k", 1, ttl=10)
    warmed(n, "k")
    clock.advance(11)
    assert store.purge_expired() == 1
    clock.advance(-5)
    assert n.get_with_meta("k") is None
    assert n.get("k") is None


# -- races, each held at its worst moment


def deleted_by_thread(store, path, kind):
    in_thread(lambda: store.ns("n").delete("k"))


def set_by_thread(store, path, kind):
    in_thread(lambda: store.ns("n").set("k", "new"))


def deleted_by_long_delete_many(store, path, kind):
    in_thread(lambda: store.ns("n").delete_many(["k", *map(str, range(2500))]))


def deleted_by_another_store(store, path, kind):
    with Store(path, lru_bytes=1000) as other:
        other.ns("n").delete("k")


def deleted_and_followed_by_an_own_write(store, path, kind):
    in_thread(lambda: (store.ns("n").delete("k"), store.ns("n").set("other", 1)))


def deleted_and_read_by_another_thread(store, path, kind):
    in_thread(lambda: (store.ns("n").delete("k"), warmed(store.ns("n"), "l")))


RACERS = [
    deleted_by_thread,
    set_by_thread,
    deleted_by_long_delete_many,
    deleted_by_another_store,
    deleted_and_followed_by_an_own_write,
    deleted_and_read_by_another_thread,
]


# Memory has no other store.
RACES = [(kind, racer) for racer in RACERS for kind in KINDS if (kind, racer) != ("memory", deleted_by_another_store)]


@pytest.mark.parametrize(("kind", "racer"), RACES, indirect=["kind"])
@pytest.mark.parametrize("warm", [False, True], ids=["empty", "warm"])
def test_a_row_that_changes_between_its_read_and_the_fill_is_not_kept(store, kind, path, racer, warm):
    n = store.ns("n")
    n.update(k="old", l=1)
    if warm:
        warmed(n, "l")
    Interrupted(store, lambda: racer(store, path, kind))
    assert n["k"] == "old"  # it began before the change
    assert n.get("k") == ("new" if racer is set_by_thread else None)


@on_file
@pytest.mark.parametrize("in_between", ["before", "after"])
def test_a_foreign_commit_beside_an_own_one_is_not_taken_for_it(store, path, in_between):
    """Each verb reads the mark before and after its commit; a stranger commits in the gap."""
    n = store.ns("n")
    with closing(sqlite3.connect(path, isolation_level=None)) as stranger:
        for number, write in enumerate(
            (
                lambda: n.set("own", 2),
                lambda: n.set_many({"own": 3}),
                lambda: n.touch("own", None),  # changes nothing, so it makes no commit at all
                lambda: n.delete("absent"),
                lambda: n.touch("own", 60),
                lambda: n.incr("own"),
                lambda: store.atomic().__exit__(None, None, None),
                store.purge_expired,
            )
        ):
            n.update(own=1, k="old")
            warmed(n, "own", "k")
            _commit_beside(
                store,
                in_between,
                lambda number=number: stranger.execute(
                    "UPDATE kv SET value = ?, version = version + 1 WHERE key = 'k'", (f"{number}".encode(),)
                ),
            )
            write()
            store._engine._database.main.data_version = store._engine._database.main.data_version.inner
            stranger.execute("UPDATE kv SET updated_at = 0 WHERE 0")  # an empty one
            stored = stranger.execute("SELECT value FROM kv WHERE key = 'k'").fetchone()[0]
            assert n["k"] == ("old" if stored == b'"old"' else number), number


def _commit_beside(store, in_between, commit):
    main = store._engine._database.main

    class Watched:
        inner = main.data_version
        needs_lock = main.data_version.needs_lock
        asked = 0

        def read(self):
            self.asked += 1
            if in_between == "after" and self.asked == 2:
                commit()
            found = self.inner.read()
            if in_between == "before" and self.asked == 1:
                commit()
            return found

        def __getattr__(self, name):
            return getattr(self.inner, name)

    main.data_version = Watched()


@on_file
def test_a_read_that_begins_after_another_reader_saw_the_new_value_gives_it_too(store, path):
    """The writer's thread is held between its commit and the moment when its LRU hears of it."""
    n = store.ns("n")
    n["k"] = "old"
    warmed(n, "k")
    lru = store._context.lru
    committed, go_on, late = threading.Event(), threading.Event(), []
    inner = lru.notify_commit

    class Held:
        def notify_commit(self, *arguments, **options):
            committed.set()
            assert go_on.wait(20)
            inner(*arguments, **options)

    store._engine.observe_commits(Held())
    writer = threading.Thread(target=lambda: n.set("k", "new"), daemon=True)
    writer.start()
    assert committed.wait(20)
    with closing(sqlite3.connect(path)) as other:
        seen = other.execute("SELECT CAST(value AS TEXT) FROM kv").fetchone()[0]
    assert "new" in seen
    begun = threading.Event()

    def read():
        begun.set()
        late.append(n.get("k"))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    assert begun.wait(20)
    reader.join(0.1)  # it may have to wait for the writer's lock
    go_on.set()
    writer.join(20)
    reader.join(20)
    assert late == ["new"]


def test_an_interrupt_between_the_commit_and_the_lru_leaves_nothing_stale(store):
    n = store.ns("n")
    lru = store._context.lru

    class Interrupts:
        def notify_commit(self, *arguments, **options):
            store._engine.observe_commits(lru)
            raise KeyboardInterrupt

    for number, write in enumerate(
        (lambda: n.set("k", "new"), lambda: n.delete("k"), lambda: n.set_many({"k": "new"}), lambda: n.incr("k"))
    ):
        n["k"] = number
        warmed(n, "k")
        store._engine.observe_commits(Interrupts())
        with pytest.raises(KeyboardInterrupt):
            write()
        entry = n.get_with_meta("k")
        assert n.get("k") == (entry and entry.value)


def test_readers_and_writers_in_threads_do_not_lock_each_other_out(store):
    """A fill and a commit take two locks; if not in one order, both threads hang."""
    n = store.ns("n")
    lru = store._context.lru
    reading, asked = threading.Event(), threading.Event()
    inner = lru._read_version

    n.update(k=1, l=1)
    lru._version = b""  # as after a foreign commit
    calls = []

    def read_mark():
        calls.append(1)
        if len(calls) == 2:  # within the fill
            reading.set()
            asked.wait(0.5)  # the writer has the store's lock by now, and wants the LRU's
        return inner()

    lru._read_version = read_mark

    def write():
        assert reading.wait(20)
        lru_hears = lru.notify_commit

        class Tells:
            def notify_commit(self, *arguments, **options):
                asked.set()
                lru_hears(*arguments, **options)

        store._engine.observe_commits(Tells())
        n["l"] = 2

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    reading_thread = threading.Thread(target=lambda: (n.get("k"), reading.set()), daemon=True)
    reading_thread.start()
    writer.join(5)
    reading_thread.join(5)
    hang = writer.is_alive() or reading_thread.is_alive()
    if hang:
        lru._lock.release()  # so that the store can be closed
    assert not hang, "they wait for each other"
    lru._read_version = inner
    assert warmed(n, "k", "l") == [1, 2]


@pytest.mark.parametrize("kind", ["asked", "memory"], indirect=True)  # reading shared memory meets no lock
def test_a_lock_that_is_met_after_the_commit_does_not_repeat_it(store, kind):
    """Asking for the mark may meet somebody's lock; the commit stands all the same."""
    n = store.ns("n")
    n["k"] = 0
    main = store._engine._database.main

    class Busy:
        inner = main.data_version
        needs_lock = main.data_version.needs_lock
        asked = 0

        def read(self):
            self.asked += 1
            if self.asked == 2:
                error = sqlite3.OperationalError("database is locked")
                error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_BUSY, "SQLITE_BUSY"
                raise error
            return self.inner.read()

        def __getattr__(self, name):
            return getattr(self.inner, name)

    for write in (lambda: n.incr("k"), lambda: n.set("k", 5)):
        version = n.get_with_meta("k").meta.version
        warmed(n, "k")
        main.data_version = Busy()
        write()
        main.data_version = main.data_version.inner
        assert n.get_with_meta("k").meta.version == version + 1
        assert warmed(n, "k") == [n.get_with_meta("k").value]


def test_threads_on_one_store_are_linearizable(store, kind):
    plan = Plan(":memory:", operations=12_000, processes=1, threads=4, keys=4, seed=1)
    history, hits = record(plan, store=store)
    assert len(history) >= 12_000
    assert hits > 1000
    assert first_fault(history) is None


# -- room


def test_the_memory_stays_under_the_limit_and_what_does_not_fit_is_dropped(open_cached):
    store = open_cached(lru_bytes=20 * ENTRY_OVERHEAD)
    n = store.ns("n")
    n.update({str(number): b"x" * 100 for number in range(100)})
    for number in range(100):
        n[str(number)], n[str(number)]  # a key that is missed once only is not let in when there is no room
        assert lru_of(store).bytes <= 20 * ENTRY_OVERHEAD
    stats = lru_of(store)
    assert 10 <= stats.entries <= 20
    assert stats.evictions == 100 - stats.entries
    assert is_held(store, n, "99")
    assert not is_held(store, n, "0")


def test_an_entry_that_is_used_gets_a_second_chance(open_cached):
    store = open_cached(lru_bytes=10 * (ENTRY_OVERHEAD + 1300))
    n = store.ns("n")
    n.update({str(number): b"x" * 100 for number in range(200)})
    n["hot"] = b"x" * 100
    warmed(n, "hot")
    for number in range(200):
        n[str(number)], n[str(number)]
        assert is_held(store, n, "hot")
    assert lru_of(store).evictions > 100


def test_a_walk_through_many_keys_does_not_take_the_place_of_those_in_use(open_cached):
    store = open_cached(lru_bytes=10 * (ENTRY_OVERHEAD + 200))
    n = store.ns("n")
    n.update({f"{number:03}": b"x" * 100 for number in range(200)})
    warmed(n, *list(n)[:10])
    for key in n:
        n[key]
    assert all(is_held(store, n, key) for key in list(n)[:10])
    assert lru_of(store).evictions == 0


def test_what_is_asked_for_again_takes_the_place_of_what_is_not_used(open_cached):
    store = open_cached(lru_bytes=10 * (ENTRY_OVERHEAD + 200))
    n = store.ns("n")
    n.update({f"{number:03}": b"x" * 100 for number in range(40)})
    keys = list(n)
    warmed(n, *keys[:20])
    warmed(n, *keys[20:25], *keys[20:25])
    assert all(is_held(store, n, key) for key in keys[20:25])


def test_a_value_larger_than_all_its_room_is_read_and_not_kept(open_cached):
    store = open_cached(lru_bytes=10_000)
    n = store.ns("n")
    n.update(large=b"x" * 10_000, small=1)
    warmed(n, "small")
    assert warmed(n, "large") == [b"x" * 10_000]
    assert is_held(store, n, "small")
    assert not is_held(store, n, "large")
    assert lru_of(store).evictions == 0


def test_room_is_given_back_by_whatever_forgets(open_cached):
    store = open_cached(lru_bytes=100_000)
    n = store.ns("n")
    for _ in range(5):
        n.update({str(number): b"x" * 1000 for number in range(40)})
        warmed(n, *map(str, range(40)))
        assert lru_of(store).bytes > 40_000
        n.delete_many(list(map(str, range(20))))
        assert lru_of(store).entries == 20
        n.clear()
        n["x"] = 1  # a clear has a connection of its own, and is noticed afterwards
        assert lru_of(store)[2:4] == (0, 0)


def test_long_keys_count_against_the_memory(open_cached):
    store = open_cached(lru_bytes=100_000)
    n = store.ns("n")
    n.update({f"{number:0>1000}": b"" for number in range(300)})
    warmed(n, *n)
    assert lru_of(store).entries <= 100


@pytest.mark.parametrize("room", [1, 1000, "64 MB", "1 KiB", "2gb"])
def test_a_size_is_an_int_or_text(make_store, path, room):
    store = make_store(path, lru_bytes=room)
    store.ns("n")["k"] = 1
    assert warmed(store.ns("n"), "k") == [1]


@pytest.mark.parametrize("room", [0, -1, "0", "-1 MB", "much", "", "1 parsec"])
def test_a_size_that_is_none_is_refused(path, room):
    with pytest.raises(ValueError, match="lru_bytes"):
        Store(path, lru_bytes=room)
    assert not path.exists()


@pytest.mark.parametrize("room", [1.5, True, [], b"1"])
def test_a_size_of_the_wrong_type_is_refused(path, room):
    with pytest.raises(TypeError, match="lru_bytes"):
        Store(path, lru_bytes=room)
    assert not path.exists()


def test_an_interrupt_while_it_makes_room_does_not_break_later_reads(open_cached):
    store = open_cached(lru_bytes=5000)
    n = store.ns("n")
    n.update({str(number): number for number in range(50)})
    warmed(n, "1")
    store._context.lru._cache.used_bytes += 10_000  # as after an interrupt between the two lines that keep it
    assert warmed(n, *map(str, range(50))) == list(range(50))


# -- closing, stopping, files that come and go


def test_a_closed_store_serves_nothing(open_cached):
    a = open_cached()
    a.ns("n")["k"] = 1
    warmed(a.ns("n"), "k")
    open_cached()  # keeps the file open in this process
    a.close()
    with pytest.raises(StoreClosedError):
        a.ns("n").get("k")


@on_file
def test_a_reopened_file_is_read_anew(open_cached, path):
    with open_cached() as store:
        store.ns("n")["k"] = 1
        warmed(store.ns("n"), "k")
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE kv SET value = CAST('2' AS BLOB), version = version + 1")
    assert warmed(open_cached().ns("n"), "k") == [2]


@on_file
@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be replaced there")
def test_a_replaced_file_is_seen_by_a_new_store_and_the_old_lru_stays_with_the_old_file(kind, tmp_path, clock):
    path = tmp_path / "one.db"
    with Store(tmp_path / "two.db", clock=clock) as other:
        other.ns("n").update(k="new file", l="new file")
    old = Store(path, lru_bytes="1 MB", clock=clock)
    n = old.ns("n")
    n.update(k="old file", only="old file")
    warmed(n, "k", "only")
    for companion in ("-wal", "-shm"):
        os.unlink(f"{path}{companion}")
    os.replace(tmp_path / "two.db", path)
    new = Store(path, lru_bytes="1 MB", clock=clock)
    m = new.ns("n")
    assert warmed(m, "k", "only") == ["new file", None]
    assert n["k"] in ("old file", "new file")
    assert warmed(m, "k", "only") == ["new file", None]
    m["k"] = "newer"
    with pytest.raises(StoreDetachedError):
        n["k"] = "lost"
    assert warmed(m, "k") == ["newer"]
    with pytest.raises(StoreDetachedError):  # as a store without an LRU does
        n.get("k")
    old.close()
    m["k"] = "newest"
    assert warmed(m, "k") == ["newest"]
    new.close()


@on_file
def test_a_file_without_a_log_beside_a_wal_index_that_was_left_behind(make_store, kind, path, tmp_path):
    """A backup has no log; what lies about beside it belongs to nobody and never moves."""
    with Store(path) as store:
        store.ns("n")["k"] = 1
        store.backup(tmp_path / "copy.db")
        left_behind = "".join(run("import pathlib; say(pathlib.Path(sys.argv[1]).read_bytes().hex())", f"{path}-shm"))
    (tmp_path / "copy.db-shm").write_bytes(bytes.fromhex(left_behind))
    try:
        copy = make_store(tmp_path / "copy.db", lru_bytes="1 MB")
    except LocationError:
        return
    n = copy.ns("n")
    for number in range(2, 6):
        warmed(n, "k")
        n["k"] = number
        assert warmed(n, "k") == [number]
    with closing(sqlite3.connect(tmp_path / "copy.db")) as other, other:
        other.execute("UPDATE kv SET value = CAST('9' AS BLOB), version = version + 1")
    assert warmed(n, "k") == [9]


@on_file
def test_a_read_only_store_sees_what_others_write(open_cached):
    writer = open_cached()
    writer.ns("n")["k"] = 0
    reader = open_cached(readonly=True)
    for number in range(1, 10):
        writer.ns("n")["k"] = number
        assert warmed(reader.ns("n"), "k") == [number]
    assert lru_of(reader).hits >= 9


def test_a_store_that_is_forgotten_takes_its_lru_with_it(open_cached, kind, path):
    store = Store(":memory:" if kind == "memory" else path, lru_bytes=1000)
    store.ns("n")["k"] = 1
    warmed(store.ns("n"), "k")
    gone = weakref.ref(store._context.lru)
    del store
    gc.collect()
    assert gone() is None
