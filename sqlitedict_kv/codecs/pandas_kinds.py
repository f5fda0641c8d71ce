"""Frames, series and indexes of pandas as tagged parts: each column as the array that it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionArray, ExtensionDtype

from sqlitedict_kv.codecs import pandas_arrays
from sqlitedict_kv.codecs.library_kinds import LibraryKind
from sqlitedict_kv.codecs.parts import require


def take_frame(value: pd.DataFrame) -> list[Any]:
    """Return columns, index, the arrays of the columns, attrs and flags.

    One table of numpy stands for all the columns if they are of one dtype.
    """
    dtypes = set(value.dtypes)
    if len(value.columns) > 1 and len(dtypes) == 1 and _is_numbers(next(iter(dtypes))):
        content: Any = value.to_numpy()
    else:
        content = [_array_of(column) for _, column in value.items()]
    return [value.columns, value.index, content, value.attrs, value.flags.allows_duplicate_labels]


def _is_numbers(dtype: Any) -> bool:
    return isinstance(dtype, np.dtype) and dtype.kind in "biufc"


def _array_of(value: Any) -> Any:
    """Return the array of a series or an index: one of numpy where there is one."""
    return value.to_numpy() if isinstance(value.dtype, np.dtype) else value.array


def build_frame(parts: list[Any]) -> pd.DataFrame:
    """Return a frame."""
    columns, index, content, attrs, duplicates = parts
    require(isinstance(columns, pd.Index) and isinstance(index, pd.Index))
    if type(content) is np.ndarray:
        require(content.ndim == 2 and _is_numbers(content.dtype))  # noqa: PLR2004 - rows and columns
        frame = pd.DataFrame(content, index=index, columns=columns, copy=False)
    else:
        require(type(content) is list and len(content) == len(columns))
        series = {place: _series(array, index) for place, array in enumerate(content)}
        frame = pd.DataFrame(series, index=index)
        frame.columns = columns
    return _with_extras(frame, attrs, duplicates)


def _series(array: Any, index: pd.Index) -> pd.Series:
    require(isinstance(array, (np.ndarray, ExtensionArray)) and array.ndim == 1)
    series = pd.Series(array, index=pd.RangeIndex(len(array)), dtype=array.dtype, copy=False)
    series.index = index
    return series


def _with_extras(made: Any, attrs: Any, duplicates: Any) -> Any:
    require(type(attrs) is dict and type(duplicates) is bool)
    made.attrs = attrs
    made.flags.allows_duplicate_labels = duplicates
    return made


def take_series(value: pd.Series) -> list[Any]:
    """Return array, index, name, attrs and flags."""
    return [_array_of(value), value.index, value.name, value.attrs, value.flags.allows_duplicate_labels]


def build_series(parts: list[Any]) -> pd.Series:
    """Return a series."""
    array, index, name, attrs, duplicates = parts
    require(isinstance(index, pd.Index))
    series = _series(array, index)
    series.name = name
    return _with_extras(series, attrs, duplicates)


def take_index(value: Any) -> list[Any]:
    """Return array, name, and the offset between neighbours."""
    return [_array_of(value), value.name, getattr(value, "freq", None) if type(value) in WITH_FREQ else None]


def build_index(parts: list[Any]) -> Any:
    """Return an index whose class is that of its items."""
    array, name, freq = parts
    require(isinstance(array, (np.ndarray, ExtensionArray)) and array.ndim == 1)
    index = pd.Index(array, dtype=array.dtype, name=name, tupleize_cols=False)
    if freq is not None:
        require(type(index) in WITH_FREQ)
        index = type(index)(index, freq=freq, name=name)
    return index


WITH_FREQ = (pd.DatetimeIndex, pd.TimedeltaIndex)


def build_range(parts: list[Any]) -> pd.RangeIndex:
    """Return a range of labels."""
    start, stop, step, name = parts
    require(type(start) is int and type(stop) is int and type(step) is int)
    return pd.RangeIndex(start, stop, step, name=name)


def take_levels(value: pd.MultiIndex) -> list[Any]:
    """Return levels, codes and names."""
    return [list(value.levels), [np.asarray(codes) for codes in value.codes], list(value.names), value.sortorder]


def build_levels(parts: list[Any]) -> pd.MultiIndex:
    """Return an index of several levels; pandas looks whether the codes fit."""
    levels, codes, names, sortorder = parts
    require(type(levels) is list and all(isinstance(level, pd.Index) for level in levels))
    require(type(codes) is list and all(type(code) is np.ndarray for code in codes))
    return pd.MultiIndex(levels, codes, names=names, sortorder=sortorder)


INDEX = LibraryKind("pandas.Index", take_index, build_index, raw_parts=False)
INDEXES = (
    pd.Index, pd.DatetimeIndex, pd.TimedeltaIndex, pd.PeriodIndex, pd.IntervalIndex, pd.CategoricalIndex,
)  # fmt: skip
KINDS: dict[type, LibraryKind] = {
    pd.DataFrame: LibraryKind("pandas.DataFrame", take_frame, build_frame, raw_parts=False),
    pd.Series: LibraryKind("pandas.Series", take_series, build_series, raw_parts=False),
    pd.RangeIndex: LibraryKind(
        "pandas.RangeIndex", lambda value: [value.start, value.stop, value.step, value.name], build_range
    ),
    pd.MultiIndex: LibraryKind("pandas.MultiIndex", take_levels, build_levels),
    **dict.fromkeys(INDEXES, INDEX),
    **pandas_arrays.KINDS,
}
BY_NAME = {kind.name: kind for kind in (*KINDS.values(), *pandas_arrays.OF_MANY_CLASSES)}


def kind_of(cls: type) -> LibraryKind | None:
    """Return the kind of a class of pandas."""
    if kind := KINDS.get(cls):
        return kind
    if issubclass(cls, pd.offsets.BaseOffset):
        return pandas_arrays.OFFSET
    if issubclass(cls, pandas_arrays.TEXT_ARRAYS):
        return pandas_arrays.TEXT
    return pandas_arrays.DTYPE if issubclass(cls, ExtensionDtype) else None


def kind_named(name: str) -> LibraryKind | None:
    """Return the kind of a stored name."""
    return BY_NAME.get(name)
