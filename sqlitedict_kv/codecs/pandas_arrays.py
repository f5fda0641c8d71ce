"""Extension arrays, dtypes, offsets and scalars of pandas as parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from sqlitedict_kv.codecs.library_kinds import LibraryKind
from sqlitedict_kv.codecs.parts import require
from sqlitedict_kv.errors import CodecError

INTEGERS = [f"{sign}{size}" for sign in ("Int", "UInt") for size in (8, 16, 32, 64)]
MASKED: dict[str, Any] = {
    **dict.fromkeys(INTEGERS, pd.arrays.IntegerArray),
    **dict.fromkeys(("Float32", "Float64"), pd.arrays.FloatingArray),
    "boolean": pd.arrays.BooleanArray,
}
MAX_SPARSE = 2**31  # items; pandas counts them in 32 bits
MISSING = {"NA": pd.NA, "nan": np.nan}  # what a string dtype has for a missing item


# -- numpy's arrays, masked and not


def take_wrapped(value: Any) -> list[Any]:
    """Return the array of numpy."""
    return [value.to_numpy()]


def build_wrapped(parts: list[Any]) -> Any:
    """Return an array of pandas around one of numpy."""
    (array,) = parts
    require(type(array) is np.ndarray)
    return pd.arrays.NumpyExtensionArray(array)


def take_masked(value: Any) -> list[Any]:
    """Return the dtype's name, the items, with a zero for each that is missing, and which are."""
    mask = np.asarray(value.isna())
    return [value.dtype.name, value.to_numpy(value.dtype.numpy_dtype, na_value=value.dtype.type(0)), mask]


def build_masked(parts: list[Any]) -> Any:
    """Return an array of integers, floats or booleans, some of which are missing."""
    name, items, mask = parts
    require(type(items) is np.ndarray and type(mask) is np.ndarray and mask.dtype == bool)
    made = MASKED[name](items, mask)
    require(made.dtype.name == name)
    return made


# -- times


def take_times(value: Any) -> list[Any]:
    """Return the moments in UTC, the zone, and the offset between neighbours if it is part of the array."""
    plain = value.tz_convert("UTC").tz_localize(None) if value.tz is not None else value
    return [plain.to_numpy(), value.tz, getattr(value, "freq", None)]  # pandas 3 has it on indexes alone


def build_times(parts: list[Any]) -> Any:
    """Return an array of moments."""
    moments, zone, freq = parts
    require(type(moments) is np.ndarray and moments.dtype.kind == "M")
    index = pd.DatetimeIndex(moments)
    if zone is not None:
        index = index.tz_localize("UTC").tz_convert(zone)
    return _with_freq(index, freq)


def _with_freq(index: Any, freq: Any) -> Any:
    return (index if freq is None else type(index)(index, freq=freq)).array


def take_spans(value: Any) -> list[Any]:
    """Return the spans, and the offset between neighbours."""
    return [value.to_numpy(), getattr(value, "freq", None)]


def build_spans(parts: list[Any]) -> Any:
    """Return an array of spans of time."""
    spans, freq = parts
    require(type(spans) is np.ndarray and spans.dtype.kind == "m")
    return _with_freq(pd.TimedeltaIndex(spans), freq)


def take_periods(value: Any) -> list[Any]:
    """Return ordinals and frequency."""
    return [value.asi8, value.freq]


def build_periods(parts: list[Any]) -> Any:
    """Return an array of periods."""
    ordinals, freq = parts
    require(type(ordinals) is np.ndarray and ordinals.dtype == np.int64 and ordinals.ndim == 1)
    return pd.PeriodIndex.from_ordinals(ordinals, freq=freq).array


# -- others


def take_categories(value: Any) -> list[Any]:
    """Return codes, categories and whether they are ordered."""
    return [value.codes, value.categories, value.ordered]


def build_categories(parts: list[Any]) -> Any:
    """Return a categorical."""
    codes, categories, ordered = parts
    require(type(codes) is np.ndarray and isinstance(categories, pd.Index) and type(ordered) is bool)
    return pd.Categorical.from_codes(codes, dtype=pd.CategoricalDtype(categories, ordered))


