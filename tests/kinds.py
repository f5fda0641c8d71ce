"""Kinds of values that people keep: a name, and how one is made.

Each must come back as it was, with its types at every depth. ``SECTIONS`` has them by the libraries that they need;
those of ``refused()`` are no values, and must be refused with a message that says what to do.
``tests.unit.test_kinds`` reads and writes them all, ``benchmarks.kinds`` does so beside other libraries.
"""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime as dt
import enum
import fractions
import functools
import importlib
import io
import ipaddress
import math
import pathlib
import re
import types
import typing
import uuid
import zoneinfo
from collections.abc import Callable, Iterator
from decimal import Decimal
from importlib.util import find_spec
from typing import Any, NamedTuple

Maker = Callable[[], Any]
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
DAY = dt.date(2026, 11, 27)
NOON = dt.datetime(2026, 11, 27, 12, 0, 0, 5)


class Sample(NamedTuple):
    """A kind of value; no two have the same name and section."""

    section: str
    name: str
    make: Maker


# -- classes of one's own


class Color(enum.Enum):
    RED = 1
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Word(enum.StrEnum):
    A = "a"


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class Bits(enum.IntFlag):
    ONE = 1
    TWO = 2


@dataclasses.dataclass
class Address:
    street: str
    number: int = 1


@dataclasses.dataclass
class User:
    name: str
    age: float
    address: Address | None = None
    tags: list[str] = dataclasses.field(default_factory=list)
    anything: Any = None


@dataclasses.dataclass(frozen=True)
class Frozen:
    x: int
    y: tuple[int, ...] = ()


@dataclasses.dataclass(slots=True)
class Slotted:
    x: int
    y: str = "y"


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class FrozenSlotted:
    x: int


@dataclasses.dataclass
class Doubled:
    x: int
    extra: dataclasses.InitVar[int] = 0
    twice: int = dataclasses.field(init=False, default=0)

    def __post_init__(self, extra: int) -> None:
        self.x *= 2
        self.twice = self.x + extra


@dataclasses.dataclass
class Child(User):
    school: str = ""


class Point(NamedTuple):
    x: int
    y: float = 0.0


Pair = collections.namedtuple("Pair", "left right")  # noqa: PYI024 - as people write it


class Movie(typing.TypedDict):
    title: str


OWN = [
    Color, Level, Word, Access, Bits, Address, User, Frozen, Slotted, FrozenSlotted, Doubled, Child, Point, Pair,
]  # fmt: skip


@functools.cache
def models() -> types.SimpleNamespace:
    """Return classes of pydantic, attrs and msgspec, those that are installed."""
    made = {}
    for library in ("pydantic", "attrs", "msgspec"):
        try:
            made |= {cls.__name__: cls for cls in importlib.import_module(f"tests.support.models_{library}").CLASSES}
        except ModuleNotFoundError as error:
            if error.name != library:
                raise
    return types.SimpleNamespace(**made)


def allowed() -> list[type]:
    """Return the classes that a store has to be told of."""
    return [*OWN, *vars(models()).values()]


# -- Python


def python() -> dict[str, Maker]:
    return {
        "None": lambda: None,
        "True": lambda: True,
        "int": lambda: 3,
        "negative int": lambda: -7,
        "int of 64 bits": lambda: 2**63,
        "int of 300 bits": lambda: -(2**300),
        "float": lambda: 1.5,
        "float that is whole": lambda: 2.0,
        "negative zero": lambda: -0.0,
        "nan": lambda: math.nan,
        "infinity": lambda: -math.inf,
        "smallest float": lambda: 5e-324,
        "complex": lambda: complex(1, -0.0),
        "str": lambda: "naïve 😀\0",
        "empty str": lambda: "",
        "bytes": lambda: b"\x00\xff",
        "bytearray": lambda: bytearray(b"x"),
        "Ellipsis": lambda: ...,
        "list": lambda: [1, 2.0, "x", None, True],
        "empty list": list,
        "nested lists": lambda: [[[]], [[1]]],
        "list of tuples": lambda: [(1, 2), (3,)],
        "tuple": lambda: (1, 2.0, "x"),
        "empty tuple": tuple,
        "nested tuples": lambda: (((1,),),),
        "set": lambda: {1, 2.0, "x"},
        "frozenset": lambda: frozenset({1, (2, 3)}),
        "dict": lambda: {"b": 1, "a": [1, {"c": None}]},
        "empty dict": dict,
        "dict with int keys": lambda: {1: "a", -2: "b"},
        "dict with keys of many types": lambda: {1: "a", "1": "b", (1, 2): "c", None: "d", 1.5: "e", b"x": "f"},
        "dict with frozenset keys": lambda: {frozenset({1}): 1},
        "dict with bool key": lambda: {True: "yes"},
        "dict with the key '='": lambda: {"=": "os.system", "x": 1},
        "TypedDict": lambda: Movie(title="M"),
        "OrderedDict": lambda: collections.OrderedDict(b=1, a=2),
        "defaultdict of list": lambda: collections.defaultdict(list, {"a": [1]}),
        "defaultdict of int": lambda: collections.defaultdict(int, {"a": 1}),
        "defaultdict of None": lambda: collections.defaultdict(None, {"a": 1}),
        "Counter": lambda: collections.Counter("abca"),
        "deque": lambda: collections.deque([1, (2,)]),
        "deque with maxlen": lambda: collections.deque([1, 2], maxlen=2),
        "range": lambda: range(3, 9, 2),
        "slice": lambda: slice(1, None, 2),
        "bytes in a dict": lambda: {"b": b"x"},
        "nan in a list": lambda: [math.nan, -0.0, math.inf],
        "1,000 rows": lambda: [{"id": n, "name": f"n{n}", "score": n / 7} for n in range(1000)],
    }


