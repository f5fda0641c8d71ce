"""Arrays and tables come back as they were, without pickle."""

# ruff: noqa: PLW0108 - a table of calls reads best if each is written as a call

import datetime
import enum
from decimal import Decimal

import pytest

from sqlitedict_kv import CodecError, DecodeError
from tests.support.exact import assert_same

np = pytest.importorskip("numpy", reason="the extra 'scientific' is not installed")
pd = pytest.importorskip("pandas", reason="the extra 'scientific' is not installed")
pa = pytest.importorskip("pyarrow", reason="the extra 'scientific' is not installed")

NPY = "application/x-npy"
ARROW = "application/vnd.apache.arrow.stream"
PANDAS = "application/vnd.apache.arrow.stream; as=pandas"


@pytest.fixture
def users(store):
    return store.ns("users")


ARRAYS = [
    np.arange(6).reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.array([]),
    np.zeros((0, 3)),
    np.array(5),
    np.array([True, False]),
    np.array([1, 2], dtype=">i2"),
    np.array([1.5, np.nan, -0.0, np.inf], dtype=np.float32),
    np.array([1 + 2j]),
    np.array(["a", "é😀"]),
    np.array([b"a", b"bc"]),
    np.array(["2024-01-01", "NaT"], dtype="M8[D]"),
    np.array([1, 2], dtype="m8[ms]"),
    np.array([(1, 2.5)], dtype=[("x", "i4"), ("y", "f8")]),
    np.arange(10)[::2],
    np.arange(12).reshape(3, 4).T,
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}-{array.shape}")
def test_an_array_comes_back_as_it_was(users, array):
    users["k"] = array
    entry = users.get_with_meta("k")
    assert type(entry.value) is np.ndarray
    assert entry.meta.content_type == NPY
    assert (entry.value.dtype, entry.value.shape) == (array.dtype, array.shape)
    assert entry.value.tobytes() == array.tobytes()


def test_an_array_that_is_read_may_be_changed_and_is_no_other_callers(users):
    users["k"] = np.zeros(3)
    first, second = users["k"], users["k"]
    first[0] = 1
    assert second[0] == 0
    assert users["k"][0] == 0


KEPT_BY_PARTS = [
    np.array([[1], "a"], dtype=object),
    np.float64(1.5),
    np.int64(1),
    np.bool_(True),
    np.str_("a"),
    np.bytes_(b"a"),
    np.ma.array([1, 2], mask=[0, 1]),
    np.rec.array([(1,)], dtype=[("x", "i4")]),
    np.dtype("i4"),
    [np.arange(2)],
    {"a": np.arange(2)},
    (np.float64(1),),
    [np.int64(1)],
    {np.int64(1): 1},
    np.datetime64("2024-01-01"),
]


@pytest.mark.parametrize("value", KEPT_BY_PARTS, ids=lambda value: type(value).__name__)
def test_what_npy_does_not_hold_comes_back_as_it_was_or_is_refused(users, value):
    users["k"] = "old"
    try:
        users["k"] = value
    except CodecError:
        assert users["k"] == "old"
    else:
        assert (type(users["k"]), repr(users["k"])) == (type(value), repr(value))


def test_an_array_of_what_nothing_keeps_is_refused(users):
    users["k"] = "old"
    with pytest.raises(CodecError, match="object"):
        users["k"] = np.array([object()])
    assert users["k"] == "old"


def test_an_array_with_metadata_of_its_dtype_is_refused(users):
    with pytest.raises(CodecError):
        users["k"] = np.zeros(2, dtype=np.dtype("i4", metadata={"unit": "m"}))


def test_an_npy_body_with_a_pickle_in_it_is_never_loaded(make_store, path):
    import io
    import pickle
    import sqlite3
    from contextlib import closing

    class Bomb:
        def __reduce__(self):
            return (exec, ("raise SystemExit('unpickled')",))

    buffer = io.BytesIO()
    np.save(buffer, np.array([Bomb()], dtype=object), allow_pickle=True)
    store = make_store(path)
    with closing(sqlite3.connect(path)) as connection:
        for key, body in (("npy", buffer.getvalue()), ("raw", pickle.dumps(Bomb()))):
            connection.execute(
                "INSERT INTO kv (ns, key, value, content_type, updated_at) VALUES ('users', ?, ?, ?, 0)",
                (key, body, NPY),
            )
        connection.commit()
    for key in ("npy", "raw"):
        with pytest.raises(DecodeError, match=f"'{key}'.*{NPY}"):
            store.ns("users")[key]


