"""MessagePack gives back exactly what it was given, or refuses it."""

import copy
import datetime
import enum
import sqlite3
import struct
import subprocess
import sys
import tempfile
import uuid
from collections import OrderedDict, namedtuple
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlitedict_kv import CodecError, DecodeError, Store
from sqlitedict_kv.codecs.msgpack import pack, unpack
from tests.support.ids import shown
from tests.support.processes import run


def picture(value):
    """Return something that is equal just for equal values of the same types, all the way down."""
    kind = type(value)
    if kind is float:
        return "float", struct.pack(">d", value)
    if kind is complex:
        return "complex", struct.pack(">dd", value.real, value.imag)
    if kind is dict:
        return "dict", [(picture(key), picture(item)) for key, item in value.items()]
    if kind in (list, tuple):
        return kind.__name__, [picture(item) for item in value]
    if kind in (set, frozenset):
        return kind.__name__, sorted((picture(item) for item in value), key=repr)
    if kind in (datetime.datetime, datetime.time):
        zone = value.tzinfo
        zone = (type(zone), getattr(zone, "key", None), repr(zone))
        return kind.__name__, value.replace(tzinfo=None, fold=0).isoformat(), value.fold, zone
    return kind.__name__, repr(value)


def kept(value):
    """Return the value after a way through the store."""
    with Store() as store:
        users = store.ns("users")
        users["k"] = value
        return users["k"]


ZONES = st.one_of(
    st.none(),
    st.just(datetime.UTC),
    st.sampled_from([ZoneInfo("Europe/Berlin"), ZoneInfo("UTC"), ZoneInfo("America/New_York")]),
    st.integers(-86_399, 86_399).map(lambda offset: datetime.timezone(datetime.timedelta(seconds=offset))),
    st.integers(1, 86_399).map(lambda offset: datetime.timezone(datetime.timedelta(seconds=offset), "a name")),
)
FOLDS = st.integers(0, 1)
NAN = struct.unpack(">d", b"\x7f\xf8\0\0\0\0\0\0")[0]
FLOATS = st.floats(allow_nan=False) | st.just(NAN)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
HASHABLE_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**200), 2**200),
    FLOATS,
    TEXTS,
    st.binary(max_size=20),
    st.builds(complex, FLOATS, FLOATS),
    st.decimals().filter(lambda number: not number.is_snan()),
    st.uuids(),
    st.dates(),
    st.timedeltas(),
    st.builds(lambda moment, fold, zone: moment.replace(fold=fold, tzinfo=zone), st.datetimes(), FOLDS, ZONES),
    st.builds(lambda time, fold, zone: time.replace(fold=fold, tzinfo=zone), st.times(), FOLDS, ZONES),
)
# Naive and aware moments cannot be compared in every way, and equal numbers of different types are one element.
ELEMENTS = st.one_of(st.none(), st.integers(), TEXTS, st.binary(max_size=9), st.dates(), st.uuids())
HASHABLE = st.recursive(
    ELEMENTS, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=5
)
VALUES = st.recursive(
    HASHABLE_LEAVES | st.sets(HASHABLE, max_size=4) | st.frozensets(HASHABLE, max_size=4),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(HASHABLE, inner, max_size=4),
    ),
    max_leaves=12,
)


@given(value=VALUES)
def test_every_documented_type_comes_back_as_it_was(value):
    assert picture(unpack(pack(value))) == picture(value)


@given(value=VALUES)
def test_a_store_gives_back_what_it_was_given(value):
    assert picture(kept(value)) == picture(value)


@given(value=st.sets(HASHABLE) | st.frozensets(HASHABLE))
def test_equal_sets_are_equal_bytes(value):
    assert pack(value) == pack(type(value)(sorted(value, key=lambda item: (hash(item), repr(item)), reverse=True)))


