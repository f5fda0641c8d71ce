"""Sizes of entries: exact on every engine, "at least" after a deadline; and the largest ones."""

from datetime import UTC, datetime

import pytest

from sqlitedict_kv import Store, UnsupportedError, Usage
from sqlitedict_kv.operations import showing
from sqlitedict_kv.operations import usage as module
from tests.conftest import ON_SERVERS


def at(clock, seconds=0):
    return datetime.fromtimestamp(clock() + seconds, UTC)


def fill(store, clock):
    """Write entries whose sizes are known, of three types; return what their usage must be."""
    users = store.ns("users")
    users["ada"] = [1, 2]  # 5 bytes of JSON
    clock.advance(1)
    users["bob"] = b"12345678"
    users.set("carl", b"123", ttl=50)
    users.set("dan", "gone soon", ttl=5)
    clock.advance(10)
    users.set("eve", b"x" * 100_000, ttl=20)
    return users


def test_the_usage_of_a_namespace_is_exact(store, clock):
    users = fill(store, clock)
    store.ns("others")["k"] = "another"

    found = users.usage()

    assert found == Usage(
        entries=4,
        expired=1,
        bytes=5 + 8 + 3 + 100_000,
        files=0,
        file_bytes=0,
        oldest=at(clock, -11),
        newest=at(clock),
        next_expiry=at(clock, 20),
        by_content_type={"application/octet-stream": (3, 100_011), "application/json": (1, 5)},
        complete=True,
    )
    assert list(found.by_content_type) == ["application/octet-stream", "application/json"]


def test_the_usage_of_nothing_is_nothing(store):
    assert store.ns("users").usage() == (0, 0, 0, 0, 0, None, None, None, {}, True)


def test_the_usage_of_a_store_is_that_of_its_namespaces(store, clock):
    users = fill(store, clock)
    others = store.ns("others")
    others["k"] = "another"

    found = store.usage()

    assert found.namespaces == {"others": others.usage(), "users": users.usage()}
    assert (found.entries, found.expired, found.bytes) == (5, 1, 100_016 + len('"another"'))
    assert found.by_content_type["application/json"] == (2, 5 + len('"another"'))
    assert (found.oldest, found.newest, found.next_expiry) == (at(clock, -11), at(clock), at(clock, 20))
    assert found.complete


def test_the_largest_entries_come_first(store, clock):
    users = fill(store, clock)
    store.ns("others")["k"] = b"y" * 200_000

    assert [(each.namespace, each.key, each.size) for each in store.largest(2)] == [
        ("others", "k", 200_000),
        ("users", "eve", 100_000),
    ]
    found = users.largest()
    assert [each.key for each in found] == ["eve", "bob", "ada", "carl"]  # one that expired is absent
    entry = users.get_with_meta("eve")
    assert found[0] == (
        "users",
        "eve",
        100_000,
        "application/octet-stream",
        entry.meta.version,
        entry.meta.expires_at,
        entry.meta.updated_at,
    )
    assert entry.meta.size == 100_000
    assert users.get_with_meta("ada").meta.size == 5


def test_the_largest_entries_of_typed_keys_have_such_keys(store):
    numbers = store.ns("numbers", keys=int)
    numbers.set_many({number: b"x" * number for number in range(20)})
    assert [each.key for each in numbers.largest(3)] == [19, 18, 17]


def test_a_walk_goes_over_pages_without_missing_or_repeating_any(store, monkeypatch):
    monkeypatch.setattr(module, "SUMMARIES_PER_PAGE", 7)
    users = store.ns("users")
    users.set_many({f"{number:03}": b"x" * number for number in range(50)})
    assert users.usage()[:3] == (50, 0, sum(range(50)))
    assert [each.size for each in users.largest(100)] == list(range(49, -1, -1))