TABLES = [
    lambda: pa.table({"a": [1, 2, None], "b": ["x", None, "é"]}),
    lambda: pa.table({"l": [[1], []], "s": [{"x": 1}, {"x": None}]}),
    lambda: pa.table({"d": pa.array(["a", "b", "a"]).dictionary_encode()}),
    lambda: pa.table({"a": pa.array([], pa.int8())}),
    lambda: pa.table({}),
    lambda: pa.table({"a": pa.chunked_array([[1], [2, 3]])}),
    lambda: pa.table({"a": [1]}).replace_schema_metadata({"note": "n"}),
]


@pytest.mark.parametrize("table", TABLES)
def test_a_table_comes_back_as_it_was(users, table):
    users["k"] = table()
    entry = users.get_with_meta("k")
    assert type(entry.value) is pa.Table
    assert entry.meta.content_type == ARROW
    assert entry.value.equals(table())
    assert entry.value.schema.equals(table().schema, check_metadata=True)


FRAMES = [
    lambda: pd.DataFrame({"a": [1, 2], "b": ["x", "y"], "c": [1.5, float("nan")]}),
    lambda: pd.DataFrame({"a": [1, 2]}, index=["p", "q"]),
    lambda: pd.DataFrame({"a": [1, 2]}, index=pd.Index([5, 7], name="n")),
    lambda: pd.DataFrame({"t": pd.date_range("2024-01-01", periods=3, tz="Europe/Berlin")}),
    lambda: pd.DataFrame({"c": pd.Categorical(["a", "b", "a"])}),
    lambda: pd.DataFrame({"a": pd.array([1, None], dtype="Int64"), "b": pd.array([True, None], dtype="boolean")}),
    lambda: pd.DataFrame({"a": [1, 2]}, index=pd.MultiIndex.from_tuples([("x", 1), ("y", 2)], names=["l", "n"])),
    lambda: pd.DataFrame({"a": [True, False]}),
    lambda: pd.DataFrame({"a": []}),
]


@pytest.mark.parametrize("frame", FRAMES)
def test_a_frame_comes_back_as_it_was(users, frame):
    users["k"] = frame()
    entry = users.get_with_meta("k")
    assert type(entry.value) is pd.DataFrame
    assert entry.meta.content_type == PANDAS
    pd.testing.assert_frame_equal(entry.value, frame(), check_exact=True, check_freq=False)
    assert_same(frame(), entry.value)


def with_attrs(attrs):
    frame = pd.DataFrame({"x": [1]})
    frame.attrs = attrs
    return frame


def cells(*items):
    return pd.DataFrame({"x": pd.Series(list(items), dtype=object)})


