"""Columns of a DataFrame over the memory of an Arrow table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from sqlitedict_kv.codecs.numpy_kinds import SMALLEST_VIEW

SMALL = 2**20  # bytes of a body whose frame is copied once more, which takes less time than to look at its columns
MOST_COLUMNS = 256  # that lie apart; pandas works faster with more of them in one block


def frame_of(table: pa.Table, body: bytes | memoryview) -> pd.DataFrame:
    """Return the frame of a table that lies in a body; the caller may change all of it.

    What Arrow gives pandas without a copy is read-only. A large column of numbers or times is made over a body that may
    be changed, which belongs to the frame alone; all else is copied.
    """
    if len(body) <= SMALL or table.num_columns > MOST_COLUMNS:
        return table.to_pandas().copy()
    template = table.slice(0, 0).to_pandas()
    arrays = _numeric_arrays(table, body, template)
    others = table.select([place for place in range(table.num_columns) if place not in arrays])
    frame = others.to_pandas().copy()
    if not arrays:
        return frame
    labels = {table.column_names[place]: array for place, array in arrays.items()}
    series = {label: labels[label] if label in labels else frame[label].array for label in template.columns}
    made = pd.DataFrame(series, index=frame.index, copy=False)
    made.columns = template.columns
    return made


def _numeric_arrays(table: pa.Table, body: bytes | memoryview, template: pd.DataFrame) -> dict[int, Any]:
    """Return the arrays of the columns that can lie in the body, by place."""
    if not template.columns.is_unique or len(set(table.column_names)) < table.num_columns:
        return {}
    dtypes = dict(zip(template.columns, template.dtypes, strict=True))
    found = {}
    for place, label in enumerate(table.column_names):
        array = _array_over(table.column(place), dtypes.get(label), body)
        if array is not None:
            found[place] = array
    return found


def _array_over(column: pa.ChunkedArray, dtype: Any, body: bytes | memoryview) -> Any:
    """Return a column as an array that may be changed; None if pandas has to make it."""
    if column.num_chunks != 1 or not isinstance(dtype, np.dtype) or dtype.kind not in "iufmM":
        return None
    chunk = column.chunk(0)
    if not _is_stored_as(chunk.type, dtype) or len(chunk) * dtype.itemsize < SMALLEST_VIEW:
        return None
    if chunk.null_count and dtype.kind in "iu":
        return None
    content = chunk.buffers()[1]
    start = content.address - pa.py_buffer(body).address + chunk.offset * dtype.itemsize
    if start < 0 or start + len(chunk) * dtype.itemsize > len(body):
        return None
    array: Any = np.frombuffer(body, dtype, len(chunk), start)
    if not (array.flags.writeable and array.flags.aligned):
        array = array.copy()
    if chunk.null_count:  # what lies there in the place of NaN and NaT is anybody's
        array[chunk.is_null().to_numpy(zero_copy_only=False)] = np.array("nan" if dtype.kind == "f" else "NaT", dtype)
    return array


def _is_stored_as(kind: pa.DataType, dtype: np.dtype[Any]) -> bool:
    """Return whether the memory of a column is that of an array of a dtype; nulls, which ints have not, aside."""
    if dtype.kind in "mM":
        unit, _ = np.datetime_data(dtype)
        return bool(kind == (pa.timestamp(unit) if dtype.kind == "M" else pa.duration(unit)))
    return bool(kind == pa.from_numpy_dtype(dtype))
