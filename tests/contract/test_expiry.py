"""An entry that has expired is absent in every operation."""

import math
from datetime import UTC, datetime, timedelta

import pytest

from sqlitedict_kv import ConflictError
from tests.support.awaited import AwaitedStore


def test_an_entry_expires_exactly_at_its_time(store, clock):
    users = store.ns("users")
    users.set("k", 1, ttl=1.5)
    clock.advance(1.499)
    assert users["k"] == 1
    clock.advance(0.001)
    assert "k" not in users


@pytest.mark.parametrize("ttl", [1, 0.001, 0.0015, 60.0, 86_400, 100 * 365 * 24 * 3600])
def test_a_ttl_is_rounded_up_to_milliseconds(store, clock, ttl):
    users = store.ns("users")
    users.set("k", 1, ttl=ttl)
    lives = math.ceil(round(ttl * 10**6) / 10**3)  # milliseconds
    clock.advance((lives - 1) / 1000)
    assert "k" in users
    clock.advance(0.001)
    assert "k" not in users


@pytest.mark.parametrize("ttl", [5e-324, 1e-9, 1e-7, 3e-7, 1e-6, 1e-4])
def test_a_ttl_shorter_than_a_millisecond_still_lives_for_one(store, clock, ttl):
    users = store.ns("users")
    users.set("k", 1, ttl=ttl)
    assert users["k"] == 1
    clock.advance(0.001)
    assert "k" not in users


def expired(store, clock):
    """Return a namespace with one live entry and one, 'old', that has expired."""
    users = store.ns("users")
    users.set("live", "here")
    users.set("old", 987654321, ttl=10)
    clock.advance(10)
    return users


def test_reading_an_expired_entry_finds_nothing(store, clock):
    users = expired(store, clock)
    with pytest.raises(KeyError, match="old"):
        users["old"]
    assert users.get("old") is None
    assert users.get("old", "default") == "default"
    assert users.get_with_meta("old") is None
    assert users.get_many(["old", "live"]) == {"live": "here"}
    assert "old" not in users


def test_walking_and_counting_leave_expired_entries_out(store, clock):
    users = expired(store, clock)
    assert len(users) == 1
    assert list(users) == list(reversed(users)) == list(users.keys()) == ["live"]
    assert list(users.values()) == ["here"]
    assert list(users.items()) == [("live", "here")]
    assert users == {"live": "here"}
    assert users.copy() == {"live": "here"}
    assert users.list().keys == ("live",)
    assert users.list(reverse=True).keys == ("live",)
    assert [key for key, _ in users.scan()] == ["live"]
    assert "987654321" not in repr(users.items())


def test_a_namespace_of_expired_entries_is_empty_and_not_listed(store, clock):
    store.ns("gone").set("a", 1, ttl=1)
    store.ns("here").set("a", 1)
    clock.advance(1)
    assert not store.ns("gone")
    assert len(store.ns("gone")) == 0
    assert store.namespaces() == ["here"]


def test_removing_an_expired_entry_says_that_nothing_was_there(store, clock):
    users = expired(store, clock)
    assert users.delete("old") is False
    with pytest.raises(KeyError):
        del users["old"]
    with pytest.raises(KeyError):
        users.pop("old")
    assert users.pop("old", "default") == "default"
    assert users.delete_many(["old", "live"]) == 1


def test_popitem_passes_over_expired_entries(store, clock):
    users = expired(store, clock)
    assert users.popitem() == ("live", "here")
    with pytest.raises(KeyError):
        users.popitem()


def test_deleting_an_expired_entry_by_its_version_is_a_conflict(store, clock):
    users = store.ns("users")
    version = users.set("k", 1, ttl=1)
    clock.advance(1)
    with pytest.raises(ConflictError) as caught:
        users.delete("k", version=version)
    assert caught.value.actual is None


def test_an_expired_entry_can_be_added_again(store, clock):
    users = expired(store, clock)
    assert users.add("old", "new") is not None
    assert users["old"] == "new"
    assert users.get_with_meta("old").meta.expires_at is None


