"""The verbs for many entries do as much in one step as the single ones in many."""

import pytest

from sqlitedict_kv import CodecError


def test_set_many_writes_all_and_returns_their_versions(store, after):
    users = store.ns("users")
    version = users.set("b", 0)
    assert users.set_many({"b": 1, "a": (2,), "c": b"3"}) == {"b": after(version), "a": after(0), "c": after(0)}
    assert users == {"a": (2,), "b": 1, "c": b"3"}


def test_set_many_returns_the_versions_in_the_order_of_the_entries(store):
    keys = [f"{7 * number % 50}" for number in range(50)]
    assert list(store.ns("users").set_many(dict.fromkeys(keys, 1))) == keys


def test_set_many_takes_any_mapping_of_the_store_too(store, after):
    users, copy = store.ns("users"), store.ns("copy")
    users.update(a=1, b=2)
    assert copy.set_many(users) == {"a": after(0), "b": after(0)}
    assert copy == users


def test_set_many_gives_one_ttl_to_all(store, clock):
    users = store.ns("users")
    users.set_many({"a": 1, "b": 2}, ttl=5)
    users.set_many({"c": 3})
    clock.advance(5)
    assert users == {"c": 3}


def test_set_many_of_nothing_does_nothing(store):
    users = store.ns("users")
    assert users.set_many({}) == {}
    assert store.namespaces() == []


@pytest.mark.parametrize("bad", [object(), "\ud800", {"deep": [object()]}])
def test_set_many_writes_all_or_nothing(store, bad):
    users = store.ns("users")
    users["a"] = "old"
    before = users.get_with_meta("a")
    with pytest.raises(CodecError):
        users.set_many({"a": "new", "b": 1, "c": bad})
    assert users.get_with_meta("a") == before
    assert list(users) == ["a"]


def test_update_writes_all_or_nothing(store):
    users = store.ns("users")
    users["a"] = "old"

    def pairs():
        yield "a", "new"
        yield "b", "new"
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        users.update(pairs())
    with pytest.raises(TypeError, match="key"):
        users.update({"a": "new", 5: "new"})
    assert users == {"a": "old"}


def test_get_many_returns_those_that_are_there_in_the_order_asked(store, clock):
    users = store.ns("users")
    users.update(a=1, b=None, c=3)
    users.set("old", 0, ttl=1)
    clock.advance(1)
    found = users.get_many(["c", "nope", "a", "old", "b", "a"])
    assert list(found.items()) == [("c", 3), ("a", 1), ("b", None)]


def test_get_many_with_meta_returns_the_same_entries_as_get_with_meta(store, clock):
    users = store.ns("users")
    users.set_many({"a": 1, "b": None}, ttl=60)
    users["c"] = b"bytes"
    users.set("old", 0, ttl=1)
    clock.advance(1)
    found = users.get_many_with_meta(["c", "nope", "a", "old", "b", "a"])
    assert list(found.items()) == [(key, users.get_with_meta(key)) for key in "cab"]
    assert users.get_many_with_meta([]) == {}


@pytest.mark.parametrize("keys", [[], (), set(), iter([]), {}])
def test_get_many_and_delete_many_of_nothing_find_nothing(store, keys):
    users = store.ns("users")
    users["a"] = 1
    assert users.get_many(keys) == {}
    assert users.delete_many([]) == 0
    assert users == {"a": 1}


def test_keys_may_come_from_any_iterable(store):
    users = store.ns("users")
    users.update(a=1, b=2, c=3, d=4)
    assert users.get_many(key for key in "ab") == {"a": 1, "b": 2}
    assert users.get_many({"a": "x"}) == {"a": 1}
    assert users.get_many(users.keys()) == users
    assert users.delete_many(key for key in "ab") == 2
    assert users.delete_many({"c", "d", "e"}) == 2


def test_a_key_that_is_named_twice_counts_once(store):
    users = store.ns("users")
    users["a"] = 1
    assert users.get_many(["a", "a"]) == {"a": 1}
    assert users.delete_many(["a", "a"]) == 1


@pytest.mark.parametrize("count", [1, 63, 64, 65, 255, 256, 257, 1000, 2500])
def test_any_number_of_entries_goes_in_and_out(store, after, count):
    users = store.ns("users")
    entries = {f"k{number}": [number] for number in range(count)}
    versions = users.set_many(entries)
    assert list(versions) == list(entries)
    assert versions == dict.fromkeys(entries, after(0))
    assert users.set_many(entries) == {key: after(version) for key, version in versions.items()}
    assert len(users) == count
    assert users.get_many([*entries, "absent"]) == entries
    assert users.delete_many([*entries, "absent"]) == count
    assert not users


def test_bulk_verbs_stay_in_their_namespace(store):
    users, others = store.ns("users"), store.ns("others")
    users.update(a=1, b=2)
    others.update(a=3, b=4)
    assert users.delete_many(["a"]) == 1
    assert others.get_many(["a", "b"]) == {"a": 3, "b": 4}
    users.clear()
    assert others == {"a": 3, "b": 4}


def test_what_get_many_returns_belongs_to_the_caller(store):
    users = store.ns("users")
    users["a"] = [1]
    first, second = users.get_many(["a"]), users.get_many(["a"])
    first["a"].append(2)
    assert second == {"a": [1]}
    assert users["a"] == [1]


def test_versions_of_many_are_those_of_each_whatever_was_there(store, after):
    users = store.ns("users")
    for _ in range(3):
        gone = users.set("gone", 1)
    del users["gone"]  # from now on new keys begin above that
    versions = {f"{number:02}": users.set(f"{number:02}", number) for number in range(0, 40, 2)}
    written = users.set_many({f"{number:02}": number for number in reversed(range(40))} | {"gone": 2})

    found = {key: entry.meta.version for key, entry in users.scan()}
    assert found == written
    keys = [f"{number:02}" for number in range(40)]
    assert written == {key: after(versions.get(key, gone)) for key in keys} | {"gone": after(gone)}