def times() -> dict[str, Maker]:
    return {
        "date": lambda: DAY,
        "datetime": lambda: NOON,
        "datetime in UTC": lambda: NOON.replace(tzinfo=dt.UTC),
        "datetime in a zone": lambda: NOON.replace(tzinfo=BERLIN),
        "datetime in the hour that comes twice": lambda: dt.datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN),
        "datetime at an offset": lambda: NOON.replace(tzinfo=dt.timezone(dt.timedelta(hours=5, minutes=30))),
        "datetime at a named offset": lambda: NOON.replace(tzinfo=dt.timezone(dt.timedelta(hours=1), "CET")),
        "time": lambda: dt.time(1, 2, 3, 4),
        "time in UTC": lambda: dt.time(1, 2, tzinfo=dt.UTC),
        "timedelta": lambda: dt.timedelta(-1, 2, 3),
        "timezone": lambda: dt.timezone(dt.timedelta(hours=2)),
        "UTC": lambda: dt.UTC,
        "ZoneInfo": lambda: BERLIN,
        "list of dates": lambda: [DAY, DAY + dt.timedelta(1)],
        "dict by date": lambda: {DAY: 1},
    }


def standard_library() -> dict[str, Maker]:
    return {
        "Decimal": lambda: Decimal("1.10"),
        "Decimal with an exponent": lambda: Decimal("1E+2"),
        "infinite Decimal": lambda: Decimal("-Infinity"),
        "Decimals of two scales": lambda: [Decimal("1.1"), Decimal("1.10")],
        "Fraction": lambda: fractions.Fraction(1, 3),
        "UUID": lambda: uuid.UUID(int=5),
        "Path": lambda: pathlib.Path("a/b"),
        "PurePosixPath": lambda: pathlib.PurePosixPath("/a"),
        "PureWindowsPath": lambda: pathlib.PureWindowsPath("c:/a"),
        "IPv4Address": lambda: ipaddress.ip_address("10.0.0.1"),
        "IPv6Address": lambda: ipaddress.ip_address("::1"),
        "IPv4Network": lambda: ipaddress.ip_network("10.0.0.0/8"),
        "IPv6Network": lambda: ipaddress.ip_network("2001:db8::/32"),
        "IPv4Interface": lambda: ipaddress.ip_interface("10.0.0.1/8"),
        "IPv6Interface": lambda: ipaddress.ip_interface("2001:db8::1/32"),
        "array of doubles": lambda: array.array("d", [1.5, 2]),
        "array of ints": lambda: array.array("i", range(1000)),
        "array of unicode": lambda: array.array("u", "añb"),
        "SimpleNamespace": lambda: types.SimpleNamespace(a=1, b=[2]),
        "dict of Paths": lambda: {"p": pathlib.Path("a"), "u": uuid.UUID(int=1)},
    }


