"""A block that holds the write lock: alone, atomic, undone if it raises."""

import os
import sqlite3
import threading
from contextlib import closing

import pytest

from sqlitedict_kv import (
    ConflictError,
    ForkedStoreError,
    ReadOnlyError,
    StoreBusyError,
    StoreClosedError,
    StoreDetachedError,
    StoreError,
    StoreFullError,
)
from sqlitedict_kv.engines.protocol import Check, Put
from sqlitedict_kv.engines.sqlite import fork_safety
from tests.support.processes import Worker


def test_a_block_reads_its_own_writes_and_others_do_not_before_its_end(make_store, path):
    ours, theirs = make_store(path, lru_bytes="1 MB"), make_store(path, lru_bytes="1 MB")
    ours.ns("n").update(a=1, b=2, gone=3)
    assert (ours.ns("n")["a"], theirs.ns("n")["a"]) == (1, 1)
    with ours.exclusive() as held:
        n = held.ns("n")
        n["a"] = 10
        n.set_many({"c": 30, "d": 40})
        assert n.incr("b") == 3
        assert n.add("c", 0) is None
        assert n.pop("gone") == 3
        n.touch("d", 5)
        assert dict(n.items()) == {"a": 10, "b": 3, "c": 30, "d": 40}
        assert n.get_many(["a", "gone"]) == {"a": 10}
        assert len(n) == 4
        assert n.by_age().keys == ("a", "b", "c", "d")
        assert n.get_with_meta("a").meta.version == 2
        for store in (ours, theirs):
            assert store.ns("n").copy() == {"a": 1, "b": 2, "gone": 3}
    for store in (ours, theirs):
        assert store.ns("n").copy() == {"a": 10, "b": 3, "c": 30, "d": 40}
        assert store.ns("n")["a"] == 10


def test_a_block_that_raises_changes_nothing(make_store, path):
    store = make_store(path)
    n = store.ns("n")
    n.update(a=1, b=2)
    with pytest.raises(ZeroDivisionError), store.exclusive() as held:
        held.ns("n").clear()
        held.ns("n")["c"] = 1
        raise ZeroDivisionError
    assert n.copy() == {"a": 1, "b": 2}
    assert n.set("c", 1) == 1
    assert store.check().ok


def test_an_edit_that_fails_in_a_block_leaves_what_came_before(make_store, path):
    store = make_store(path)
    with store.exclusive() as held:
        n = held.ns("n")
        n["a"] = 1
        with pytest.raises(ConflictError):
            n.cas_set("a", 2, 7)
        with pytest.raises(TypeError):
            n.set_many({"b": 1, "c": object()})
        n["d"] = 4
    assert store.ns("n").copy() == {"a": 1, "d": 4}


def test_others_cannot_write_during_a_block_and_may_read(make_store, path):
    ours, theirs = make_store(path), make_store(path, timeout=0)
    theirs.ns("n")["a"] = 1
    with ours.exclusive() as held:
        held.ns("n")["b"] = 2
        with pytest.raises(StoreBusyError):
            theirs.ns("n")["a"] = 3
        with pytest.raises(StoreBusyError), theirs.exclusive():
            pass
        assert theirs.ns("n").copy() == {"a": 1}
    theirs.ns("n")["a"] = 4
    assert ours.ns("n").copy() == {"a": 4, "b": 2}


def test_threads_that_read_and_write_in_blocks_lose_nothing(make_store, path):
    store = make_store(path)
    start = threading.Barrier(4)

    def work():
        start.wait()
        for _ in range(25):
            with store.exclusive() as held:
                n = held.ns("n")
                n["count"] = n.get("count", 0) + 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.ns("n")["count"] == 100


def test_a_process_that_is_killed_in_a_block_leaves_neither_its_writes_nor_the_lock(make_store, path):
    store = make_store(path)
    store.ns("n")["a"] = 1
    code = """
        from sqlitedict_kv import Store
        with Store(sys.argv[1]).exclusive() as held:
            held.ns("n")["a"] = 2
            say("written")
            hear()
    """
    with Worker(code, path) as worker:
        assert worker.hear() == "written"
        worker.kill()
    store.ns("n")["b"] = 2
    assert store.ns("n").copy() == {"a": 1, "b": 2}


def test_what_cannot_be_is_refused_at_once(make_store, path):
    with pytest.raises(ValueError, match="file"), make_store().exclusive():
        pass
    store = make_store(path)
    with store.exclusive():
        with pytest.raises(RuntimeError, match="another block"), store.exclusive():
            pass
        with pytest.raises(RuntimeError, match="close"):
            store.close()
    with pytest.raises(ReadOnlyError), make_store(path, readonly=True).exclusive():
        pass
    store.close()
    with pytest.raises(StoreClosedError), store.exclusive():
        pass


def test_expired_entries_are_absent_in_a_block_and_can_be_purged(make_store, path, clock):
    store = make_store(path)
    store.ns("n").set_many({"a": 1, "b": 2}, ttl=5)
    store.ns("n")["c"] = 3
    clock.advance(5)
    with store.exclusive() as held:
        assert list(held.ns("n")) == ["c"]
        assert held.ns("n").purge_expired() == 2
    assert store.stats().expired == 0


def test_a_block_that_writes_much_is_followed_by_the_upkeep(make_store, path):
    store = make_store(path, max_entries=100)
    with store.exclusive() as held:
        for number in range(400):
            held.ns("n")[str(number)] = number
    assert store.stats().evicted > 0


