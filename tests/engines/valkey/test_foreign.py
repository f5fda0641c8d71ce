"""What other programs write under our keys is never taken for an entry, nor for none, and can be removed."""

from uuid import uuid4

import pytest

from sqlitedict_kv import CorruptStoreError, DamagedEntryError, KVError, Store


@pytest.fixture
def prefix():
    return f"foreign-{uuid4().hex[:12]}"


@pytest.fixture
def store(shared_valkey, prefix):
    with Store(shared_valkey.url, prefix=prefix) as store:
        yield store


DAMAGES = {
    "empty": lambda _: b"",
    "short": lambda raw: raw[:29],
    "format": lambda raw: b"\x09" + raw[1:],
    "version": lambda raw: raw[:1] + b"\xff" * 8 + raw[9:],
    "no version": lambda raw: raw[:1] + b"\0" * 8 + raw[9:],
    "all ones": lambda raw: b"\x01" + b"\xff" * len(raw),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_entry_is_no_absent_one_and_can_be_removed(store, shared_valkey, prefix, damage):
    users, name = store.ns("users"), f"{prefix}:d{{users:0}}k"
    users["k"] = 1
    damaged = damage(shared_valkey.plain.get(name))
    shared_valkey.plain.set(name, damaged)
    for verb in (
        lambda: users["k"],
        lambda: users.add("k", 2),
        lambda: users.cas_set("k", 2, 1),
        lambda: users.touch("k", 5),
        lambda: users.incr("k"),
        lambda: users.pop("k"),
    ):
        with pytest.raises(DamagedEntryError):
            verb()
        assert shared_valkey.plain.get(name) == damaged
    assert not store.check().ok
    assert users.delete("k")
    assert users.get("k") is None
    assert list(users) == []
    shared_valkey.plain.set(name, damaged)
    users["k"] = 3
    assert users["k"] == 3


def test_what_is_no_layout_is_an_error_of_ours(store, shared_valkey, prefix):
    shared_valkey.plain.hset(f"{prefix}:n", "users", "garbage")
    users = store.ns("users")
    for verb in (lambda: users.get("k"), lambda: users.set("k", 1), store.namespaces, store.stats, store.check):
        with pytest.raises(CorruptStoreError, match="garbage"):
            verb()
    assert not store.healthcheck().ok


@pytest.mark.parametrize("key", ["n", "i{users:0}"])
def test_a_name_that_is_no_text_is_an_error_of_ours(store, shared_valkey, prefix, key):
    store.ns("users")["k"] = 1
    if key == "n":
        shared_valkey.plain.hset(f"{prefix}:n", b"\xff", "1i")
    else:
        shared_valkey.plain.zadd(f"{prefix}:{key}", {b"\xff": 0})
    with pytest.raises(KVError, match="another prefix"):
        store.namespaces() if key == "n" else list(store.ns("users"))
