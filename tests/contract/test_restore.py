"""What a copy needs of an engine: the highest version of a namespace, and writes above those of another store."""

import pytest

from sqlitedict_kv.engines.protocol import Delete, Put
from sqlitedict_kv.engines.record import Record
from tests.contract.conftest import on_restorable
from tests.support.awaited import AwaitedStore

pytestmark = on_restorable

BINARY = "application/octet-stream"


@pytest.fixture
def storage(store):
    for name in "nm":
        store.ns(name)  # a store in shards says so before the storage is used
    return (store.store.sync_store if isinstance(store, AwaitedStore) else store)._context.engine


@pytest.fixture
def now(clock):
    return lambda: int(clock() * 1000)


def put(key, body=b"new", expires_at=None):
    return Put("n", key, body, BINARY, expires_at)


def test_what_has_given_no_version_has_no_highest(store, storage):
    assert storage.highest("n") == 0
    store.ns("other")["k"] = 1
    assert storage.highest("n") == 0


def test_the_highest_version_is_that_of_any_key(store, storage):
    n = store.ns("n")
    given = [n.set(key, 0) for key in "abbbc"]
    assert storage.highest("n") == max(given)


def test_the_highest_version_stays_when_its_entry_goes(store, storage, clock):
    n = store.ns("n")
    for remove in (n.clear, lambda: n.delete("k"), lambda: store.drop("n"), store.purge_expired):
        n.set("k", 0)
        version = n.set("k", 0, ttl=1)
        if remove == store.purge_expired:
            clock.advance(2)
        remove()
        assert storage.highest("n") >= version


def test_entries_are_restored_above_a_version_whatever_is_there(store, storage, now):
    n = store.ns("n")
    before = max(n.set(key, 0) for key in ["old", "other", "old"])
    above = before + 1000
    storage.restore("n", [put("old", b"1", now() + 5000), put("new", b"2")], above, now())
    old, new = storage.read("n", "old"), storage.read("n", "new")
    assert old == Record(b"1", BINARY, old.version, now() + 5000, now())
    assert new == Record(b"2", BINARY, new.version, None, now())
    assert old.version > above
    assert new.version > above
    assert storage.highest("n") >= max(old.version, new.version)
    assert n["other"] == 0
    assert store.check().ok


def test_an_entry_above_that_version_gets_a_greater_one_still(store, storage, now):
    n = store.ns("n")
    storage.restore("n", [put("k")], 5000, now())
    version = n.set("k", 0)
    storage.restore("n", [put("k")], 10, now())
    assert storage.read("n", "k").version > version


def test_a_key_that_is_created_later_starts_above_that_version(store, storage, now):
    above = storage.highest("n") + 2**40
    storage.restore("n", [put("k")], above, now())
    assert store.ns("n").set("created", 0) > above
    assert store.ns("n").set_many({"created too": 0})["created too"] > above
    assert store.ns("n").add("added", 0) > above


def test_a_namespace_without_entries_begins_above_that_version(store, storage, now):
    above = 2**40
    storage.restore("n", [], above, now())
    assert storage.highest("n") >= above
    assert list(store.ns("n")) == []
    assert store.ns("n").set("k", 0) > above
    storage.restore("m", [], 0, now())
    assert storage.highest("m") == 0


def test_a_restored_entry_is_like_any_other(store, storage, now):
    n = store.ns("n")
    storage.restore("n", [put(f"k{number:03}", b"%d" % number) for number in range(100)], 70, now())
    assert len(n) == 100
    assert n["k042"] == b"42"
    version = n.get_with_meta("k042").meta.version
    assert n.cas_set("k042", b"x", version) > version
    n.touch("k043", 5)
    assert n["k043"] == b"43"
    del n["k044"]
    assert n.set("k044", 0) > version
    assert store.check().ok


def test_the_same_page_may_be_restored_twice(store, storage, now):
    page = [put(f"k{number:03}", b"%d" % number, now() + 1000) for number in range(40)]
    storage.restore("n", page, 7, now())
    storage.restore("n", page, 7, now())
    assert {key: record.body for key, record in storage.read_many("n", [edit.key for edit in page]).items()} == {
        edit.key: edit.body for edit in page
    }


def test_restoring_nothing_of_what_was_removed_leaves_the_floor(store, storage, now):
    n = store.ns("n")
    for _ in range(9):
        version = n.set("gone", 0)
    storage.commit([Delete("n", "gone")], now())
    storage.restore("n", [put("k")], 1, now())
    assert storage.read("n", "k").version > 1
    assert n.set("gone", 0) > version
