"""What a copy needs of an engine: the highest version of a namespace, and writes above those of another store."""

import pytest

from sqlitedict_kv.engine import Delete, Put
from sqlitedict_kv.record import Record
from tests.awaited import AwaitedStore

BINARY = "application/octet-stream"


@pytest.fixture
def engine(store):
    return (store.store.sync_store if isinstance(store, AwaitedStore) else store)._core.engine


@pytest.fixture
def now(clock):
    return lambda: int(clock() * 1000)


def put(key, body=b"new", expires_at=None):
    return Put("n", key, body, BINARY, expires_at)


def test_what_has_given_no_version_has_no_highest(store, engine):
    assert engine.highest("n") == 0
    store.ns("other")["k"] = 1
    assert engine.highest("n") == 0


def test_the_highest_version_is_that_of_any_key(store, engine):
    n = store.ns("n")
    given = [n.set(key, 0) for key in "abbbc"]
    assert engine.highest("n") == max(given)


def test_the_highest_version_stays_when_its_entry_goes(store, engine, clock):
    n = store.ns("n")
    for remove in (n.clear, lambda: n.delete("k"), lambda: store.drop("n"), store.purge_expired):
        n.set("k", 0)
        version = n.set("k", 0, ttl=1)
        if remove == store.purge_expired:
            clock.advance(2)
        remove()
        assert engine.highest("n") >= version


def test_entries_are_restored_above_a_version_whatever_is_there(store, engine, now):
    n = store.ns("n")
    before = max(n.set(key, 0) for key in ["old", "other", "old"])
    above = before + 1000
    engine.restore("n", [put("old", b"1", now() + 5000), put("new", b"2")], above, now())
    old, new = engine.read("n", "old"), engine.read("n", "new")
    assert old == Record(b"1", BINARY, old.version, now() + 5000, now())
    assert new == Record(b"2", BINARY, new.version, None, now())
    assert old.version > above
    assert new.version > above
    assert engine.highest("n") == max(old.version, new.version)
    assert n["other"] == 0
    assert store.check().ok


def test_an_entry_above_that_version_gets_a_greater_one_still(store, engine, now):
    n = store.ns("n")
    engine.restore("n", [put("k")], 5000, now())
    version = n.set("k", 0)
    engine.restore("n", [put("k")], 10, now())
    assert engine.read("n", "k").version > version


def test_a_key_that_is_created_later_starts_above_that_version(store, engine, now):
    above = engine.highest("n") + 2**40
    engine.restore("n", [put("k")], above, now())
    assert store.ns("n").set("created", 0) > above
    assert store.ns("n").set_many({"created too": 0})["created too"] > above
    assert store.ns("n").add("added", 0) > above


def test_a_namespace_without_entries_begins_above_that_version(store, engine, now):
    above = 2**40
    engine.restore("n", [], above, now())
    assert engine.highest("n") >= above
    assert list(store.ns("n")) == []
    assert store.ns("n").set("k", 0) > above
    engine.restore("m", [], 0, now())
    assert engine.highest("m") == 0


def test_a_restored_entry_is_like_any_other(store, engine, now):
    n = store.ns("n")
    engine.restore("n", [put(f"k{number:03}", b"%d" % number) for number in range(100)], 70, now())
    assert len(n) == 100
    assert n["k042"] == b"42"
    version = n.get_with_meta("k042").meta.version
    assert n.cas_set("k042", b"x", version) > version
    n.touch("k043", 5)
    assert n["k043"] == b"43"
    del n["k044"]
    assert n.set("k044", 0) > version
    assert store.check().ok


def test_the_same_page_may_be_restored_twice(store, engine, now):
    page = [put(f"k{number:03}", b"%d" % number, now() + 1000) for number in range(40)]
    engine.restore("n", page, 7, now())
    engine.restore("n", page, 7, now())
    assert {key: record.body for key, record in engine.read_many("n", [edit.key for edit in page]).items()} == {
        edit.key: edit.body for edit in page
    }


def test_restoring_nothing_of_what_was_removed_leaves_the_floor(store, engine, now):
    n = store.ns("n")
    for _ in range(9):
        version = n.set("gone", 0)
    engine.commit([Delete("n", "gone")], now())
    engine.restore("n", [put("k")], 1, now())
    assert engine.read("n", "k").version > 1
    assert n.set("gone", 0) > version
