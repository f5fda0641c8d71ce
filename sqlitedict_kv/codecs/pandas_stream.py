"""DataFrames as Arrow streams, which other programs read: those that Arrow gives back exactly."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from sqlitedict_kv.codecs import arrow_kinds
from sqlitedict_kv.codecs.pandas_columns import frame_of
from sqlitedict_kv.errors import CodecError

EXACT_CELLS = ({str}, {bytes}, {datetime.date})  # of object columns, beside None; Arrow has types for these
REFUSAL = "Arrow cannot keep this DataFrame exactly; leave the content type to the store"


def exact_table(value: pd.DataFrame) -> pa.Table:
    """Return a frame as a table; raise CodecError if it would come back changed."""
    if not _may_be_exact(value):
        raise CodecError(REFUSAL)
    try:
        table = pa.Table.from_pandas(value)
        exact = _has_same_layout(table.slice(0, 1).to_pandas(), value) and _has_exact_items(value)
    except CodecError:
        raise
    except Exception:  # a column of a type that Arrow does not have, or that does not come back
        exact = False
    if not exact:
        raise CodecError(REFUSAL)
    return table


def decode(body: bytes | memoryview) -> pd.DataFrame:
    """Return the frame of an Arrow stream or file."""
    table = arrow_kinds.read_table(body)
    arrow_kinds.require_bounded(table, len(body))
    return frame_of(table, body)


def _may_be_exact(frame: pd.DataFrame) -> bool:
    """Return whether nothing in a frame is lost on the way that cannot be seen afterwards, or is costly to compare."""
    labels = frame.columns
    return (
        type(labels) is pd.Index
        and set(map(type, labels)) <= {str}
        and not frame.attrs
        and frame.flags.allows_duplicate_labels
        and all(_has_exact_cells(part) for part in _object_parts(frame))
    )


def _object_parts(frame: pd.DataFrame) -> Iterator[Any]:
    """Give what may hold Python objects: columns, levels of the index, categories."""
    for place, dtype in enumerate(frame.dtypes):
        if isinstance(dtype, np.dtype) and dtype.hasobject:
            yield frame.iloc[:, place]
        elif isinstance(dtype, pd.CategoricalDtype):
            yield dtype.categories
    index = frame.index
    yield from index.levels if isinstance(index, pd.MultiIndex) else [index]


def _has_exact_cells(part: Any) -> bool:
    if part.dtype != object:
        return True
    return set(map(type, part)) - {type(None)} in EXACT_CELLS


# -- what comes back exactly
#
# To convert a frame back and compare it takes several times as long as to write it. So only its layout is converted
# back; of most dtypes Arrow has the very items.


def _has_exact_items(frame: pd.DataFrame) -> bool:
    """Return whether the items of a frame come back exactly if its layout does."""
    columns = [
        place
        for place, dtype in enumerate(frame.dtypes)
        if not (_is_exact_by_nature(dtype) and len(frame))  # a stream without rows has no categories
    ]
    if _is_plain_index(frame.index, frame.columns):
        if not columns:
            return True
        frame = frame.iloc[:, columns].reset_index(drop=True)
    else:
        frame = frame.iloc[:, columns]
    made = decode(arrow_kinds.write_stream(pa.Table.from_pandas(frame)))
    return _is_exact(made, frame)


def _is_exact_by_nature(dtype: Any) -> bool:
    """Return whether Arrow has all items of a dtype; NaN and NaT become nulls, and these NaN and NaT again."""
    if isinstance(dtype, np.dtype):
        return dtype.kind in "biufmM" and dtype.isnative
    return isinstance(dtype, (pd.CategoricalDtype, pd.DatetimeTZDtype, pd.StringDtype))


def _is_plain_index(index: pd.Index, labels: pd.Index) -> bool:
    """Return whether an index comes back exactly if its layout does: no levels, and a column of its own."""
    if type(index) is pd.RangeIndex:
        return index.name is None or type(index.name) is str
    own_name = index.name is None or (type(index.name) is str and index.name not in labels)
    apart = own_name and not any(label.startswith("__index_level_") for label in labels)
    return apart and type(index) in (pd.Index, pd.DatetimeIndex) and _is_exact_by_nature(index.dtype)


def _has_same_layout(made: pd.DataFrame, value: pd.DataFrame) -> bool:
    """Return whether a frame of the first row has the labels, the dtypes and the kind of index of the whole one."""
    dtypes = zip(made.dtypes, value.dtypes, strict=True)
    if not (_are_same_labels(made.columns, value.columns) and all(_is_same_dtype(*pair) for pair in dtypes)):
        return False
    index = value.index
    if type(index) is pd.RangeIndex or not _is_plain_index(index, value.columns):
        return True  # a row is too few for the range that is written beside it; other indexes are compared as a whole
    return type(made.index) is type(index) and _is_same_index(made.index[:0], index[:0])


def _are_same_labels(made: pd.Index, value: pd.Index) -> bool:
    return (
        type(made) is type(value) and made.equals(value) and made.names == value.names and _is_same_index(made, value)
    )


def _is_exact(made: pd.DataFrame, value: pd.DataFrame) -> bool:
    """Return whether two frames are equal in all that pandas can tell, and in what it does not compare."""
    try:
        pd.testing.assert_frame_equal(
            made, value, check_exact=True, check_freq=True, check_index_type="exact", check_column_type="exact"
        )
    except AssertionError:
        return False
    dtypes = zip(made.dtypes, value.dtypes, strict=True)
    return all(_is_same_dtype(*pair) for pair in dtypes) and _is_same_index(made.index, value.index)


def _is_same_index(made: Any, value: Any) -> bool:
    """Return whether levels, offsets and names are the same, not only equal."""
    if isinstance(value, pd.MultiIndex):
        levels = zip(made.levels, value.levels, strict=True)
        return made.names == value.names and all(a.equals(b) and _is_same_index(a, b) for a, b in levels)
    offsets = getattr(made, "freq", None) == getattr(value, "freq", None)
    return offsets and _is_same_dtype(made.dtype, value.dtype) and type(made.name) is type(value.name)


def _is_same_dtype(made: Any, value: Any) -> bool:
    """Return whether zones are of the same class, and the missing item of texts is the same."""
    if isinstance(value, np.dtype):
        return bool(made == value)
    if isinstance(value, pd.CategoricalDtype):
        return made == value and made.ordered == value.ordered and _are_same_labels(made.categories, value.categories)
    return type(getattr(made, "tz", None)) is type(getattr(value, "tz", None)) and repr(made) == repr(value)
