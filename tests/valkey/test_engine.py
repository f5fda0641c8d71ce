"""What the verbs of a store cost on servers."""

from contextlib import contextmanager

import pytest

from sqlitedict_kv import Store


@pytest.fixture
def store(shared_valkey, request, clock):
    with Store(f"{shared_valkey.url}?prefix={request.node.name[:60]}", clock=clock) as store:
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
    assert read <= 64 * (2 * 200 // 64 + 4)
    assert [key for key, _ in pages] == keys[1:]
    assert list(users) == keys
    assert list(reversed(users)) == keys[::-1]
