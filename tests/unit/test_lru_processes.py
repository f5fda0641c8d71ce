"""The LRU among processes: whatever another one commits, and however, the next read knows."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import threading
from contextlib import closing

import pytest

from sqlitedict_kv import Store
from sqlitedict_kv.engines.sqlite.coherence import data_version
from tests.support.linearizability import Plan, first_fault, record
from tests.support.processes import Worker, forked, run

pytestmark = [
    pytest.mark.timeout(120),
    # Since 3.12 Python warns of a fork beside threads; that it works is what is tested here.
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning"),
]
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
posix = pytest.mark.skipif(os.name != "posix", reason="the wal-index is read on POSIX only")


@pytest.fixture(params=["shared", "asked"])
def kind(request, monkeypatch):
    """How the LRU learns of commits; "asked" is the slower way."""
    if request.param == "shared" and os.name != "posix":
        pytest.skip("the wal-index is read on POSIX only")
    if request.param == "asked":
        monkeypatch.setattr(data_version, "_wal_index_data_version", lambda _: None)
    return request.param


@pytest.fixture
def store(kind, make_store, path):
    return make_store(path, lru_bytes="4 MB")


def warmed(ns, *keys):
    """Read keys until the LRU holds them; return what was read last."""
    for _ in range(2):
        found = [ns.get(key) for key in keys]
    return found


# -- any schedule


@pytest.mark.slow
@posix
def test_fifty_thousand_operations_of_processes_and_threads_are_linearizable(path):
    history, hits = record(Plan(str(path), operations=51_000, processes=3, threads=2, seed=1))
    assert len(history) >= 50_000
    assert hits >= 5_000
    assert first_fault(history) is None


def test_the_slower_mark_is_linearizable_too(path):
    history, hits = record(Plan(str(path), operations=10_000, processes=2, threads=2, seed=2, sabotage="asked"))
    assert len(history) >= 9_900
    assert hits >= 500
    assert first_fault(history) is None


def test_many_writers_are_linearizable(path):
    history, _ = record(Plan(str(path), operations=8_000, processes=3, threads=2, seed=3, keys=3, reads=0.5))
    assert first_fault(history) is None


def test_an_lru_that_is_stale_is_found_out(path):
    history, hits = record(Plan(str(path), operations=6_000, processes=2, threads=2, seed=4, sabotage="stale"))
    assert hits >= 500
    assert first_fault(history) is not None


# -- what others commit

BY_HAND = {
    "update": "UPDATE kv SET value = CAST('2' AS BLOB), version = version + 1 WHERE key = 'k'",
    "delete": "DELETE FROM kv WHERE key = 'k'",
    "insert": "INSERT OR REPLACE INTO kv (ns, key, value, version, updated_at) VALUES ('n', 'k', X'32', 9, 0)",
    "expiry": "UPDATE kv SET expires_at = 1, version = version + 1, checksum = NULL WHERE key = 'k'",
    "checkpoint": "PRAGMA wal_checkpoint(TRUNCATE)",
    "update and checkpoint": (
        "UPDATE kv SET value = X'32', version = version + 1 WHERE key = 'k'; PRAGMA wal_checkpoint(TRUNCATE)"
    ),
    "vacuum": "VACUUM",
}
EXPECTED = {"update": 2, "delete": None, "insert": 2, "expiry": None, "update and checkpoint": 2}
MODULE = """
import sqlite3
other = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2].split(";"):
    other.execute(statement).fetchall()
