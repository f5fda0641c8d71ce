"""A key becomes a text, comes back from it, and texts are in the order of their keys."""

import math
import sys
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sqlitedict_kv.codecs.key_encoding import decode_key, encode_key, encode_prefix
from sqlitedict_kv.codecs.key_types import KeyType

TEXTS = st.text(st.one_of(st.sampled_from("\0\x01\x02\x03 !~a"), st.characters(exclude_categories=["Cs"])), max_size=9)
INTS = st.one_of(st.integers(), st.integers(-(10**60), 10**60))
FLOATS = st.floats(allow_nan=False)
FAR = timezone(timedelta(hours=23, minutes=59))
ORDERED = {
    "str": TEXTS,
    "int": INTS,
    "float": FLOATS,
    "bytes": st.binary(max_size=12),
    "date": st.dates(),
    "datetime": st.datetimes(),
    "aware datetime": st.datetimes(timezones=st.just(UTC)),
    "time": st.times(),
    "UUID": st.uuids(),
}
ITEMS = st.one_of(TEXTS, st.none(), st.booleans(), INTS, FLOATS, st.binary(max_size=4), st.dates(), st.uuids())
OTHERS = st.one_of(
    st.decimals(-9, 9), st.timedeltas(), st.frozensets(st.integers(), max_size=3), st.complex_numbers(allow_nan=False)
)
KEYS = st.recursive(ITEMS | OTHERS, lambda inner: st.lists(inner, max_size=4).map(tuple), max_leaves=12)
INT64 = range(-(2**63), 2**63)


def like(key):
    """Return what comes back: a whole float of 64 bits is its int, wherever it is."""
    if type(key) is tuple:
        return tuple(like(item) for item in key)
    return int(key) if type(key) is float and key.is_integer() and int(key) in INT64 else key


def types_of(key):
    return tuple(types_of(item) for item in key) if type(key) is tuple else type(key)


@given(KEYS)
@example(((), ((),), "\x01", "\x02", "\0", "", b"", None))
@example(10**999)
@example(-(10**999))
@example(sys.float_info.max)
@example(5e-324)
@example(1.5e-7)
def test_a_key_comes_back_as_what_it_was(key):
    found = decode_key(encode_key(key))
    assert found == key
    assert types_of(found) == types_of(like(key))
    assert encode_key(found) == encode_key(key)


@pytest.mark.parametrize("kind", ORDERED)
def test_texts_are_in_the_order_of_their_keys(kind):
    @given(ORDERED[kind], ORDERED[kind])
    @settings(max_examples=400)
    def check(one, other):
        first, second = encode_key(one).encode(), encode_key(other).encode()
        assert (first < second) == (one < other)
        assert (first == second) == (one == other)

    check()


@given(st.one_of(INTS, FLOATS), st.one_of(INTS, FLOATS))
@settings(max_examples=500)
@example(2**53 + 1, float(2**53))
@example(2**63 - 1, float(2**63))
@example(1, 1.0)
@example(-1.5, -1)
@example(-1, -10)
@example(-0.25, -0.2)
@example(0.0, -0.0)
@example(math.inf, 10**400)
@example(-math.inf, -(10**400))
@example(999, 1000)
@example(99.5, 100)
@example(1e-5, 1e-4)
@example(10**20, 10**20 + 1)
def test_ints_and_floats_are_in_one_order(one, other):
    first, second = encode_key(one), encode_key(other)
    if one != other:
        assert (first < second) == (one < other)
    elif type(one) is type(other) or int(one) in INT64:
        assert first == second
    else:
        assert first != second  # beyond 64 bits an int and a float are two keys


PAIRS = st.tuples(TEXTS, INTS) | st.tuples(TEXTS)
NESTED = st.tuples(PAIRS, st.binary(max_size=3))


@given(st.one_of(st.tuples(PAIRS, PAIRS), st.tuples(NESTED, NESTED)))
@settings(max_examples=600)
@example((("a",), ("a", 0)))
@example((("a\0",), ("a", -1)))
@example((("a\x01",), ("a", 1)))
@example(((("a",), b"b"), (("a", 1), b"")))
def test_tuples_are_in_order_item_by_item_and_before_their_extensions(pair):
    one, other = pair
    first, second = encode_key(one).encode(), encode_key(other).encode()
    assert (first < second) == (one < other)
    assert (first == second) == (one == other)


def test_equal_moments_are_one_key_and_come_back_in_utc():
    noon = datetime(2026, 11, 30, 12, tzinfo=UTC)
    there = noon.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert encode_key(noon) == encode_key(there) == "A2026-11-30T12:00:00"
    assert decode_key(encode_key(there)) == there
    assert decode_key(encode_key(there)).tzinfo is UTC
    assert encode_key(noon) != encode_key(noon.replace(tzinfo=None))
    assert encode_key(datetime(2026, 10, 25, 2, 30, fold=1)) == encode_key(datetime(2026, 10, 25, 2, 30))


def test_keys_are_readable_in_the_file():
    assert encode_key("ada") == "$ada"
    assert encode_key(42) == "#c42"
    assert encode_key(1000) == "#e1000"
    assert encode_key(0) == "#0"
    assert encode_key(2.5) == "#b25"
    assert encode_key(b"\x00\xff") == "%00ff"
    assert encode_key(date(2026, 11, 30)) == "/2026-11-30"
    assert encode_key(time(9, 30, 0, 250_000)) == "+09:30:00.250000"
    assert encode_key(UUID(int=1)) == "*00000000-0000-0000-0000-000000000001"
    assert encode_key(("ada", 42)) == "($ada\x01#c42\x01"
    assert encode_key(()) == "("