def own_classes() -> dict[str, Maker]:
    return {
        "Enum": lambda: Color.RED,
        "IntEnum": lambda: Level.HIGH,
        "StrEnum": lambda: Word.A,
        "Flag": lambda: Access.READ | Access.WRITE,
        "IntFlag": lambda: Bits.ONE | Bits.TWO,
        "dict by Enum": lambda: {Color.RED: 1, Level.LOW: 2},
        "dataclass": lambda: User("Ada", 36.5, Address("x"), ["a"]),
        "dataclass with an int in a float field": lambda: User("Ada", 36),
        "dataclass with a tuple in a list field": lambda: User("Ada", 1.0, tags=("a",)),
        "dataclass that holds anything": lambda: User("Ada", 1.0, anything={"d": DAY, (1, 2): {3}}),
        "frozen dataclass": lambda: Frozen(1, (2, 3)),
        "dataclass with slots": lambda: Slotted(1),
        "frozen dataclass with slots": lambda: FrozenSlotted(1),
        "dataclass with __post_init__": lambda: Doubled(2, extra=3),
        "inherited dataclass": lambda: Child("Ada", 1.0, school="s"),
        "NamedTuple": lambda: Point(1, 2.0),
        "namedtuple": lambda: Pair(1, (2,)),
        "list of dataclasses": lambda: [User("Ada", 1.0), Address("x")],
        "100 dataclasses": lambda: [User(f"u{n}", n / 3, Address("x", n)) for n in range(100)],
        "dict of dataclasses": lambda: {"a": User("Ada", 1.0), "b": None},
        "set of NamedTuples": lambda: {Point(1), Point(2)},
        "dict by frozen dataclass": lambda: {Frozen(1): 1},
        "dataclass beside the key '='": lambda: [{"=": 1}, Address("x")],
        "deque of Enums": lambda: collections.deque([Color.RED, Level.LOW]),
    }


def pydantic() -> dict[str, Maker]:
    m = models()
    return {
        "pydantic model": lambda: m.Model(a=1, day=DAY),
        "pydantic model with a nested one": lambda: m.Outer(inner=m.Model(a=1, day=DAY), many=[m.Model(a=2, day=DAY)]),
        "pydantic model with private and excluded": lambda: m.Hidden(x=1).remember(5),
        "pydantic model with extra": lambda: m.Extra(x=1, y=[2], z=(3,)),
        "frozen pydantic model": lambda: m.FrozenModel(x=1),
        "pydantic model that was constructed": lambda: m.Model.model_construct(a="no int", day=None),
        "generic pydantic root": lambda: m.Numbers([1, 2]),
        "list of pydantic models": lambda: [m.Model(a=n, day=DAY) for n in range(3)],
        "dict of pydantic models": lambda: {"k": m.Model(a=1, day=DAY)},
    }


def attrs() -> dict[str, Maker]:
    m = models()
    return {
        "attrs class": lambda: m.Attrs(1, "x"),
        "frozen attrs class": lambda: m.FrozenAttrs(1),
        "attrs class without slots": lambda: m.DictAttrs([1], {"a": (2,)}),
        "attrs class with a private field": lambda: m.PrivateAttrs(1),
        "list of attrs classes": lambda: [m.Attrs(1, "x"), m.FrozenAttrs(2)],
    }


def msgspec() -> dict[str, Maker]:
    m = models()
    return {
        "msgspec Struct": lambda: m.Struct(1, "x"),
        "frozen msgspec Struct": lambda: m.FrozenStruct(1),
        "tagged msgspec Struct": lambda: m.Tagged(1.0),
        "list of Structs": lambda: [m.Struct(1, "x"), m.FrozenStruct(2)],
    }


# -- libraries


def numpy() -> dict[str, Maker]:
    import numpy as np

    rng = np.random.default_rng
    aligned = np.dtype([("a", "i1"), ("b", "i4")], align=True)
    scalars = {
        f"np.{name}": functools.partial(getattr(np, name), 1)
        for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "longlong", "float16",
                     "float32", "float64", "longdouble", "complex64", "complex128", "bool_")
    }  # fmt: skip
    return scalars | {
        "np.str_": lambda: np.str_("é"),
        "empty np.str_": lambda: np.str_(""),
        "np.bytes_": lambda: np.bytes_(b"x"),
        "np.datetime64": lambda: np.datetime64("2026-01-01"),
        "np.datetime64 NaT": lambda: np.datetime64("NaT", "ns"),
        "np.timedelta64": lambda: np.timedelta64(3, "ms"),
        "np.void": lambda: np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")])[0],
        "array": lambda: rng(0).random((3, 3)),
        "array of ints": lambda: np.arange(6).reshape(2, 3),
        "array in order F": lambda: np.asfortranarray(rng(0).random((3, 2))),
        "array of no dimension": lambda: np.array(3.0),
        "empty array": lambda: np.zeros((0, 3)),
        "big-endian array": lambda: np.arange(3, dtype=">i4"),
        "view of an array": lambda: np.arange(10)[::2],
        "transposed array": lambda: np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
        "broadcast array": lambda: np.broadcast_to(np.arange(3), (2, 3)),
        "array of nan": lambda: np.array([np.nan, -0.0, np.inf], dtype="f4"),
        "array of bool": lambda: np.array([True, False]),
        "array of complex": lambda: np.array([1 + 2j]),
        "array of datetime64": lambda: np.array(["2026-01-01", "NaT"], dtype="M8[ns]"),
        "array of timedelta64": lambda: np.array([1, 2], dtype="m8[25s]"),
        "array of str": lambda: np.array(["a", "é😀"]),
        "array of bytes": lambda: np.array([b"a", b"bc"]),
        "array of objects": lambda: np.array(["a", None, 1, (2,)], dtype=object),
        "array of arrays": lambda: array_of_objects([np.arange(2), [1, 2], np.array(5)]),
        "array of strings of any length": lambda: np.array(["a", "b" * 30], dtype=np.dtypes.StringDType()),
        "structured array": lambda: np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8", (2,))]),
        "aligned structured array": lambda: np.array([(1, 2)], dtype=aligned),
        "recarray": lambda: np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        "record": lambda: np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")])[0],
        "masked array": lambda: np.ma.array([1, 2], mask=[0, 1], fill_value=9),
        "masked array without mask": lambda: np.ma.array([1.0, 2.0]),
        "np.ma.masked": lambda: np.ma.masked,
        "np.dtype": lambda: np.dtype("f4"),
        "structured np.dtype": lambda: np.dtype([("a", "i4"), ("b", "U3")]),
        "np.random.Generator": lambda: rng(5),
        "np.random.RandomState": lambda: np.random.RandomState(5),
        "large array": lambda: rng(0).random(20_000),
        "dict of arrays": lambda: {"X": np.arange(300.0), "meta": {"n": 3}, "y": np.arange(3)},
        "train and test": lambda: (np.arange(300), np.arange(3), np.arange(2), np.arange(1)),
        "metrics": lambda: {"accuracy": np.float64(0.9), "n": np.int64(3), "ok": np.bool_(True)},
        "np.float64 beside a float": lambda: [np.float64(1.5), 1.5],
        "dict by np.int64": lambda: {np.int64(1): 2},
    }