other.close()
"""


@pytest.mark.parametrize("name", BY_HAND)
@pytest.mark.parametrize("tool", ["sqlite3 module", "sqlite3 shell"])
def test_what_sqlite_writes_by_hand_is_seen_by_the_next_read(store, path, name, tool):
    n = store.ns("n")
    n.update(k=1, l=1)
    assert warmed(n, "k", "l") == [1, 1]
    if tool == "sqlite3 shell":
        shell = shutil.which("sqlite3")
        if shell is None:
            pytest.skip("there is no sqlite3 shell")
        subprocess.run([shell, str(path), BY_HAND[name]], check=True, capture_output=True)
    else:
        run(MODULE, path, BY_HAND[name])
    assert warmed(n, "k", "l") == [EXPECTED.get(name, 1), 1]
    n["l"] = 3
    assert warmed(n, "k", "l") == [EXPECTED.get(name, 1), 3]


VERBS = """
store = Store(sys.argv[1], lru_bytes="1 MB", clock=lambda: float(sys.argv[2]) + 50)
n = store.ns("n")
def atomic():
    with store.atomic() as transaction:
        transaction.ns("n").delete("other")
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
    "n.set_many({'k': 8} | {str(number): 0 for number in range(2100)})": 8,
    "n.delete_many(['k'] + [str(number) for number in range(2100)])": None,
    "atomic()": "atomic",
    "n.clear()": None,
    "n.set('k', 9)": 9,
    "store.drop('n')": None,
    "n.set('k', 10) ": 10,
    "store.vacuum()": 10,
    "store.backup(sys.argv[1] + '.copy')": 10,
    "store.sync()": 10,
    "store._engine._maintenance.checkpoint()": 10,
    "n.setdefault('k', 11)": 10,
    "n.popitem()": None,
    "n.setdefault('k', 12)": 12,
    "store.purge_expired()": 12,
    "store.close()": 12,
}


def test_every_verb_of_another_process_is_seen_by_the_next_read(store, path, clock):
    n = store.ns("n")
    n.update(k=1, other=1)
    with Worker(VERBS, path, clock()) as worker:
        assert worker.hear() == "ready"
        for line, expected in LINES.items():
            warmed(n, "k", "other")
            worker.say(line)
            assert worker.hear() == "done"
            assert n.get("k") == expected, line
            assert warmed(n, "k") == [expected], line
            n["a"] = line
            assert warmed(n, "k", "a") == [expected, line], line
        worker.say("")
        worker.finish()


def test_what_another_process_lets_expire_by_its_clock_and_purges_is_gone(store, path, clock):
    n = store.ns("n")
    n.set("k", 1, ttl=10)
    assert warmed(n, "k") == [1]
    assert run("say(Store(sys.argv[1], clock=lambda: float(sys.argv[2])).purge_expired())", path, clock() + 11) == ["1"]
    assert n.get("k") is None


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


@pytest.mark.parametrize("warm", [False, True], ids=["empty", "warm"])
def test_a_row_that_another_process_deletes_between_its_read_and_the_fill_is_not_kept(store, path, warm):
    n = store.ns("n")
    n.update(k="old", l=1)
    if warm:
        warmed(n, "l")
    Interrupted(store, lambda: run("del Store(sys.argv[1]).ns('n')['k']", path))
    assert n["k"] == "old"  # it began before the change
    assert n.get("k") is None


# -- forks

WRITE = "store = Store(sys.argv[1]); store.ns('n').update(eval(sys.argv[2])); store.close()"


@needs_fork
def test_parent_and_child_read_and_write_after_a_fork(store):
    n = store.ns("n")
    n.update(k=0, l=0)
    for number in range(1, 6):
        warmed(n, "k", "l")

        def child(number=number):
            assert warmed(n, "k", "l") == [number - 1, number - 1]
            n["k"] = number
            assert warmed(n, "k", "l") == [number, number - 1]

        assert forked(child) == 0
        assert n["k"] == number
        n["l"] = number
        assert warmed(n, "k", "l") == [number, number]


@needs_fork
def test_a_child_sees_what_its_parent_writes_later(store):
    n = store.ns("n")
    n["k"] = 0
    warmed(n, "k")
    ready, go = os.pipe()
    listening, warm = os.pipe()

    def work():
        assert warmed(n, "k") == [0]
        os.write(warm, b"x")
        os.read(ready, 1)
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


