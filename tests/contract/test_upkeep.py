"""Expired entries leave, limits hold, and the figures say what happened."""

# ruff: noqa: PLW0108 - a table of calls reads best if each is written as a call

import re
import sqlite3
from contextlib import closing

import pytest

from sqlitedict_kv import Codec, OpenError, StoreClosedError, UnsupportedError
from tests.contract.conftest import SQLITE, on_sqlite, on_whole


def test_purge_expired_removes_what_has_expired_and_nothing_else(store, clock):
    users = store.ns("users")
    for number in range(10):
        users.set(f"old{number}", 1, ttl=5)
        users.set(f"young{number}", 1, ttl=50)
        users[f"never{number}"] = 1
    assert store.purge_expired() == 0
    clock.advance(5)
    assert store.stats().expired == 10
    assert store.purge_expired() == 10
    assert store.purge_expired() == 0
    assert store.stats().expired == 0
    assert store.stats().purged == 10
    assert len(users) == 20


def test_purge_expired_stops_at_its_limit(store, clock):
    users = store.ns("users")
    users.set_many({f"{number:04}": 1 for number in range(1200)}, ttl=5)
    clock.advance(5)
    before = store.stats().expired
    assert store.purge_expired(limit=7) == 7
    assert store.purge_expired(limit=900) == 900
    assert store.stats().expired == before - 907
    assert store.purge_expired() == before - 907


def test_a_namespace_purges_its_own_entries_only(store, clock):
    users, others = store.ns("users"), store.ns("others")
    for number in range(5):
        users.set(str(number), 1, ttl=5)
        others.set(str(number), 1, ttl=5)
    clock.advance(5)
    assert users.purge_expired(limit=2) == 2
    assert users.purge_expired() == 3
    assert users.stats() == (0, 0)
    assert others.stats() == (0, 5)


@on_sqlite
def test_expired_entries_leave_by_themselves_with_the_writes(store, clock):
    users = store.ns("users")
    users.set_many({f"{number:04}": 1 for number in range(300)}, ttl=5)
    clock.advance(5)
    for number in range(300):
        store.ns("others")[f"{number}"] = number
    assert store.stats().expired == 0
    assert store.stats().purged == 300
    assert len(store.ns("others")) == 300


@pytest.mark.parametrize("batch", [1, 50, 3000])
def test_expired_entries_leave_with_the_writes_of_others_that_expire(store, clock, batch):
    users = store.ns("users")
    users.set_many({f"{number:04}": 1 for number in range(3000)}, ttl=5)
    clock.advance(5)
    for start in range(0, 3000, batch):
        users.set_many({f"x{number:04}": 1 for number in range(start, start + batch)}, ttl=5)
    for _ in range(100):  # each looks at one shard
        users.set_many({f"last{number}": 1 for number in range(64)}, ttl=5)
    assert users.stats() == (3064, 0)


@on_whole
def test_a_store_in_which_everything_expires_does_not_grow(store, clock):
    users = store.ns("users", ttl=1)
    sizes = []  # of the file alone: servers keep things of others too
    for round_ in range(10):
        for number in range(100):
            users[f"{round_}-{number}"] = "x" * 500
            clock.advance(0.01)
        sizes.append(store.stats().bytes_on_disk)
    stats = store.stats()
    assert stats.entries <= 100
    assert stats.expired <= 200
    if store.capabilities.limits:
        assert sizes[-1] <= 2 * sizes[2]


def test_stats_of_a_new_store_are_all_nought(store, engine):
    stats = store.stats()
    assert stats[:3] == (0, 0, 0)
    assert (stats.hits, stats.misses, stats.evicted, stats.purged) == (0, 0, 0, 0)
    if engine in SQLITE:
        assert stats.engine_version == f"SQLite {sqlite3.sqlite_version}"
        assert stats.durability == "process"
    elif engine == "toy":
        assert (stats.engine_version, stats.durability) == ("a dict", "nothing")
    else:
        assert re.fullmatch(
            r"Redis 7\.\d+\.\d+" if engine == "redis" else r"Valkey \d+\.\d+\.\d+", stats.engine_version
        )
        assert stats.durability == "servers"
        assert stats.bytes_on_disk > 0


