"""A write that names the version which it replaces happens only if nobody wrote in between."""

import threading

import pytest

from sqlitedict_kv import ConflictError


def state(users, key="k"):
    return users.get_with_meta(key)


def test_cas_set_writes_at_the_version_that_was_read(store, after):
    users = store.ns("users")
    users["k"] = 1
    entry = users.get_with_meta("k")
    assert users.cas_set("k", entry.value + 1, entry.meta.version) == after(entry.meta.version)
    assert users["k"] == 2


def test_cas_set_at_another_version_is_a_conflict_and_changes_nothing(store):
    users = store.ns("users")
    stale = users.set("k", 1)
    actual = users.set("k", 2, ttl=100)
    before = state(users)
    with pytest.raises(ConflictError) as caught:
        users.cas_set("k", 3, stale)
    error = caught.value
    assert (error.namespace, error.key, error.expected, error.actual) == ("users", "k", stale, actual)
    assert "'k'" in str(error)
    assert "'users'" in str(error)
    assert state(users) == before


def test_a_version_of_the_future_is_a_conflict(store):
    users = store.ns("users")
    version = users.set("k", 1)
    for wrong in (version + 1, 2**62):
        with pytest.raises(ConflictError):
            users.cas_set("k", 2, wrong)
    assert users["k"] == 1


def test_version_zero_demands_that_the_key_is_absent(store, after):
    users = store.ns("users")
    version = users.cas_set("k", 1, 0)
    assert version == after(0)
    with pytest.raises(ConflictError) as caught:
        users.cas_set("k", 2, 0)
    assert (caught.value.expected, caught.value.actual) == (0, version)
    assert users["k"] == 1


def test_a_version_where_nothing_is_there_is_a_conflict(store):
    users = store.ns("users")
    with pytest.raises(ConflictError) as caught:
        users.cas_set("k", 1, 3)
    assert (caught.value.expected, caught.value.actual) == (3, None)
    assert "k" not in users


def test_a_stale_version_never_fits_a_key_that_was_made_anew(store):
    users = store.ns("users")
    stale = users.set("k", 1)
    users.delete("k")
    users.set("k", 1)
    with pytest.raises(ConflictError):
        users.cas_set("k", 2, stale)
    with pytest.raises(ConflictError):
        users.delete("k", version=stale)


def test_add_writes_only_where_nothing_is(store, after):
    users = store.ns("users")
    assert users.add("k", 1, ttl=50) == after(0)
    before = state(users)
    assert users.add("k", 2) is None
    assert state(users) == before


def test_none_is_a_value_like_any_other(store):
    users = store.ns("users")
    users["k"] = None
    assert "k" in users
    assert users.add("k", 1) is None
    assert users.setdefault("k", 1) is None
    assert users.get("k", "default") is None
    assert users.get_with_meta("k").value is None
    assert users.get_many(["k"]) == {"k": None}
    assert users.pop("k", "default") is None


def test_delete_with_the_right_version_removes(store):
    users = store.ns("users")
    version = users.set("k", 1)
    assert users.delete("k", version=version) is True
    assert "k" not in users


def test_delete_with_another_version_is_a_conflict_and_removes_nothing(store):
    users = store.ns("users")
    stale = users.set("k", 1)
    actual = users.set("k", 2)
    before = state(users)
    with pytest.raises(ConflictError) as caught:
        users.delete("k", version=stale)
    assert (caught.value.expected, caught.value.actual) == (stale, actual)
    assert state(users) == before


def test_delete_with_a_version_where_nothing_is_there_is_a_conflict(store):
    with pytest.raises(ConflictError) as caught:
        store.ns("users").delete("k", version=1)
    assert caught.value.actual is None


def test_a_conflict_may_be_retried_until_it_fits(store, after):
    counter = store.ns("counter")
    version = counter.set("n", 0)
    barrier = threading.Barrier(4)

    def work():
        barrier.wait()
        for _ in range(25):
            while True:
                entry = counter.get_with_meta("n")
                try:
                    counter.cas_set("n", entry.value + 1, entry.meta.version)
                except ConflictError:
                    continue
                break

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter["n"] == 100
    assert counter.get_with_meta("n").meta.version == after(version, steps=100)


def test_of_many_threads_that_add_one_key_just_one_succeeds(store):
    users = store.ns("users")
    barrier = threading.Barrier(8)
    won = []

    def work(number):
        barrier.wait()
        if users.add("k", number) is not None:
            won.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [users["k"]]
