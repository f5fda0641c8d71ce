"""A version is positive, grows with each write (by one on SQLite), and is never used again for its key."""

import pytest

from tests.contract.conftest import on_shared, on_sqlite


@on_sqlite
def test_versions_start_at_one_and_grow_by_one(store):
    users = store.ns("users")
    assert [users.set("k", value) for value in range(5)] == [1, 2, 3, 4, 5]
    assert users.set("other", 1) == 1
    assert store.ns("elsewhere").set("k", 1) == 1


def test_versions_are_positive_grow_and_are_exact_as_floats_too(store):
    users = store.ns("users")
    versions = [users.set("k", value) for value in range(50)]
    versions += [users.set_many({"k": value})["k"] for value in range(50)]
    assert all(type(version) is int for version in versions)
    assert versions[0] > 0
    assert versions[-1] < 2**53, "what a double, and so Lua and JavaScript, cannot count"
    assert versions == sorted(set(versions))


def test_every_verb_that_writes_gives_the_next_version(store, after):
    users = store.ns("users")
    versions = [users.set("k", 1)]

    def note(version):
        assert version == after(versions[-1])
        versions.append(version)

    def written():
        return users.get_with_meta("k").meta.version

    users["k"] = 2
    note(written())
    note(users.cas_set("k", 3, versions[-1]))
    users.incr("k")
    note(written())
    users.decr("k")
    note(written())
    users.modify("k", lambda value: value + 1)
    note(written())
    note(users.set_many({"k": 5})["k"])
    users.update(k=6)
    note(written())
    users |= {"k": 7}
    note(written())
    with store.atomic() as tx:
        tx.ns("users").set("k", 8)
    note(tx.versions["users", "k"])
    with store.atomic() as tx:
        tx.ns("users").incr("k")
    note(tx.versions["users", "k"])
    assert written() == versions[-1]


def test_writing_an_equal_value_is_a_write(store, after):
    users = store.ns("users")
    version = users.set("k", "same")
    assert users.set("k", "same") == after(version)


def test_what_writes_nothing_leaves_the_version(store):
    users = store.ns("users")
    version = users.set("k", 1)
    users.touch("k", 100)
    assert users.add("k", 2) is None
    users.setdefault("k", 3)
    users.get("k")
    users.delete("other")
    with store.atomic() as tx:
        tx.ns("users").check("k", version)
        tx.ns("users").touch("k", 200)
    assert tx.versions == {}
    assert users.get_with_meta("k").meta.version == version


def by_delete(store, users, clock):
    assert users.delete("k")


def by_del(store, users, clock):
    del users["k"]


def by_delete_with_version(store, users, clock):
    assert users.delete("k", version=users.get_with_meta("k").meta.version)


def by_delete_many(store, users, clock):
    assert users.delete_many(["k", "absent"]) == 1


def by_pop(store, users, clock):
    users.pop("k")


def by_popitem(store, users, clock):
    assert users.popitem()[0] == "k"


def by_clear(store, users, clock):
    users.clear()


def by_drop(store, users, clock):
    assert store.drop("users") == 1


def by_expiry(store, users, clock):
    users.touch("k", 1)
    clock.advance(1)


def by_purge(store, users, clock):
    by_expiry(store, users, clock)
    assert store.purge_expired() == 1


def by_purge_of_the_namespace(store, users, clock):
    by_expiry(store, users, clock)
    assert users.purge_expired() == 1


def by_clear_of_what_expired(store, users, clock):
    by_expiry(store, users, clock)
    users.clear()


def by_drop_of_what_expired(store, users, clock):
    by_expiry(store, users, clock)
    assert store.drop("users") == 0


def by_sweep_of_writes(store, users, clock):
    by_expiry(store, users, clock)
    noise = dict.fromkeys(map(str, range(64)), 0)
    for _ in range(100):
        users.set_many(noise, ttl=1)  # on SQLite those of any namespace, with a ttl or without
        if users.stats().expired == 0:
            break
    else:
        pytest.fail("the writes should have removed it")
    users.delete_many(noise)


def by_atomic_delete(store, users, clock):
    with store.atomic() as tx:
        tx.ns("users").delete("k")


def by_atomic_del(store, users, clock):
    with store.atomic() as tx:
        del tx.ns("users")["k"]


REMOVALS = [value for name, value in sorted(globals().items()) if name.startswith("by_")]


@pytest.mark.parametrize("remove", REMOVALS, ids=lambda function: function.__name__)
def test_a_version_is_never_reused_after_a_removal(store, clock, remove):
    users = store.ns("users")
    seen = [users.set("k", 0), users.set("k", 0), users.set("k", 0)]
    for again in (users.set, users.add, lambda key, value: users.cas_set(key, value, 0)):
        remove(store, users, clock)
        assert "k" not in users
        seen.append(again("k", 1))
    assert seen == sorted(set(seen)), "each version must be above all before"


@pytest.mark.parametrize("remove", REMOVALS, ids=lambda function: function.__name__)
def test_bulk_and_atomic_writes_respect_removed_versions_too(store, clock, remove):
    users = store.ns("users")
    last = users.set("k", 0)
    for _ in range(2):
        remove(store, users, clock)
        version = users.set_many({"k": 1})["k"]
        assert version > last
        remove(store, users, clock)
        with store.atomic() as tx:
            tx.ns("users")["k"] = 2
        last = tx.versions["users", "k"]
        assert last > version
        remove(store, users, clock)
        users.incr("k")
        assert users.get_with_meta("k").meta.version > last
        last = users.get_with_meta("k").meta.version


@on_sqlite
def test_a_version_is_never_reused_after_an_eviction(open_store, clock):
    store = open_store(max_entries=64)
    users = store.ns("users")
    highest = {}
    for number in range(600):
        key = f"k{number % 150:03}"
        version = users.set(key, number)
        assert version > highest.get(key, 0)
        highest[key] = version
        clock.advance(0.01)
    assert store.stats().evicted > 100


def test_a_key_that_is_removed_and_made_within_one_transaction_gets_a_new_version(store):
    users = store.ns("users")
    version = users.set("k", 1)
    with store.atomic() as tx:
        view = tx.ns("users")
        view.delete("k")
        view.set("k", 2)
    assert tx.versions["users", "k"] > version


def test_the_removal_of_an_old_key_does_not_lower_the_versions_of_new_ones(store):
    users = store.ns("users")
    for _ in range(9):
        high = users.set("high", 0)
    low = users.set("low", 0)
    users.delete("high")
    users.delete("low")
    assert users.set("high", 1) > high
    assert users.set("low", 1) > low


@on_shared
def test_versions_outlive_the_store_that_made_them(open_store):
    with open_store() as store:
        users = store.ns("users")
        seen = [users.set("k", 1), users.set("k", 2)]
        users.delete("k")
    with open_store() as store:
        seen.append(store.ns("users").set("k", 3))
        store.drop("users")
        if store.capabilities.backup:
            store.vacuum()
    with open_store() as store:
        seen.append(store.ns("users").set("k", 4))
    assert seen == sorted(set(seen))
