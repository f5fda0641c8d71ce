"""Tagged MessagePack and bundles: what is kept comes back, and hostile bytes end in an error of ours."""

import array
import collections
import datetime
import fractions
import ipaddress
import pathlib
import struct
import tracemalloc
import types
import zoneinfo
from contextlib import contextmanager

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlitedict_kv import CodecError, DecodeError, Store, TooLargeError
from sqlitedict_kv.codecs import bundle, tags
from sqlitedict_kv.codecs.catalog import Catalog
from tests.support.exact import assert_same

BUNDLE = "application/vnd.sqlitedict-kv.bundle"
MSGPACK = "application/msgpack"


def pack(value, **options):
    return tags.pack(value, Catalog(), **options)


def unpack(head, buffers=()):
    return tags.unpack(head, Catalog(), buffers)


@contextmanager
def at_most(most):
    """Fail if the block takes more memory than *most* bytes."""
    tracemalloc.start()
    try:
        yield
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert taken < most


LEAVES = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text() | st.binary()
KEYS = st.text() | st.integers() | st.tuples(st.integers(), st.text()) | st.frozensets(st.integers())
VALUES = st.recursive(
    LEAVES | st.fractions() | st.dates() | st.timedeltas() | st.uuids() | st.decimals(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.lists(inner, max_size=3).map(collections.deque)
        | st.sets(st.integers() | st.text(), max_size=4)
    ),
    max_leaves=20,
)


@given(value=VALUES)
def test_any_value_comes_back_as_it_was(value):
    assert_same(value, unpack(*pack(value)))
    head, buffers = pack(value, inline=True)
    assert buffers == []
    assert_same(value, unpack(head))


