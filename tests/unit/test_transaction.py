"""What a transaction promises on entries that others use at the same time."""

import threading

import pytest

from sqlitedict_kv import ConflictError, ReadOnlyError, StoreBusyError, StoreClosedError, Transaction
from tests.conftest import keep_beside, on_shared


@on_shared
def test_no_lock_is_held_while_the_block_runs(open_store, after):
    ours, theirs = open_store(), open_store(timeout=0.1)
    with ours.atomic() as tx:
        tx.ns("users")["k"] = "ours"
        version = theirs.ns("users").set("k", "theirs")
        assert ours.ns("users")["k"] == "theirs"
    assert theirs.ns("users")["k"] == "ours"
    assert tx.versions == {("users", "k"): after(version)}


@on_shared
def test_a_check_fails_when_another_store_wrote_meanwhile(open_store, after):
    ours, theirs = open_store(), open_store()
    version = ours.ns("users").set("k", 1)
    other = "other"
    keep_beside(ours, other, "users")
    with pytest.raises(ConflictError) as caught, ours.atomic() as tx:
        tx.ns("users").check("k", version)
        tx.ns(other)["x"] = 1
        theirs.ns("users")["k"] = 2
    assert (caught.value.expected, caught.value.actual) == (version, after(version))
    assert "x" not in theirs.ns(other)


@on_shared
def test_others_see_all_of_a_transaction_or_nothing(open_store):
    ours, theirs = open_store(), open_store()
    torn, stop = [], threading.Event()

    def watch():
        while not stop.is_set():
            seen = theirs.ns("pair").get_many(["a", "b"])
            if len(set(seen.values())) > 1 or len(seen) == 1:
                torn.append(seen)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for number in range(150):
            with ours.atomic() as tx:
                tx.ns("pair")["a"] = number
                tx.ns("pair")["b"] = number
    finally:
        stop.set()
        watcher.join()
    assert torn == []


@on_shared
def test_transfers_of_many_threads_lose_nothing(open_store):
    store = open_store()
    accounts = store.ns("accounts")
    accounts.update(a=100, b=100)
    barrier = threading.Barrier(3)

    def work():
        barrier.wait()
        for _ in range(20):
            while True:
                a, b = accounts.get_with_meta("a"), accounts.get_with_meta("b")
                try:
                    with store.atomic() as tx:
                        view = tx.ns("accounts")
                        view.check("a", a.meta.version)
                        view.check("b", b.meta.version)
                        view["a"] = a.value - 1
                        view["b"] = b.value + 1
                except ConflictError:
                    continue
                break

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert accounts == {"a": 40, "b": 160}


@on_shared
def test_a_write_that_was_acknowledged_survives_the_conflicts_of_other_threads(open_store):
    store = open_store()
    users = store.ns("users")
    users["busy"] = 0
    stop = threading.Event()

    def conflict():
        while not stop.is_set():
            with pytest.raises(ConflictError):
                users.cas_set("busy", 1, 77)

    threads = [threading.Thread(target=conflict) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        acknowledged = {f"{number}": users.set(f"{number}", number) for number in range(1500)}
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert {key: entry.meta.version for key, entry in users.scan() if key != "busy"} == acknowledged


@on_shared
def test_a_transaction_on_a_store_that_only_reads_is_refused(open_store):
    with open_store() as store:
        store.ns("users")["k"] = 1
    store = open_store(readonly=True)
    with pytest.raises(ReadOnlyError), store.atomic() as tx:
        tx.ns("users")["k"] = 2
    assert store.ns("users")["k"] == 1


def test_a_transaction_that_waits_in_vain_says_so_and_writes_nothing(make_store, path):
    import sqlite3
    from contextlib import closing

    store = make_store(path, timeout=0.05)
    store.ns("users")["k"] = 1
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusyError, match=r"0\.05 s"), store.atomic() as tx:
            tx.ns("users")["k"] = 2
        other.execute("ROLLBACK")
    assert store.ns("users")["k"] == 1
    with pytest.raises(RuntimeError):
        _ = tx.versions


@on_shared
def test_a_store_that_was_closed_in_the_block_refuses_the_commit(open_store):
    store = open_store()
    with pytest.raises(StoreClosedError), store.atomic() as tx:
        tx.ns("users")["k"] = 1
        store.close()
    assert "k" not in open_store().ns("users")


def test_versions_are_a_copy(make_store):
    store = make_store()
    with store.atomic() as tx:
        tx.ns("users")["k"] = 1
    tx.versions.clear()
    assert tx.versions == {("users", "k"): 1}
    assert isinstance(tx, Transaction)
