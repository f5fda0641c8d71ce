"""Checks and edits of a block are committed together or not at all."""

import pytest

from sqlitedict_kv import CodecError, ConflictError
from tests.contract.conftest import WHOLE, on_sqlite


@pytest.fixture(params=WHOLE)
def engine(request):
    return request.param


def everything(store):
    return {name: dict(store.ns(name).scan()) for name in store.namespaces()}


def version_of(users, key):
    return users.get_with_meta(key).meta.version


def test_all_edits_of_a_block_are_committed(store, clock, after, beside):
    second = beside("users", "sessions")
    users, sessions = store.ns("users"), store.ns(second)
    users.update(bob=1, count=5)
    sessions.update(old=1, gone=2, touched=3)
    bob, count = version_of(users, "bob"), version_of(users, "count")
    with store.atomic() as tx:
        view = tx.ns("users")
        view.check("bob", version=bob)
        view.check("nobody", version=0)
        view.set("ada", {"n": 1}, ttl=60)
        view["eve"] = (1, 2)
        view.add("new", "n")
        view.incr("count", 2)
        view.incr("fresh", 1, default=9)
        other = tx.ns(second)
        other.delete("old")
        other.delete("never there")
        del other["gone"]
        other.touch("touched", 30)
        other.touch("never there", 30)
    assert users == {"ada": {"n": 1}, "bob": 1, "count": 7, "eve": (1, 2), "fresh": 10, "new": "n"}
    assert list(sessions) == ["touched"]
    assert tx.versions == {
        ("users", "ada"): after(0),
        ("users", "eve"): after(0),
        ("users", "new"): after(0),
        ("users", "count"): after(count),
        ("users", "fresh"): after(0),
    }
    clock.advance(30)
    assert list(sessions) == []
    clock.advance(30)
    assert "ada" not in users


def test_nothing_is_sent_before_the_block_ends(store, beside):
    users = store.ns("users")
    users["k"] = 1
    with store.atomic() as tx:
        tx.ns("users")["k"] = 2
        del tx.ns("users")["k"]
        tx.ns(beside("users", "other"))["x"] = 1
        assert users["k"] == 1
        assert store.namespaces() == ["users"]
        users["meanwhile"] = "others can write"
    assert users == {"meanwhile": "others can write"}
    assert store.ns(beside("users", "other")) == {"x": 1}


def test_an_exception_in_the_block_sends_nothing_and_is_passed_on(store):
    users = store.ns("users")
    users["k"] = 1
    before = everything(store)
    with pytest.raises(ZeroDivisionError), store.atomic() as tx:
        tx.ns("users")["k"] = 2
        tx.ns("other")["x"] = 1
        _ = 1 / 0
    assert everything(store) == before
    with pytest.raises(RuntimeError, match="versions"):
        _ = tx.versions


def failing_check(view):
    view.check("k", 7)


def failing_absence(view):
    view.check("k", 0)


def failing_presence(view):
    view.check("nothing", 1)


def failing_add(view):
    view.add("k", 5)


def failing_removal(view):
    view.delete("k", version=7)


def failing_removal_of_nothing(view):
    view.delete("nothing", version=1)


def test_an_entry_is_removed_at_a_version(store):
    users = store.ns("users")
    users["k"] = 1
    before = version_of(users, "k")
    with store.atomic() as tx:
        tx.ns("users").delete("k", version=before)
        tx.ns("users").add("k", 2)
    assert users["k"] == 2
    assert version_of(users, "k") > before


def test_an_expired_entry_is_removed_at_no_version(store, clock):
    users = store.ns("users")
    users.set("k", 1, ttl=10)
    before = version_of(users, "k")
    clock.advance(10)
    with pytest.raises(ConflictError) as caught, store.atomic() as tx:
        tx.ns("users").delete("k", version=before)
    assert (caught.value.expected, caught.value.actual) == (before, None)


FAILING = [
    failing_check, failing_absence, failing_presence, failing_add, failing_removal, failing_removal_of_nothing,
]  # fmt: skip