def test_stats_count_entries_namespaces_and_bytes(store, clock):
    store.ns("a").set_many({str(number): bytes(1000) for number in range(100)})
    store.ns("b").set("k", 1, ttl=1)
    clock.advance(1)
    stats = store.stats()
    assert (stats.entries, stats.expired, stats.namespaces) == (100, 1, 1)
    assert stats.bytes_on_disk >= 100_000
    assert store.ns("a").stats() == (100, 0)
    assert store.ns("b").stats() == (0, 1)
    assert store.ns("c").stats() == (0, 0)
    store.ns("a").clear()
    assert store.stats()[:3] == (0, 1, 0)
    if store.capabilities.backup:
        assert store.stats().free_bytes > 50_000


def test_stats_count_the_reads_that_found_something_and_those_that_did_not(store, clock):
    users = store.ns("users")
    users.update(a=1, b=2)
    users.set("old", 1, ttl=1)
    clock.advance(1)
    before = store.stats()
    _ = users["a"], users.get("a"), users.get_with_meta("b")
    users.get_many(["a", "b", "x"])
    users.get("old")
    users.get("x")
    assert "a" in users
    after = store.stats()
    assert (after.hits - before.hits, after.misses - before.misses) == (5, 3)


@on_sqlite
@pytest.mark.parametrize("durability", ["process", "power"])
def test_stats_name_the_durability(open_store, durability):
    assert open_store(durability=durability).stats().durability == durability


