"""What adapters share: a store per file and process, and keys and times that a store does not take."""

import os
import threading

import pytest

from sqlitedict_kv import Store, StoreClosedError, StoreDetachedError
from sqlitedict_kv.adapters.support import (
    close_shared_stores,
    fitting_key,
    fitting_ttl,
    shared_async_store,
    shared_store,
)
from sqlitedict_kv.validation import MAX_TTL
from tests.support.processes import forked


@pytest.fixture(autouse=True)
def closed_stores():
    yield
    close_shared_stores()


def test_a_path_has_one_store_however_it_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    store = shared_store("app.db", {})
    for path in ("./app.db", tmp_path / "app.db", str(tmp_path / "link" / "app.db")):
        assert shared_store(path, {}) is store
    assert shared_store("other.db", {}) is not store
    assert shared_store("app.db", {"durability": "power"}) is not store
    assert shared_async_store(store) is shared_async_store(store)


def test_memory_is_shared_within_the_process():
    store = shared_store(":memory:", {})
    store.ns("users")["k"] = 1
    assert shared_store(":memory:", {}).ns("users")["k"] == 1


def test_threads_that_open_at_once_get_one_store(tmp_path):
    barrier, stores = threading.Barrier(8), []

    def work():
        barrier.wait()
        stores.append(shared_store(tmp_path / "app.db", {}))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, stores))) == 1
    stores[0].ns("users")["k"] = 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_shared_store_works_on_both_sides_of_a_fork(tmp_path):
    store = shared_store(tmp_path / "app.db", {})
    store.ns("hits").incr("k")

    def child():
        assert shared_store(tmp_path / "app.db", {}) is store
        assert store.ns("hits").incr("k") == 2

    assert forked(child) == 0
    assert store.ns("hits").incr("k") == 3


def test_a_closed_store_is_opened_anew(tmp_path):
    store = shared_store(tmp_path / "app.db", {})
    close_shared_stores()
    with pytest.raises(StoreClosedError):
        store.ns("users")["k"] = 1
    shared_store(tmp_path / "app.db", {}).ns("users")["k"] = 1


@pytest.mark.skipif(os.name == "nt", reason="Windows deletes no file that is open")
def test_a_file_that_was_deleted_or_replaced_is_opened_anew(tmp_path):
    path = tmp_path / "app.db"
    old = shared_store(path, {})
    old.ns("users")["k"] = 1
    for file in tmp_path.iterdir():
        file.unlink()
    with pytest.raises(StoreDetachedError):
        old.ns("users")["k"] = 2
    new = shared_store(path, {})
    assert "k" not in new.ns("users")
    new.ns("users")["k"] = 3
    assert shared_store(path, {}) is new

    with Store(tmp_path / "other.db") as other:
        other.ns("users")["k"] = 4
    for file in tmp_path.glob("app.db*"):
        file.unlink()
    (tmp_path / "other.db").rename(path)
    assert shared_store(path, {}).ns("users")["k"] == 4


@pytest.mark.parametrize(("options", "error"), [({"max_bytes": []}, TypeError), ({"colour": "red"}, TypeError)])
def test_wrong_options_raise_as_the_store_does(tmp_path, options, error):
    with pytest.raises(error):
        shared_store(tmp_path / "app.db", options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", ["", "k", "é" * 512, "a" * 1024, "\x00", "\x02"])
def test_a_key_that_fits_stays(key):
    assert fitting_key(key) == key


def test_keys_that_do_not_fit_are_hashed_and_never_meet_another():
    keys = [
        "a" * 1025,
        "a" * 1026,
        "é" * 513,
        "\ud800",
        "\ud801",
        "\x01",
        "\x01\x01",
        fitting_key("a" * 1025),
        "a" * 1024,
    ]
    fitting = [fitting_key(key) for key in keys]
    assert len(set(fitting)) == len(keys)
    assert all(len(key.encode()) <= 1024 for key in fitting)
    assert [fitting_key(key) for key in keys] == fitting


def test_more_than_a_century_is_for_ever():
    assert fitting_ttl(None) is None
    assert fitting_ttl(MAX_TTL) == MAX_TTL
    assert fitting_ttl(MAX_TTL + 1) is None
    assert fitting_ttl(0) == 0
