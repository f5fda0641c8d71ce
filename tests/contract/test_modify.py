"""A function of the old value makes the new one, and nothing that others write is lost."""

import threading

import pytest

from sqlitedict_kv import CodecError


def test_modify_stores_and_returns_what_the_function_makes(store):
    users = store.ns("users")
    users["k"] = [1]
    assert users.modify("k", lambda value: [*value, 2]) == [1, 2]
    assert users["k"] == [1, 2]


def test_the_value_may_be_changed_in_place(store):
    users = store.ns("users")
    users["k"] = {"n": 1}

    def change(value):
        value["n"] += 1
        return value

    assert users.modify("k", change) == {"n": 2}
    assert users["k"] == {"n": 2}


def test_without_an_entry_the_default_is_what_the_function_takes(store):
    users = store.ns("users")
    assert users.modify("k", lambda value: value + 1, default=41) == 42
    assert users.modify("none", lambda value: value is None, default=None) is True


def test_a_default_is_never_changed_by_the_function(store):
    users = store.ns("users")
    default = []

    def append(value):
        value.append(1)
        return value

    users.modify("a", append, default=default)
    users.modify("b", append, default=default)
    assert default == []
    assert users == {"a": [1], "b": [1]}


def test_without_entry_and_default_it_is_a_key_error_and_the_function_is_not_called(store):
    calls = []
    with pytest.raises(KeyError, match="k"):
        store.ns("users").modify("k", calls.append)
    assert calls == []


def test_an_exception_of_the_function_leaves_the_entry(store):
    users = store.ns("users")
    users["k"] = 1
    before = users.get_with_meta("k")
    with pytest.raises(ZeroDivisionError):
        users.modify("k", lambda value: value / 0)
    assert users.get_with_meta("k") == before


def test_a_result_that_cannot_be_kept_leaves_the_entry(store):
    users = store.ns("users")
    users["k"] = 1
    before = users.get_with_meta("k")
    with pytest.raises(CodecError):
        users.modify("k", lambda value: object())
    assert users.get_with_meta("k") == before


def test_it_is_called_again_when_somebody_wrote_in_between(store):
    users = store.ns("users")
    users["k"] = 1
    seen = []

    def change(value):
        seen.append(value)
        if len(seen) < 3:
            users["k"] = value + 100
        return value + 1

    assert users.modify("k", change) == 202
    assert seen == [1, 101, 201]
    assert users["k"] == 202


def test_it_is_called_again_when_somebody_made_or_removed_the_entry(store):
    users = store.ns("users")
    seen = []

    def change(value):
        seen.append(value)
        if len(seen) == 1:
            users["k"] = "theirs"
        elif len(seen) == 2:
            del users["k"]
        return f"{value}+"

    assert users.modify("k", change, default="default") == "default+"
    assert seen == ["default", "theirs", "default"]


def test_an_entry_that_expires_meanwhile_is_not_revived(store, clock):
    users = store.ns("users")
    users.set("k", 1, ttl=5)

    def slow(value):
        clock.advance(5)
        return value + 1

    with pytest.raises(KeyError):
        users.modify("k", slow)
    assert "k" not in users


def test_the_function_may_use_the_store(store):
    users = store.ns("users")
    users.update(k=1, other=10)
    with store.atomic() as tx:
        tx.ns("users").set("more", 5)
    assert users.modify("k", lambda value: value + users["other"] + len(store.namespaces())) == 12


def test_no_change_of_many_threads_is_lost(store):
    users = store.ns("users")
    barrier = threading.Barrier(4)

    def work(number):
        barrier.wait()
        for count in range(20):
            users.modify("k", lambda value, item=[number, count]: [*value, item], default=[])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(users["k"]) == [[number, count] for number in range(4) for count in range(20)]


@pytest.mark.parametrize("ttl", [None, 1000])
def test_a_deadline_that_is_moved_while_the_function_runs_stays(store, clock, ttl):
    users = store.ns("users")
    users.set("k", 1, ttl=10)

    def slow(value):
        users.touch("k", ttl)
        return value + 1

    assert users.modify("k", slow) == 2
    clock.advance(999)
    assert users["k"] == 2
    clock.advance(1)
    assert users.get("k") == (2 if ttl is None else None)