@pytest.mark.parametrize(
    ("key", "error"),
    [
        (math.nan, ValueError),
        ((1, math.nan), ValueError),
        (10**1300, ValueError),
        (datetime(1, 1, 1, tzinfo=FAR), ValueError),
        (time(1, tzinfo=UTC), TypeError),
        (object(), TypeError),
        (bytearray(b"x"), TypeError),
        ((1, object()), TypeError),
        (Decimal, TypeError),
        (lambda: 1, TypeError),
        (type("S", (str,), {})("s"), TypeError),
    ],
    ids=lambda thing: getattr(thing, "__name__", type(thing).__name__),
)
def test_what_cannot_be_a_key_is_refused(key, error):
    with pytest.raises(error):
        encode_key(key)


@pytest.mark.parametrize(
    "text",
    [
        "", "ada", "?", "#", "#c4", "#c042", "#b1.", "#a999", "#a9990", "#b10", "#z1", "#-", "#-Hwy", "#v000142",
        "%0", "%FF", "&2", "/2026-1-1", "/2026-13-01", "@2026-11-30", "@2026-11-30T09:00:00+01:00",
        "A2026-11-30T09:00:00Z", "+9", "*1", "*00000000000000000000000000000001", "($a", "($a\x01#c42", "(\x01\x01",
        "($\x02", "($\x029\x01", "($\x01$", "~", "~\xff", "~\u0100", "~\x01", "!x",
    ],
    ids=ascii,
)  # fmt: skip
def test_a_text_that_stands_for_no_key_is_refused(text):
    with pytest.raises(ValueError, match="stands for no key"):
        decode_key(text)


@given(st.text(max_size=12))
@settings(max_examples=500)
def test_any_text_is_a_key_or_refused(text):
    try:
        key = decode_key(text)
    except ValueError:
        return
    assert encode_key(key) == text


def test_a_prefix_is_what_the_texts_of_its_keys_begin_with():
    assert encode_key("adam").startswith(encode_prefix("ada"))
    assert encode_key(b"abc").startswith(encode_prefix(b"ab"))
    assert encode_key(("a", 1, 2)).startswith(encode_prefix(("a", 1)))
    assert not encode_key(("a", 10)).startswith(encode_prefix(("a", 1)))
    for prefix in (5, None, date(2026, 1, 1), 1.5):
        with pytest.raises(TypeError, match="prefix must be str, bytes or a tuple"):
            encode_prefix(prefix)


# -- declared types

FITTING = [
    (int, 5), (int, 10**40), (float, 1.5), (bytes, b"x"), (bool, True), (date, date(2026, 1, 1)), (UUID, UUID(int=5)),
    (datetime, datetime(2026, 1, 1)), (time, time(1)), (tuple[str, int], ("a", 1)), (tuple[int, ...], (1, 2, 3)),
    (tuple[int, ...], ()), (tuple, ("a", None)), (int | str, "a"), (int | str, 5), (date | None, None),
    (object, ("a", 1.5)),
    (tuple[str, tuple[int, bytes]], ("a", (1, b"x"))), (object, Decimal("1.50")), (object, None),
]  # fmt: skip


@pytest.mark.parametrize(("declared", "key"), FITTING, ids=repr)
def test_a_key_of_the_declared_type_comes_back(declared, key):
    keys = KeyType(declared)
    found = keys.decode(keys.encode(key))
    assert found == key
    assert types_of(found) == types_of(key)


def test_a_whole_number_is_a_float_where_floats_are_declared():
    keys = KeyType(float)
    assert keys.encode(1) == keys.encode(1.0)
    assert type(keys.decode(keys.encode(1.0))) is float
    assert types_of(KeyType(tuple[float, str]).decode(KeyType(object).encode((1.0, "a")))) == (float, str)
    with pytest.raises(TypeError, match="keys=float"):
        keys.encode(2**53 + 1)


@pytest.mark.parametrize(
    ("declared", "key"),
    [
        (int, "a"), (int, True), (int, 1.0), (str | int, b"x"), (date, datetime(2026, 1, 1)), (tuple[str, int], ("a",)),
        (tuple[str, int], ("a", "b")), (tuple[str, int], ["a", 1]), (tuple[int, ...], (1, "a")), (float, "1.0"),
        (bytes, bytearray(b"x")),
    ],
    ids=repr,
)  # fmt: skip
def test_a_key_of_another_type_is_refused(declared, key):
    with pytest.raises(TypeError, match=r"^key must be .* in a namespace with keys="):
        KeyType(declared).encode(key)


def test_a_text_of_another_type_is_refused():
    with pytest.raises(ValueError, match="a str"):
        KeyType(int).decode("$a")
    with pytest.raises(ValueError, match="stands for no key"):
        KeyType(int).decode("ada")


@pytest.mark.parametrize("declared", [dict, list[int], "int", 5, tuple[str, dict], int | list], ids=repr)
def test_a_type_that_cannot_be_a_key_is_refused(declared):
    with pytest.raises(TypeError, match="keys must be str, int"):
        KeyType(declared)


def test_the_error_of_a_key_that_cannot_be_kept_gives_advice_that_works():
    with pytest.raises(TypeError, match=r"a range cannot be a key, .* take str, numbers, .* tuples and frozensets"):
        encode_key(range(3))