@on_sqlite
@pytest.mark.parametrize("limit", [1, 10, 64, 100, 1000])
def test_max_entries_is_kept_and_what_it_removes_is_counted(open_store, clock, limit):
    store = open_store(max_entries=limit)
    users = store.ns("users")
    slack = max(16, limit // 16)
    written = 3 * limit + 200
    for number in range(written):
        users[f"{number:05}"] = number
        clock.advance(0.001)
        if number % 16 == 0:
            assert len(users) <= limit + slack
    stats = store.stats()
    assert stats.entries <= limit + slack
    assert stats.entries >= limit - slack
    assert stats.entries + stats.evicted == written, "no entry leaves uncounted"
    assert f"{written - 1:05}" in users, "what was just written stays"


@on_sqlite
def test_max_entries_evicts_what_was_written_longest_ago(open_store, clock):
    store = open_store(max_entries=128)
    users = store.ns("users")
    for number in range(128):
        users[f"{number:05}"] = number
        clock.advance(1)
    for _ in range(10):
        for number in range(8):
            users[f"{number:05}"] = "again"
        for number in range(20):
            users[f"new{clock():.0f}-{number}"] = number
            clock.advance(1)
    assert all(users.get(f"{number:05}") == "again" for number in range(8))
    assert not any(f"{number:05}" in users for number in range(8, 64))


@on_sqlite
def test_a_bulk_write_over_the_limit_is_brought_down_by_the_writes_that_follow(open_store, clock):
    store = open_store(max_entries=100)
    users = store.ns("users")
    users.set_many({f"{number:05}": number for number in range(1000)})
    for number in range(300):
        clock.advance(0.01)
        users[f"x{number:05}"] = number
    assert len(users) <= 116
    assert store.stats().evicted == 1300 - len(users)


@on_sqlite
def test_max_bytes_is_kept_and_what_it_removes_is_counted(open_store, clock):
    limit = 1_000_000
    store = open_store(max_bytes=limit)
    users = store.ns("users")
    for number in range(1000):
        users[f"{number:05}"] = bytes(4000)
        clock.advance(0.01)
    stats = store.stats()
    assert stats.bytes_on_disk - stats.free_bytes <= limit * 1.1
    assert stats.bytes_on_disk <= limit * 1.25
    assert stats.entries > 100
    assert stats.entries + stats.evicted == 1000
    assert f"{999:05}" in users


@on_sqlite
def test_max_bytes_may_be_text(open_store):
    users = open_store(max_bytes="1 MB").ns("users")
    for number in range(600):
        users[f"{number:05}"] = bytes(4000)
    assert 100 < len(users) < 300


def test_without_limits_nothing_is_evicted(store):
    users = store.ns("users")
    users.set_many({f"{number}": number for number in range(5000)})
    for number in range(500):
        users[f"x{number}"] = number
    assert len(users) == 5500
    assert store.stats().evicted == 0


def test_namespaces_are_listed_in_order_while_they_have_entries(store, clock):
    for name in ("b", "a", "é", "\uffff", "😀", "Z"):
        store.ns(name)["k"] = 1
    store.ns("looked at").get("k")
    store.ns("t").set("k", 1, ttl=1)
    assert store.namespaces() == ["Z", "a", "b", "t", "é", "\uffff", "😀"]
    clock.advance(1)
    store.ns("b").clear()
    assert store.namespaces() == ["Z", "a", "é", "\uffff", "😀"]


def test_drop_removes_a_namespace_and_counts_what_was_live(store, clock):
    users, others = store.ns("users"), store.ns("others")
    users.set_many({f"{number}": number for number in range(2500)})
    users.set("old", 1, ttl=1)
    others["k"] = 1
    clock.advance(1)
    assert store.drop("users") == 2500
    assert store.drop("users") == 0
    assert not users
    assert users.stats() == (0, 0)
    assert store.namespaces() == ["others"]
    users["k"] = "still usable"
    assert users == {"k": "still usable"}


def test_clear_removes_every_entry_of_its_namespace(store, clock):
    users, others = store.ns("users"), store.ns("others")
    users.update(a=1, b=2)
    users.set("old", 1, ttl=1)
    others["k"] = 1
    clock.advance(1)
    assert users.clear() is None
    assert users.stats() == (0, 0)
    assert others == {"k": 1}
    users.clear()


def test_healthcheck_says_that_all_is_well(store):
    health = store.healthcheck()
    assert (health.ok, health.problem) == (True, None)
    assert health.seconds >= 0


def test_healthcheck_of_a_closed_store_says_so_and_raises_nothing(store):
    store.close()
    health = store.healthcheck()
    assert not health.ok
    assert "closed" in health.problem


def test_check_of_a_sound_store_finds_nothing(store, clock):
    assert store.check() == (True, 0, 0, (), 0, 0)
    users = store.ns("users")
    for number, value in enumerate([1, "x", b"y", (1,), {"a": 2}] * 50):
        users.set(f"{number}", value, ttl=10 if number % 2 else None)
    users.touch("0", 5)
    clock.advance(10)
    assert store.check() == (True, store.stats().entries + store.stats().expired, 0, (), 0, 0)


def test_check_names_what_does_not_decode_and_never_its_value(open_store):
    def refuse(body):
        raise ValueError(f"what is this: {body!r}?")

    store = open_store(codecs=[Codec("application/x-broken", bytes, refuse)])
    users = store.ns("users")
    users.set("bad", b"secret-value", content_type="application/x-broken")
    users["good"] = 1
    report = store.check()
    assert not report.ok
    assert report.entries == 2
    assert len(report.problems) == 1
    assert "'bad'" in report.problems[0]
    assert "secret" not in report.problems[0]


@on_sqlite
def test_vacuum_gives_free_space_back_and_keeps_everything(store):
    users = store.ns("users")
    users.set_many({f"{number}": bytes(1000) for number in range(2000)})
    users.delete_many([f"{number}" for number in range(1900)])
    before, entries = store.stats(), dict(users.scan())
    assert before.free_bytes > 1_000_000
    store.vacuum()
    after = store.stats()
    assert after.free_bytes == 0
    assert after.bytes_on_disk < before.bytes_on_disk / 2
    assert dict(users.scan()) == entries


@on_sqlite
def test_sync_of_any_store_is_allowed_and_changes_nothing_that_can_be_seen(store, after):
    store.sync()
    users = store.ns("users")
    version = users.set("k", 1)
    store.sync()
    assert users.set("k", 2) == after(version)
    assert store.namespaces() == ["users"]


@on_sqlite
def test_a_backup_holds_all_as_it_was(store, make_store, tmp_path, clock):
    users = store.ns("users")
    users.set_many({f"{number}": (number,) for number in range(500)})
    users.set("ttl", 1, ttl=60)
    deleted = users.set("deleted", 1)
    users.delete("deleted")
    expected = dict(users.scan())
    target = tmp_path / "backup" / "copy.db"
    target.parent.mkdir()
    store.backup(target)
    users.clear()
    assert [file.name for file in target.parent.iterdir()] == ["copy.db"], "one file, and nothing beside it"
    copy = make_store(target)
    assert dict(copy.ns("users").scan()) == expected
    assert copy.check() == (True, 501, 0, (), 0, 0)
    assert copy.ns("users").set("deleted", 2) > deleted, "the copy knows the versions that are gone"
    clock.advance(60)
    assert "ttl" not in copy.ns("users")


@on_sqlite
def test_a_backup_never_overwrites_anything(store, tmp_path):
    store.ns("users")["k"] = 1
    taken = tmp_path / "taken"
    taken.write_bytes(b"precious")
    for place in (taken, tmp_path, tmp_path / "no" / "directory"):
        with pytest.raises(OpenError, match="backup"):
            store.backup(place)
    assert taken.read_bytes() == b"precious"
    assert not [file for file in tmp_path.iterdir() if "partial" in file.name]


def test_a_backup_does_not_replace_the_store_itself(make_store, path):
    store = make_store(path)
    store.ns("users")["k"] = 1
    with pytest.raises(OpenError):
        store.backup(path)
    assert store.ns("users")["k"] == 1


def test_a_backup_is_a_sound_database_for_any_sqlite(make_store, path, tmp_path):
    store = make_store(path)
    store.ns("users").update(a=1, b=2)
    store.sync()
    store.backup(tmp_path / "copy.db")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT ns, key, value FROM kv ORDER BY key").fetchall() == [
            ("users", "a", b"1"),
            ("users", "b", b"2"),
        ]