def array_of_objects(items: list[Any]) -> Any:
    import numpy as np

    made = np.empty(len(items), dtype=object)
    for place, item in enumerate(items):
        made[place] = item
    return made


def pandas() -> dict[str, Maker]:
    import numpy as np
    import pandas as pd

    def plain() -> Any:
        return pd.DataFrame({"i": range(5), "f": np.linspace(0, 1, 5), "s": list("abcde")})

    def cells(*items: Any) -> Any:
        return pd.DataFrame({"x": pd.Series(list(items), dtype=object)})

    def with_attrs(attrs: dict[Any, Any]) -> Any:
        frame = plain()
        frame.attrs = attrs
        return frame

    def days(**options: Any) -> Any:
        return pd.date_range("2026-01-01", periods=5, **options)

    def text(storage: str) -> Any:
        return pd.array(["a", None], dtype=pd.StringDtype(storage))

    return {
        "DataFrame": plain,
        "DataFrame of numbers": lambda: pd.DataFrame({"a": [1.5, 2], "b": [3.5, 4]}),
        "DataFrame with int columns": lambda: pd.DataFrame(np.arange(6.0).reshape(2, 3)),
        "DataFrame with float columns": lambda: pd.DataFrame([[1, 2]], columns=[0.1, 0.2]),
        "DataFrame with bool columns": lambda: pd.DataFrame([[1, 2]], columns=[True, False]),
        "DataFrame with mixed columns": lambda: pd.DataFrame([[1, 2]], columns=["a", 0]),
        "DataFrame with a column twice": lambda: pd.DataFrame([[1, 2.0]], columns=["a", "a"]),
        "DataFrame with columns of two levels": lambda: pd.DataFrame(
            np.ones((2, 4)), columns=pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["u", None])
        ),
        "DataFrame with days as columns": lambda: pd.DataFrame([[1, 2, 3, 4, 5]], columns=days()),
        "DataFrame with categories as columns": lambda: pd.DataFrame([[1, 2]], columns=pd.CategoricalIndex(["a", "b"])),
        "DataFrame with named columns": lambda: plain().rename_axis(columns="cols"),
        "DataFrame with a named index": lambda: plain().rename_axis(index="ix"),
        "DataFrame with an index of two levels": lambda: plain().set_index(["s", "i"]),
        "DataFrame with levels that are not used": lambda: plain().set_index(["s", "i"]).iloc[:2],
        "DataFrame with a freq": lambda: pd.DataFrame({"x": range(5)}, index=days()),
        "DataFrame with a freq in a zone": lambda: pd.DataFrame({"x": range(5)}, index=days(tz="Europe/Berlin")),
        "DataFrame by period": lambda: pd.DataFrame({"x": [1]}, index=pd.period_range("2026-01", periods=1, freq="M")),
        "DataFrame that was filtered": lambda: plain()[lambda frame: frame.i > 2],
        "DataFrame without rows": lambda: plain().iloc[:0],
        "empty DataFrame": pd.DataFrame,
        "DataFrame of categories": lambda: pd.DataFrame({"c": pd.Categorical(list("aab"), list("cba"), ordered=True)}),
        "DataFrame of moments": lambda: pd.DataFrame({"t": days(), "u": days(tz="UTC"), "b": days(tz="Europe/Berlin")}),
        "DataFrame of moments in seconds": lambda: pd.DataFrame({"t": np.array(["2026"], "M8[s]")}),
        "DataFrame of spans": lambda: pd.DataFrame({"p": pd.to_timedelta([1, 2], unit="s")}),
        "DataFrame of periods": lambda: pd.DataFrame({"p": pd.period_range("2026-01", periods=3, freq="M")}),
        "DataFrame of intervals": lambda: pd.DataFrame({"p": pd.interval_range(0, 3)}),
        "DataFrame of pd.cut": lambda: pd.DataFrame({"p": pd.cut([1, 2, 3], 2)}),
        "DataFrame that is sparse": lambda: pd.DataFrame({"s": pd.arrays.SparseArray([0, 0, 1])}),
        "DataFrame of nullable": lambda: pd.DataFrame(
            {
                "i": pd.array([1, None], "Int64"),
                "b": pd.array([True, None], "boolean"),
                "f": pd.array([1.5, None], "Float32"),
            }
        ),
        "DataFrame of string[python]": lambda: pd.DataFrame({"s": text("python")}),
        "DataFrame of string[pyarrow]": lambda: pd.DataFrame({"s": text("pyarrow")}),
        "DataFrame of int64[pyarrow]": lambda: pd.DataFrame({"s": pd.array([1, None], dtype="int64[pyarrow]")}),
        "DataFrame of complex": lambda: pd.DataFrame({"p": [1 + 2j]}),
        "DataFrame of float16": lambda: pd.DataFrame({"p": np.array([1], dtype="f2")}),
        "DataFrame of lists": lambda: cells([1, 2], [3], []),
        "DataFrame of dicts": lambda: cells({"a": 1}, {"a": 2.5}, {"c": 1, "b": None}),
        "DataFrame of many types": lambda: cells(1, "a", None, 2.5),
        "DataFrame of str and None": lambda: cells("x", None),
        "DataFrame of str and nan": lambda: cells("x", np.nan),
        "DataFrame of bool and None": lambda: cells(True, None, np.nan),
        "DataFrame of Paths": lambda: cells(pathlib.PurePosixPath("a")),
        "DataFrame of Decimals": lambda: cells(Decimal("1.1"), Decimal("1.10")),
        "DataFrame of dates": lambda: cells(DAY, DAY),
        "DataFrame of dates and moments": lambda: cells(DAY, NOON),
        "DataFrame of arrays": lambda: cells(np.arange(3, dtype="i1"), np.array(["a"])),
        "DataFrame of Timestamps": lambda: cells(pd.Timestamp("2026"), pd.NaT, pd.NA, None),
        "DataFrame of enums": lambda: cells(Level.LOW, Color.RED),
        "DataFrame of DataFrames": lambda: cells(plain()),
        "DataFrame with attrs": lambda: with_attrs({"source": "x", "shape": (1, 2), 3: np.arange(3)}),
        "DataFrame that refuses duplicates": lambda: plain().set_flags(allows_duplicate_labels=False),
        "pivot_table": lambda: pd.DataFrame({"a": [1, 1], "b": ["x", "y"], "v": [1.0, 2]}).pivot_table("v", "a", "b"),
        "describe()": lambda: plain().describe(),
        "groupby().agg()": lambda: plain().assign(g=[1, 1, 2, 2, 2]).groupby("g")["f"].agg(["mean", "std"]).T,
        "Series": lambda: plain()["f"],
        "Series of str": lambda: plain()["s"],
        "Series named by a tuple": lambda: pd.Series([1, 2], name=("a", 1)),
        "value_counts()": lambda: plain().value_counts("s"),
        "dtypes": lambda: plain().dtypes,
        "Index": lambda: plain().columns,
        "RangeIndex": lambda: pd.RangeIndex(1, 9, 2, name="x"),
        "Index of tuples": lambda: pd.Index([(1, 2), (3,)], tupleize_cols=False),
        "MultiIndex": lambda: pd.MultiIndex.from_tuples([("x", 1), ("y", 2)], names=["l", None]),
        "DatetimeIndex": lambda: days(tz="Europe/Berlin"),
        "DatetimeIndex by quarters": lambda: days(freq="QE"),
        "DatetimeIndex by business days": lambda: days(freq=pd.offsets.CustomBusinessDay(holidays=["2026-01-01"])),
        "TimedeltaIndex": lambda: pd.timedelta_range("1h", periods=3),
        "IntervalIndex": lambda: pd.interval_range(0, 3, closed="left"),
        "Timestamp": lambda: pd.Timestamp("2026-01-01 12:00:00.123456789"),
        "Timestamp in a zone": lambda: pd.Timestamp("2026-10-25 00:30", tz="UTC").tz_convert("Europe/Berlin"),
        "pd.Timedelta": lambda: pd.Timedelta(1, "s"),
        "pd.Period": lambda: pd.Period("2026-01", "M"),
        "pd.Interval": lambda: pd.Interval(0, 1.5, "left"),
        "pd.NaT": lambda: pd.NaT,
        "pd.NA": lambda: pd.NA,
        "pd.Categorical": lambda: pd.Categorical(list("ab")),
        "pd.arrays.SparseArray": lambda: pd.arrays.SparseArray([0.0, np.nan, 1], kind="block"),
        "offset": lambda: pd.offsets.BDay(2),
        "CategoricalDtype": lambda: pd.CategoricalDtype(["a", "b"]),
        "to_dict()": lambda: plain().describe().to_dict(),
        "records": lambda: plain().to_dict("records"),
        "dict of DataFrames": lambda: {"a": plain(), "b": plain()["f"]},
        "DataFrame and array": lambda: (plain(), np.arange(3)),
    }


