"""py-key-value on a store: the whole interface, as its protocols describe it, in every release that is supported.

py-key-value ships no tests with its packages, so these are our own.
"""

import asyncio
import math
import os
import sqlite3
import uuid
from collections import OrderedDict
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType

import pytest
from suites import report, run_pytest, version_of, wheel_of

from tests.support.processes import Worker

VERSION = version_of("py-key-value-aio")
OLDEST = "0.4.4"

from key_value.aio import errors, protocols  # noqa: E402
from key_value.aio.wrappers.prefix_collections import PrefixCollectionsWrapper  # noqa: E402

from sqlitedict_kv import AsyncStore, DamagedEntryError, Store  # noqa: E402
from sqlitedict_kv.adapters import key_value  # noqa: E402
from sqlitedict_kv.adapters.key_value import SQLiteStore  # noqa: E402
from sqlitedict_kv.adapters.support import fitting_key  # noqa: E402

pytestmark = pytest.mark.anyio

LONG = "é" * 1000
ODD = [
    "https://user@example.org:8080/path?q=1&r=%2F#fragment",
    "a::b",
    "../../etc/passwd",
    "with space\tand\nline",
    "null\0inside",
    "\x01" + "0" * 64,
    "日本語 🐘",
    "lone surrogate \ud800",
    "long " + LONG,
    "long " + LONG + "!",
    fitting_key("long " + LONG),
]


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def store(path, clock):
    async with AsyncStore(path, clock=clock, lru_bytes="1 MB") as opened:
        yield opened


@pytest.fixture
def kv(store):
    return SQLiteStore(store)


def types_of(value):
    """Return the types in a value, to the bottom."""
    if isinstance(value, dict):
        return [dict, *((types_of(key), types_of(inner)) for key, inner in value.items())]
    if isinstance(value, list | tuple):
        return [type(value), *map(types_of, value)]
    return type(value)


# -- the protocols


@pytest.mark.parametrize(
    "protocol",
    [
        "AsyncKeyValueProtocol",
        "AsyncCullProtocol",
        "AsyncEnumerateKeysProtocol",
        "AsyncEnumerateCollectionsProtocol",
        "AsyncDestroyStoreProtocol",
        "AsyncDestroyCollectionProtocol",
    ],
)
async def test_it_has_all_that_a_protocol_asks_for(kv, protocol):
    assert isinstance(kv, getattr(protocols.key_value, protocol))


async def test_a_wrapper_of_the_library_works_on_it(kv):
    wrapped = PrefixCollectionsWrapper(key_value=kv, prefix="app")
    await wrapped.put("k", {"a": 1}, collection="c", ttl=60)
    assert await wrapped.get("k", collection="c") == {"a": 1}
    assert await kv.get("k", collection="c") is None
    assert await kv.collections() == ["app__c"]


# -- values

KEPT = [
    {},
    {"null": None, "true": True, "false": False},
    {"int": -42, "large": 10**18, "float": 1.5, "whole": 1.0, "huge": 1e63},
    {"text": 'Hello 世界 🌍 \n\t"\\ \0', "number": "1", "nothing": "null", "": "empty key"},
    {"list": [1, [2, [3, []]]], "dict": {"deep": {"er": {"est": [{}]}}}},
    {"a": "x" * 100_000, "b": list(range(1000))},
    # What other stores take and change, comes back as it was.
    {"tuple": (1, "two", (3.0,))},
    {"ordered": OrderedDict(b=1, a=[OrderedDict()])},
    {"beyond 64 bits": 2**64, "below": -(2**200)},
    {"inf": math.inf, "-inf": -math.inf},
    {"keys": {1: "one", 2.5: "two and a half", None: "none"}},
]


@pytest.mark.parametrize("value", KEPT, ids=lambda value: next(iter(value), "empty"))
async def test_a_value_comes_back_as_it_was(kv, value):
    await kv.put("k", value)
    found = await kv.get("k")
    assert found == value
    assert types_of(found) == types_of(value)
    await kv.put_many(["a", "b"], [value, value])
    assert await kv.get_many(["a", "b"]) == [value, value]
    assert await kv.ttl("a") == (value, None)