STANDARD = [
    (),
    ((),),
    {(1, 2): {"a": (3,)}},
    {None: 1, True: 2, 2.5: 3, b"k": 4},
    {frozenset({(1,)}): {1, "a"}},
    collections.OrderedDict(b=1, a=(2,)),
    collections.Counter("abca"),
    collections.Counter({"a": -1, "b": 2.5}),
    collections.deque([1, (2,)], 5),
    collections.deque(),
    collections.defaultdict(list, {"a": [1]}),
    collections.defaultdict(None, {(1,): 2}),
    range(3),
    range(2**70, 5, -3),
    slice(1, None),
    slice((1,), "a", None),
    fractions.Fraction(-1, 3),
    pathlib.PurePosixPath("a/b"),
    pathlib.PureWindowsPath("c:/a"),
    pathlib.Path("/tmp/é"),
    bytearray(b"x"),
    bytearray(5000),
    ipaddress.ip_address("::1%eth0"),
    ipaddress.ip_address("10.0.0.1"),
    ipaddress.ip_network("10.0.0.0/8"),
    ipaddress.ip_network("2001:db8::/32"),
    ipaddress.ip_interface("10.0.0.1/8"),
    ipaddress.ip_interface("2001:db8::1/32"),
    array.array("d", [1.5, float("inf")]),
    array.array("b"),
    array.array("Q", range(1000)),
    types.SimpleNamespace(a=1, b=types.SimpleNamespace(c=(2,))),
    zoneinfo.ZoneInfo("Europe/Berlin"),
    datetime.UTC,
    datetime.timezone(datetime.timedelta(hours=-3), "x"),
    ...,
    {"t": datetime.datetime(2026, 1, 1, fold=1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")), "z": 1j},
]


@pytest.mark.parametrize("number", range(len(STANDARD)))
def test_a_value_of_the_standard_library_comes_back_within_anything(number):
    value = STANDARD[number]
    with Store() as store:
        view = store.ns("n")
        for around in (value, [value], {"k": (value, [value])}):
            view["k"] = around
            assert_same(around, view["k"])


def test_a_path_that_is_not_utf8_comes_back():
    path = pathlib.PurePosixPath("a\udcffb")
    assert unpack(*pack([path])) == [path]


REFUSED = [
    (collections.defaultdict(lambda: 0), "a defaultdict of another factory"),
    (len, "builtin_function"),
    (lambda: 0, "a function(, which)? cannot be kept; keep its name"),
    ((n for n in ()), r"a generator(, which)? cannot be kept; keep list\(...\) of it"),
    (iter([]), r"a list_iterator(, which)? cannot be kept; keep list\(...\) of it"),
    ({}.keys(), r"a dict_keys(, which)? cannot be kept; keep list\(...\) of it"),
    (memoryview(b"x"), r"a memoryview(, which)? cannot be kept; keep bytes\(...\) of it"),
    (msgpack.ExtType(32, b"\0"), "ExtType"),
    (msgpack.Timestamp(1), "Timestamp"),
    (ValueError("secret"), "a ValueError(, which)? cannot be kept"),
    (struct.Struct("b"), r"types=\[Kind\(Struct, encode="),
    (__import__("re").compile("secret"), "keep its pattern"),
    (fractions.Fraction(1, 2**200_000), "bits"),
    (1 << 9_000_000, "an int|OverflowError|ValueError"),
]


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_what_cannot_be_kept_is_refused_wherever_it_is_with_the_way_out(number):
    value, message = REFUSED[number]
    with Store() as store:
        for around in (value, [value], (value,), {"k": value}, collections.deque([value])):
            with pytest.raises(CodecError, match=message) as caught:
                store.ns("n")["k"] = around
            assert "secret" not in str(caught.value)


def test_the_error_says_the_way_to_what_is_refused():
    with pytest.raises(
        CodecError, match=r"^the value cannot be kept: in a dict, in a list, in a tuple, there is an obj"
    ):
        pack({"secret": [(object(),)]})


@pytest.mark.parametrize(
    "value",
    ["\ud800", ["\ud800"], ("\ud800",), {"\ud800": 1}, {("\ud800",): 1}, types.SimpleNamespace(**{"\ud800": 1})],
    ids=["alone", "in a list", "in a tuple", "a key", "in a key of a dict", "a name of an attribute"],
)
def test_the_error_of_a_lone_surrogate_says_what_to_do(value):
    with Store() as store, pytest.raises(CodecError, match=r"^a str with a lone surrogate .*'surrogatepass'\)$"):
        store.ns("n")["k"] = value


def test_the_error_of_a_lone_surrogate_is_the_same_for_plain_text():
    with Store() as store, pytest.raises(CodecError, match=r"^a str with a lone surrogate .*'surrogatepass'\)$"):
        store.ns("n").set("k", "\ud800", content_type="text/plain; charset=utf-8")


def test_deep_and_cyclic_values_come_back_or_are_refused():
    for around in (lambda value: (value,), lambda value: [value], lambda value: {1: value}):
        value = 1
        for _ in range(300):
            value = around(value)
        assert unpack(*pack(value)) == value
        for _ in range(10_000):
            value = around(value)
        with pytest.raises(CodecError, match="nested too deeply"):
            pack(value)
    cyclic = [(1,)]
    cyclic.append(cyclic)
    with pytest.raises(CodecError, match="holds itself"):
        pack(cyclic)


# -- bundles


def test_large_buffers_are_beside_the_head_at_multiples_of_64():
    value = {"a": bytearray(b"a" * 1024), "b": [bytearray(b"b" * 5000)], "c": bytearray(1023)}
    head, buffers = pack(value)
    assert [buffer.nbytes for buffer in buffers] == [1024, 5000]
    body = bundle.pack(head, buffers)
    found, views = bundle.unpack(body)
    assert found == head
    assert [view.tobytes() for view in views] == [b"a" * 1024, b"b" * 5000]
    assert body.index(b"a" * 1024) % 64 == body.index(b"b" * 5000) % 64 == 0
    assert_same(value, unpack(found, views))


def test_a_value_over_the_limit_is_refused_before_its_buffers_are_copied():
    with Store(max_value_bytes=100_000) as store:
        value = [array.array("b", bytes(60_000))] * 2
        with pytest.raises(TooLargeError, match="at least 120000 bytes, and this store allows 100000"):
            store.ns("n")["k"] = value
        with at_most(50_000), pytest.raises(TooLargeError):
            store.ns("n")["k"] = value


# -- hostile bytes


def table(*rows):
    packed = msgpack.packb([list(row) for row in rows])
    return b"\x92\xc7" + bytes([len(packed)]) + b"!" + packed


def tag(number=0):
    return msgpack.ExtType(32, bytes([number]))


def body_of(rows, tree):
    return table(*rows) + msgpack.packb(tree)


BUFFER = msgpack.ExtType(34, b"\0\0\0\0")
HOSTILE = {
    "a bytearray of a size": body_of([["bytearray"]], [tag(), 10**9]),
    "a bytearray of nothing": body_of([["bytearray"]], [tag()]),
    "a bytearray of a list": body_of([["bytearray"]], [tag(), [1, 2]]),
    "a range of floats": body_of([["range"]], [tag(), 1.5, 2, 3]),
    "a range of step 0": body_of([["range"]], [tag(), 1, 2, 0]),
    "a dict of an odd number": body_of([["dict"]], [tag(), 1, 2, 3]),
    "a dict of lists as keys": body_of([["dict"]], [tag(), [1], 2]),
    "a set of lists": body_of([["set"]], [tag(), [1]]),
    "a Fraction of zero": body_of([["fractions.Fraction"]], [tag(), 1, 0]),
    "a Fraction of text": body_of([["fractions.Fraction"]], [tag(), "1/3", 1]),
    "an address that is an int": body_of([["ipaddress.IPv4Address"]], [tag(), 5]),
    "an array of no type": body_of([["array.array"]], [tag(), "x", 8, b""]),
    "an array of half an item": body_of([["array.array"]], [tag(), "d", 8, b"123"]),
    "an array of another size": body_of([["array.array"]], [tag(), "d", 4, b"1234"]),
    "an array of a million by a number": body_of([["array.array"]], [tag(), "d", 8, 10**9]),
    "a deque longer than it may be": body_of([["collections.deque"]], [tag(), 1, 2, 3]),
    "a deque of a text": body_of([["collections.deque"]], [tag(), "x"]),
    "a defaultdict of a function": body_of([["collections.defaultdict"]], [tag(), "eval"]),
    "a defaultdict of a class": body_of([["collections.defaultdict"]], [tag(), "os.system"]),
    "a namespace of numbers": body_of([["types.SimpleNamespace"]], [tag(), 1, 2]),
    "a zone outside": body_of([["zoneinfo.ZoneInfo"]], [tag(), "../../etc/passwd"]),
    "a zone of bytes": body_of([["datetime.timezone"]], [tag(), b"1", None]),
    "a function": body_of([["os.system"]], [tag(), "true"]),
    "a class of a library": body_of([["collections.abc"]], [tag()]),
    "a kind with fields that it does not have": body_of([["tuple", "a"]], [tag(), 1]),
    "a kind that is not in the table": body_of([["tuple"]], [tag(1)]),
    "a kind where a value is": body_of([["tuple"]], {"a": tag()}),
    "a kind as a key": body_of([["tuple"]], {tag(): 1}),
    "a kind as a part": body_of([["tuple"]], [tag(), tag()]),
    "a kind alone": body_of([["tuple"]], tag()),
    "a buffer that is not there": body_of([["bytearray"]], [tag(), BUFFER]),
    "a kind without a table": msgpack.packb([tag(), 1]),
    "a table that is a number": b"\x92\xc7\x01!\x05\x01",
    "a table of numbers": b"\x92\xc7\x02!\x91\x05\x01",
    "a table with an empty row": b"\x92\xc7\x02!\x91\x90\x01",
    "a table that is cut": b"\x92\xc7\xff!\x91",
    "a table of four gigabytes": b"\x92\xc9\xff\xff\xff\xff!",
    "a table twice": body_of([["tuple"]], [msgpack.ExtType(33, b"\x90"), 1]),
    "nothing behind the table": table(["tuple"]),
    "more than one value": body_of([["tuple"]], [tag()]) + b"\x01",
    "old containers in a new body": body_of([["tuple"]], [tag(), msgpack.ExtType(1, b"\x90")]),
}
BUNDLES = {
    "nothing": b"",
    "another word": b"KVB2" + bytes(8),
    "a million buffers": b"KVB1" + struct.pack("<II", 2**32 - 1, 0),
    "a head of four gigabytes": b"KVB1" + struct.pack("<II", 0, 2**32 - 1),
    "a buffer of many exabytes": b"KVB1" + struct.pack("<IIQ", 1, 1, 2**64 - 1) + b"\xc0",
    "something behind its end": bundle.pack(b"\xc0", []) + b"x",
    "a buffer that nothing takes": bundle.pack(b"\xc0", [memoryview(bytes(10))]),
    "a buffer in a tuple": bundle.pack(body_of([["tuple"]], [tag(), BUFFER]), [memoryview(bytes(10))]),
    "a buffer in a list": bundle.pack(body_of([["tuple"]], [BUFFER, [tag()]]), [memoryview(bytes(10))]),
    "a buffer in a list of a kind": bundle.pack(body_of([["bytearray"]], [tag(), [BUFFER]]), [memoryview(bytes(10))]),
    "a buffer that is taken twice": bundle.pack(
        body_of([["bytearray"]], [[tag(), BUFFER], [tag(), BUFFER]]), [memoryview(bytes(2000))]
    ),
    "a buffer that is left out": bundle.pack(body_of([["bytearray"]], [tag(), BUFFER]), [memoryview(b"ab")] * 2),
    "a buffer as a key": bundle.pack(body_of([["dict"]], [tag(), BUFFER, 1]), [memoryview(bytes(10))]),
}
CASES = [(MSGPACK, body) for body in HOSTILE.values()] + [(BUNDLE, body) for body in BUNDLES.values()]


@pytest.mark.parametrize(("content_type", "body"), CASES, ids=[*HOSTILE, *BUNDLES])
def test_a_hostile_body_is_a_decode_error_and_allocates_nothing(content_type, body):
    with Store() as store:
        decode = store._context.codecs.decode
        with pytest.raises(DecodeError):
            decode("n", "k", body, content_type)
        with at_most(1_000_000), pytest.raises(DecodeError, match="'k' in namespace 'n'"):
            decode("n", "k", body, content_type)


@given(body=st.binary(max_size=80))
def test_random_bytes_are_an_ordinary_error(body):
    for prefix in (b"", table(["tuple"], ["dict"], ["bytearray"]), b"KVB1"):
        for read in (unpack, lambda data: unpack(*bundle.unpack(data))):
            try:
                read(prefix + body)
            except Exception as error:
                assert not isinstance(error, SystemError)


def test_many_nested_old_extensions_take_no_more_memory_than_a_few_bodies():
    body = msgpack.packb(b"x" * 2**20)
    for _ in range(400):
        body = msgpack.packb(msgpack.ExtType(1, b"\x91" + body))
    with at_most(8 * len(body)):
        unpack(body)


def test_a_value_that_takes_too_much_memory_is_not_called_broken():
    class Full:
        decoders = {"x": lambda body: (_ for _ in ()).throw(MemoryError)}

    from sqlitedict_kv.codecs.registry import Codecs

    with pytest.raises(MemoryError, match="'k' in namespace 'n' takes more memory than there is; it may be intact"):
        Codecs.decode(Full(), "n", "k", b"", "x")
