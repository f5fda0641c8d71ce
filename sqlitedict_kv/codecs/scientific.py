"""Public formats of arrays and tables that are whole entries: NPY, Arrow streams and Arrow files.

Nothing is imported before the caller has a value of these libraries, or reads an entry that holds one.
"""

from __future__ import annotations

from typing import Any

from sqlitedict_kv.codecs.body_parts import BodyParts
from sqlitedict_kv.codecs.codec import Codec
from sqlitedict_kv.concurrency.imports import import_when_needed
from sqlitedict_kv.errors import CodecError

NPY = "application/x-npy"
ARROW = "application/vnd.apache.arrow.stream"  # https://www.iana.org/assignments/media-types
ARROW_PANDAS = "application/vnd.apache.arrow.stream; as=pandas"
ARROW_FILE = "application/vnd.apache.arrow.file"
ARROW_FILE_PANDAS = "application/vnd.apache.arrow.file; as=pandas"

BY_QUALIFIED_NAME = {
    "numpy.ndarray": NPY,
    "pyarrow.lib.Table": ARROW,
    "pandas.DataFrame": ARROW_PANDAS,
    "pandas.core.frame.DataFrame": ARROW_PANDAS,  # its name before pandas 3
}
AS_FILE = {ARROW: ARROW_FILE, ARROW_PANDAS: ARROW_FILE_PANDAS}  # of the same values, in a file of their own
AS_STREAM = {in_file: stream for stream, in_file in AS_FILE.items()}


def content_type_of(kind: type) -> str | None:
    """Return the content type for values of a type of these libraries, None for any other."""
    return BY_QUALIFIED_NAME.get(f"{kind.__module__}.{kind.__qualname__}")


def size_of(table: Any) -> int:
    """Return about how many bytes a pyarrow table or a DataFrame takes in memory; in a frame each str is a pointer."""
    return int(table.memory_usage().sum() if hasattr(table, "memory_usage") else table.nbytes)


def is_same_type(stored: str, wanted: str | None) -> bool:
    """Return whether values of the content type *stored* are what somebody asks for who wants *wanted*."""
    return stored == wanted or AS_STREAM.get(stored, stored) == AS_STREAM.get(str(wanted), wanted)


def array_parts(value: Any) -> Any:
    """Return header and memory of a numpy array in the NPY format; raise CodecError if it holds Python objects."""
    _require_kind(value, NPY, "numpy.ndarray")
    return _module("npy").parts(value)


def read_array(body: bytes | memoryview) -> Any:
    """Return the array of an NPY body, one that the caller may change."""
    return _module("npy").decode(body)


def table_parts(value: Any) -> Any:
    """Return the pieces of an Arrow IPC stream of a pyarrow table."""
    _require_kind(value, ARROW, "pyarrow.Table")
    return _module("arrow_kinds").stream_parts(value)


def table_file_parts(value: Any) -> Any:
    """Return the pieces of an Arrow IPC file of a pyarrow table."""
    _require_kind(value, ARROW, "pyarrow.Table")
    return _module("arrow_kinds").file_parts(value)


def read_table(body: bytes | memoryview) -> Any:
    """Return the table of an Arrow IPC stream or file."""
    return _module("arrow_kinds").read_table(body)


def frame_parts(value: Any) -> Any:
    """Return the pieces of an Arrow IPC stream of a DataFrame; raise CodecError if it would come back changed."""
    return _module("arrow_kinds").stream_parts(_table_of(value))


def frame_file_parts(value: Any) -> Any:
    """Return the pieces of an Arrow IPC file of a DataFrame; raise CodecError if it would come back changed."""
    return _module("arrow_kinds").file_parts(_table_of(value))


def read_frame(body: bytes | memoryview) -> Any:
    """Return the DataFrame of an Arrow IPC stream or file."""
    return _module("pandas_stream").decode(body)


def _table_of(value: Any) -> Any:
    _require_kind(value, ARROW_PANDAS, "pandas.DataFrame")
    try:
        module = _module("pandas_stream")
    except ImportError:  # without pyarrow, a frame is kept as its columns
        raise CodecError(f"{ARROW_PANDAS} needs pyarrow") from None
    return module.exact_table(value)


def _require_kind(value: Any, content_type: str, kept: str) -> None:
    if content_type_of(type(value)) != content_type:
        raise CodecError(f"{content_type} keeps {kept}, not {type(value).__name__}")


def _module(name: str) -> Any:
    return import_when_needed(f"sqlitedict_kv.codecs.{name}")


def _codec(content_type: str, parts: Any, read: Any) -> Codec:
    return Codec(content_type, lambda value: BodyParts(parts(value)).join(), read, parts=parts, view=read)


CODECS = (
    _codec(NPY, array_parts, read_array),
    _codec(ARROW, table_parts, read_table),
    _codec(ARROW_PANDAS, frame_parts, read_frame),
    _codec(ARROW_FILE, table_file_parts, read_table),
    _codec(ARROW_FILE_PANDAS, frame_file_parts, read_frame),
)