async def test_any_mapping_is_taken_and_a_dict_comes_back(kv):
    await kv.put("k", MappingProxyType({"a": 1}))
    assert await kv.get("k") == {"a": 1}
    assert type(await kv.get("k")) is dict


async def test_a_value_that_was_read_is_its_readers_own(kv):
    value = {"list": [1]}
    await kv.put("k", value)
    value["list"].append(2)
    (await kv.get("k"))["list"].append(3)
    (await kv.get("k"))["list"].append(4)
    assert await kv.get("k") == {"list": [1]}


@pytest.mark.parametrize(
    "value",
    [
        datetime(2025, 1, 1, tzinfo=UTC),
        datetime(2025, 1, 1).date(),
        datetime(2025, 1, 1).time(),
        uuid.UUID(int=1),
        b"bytes",
        {1, 2},
        object(),
        print,
        Decimal(1),
        1j,
        "lone surrogate \ud800",
    ],
    ids=lambda value: type(value).__name__,
)
async def test_what_json_has_no_form_for_is_refused(kv, value):
    await kv.put("k", {"old": 1}, ttl=60)
    for bad in ({"a": value}, {"a": [{"b": value}]}):
        with pytest.raises(errors.SerializationError):
            await kv.put("k", bad)
        with pytest.raises(errors.SerializationError):
            await kv.put_many(["j", "k"], [{"fine": 1}, bad])
    assert await kv.ttl("k") == ({"old": 1}, 60)
    assert await kv.get("j") is None


async def test_a_value_that_is_too_large_or_too_deep_is_refused(path, clock, kv):
    deep = {}
    for _ in range(100_000):
        deep = {"deeper": deep}
    with pytest.raises(errors.SerializationError):
        await kv.put("k", deep)
    async with AsyncStore(path, clock=clock, max_value_bytes=1000) as small:
        with pytest.raises(errors.SerializationError, match="1000"):
            await SQLiteStore(small).put("k", {"a": "x" * 1000})
        with pytest.raises(errors.SerializationError, match="1000"):
            await SQLiteStore(small).put("k", {"a": ("x" * 1000,)})
    assert await kv.get("k") is None


@pytest.mark.parametrize("value", [None, 5, "text", b"bytes", [("a", 1)], {1: "a"}, {"a": 1, None: 2}])
async def test_a_value_that_is_no_mapping_of_str_is_a_type_error(kv, value):
    with pytest.raises(TypeError):
        await kv.put("k", value)
    with pytest.raises(TypeError):
        await kv.put_many(["j", "k"], [{}, value])
    assert await kv.keys() == []


async def test_nothing_in_the_file_is_a_pickle(kv, path):
    for number, value in enumerate(KEPT):
        await kv.put(str(number), value)
        await kv.put(LONG, value, collection=LONG)
    with closing(sqlite3.connect(path)) as connection:
        kinds = {kind for (kind,) in connection.execute("SELECT DISTINCT content_type FROM kv")}
        plain = connection.execute("SELECT value FROM kv WHERE key = '1'").fetchone()
    assert kinds == {"application/json", "application/msgpack"}
    assert plain == (b'{"null":null,"true":true,"false":false}',)


# -- reading, writing, removing


async def test_what_is_not_there_is_none(kv):
    assert await kv.get("k") is None
    assert await kv.ttl("k") == (None, None)
    assert await kv.get_many(["a", "b"]) == [None, None]
    assert await kv.ttl_many(["a", "b"]) == [(None, None), (None, None)]
    assert await kv.delete("k") is False
    assert await kv.delete_many(["a", "b"]) == 0
    assert await kv.keys() == []
    assert await kv.collections() == []


async def test_put_replaces_value_and_ttl(kv):
    await kv.put("k", {"v": 1}, ttl=60)
    await kv.put("k", {"v": 2})
    assert await kv.ttl("k") == ({"v": 2}, None)
    await kv.put("k", {"v": 3}, ttl=30)
    assert await kv.ttl("k") == ({"v": 3}, 30)