def test_setdefault_writes_where_the_entry_has_expired(store, clock):
    users = expired(store, clock)
    assert users.setdefault("old", "new") == "new"
    assert users["old"] == "new"


def test_compare_and_set_at_the_version_of_an_expired_entry_is_a_conflict(store, clock):
    users = store.ns("users")
    version = users.set("k", 1, ttl=1)
    clock.advance(1)
    with pytest.raises(ConflictError) as caught:
        users.cas_set("k", 2, version)
    assert caught.value.actual is None
    assert users.cas_set("k", 2, 0) > version


def test_incr_starts_again_from_its_default_when_the_entry_has_expired(store, clock):
    users = expired(store, clock)
    assert users.incr("old", 5, default=100) == 105
    assert users.get_with_meta("old").meta.expires_at is None


def test_modify_takes_its_default_when_the_entry_has_expired(store, clock):
    users = expired(store, clock)
    with pytest.raises(KeyError):
        users.modify("old", lambda value: value + 1)
    assert users.modify("old", lambda value: value + 1, default=0) == 1


def test_touch_does_not_revive_an_expired_entry(store, clock):
    users = expired(store, clock)
    assert users.touch("old", 100) is False
    assert "old" not in users


def test_touch_changes_nothing_but_the_deadline(store, clock):
    users = store.ns("users")
    users.set("k", [1], ttl=10)
    before = users.get_with_meta("k")
    clock.advance(5)
    assert users.touch("k", 20) is True
    after = users.get_with_meta("k")
    assert after.value == before.value
    assert after.meta == before.meta._replace(expires_at=after.meta.expires_at)
    assert after.meta.expires_at == before.meta.expires_at + timedelta(seconds=15)
    assert users.touch("k", None) is True
    assert users.get_with_meta("k").meta.expires_at is None
    clock.advance(10**9)
    assert users["k"] == [1]


def test_renew_returns_the_value_and_moves_the_deadline_alone(store, clock):
    users = store.ns("users")
    users.set("k", [1], ttl=10)
    before = users.get_with_meta("k").meta
    clock.advance(9.999)
    assert users.renew("k", 10) == [1]
    after = users.get_with_meta("k").meta
    assert after == before._replace(expires_at=before.expires_at + timedelta(seconds=9.999))
    clock.advance(9.999)
    assert users["k"] == [1]
    clock.advance(0.001)
    assert users.renew("k", 10) is None
    assert users.renew("k", 10, "default") == "default"
    assert "k" not in users


def test_renew_may_shorten_a_deadline(store, clock):
    users = store.ns("users")
    users.set("k", 1, ttl=100)
    assert users.renew("k", 1) == 1
    clock.advance(1)
    assert "k" not in users


def test_renew_leaves_an_entry_that_never_expires_as_it_is(store, clock):
    users = store.ns("users", ttl=5)
    users.set("k", None, ttl=None)
    before = users.get_with_meta("k")
    assert users.renew("k", 1, "default") is None
    assert users.get_with_meta("k") == before


@pytest.mark.parametrize(
    ("meanwhile", "found", "lives"),
    [
        (lambda users: users.set("k", "new", ttl=1), "new", 60),
        (lambda users: users.set("k", "new", ttl=None), "new", None),
        (lambda users: users.touch("k", None), "old", None),
        (lambda users: users.touch("k", 1), "old", 60),
        (lambda users: users.delete("k"), "default", 0),
    ],
    ids=["written", "written for ever", "touched for ever", "touched", "deleted"],
)
def test_renew_is_one_step_whatever_happens_in_the_middle_of_it(store, clock, monkeypatch, meanwhile, found, lives):
    users = store.ns("users")
    users.set("k", "old", ttl=10)
    engine = (store.store.sync_store if isinstance(store, AwaitedStore) else store)._context.engine
    read = engine.read
    pending = [meanwhile]

    def read_and_be_overtaken(namespace, key):
        record = read(namespace, key)
        while pending:
            pending.pop()(users)
        return record

    monkeypatch.setattr(engine, "read", read_and_be_overtaken)
    assert users.renew("k", 60, "default") == found
    assert not pending
    clock.advance(59.999)
    assert ("k" in users) is (lives != 0)
    clock.advance(0.001)
    assert ("k" in users) is (lives is None)


