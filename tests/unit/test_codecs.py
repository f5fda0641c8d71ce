"""The codec of an entry is chosen by its value, asked for, or registered; errors never show values."""

import json
import sqlite3
import subprocess
import sys
import traceback
import zlib
from contextlib import closing
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlitedict_kv import Codec, CodecError, DecodeError, Store
from tests.support.ids import shown

JSON = "application/json"
SECRET = "secret-value"

FRACTIONS = Codec(
    "application/x-fraction",
    lambda value: str(value).encode(),
    lambda body: Fraction(body.decode()),
    types=(Fraction,),
)
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=9), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(value=JSON_VALUES)
def test_what_json_keeps_is_stored_as_readable_json(value):
    with Store() as store:
        users = store.ns("users")
        users["k"] = value
        entry = users.get_with_meta("k")
        assert entry.meta.content_type == JSON
        assert (type(entry.value), repr(entry.value)) == (type(value), repr(value))


def test_json_in_the_file_is_text_that_any_tool_reads(make_store, path):
    value = {"name": "Ada é 😀", "n": [1, 2.5, None, True]}
    make_store(path).ns("users")["k"] = value
    with closing(sqlite3.connect(path)) as connection:
        (body, content_type) = connection.execute("SELECT value, content_type FROM kv").fetchone()
        assert connection.execute("SELECT json_extract(CAST(value AS TEXT), '$.name') FROM kv").fetchone() == (
            "Ada é 😀",
        )
    assert content_type == JSON
    assert "Ada é 😀" in body.decode()
    assert json.loads(body) == value


def test_bytes_and_text_are_in_the_file_as_they_are(make_store, path):
    users = make_store(path).ns("users")
    users["bytes"] = b"\0\1\2"
    users.set("text", "grüße", content_type="text/plain; charset=utf-8")
    with closing(sqlite3.connect(path)) as connection:
        rows = dict(connection.execute("SELECT key, value FROM kv"))
    assert rows == {"bytes": b"\0\1\2", "text": "grüße".encode()}


def test_registering_a_codec_makes_its_types_values(make_store):
    store = make_store(codecs=[FRACTIONS])
    users = store.ns("users")
    users["k"] = Fraction(1, 3)
    assert users["k"] == Fraction(1, 3)
    assert users.get_with_meta("k").meta.content_type == FRACTIONS.content_type
    assert users.set_many({"a": Fraction(1), "b": 1}) == {"a": 1, "b": 1}
    with store.atomic() as tx:
        tx.ns("users")["tx"] = Fraction(2, 3)
    assert users["tx"] == Fraction(2, 3)


def test_a_codec_is_for_exact_types(make_store):
    class Third(Fraction):
        pass

    users = make_store(codecs=[FRACTIONS]).ns("users")
    with pytest.raises(CodecError):
        users["k"] = Third(1, 3)
    users.set("k", Third(1, 3), content_type=FRACTIONS.content_type)
    assert users["k"] == Fraction(1, 3), "asked for by name, what it does is the codec's own business"


def test_a_codec_without_types_is_used_when_asked_for(make_store):
    packed = Codec("application/x-zlib", zlib.compress, zlib.decompress)
    users = make_store(codecs=[packed]).ns("users", content_type="application/x-zlib")
    users["k"] = b"x" * 1000
    assert users["k"] == b"x" * 1000
    assert users.get("k", content_type="application/x-zlib") == b"x" * 1000


def test_a_codec_of_the_user_comes_before_the_built_in_ones(make_store):
    decimal = Codec(
        "application/x-decimal", lambda value: str(value).encode(), lambda body: Decimal(body.decode()), (Decimal,)
    )
    users = make_store(codecs=[decimal]).ns("users")
    users["k"] = Decimal("1.10")
    assert users.get_with_meta("k").meta.content_type == "application/x-decimal"
    assert str(users["k"]) == "1.10"


def test_a_type_may_be_taken_from_a_built_in_codec(make_store):
    packed = Codec("application/x-zlib", zlib.compress, zlib.decompress, (bytes,))
    lists = Codec("application/x-list", lambda value: json.dumps(value).encode(), json.loads, (list,))
    users = make_store(codecs=[packed, lists]).ns("users")
    users.update(a=b"x" * 100, b=[1], c={"in": [1]})
    types = {key: entry.meta.content_type for key, entry in users.scan()}
    assert types == {"a": "application/x-zlib", "b": "application/x-list", "c": JSON}
    assert users == {"a": b"x" * 100, "b": [1], "c": {"in": [1]}}


@pytest.mark.parametrize("content_type", [JSON, "application/msgpack", "application/octet-stream"])
def test_a_codec_cannot_take_the_name_of_a_built_in_one(content_type):
    with pytest.raises(ValueError, match=f"codecs.*{content_type}"):
        Store(codecs=[Codec(content_type, bytes, bytes)])


def failing_codec(error):
    def fail(value):
        raise error(f"cannot do {value!r}")

    return Codec("application/x-failing", fail, fail)


@pytest.mark.parametrize(
    "error", [ValueError, TypeError, KeyError, RuntimeError, AssertionError, RecursionError, MemoryError]
)
def test_whatever_a_codec_raises_is_a_codec_error_that_shows_no_value(make_store, error):
    users = make_store(codecs=[failing_codec(error)]).ns("users")
    users["k"] = "old"
    with pytest.raises(CodecError, match="application/x-failing") as caught:
        users.set("k", SECRET, content_type="application/x-failing")
    assert SECRET not in str(caught.value)
    assert users.get_with_meta("k")[0] == "old"
    assert SECRET not in "".join(traceback.format_exception(caught.value)), "the cause would show the value"


