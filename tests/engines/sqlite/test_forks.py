"""A store and os.fork: it works on both sides, and the child never touches the locks of its parent."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sqlite3
import sys
import threading
from contextlib import contextmanager

import pytest

from sqlitedict_kv import ForkedStoreError, Store, StoreClosedError
from sqlitedict_kv.engines.sqlite import fork_safety
from tests.support.processes import Worker, forked, run

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    # Since 3.12 Python warns of a fork beside threads; that it works is what is tested here.
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning"),
]

SLOW = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 400000000) SELECT count(*) FROM c"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


def seen(path):
    """What a new process reads from the file."""
    return eval("".join(run('say(Store(sys.argv[1]).ns("n").copy())', path)))


def exit_of(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def increment(store):
    store.ns("n").incr("k")


def test_a_store_works_on_both_sides_of_a_fork(path):
    with Store(path) as store:
        n = store.ns("n")
        for number in range(40):
            n[f"before {number}"] = number

            def child(number=number):
                assert n[f"before {number}"] == number
                n[f"child {number}"] = number
                n.incr("k")

            assert forked(child) == 0
            assert n[f"child {number}"] == number
            n.incr("k")
        assert n["k"] == 80
        assert seen(path) == n.copy()
        assert store.check().ok


def test_both_sides_write_at_the_same_time(path):
    rounds = 100
    with Store(path) as store:
        n = store.ns("n")
        children = []
        for _ in range(3):
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    for _ in range(rounds):
                        n.incr("k")
                    code = 0
                finally:
                    os._exit(code)
            children.append(child)
        for _ in range(rounds):
            n.incr("k")
        assert [exit_of(child) for child in children] == [0, 0, 0]
        assert n["k"] == 4 * rounds
        assert seen(path) == {"k": 4 * rounds}
        assert store.check().ok


def test_a_store_goes_into_processes_of_multiprocessing(path):
    context = multiprocessing.get_context("fork")
    with Store(path) as store:
        store.ns("n")["k"] = 0
        children = [context.Process(target=increment, args=(store,)) for _ in range(4)]
        for child in children:
            child.start()
        for child in children:
            child.join()
        assert [child.exitcode for child in children] == [0] * 4
        assert store.ns("n")["k"] == 4


@contextmanager
def busy(store, threads=3):
    """Threads that write and read all the time; gives what they have acknowledged."""
    acknowledged, problems, stop = {}, [], threading.Event()

    def work(number):
        n = store.ns("n")
        step = 0
        try:
            while not stop.is_set():
                step += 1
                n[f"{number}:{step % 20}"] = step
                acknowledged[f"{number}:{step % 20}"] = step
                n.get_many([f"{number}:{i}" for i in range(20)])
                if step % 10 == 0:
                    store.stats()
                    store.sync()
        except BaseException as error:
            problems.append(error)

    crew = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for thread in crew:
        thread.start()
    try:
        yield acknowledged
    finally:
        stop.set()
        for thread in crew:
            thread.join()
    assert problems == []


@pytest.mark.slow
def test_a_fork_beside_busy_threads_hangs_nobody_and_loses_nothing(path):
    with Store(path) as store:
        n = store.ns("n")
        with busy(store) as acknowledged:
            for number in range(60):

                def child(number=number):
                    n[f"child {number}"] = number
                    assert n[f"child {number}"] == number

                assert forked(child) == 0
        expected = acknowledged | {f"child {number}": number for number in range(60)}
        assert n.copy() == expected
        assert store.check().ok
        assert seen(path) == expected


@pytest.mark.slow
@pytest.mark.parametrize("how", ["close", "collect", "exit"])
def test_what_the_child_does_with_its_copy_does_not_hurt_the_parent(path, how):
    """A child that closes an inherited connection drops the POSIX locks of its parent."""
    store = Store(path)
    n = store.ns("n")
    n["start"] = 1
    for number in range(10):
        with store.atomic() as tx:
            tx.ns("n")[str(number)] = number
        child = os.fork()
        if child == 0:
            if how == "close":
                store.close()
            elif how == "collect":
                del store, n
                gc.collect()
            else:
                sys.stderr = None
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
                gc.collect()
            os._exit(0)
        n[f"after {number}"] = number
        assert exit_of(child) == 0
        # Another process that opens and closes would remove the log if it saw no locks.
        assert seen(path) == n.copy()
        n[f"later {number}"] = number
    assert len(seen(path)) == 31
    assert store.check().ok
    store.close()


def test_a_closed_store_stays_closed_in_the_child(path):
    store = Store(path)
    store.close()

    def child():
        with pytest.raises(StoreClosedError):
            store.ns("n")["k"] = 1

    assert forked(child) == 0


def test_a_store_closed_in_the_child_goes_on_in_the_parent(path):
    with Store(path) as store:
        assert forked(store.close) == 0
        store.ns("n")["k"] = 1
        assert store.ns("n")["k"] == 1


def test_a_memory_store_is_a_copy_in_the_child():
    with Store() as store:
        n = store.ns("n")
        n["k"] = 1

        def child():
            assert n["k"] == 1
            n["k"] = 2
            n["new"] = "child"
            assert n["k"] == 2
            assert store.check().ok

        for _ in range(5):
            assert forked(child) == 0
        n["more"] = 3
        assert n.copy() == {"k": 1, "more": 3}


def test_a_memory_store_beside_busy_threads_survives_forks():
    with Store() as store, busy(store, 2):
        for _ in range(20):

            def child():
                store.ns("c")["k"] = 1
                assert store.ns("c")["k"] == 1

            assert forked(child) == 0
        assert "k" not in store.ns("c")


def test_many_stores_survive_a_fork(tmp_path):
    stores = [Store(tmp_path / f"{number}.db") for number in range(5)] + [Store()]

    def child():
        for store in stores:
            store.ns("n").incr("k")

    for _ in range(5):
        assert forked(child) == 0
    assert [store.ns("n").get("k") for store in stores] == [5] * 5 + [None]
    for store in stores:
        store.close()


def test_a_child_of_a_child_works(path):
    with Store(path) as store:

        def child():
            store.ns("n")["child"] = 1
            assert forked(lambda: store.ns("n").set("grandchild", 2)) == 0
            store.ns("n")["child"] = 3

        assert forked(child) == 0
        assert store.ns("n").copy() == {"child": 3, "grandchild": 2}


def refused(store, path):
    """Assert in a child that the store and its file are out of reach, and were not touched."""
    # Nor may any call open another file: a mutex of all of SQLite may be held for ever.
    sqlite3.connect = lambda *_, **__: pytest.fail("a connection was opened")
    sizes = [os.stat(name).st_mtime_ns for name in (path, f"{path}-wal")]
    n = store.ns("n")
    for call in (
        lambda: n["k"],
        lambda: n.set("k", 1),
        lambda: n.set_many({"k": 1}),
        lambda: len(n),
        store.stats,
        store.sync,
        lambda: store.backup(f"{path}.copy"),
    ):
        with pytest.raises(ForkedStoreError, match="forked"):
            call()
    with pytest.raises(ForkedStoreError):
        Store(path)  # nor under another object
    store.close()
    gc.collect()
    assert sizes == [os.stat(name).st_mtime_ns for name in (path, f"{path}-wal")]


@contextmanager
def thread_inside(entered, leave, hold):
    """A thread that runs *hold*, which sets *entered* when it is inside; leaves at the end."""
    thread = threading.Thread(target=hold)
    thread.start()
    assert entered.wait(10)
    try:
        yield
    finally:
        leave.set()
        thread.join()


def test_a_child_forked_while_a_thread_is_stuck_in_a_call_is_refused(path, monkeypatch):
    monkeypatch.setattr(fork_safety, "PATIENCE", 0.05)
    with Store(path) as store:
        n = store.ns("n")
        n["k"] = "parent"
        entered, leave = threading.Event(), threading.Event()

        def hold():
            with store._engine._database.main.lock:
                entered.set()
                leave.wait(30)

        with thread_inside(entered, leave, hold):
            assert forked(lambda: refused(store, path)) == 0
        n["after"] = 1
        assert seen(path) == {"k": "parent", "after": 1}
        assert forked(lambda: n.set("child", 2)) == 0  # the next one is born in peace
        assert store.check().ok


@pytest.mark.parametrize("how", ["run", "transact"])
def test_a_child_forked_while_a_thread_is_inside_sqlite_is_refused(path, monkeypatch, how):
    """The thread also holds the mutex and the cursor of the connection, and in the child nobody gives them back."""
    monkeypatch.setattr(fork_safety, "PATIENCE", 0.05)
    store = Store(path)
    n = store.ns("n")
    n["k"] = "parent"
    database = store._engine._database
    entered, leave = threading.Event(), threading.Event()
    raw = database.main.raw

    def hold():
        def slow(cursor):
            raw.set_progress_handler(lambda: (entered.set(), leave.is_set())[1], 10_000)
            cursor.execute(SLOW)

        with pytest.raises(Exception, match="interrupted"):
            getattr(database, how)(slow)
        raw.set_progress_handler(None, 1)

    reading, writing = os.pipe()
    gc.collect()  # or the child closes connections that other tests left, by SQLite, whose mutexes nobody gives back
    with thread_inside(entered, leave, hold), open(reading, "rb") as told:
        child = os.fork()
        if child == 0:
            try:
                refused(store, path)
                os.write(writing, b"refused")
            except BaseException as error:
                os.write(writing, repr(error).encode())
            finally:
                # Not os._exit: what measures coverage would save it by SQLite then, whose mutexes nobody gives back.
                os.kill(os.getpid(), signal.SIGKILL)
        os.close(writing)
        assert told.read() == b"refused"
        assert exit_of(child) == -signal.SIGKILL
    n["after"] = 1
    assert seen(path) == {"k": "parent", "after": 1}
    store.close()


@pytest.mark.slow
def test_a_child_forked_inside_a_transaction_never_hurts_it(path, monkeypatch):
    """A child that closed the connection would drop the parent's locks in the middle of its write."""
    monkeypatch.setattr(fork_safety, "PATIENCE", 0.05)
    with Store(path) as store:
        database = store._engine._database
        for number in range(5):
            entered, leave = threading.Event(), threading.Event()

            def hold(number=number, entered=entered, leave=leave):
                def work(cursor):
                    cursor.execute("INSERT INTO kv_floor VALUES (?, 1)", (f"t{number}",))
                    entered.set()
                    leave.wait(30)

                database.transact(work)

            with thread_inside(entered, leave, hold):
                assert forked(lambda: refused(store, path)) == 0
                lines = run(
                    """
                    try:
                        Store(sys.argv[1], timeout=0.05).ns("n")["k"] = 1
                    except StoreBusyError:
                        say("locked")
                    """,
                    path,
                )
                assert lines == ["locked"]  # the parent still holds the write lock
        found = database.run(lambda cursor: cursor.execute("SELECT count(*) FROM kv_floor").fetchone())
        assert found == (5,)
        assert store.check().ok


