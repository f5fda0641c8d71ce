"""Tags on servers: one sorted set of each shard, which is there only while entries have tags."""

from uuid import uuid4

import pytest

from sqlitedict_kv import Store
from tests.conftest import VirtualClock


@pytest.fixture
def prefix():
    return f"test-{uuid4().hex[:12]}"


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def store(shared_valkey, prefix, clock):
    with Store(f"{shared_valkey.url}?prefix={prefix}", clock=clock) as store:
        yield store


@pytest.fixture
def tag_sets(shared_valkey, prefix):
    """A function that returns how many members each set of tags has, by the namespace."""

    def look():
        client = shared_valkey.plain
        names = sorted([*client.scan_iter(match=f"{prefix}:t*"), *client.scan_iter(match=f"{prefix}:T*")])
        return {name.decode().partition("{")[2].partition(":")[0]: client.zcard(name) for name in names}

    return look


def test_entries_without_tags_have_no_set(store, tag_sets):
    ns = store.ns("n")
    ns.set("k", 1)
    ns.set("k", 1, tags=[])
    ns.set_many({"a": 1, "b": 2})
    with store.atomic() as tx:
        tx.ns("n").set("c", 1)
    assert store.forget_tag("t") == 0
    assert tag_sets() == {}
    ns.set("k", 1, tags=["t"])
    assert tag_sets() == {"n": 2}
    assert store.stats().tags == 1


@pytest.mark.parametrize("how", ["forget", "clear", "drop"])
def test_what_is_removed_as_a_whole_leaves_no_set(store, tag_sets, how):
    ns = store.ns("n")
    ns.set_many({str(number): number for number in range(1200)}, tags=["t", "u"])
    assert tag_sets() == {"n": 4800}
    {"forget": lambda: store.forget_tag("t"), "clear": ns.clear, "drop": lambda: store.drop("n")}[how]()
    assert tag_sets() == {}
    assert len(ns) == 0


def test_stale_tags_are_swept_by_the_writes_that_follow(store, tag_sets, clock):
    ns = store.ns("n")
    for number in range(50):
        ns.set(f"gone {number}", 1, tags=["t", "u"], ttl=1)
        ns.set(f"kept {number}", 1, tags=["t"])
    ns.update({f"kept {number}": 1 for number in range(25)})
    clock.advance(2)
    store.purge_expired(limit=50)
    for number in range(400):
        ns.set(f"other {number % 25}", number, tags=["t"])
    assert tag_sets() == {"n": 2 * 50}
    ns.update({f"kept {number}": 1 for number in range(50)})
    store.purge_expired()
    assert tag_sets() == {"n": 2 * 25}
    assert store.forget_tag("t") == 25


def test_a_server_that_evicts_an_entry_leaves_no_tag_to_its_successor(store, shared_valkey, prefix):
    store.ns("n").set("k", 1, tags=["t"])
    shared_valkey.plain.delete(f"{prefix}:d{{n:0}}k")
    assert store.forget_tag("t") == 0
    store.ns("n").set("k", 2, tags=["u"])
    shared_valkey.plain.delete(f"{prefix}:d{{n:0}}k")
    store.ns("n")["k"] = 3
    assert store.forget_tag("u") == 0
    assert store.ns("n")["k"] == 3