def test_a_closed_store_refuses_every_call(store, engine, tmp_path):
    users = store.ns("users")
    users["k"] = 1
    store.close()
    store.close()
    for call in (
        lambda: users["k"],
        lambda: users.set("k", 1),
        lambda: len(users),
        lambda: bool(users),
        lambda: "k" in users,
        lambda: list(users),
        lambda: users.list(),
        lambda: list(users.scan()),
        lambda: users.clear(),
        lambda: users.pop("k"),
        lambda: users.popitem(),
        lambda: users.get_many(["k"]),
        lambda: users.set_many({"k": 1}),
        lambda: users.incr("k"),
        lambda: users.delete("k"),
        lambda: users.touch("k", 1),
        lambda: users.stats(),
        lambda: store.stats(),
        lambda: store.namespaces(),
        lambda: store.drop("users"),
        lambda: store.purge_expired(),
        lambda: store.check(),
    ):
        with pytest.raises(StoreClosedError, match="closed"):
            call()
    # What servers do not have is refused as what it is.
    refusal = StoreClosedError if engine in SQLITE else UnsupportedError
    for call in (lambda: store.vacuum(), lambda: store.sync(), lambda: store.backup(tmp_path / "copy.db")):
        with pytest.raises(refusal):
            call()
    with pytest.raises(StoreClosedError), store.atomic() as tx:
        tx.ns("users")["k"] = 1
    assert "StoreClosedError" in repr(users)
    assert not (tmp_path / "copy.db").exists()


def test_a_store_is_a_context_manager(open_store):
    with open_store() as store:
        store.ns("users")["k"] = 1
    with pytest.raises(StoreClosedError):
        store.ns("users").get("k")


@on_sqlite
def test_what_was_written_in_bulk_and_has_expired_leaves_by_itself(open_store, clock):
    store = open_store()
    n = store.ns("n")
    for batch in range(10):
        n.set_many({f"{batch}-{number}": 1 for number in range(1000)}, ttl=1)
        clock.advance(2)
    n.set_many({str(number): 1 for number in range(100)})
    for number in range(256):
        n["last"] = number

    assert store.stats().expired == 0


@on_sqlite
@pytest.mark.parametrize("size", [10_000, 100_000, 1_000_000])
def test_max_bytes_keeps_the_store_nearly_full_and_what_was_just_written(open_store, size):
    store = open_store(max_bytes=10_000_000)
    n = store.ns("n")
    for number in range(max(40, 15_000_000 // size)):
        n[f"{number:05}"] = bytes(size)
        assert f"{number:05}" in n

    assert store.stats().evicted > 0
    assert 0.6 * 10_000_000 < len(n) * size < 1.2 * 10_000_000