def polars() -> dict[str, Maker]:
    import polars as pl

    return {
        "polars DataFrame": lambda: pl.DataFrame({"a": [1, 2], "b": ["x", None]}),
        "polars DataFrame of many dtypes": lambda: pl.DataFrame({"d": [DAY], "t": [NOON], "b": [b"x"], "n": [None]}),
        "polars DataFrame of lists and structs": lambda: pl.DataFrame({"l": [[1], [2, 3]], "s": [{"a": 1}, {"a": 2}]}),
        "polars categories": lambda: pl.DataFrame({"c": pl.Series(["a", "b", "a"], dtype=pl.Categorical)}),
        "polars Enum": lambda: pl.DataFrame({"e": pl.Series(["a"], dtype=pl.Enum(["a", "b"]))}),
        "empty polars DataFrame": pl.DataFrame,
        "polars Series": lambda: pl.Series("a", [1.5, None]),
        "dict of polars": lambda: {"a": pl.DataFrame({"a": [1]}), "b": pl.Series("b", ["x"])},
    }


def pyarrow() -> dict[str, Maker]:
    import pyarrow as pa

    return {
        "pyarrow Table": lambda: pa.table({"a": [1, None], "b": ["x", "y"]}),
        "pyarrow Table of nested": lambda: pa.table({"l": [[1], []], "s": [{"x": 1}, {"x": None}]}),
        "pyarrow Table in chunks": lambda: pa.table({"x": pa.chunked_array([[1], [2, 3]])}),
        "pyarrow Table with metadata": lambda: pa.table({"a": [1]}).replace_schema_metadata({"note": "n"}),
        "pyarrow RecordBatch": lambda: pa.record_batch({"a": [1]}),
        "pyarrow Array": lambda: pa.array([1, None]),
        "pyarrow dictionary": lambda: pa.array(["a", "b", "a"]).dictionary_encode(),
        "pyarrow ChunkedArray": lambda: pa.chunked_array([["a"], ["b"]]),
        "pyarrow Scalar": lambda: pa.scalar({"a": 1}),
        "pyarrow Schema": lambda: pa.schema([("a", pa.int8())], metadata={"k": "v"}),
        "dict of pyarrow": lambda: {"t": pa.table({"a": [1]}), "n": 1},
    }


