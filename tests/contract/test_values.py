"""What goes in comes out, of the same types; what cannot be kept is refused and changes nothing."""

# ruff: noqa: PLW0108 - a table of calls reads best if each is written as a call

import datetime
from decimal import Decimal

import pytest

from sqlitedict_kv import Codec, CodecError, DecodeError, TooLargeError
from tests.contract.conftest import on_shared
from tests.support.ids import shown

JSON = "application/json"
MSGPACK = "application/msgpack"
BUNDLE = "application/vnd.sqlitedict-kv.bundle"
BYTES = "application/octet-stream"
TEXT = "text/plain; charset=utf-8"

CHOSEN = [
    (None, JSON),
    (True, JSON),
    (0, JSON),
    (1.5, JSON),
    ("text", JSON),
    ("", JSON),
    ([], JSON),
    ({}, JSON),
    ({"a": [1, {"b": None}]}, JSON),
    (2**64 - 1, JSON),
    (-(2**63), JSON),
    (b"", BYTES),
    (b"\0\xff", BYTES),
    ((), MSGPACK),
    ((1, [2]), MSGPACK),
    ({1: 2}, MSGPACK),
    ([b"x"], MSGPACK),
    (2**64, MSGPACK),
    ({1, 2}, MSGPACK),
    (float("inf"), MSGPACK),
    (1j, MSGPACK),
    (Decimal("1.10"), MSGPACK),
    (datetime.date(2024, 2, 29), MSGPACK),
    (bytearray(b"x"), MSGPACK),
    (bytearray(b"x" * 1024), BUNDLE),
    ({"deep": ({"deeper": [range(3)]},)}, MSGPACK),
    ({(1, 2): [frozenset({1})]}, MSGPACK),
]


@pytest.mark.parametrize(("value", "content_type"), CHOSEN, ids=shown)
def test_the_content_type_is_the_plainest_that_keeps_the_value(store, value, content_type):
    users = store.ns("users")
    users["k"] = value
    found = users.get_with_meta("k")
    assert (type(found.value), found.value) == (type(value), value)
    assert found.meta.content_type == content_type


def test_a_content_type_may_be_asked_for(store):
    users = store.ns("users")
    for content_type, value in [(JSON, {"a": 1}), (MSGPACK, {"a": 1}), (BYTES, b"x"), (TEXT, "grüße 😀")]:
        users.set("k", value, content_type=content_type)
        assert users["k"] == value
        assert users.get_with_meta("k").meta.content_type == content_type


def test_a_namespace_may_fix_its_content_type(store):
    notes = store.ns("notes", content_type=TEXT)
    notes["k"] = "text"
    notes.set_many({"m": "text"})
    notes.add("a", "text")
    notes.modify("k", str.upper)
    for key in ("k", "m", "a"):
        assert notes.get_with_meta(key).meta.content_type == TEXT
    with pytest.raises(CodecError):
        notes["k"] = 5
    notes.set("k", 5, content_type=JSON)
    assert notes["k"] == 5
    assert store.ns("notes").get("m") == "text", "the entry knows its type, whatever the view says"


def test_get_with_a_content_type_finds_only_values_of_that_type(store):
    users = store.ns("users")
    users.update(json=1, raw=b"1")
    assert users.get("json", content_type=JSON) == 1
    assert users.get("json", content_type=BYTES) is None
    assert users.get("raw", "default", content_type=JSON) == "default"
    assert users.get("raw", content_type=BYTES) == b"1"


WRONG = [
    (JSON, (1,)),
    (JSON, {1: 2}),
    (JSON, float("nan")),
    (JSON, b"x"),
    (JSON, 2**64),
    (JSON, {"a": {1}}),
    (JSON, "\ud800"),
    (MSGPACK, object()),
    (MSGPACK, memoryview(b"x")),
    (MSGPACK, "\ud800"),
    (BYTES, "x"),
    (BYTES, bytearray(b"x")),
    (BYTES, memoryview(b"x")),
    (BYTES, 1),
    (TEXT, b"x"),
    (TEXT, 1),
    (TEXT, None),
    (TEXT, "\ud800"),
    ("application/x-npy", [1]),
    ("application/vnd.apache.arrow.stream", [1]),
    (None, object()),
    (None, [object()]),
    (None, memoryview(b"x")),
    (None, "a\udfff"),
    (None, type),
    (None, len),
    (None, {"deep": ({"deeper": [iter(())]},)}),
]