def take_intervals(value: Any) -> list[Any]:
    """Return both ends, and which of them is closed."""
    return [value.left, value.right, value.closed]


def build_intervals(parts: list[Any]) -> Any:
    """Return an array of intervals."""
    left, right, closed = parts
    require(isinstance(left, pd.Index) and isinstance(right, pd.Index))
    return pd.arrays.IntervalArray.from_arrays(left, right, closed=closed)


def take_sparse(value: Any) -> list[Any]:
    """Return the items that are there, their places, the length, and what stands everywhere else."""
    if value.dtype.subtype.hasobject:
        raise CodecError("a sparse array of Python objects cannot be kept; give it another dtype")
    return [value.sp_values, value.sp_index.indices, len(value), value.fill_value, value.kind]


def build_sparse(parts: list[Any]) -> Any:
    """Return a sparse array; pandas does not look whether the places fit."""
    items, places, length, fill, kind = parts
    require(type(items) is np.ndarray and type(places) is np.ndarray and places.dtype == np.int32)
    require(items.ndim == places.ndim == 1 and len(items) == len(places) and not items.dtype.hasobject)
    require(type(length) is int and 0 <= length < MAX_SPARSE and kind in ("integer", "block"))
    require(not len(places) or (places[0] >= 0 and places[-1] < length and (places[1:] > places[:-1]).all()))
    cls: Any = pd.arrays.SparseArray
    if hasattr(cls, "from_indices"):  # since pandas 3.1
        return cls.from_indices(items, places, length, fill_value=fill, kind=kind, dtype=items.dtype)
    from pandas._libs.sparse import IntIndex  # noqa: PLC0415 - before it, no public name makes one of its parts

    index = IntIndex(length, places)
    if kind == "block":
        index = index.to_block_index()
    return cls(items, sparse_index=index, dtype=pd.SparseDtype(items.dtype, fill))


def take_text(value: Any) -> list[Any]:
    """Return the dtype's storage and missing item, and the texts."""
    dtype = value.dtype
    missing = "nan" if getattr(dtype, "na_value", pd.NA) is not pd.NA else "NA"
    if dtype.storage == "pyarrow":
        return [dtype.storage, missing, value.__arrow_array__()]
    return [dtype.storage, missing, value.to_numpy(object, na_value=None).tolist()]


def build_text(parts: list[Any]) -> Any:
    """Return an array of texts."""
    storage, missing, texts = parts
    dtype = make_text_dtype(storage, missing)
    require(type(texts) is list or type(texts).__module__ == "pyarrow.lib")
    return pd.array(texts, dtype=dtype)


def make_text_dtype(storage: Any, missing: Any) -> Any:
    """Return a dtype of texts; before pandas 2.3 there is one way only to be missing."""
    require(storage in ("python", "pyarrow") and missing in MISSING)
    return pd.StringDtype(storage, na_value=np.nan) if missing == "nan" else pd.StringDtype(storage)


def take_arrow(value: Any) -> list[Any]:
    """Return the array of pyarrow."""
    return [value.__arrow_array__()]


def build_arrow(parts: list[Any]) -> Any:
    """Return an array of pandas around one of pyarrow."""
    (array,) = parts
    return pd.arrays.ArrowExtensionArray(array)


# -- scalars, offsets and dtypes


def take_timestamp(value: pd.Timestamp) -> list[Any]:
    """Return count and unit since 1970 in UTC, and the zone."""
    return [int(value.asm8.view("i8")), value.unit, value.tz]


def build_timestamp(parts: list[Any]) -> pd.Timestamp:
    """Return a moment."""
    count, unit, zone = parts
    require(type(count) is int and unit in UNITS)
    made = pd.Timestamp(np.datetime64(count, unit))
    return made if zone is None else made.tz_localize("UTC").tz_convert(zone)


def take_timedelta(value: pd.Timedelta) -> list[Any]:
    """Return count and unit."""
    return [int(value.asm8.view("i8")), value.unit]