def scipy() -> dict[str, Maker]:
    import numpy as np
    from scipy import sparse

    def matrix() -> Any:
        made = np.eye(4)
        made[0, 2] = 5
        return made

    formats = ("csr", "csc", "coo", "bsr", "dia")
    made = {
        f"{form}_{kind}": functools.partial(lambda cls: cls(matrix()), getattr(sparse, f"{form}_{kind}"))
        for form in formats
        for kind in ("matrix", "array")
    }
    return made | {
        "csr of one dimension": lambda: sparse.csr_array(np.array([1, 0, 2])),
        "csr with large indices": lambda: sparse.csr_matrix(
            (np.array([1.0]), np.array([0], np.int64), np.array([0, 1], np.int64))
        ),
        "dict of sparse": lambda: {"X": sparse.csr_matrix(matrix()), "y": np.arange(4)},
    }


def sklearn() -> dict[str, Maker]:
    import numpy as np
    from sklearn import (
        cluster,
        compose,
        datasets,
        decomposition,
        ensemble,
        impute,
        linear_model,
        model_selection,
        naive_bayes,
        neighbors,
        neural_network,
        pipeline,
        preprocessing,
        svm,
        tree,
    )

    x = np.random.default_rng(0).random((60, 4))
    y = (x[:, 0] > 0.5).astype(int)
    scaled = pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression())
    columns = compose.make_column_transformer((preprocessing.OneHotEncoder(), [0]), ("passthrough", [1, 2]))
    search = model_selection.GridSearchCV(tree.DecisionTreeClassifier(random_state=0), {"max_depth": [1, 2]}, cv=2)
    estimators = {
        "LinearRegression": linear_model.LinearRegression(),
        "LogisticRegression": linear_model.LogisticRegression(),
        "SGDClassifier": linear_model.SGDClassifier(random_state=0),
        "DecisionTree": tree.DecisionTreeClassifier(random_state=0),
        "RandomForest": ensemble.RandomForestClassifier(3, random_state=0),
        "GradientBoosting": ensemble.GradientBoostingClassifier(n_estimators=3, random_state=0),
        "HistGradientBoosting": ensemble.HistGradientBoostingRegressor(max_iter=3, random_state=0),
        "IsolationForest": ensemble.IsolationForest(n_estimators=3, random_state=0),
        "SVC": svm.SVC(),
        "GaussianNB": naive_bayes.GaussianNB(),
        "KNeighbors": neighbors.KNeighborsClassifier(),
        "KMeans": cluster.KMeans(2, n_init=1, random_state=0),
        "PCA": decomposition.PCA(2),
        "StandardScaler": preprocessing.StandardScaler(),
        "OneHotEncoder": preprocessing.OneHotEncoder(handle_unknown="ignore"),
        "FunctionTransformer": preprocessing.FunctionTransformer(np.log1p),
        "SimpleImputer": impute.SimpleImputer(),
        "MLP": neural_network.MLPClassifier((3,), max_iter=2000, random_state=0),
        "Pipeline": scaled,
        "ColumnTransformer": columns,
        "GridSearchCV": search,
    }
    made = {f"fitted {name}": functools.cache(functools.partial(fit, one, x, y)) for name, one in estimators.items()}
    return made | {
        "unfitted estimator": linear_model.Ridge,
        "iris": datasets.load_iris,
        "model, data and scores": lambda: {
            "model": fit(linear_model.LinearRegression(), x, y), "X": x.copy(), "scores": {"r2": np.float64(0.9)}
        },
    }  # fmt: skip