@pytest.mark.parametrize(("content_type", "value"), WRONG, ids=shown)
def test_an_error_leaves_the_old_value_and_version(store, content_type, value):
    users = store.ns("users")
    version = users.set("k", "old", ttl=100)
    before = users.get_with_meta("k")
    for write in (
        lambda: users.set("k", value, content_type=content_type),
        lambda: users.cas_set("k", value, version, content_type=content_type),
        lambda: store.ns("users", content_type=content_type).update({"j": 1, "k": value}),
        lambda: store.ns("users", content_type=content_type).modify("k", lambda _: value),
    ):
        with pytest.raises(CodecError):
            write()
        assert users.get_with_meta("k") == before
    for write in (users.add, users.setdefault):
        with pytest.raises(CodecError):
            if content_type is None:
                write("new", value)
            else:
                getattr(store.ns("users", content_type=content_type), write.__name__)("new", value)
    assert list(users) == ["k"]


def test_a_codec_error_is_a_type_error(store):
    with pytest.raises(TypeError):
        store.ns("users")["k"] = object()


def test_no_caller_gets_an_object_that_another_caller_holds(store):
    users = store.ns("users")
    value = {"list": [1]}
    users["k"] = value
    value["list"].append(2)
    first, second = users["k"], users["k"]
    first["list"].append(3)
    assert second == {"list": [1]}
    default = users.setdefault("new", value)
    default["list"].clear()
    assert users["new"] == {"list": [1, 2]}


def test_a_value_over_the_limit_is_refused(open_store):
    store = open_store(max_value_bytes=1000)
    users = store.ns("users")
    users["k"] = bytes(1000)
    before = users.get_with_meta("k")
    for value in (bytes(1001), "x" * 999, [0] * 500, (0,) * 1000):
        with pytest.raises(TooLargeError, match="max_value_bytes"):
            users["k"] = value
        with pytest.raises(ValueError, match="max_value_bytes"):
            users.set_many({"a": 1, "b": value})
    assert users.get_with_meta("k") == before
    assert list(users) == ["k"]


@pytest.mark.parametrize(
    "key", ["", "\0", "a\0b", "\n", "'; DROP TABLE kv; --", "?", ":ns", "k" * 1024, "é" * 512, "😀" * 256]
)
def test_any_text_of_up_to_1024_bytes_is_a_key(store, key):
    users = store.ns("users")
    users[key] = key
    assert users[key] == key
    assert list(users) == [key]
    assert users.list(key).keys == (key,)
    assert users.delete(key)


@pytest.mark.parametrize("name", ["\0", "kv", "kv_floor", "'", "x" * 255, "é" * 127, "%", "\U0010ffff"])
def test_any_text_of_up_to_255_bytes_is_a_namespace(store, name):
    store.ns(name)["k"] = 1
    store.ns(name + "x" if len(name.encode()) < 255 else "x")["k"] = 2
    assert store.ns(name)["k"] == 1
    assert name in store.namespaces()


def test_texts_that_look_alike_are_different_keys(store):
    users = store.ns("users")
    users.update({"é": 1, "e\u0301": 2, "A": 3, "a": 4, "a ": 5})
    assert len(users) == 5
    assert (users["é"], users["e\u0301"], users["a"], users["a "]) == (1, 2, 4, 5)


class Celsius:
    def __init__(self, degrees):
        self.degrees = degrees

    def __eq__(self, other):
        return type(other) is Celsius and other.degrees == self.degrees

    __hash__ = None


CELSIUS = Codec(
    "application/x-celsius",
    lambda value: str(value.degrees).encode(),
    lambda body: Celsius(float(body)),
    types=(Celsius,),
)


def test_a_codec_of_the_user_keeps_values_of_its_types(open_store):
    users = open_store(codecs=[CELSIUS]).ns("users")
    users["k"] = Celsius(36.6)
    assert users["k"] == Celsius(36.6)
    assert users.get_with_meta("k").meta.content_type == "application/x-celsius"
    assert users.get("k", content_type="application/x-celsius") == Celsius(36.6)
    with pytest.raises(CodecError):
        users["j"] = [Celsius(1.0)]


@on_shared
def test_a_type_that_this_store_does_not_know_is_an_error_and_never_a_miss(open_store):
    with open_store(codecs=[CELSIUS]) as store:
        store.ns("users")["k"] = Celsius(36.6)
    store = open_store()
    users = store.ns("users")
    for read in (
        lambda: users["k"],
        lambda: users.get("k", "default"),
        lambda: users.get_with_meta("k"),
        lambda: users.get_many(["k"]),
        lambda: users.pop("k", "default"),
        lambda: users.popitem(),
        lambda: users.setdefault("k", 1),
        lambda: users.incr("k"),
        lambda: users.modify("k", str, default=0),
        lambda: list(users.items()),
        lambda: list(users.values()),
        lambda: list(users.scan()),
        lambda: users.copy(),
    ):
        with pytest.raises(DecodeError, match=r"'k'.*'users'.*application/x-celsius"):
            read()
    assert "k" in users
    assert list(users) == ["k"]
    assert users.delete("k"), "it can be removed all the same"