def test_after_a_deadline_the_numbers_are_at_least(store, monkeypatch):
    monkeypatch.setattr(module, "SUMMARIES_PER_PAGE", 7)
    users = store.ns("users")
    users.set_many({f"{number:03}": b"x" for number in range(50)})
    found = users.usage(deadline=0)
    assert not found.complete
    assert found.entries == found.bytes == 7
    whole = users.usage(deadline=60)
    assert (whole.entries, whole.complete) == (50, True)

    store.ns("zulu")["k"] = 1
    found = store.usage(deadline=0)
    assert not found.complete
    assert (found.namespaces["users"].entries, found.namespaces["zulu"].entries) == (7, 0)
    assert not found.namespaces["zulu"].complete


@pytest.mark.parametrize("wrong", [-1, float("nan"), "soon"])
def test_a_deadline_is_a_number_of_seconds(store, wrong):
    with pytest.raises((TypeError, ValueError), match="deadline"):
        store.ns("users").usage(deadline=wrong)
    with pytest.raises((TypeError, ValueError), match="n must"):
        store.ns("users").largest(0)


@pytest.mark.parametrize("engine", [*ON_SERVERS, "awaited-cluster"], indirect=True)
def test_a_namespace_without_order_is_left_out_and_said_to_be(store):
    store.ns("bag", ordered=False)["k"] = b"123"
    store.ns("users")["k"] = b"123"
    found = store.usage()
    assert not found.complete
    assert (found.namespaces["users"].bytes, found.namespaces["users"].complete) == (3, True)
    assert not found.namespaces["bag"].complete
    with pytest.raises(UnsupportedError, match="ordered=False"):
        store.ns("bag").usage()


def test_values_in_files_of_their_own_count_with_their_size(tmp_path, monkeypatch):
    monkeypatch.setattr(showing, "SECONDS", 600)
    with Store(tmp_path / "app.db", files_above="64 KiB") as store:
        users = store.ns("users")
        users["large"] = b"x" * 100_000
        users["small"] = b"x" * 1000
        found = users.usage()
        assert (found.entries, found.bytes, found.files, found.file_bytes) == (2, 101_000, 1, 100_000)
        assert found.by_content_type == {"application/octet-stream": (2, 101_000)}
        assert [(each.key, each.size) for each in users.largest()] == [("large", 100_000), ("small", 1000)]
        assert users.get_with_meta("large").meta.size == 100_000
        assert "97.7 KiB of them in 1 file" in users._repr_html_()
        assert users.preview().rows[0][3] == "too large to be shown"
        assert users.preview().rows[0][1] == "bytes"


# -- progress


class Told(list):
    """What a function for progress was told."""

    def __call__(self, done, total):
        self.append((done, total))

    def check(self, total):
        assert self, "nothing was reported"
        assert {each for _, each in self} == {total}
        assert self[-1][0] == total
        assert [done for done, _ in self] == sorted(done for done, _ in self)


def test_a_write_of_many_tells_its_progress(store):
    users, told = store.ns("users"), Told()
    versions = users.set_many({f"{number:05}": number for number in range(5000)}, progress=told)
    told.check(5000)
    assert len(versions) == len(users) == 5000


def test_a_function_for_progress_that_raises_stops_the_write(store):
    def stop(done, total):
        raise RuntimeError

    users = store.ns("users")
    with pytest.raises(RuntimeError):
        users.set_many({f"{number:05}": number for number in range(5000)}, progress=stop)
    users["a"] = 1
    assert users == {"a": 1}


def test_what_takes_long_tells_its_progress(store, clock):
    users = store.ns("users")
    users.set_many({f"{number:05}": number for number in range(3000)}, ttl=5)
    users.set_many({f"never {number:05}": number for number in range(3000)})
    clock.advance(5)

    assert store.usage(progress=(told := Told())).entries == 3000
    told.check(6000)
    assert store.check(progress=(told := Told())).ok
    told.check(6000)
    assert users.purge_expired(1000, progress=(told := Told())) == 1000
    told.check(1000)
    assert store.purge_expired(progress=(told := Told())) == 2000
    told.check(2000)
    assert store.drop("users", progress=(told := Told())) == 3000
    told.check(3000)


def test_progress_is_a_bool_or_a_function(store):
    with pytest.raises(TypeError, match=r"progress must be a bool or a function of \(done, total\), not str"):
        store.check(progress="yes")