async def test_delete_says_whether_there_was_anything(kv, clock):
    await kv.put("k", {"v": 1})
    assert await kv.delete("k") is True
    assert await kv.delete("k") is False
    await kv.put("k", {"v": 1}, ttl=1)
    clock.advance(1)
    assert await kv.delete("k") is False


async def test_many_values_come_in_the_order_of_their_keys(kv):
    await kv.put_many(["a", "b"], ({"v": 1}, {"v": 2}), ttl=60)
    assert await kv.get_many(("b", "nope", "a", "b")) == [{"v": 2}, None, {"v": 1}, {"v": 2}]
    assert await kv.ttl_many(["b", "nope", "a"]) == [({"v": 2}, 60), (None, None), ({"v": 1}, 60)]
    assert await kv.get_many([]) == []
    assert await kv.ttl_many([]) == []


async def test_put_many_writes_all_or_nothing_and_the_last_of_a_key_wins(kv):
    await kv.put_many(["a", "b", "a"], [{"v": 1}, {"v": 2}, {"v": 3}])
    assert await kv.get_many(["a", "b"]) == [{"v": 3}, {"v": 2}]
    await kv.put_many([], [])
    with pytest.raises(ValueError, match="2 for 1"):
        await kv.put_many(["c"], [{}, {}])
    with pytest.raises(ValueError, match="1 for 2"):
        await kv.put_many(["c", "d"], [{}])
    with pytest.raises(TypeError):
        await kv.put_many(["c", 5], [{}, {}])
    assert await kv.keys() == ["a", "b"]


async def test_delete_many_counts_those_that_were_there(kv):
    await kv.put_many(["a", "b", "c"], [{}, {}, {}])
    assert await kv.delete_many(["a", "c", "nope", "a"]) == 2
    assert await kv.delete_many([]) == 0
    assert await kv.keys() == ["b"]


@pytest.mark.parametrize("bad", [None, 5, b"k", ["k"]])
async def test_a_key_that_is_no_str_is_a_type_error(kv, bad):
    for call in (kv.get(bad), kv.ttl(bad), kv.put(bad, {}), kv.delete(bad)):
        with pytest.raises(TypeError, match="key"):
            await call
    for call in (kv.get_many([bad]), kv.get_many("abc"), kv.ttl_many([bad]), kv.delete_many([bad])):
        with pytest.raises(TypeError, match="key"):
            await call


@pytest.mark.parametrize("bad", [5, b"c", ["c"]])
async def test_a_collection_that_is_no_str_is_a_type_error(kv, bad):
    calls = (kv.get("k", collection=bad), kv.put("k", {}, collection=bad), kv.keys(bad), kv.destroy_collection(bad))
    for call in calls:
        with pytest.raises(TypeError, match="collection"):
            await call


# -- time to live


@pytest.mark.parametrize("ttl", [1, 0.25, Decimal("1.5"), Fraction(1, 2), 3600])
async def test_an_entry_expires_exactly_at_its_time(kv, clock, ttl):
    await kv.put("k", {"v": 1}, ttl=ttl)
    assert await kv.ttl("k") == ({"v": 1}, float(ttl))
    clock.advance(float(ttl) - 0.001)
    assert await kv.get("k") == {"v": 1}
    value, left = await kv.ttl("k")
    assert value == {"v": 1}
    assert left == pytest.approx(0.001, abs=1e-6)
    clock.advance(0.001)
    assert await kv.get("k") is None
    assert await kv.ttl("k") == (None, None)
    assert await kv.get_many(["k"]) == [None]
    assert await kv.ttl_many(["k"]) == [(None, None)]
    assert await kv.keys() == []
    assert await kv.collections() == []
    assert await kv.destroy_collection("default_collection") is False


@pytest.mark.parametrize("ttl", [0, 0.0, -1, -0.5, True, False, math.nan, -math.inf, "5", b"5", [5], timedelta(1), 1j])
async def test_a_ttl_that_is_none_is_refused(kv, ttl):
    await kv.put("k", {"v": 1}, ttl=60)
    with pytest.raises(errors.InvalidTTLError):
        await kv.put("k", {"v": 2}, ttl=ttl)
    with pytest.raises(errors.InvalidTTLError):
        await kv.put_many(["j", "k"], [{}, {}], ttl=ttl)
    assert await kv.ttl("k") == ({"v": 1}, 60)
    assert await kv.get("j") is None