EXACT = [
    [True, 1, 1.0, False, 0, 0.0, -0.0],
    {1: "int", "1": "str"},
    {True: 1},
    {1.0: 1},
    {0: 1},
    {-0.0: 1},
    {None: 1},
    {(): 1},
    {(1, (2, b"3")): 1},
    {frozenset({1, (2,)}): 1},
    {b"bytes": 1},
    {datetime.date(2024, 1, 1): 1},
    {uuid.UUID(int=5): 1},
    {Decimal("1.0"): 1},
    {2**100: 1},
    {1j: 1},
    (),
    [()],
    ((),),
    ([],),
    {"a": ()},
    [[1, (2,)], ([3],)],
    (1,),
    [(1, 2), [1, 2]],
    float("nan"),
    [float("nan")],
    float("inf"),
    -float("inf"),
    -0.0,
    [-0.0],
    5e-324,
    1e308,
    {"nan": float("nan")},
    2**63,
    -(2**63),
    2**64 - 1,
    2**64,
    -(2**63) - 1,
    10**1000,
    -(10**1000),
    [2**64],
    2**8000,
    complex(float("nan"), -0.0),
    complex(-0.0, float("-inf")),
    0j,
    [b"nested"],
    {"a": b"nested", "b": [b""]},
    (b"x",),
    b"",
    set(),
    frozenset(),
    {()},
    {frozenset()},
    {1, "1", b"1", (1,)},
    [set(), frozenset()],
    Decimal("1.10"),
    Decimal("-0"),
    Decimal("0E+5"),
    Decimal("NaN"),
    Decimal("-Infinity"),
    Decimal("NaN123"),
    Decimal("sNaN"),
    Decimal(10) ** 500,
    datetime.date.min,
    datetime.date.max,
    datetime.datetime.min,
    datetime.datetime.max,
    datetime.time.min,
    datetime.time.max,
    datetime.time(1, 2, 3, 4, fold=1),
    datetime.timedelta.min,
    datetime.timedelta.max,
    datetime.timedelta(microseconds=-1),
    datetime.datetime(2024, 10, 27, 2, 30, fold=1),
    datetime.datetime(2024, 10, 27, 2, 30, fold=0, tzinfo=ZoneInfo("Europe/Berlin")),
    datetime.datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
    datetime.datetime(2024, 3, 31, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
    datetime.datetime(2024, 1, 1, tzinfo=ZoneInfo("UTC")),
    datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC),
    datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=5, minutes=30))),
    datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone(-datetime.timedelta(seconds=1, microseconds=1), "odd")),
    datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=1), "")),
    datetime.time(1, 2, tzinfo=datetime.UTC),
    datetime.time(1, 2, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
    uuid.UUID(int=0),
    uuid.UUID(int=2**128 - 1),
    "",
    "\0",
    "\U0010ffff",
    ["é", "e\u0301"],
    {"": {"": {"": []}}},
]


@pytest.mark.parametrize("value", EXACT, ids=shown)
def test_values_at_the_edges_come_back_as_they_were(value):
    assert picture(kept(value)) == picture(value)
    assert picture(unpack(pack(value))) == picture(value)


def test_a_fixed_zone_of_no_offset_and_the_usual_name_is_kept():
    moment = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(0), "UTC"))
    back = kept(moment)
    assert back == moment
    assert (back.utcoffset(), back.tzname()) == (moment.utcoffset(), moment.tzname())


def test_a_dict_keeps_its_order():
    for value in ({"b": 1, "a": 2}, {2: 1, 1: 2}, {"z": (), "a": ()}):
        assert list(kept(value)) == list(value)


DEEP = """
import os, sys
from sqlitedict_kv import CodecError, Store
kind, depth = sys.argv[1], int(sys.argv[2])
makers = {"list": lambda v: [v], "tuple": lambda v: (v,), "dict": lambda v: {"k": v}, "mixed": lambda v: [({"k": v},)]}
make = makers[kind]
value = []
if depth:
    for _ in range(depth):
        value = make(value)
else:
    value.append(make(value))  # it holds itself
users = Store().ns("users")
for _ in range(50):  # damage to the heap shows late
    try:
        users["k"] = value
        outcome = "kept" if repr(users["k"]) == repr(value) else "changed"
    except RecursionError:
        outcome = "kept, as far as repr() can tell"
    except CodecError:
        outcome = "refused"
    rubbish = [bytes(size) for size in range(2000)]
print(outcome)
sys.stdout.flush()
os._exit(0)  # so that the interpreter does not walk down the value again
"""