def fit(estimator: Any, x: Any, y: Any) -> Any:
    from sklearn.base import clone

    return clone(estimator).fit(x, y)


def torch() -> dict[str, Maker]:
    import torch

    return {
        "tensor": lambda: torch.ones(2, 3),
        "tensor of bfloat16": lambda: torch.ones(3, dtype=torch.bfloat16),
        "tensor with requires_grad": lambda: torch.ones(2, requires_grad=True),
        "tensor of no dimension": lambda: torch.tensor(3),
        "tensor of bool": lambda: torch.tensor([True, False]),
        "torch.Size": lambda: torch.ones(2, 3).shape,
        "state_dict": lambda: {"weight": torch.zeros(3, 2), "bias": torch.zeros(3)},
    }


def pillow() -> dict[str, Maker]:
    from PIL import Image

    def with_info(mode: str) -> Any:
        made = Image.new(mode, (5, 3))
        made.info = {"dpi": (72, 72)}
        return made

    return {
        "image": lambda: Image.new("RGB", (4, 3), "red"),
        "image with info": lambda: with_info("RGBA"),
        "image of one bit": lambda: with_info("1"),
        "image with a palette": lambda: Image.new("RGB", (4, 4), "red").convert("P", palette=Image.Palette.ADAPTIVE),
        "image of 16 bits": lambda: Image.new("I;16", (4, 4), 7),
        "list of images": lambda: [Image.new("L", (4, 4)), Image.new("F", (1, 1))],
    }


def shapely() -> dict[str, Maker]:
    from shapely import geometry, set_srid

    ring = [(0, 0), (1, 1), (1, 0)]
    return {
        "point": lambda: geometry.Point(1, 2),
        "point with z": lambda: geometry.Point(1, 2, 3),
        "line": lambda: geometry.LineString(ring),
        "polygon with a hole": lambda: geometry.Polygon([(0, 0), (9, 9), (9, 0)], [[(6, 1), (7, 2), (7, 1)]]),
        "multipolygon": lambda: geometry.MultiPolygon([geometry.Polygon(ring)]),
        "collection": lambda: geometry.GeometryCollection([geometry.Point(1, 2), geometry.LineString(ring)]),
        "point with a reference system": lambda: set_srid(geometry.Point(1, 2), 4326),
        "list of geometries": lambda: [geometry.Point(1, 2), geometry.Polygon(ring)],
    }


def django() -> dict[str, Maker]:
    from django.utils.safestring import mark_safe

    return {
        "SafeString": lambda: mark_safe("<b>é</b>"),
        "dict of SafeStrings": lambda: {mark_safe("<b>"): [mark_safe("")]},
    }