def test_a_fork_waits_for_a_long_call_that_has_just_begun(path, monkeypatch):
    """A connection that is added while the fork gathers the locks must not slip through."""
    monkeypatch.setattr(fork_safety, "PATIENCE", 0.2)
    with Store(path) as store:
        store.ns("n")["k"] = 1
        database = store._engine._database
        entered, leave = threading.Event(), threading.Event()
        gate = database._gate

        def hold():
            with database.aside() as cursor:
                cursor.execute("BEGIN IMMEDIATE")
                entered.set()
                leave.wait(30)
                cursor.execute("COMMIT")

        late = threading.Thread(target=hold)
        forking = threading.get_ident()

        class LateGate:
            """Lets a thread begin a long call in the last instant before the fork gets the gate."""

            def acquire(self, blocking=True, timeout=-1):
                if threading.get_ident() == forking and not entered.is_set():
                    late.start()
                    assert entered.wait(10)
                return gate.acquire(blocking, timeout)

            def release(self):
                gate.release()

            def __enter__(self):
                self.acquire()

            def __exit__(self, *_):
                self.release()

        database._gate = LateGate()
        try:
            assert forked(lambda: refused(store, path)) == 0
            assert entered.is_set()
        finally:
            database._gate = gate
            leave.set()
            late.join()
        store.ns("n")["k"] = 2
        assert seen(path) == {"k": 2}


