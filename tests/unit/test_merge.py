"""A merge takes over what is newer, and nothing else; what others write meanwhile is compared too."""

import asyncio
import os
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime

import pytest

from sqlitedict_kv import (
    AsyncStore,
    Codec,
    ConflictError,
    DamagedEntryError,
    ReadOnlyError,
    Store,
    TooLargeError,
    UnsupportedError,
)
from sqlitedict_kv.operations import merging, optional


@pytest.fixture
def other(make_store, tmp_path):
    """Return a store in another file."""
    return make_store(tmp_path / "other.db")


def contents(store, name="users"):
    return dict(store.ns(name))


def test_what_is_newer_is_taken_over_and_what_is_older_stays(store, other, clock):
    ours, theirs = store.ns("users"), other.ns("users")
    ours["stays"], theirs["stays"] = 1, 1
    theirs["older"], ours["newer there"] = 1, 1
    clock.advance(1)
    ours["older"], theirs["newer there"] = 2, 2
    ours["here"], theirs["there"] = 3, 3
    assert store.merge(other) == 2
    assert contents(store) == {"stays": 1, "older": 2, "newer there": 2, "here": 3, "there": 3}
    assert contents(other) == {"stays": 1, "older": 1, "newer there": 2, "there": 3}


def test_a_merge_out_of_any_store_takes_over_what_is_newer(store, other, clock):
    store.ns("users").set_many({f"k{i}": i for i in range(500)})
    other.ns("users")["k7"] = "old"
    clock.advance(1)
    other.ns("users")["k8"] = "new"
    assert other.merge(store) == 498
    assert contents(other)["k8"] == "new"
    assert contents(other)["k7"] == "old"


def test_merging_again_takes_over_nothing_and_both_ways_end_with_the_same(store, other, clock):
    for place, number in ((store, 1), (other, 2), (store, 3), (other, 4)):
        clock.advance(1)
        place.ns("users").update({"both": number, f"only {number}": number})
    assert store.merge(other) == 3
    assert other.merge(store) == 2
    assert contents(store) == contents(other) == {"both": 4, **{f"only {i}": i for i in range(1, 5)}}
    clock.advance(60)
    assert [store.merge(other), other.merge(store)] == [0, 0]


def test_an_entry_keeps_when_it_was_written_so_that_a_later_write_there_is_taken_over(store, other, clock):
    users = other.ns("users")
    users["k"] = 1
    written = users.get_with_meta("k").meta.updated_at
    clock.advance(10)
    store.merge(other)
    assert store.ns("users").get_with_meta("k").meta.updated_at == written
    clock.advance(-5)
    users["k"] = 2
    assert store.merge(other) == 1
    assert store.ns("users")["k"] == 2


def test_types_and_expiry_are_kept(store, other, clock):
    users = other.ns("users")
    users.update({"tuple": (1, {2}), "bytes": b"\x00", "text": "a", "when": datetime(2026, 1, 1, tzinfo=UTC)})
    users.set("short", 1, ttl=10)
    users.set("gone", 1, ttl=1)
    clock.advance(2)
    assert store.merge(other) == 5
    for key in list(users):
        mine, there = store.ns("users").get_with_meta(key), users.get_with_meta(key)
        assert mine.value == there.value
        assert (mine.meta.content_type, mine.meta.expires_at) == (there.meta.content_type, there.meta.expires_at)
    clock.advance(8)
    assert "short" not in store.ns("users")


def test_what_has_expired_here_is_absent(store, other, clock):
    other.ns("users")["k"] = "there"
    clock.advance(1)
    store.ns("users").set("k", "newer", ttl=1)
    assert store.merge(other) == 0
    clock.advance(2)
    assert store.merge(other) == 1
    assert store.ns("users")["k"] == "there"


def test_a_version_that_was_held_fits_nothing_after_a_merge(store, other, clock):
    ours = store.ns("users")
    held = ours.set("k", 1)
    removed = ours.set("removed", 1)
    del ours["removed"]
    clock.advance(1)
    other.ns("users").update({"k": 2, "removed": 2})
    store.merge(other)
    with pytest.raises(ConflictError):
        ours.cas_set("k", 3, held)
    assert ours.get_with_meta("removed").meta.version > removed