def test_a_commit_that_fails_half_way_is_undone_and_the_block_goes_on(make_store, path):
    store = make_store(path)
    with store._engine.exclusive(lambda: 0) as engine:
        engine.commit([Put("n", "a", b"1", "application/json", None)], 0)
        with pytest.raises(ConflictError):
            engine.commit([Put("n", "b", b"2", "application/json", None), Check("n", "a", 7)], 0)
        engine.commit([Put("n", "c", b"3", "application/json", None)], 0)
    assert store.ns("n").copy() == {"a": 1, "c": 3}


def test_a_full_disk_in_a_block_undoes_it_and_the_store_goes_on(make_store, path):
    store = make_store(path)
    store.ns("n")["a"] = 1
    with pytest.raises(StoreFullError), store.exclusive() as held:
        held.ns("n")["a"] = 2
        held.ns("n")._engine._session._raw.execute("PRAGMA max_page_count = 20")
        for number in range(100):
            held.ns("n")[str(number)] = "x" * 10_000
    assert store.ns("n").copy() == {"a": 1}
    with store.exclusive() as held:
        held.ns("n")["a"] = 3
    assert store.ns("n").copy() == {"a": 3}


def test_nothing_is_written_in_a_block_whose_transaction_sqlite_has_ended(make_store, path):
    store = make_store(path)
    with pytest.raises(StoreError, match="begin again"), store.exclusive() as held:
        held.ns("n")["a"] = 1
        held.ns("n")._engine._session._raw.rollback()  # as SQLite does by itself after some failures
        held.ns("n")["b"] = 2
    with pytest.raises(StoreError, match="begin again"), store.exclusive() as held:
        held.ns("n")["a"] = 1
        held.ns("n")._engine._session._raw.rollback()
    assert store.ns("n").copy() == {}


def test_an_error_of_another_database_in_a_block_is_raised_as_it_is_and_stops_nothing(make_store, path, tmp_path):
    store = make_store(path)
    other = tmp_path / "other.db"
    other.write_bytes(b"no database" * 1000)
    with (
        closing(sqlite3.connect(other)) as stranger,
        pytest.raises(sqlite3.DatabaseError, match="not a database"),
        store.exclusive() as held,
    ):
        held.ns("n")["a"] = 1
        stranger.execute("SELECT * FROM t")
    assert store.ns("n").copy() == {}
    assert store.ns("n").set("a", 1) == 1


def test_what_a_block_is_given_is_refused_after_it_and_in_other_threads(make_store, path):
    store = make_store(path)
    raised = []

    def use(n):
        try:
            n["b"] = 2
        except RuntimeError as error:
            raised.append(error)

    with store.exclusive() as held:
        n = held.ns("n")
        n["a"] = 1
        thread = threading.Thread(target=use, args=(n,))
        thread.start()
        thread.join()
    assert len(raised) == 1
    for call in (lambda: n["a"], lambda: n.set("a", 2), lambda: n.get_many(["a"]), n.clear, lambda: list(n)):
        with pytest.raises(RuntimeError, match="no use after it"):
            call()
    assert store.ns("n").copy() == {"a": 1}


def test_a_block_that_is_left_in_another_thread_raises_there_and_is_over_for_both(make_store, path):
    store = make_store(path)
    block = store.exclusive()
    block.__enter__().ns("n")["b"] = 2
    raised = []

    def leave():
        try:
            block.__exit__(None, None, None)
        except RuntimeError as error:
            raised.append(error)

    thread = threading.Thread(target=leave)
    thread.start()
    thread.join()
    assert len(raised) == 1
    with store.exclusive() as held:
        held.ns("n")["a"] = 1
    assert store.ns("n").copy() == {"a": 1}


@pytest.mark.parametrize("long", ["block", "clear", "commit"])
def test_a_file_that_is_deleted_during_long_work_is_noticed_before_the_commit(make_store, path, long):
    store = make_store(path)
    n = store.ns("n")
    n["a"] = 1

    def delete(_=None):
        path.unlink()

    if long == "block":
        with pytest.raises(StoreDetachedError), store.exclusive() as held:
            held.ns("n")["b"] = 2
            delete()
    else:
        # The lock is had only after a while, as if others had held it: meanwhile the file goes.
        patiently = store._engine._database.patiently

        def slowly(work):
            delete()
            return patiently(work)

        store._engine._database.patiently = slowly
        with pytest.raises(StoreDetachedError):
            n.clear() if long == "clear" else n.set_many({str(number): number for number in range(2001)})
    with pytest.raises(StoreDetachedError):
        n.get("a")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_that_is_forked_in_a_block_cannot_use_it_nor_commit_it(make_store, path, monkeypatch):
    monkeypatch.setattr(fork_safety, "PATIENCE", 0.1)  # seconds; the block cannot end while its own thread forks
    store = make_store(path)
    parent = os.getpid()
    refused = 0
    try:
        with store.exclusive() as held:
            held.ns("n")["a"] = 1
            child = os.fork()
            if not child:
                try:
                    held.ns("n")["b"] = 2
                except ForkedStoreError:
                    refused += 1
    except ForkedStoreError:
        refused += 1
    finally:
        if os.getpid() != parent:
            os._exit(refused)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    assert store.ns("n").copy() == {"a": 1}
