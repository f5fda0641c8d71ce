"""Frames come back as they were, all of them changeable, whether they are made of bytes or over memory of their own."""

import gc
import random

import pytest

from sqlitedict_kv.codecs.registry import Codecs
from sqlitedict_kv.codecs.scientific import ARROW_FILE_PANDAS, ARROW_PANDAS
from tests.support.buffers import own_buffer
from tests.support.exact import assert_same

np = pytest.importorskip("numpy", reason="the extra 'scientific' is not installed")
pd = pytest.importorskip("pandas", reason="the extra 'scientific' is not installed")
pa = pytest.importorskip("pyarrow", reason="the extra 'scientific' is not installed")
pandas_columns = pytest.importorskip("sqlitedict_kv.codecs.pandas_columns")

ROWS = 20_000  # a column of numbers of 8 bytes is large enough to be a view


def with_gaps(values, gap):
    """Return an array of which every seventh item is missing."""
    values[::7] = gap
    return values


COLUMNS = {
    "f8": lambda n: np.linspace(0, 1, n),
    "f8 with nan": lambda n: with_gaps(np.linspace(0, 1, n), np.nan),
    "f8 of nan": lambda n: np.full(n, np.nan),
    "f4": lambda n: np.linspace(0, 1, n, dtype="f4"),
    "f2": lambda n: np.linspace(0, 1, n).astype("f2"),
    "i8": np.arange,
    "u2": lambda n: np.arange(n).astype("u2"),
    "bool": lambda n: np.arange(n) % 3 == 0,
    "M8[ns]": lambda n: np.arange(n).astype("M8[ns]"),
    "M8[s] with NaT": lambda n: with_gaps(np.arange(n).astype("M8[s]"), np.datetime64("NaT")),
    "m8[ms]": lambda n: np.arange(n).astype("m8[ms]"),
    "m8[us] with NaT": lambda n: with_gaps(np.arange(n).astype("m8[us]"), np.timedelta64("NaT")),
    "str": lambda n: [f"word {number % 10}" for number in range(n)],
    "str with gaps": lambda n: pd.Series(with_gaps(np.array(["é"] * n, object), None), dtype="str"),
    "category": lambda n: pd.Categorical.from_codes(np.arange(n) % 3, ["b", "a", "c"]),
    "ordered category": lambda n: pd.Categorical.from_codes(np.arange(n) % 3 - 1, [3, 1, 2], ordered=True),
    "category of times": lambda n: pd.Categorical((np.arange(n) % 3).astype("M8[s]")),
    "zone": lambda n: pd.date_range("2026-01-01", periods=n, freq="s", tz="Europe/Berlin"),
    "Int64": lambda n: pd.array([None, 1, 2] * (n // 3 + 1), dtype="Int64")[:n],
    "Float64": lambda n: pd.array([None, 1.5, 2.5] * (n // 3 + 1), dtype="Float64")[:n],
    "boolean": lambda n: pd.array([None, True, False] * (n // 3 + 1), dtype="boolean")[:n],
    "string": lambda n: pd.array([None, "a", "b"] * (n // 3 + 1), dtype="string")[:n],
    "objects": lambda n: np.array(["a", None] * (n // 2 + 1), object)[:n],
    "bytes": lambda n: np.array([b"a", b"b"] * (n // 2 + 1), object)[:n],
}
INDEXES = {
    "range": pd.RangeIndex,
    "named range": lambda n: pd.RangeIndex(5, 5 + 2 * n, 2, name="r"),
    "ints": lambda n: pd.Index(np.arange(n)[::-1].copy(), name="i"),
    "texts": lambda n: pd.Index([f"row {number}" for number in range(n)]),
    "named as a column": lambda n: pd.Index(np.arange(n) * 2, name="f8"),
    "named as Arrow does": lambda n: pd.Index(np.arange(n) * 2, name="__index_level_0__"),
    "named by a number": lambda n: pd.Index(np.arange(n), name=3),
    "times": lambda n: pd.DatetimeIndex(np.arange(n).astype("M8[ns]"), name="t"),
    "times with a frequency": lambda n: pd.date_range("2026-01-01", periods=n, freq="D"),
    "zone": lambda n: pd.date_range("2026-01-01", periods=n, freq="s", tz="UTC")._with_freq(None),
    "categories": lambda n: pd.CategoricalIndex(np.arange(n) % 3),
    "levels": lambda n: pd.MultiIndex.from_arrays([np.arange(n) % 2, np.arange(n)], names=["x", None]),
    "unused levels": lambda n: pd.MultiIndex.from_arrays([np.arange(n + 1) % 2, np.arange(n + 1)])[:n],
    "nothing but nan": lambda n: pd.Index(np.full(n, np.nan)),
}


def frame_of(columns, index="range", rows=ROWS):
    """Return a frame with columns of some kinds."""
    labels = INDEXES[index](rows)
    series = {name: pd.Series(COLUMNS[name](rows)).set_axis(labels) for name in columns}
    return pd.DataFrame(series, index=labels)


WAYS = {
    "bytes": lambda codecs, body, content_type: codecs.decode("n", "k", body, content_type),
    "a buffer": lambda codecs, body, content_type: codecs.view("n", "k", own_buffer(body), content_type),
}


@pytest.fixture(autouse=True)
def _views_of_less(monkeypatch):
    """Let smaller frames be views than those that are worth it."""
    monkeypatch.setattr(pandas_columns, "SMALL", 2**16)


@pytest.fixture(params=WAYS)
def read(request):
    """How a frame is made of a body."""
    return WAYS[request.param]


@pytest.fixture(params=[None, 0], ids=["in a row", "in a file"])
def codecs(request):
    """Codecs of a store that keeps large values in the row, or each in a file."""
    return Codecs(files_above=request.param)


def spoil(frame):
    """Change a cell of each column to what another one of it holds."""
    for place in range(frame.shape[1]):
        frame.iloc[0, place] = frame.iloc[1, place]


@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.parametrize("rows", [0, 1, 30, ROWS])
def test_each_kind_of_column_comes_back_and_may_be_changed(codecs, read, kind, rows):
    frame = frame_of([kind], rows=rows)
    body, content_type = codecs.encode(frame)
    made = read(codecs, body, content_type)
    assert_same(frame, made)
    if rows > 1:
        spoil(made)
        assert made.iloc[0, 0] is frame.iloc[1, 0] or str(made.iloc[0, 0]) == str(frame.iloc[1, 0])
        assert_same(frame, read(codecs, body, content_type))


def test_a_frame_of_all_kinds_of_columns_comes_back_and_may_be_changed(codecs, read):
    frame = frame_of(COLUMNS)
    body, content_type = codecs.encode(frame)
    assert content_type in {ARROW_PANDAS, ARROW_FILE_PANDAS}
    made = read(codecs, body, content_type)
    assert_same(frame, made)
    spoil(made)
    assert_same(frame, read(codecs, body, content_type))


@pytest.mark.parametrize("rows", [0, 1, 30, ROWS])
@pytest.mark.parametrize("index", INDEXES)
def test_each_kind_of_index_comes_back(codecs, read, index, rows):
    frame = frame_of(["f8", "f8 with nan", "str", "i8", "f4", "M8[ns]", "m8[ms]"], index, rows)
    body, content_type = codecs.encode(frame)
    made = read(codecs, body, content_type)
    assert_same(frame, made)
    made["new"] = 1
    made.loc[made.index[:1], "f8"] = 5.0


@pytest.mark.parametrize(
    "labels",
    [
        ["a", "__index_level_0__"],
        ["__index_level_0__", "None"],
        pd.Index(["a", "b"], name="c"),
        pd.Index(["a", "b"], name=5),
        pd.Index(["a", "b"], dtype=object),
        pd.Index(["a", "b"], dtype="string"),
        ["a", "a"],
        ["", "a"],
        [1, "a"],
        pd.CategoricalIndex(["a", "b"]),
        pd.MultiIndex.from_tuples([("a", "b"), ("c", "d")]),
    ],
    ids=repr,
)
@pytest.mark.parametrize("index", ["range", "texts", "named as Arrow does"])
def test_labels_of_any_kind_come_back(codecs, read, labels, index):
    frame = pd.DataFrame(np.random.default_rng(0).random((ROWS, 2)), index=INDEXES[index](ROWS))
    frame.columns = labels
    made = read(codecs, *codecs.encode(frame))
    assert_same(frame, made)
    spoil(made)


@pytest.mark.parametrize("seed", range(40))
def test_any_mixture_comes_back(codecs, read, seed):
    generator = random.Random(seed)
    columns = generator.sample([*COLUMNS], generator.randrange(1, 9))
    frame = frame_of(columns, generator.choice([*INDEXES]), generator.choice([0, 1, 7, ROWS]))
    if generator.random() < 0.3:
        frame = frame.iloc[::-1]
    if generator.random() < 0.3:
        frame = frame.iloc[::3]
    made = read(codecs, *codecs.encode(frame))
    assert_same(frame, made)


def test_a_large_column_of_numbers_is_a_view_of_its_buffer():
    codecs = Codecs(files_above=2**16)
    frame = frame_of(["f8", "f8 with nan", "i8", "M8[ns]", "str"], "texts", ROWS)
    buffer = own_buffer(codecs.encode(frame)[0])
    made = codecs.view("n", "k", buffer, ARROW_FILE_PANDAS)
    raw = np.frombuffer(buffer, np.uint8)
    shared = [name for name in made if np.may_share_memory(np.asarray(made[name]), raw)]
    assert shared == ["f8", "f8 with nan", "i8", "M8[ns]"]
    assert_same(frame, made)


def allocated():
    """Return how many bytes Arrow holds for what is still reachable."""
    gc.collect()
    return pa.total_allocated_bytes()


def test_nothing_stays_in_the_memory_of_arrow(read):
    codecs = Codecs(files_above=2**16)
    frame = frame_of(["f8", "f8 with nan", "i8", "str", "category"], "texts", ROWS)
    kept = allocated()
    parts, content_type = codecs.encode_parts(frame)
    assert any(np.may_share_memory(np.frombuffer(part, np.uint8), frame["f8"].to_numpy()) for part in parts if part)
    body = parts.join()
    del parts
    assert allocated() <= kept + 2**16 < kept + len(body)
    made = read(codecs, body, content_type)
    del made
    assert allocated() <= kept + 2**16


def test_a_table_whose_memory_is_not_in_the_body_is_copied():
    frame = frame_of(["f8", "i8", "str"])
    assert_same(frame, pandas_columns.frame_of(pa.Table.from_pandas(frame), bytes(2**20)))


def test_the_numbers_of_a_foreign_stream_are_missing_where_its_nulls_are(read):
    column = pa.array([1.5, None, 2.5] * ROWS)
    raw = np.frombuffer(column.buffers()[1], "f8").copy()
    raw[1::3] = 77.0  # what lies under a null is anybody's
    column = pa.Array.from_buffers(column.type, len(column), [column.buffers()[0], pa.py_buffer(raw)], -1)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, pa.schema([("x", pa.float64())])) as writer:
        writer.write_table(pa.table({"x": column}))
    made = read(Codecs(), sink.getvalue().to_pybytes(), ARROW_PANDAS)
    assert_same(pd.DataFrame({"x": [1.5, np.nan, 2.5] * ROWS}), made)


def test_an_int_column_with_nulls_of_a_foreign_stream_is_what_pandas_makes_of_it(read):
    table = pa.table({"x": pa.array([1, None, 3] * ROWS)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    assert_same(table.to_pandas(), read(Codecs(), sink.getvalue().to_pybytes(), ARROW_PANDAS))


@pytest.mark.parametrize("rows", [0, 1, 5000])
def test_a_frame_of_polars_comes_back_whether_it_is_read_back_before_or_not(codecs, read, rows):
    pl = pytest.importorskip("polars")
    numbers = np.linspace(-1, 1, rows)
    plain = {
        "f4": numbers.astype("f4"), "f8": with_gaps(numbers.copy(), np.nan), "u1": (numbers > 0).astype("u1"),
        "gaps": ([None, 1] * rows)[:rows], "b": numbers > 0, "s": (["é", None] * rows)[:rows],
        "t": pl.Series(np.arange(rows)).cast(pl.Datetime("ms", "Europe/Berlin")),
        "d": pl.Series(np.arange(rows)).cast(pl.Duration("us")), "y": [b"b"] * rows,
    }  # fmt: skip
    frame = pl.DataFrame(plain)
    for value in (frame, frame.with_columns(l=pl.lit([1, 2]), c=pl.lit("a").cast(pl.Categorical))):
        body, content_type = codecs.encode(value)
        assert_same(value, read(codecs, body, content_type))
