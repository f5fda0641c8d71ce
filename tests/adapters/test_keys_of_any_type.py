"""A key becomes a text, from which the key can be read again, and whose order is that of diskcache."""

import math
import string
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sqlitedict_kv.adapters._compat.key_encoding import key_of, name_of, text_of
from sqlitedict_kv.codecs.msgpack import pack

diskcache = pytest.importorskip("diskcache")

INT64 = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NEAR = st.integers(-3, 3).flatmap(lambda n: st.sampled_from([2**53 + n, -(2**53) + n, float(2**53 + n), 2**62 + n]))
SORTED = st.one_of(INT64, FLOATS, NEAR, TEXTS, st.binary(max_size=20))
OTHER = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), FLOATS, TEXTS, st.binary(max_size=9), st.decimals(-9, 9)),
    lambda inner: st.one_of(st.lists(inner, max_size=3).map(tuple), st.frozensets(INT64, max_size=3)),
    max_leaves=8,
)


def sql_order(key):
    """Return what sorts as SQLite does: numbers, text, blobs."""
    if isinstance(key, bytes):
        return 2, key
    return (1, key.encode()) if isinstance(key, str) else (0, key)


@given(OTHER)
@example((1, (2, ("a", None))))
@example(2**64)
@example(-(2**63) - 1)
def test_a_key_comes_back_as_what_it_was(key):
    found = key_of(text_of(key))
    assert found == key
    integral = type(key) is float and key.is_integer() and -(2**63) <= key < 2**63
    assert type(found) is (int if integral else type(key))
    assert text_of(found) == text_of(key)


@given(SORTED, SORTED)
@settings(max_examples=500)
@example(1, 1.0)
@example(0.0, -0.0)
@example(2**63 - 1, float(2**63))
@example(2**53 + 1, float(2**53))
@example(math.inf, 2**63 - 1)
@example(-1.5, -1)
@example(b"\x00", b"\x00\x00")
@example("a\0", "a")
def test_the_order_of_the_texts_is_that_of_sqlite(one, other):
    first, second = text_of(one).encode(), text_of(other).encode()
    wanted_first, wanted_second = sql_order(one), sql_order(other)
    assert (first < second) == (wanted_first < wanted_second)
    assert (first == second) == (wanted_first == wanted_second)


KEYS = [
    1, 1.0, True, 0, 0.0, -0.0, False, "1", b"1", None, "", b"", 2**63, float(2**63), 2**63 - 1, (1,), (1.0,), (True,),
    ("1",), (), (None,), 0.1, 1e300, "é", "e\u0301", (("a", 1),), ("a", (1,)),
]  # fmt: skip


def test_keys_are_the_same_to_us_exactly_where_they_are_to_diskcache(tmp_path):
    with diskcache.Cache(str(tmp_path)) as theirs:
        for one in KEYS:
            theirs.clear()
            theirs[one] = 1
            for other in KEYS:
                assert (text_of(one) == text_of(other)) == (other in theirs), (one, other)


@pytest.mark.parametrize("key", [math.nan, float("-nan")])
def test_nan_is_refused(key):
    with pytest.raises(ValueError, match="NaN"):
        name_of(key)


@pytest.mark.parametrize(
    "key", [object(), bytearray(b"x"), (1, object()), Decimal, lambda: 1, type("S", (str,), {})("s")]
)
def test_what_cannot_be_kept_is_refused(key):
    with pytest.raises(
        TypeError, match="key of type .* cannot be kept, or holds what cannot; take None, str"
    ) as caught:
        name_of(key)
    assert "key" in str(caught.value)
    assert "odec" not in str(caught.value)  # a codec is for values


@given(st.lists(st.one_of(st.none(), st.booleans(), st.integers(), FLOATS, TEXTS, st.binary())).map(tuple))
@example((2**64, "x"))
@example((-(2**63), 2**64 - 1))
def test_simple_tuples_are_packed_as_all_others(key):
    assert text_of(key) == "4" + pack(key).decode("latin-1")


def test_a_long_key_is_named_by_its_hash():
    long = "é" * 600
    name = name_of(long)
    assert len(name.text) == 65
    assert key_of(name.whole) == long
    assert name_of(long) == name
    assert name_of(long + "x").text != name.text
    assert name_of("x" * 1023).whole is None
    assert name_of("x" * 1024).whole is not None
    assert name_of(tuple(string.ascii_letters * 20)).whole is not None