SECTIONS: dict[str, tuple[tuple[str, ...], Callable[[], dict[str, Maker]]]] = {
    "python": ((), python),
    "times": ((), times),
    "standard library": ((), standard_library),
    "own classes": ((), own_classes),
    "pydantic": (("pydantic",), pydantic),
    "attrs": (("attrs",), attrs),
    "msgspec": (("msgspec",), msgspec),
    "numpy": (("numpy",), numpy),
    "pandas": (("pandas", "pyarrow"), pandas),
    "polars": (("polars",), polars),
    "pyarrow": (("pyarrow",), pyarrow),
    "scipy": (("scipy",), scipy),
    "sklearn": (("sklearn",), sklearn),
    "torch": (("torch",), torch),
    "pillow": (("PIL",), pillow),
    "shapely": (("shapely",), shapely),
    "django": (("django",), django),
}

# Each of these stands in each container too.
IMPORTANT = {
    "times": ("datetime in a zone",),
    "standard library": ("Decimal", "UUID", "Path"),
    "own classes": ("Enum", "NamedTuple"),
    "numpy": ("array", "np.float64", "array of objects", "large array"),
    "pandas": ("DataFrame", "DataFrame of many types", "Series", "Timestamp"),
    "polars": ("polars DataFrame",),
    "pyarrow": ("pyarrow Table",),
    "scipy": ("csr_matrix",),
    "sklearn": ("fitted LinearRegression", "fitted Pipeline"),
    "torch": ("tensor",),
    "pillow": ("image",),
    "shapely": ("point",),
    "django": ("SafeString",),
}
CONTAINERS: dict[str, Callable[[Maker], Any]] = {
    "list": lambda make: [make(), 1, make()],
    "dict": lambda make: {"a": {"b": make()}},
    "tuple": lambda make: (make(), (make(),)),
    "dataclass": lambda make: User("Ada", 1.0, anything=make()),
    "NamedTuple": lambda make: Point(1, make()),
    "model": lambda make: models().Anything(it=make()),
}


def missing(section: str) -> str | None:
    """Return the library that a section needs and that is not installed."""
    for library in SECTIONS[section][0]:
        try:
            importlib.import_module(library)
        except ImportError:
            return library
    return None


def sections() -> Iterator[Any]:
    """Give the names of the sections as parameters of tests; torch, which is large, only where it is installed.

    Those that need a library are marked `frameworks`.
    """
    import pytest  # noqa: PLC0415 - benchmarks.kinds has none

    for name, (libraries, _) in SECTIONS.items():
        if name != "torch" or find_spec("torch"):
            yield pytest.param(name, marks=[pytest.mark.frameworks] if libraries else [])


def samples(section: str) -> Iterator[Sample]:
    """Give the kinds of a section, then the important ones of them in containers."""
    made = SECTIONS[section][1]()
    for name, make in made.items():
        yield Sample(section, name, make)
    for name in IMPORTANT.get(section, ()):
        for container, put in CONTAINERS.items():
            if container != "model" or hasattr(models(), "Anything"):
                yield Sample(section, f"{name} in a {container}", functools.partial(put, made[name]))


# -- what is no value


class Text(str):
    __slots__ = ()


class Plain:
    def __init__(self) -> None:
        self.a = 1


def numbers() -> Iterator[int]:
    yield 1


def refused() -> dict[str, tuple[Maker, str]]:
    """Return what is refused, and what the message has to name."""
    return {
        "function": (lambda: numbers, "function"),
        "lambda": (lambda: lambda: 1, "function"),
        "class": (lambda: Plain, "type"),
        "module": (lambda: math, "module"),
        "generator": (numbers, "generator"),
        "map": (lambda: map(str, [1]), "map"),
        "zip": (lambda: zip([1], [2], strict=True), "zip"),
        "dict_keys": ({"a": 1}.keys, "dict_keys"),
        "open file": (io.BytesIO, "BytesIO"),
        "pattern": (lambda: re.compile("a"), "Pattern"),
        "exception": (lambda: ValueError("x"), "ValueError"),
        "memoryview": (lambda: memoryview(b"x"), "memoryview"),
        "partial": (lambda: functools.partial(max, 1), "partial"),
        "object of a plain class": (Plain, "Plain"),
        "subclass of str": (lambda: Text("x"), "Text"),
        "subclass of str in a list": (lambda: [Text("x")], "Text"),
        "defaultdict of a lambda": (lambda: collections.defaultdict(lambda: 0), "defaultdict"),
        "str that is not Unicode": (lambda: ["\ud800"], "lone surrogate"),
        "function in a dict": (lambda: {"f": numbers}, "function"),
    }