@pytest.mark.parametrize("depth", [0, 50, 300, 5000, 100_000])
@pytest.mark.parametrize("kind", ["list", "tuple", "dict", "mixed"])
def test_deep_values_come_back_or_are_refused_and_never_crash(kind, depth):
    done = subprocess.run(
        [sys.executable, "-c", DEEP, kind, str(depth)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    expected = {0: ("refused",), 50: ("kept",)}
    assert done.stdout.startswith(expected.get(depth, ("kept", "refused")))


class Colour(enum.IntEnum):
    RED = 1


class Word(enum.StrEnum):
    A = "a"


class Plain(enum.Enum):
    A = 1


class Flags(enum.IntFlag):
    X = 1


class MyInt(int):
    pass


class MyStr(str):
    __slots__ = ()


class MyBytes(bytes):
    pass


class MyList(list):
    pass


class MyDict(dict):
    pass


class MyFloat(float):
    pass


class MySet(set):
    pass


class MyDatetime(datetime.datetime):
    pass


class MyZone(datetime.tzinfo):
    def utcoffset(self, moment):
        return datetime.timedelta(0)


Point = namedtuple("Point", "x y")  # noqa: PYI024 - the plain form is what people have

INEXACT = [
    Colour.RED,
    Word.A,
    Plain.A,
    Flags.X,
    MyInt(1),
    MyStr("a"),
    MyBytes(b"a"),
    MyList([1]),
    MyDict(a=1),
    MyFloat(1.0),
    MySet({1}),
    Point(1, 2),
    memoryview(b"a"),
    MyDatetime(2024, 1, 1),
    object(),
    Plain,
    len,
    NotImplemented,
    iter([]),
    (value for value in ()),
    "\ud800",
    "a\udfffb",
    datetime.datetime(2024, 1, 1, tzinfo=MyZone()),
    datetime.time(1, tzinfo=MyZone()),
    struct,
    Exception("x"),
]
TAGGED = [OrderedDict(a=1), bytearray(b"a"), range(3), ..., slice(1)]  # MessagePack alone would change them
WRAPPED = [
    lambda value: value,
    lambda value: [value],
    lambda value: (value,),
    lambda value: {"k": value},
    lambda value: {"k": [1, ({"deep": value},)]},
]


@pytest.mark.parametrize("wrap", WRAPPED, ids=["bare", "in a list", "in a tuple", "in a dict", "deep"])
@pytest.mark.parametrize("value", INEXACT, ids=lambda value: f"{type(value).__name__}")
def test_what_would_come_back_as_something_else_is_refused(value, wrap):
    with pytest.raises(CodecError):
        kept(wrap(value))
    with pytest.raises(CodecError):
        pack(wrap(value))


@pytest.mark.parametrize("wrap", WRAPPED, ids=["bare", "in a list", "in a tuple", "in a dict", "deep"])
@pytest.mark.parametrize("value", TAGGED, ids=lambda value: f"{type(value).__name__}")
def test_what_a_tag_keeps_comes_back_and_is_refused_without_it(value, wrap):
    assert picture(kept(wrap(value))) == picture(wrap(value))
    with pytest.raises(CodecError):
        pack(wrap(value))


@pytest.mark.parametrize(
    "value", [Colour.RED, Word.A, MyInt(1), MyStr("a"), MyFloat(1.0), Point(1, 2), MyBytes(b"a")], ids=shown
)
def test_a_key_or_an_element_that_would_come_back_as_something_else_is_refused(value):
    for wrong in ({value: 1}, {"a": {value: 1}}, {value}, frozenset([value]), {(value,): 1}):
        with pytest.raises(CodecError):
            kept(wrong)


def test_the_error_names_the_type_and_how_to_register_a_codec():
    with pytest.raises(CodecError, match=r"(?s)OrderedDict.*codecs=\[Codec\(") as caught:
        pack({"secret-value": [OrderedDict({"secret-value": 1})]})
    assert "secret" not in str(caught.value)
    with pytest.raises(CodecError, match="in a dict, in a list, there is .*MyDict") as caught:
        kept({"secret-value": [MyDict({"secret-value": 1})]})
    assert "secret" not in str(caught.value)


def test_a_value_that_holds_itself_is_refused():
    holds_itself = ["secret-value"]
    holds_itself.append(holds_itself)
    mapping = {"secret-value": 1}
    mapping["self"] = mapping
    for value in (holds_itself, mapping):
        with pytest.raises(CodecError) as caught:
            kept(value)
        assert "secret" not in str(caught.value)


def test_an_int_of_more_than_a_mebibyte_is_refused():
    assert kept(1 << 8 * 2**20 - 10) == 1 << 8 * 2**20 - 10
    with pytest.raises(CodecError, match="int"):
        kept(1 << 8 * 2**20)


def test_a_value_is_not_changed_by_writing_it():
    value = {"a": [1, (2, {3})], 4: [b"5"]}
    before = copy.deepcopy(value)
    kept(value)
    assert value == before


# -- bodies that nobody packed

ZONE = "Europe/Berlin"


def extension(code, body):
    return msgpack.packb(msgpack.ExtType(code, body))


def packed(*items):
    return msgpack.packb(list(items))


HOSTILE = {
    "nothing": b"",
    "an unused byte": b"\xc1",
    "a cut list": b"\x93\x01",
    "a cut text": b"\xa5ab",
    "more than one value": b"\x01\x02",
    "text that is no UTF-8": b"\xa2\xff\xfe",
    "a list of four thousand million": b"\xdd\xff\xff\xff\xff",
    "a dict of four thousand million": b"\xdf\xff\xff\xff\xff",
    "four gigabytes": b"\xc6\xff\xff\xff\xff",
    "a list as a key": b"\x81\x91\x01\x01",
    "deep lists": b"\x91" * 100_000 + b"\x01",
    "an unknown extension": extension(99, b""),
    "an extension of no code": extension(0, b""),
    "a tuple of nothing": extension(1, b""),
    "a tuple that is a number": extension(1, b"\x05"),
    "a tuple in a tuple, cut": extension(1, b"\x91" + extension(1, b"\x92")),
    "a set of lists": extension(2, b"\x91\x91\x01"),
    "a frozenset that is None": extension(3, b"\xc0"),
    "half a complex": extension(4, b"\0" * 8),
    "a decimal of letters": extension(5, b"secret-value"),
    "a decimal of nothing": extension(5, b""),
    "a short UUID": extension(6, b"\0" * 15),
    "a datetime of nothing": extension(7, b""),
    "a datetime of text": extension(7, packed("secret-value", 0, None)),
    "a datetime in the month 13": extension(7, packed("2024-13-01T00:00:00", 0, None)),
    "a fold of 7": extension(7, packed("2024-01-01T00:00:00", 7, None)),
    "an unknown zone": extension(7, packed("2024-01-01T00:00:00", 0, "Secret/Value")),
    "a zone outside": extension(7, packed("2024-01-01T00:00:00", 0, "../../../etc/passwd")),
    "an absolute zone": extension(7, packed("2024-01-01T00:00:00", 0, "/etc/passwd")),
    "a zone that is a directory": extension(7, packed("2024-01-01T00:00:00", 0, "Europe")),
    "a zone of no name": extension(7, packed("2024-01-01T00:00:00", 0, "")),
    "a zone of a year": extension(7, packed("2024-01-01T00:00:00", 0, [packed(365, 0, 0), None])),
    "a zone that is a number": extension(7, packed("2024-01-01T00:00:00", 0, 5)),
    "too few parts": extension(7, packed("2024-01-01T00:00:00")),
    "a date of a time": extension(8, b"12:00"),
    "a time of hour 25": extension(9, packed("25:00:00", 0, None)),
    "a time of a list": extension(9, packed([], 0, None)),
    "too many days": extension(10, packed(10**12, 0, 0)),
    "a timedelta of text": extension(10, packed("secret-value", 0, 0)),
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_body_is_a_decode_error_that_names_key_and_type(body):
    raises_decode_error("application/msgpack", body)


@given(body=st.binary(max_size=60))
def test_random_bytes_unpack_or_raise_an_ordinary_error(body):
    try:
        unpack(body)
    except Exception as error:
        assert not isinstance(error, SystemError)


@pytest.mark.parametrize("wrap", [lambda v: (v,), lambda v: frozenset({v}), lambda v: ({(v,): {1: (v, [v])}},)])
def test_containers_within_containers_come_back_as_what_they_were(wrap):
    value = 1.5
    for _ in range(6):
        try:
            value = wrap(value)
        except TypeError:  # a dict is no key
            break
    assert picture(unpack(pack(value))) == picture(value)


def test_nesting_that_is_too_deep_is_an_error_and_not_the_end_of_the_process():
    """Both in values and in crafted bytes, in the main thread and in one with little stack."""
    code = """
        import threading
        import msgpack
        from sqlitedict_kv.codecs.msgpack import pack, unpack

        def work(most):
            for code in (1, 2, 3, 7, 9, 10):
                for depth in (10, 100, 150, 200, 300, 1000, 5000):
                    value, body = 1, msgpack.packb(1)
                    for _ in range(depth):
                        body = msgpack.packb(msgpack.ExtType(code, bytes([0x91]) + body))
                    try:
                        unpack(body)
                    except Exception as error:
                        assert not isinstance(error, SystemError), error
                    if depth > most:
                        continue
                    for _ in range(depth):
                        value = (value,)
                    try:
                        assert unpack(pack(value)) == value
                    except CodecError:
                        assert depth > 100, depth

        work(5000)
        threading.stack_size(2**18)
        thread = threading.Thread(target=work, args=(100,))
        thread.start()
        thread.join()
        say("alive")
    """
    assert run(code) == ["alive"]


def raises_decode_error(content_type, body):
    """Put a body of a content type that another program wrote under a key and read it."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "app.db"
        with Store(path) as store, closing(sqlite3.connect(path)) as connection:
            connection.execute(
                "INSERT INTO kv (ns, key, value, content_type, updated_at) VALUES ('users', 'k', ?, ?, 0)",
                (body, content_type),
            )
            connection.commit()
            for read in (lambda: store.ns("users")["k"], lambda: list(store.ns("users").items())):
                with pytest.raises(DecodeError) as caught:
                    read()
                message = str(caught.value)
                assert "'k'" in message
                assert "'users'" in message
                assert content_type in message
                assert "secret" not in message.lower()
                assert caught.value.__cause__ is None, "a cause would show the value in the traceback"
            report = store.check()
            assert len(report.problems) == 1
            assert "secret" not in report.problems[0].lower()
