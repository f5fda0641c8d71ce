"""The three JSON engines behave alike: what one writes, all read, and none changes a value."""

import enum
import json
import struct
import subprocess
import sys
from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlitedict_kv.codecs import json_engine
from sqlitedict_kv.codecs.json_engine import exact_encoder, plain_encoder

ENGINES = [json_engine.orjson_engine, json_engine.msgspec_engine, json_engine.standard_engine]


class Grade(enum.IntEnum):
    A = 1


class Word(str):  # noqa: SLOT000 - as people write it
    pass


@pytest.fixture(params=ENGINES, ids=lambda make: make.__name__)
def engine(request):
    try:
        return request.param()
    except ImportError:
        pytest.skip("not installed")


EXACT = [
    None,
    True,
    0,
    -(2**63),
    2**64 - 1,
    -0.0,
    5e-324,
    1.7976931348623157e308,
    "",
    "Ada é 😀 \x00 \u2028",
    [],
    {},
    {"": [1, 2.5, None, {"a": False}]},
    ["null"],
    {"null": None},
]


@pytest.mark.parametrize("value", EXACT, ids=repr)
def test_what_json_has_is_written_exactly_and_read_by_all(engine, value):
    body = exact_encoder(engine)(value)
    for make in ENGINES:
        try:
            found = make().loads(body)
        except ImportError:
            continue
        assert (type(found), repr(found)) == (type(value), repr(value))
    assert plain_encoder(engine)(value) == body


INEXACT = [
    float("nan"),
    [float("inf")],
    {"a": [None, -float("inf")]},
    2**64,
    -(2**63) - 1,
    (1, 2),
    [(1,)],
    {1: "a"},
    {1: "a", "1": "b"},
    {None: 1},
    {True: 1},
    {1.5: 1},
    Grade.A,
    [Grade.A],
    {Word("k"): 1},
    [Word("v")],
    OrderedDict(a=1),
    b"x",
    [b"x"],
    bytearray(b"x"),
    [bytearray(b"x")],
    [memoryview(b"x")],
    "\ud800",
    ["a\udfff"],
    {"\ud800": 1},
]


@pytest.mark.parametrize("value", INEXACT, ids=[f"{number}" for number in range(len(INEXACT))])
def test_what_would_come_back_as_something_else_is_not_written(engine, value):
    assert exact_encoder(engine)(value) is None


@pytest.mark.parametrize("depth", [300, 100_000])
def test_deep_values_are_written_or_refused_and_never_end_the_process(depth):
    code = f"""
        from sqlitedict_kv.codecs import json_engine
        for make in (json_engine.orjson_engine, json_engine.msgspec_engine, json_engine.standard_engine):
            exact = json_engine.exact_encoder(make())
            for around in (lambda value: [value], lambda value: (value,), lambda value: {{"k": value}}):
                value = 1
                for _ in range({depth}):
                    value = around(value)
                exact(value)
                try:
                    make().loads(b"[" * {depth} + b"]" * {depth})
                except Exception as error:
                    assert not isinstance(error, SystemError)
    """
    import textwrap

    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()[-500:]


MALFORMED = [
    b"",
    b"NaN",
    b"[Infinity]",
    b"-Infinity",
    b"[1E400]",
    b"\xef\xbb\xbf1",
    b'"\\ud800"',
    b'["\\uDFFF"]',
    b'{"\\ud800": 1}',
    b'"\xff"',
    b"[1,]",
    b"{'a': 1}",
    b"1 2",
    b"01",
    b'"\n"',
    b"// 1",
]


@pytest.mark.parametrize("body", MALFORMED, ids=repr)
def test_what_is_not_strictly_json_is_an_ordinary_error(engine, body):
    with pytest.raises(Exception) as caught:
        engine.loads(body)
    assert not isinstance(caught.value, SystemError)


def test_a_pair_of_surrogates_is_one_character(engine):
    assert engine.loads(b'"\\ud83d\\ude00"') == "😀"


@given(number=st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_comes_back_to_the_bit(number):
    for make in ENGINES:
        try:
            engine = make()
        except ImportError:
            continue
        assert struct.pack("d", engine.loads(exact_encoder(engine)(number))) == struct.pack("d", number)


def test_an_int_over_64_bits_that_another_program_wrote_is_a_float_to_orjson_alone():
    body = b"18446744073709551616"
    assert json_engine.standard_engine().loads(body) == 2**64
    pytest.importorskip("orjson")
    assert type(json_engine.orjson_engine().loads(body)) is float


def test_without_the_libraries_the_standard_library_does_it():
    code = """
import sys
sys.modules["orjson"] = sys.modules["msgspec"] = None
from sqlitedict_kv import Store
from sqlitedict_kv.codecs import json_engine
assert json_engine.ENGINE.name == "json"
users = Store().ns("users")
users["k"] = {"name": "Ada é", "n": [1, 2.5, None]}
users["t"] = (1, float("inf"))
assert users.copy() == {"k": {"name": "Ada é", "n": [1, 2.5, None]}, "t": (1, float("inf"))}
assert users.get_with_meta("k").meta.content_type == "application/json"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    assert done.returncode == 0
    assert json.loads(exact_encoder(json_engine.standard_engine())({"a": "é"})) == {"a": "é"}