def test_a_refused_child_may_use_other_files(tmp_path, monkeypatch):
    monkeypatch.setattr(fork_safety, "PATIENCE", 0.05)
    with Store(tmp_path / "a.db") as store, Store(tmp_path / "b.db") as idle:
        entered, leave = threading.Event(), threading.Event()

        def hold():
            with store._engine._database.main.lock:
                entered.set()
                leave.wait(30)

        def child():
            idle.ns("n")["k"] = 1
            with Store(tmp_path / "c.db") as other:
                other.ns("n")["k"] = 1
            with pytest.raises(ForkedStoreError):
                store.ns("n")["k"] = 1

        with thread_inside(entered, leave, hold):
            assert forked(child) == 0
        assert idle.ns("n")["k"] == 1


@pytest.mark.parametrize("module", ["sqlitedict_kv.codecs.npy", "isal.isal_zlib"])
def test_a_child_forked_while_a_thread_writes_the_first_array_does_not_wait_for_its_import(path, module):
    pytest.importorskip(module)
    lines = run(
        """
        import signal, threading, warnings
        import numpy as np

        warnings.simplefilter("ignore", DeprecationWarning)  # since 3.12, of forks beside threads
        entered, leave = threading.Event(), threading.Event()

        class Slow:
            def find_spec(self, name, path=None, target=None):
                if name == sys.argv[2]:
                    entered.set()
                    leave.wait(60)

        sys.meta_path.insert(0, Slow())
        store = Store(sys.argv[1])
        n = store.ns("n")
        thread = threading.Thread(target=lambda: n.set("parent", np.zeros(3000)))
        thread.start()
        assert entered.wait(60)
        threading.Timer(0.2, leave.set).start()
        child = os.fork()
        if child == 0:
            signal.alarm(30)  # instead of waiting forever
            n["child"] = np.ones(3000)
            os.kill(os.getpid(), signal.SIGKILL)
        say(-os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        thread.join()
        say(sorted(n.keys()))
        """,
        path,
        module,
    )
    assert lines == [str(int(signal.SIGKILL)), "['child', 'parent']"]


def test_a_preloading_server_with_forked_workers_keeps_every_count(path):
    """As gunicorn with preload does: made once, forked many times, parent and workers end in any order."""
    with Worker(
        """
        store = Store(sys.argv[1])
        n = store.ns("n")
        n["k"] = 0
        children = []
        for _ in range(6):
            child = os.fork()
            if child == 0:
                for _ in range(50):
                    n.incr("k")
                sys.exit(0)  # with all that an interpreter does at its end
            children.append(child)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        say(codes)
        n.incr("k")
        """,
        path,
    ) as worker:
        assert worker.hear() == str([0] * 6)
        worker.finish()
    assert seen(path) == {"k": 301}
