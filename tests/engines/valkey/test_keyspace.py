"""The names of keys, and how a namespace stays laid out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from sqlitedict_kv import LayoutError, Store
from sqlitedict_kv.engines.protocol import KeyRange, Layout
from sqlitedict_kv.engines.valkey.key_range import bounds_of, merge_pages
from sqlitedict_kv.engines.valkey.keyspace import Keyspace, space_of

NAMES = st.text("{}%:ab0.é", min_size=1, max_size=12)


def space(name, shards=1, *, ordered=True, marks=b"", beside=None):
    return space_of("kv", name, Keyspace(shards, ordered, marks, beside))


def names_of(shard):
    return [shard.entries + b"any{key}", shard.order, shard.expiry, shard.clock, shard.sessions + b"1f"]


@given(NAMES, st.integers(1, 5))
def test_all_keys_of_a_shard_are_in_its_slot(name, shards):
    for shard in space(name, shards).shards:
        assert {key_slot(key) for key in names_of(shard)} == {shard.slot}


@given(st.lists(NAMES, min_size=2, max_size=5, unique=True), st.integers(1, 3))
def test_no_two_namespaces_or_shards_have_a_name_in_common(names, shards):
    found = [
        name
        for namespace in names
        for beside in (None, *(other for other in names if other != namespace))
        for shard in space(namespace, shards, beside=beside).shards
        for name in (shard.entries, shard.order, shard.expiry)
    ]
    assert len(found) == len(set(found))
    # Nor is one the beginning of another one of its kind: what follows it is the key.
    entries = sorted(name for name in found if name.startswith((b"kv:d", b"kv:D")))
    assert not any(later.startswith(earlier) for earlier, later in zip(entries, entries[1:], strict=False))


def test_leases_are_where_the_results_are():
    results = space("memoize", 8, marks=b"!~")
    leases = space("memoize.leases", 8, marks=b"!~", beside="memoize")
    for key in (b"f(1)", b"!f(1)", b"~f(1)"):
        assert results.shard_of(key).slot == leases.shard_of(b"f(1)").slot
        assert results.shard_of(key).clock == leases.shard_of(b"f(1)").clock
    assert results.shards[0].entries != leases.shards[0].entries


def test_nothing_is_guessed_from_a_name():
    users, leases = space("users", 64), space("users.leases", 64)
    assert [shard.slot for shard in users.shards] != [shard.slot for shard in leases.shards]
    assert {shard.clock for shard in users.shards}.isdisjoint(shard.clock for shard in leases.shards)
    assert len({users.shard_of(marks + b"k").slot for marks in (b"", b"!", b"~", b"!!~~")}) == 4
    marked = space("users", 64, marks=b"!~")
    assert len({marked.shard_of(marks + b"k").slot for marks in (b"", b"!", b"~")}) == 1
    assert marked.shard_of(b"!!~~k") == marked.shard_of(b"!~~k")  # the mark of a key that begins with one


@pytest.mark.parametrize(
    "layout",
    [
        Keyspace(1, True),
        Keyspace(1024, False),
        Keyspace(16, True, b"!~"),
        Keyspace(1, False, b"", "é@\n{x}"),
        Keyspace(16, True, b"!~", "m"),
    ],
)
def test_a_layout_comes_back_as_it_was(layout):
    assert Keyspace.of(layout.encoded()) == layout


def test_bounds_are_bytes_in_order():
    assert bounds_of(KeyRange("n")) == (b"-", b"+")
    assert bounds_of(KeyRange("n", "é")) == (b"[\xc3\xa9", b"(\xc3\xa9\xff")
    assert bounds_of(KeyRange("n", "a", "ab")) == (b"(ab", b"(a\xff")
    assert bounds_of(KeyRange("n", "a", "ab", reverse=True)) == (b"[a", b"(ab")


def test_pages_of_shards_are_joined_up_to_where_the_first_ends_that_has_more():
    full, rest = [1, b"", b"b", b"d", b"z"], [0, b"c", b"a", b"c"]
    page = merge_pages([full, rest], reverse=False, records=False)
    assert [key for key, _ in page.items] == ["a", "b", "c"]
    assert page.boundary == "c"
    page = merge_pages([[1, b"", b"z", b"d"], [0, b"c", b"e", b"c"]], reverse=True, records=False)
    assert [key for key, _ in page.items] == ["z", "e", "d", "c"]
    assert merge_pages([full], reverse=False, records=False).boundary is None


# -- on servers


@pytest.fixture
def address(shared_valkey, request):
    return f"{shared_valkey.url}?prefix={request.node.name[:60]}"


def test_a_layout_stays_and_another_one_is_refused(address):
    with Store(address) as store:
        store.ns("users", shards=4)["ada"] = 1
    with Store(address) as store:
        assert store.ns("users")["ada"] == store.ns("users", shards=4)["ada"] == 1
    for wish in ({"shards": 5}, {"shards": 1}, {"ordered": False}):
        with Store(address) as store:
            users = store.ns("users", **wish)
            for verb, *arguments in (["get", "ada"], ["set", "ada", 2], ["stats"], ["clear"]):
                with pytest.raises(LayoutError, match="shards=4|ordered=True"):
                    getattr(users, verb)(*arguments)
    with Store(address) as store:
        assert store.ns("users")["ada"] == 1


def test_a_layout_that_is_wished_late_is_compared_too(address):
    with Store(address) as store:
        store.ns("users")["ada"] = 1
        with pytest.raises(LayoutError):
            store.ns("users", shards=2)


def test_a_namespace_that_nobody_has_written_to_is_not_made_by_reading(address, shared_valkey):
    with Store(address) as store:
        users = store.ns("users", shards=4)
        assert users.get("ada") is None
        assert len(users) == 0
        assert list(users) == []
        assert users.get_many(["ada"]) == {}
        users.clear()
        assert store.drop("users") == 0
        assert not shared_valkey.client().keys(f"{address.rpartition('=')[2]}:*")


def test_clients_that_know_an_old_layout_are_told(address, shared_valkey):
    prefix = address.rpartition("=")[2]
    with Store(address) as old, Store(address) as new:
        old.ns("users", shards=2)["ada"] = 1
        client = shared_valkey.client()
        client.delete(*client.keys(f"{prefix}:*"))  # as FLUSHALL does
        new.ns("users", shards=3).update({str(number): number for number in range(20)})
        with pytest.raises(LayoutError):
            old.ns("users").update({str(number): -number for number in range(20)})
        assert new.ns("users").copy() == {str(number): number for number in range(20)}


def test_a_wish_is_no_promise_on_a_file(path):
    with Store(path) as store:
        users = store.ns("users", shards=4, ordered=False)
        users["ada"] = 1
        assert list(users) == ["ada"]


def test_wishes_add_up(address):
    with Store(address) as store:
        store.ns("users", shards=3)
        store.ns("users", ordered=False)["ada"] = 1
        with pytest.raises(LayoutError, match="shards=3"):
            store.ns("users", shards=2)


def test_what_is_beside_something_that_is_beside_another_shares_the_shards_of_that(address):
    with Store(address) as store:
        registry = store._engine._registry
        store._engine.declare("users.leases", Layout(colocated_with="users"))
        store._engine.declare("users.leases.leases", Layout(colocated_with="users.leases"))
        store.ns("users", shards=4)
        for name in ("users.leases.leases", "users.leases", "users"):
            store.ns(name)["ada"] = name
        assert store.namespaces() == ["users", "users.leases", "users.leases.leases"]
        assert [store.ns(name)["ada"] for name in store.namespaces()] == store.namespaces()
        assert len({registry.known(name).shard_of(b"ada").clock for name in store.namespaces()}) == 1
    with Store(address) as other:  # which was not told
        assert [other.ns(name)["ada"] for name in other.namespaces()] == other.namespaces()
        other.ns("users.leases").clear()
        assert other.namespaces() == ["users", "users.leases.leases"]
        assert other.check().entries == 2


def test_a_namespace_that_was_made_by_itself_is_not_kept_beside_another_one(address):
    with Store(address) as store:
        store.ns("memoize.leases")["a"] = "a user's own"
        with pytest.raises(LayoutError, match="'memoize.leases' was made by itself"):
            store.memoize()(len)
    with Store(address) as store:
        store.memoize()(len)
        with pytest.raises(LayoutError, match="'memoize.leases' was made by itself"):
            store.ns("memoize.leases")["b"] = 1
        assert store.ns("other.leases").get("a") is None


def test_entries_that_were_there_before_the_results_keep_their_shards(address):
    with Store(address) as store:
        users = store.ns("users", shards=16)
        users["!ada"] = 1
        with pytest.raises(LayoutError, match="memoize in another namespace"):
            users.memoize()(len)
    with Store(address) as store:
        whole = store.ns("whole")
        whole["!ada"] = 1
        assert whole.memoize()(abs)(-3) == 3  # one shard keeps all together
        assert whole["!ada"] == 1


def test_whoever_looks_at_all_namespaces_learns_of_a_new_layout(address, shared_valkey):
    prefix = address.rpartition("=")[2]
    with Store(address) as old, Store(address) as new:
        old.ns("users", shards=2)["ada"] = 1
        client = shared_valkey.client()
        client.delete(*client.keys(f"{prefix}:*"))  # as FLUSHALL does
        new.ns("users")["ada"] = 2
        with pytest.raises(LayoutError, match="shards=1"):  # for it was asked for
            old.namespaces()
    with Store(address) as old, Store(address) as new:
        assert old.ns("users")["ada"] == 2
        client.delete(*client.keys(f"{prefix}:*"))
        new.ns("users", shards=64).update({f"k{number}": number for number in range(64)})
        assert old.namespaces() == ["users"]
        assert old.ns("users").get("k7") == 7


def test_an_unordered_namespace_is_checked_too(address, shared_valkey):
    prefix = address.rpartition("=")[2]
    with Store(address) as store:
        store.ns("plain")["k"] = 1
        pages = store.ns("pages", shards=3, ordered=False)
        pages.update({f"k{number}": number for number in range(50)})
        assert store.check() == (True, 51, 0, (), 0, 0)
        assert store.stats()[:3] == (1, 0, 2)
        shard = space_of(prefix, "pages", Keyspace(3, ordered=False)).shard_of(b"k7")
        shared_valkey.client().append(shard.entries + b"k7", b"!")
        report = store.check()
        assert not report.ok
        assert "'k7'" in report.problems[0]
        assert store.drop("pages") == 50
        assert pages.get("k1") is None
