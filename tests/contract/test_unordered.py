"""A namespace without order keeps all promises but those about lists; a file keeps its order all the same."""

# ruff: noqa: PLW0108 - a table of calls reads best if each is written as a call

import pytest

from sqlitedict_kv import ConflictError, LayoutError, UnsupportedError
from tests.conftest import ON_SERVERS
from tests.contract.conftest import UNDIVIDED, on_shared


@pytest.fixture
def users(store):
    return store.ns("users", ordered=False)


def test_single_entries_are_written_and_read(users, clock, after):
    version = users.set("a", 1, ttl=5)
    assert version == after(0)
    assert users["a"] == 1
    assert "a" in users
    assert users.cas_set("a", 2, version) == after(version)
    with pytest.raises(ConflictError):
        users.cas_set("a", 3, version)
    assert users.add("a", 3) is None
    assert users.incr("n", 5) == 5
    assert users.modify("n", lambda number: number * 2) == 10
    assert users.setdefault("s", "new") == "new"
    assert users.pop("s") == "new"
    assert users.touch("a", 5)
    clock.advance(5)
    assert "a" not in users
    assert users.add("a", 4) == after(version, steps=2)
    assert users.delete("a")
    assert not users.delete("a")


def test_many_entries_are_written_and_read(users, after):
    entries = {f"k{number}": number for number in range(300)}
    versions = users.set_many(entries)
    assert versions == dict.fromkeys(entries, after(0))
    assert users.get_many([*entries, "absent"]) == entries
    assert users.delete_many([*entries, "absent"]) == 300
    assert users.get_many(entries) == {}
    again = users.set_many(entries)
    assert all(again[key] > versions[key] for key in entries)


def test_a_transaction_of_one_key_is_committed(store, users):
    version = users.set("a", 1)
    with store.atomic() as tx:
        tx.ns("users").check("a", version)
        tx.ns("users").incr("a")
    assert users["a"] == 2
    assert tx.versions["users", "a"] > version


@pytest.mark.parametrize(
    "call",
    [
        lambda users: users.list(),
        lambda users: list(users),
        lambda users: list(users.keys()),
        lambda users: list(users.items()),
        lambda users: list(users.values()),
        lambda users: list(users.scan()),
        lambda users: list(reversed(users)),
        lambda users: len(users),
        lambda users: users.copy(),
        lambda users: users.popitem(),
        lambda users: users.clear(),
        lambda users: users.stats(),
    ],
)
def test_lists_and_counts_are_refused_and_nothing_is_touched(users, engine, call):
    users.update(a=1, b=2)
    if engine in UNDIVIDED:
        call(users)
        return
    with pytest.raises(UnsupportedError, match=r"'users'.*ordered=False"):
        call(users)
    assert users.get_many(["a", "b"]) == {"a": 1, "b": 2}


def test_it_can_be_dropped(store, users):
    users.update({f"k{number}": number for number in range(300)})
    store.ns("others")["k0"] = "stays"
    assert store.namespaces() == ["others", "users"]
    assert store.drop("users") == 300
    assert users.get("k0") is None
    assert store.ns("others")["k0"] == "stays"


@pytest.mark.parametrize("engine", ["file", *ON_SERVERS, "sharded-cluster"], indirect=True)
def test_memoize_needs_no_order(users):
    calls = []

    @users.memoize(ttl=60)
    def load(x):
        calls.append(x)
        return {"x": x}

    assert load(1) == load(1) == {"x": 1}
    assert load.forget(1)
    assert load(1) == {"x": 1}
    assert calls == [1, 1]


@on_shared
def test_an_order_that_is_asked_for_later_is_a_clear_error(open_store, engine):
    open_store().ns("users", ordered=False)["a"] = 1
    users = open_store().ns("users")
    assert users["a"] == 1, "what does not ask takes it as it is"
    if engine in UNDIVIDED:
        assert open_store().ns("users", ordered=True)["a"] == 1
        return
    with pytest.raises(LayoutError, match="ordered=False"):
        _ = open_store().ns("users", ordered=True)["a"]


@on_shared
def test_another_number_of_shards_is_a_clear_error(open_store, engine):
    open_store().ns("users", shards=4)["a"] = 1
    users = open_store().ns("users")
    assert users["a"] == 1, "what does not ask takes it as it is"
    if engine in UNDIVIDED:
        assert open_store().ns("users", shards=3)["a"] == 1
        return
    other = open_store().ns("users", shards=3)
    for call in (lambda: other["a"], lambda: other.set("a", 2), lambda: other.list(), lambda: len(other)):
        with pytest.raises(LayoutError, match="shards=4"):
            call()
    assert users["a"] == 1