def test_only_the_namespaces_that_are_named(store, other):
    for name in ("a", "b", "c"):
        other.ns(name)["k"] = name
    assert store.merge(other, ["c", "a", "missing"]) == 2
    assert store.namespaces() == ["a", "c"]
    with pytest.raises(TypeError, match="iterable"):
        store.merge(other, "a")


def test_progress_is_told_of_what_was_looked_at(store, other):
    other.ns("users").set_many({f"k{i:03}": i for i in range(450)})
    told = []
    store.merge(other, progress=lambda done, total: told.append((done, total)))
    assert told == [(200, 450), (400, 450), (450, 450)]


def test_an_interrupted_merge_goes_on(store, other):
    other.ns("users").set_many({f"k{i:03}": i for i in range(450)})

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.merge(other, progress=stop)
    assert len(store.ns("users")) == 200
    assert store.merge(other) == 250


def test_the_lru_does_not_hold_what_was_merged_over(make_store, tmp_path, other, clock):
    store = make_store(tmp_path / "own.db", lru_bytes="1 MB")
    store.ns("users")["k"] = 1
    assert store.ns("users")["k"] == 1
    clock.advance(1)
    other.ns("users")["k"] = 2
    store.merge(other)
    assert store.ns("users")["k"] == 2


def test_a_merge_of_memory_into_a_file_and_back(make_store, other, clock):
    memory = make_store()
    memory.ns("users")["k"] = 1
    assert other.merge(memory) == 1
    clock.advance(1)
    other.ns("users")["k"] = 2
    assert memory.merge(other) == 1
    assert contents(memory) == {"k": 2}


@pytest.mark.parametrize("above", [None, 65536])
def test_large_values_come_too_from_files_and_into_files(make_store, tmp_path, clock, above):
    source = make_store(tmp_path / "source.db", files_above=65536)
    target = make_store(tmp_path / "target.db", **({} if above is None else {"files_above": above}))
    source.ns("users").update({f"k{i:02}": bytes([i]) * 70_000 for i in range(70)})
    assert target.merge(source) == 70
    assert contents(target) == contents(source)
    assert target.stats().files == (0 if above is None else 70)
    assert target.merge(source) == 0
    clock.advance(1)
    source.ns("users")["k00"] = b"small now"
    source.ns("users")["k01"] = b"x" * 90_000
    assert target.merge(source) == 2
    assert contents(target) == contents(source)
    report = target.check()
    assert report.ok


def test_what_loses_in_the_end_leaves_no_file(make_store, tmp_path, clock, monkeypatch):
    source, target = (make_store(tmp_path / f"{name}.db", files_above=65536) for name in ("source", "target"))
    source.ns("users")["k"] = b"x" * 70_000
    merge = optional.merge

    def write_before(engine, *arguments):
        clock.advance(1)
        target.ns("users")["k"] = "newer"
        return merge(engine, *arguments)

    monkeypatch.setattr(merging.optional, "merge", write_before)
    assert target.merge(source) == 0
    assert contents(target) == {"k": "newer"}
    assert set(os.listdir(tmp_path / "target.db-values")) <= {"STORE", ".reap"}
    assert target.check().unknown_files == 0


def test_a_write_of_another_in_the_middle_is_compared_too(store, other, clock, monkeypatch):
    other.ns("users").update({"a": 1, "b": 1})
    merge = optional.merge

    def write_before(engine, *arguments):
        clock.advance(1)
        store.ns("users")["a"] = "newer"
        return merge(engine, *arguments)

    monkeypatch.setattr(merging.optional, "merge", write_before)
    assert store.merge(other) == 1
    assert contents(store) == {"a": "newer", "b": 1}


def test_writers_meanwhile_lose_nothing(store, other, clock):
    keys = [f"k{i:03}" for i in range(400)]
    other.ns("users").set_many(dict.fromkeys(keys, "there"))
    clock.advance(1)
    begun = threading.Event()

    def write():
        for key in reversed(keys):
            store.ns("users")[key] = "here"
            begun.set()

    writer = threading.Thread(target=write)
    writer.start()
    begun.wait(60)
    store.merge(other)
    writer.join()
    assert contents(store) == dict.fromkeys(keys, "here")