@pytest.mark.parametrize("fail", FAILING)
@pytest.mark.parametrize("position", ["first", "last"])
def test_a_demand_that_is_not_met_is_a_conflict_and_nothing_is_changed(store, beside, fail, position):
    users = store.ns("users")
    users.update(k=1, other=2)
    before = everything(store)
    with pytest.raises(ConflictError) as caught, store.atomic() as tx:
        if position == "first":
            fail(tx.ns("users"))
        tx.ns("users")["other"] = 3
        tx.ns("users").delete("k2")
        tx.ns(beside("users", "elsewhere"))["x"] = 1
        tx.ns("users").touch("other", 5)
        if position == "last":
            fail(tx.ns("users"))
    assert caught.value.namespace == "users"
    assert caught.value.key in ("k", "nothing")
    absent = fail in (failing_presence, failing_removal_of_nothing)
    assert caught.value.actual == (None if absent else version_of(users, "k"))
    assert everything(store) == before


def test_del_of_what_is_not_there_is_a_key_error_and_nothing_is_changed(store):
    users = store.ns("users")
    users["k"] = 1
    before = everything(store)
    with pytest.raises(KeyError, match="nothing"), store.atomic() as tx:
        tx.ns("users")["k"] = 2
        del tx.ns("users")["nothing"]
    assert everything(store) == before


def test_an_expired_entry_is_absent_for_checks_and_edits(store, clock):
    users = store.ns("users")
    version = users.set("k", 1, ttl=1)
    clock.advance(1)
    with pytest.raises(ConflictError), store.atomic() as tx:
        tx.ns("users").check("k", version)
    with pytest.raises(KeyError), store.atomic() as tx:
        del tx.ns("users")["k"]
    with store.atomic() as tx:
        tx.ns("users").touch("k", 100)
        tx.ns("users").check("k", 0)
    assert "k" not in users
    with store.atomic() as tx:
        tx.ns("users").add("k", 2)
    assert tx.versions["users", "k"] > version


def test_edits_apply_in_order_and_see_each_other(store):
    users = store.ns("users")
    with store.atomic() as tx:
        view = tx.ns("users")
        view["k"] = 1
        view.incr("k", 10)
        view.incr("sum", 1, default=0)
        view.incr("sum", 1, default=100)
        view.delete("k")
        view.check("k", 0)
        view.add("k", "last")
    assert users["k"] == "last"
    assert users["sum"] == 2
    assert tx.versions == {("users", key): version_of(users, key) for key in ("k", "sum")}


@pytest.mark.parametrize("first", [1, None])
def test_a_sum_keeps_the_deadline_that_an_edit_before_it_gave(store, clock, first):
    users = store.ns("users")
    if first is not None:
        users.set("k", first, ttl=5)
    with store.atomic() as tx:
        view = tx.ns("users")
        view.touch("k", 60)
        view.incr("k")
        view.touch("k", 30)
        view.incr("k")
    assert users["k"] == (first or 0) + 2
    clock.advance(30)
    assert "k" not in users


def test_what_has_expired_by_the_commit_is_absent_to_the_edits_behind(store, clock):
    users = store.ns("users")
    users.set("there", 1, ttl=60)
    with store.atomic() as tx:
        view = tx.ns("users")
        view.set("new", 10, ttl=1)
        view.touch("new", 2)
        view.touch("there", 1)
        view.touch("there", 2)
        for key in ("new", "there"):
            view.incr(key, default=100)
            view.touch(key, None)
        clock.advance(1.5)
    assert users == {"new": 101, "there": 101}


@pytest.mark.parametrize("default", [0, None])
def test_of_two_edits_that_fail_the_first_one_is_told(store, default):
    """Who is told of a conflict tries again; a TypeError would end that."""
    users = store.ns("users")
    version = users.set("k", 1)
    if default == 0:
        users["k"] = "text"
    else:
        del users["k"]
    with pytest.raises(ConflictError), store.atomic() as tx:
        tx.ns("users").check("k", version)
        tx.ns("users").incr("k", default=default)
    with pytest.raises(TypeError if default == 0 else KeyError), store.atomic() as tx:
        tx.ns("users").incr("k", default=default)
        tx.ns("users").check("k", version)
    assert users.get("k") == ("text" if default == 0 else None)