def test_whatever_a_codec_raises_on_reading_is_a_decode_error_that_shows_no_value(make_store):
    codec = Codec("application/x-failing", str.encode, failing_codec(ValueError).decode)
    users = make_store(codecs=[codec]).ns("users")
    users.set("k", SECRET, content_type="application/x-failing")
    with pytest.raises(DecodeError, match=r"'k'.*'users'.*application/x-failing.*ValueError") as caught:
        users["k"]
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("result", [None, "text", 5, bytearray(b"x"), memoryview(b"x"), [b"x"]], ids=shown)
def test_a_codec_must_make_bytes(make_store, result):
    users = make_store(codecs=[Codec("application/x-odd", lambda value: result, bytes)]).ns("users")
    with pytest.raises(CodecError, match=f"application/x-odd made {type(result).__name__}"):
        users.set("k", 1, content_type="application/x-odd")
    assert "k" not in users


def test_an_interrupt_in_a_codec_is_passed_on(make_store):
    def interrupted(value):
        raise KeyboardInterrupt

    users = make_store(codecs=[Codec("application/x-slow", interrupted, bytes)]).ns("users")
    with pytest.raises(KeyboardInterrupt):
        users.set("k", 1, content_type="application/x-slow")
    users["k"] = 1
    assert users["k"] == 1


HOSTILE = [
    (JSON, b""),
    (JSON, b"{secret-value"),
    (JSON, b'"secret-value'),
    (JSON, b"NaN"),
    (JSON, b"[1,]"),
    (JSON, b'"\xff"'),
    (JSON, b"1 2"),
    (JSON, b"[" * 100_000),
    ("text/plain; charset=utf-8", b"secret-value\xff"),
    ("application/x-npy", b"secret-value"),
    ("application/x-npy", b""),
    ("application/vnd.apache.arrow.stream", b"secret-value"),
    ("application/x-pickle", b"secret-value"),
    ("application/vnd.apache.arrow.stream", b""),
    ("application/vnd.apache.arrow.stream; as=pandas", b"secret-value"),
    ("", b"secret-value"),
    ("APPLICATION/JSON", b"1"),
    ("application/json ", b"1"),
]


@pytest.mark.parametrize(("content_type", "body"), HOSTILE)
def test_a_body_that_does_not_decode_is_an_error_that_names_key_and_type(make_store, path, content_type, body):
    store = make_store(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "INSERT INTO kv (ns, key, value, content_type, updated_at) VALUES ('users', 'k', ?, ?, 0)",
            (body, content_type),
        )
        connection.commit()
    users = store.ns("users")
    for read in (
        lambda: users["k"],
        lambda: users.get("k", 1),
        lambda: users.pop("k", 1),
        lambda: list(users.values()),
    ):
        with pytest.raises(DecodeError) as caught:
            read()
        for word in ("'k'", "'users'", content_type):
            assert word in str(caught.value)
        assert "secret" not in "".join(traceback.format_exception(caught.value))
    assert len(store.check().problems) == 1
    assert len(users) == 1, "and it is still there"
    users["k"] = "new"
    assert users["k"] == "new"


def test_a_decode_error_is_a_value_error_too():
    assert issubclass(DecodeError, ValueError)
    assert issubclass(DecodeError, CodecError)


def test_plain_values_import_nothing_that_only_some_need():
    program = """
import sys
import sqlitedict_kv
store = sqlitedict_kv.Store()
users = store.ns("users")
users.update(a=1, b=b"2", c=(3,), d={"e": [None]}, f=2**70, g={1})
assert users.copy() == {"a": 1, "b": b"2", "c": (3,), "d": {"e": [None]}, "f": 2**70, "g": {1}}
try:
    users["h"] = object()
except TypeError:
    pass
store.close()
print(sorted({name.partition(".")[0] for name in sys.modules} & {"numpy", "pandas", "pyarrow", "pickle"}))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    assert done.stdout.strip() in ("[]", "['pickle']"), "pickle may come with the standard library, and is never called"
    assert "numpy" not in done.stdout


def test_a_codec_for_object_gets_what_no_other_keeps():
    seen = []

    def encode(value):
        seen.append(value)
        return repr(value).encode()

    last = Codec("application/x-last", encode, lambda body: (body,), types=(object,))
    with Store(codecs=[last, FRACTIONS]) as store:
        users = store.ns("users")
        for value in ("text", b"bytes", 1, None, {"a": [1]}, (1, {2}), Fraction(1, 3), Decimal(1), [Fraction(1, 3)]):
            users["k"] = value
            assert users["k"] == value
        assert seen == []

        for value in (ValueError, [len], {"a": iter(())}, object()):
            users["k"] = value
            assert users.get_with_meta("k").meta.content_type == "application/x-last"
            assert users["k"] == (repr(value).encode(),)
        with pytest.raises(CodecError, match="JSON"):
            users.set("k", len, content_type=JSON)


def test_what_the_codec_for_object_refuses_is_refused():
    def encode(_value):
        raise CodecError("not this one either")

    with Store(codecs=[Codec("application/x-last", encode, bytes, types=(object,))]) as store:
        with pytest.raises(CodecError, match="not this one either"):
            store.ns("users")["k"] = len
        assert "k" not in store.ns("users")