@needs_fork
@pytest.mark.parametrize("first", ["read", "read another", "write another", "long write"])
@pytest.mark.parametrize("fresh", [True, False], ids=["no commit before", "a commit before"])
def test_a_log_that_began_anew_while_the_connection_was_closed_for_a_fork(kind, make_store, path, first, fresh):
    """The header of a log without commits is always the same, so the mark looks as it did."""
    with Store(path) as store:
        store.ns("n").update(k="old", l="old", m=1)
    store = make_store(path, lru_bytes="4 MB")
    n = store.ns("n")
    if not fresh:
        n["m"] = 2
    for round_ in range(3):
        warmed(n, "k", "l")
        assert forked(lambda: None) == 0
        run(WRITE, path, {"k": f"new {round_}"})  # it was alone, so that its close removed the log
        if first == "read another":
            n["l"]
        elif first == "write another":
            n["m"] = 3
        elif first == "long write":
            n.set_many({str(number): 0 for number in range(2100)})
        assert n["k"] == f"new {round_}"
        assert warmed(n, "k", "l") == [f"new {round_}", "old"]


@needs_fork
@pytest.mark.parametrize("filled", [False, True], ids=["empty", "filled anew"])
def test_a_fill_that_a_fork_interrupts_is_not_taken_for_one_of_the_new_log(kind, make_store, path, filled):
    with Store(path) as store:
        store.ns("n").update(k="old", l="old")
    store = make_store(path, lru_bytes="4 MB")
    n = store.ns("n")

    def elsewhere():
        assert forked(lambda: None) == 0
        run(WRITE, path, {"k": "new"})
        thread = threading.Thread(target=lambda: [n.get("l") for _ in range(3 if filled else 1)])
        thread.start()
        thread.join(20)

    Interrupted(store, elsewhere)
    assert n["k"] == "old"
    assert n["k"] == "new"


@needs_fork
def test_the_figures_of_a_child_are_its_own(store):
    n = store.ns("n")
    n["k"] = 1
    warmed(n, "k")

    def child():
        assert store.stats().lru[:4] == (0, 0, 0, 0)

    assert forked(child) == 0


# -- accidents of others


@posix
def test_a_writer_that_was_killed_while_it_told_of_its_commit(make_store, path):
    """The header has two copies. Who finds them unequal reads the log again, and counts commits from 0."""
    with Store(path) as store:
        store.ns("n").update(k="old", l=1)
    store = make_store(path, lru_bytes="1 MB")
    n = store.ns("n")
    assert warmed(n, "k", "l") == ["old", 1]
    run(
        """
        import sqlite3
        index = os.open(sys.argv[1] + "-shm", os.O_RDWR)
        before = os.pread(index, 48, 0)
        other = sqlite3.connect(sys.argv[1], isolation_level=None)
        other.execute("UPDATE kv SET value = ?, version = version + 1 WHERE key = 'k'", (b'"new"',))
        os.pwrite(index, before, 0)  # the second copy was written first, and the kill came before the first
        os._exit(0)
        """,
        path,
    )
    n["l"] = 2
    assert n.get_with_meta("k").value == "new"
    assert warmed(n, "k", "l") == ["new", 2]


def test_writers_that_are_killed_leave_nothing_stale(store, path):
    n = store.ns("n")
    n["k"] = 0
    for _ in range(4):
        code = "s = Store(sys.argv[1]); say()\nwhile True: s.ns('n').incr('k'); s.ns('n').incr('l')"
        with Worker(code, path) as worker:
            worker.hear()
            last = 0
            for _ in range(300):
                seen = n["k"]
                assert seen >= last
                last = seen
            worker.kill()
        assert n["k"] == n.get_with_meta("k").value
        n.incr("l")
        assert warmed(n, "k", "l") == [n.get_with_meta("k").value, n.get_with_meta("l").value]


# -- locks

IS_LOCKED = """
import sqlite3
other = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)
try:
    other.execute("BEGIN IMMEDIATE")
    say("free")
except sqlite3.OperationalError:
    say("locked")
os._exit(0)
"""