@on_sqlite  # elsewhere nobody can know the number of a version before it is there
def test_a_check_sees_the_version_that_an_edit_before_it_gave(store):
    with store.atomic() as tx:
        view = tx.ns("users")
        view["k"] = 1
        view.check("k", 1)
        view.incr("k", 10)
        view.check("k", 2)
    assert tx.versions == {("users", "k"): 2}


def test_a_check_guards_what_was_read_in_the_block(store):
    users = store.ns("users")
    users["k"] = 1

    def transfer(interfere):
        with store.atomic() as tx:
            entry = users.get_with_meta("k")
            tx.ns("users").check("k", entry.meta.version)
            tx.ns("users")["sum"] = entry.value + 1
            if interfere:
                users["k"] = 99

    with pytest.raises(ConflictError):
        transfer(interfere=True)
    assert "sum" not in users
    transfer(interfere=False)
    assert users["sum"] == 100


def test_a_value_is_taken_as_it_is_when_it_is_recorded(store):
    value = [1]
    with store.atomic() as tx:
        tx.ns("users")["k"] = value
        value.append(2)
    assert store.ns("users")["k"] == [1]


def test_a_bad_argument_raises_where_it_stands(store):
    with pytest.raises(CodecError), store.atomic() as tx:
        tx.ns("users")["good"] = 1
        tx.ns("users")["bad"] = object()
        pytest.fail("the line before must raise")
    assert store.namespaces() == []


def test_a_number_that_is_none_raises_and_changes_nothing(store):
    users = store.ns("users")
    users["text"] = "t"
    before = everything(store)
    with pytest.raises(TypeError, match="text"), store.atomic() as tx:
        tx.ns("users")["first"] = 1
        tx.ns("users").incr("text")
    assert everything(store) == before


def test_an_empty_block_is_fine(store):
    with store.atomic() as tx:
        pass
    assert tx.versions == {}
    assert store.namespaces() == []


def test_a_transaction_has_the_defaults_that_its_namespace_is_given(store, clock):
    with store.atomic() as tx:
        tx.ns("users", ttl=5, content_type="application/msgpack")["a"] = 1
        tx.ns("users")["b"] = 1
    assert store.ns("users").get_with_meta("a").meta.content_type == "application/msgpack"
    clock.advance(5)
    assert list(store.ns("users")) == ["b"]


def test_a_transaction_is_used_once(store):
    with store.atomic() as tx:
        tx.ns("users").incr("k")
    with pytest.raises(RuntimeError):
        tx.ns("users")["k"] = 2
    with pytest.raises(RuntimeError), tx:
        pass
    assert store.ns("users")["k"] == 1


def test_a_transaction_cannot_be_entered_twice_at_once(store):
    tx = store.atomic()
    with pytest.raises(RuntimeError), tx, tx:
        tx.ns("users").incr("k")
    assert store.ns("users").get("k") is None


def test_versions_are_known_only_after_the_commit(store, after):
    with store.atomic() as tx:
        tx.ns("users")["k"] = 1
        with pytest.raises(RuntimeError, match="versions"):
            _ = tx.versions
    assert tx.versions == {("users", "k"): after(0)}


def test_blocks_may_be_nested_and_are_independent(store):
    users = store.ns("users")
    with store.atomic() as outer:
        outer.ns("users")["outer"] = 1
        with store.atomic() as inner:
            inner.ns("users")["inner"] = 1
        assert dict(users) == {"inner": 1}
    assert dict(users) == {"inner": 1, "outer": 1}


def test_a_large_block_is_one_step_as_well(store):
    users = store.ns("users")
    last = users.set("last", 0)
    with pytest.raises(ConflictError), store.atomic() as tx:
        for number in range(2500):
            tx.ns("users")[f"{number}"] = number
        tx.ns("users").check("last", last + 1)
    assert list(users) == ["last"]
    with store.atomic() as tx:
        for number in range(2500):
            tx.ns("users")[f"{number}"] = number
        tx.ns("users").check("last", last)
    assert len(users) == 2501
    assert len(tx.versions) == 2500