def build_timedelta(parts: list[Any]) -> pd.Timedelta:
    """Return a span of time."""
    count, unit = parts
    require(type(count) is int and unit in UNITS)
    return pd.Timedelta(np.timedelta64(count, unit))


UNITS = ("s", "ms", "us", "ns")


def build_period(parts: list[Any]) -> Any:
    """Return a period."""
    ordinal, freq = parts
    require(type(ordinal) is int and isinstance(freq, pd.offsets.BaseOffset))
    return pd.Period(ordinal=ordinal, freq=freq)


def build_interval(parts: list[Any]) -> Any:
    """Return an interval."""
    left, right, closed = parts
    return pd.Interval(left, right, closed)


def take_offset(value: Any) -> list[Any]:
    """Return class, count and what else makes an offset."""
    if getattr(pd.offsets, type(value).__name__, None) is not type(value):
        raise CodecError("an offset of a class outside of pandas cannot be kept")
    return [type(value).__name__, value.n, value.normalize, dict(value.kwds)]


def build_offset(parts: list[Any]) -> Any:
    """Return an offset."""
    name, count, normalize, rest = parts
    require(name in OFFSETS and type(count) is int and type(normalize) is bool and type(rest) is dict)
    return getattr(pd.offsets, name)(count, normalize=normalize, **rest)


OFFSETS = tuple(pd.offsets.__all__)


def take_dtype(value: Any) -> list[Any]:
    """Return the parts of an empty array of a dtype."""
    return [pd.array([], dtype=value)]


def build_dtype(parts: list[Any]) -> Any:
    """Return the dtype of an array."""
    return parts[0].dtype


def _singleton(name: str, value: Any) -> LibraryKind:
    def build(parts: list[Any]) -> Any:
        require(not parts)
        return value

    return LibraryKind(name, lambda _: [], build)


MASKED_KIND = LibraryKind("pandas.MaskedArray", take_masked, build_masked)
TEXT_ARRAYS = (pd.arrays.StringArray, pd.arrays.ArrowStringArray)  # pandas 2 has a subclass for the dtype "str"
TEXT = LibraryKind("pandas.StringArray", take_text, build_text)
KINDS: dict[type, LibraryKind] = {
    pd.arrays.NumpyExtensionArray: LibraryKind("pandas.NumpyExtensionArray", take_wrapped, build_wrapped),
    pd.arrays.DatetimeArray: LibraryKind("pandas.DatetimeArray", take_times, build_times),
    pd.arrays.TimedeltaArray: LibraryKind("pandas.TimedeltaArray", take_spans, build_spans),
    pd.arrays.PeriodArray: LibraryKind("pandas.PeriodArray", take_periods, build_periods),
    pd.arrays.IntervalArray: LibraryKind("pandas.IntervalArray", take_intervals, build_intervals),
    pd.arrays.SparseArray: LibraryKind("pandas.SparseArray", take_sparse, build_sparse),
    pd.arrays.ArrowExtensionArray: LibraryKind("pandas.ArrowExtensionArray", take_arrow, build_arrow),
    pd.Categorical: LibraryKind("pandas.Categorical", take_categories, build_categories),
    **dict.fromkeys(MASKED.values(), MASKED_KIND),
    pd.Timestamp: LibraryKind("pandas.Timestamp", take_timestamp, build_timestamp),
    pd.Timedelta: LibraryKind("pandas.Timedelta", take_timedelta, build_timedelta),
    pd.Period: LibraryKind("pandas.Period", lambda value: [value.ordinal, value.freq], build_period),
    pd.Interval: LibraryKind("pandas.Interval", lambda value: [value.left, value.right, value.closed], build_interval),
    type(pd.NaT): _singleton("pandas.NaT", pd.NaT),
    type(pd.NA): _singleton("pandas.NA", pd.NA),
}
OFFSET = LibraryKind("pandas.offset", take_offset, build_offset)
DTYPE = LibraryKind("pandas.dtype", take_dtype, build_dtype)
OF_MANY_CLASSES = (TEXT, OFFSET, DTYPE)