def test_an_engine_that_does_not_compare_by_itself_retries(other, clock, toy_engine, make_store, monkeypatch):
    toy = make_store("toy://merged")
    other.ns("users").update({"a": 1, "b": 1, "c": 1})
    toy.ns("users")["c"] = "as old"
    read, raced = toy._engine.read, []

    def race(namespace, key):
        record = read(namespace, key)
        if key == "b" and not raced:
            raced.append(key)
            toy.ns("users")["b"] = "meanwhile, as old"
        return record

    monkeypatch.setattr(toy._engine, "read", race)
    assert toy.merge(other) == 1
    assert contents(toy) == {"a": 1, "b": "meanwhile, as old", "c": "as old"}
    clock.advance(5)
    assert toy.merge(other) == 0


def test_codecs_are_not_asked(make_store, tmp_path):
    class Celsius:
        pass

    codec = Codec("application/x-celsius", lambda _: b"21", lambda _: Celsius(), (Celsius,))
    source = make_store(tmp_path / "source.db", codecs=[codec])
    source.ns("users")["t"] = Celsius()
    target = make_store(tmp_path / "target.db")
    assert target.merge(source) == 1
    assert target._engine.read("users", "t").content_type == "application/x-celsius"


# -- what is refused


def test_a_store_is_not_merged_with_itself(store):
    with pytest.raises(ValueError, match="itself"):
        store.merge(store)


def test_a_file_that_is_open_twice_takes_over_nothing(make_store, path):
    first, second = make_store(path), make_store(path)
    first.ns("users")["k"] = 1
    assert second.merge(first) == 0


@pytest.mark.parametrize("wrong", ["other.db", {}, None])
def test_what_is_merged_is_a_store(store, wrong):
    with pytest.raises(TypeError, match="must be a Store"):
        store.merge(wrong)


def test_an_async_store_is_merged_by_its_sync_store(store):
    with pytest.raises(TypeError, match="sync_store"):
        store.merge(AsyncStore())


def test_a_read_only_store_takes_over_nothing_and_may_be_the_source(make_store, path, other):
    with Store(path) as store:
        store.ns("users")["k"] = 1
    reader = make_store(path, readonly=True)
    assert other.merge(reader) == 1
    other.ns("users")["more"] = 1
    with pytest.raises(ReadOnlyError):
        reader.merge(other)


def test_a_damaged_entry_is_named(other, make_store, tmp_path):
    store = make_store(tmp_path / "own.db")
    other.ns("users").update({"a": 1, "b": 2})
    with closing(sqlite3.connect(tmp_path / "other.db")) as raw, raw:
        raw.execute("UPDATE kv SET value = '9' WHERE key = 'b'")
    with pytest.raises(DamagedEntryError, match="'b'"):
        store.merge(other)
    assert contents(store) == {}
    del other.ns("users")["b"]
    assert store.merge(other) == 1


def test_a_value_that_is_too_large_is_named(other, make_store, tmp_path):
    store = make_store(tmp_path / "own.db", max_value_bytes=100)
    other.ns("users").update({"a": 1, "b": "x" * 200})
    with pytest.raises(TooLargeError, match="'b'"):
        store.merge(other)


def test_keys_that_cannot_be_listed_are_refused_before_anything_is_written(shared_valkey, make_store, other):
    source = make_store(f"{shared_valkey.url}?prefix=merge-unordered")
    source.ns("a")["k"] = 1
    source.ns("b", ordered=False)["k"] = 1
    with pytest.raises(UnsupportedError):
        other.merge(source)
    assert other.namespaces() == []


# -- for tasks


@pytest.mark.parametrize("awaited", [False, True])
def test_a_store_for_tasks_merges_a_store_of_either_kind(tmp_path, clock, awaited):
    async def main():
        async with AsyncStore(tmp_path / "a.db", clock=clock) as ours, AsyncStore(tmp_path / "b.db", clock=clock) as b:
            await b.ns("users").set("k", 1)
            told = []
            source = b if awaited else b.sync_store
            assert await ours.merge(source, progress=lambda done, total: told.append((done, total))) == 1
            assert await ours.ns("users").get("k") == 1
            assert told == [(1, 1)]
            assert await ours.merge(source, ["users"]) == 0

    asyncio.run(main())