# What Arrow gives back changed, and assert_frame_equal sometimes calls equal: kept by its columns.
BY_COLUMNS = [
    lambda: pd.DataFrame(),
    lambda: pd.DataFrame({"a": [1, "x", None]}),
    lambda: pd.DataFrame({"a": [{1}, {2}]}),
    lambda: pd.DataFrame({"a": [(1, 2)]}),
    lambda: pd.DataFrame([[1, 2]], columns=["a", "a"]),
    lambda: pd.DataFrame([[1j]]),
    lambda: pd.DataFrame(np.zeros((2, 3))),
    lambda: pd.DataFrame([[1, 2]], columns=["a", 0]),
    lambda: pd.DataFrame([[1, 2]], columns=[0.1, 0.2]),
    lambda: pd.DataFrame([[1, 2]], columns=pd.date_range("2026", periods=2)),
    lambda: pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_product([["a"], [1, 2]], names=["l", None])),
    lambda: pd.DataFrame({"x": [1, 2]}, index=pd.date_range("2026", periods=2)),
    lambda: pd.DataFrame({"x": [1, 2, 3]}, index=pd.MultiIndex.from_product([["a", "b", "c"], [1]])).iloc[:1],
    lambda: pd.DataFrame({"s": pd.arrays.SparseArray([0, 0, 1])}),
    lambda: pd.DataFrame({"s": pd.arrays.SparseArray([0.0, np.nan, 1], kind="block")}),
    lambda: pd.DataFrame({"i": pd.cut([1, 2, 3], 2)}),
    lambda: pd.DataFrame({"x": [1]}).set_flags(allows_duplicate_labels=False),
    lambda: with_attrs({"a": (1, 2)}),
    lambda: with_attrs({1: "x", "array": np.arange(3), "frame": pd.DataFrame({"x": [1]})}),
    lambda: cells({"a": 1}, {"a": 2.5}),
    lambda: cells({"a": 1, "b": 2}, {"b": 3, "a": 4}),
    lambda: cells(True, np.nan),
    lambda: cells("a", np.nan),
    lambda: cells("a", np.str_("b")),
    lambda: cells(None, None),
    lambda: cells(pd.NaT, None, pd.NA, np.nan),
    lambda: cells(Decimal("1.1"), Decimal("1.10")),
    lambda: cells(bytearray(b"x")),
    lambda: cells(datetime.date(2026, 1, 1), datetime.datetime(2026, 1, 1)),
    lambda: cells(datetime.timedelta(1), pd.Timedelta(1, "D")),
    lambda: cells(pd.Period("2026-01"), pd.Interval(0, 1.5)),
    lambda: cells(np.arange(3, dtype="i1"), np.array(["a", "b"]), np.array(["2026-01-01"], dtype="M8[D]")),
    lambda: cells([1, (2,)], {"n": np.float64(1)}),
    lambda: cells(pd.DataFrame({"a": [1]})),
]


@pytest.mark.parametrize("frame", BY_COLUMNS)
def test_a_frame_that_arrow_would_change_is_kept_by_its_columns(users, frame):
    users["k"] = frame()
    entry = users.get_with_meta("k")
    assert_same(frame(), entry.value)
    assert "arrow" not in entry.meta.content_type


def test_arrays_in_cells_may_be_changed(users):
    users["k"] = cells(np.arange(3))
    users["k"]["x"][0][0] = 5


@pytest.mark.parametrize(
    "value",
    [
        lambda: pd.Series([1, 2], name=("a", 1)),
        lambda: pd.Index([1]),
        lambda: pd.Timestamp("2024-01-01"),
        lambda: pd.NaT,
        lambda: pd.NA,
        lambda: [pd.DataFrame({"a": [1]})],
    ],
)
def test_what_pandas_makes_of_frames_comes_back(users, value):
    users["k"] = value()
    assert_same(value(), users["k"])


class Level(enum.IntEnum):
    LOW = 1


@pytest.mark.parametrize("cell", [object(), Level.LOW, len, memoryview(b"x")], ids=lambda cell: type(cell).__name__)
def test_a_frame_with_a_cell_that_nothing_keeps_is_refused(users, cell):
    users["k"] = "old"
    with pytest.raises(CodecError, match=type(cell).__name__):
        users["k"] = cells(cell)
    assert users["k"] == "old"


def test_attributes_of_a_frame_are_kept(users):
    frame = pd.DataFrame({"a": [1]})
    frame.attrs["unit"] = "m"
    users["k"] = frame
    assert users["k"].attrs == {"unit": "m"}


def test_a_frame_of_a_subclass_is_refused(users):
    class Frame(pd.DataFrame):
        pass

    with pytest.raises(CodecError):
        users["k"] = Frame({"a": [1]})


def test_each_codec_keeps_its_own_types_alone(users):
    for content_type in (NPY, ARROW, PANDAS):
        for value in ([1], {"a": 1}, b"x", None, np.float64(1)):
            with pytest.raises(CodecError, match=content_type.split(";")[0]):
                users.set("k", value, content_type=content_type)
    assert "k" not in users