@pytest.mark.parametrize("ttl", [1e12, math.inf])
async def test_a_ttl_of_more_than_a_century_is_never(kv, ttl):
    await kv.put("k", {"v": 1}, ttl=ttl)
    assert await kv.ttl("k") == ({"v": 1}, None)


# -- keys and collections of any name


async def test_without_a_collection_the_default_one_is_meant(store, kv):
    await kv.put("k", {"v": 1})
    assert await kv.get("k", collection="default_collection") == {"v": 1}
    assert await kv.get("k", collection="") == {"v": 1}
    other = SQLiteStore(store, default_collection="mine")
    assert await other.get("k") is None
    await other.put("k", {"v": 2})
    assert await kv.collections() == ["default_collection", "mine"]


async def test_any_name_is_its_own_and_can_be_listed(kv):
    for number, name in enumerate(ODD):
        await kv.put(name, {"key": number}, collection="keys")
        await kv.put("k", {"collection": number}, collection=name, ttl=60)
        await kv.put(name, {"both": number}, collection=name)
    await kv.put("", {"key": "empty"}, collection="keys")
    for number, name in enumerate(ODD):
        assert await kv.get(name, collection="keys") == {"key": number}
        assert await kv.ttl("k", collection=name) == ({"collection": number}, 60)
        assert await kv.get_many([name, "k"], collection=name) == [{"both": number}, {"collection": number}]
        assert sorted(await kv.keys(name)) == sorted(["k", name])
    assert sorted(await kv.keys("keys")) == sorted(["", *ODD])
    assert sorted(await kv.collections()) == sorted(["keys", *ODD])
    for name in ODD:
        assert await kv.delete(name, collection="keys")
        assert await kv.destroy_collection(name)
    assert await kv.collections() == ["keys"]


async def test_collection_and_key_are_never_run_together(kv):
    await kv.put("b::c", {"v": 1}, collection="a")
    await kv.put("c", {"v": 2}, collection="a::b")
    await kv.put("b/c", {"v": 3}, collection="a")
    await kv.put("c", {"v": 4}, collection="a/b")
    assert await kv.get("b::c", collection="a") == {"v": 1}
    assert await kv.get("c", collection="a::b") == {"v": 2}
    assert await kv.get("b/c", collection="a") == {"v": 3}
    assert await kv.get("c", collection="a/b") == {"v": 4}


async def test_all_keys_are_listed_or_as_many_as_are_asked_for(kv, monkeypatch):
    keys = [f"{number:04}" for number in range(25)]
    await kv.put_many(keys, [{}] * len(keys))
    monkeypatch.setattr(key_value, "KEYS_PER_PAGE", 10)
    assert await kv.keys() == keys
    assert [len(await kv.keys(limit=limit)) for limit in (0, 1, 10, 11, 24, 25, 26)] == [0, 1, 10, 11, 24, 25, 25]


async def test_as_many_collections_are_listed_as_are_asked_for(kv):
    for name in ("a", "b", LONG):
        await kv.put("k", {}, collection=name)
    assert [len(await kv.collections(limit=limit)) for limit in (0, 1, 3, 4)] == [0, 1, 3, 3]


# -- culling and destruction


async def test_cull_removes_what_has_expired_from_the_file(kv, path, clock):
    await kv.put_many(["a", "b"], [{}, {}], ttl=1)
    await kv.put("c", {}, collection="other")
    clock.advance(1)
    assert await kv.cull() is None
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT key FROM kv").fetchall() == [("c",)]


async def test_destroying_a_collection_leaves_the_others(kv):
    await kv.put("k", {}, collection="a")
    await kv.put("k", {}, collection="b")
    assert await kv.destroy_collection("a") is True
    assert await kv.destroy_collection("a") is False
    assert await kv.collections() == ["b"]
    assert await kv.get("k", collection="a") is None