def test_closing_one_of_two_stores_leaves_the_locks_of_the_other(kind, make_store, path):
    a, b = make_store(path, lru_bytes=10_000), make_store(path, lru_bytes=10_000)
    a.ns("n")["k"] = 0
    warmed(b.ns("n"), "k")
    with b._engine._database.aside() as cursor:
        cursor.execute("BEGIN IMMEDIATE")
        assert run(IS_LOCKED, path) == ["locked"]
        a.close()
        assert run(IS_LOCKED, path) == ["locked"]
        cursor.execute("ROLLBACK")
    code = "s = Store(sys.argv[1]); say(); hear()\nfor _ in range(500): s.ns('n').incr('k')"
    with Worker(code, path) as worker:
        worker.hear()
        worker.say()
        for number in range(500):
            with make_store(path, lru_bytes=10_000) if number % 100 == 0 else closing(open(os.devnull)):
                b.ns("n").incr("k")
        worker.finish()
    assert b.ns("n")["k"] == 1000
    assert b.check().ok


@posix
@pytest.mark.parametrize("how", ["close", pytest.param("fork", marks=needs_fork), "collect"])
def test_a_store_leaves_the_locks_of_a_connection_that_its_user_made(path, how):
    """pandas, say, or SQLAlchemy: closing a descriptor of the wal-index would drop their locks on it."""
    with Store(path) as store:
        store.ns("n")["k"] = 1
    with closing(sqlite3.connect(path, isolation_level=None)) as own:
        own.execute("BEGIN IMMEDIATE")
        own.execute("UPDATE kv SET version = version + 1")
        for _ in range(3):
            store = Store(path, lru_bytes=10_000)
            assert warmed(store.ns("n"), "k") == [1]
            if how == "close":
                store.close()
            elif how == "fork":
                assert forked(lambda: None) == 0
            else:
                del store
            assert run(IS_LOCKED, path) == ["locked"]
        own.execute("COMMIT")


@posix
def test_stores_that_are_opened_and_closed_leave_no_descriptors(path, kind):
    def descriptors():
        return len(os.listdir("/dev/fd"))

    with Store(path, lru_bytes=1000) as store:
        store.ns("n")["k"] = 1
    before = descriptors()
    for _ in range(20):
        with Store(path, lru_bytes=1000) as store, Store(path, lru_bytes=1000):
            warmed(store.ns("n"), "k")
    assert descriptors() <= before


@posix
def test_a_wal_index_of_an_unknown_format_is_left_alone_without_loss_of_locks(make_store, path, monkeypatch):
    monkeypatch.setattr(data_version, "KNOWN_FORMAT", 1)
    first = make_store(path, lru_bytes=10_000)
    first.ns("n")["k"] = 1
    with first._engine._database.aside() as cursor:
        cursor.execute("BEGIN IMMEDIATE")
        second = make_store(path, lru_bytes=10_000)
        assert run(IS_LOCKED, path) == ["locked"]
        cursor.execute("ROLLBACK")
    for number in range(5):
        first.ns("n")["k"] = number
        assert warmed(second.ns("n"), "k") == warmed(first.ns("n"), "k") == [number]


@posix
def test_a_long_call_that_begins_while_the_store_is_closed_keeps_its_locks_or_is_refused(path):
    store = Store(path, lru_bytes=10_000)
    store.ns("n")["k"] = 1
    database = store._engine._database
    inside, go_on = threading.Event(), threading.Event()

    def long_call():
        try:
            with database.aside() as cursor:
                cursor.execute("BEGIN IMMEDIATE")
                inside.set()
                go_on.wait(20)
                cursor.execute("ROLLBACK")
        except Exception:
            pass
        inside.set()

    thread = threading.Thread(target=long_call, daemon=True)
    gate = database._gate

    class Gate:
        """Lets the long call begin when the close has looked for such calls and found none."""

        def __enter__(self):
            return gate.__enter__()

        def __exit__(self, *error):
            gate.__exit__(*error)
            database._gate = gate
            thread.start()
            assert inside.wait(20)

    database._gate = Gate()
    closer = threading.Thread(target=store.close, daemon=True)
    closer.start()
    assert inside.wait(20)
    closer.join(1)
    began = thread.is_alive()
    verdict = run(IS_LOCKED, path)
    go_on.set()
    closer.join(20)
    thread.join(20)
    assert verdict == (["locked"] if began else ["free"])
