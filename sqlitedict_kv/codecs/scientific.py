"""Arrays of numpy and tables of pandas and pyarrow as bytes.

Nothing is imported before the caller has a value of these libraries, or reads an entry that holds one.
"""

from __future__ import annotations

import io
from typing import Any

from sqlitedict_kv.errors import CodecError

NPY = "application/x-npy"
ARROW = "application/vnd.apache.arrow.stream"  # https://www.iana.org/assignments/media-types
ARROW_PANDAS = "application/vnd.apache.arrow.stream; as=pandas"

BY_QUALIFIED_NAME = {
    "numpy.ndarray": NPY,
    "pyarrow.lib.Table": ARROW,
    "pandas.DataFrame": ARROW_PANDAS,
    "pandas.core.frame.DataFrame": ARROW_PANDAS,  # its name before pandas 3
}


def content_type_of(kind: type) -> str | None:
    """Return the content type for values of a type of these libraries, None for any other."""
    return BY_QUALIFIED_NAME.get(f"{kind.__module__}.{kind.__qualname__}")


def encode_array(value: Any) -> bytes:
    """Return a numpy array in the NPY format; raise CodecError if it holds Python objects."""
    if content_type_of(type(value)) != NPY:
        raise CodecError(f"{NPY} keeps numpy.ndarray, not {type(value).__name__}")
    import numpy as np  # noqa: PLC0415 - see the module's docstring

    if value.dtype.hasobject:
        raise CodecError("an array of Python objects cannot be kept without pickle; give it a plain dtype")
    buffer = io.BytesIO()
    np.save(buffer, value, allow_pickle=False)
    body = buffer.getvalue()
    if decode_array(body).dtype != value.dtype or value.dtype.metadata:
        raise CodecError(f"the NPY format cannot keep the dtype {value.dtype} exactly")
    return body


def decode_array(body: bytes) -> Any:
    """Return the array of an NPY body, one that the caller may change."""
    import numpy as np  # noqa: PLC0415

    return np.load(io.BytesIO(body), allow_pickle=False)


def encode_table(value: Any) -> bytes:
    """Return a pyarrow table as an Arrow IPC stream."""
    if content_type_of(type(value)) != ARROW:
        raise CodecError(f"{ARROW} keeps pyarrow.Table, not {type(value).__name__}")
    import pyarrow as pa  # noqa: PLC0415

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, value.schema) as writer:
        writer.write_table(value)
    body: bytes = sink.getvalue().to_pybytes()
    return body


def decode_table(body: bytes) -> Any:
    """Return the table of an Arrow IPC stream."""
    import pyarrow as pa  # noqa: PLC0415

    with pa.ipc.open_stream(body) as reader:
        return reader.read_all()


def encode_frame(value: Any) -> bytes:
    """Return a pandas DataFrame as an Arrow IPC stream; raise CodecError if it would come back changed."""
    if content_type_of(type(value)) != ARROW_PANDAS:
        raise CodecError(f"{ARROW_PANDAS} keeps pandas.DataFrame, not {type(value).__name__}")
    import pandas as pd  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    body = encode_table(pa.Table.from_pandas(value))
    try:
        pd.testing.assert_frame_equal(decode_frame(body), value, check_exact=True, check_freq=False)
    except AssertionError:
        raise CodecError("Arrow cannot keep this DataFrame exactly; mind columns of mixed Python objects") from None
    return body


def decode_frame(body: bytes) -> Any:
    """Return the DataFrame of an Arrow IPC stream."""
    return decode_table(body).to_pandas()