async def test_destroying_everything_leaves_the_other_namespaces_of_the_file(store, kv):
    await kv.put("k", {})
    await kv.put(LONG, {}, collection=LONG)
    await store.ns("mine").set("k", "here")
    other = SQLiteStore(store, prefix="other/")
    await other.put("k", {"v": 1})
    assert await kv.destroy() is True
    assert await kv.collections() == []
    assert await store.namespaces() == ["mine", "other/default_collection"]
    assert await other.get("k") == {"v": 1}


@pytest.mark.parametrize(
    ("prefix", "error"), [(None, TypeError), (5, TypeError), ("", ValueError), ("x" * 191, ValueError)]
)
async def test_a_prefix_that_leaves_no_room_is_refused(store, prefix, error):
    with pytest.raises(error, match="prefix"):
        SQLiteStore(store, prefix=prefix)
    longest = SQLiteStore(store, prefix="x" * 190)
    await longest.put("k", {"v": 1}, collection=LONG)
    assert await longest.collections() == [LONG]


# -- trouble


async def test_what_somebody_else_wrote_is_an_error_and_no_miss(store, kv):
    await store.ns("collections/default_collection").set("k", ["no", "dict", {}])
    await store.ns("collections/default_collection").set(fitting_key(LONG), {"not": "wrapped"})
    with pytest.raises(errors.DeserializationError, match="'k'"):
        await kv.get("k")
    with pytest.raises(errors.DeserializationError, match="'k'"):
        await kv.ttl("k")
    with pytest.raises(errors.DeserializationError, match="not written by this adapter"):
        await kv.get(LONG)
    with pytest.raises(errors.DeserializationError, match="not written by this adapter"):
        await kv.keys()


async def test_a_damaged_entry_is_an_error_and_no_miss(kv, path):
    await kv.put("k", {"v": 1})
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("""UPDATE kv SET value = CAST('{"v":2}' AS BLOB)""")
    with pytest.raises(DamagedEntryError, match="'k'"):
        await kv.get("k")


# -- at the same time


async def test_tasks_may_use_it_at_the_same_time(kv):
    async def work(task):
        for turn in range(20):
            await kv.put(f"{task} {turn}", {"v": [task, turn]}, collection=str(task % 3))
            assert await kv.get(f"{task} {turn}", collection=str(task % 3)) == {"v": [task, turn]}

    await asyncio.gather(*(work(task) for task in range(12)))
    assert sum([len(await kv.keys(str(collection))) for collection in range(3)]) == 240


OTHER = """
    import asyncio
    from sqlitedict_kv.adapters.key_value import SQLiteStore

    async def main():
        async with AsyncStore(sys.argv[1], lru_bytes="1 MB") as store:
            kv = SQLiteStore(store)
            while (line := hear()) != "end":
                await kv.put("k", {"v": line})
                assert await kv.get("k") == {"v": line}
                say("done")

    asyncio.run(main())
"""


async def test_what_another_process_wrote_is_seen_at_the_next_read_whatever_the_lru_holds(path):
    with Worker(OTHER, path) as other:
        async with AsyncStore(path, lru_bytes="1 MB") as store:
            kv = SQLiteStore(store)
            for turn in range(50):
                other.say(turn)
                assert other.hear() == "done"
                assert [await kv.get("k") for _ in range(3)] == [{"v": str(turn)}] * 3
            with Store(path) as counting:
                assert counting.ns("collections/default_collection")["k"] == {"v": "49"}
            assert (await store.stats()).lru.hits >= 50
        other.say("end")
        assert other.finish() == []


# -- other releases

if "KEY_VALUE_RELEASE" in os.environ:

    def test_this_run_is_in_the_other_release():
        assert os.environ["KEY_VALUE_RELEASE"] == VERSION

else:

    @pytest.mark.timeout(600)  # of all of this
    def test_the_oldest_release_that_is_supported_passes_the_same_tests(tmp_path):
        release = wheel_of("py-key-value-aio", OLDEST)
        counts = run_pytest(__file__, "-q", directory=tmp_path, path=(release,), KEY_VALUE_RELEASE=OLDEST)
        report("py-key-value", OLDEST, counts)
        assert counts.failed == 0, (tmp_path / "suite.log").read_text(encoding="utf-8")
        assert counts.passed >= 90
