"""What the verbs of a store do and cost on servers."""

from contextlib import contextmanager
from uuid import uuid4

import pytest

from sqlitedict_kv import Store, UnreachableError, UnsupportedError
from sqlitedict_kv.engines.protocol import Put
from sqlitedict_kv.engines.valkey.engine import MAX_VERSION
from sqlitedict_kv.engines.valkey.scripts import REMOVE


@pytest.fixture
def store(shared_valkey, clock):
    with Store(f"{shared_valkey.url}?prefix=engine-{uuid4().hex[:12]}", clock=clock) as store:
        yield store


@contextmanager
def replies_to(store):
    """Collect what the servers answer to calls that are made together, one list for each turn."""
    link = store._engine._link
    many, turns = link.many, []
    link.many = lambda calls: turns.append(many(calls)) or turns[-1]
    try:
        yield turns
    finally:
        del link.many


@pytest.mark.parametrize(
    ("live", "look"),
    [
        ("z", bool),
        ("z", lambda users: users.list(limit=1).keys == ("z",)),
        ("a", lambda users: users.popitem() == ("a", 1)),
    ],
)
def test_few_turns_lead_past_many_entries_that_have_expired(store, clock, live, look):
    users = store.ns("users")
    users.set_many({f"k{number}": number for number in range(10_000)}, ttl=1)
    users[live] = 1
    clock.advance(2)
    with replies_to(store) as turns:
        assert look(users)
    assert len(turns) <= 5


def test_a_page_of_many_shards_reads_little_more_than_it_gives(store):
    users = store.ns("users", shards=64)
    users.update({f"k{number:05}": number for number in range(5000)})
    keys = [f"k{number:05}" for number in range(5000)]
    with replies_to(store) as turns:
        pages = users.scan()
        assert next(pages)[0] == keys[0]
    read = sum((len(reply) - 2) // 2 for reply in turns[0])
    assert read <= 1000  # of 5000
    assert [key for key, _ in pages] == keys[1:]
    assert list(users) == keys
    assert list(reversed(users)) == keys[::-1]


@pytest.mark.parametrize("write", ["set", "set_many", "atomic"])
def test_a_write_that_was_done_is_no_failure_though_the_removal_of_expired_entries_behind_it_fails(store, write):
    users = store.ns("users")
    link = store._engine._link
    one, failed = link.one, []

    def failing(call):
        if call.script is REMOVE:
            failed.append(call)
            raise UnreachableError("nothing was written")
        return one(call)

    link.one = failing
    for number in range(200):
        if write == "set":
            users.set(f"{number}", number, ttl=60)
        elif write == "set_many":
            users.set_many({f"{number}": number}, ttl=60)
        else:
            with store.atomic() as tx:
                tx.ns("users").set(f"{number}", number, ttl=60)
    assert failed
    assert len(users) == 200


def test_the_highest_version_that_can_be_restored_is_read_back(store):
    put = Put("users", "k", b"1", "application/json", 1_700_000_100_000)
    with pytest.raises(UnsupportedError):
        store._engine.restore("users", [put], MAX_VERSION, 1_700_000_000_000)
    store._engine.restore("users", [put], MAX_VERSION - 1, 1_700_000_000_000)
    entry = store.ns("users").get_with_meta("k")
    assert (entry.value, entry.meta.version) == (1, MAX_VERSION)
    assert store.ns("users").touch("k", 1e9)
    assert store.ns("users").set("k", 2) == MAX_VERSION + 1
    assert store.ns("users")["k"] == 2


@pytest.mark.parametrize("seconds", [-5.0, 1e15])
def test_a_clock_out_of_bounds_is_an_error_before_anything_is_written(store, clock, seconds):
    clock.nanoseconds = int(seconds * 10**9)
    with pytest.raises(ValueError, match="clock"):
        store.ns("users").set("k", 1, ttl=5)
    assert store.ns("users").get("k") is None