def test_the_clock_of_a_store_is_the_one_it_was_opened_with(store, clock):
    assert store.clock is clock


def test_set_without_a_ttl_takes_the_deadline_away(store, clock):
    users = store.ns("users")
    users.set("k", 1, ttl=1)
    users.set("k", 2)
    clock.advance(5)
    assert users["k"] == 2


def test_a_namespace_gives_its_own_ttl_to_every_write_that_names_none(store, clock):
    users = store.ns("users", ttl=10)
    users["item"] = 1
    users.set("set", 1)
    users.add("add", 1)
    users.cas_set("cas", 1, 0)
    users.set_many({"many": 1})
    users.update({"update": 1})
    users.setdefault("setdefault", 1)
    users.incr("incr")
    users.modify("modify", lambda value: value, default=1)
    with store.atomic() as tx:
        tx.ns("users", ttl=10).set("tx", 1)
    with store.atomic() as tx:
        tx.ns("users", ttl=10).incr("tx-incr")
    users.set("own", 1, ttl=20)
    users.set("never", 1, ttl=None)
    users.set_many({"many-never": 1}, ttl=None)
    assert len(users) == 14
    clock.advance(10)
    assert list(users) == ["many-never", "never", "own"]
    clock.advance(10)
    assert list(users) == ["many-never", "never"]


def test_two_views_of_one_namespace_may_have_different_ttls(store, clock):
    store.ns("users", ttl=1)["a"] = 1
    store.ns("users")["b"] = 1
    clock.advance(1)
    assert list(store.ns("users", ttl=1)) == ["b"]


def test_incr_keeps_the_deadline(store, clock):
    users = store.ns("users", ttl=5)
    users.set("k", 1, ttl=10)
    clock.advance(6)
    assert users.incr("k") == 2
    clock.advance(3.999)
    assert users["k"] == 2
    clock.advance(0.001)
    assert "k" not in users


def test_modify_keeps_the_deadline_unless_it_is_given_one(store, clock):
    users = store.ns("users", ttl=1000)
    users.set("kept", 1, ttl=10)
    users.set("given", 1, ttl=10)
    users.set("never", 1, ttl=10)
    clock.advance(5)
    users.modify("kept", lambda value: value + 1)
    users.modify("given", lambda value: value + 1, ttl=50)
    users.modify("never", lambda value: value + 1, ttl=None)
    clock.advance(5)
    assert list(users) == ["given", "never"]
    clock.advance(45)
    assert list(users) == ["never"]


def test_meta_gives_the_times_as_aware_datetimes(store, clock):
    users = store.ns("users")
    start = datetime.fromtimestamp(clock(), UTC)
    users.set("k", 1, ttl=1.5)
    meta = users.get_with_meta("k").meta
    assert meta.updated_at == start
    assert meta.updated_at.tzinfo is UTC
    assert meta.expires_at == start + timedelta(seconds=1.5)
    assert meta.expires_at.tzinfo is UTC


def test_updated_at_moves_with_writes_only(store, clock):
    users = store.ns("users")
    users["k"] = 1
    first = users.get_with_meta("k").meta.updated_at
    clock.advance(7)
    users.touch("k", 100)
    assert users.get_with_meta("k").meta.updated_at == first
    users.incr("k")
    assert users.get_with_meta("k").meta.updated_at == first + timedelta(seconds=7)


def test_a_clock_that_goes_back_shows_an_entry_that_was_not_removed_yet(store, clock):
    users = store.ns("users")
    users.set("k", 1, ttl=5)
    clock.advance(5)
    assert "k" not in users
    clock.advance(-1)
    assert users["k"] == 1


def test_a_write_over_an_expired_entry_is_not_lost_to_the_purge(store, clock):
    users = expired(store, clock)
    users["old"] = "new"
    store.purge_expired()
    assert users["old"] == "new"
