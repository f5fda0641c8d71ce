"""Public formats of arrays and tables that are whole entries: NPY and Arrow streams.

Nothing is imported before the caller has a value of these libraries, or reads an entry that holds one.
"""

from __future__ import annotations

from importlib import import_module
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
    _require_kind(value, NPY, "numpy.ndarray")
    body: bytes = _module("npy").encode(value)
    return body


def decode_array(body: bytes) -> Any:
    """Return the array of an NPY body, one that the caller may change."""
    return _module("npy").decode(body)


def encode_table(value: Any) -> bytes:
    """Return a pyarrow table as an Arrow IPC stream."""
    _require_kind(value, ARROW, "pyarrow.Table")
    body: bytes = _module("arrow_kinds").write_stream(value).to_pybytes()
    return body


def decode_table(body: bytes) -> Any:
    """Return the table of an Arrow IPC stream."""
    return _module("arrow_kinds").read_stream(body)


def encode_frame(value: Any) -> bytes:
    """Return a pandas DataFrame as an Arrow IPC stream; raise CodecError if it would come back changed."""
    _require_kind(value, ARROW_PANDAS, "pandas.DataFrame")
    try:
        module = _module("pandas_stream")
    except ImportError:  # without pyarrow, a frame is kept as its columns
        raise CodecError(f"{ARROW_PANDAS} needs pyarrow") from None
    body: bytes = module.encode(value)
    return body


def decode_frame(body: bytes) -> Any:
    """Return the DataFrame of an Arrow IPC stream."""
    return _module("pandas_stream").decode(body)


def _require_kind(value: Any, content_type: str, kept: str) -> None:
    if content_type_of(type(value)) != content_type:
        raise CodecError(f"{content_type} keeps {kept}, not {type(value).__name__}")


def _module(name: str) -> Any:
    return import_module(f"sqlitedict_kv.codecs.{name}")
