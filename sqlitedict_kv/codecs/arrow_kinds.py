"""Tables, batches, arrays and scalars of pyarrow as Arrow IPC streams."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from sqlitedict_kv.codecs.arrow_stream import require_plain
from sqlitedict_kv.codecs.library_kinds import LibraryKind
from sqlitedict_kv.codecs.parts import require
from sqlitedict_kv.errors import CodecError

FIRST_SAFE = (14, 0, 1)  # older ones unpickle what an extension type in a stream holds: CVE-2023-47248
END_MARK = b"ARROW1"
FILE_MARK = b"ARROW1\0\0"
COLUMN = ""  # the name of the one column of an array


def require_safe_release(version: str) -> None:
    """Raise CodecError for a release of pyarrow that runs code from a stream."""
    numbers = tuple(int(part) for part in version.split(".")[:3] if part.isdigit())
    if numbers < FIRST_SAFE:
        raise CodecError(
            f"pyarrow {version} runs code that is hidden in a stream (CVE-2023-47248); install 14.0.1 or later"
        )


# -- streams


class _Pieces:
    """A file object that keeps what is written to it, without a copy of the memory of a table."""

    closed = False

    def __init__(self) -> None:
        self.buffers: list[Any] = []

    def write(self, piece: Any) -> None:
        self.buffers.append(piece)

    def flush(self) -> None:
        """Do nothing, as nothing is held back."""


def stream_parts(table: pa.Table) -> list[Any]:
    """Return the pieces of an Arrow IPC stream of a table: metadata, and the table's own buffers."""
    return _write(table, pa.ipc.new_stream)


def file_parts(table: pa.Table) -> list[Any]:
    """Return the pieces of an Arrow IPC file, which other programs can map."""
    return _write(table, pa.ipc.new_file)


def _write(table: pa.Table, open_writer: Callable[..., Any]) -> list[Any]:
    require_safe_release(pa.__version__)
    pieces = _Pieces()
    with open_writer(pieces, table.schema) as writer:
        writer.write_table(table)
    return pieces.buffers


def write_stream(table: pa.Table) -> bytes:
    """Return a table as an Arrow IPC stream."""
    return b"".join(stream_parts(table))


def read_table(body: bytes | memoryview) -> pa.Table:
    """Return the table of an Arrow IPC stream or file; its buffers are slices of the body, which is checked in full.

    A file is a stream between two marks, with a footer that says again what lies where. Nobody reads the footer: what
    it says may be wrong.
    """
    if body[: len(FILE_MARK)] == FILE_MARK:
        require(body[-len(END_MARK) :] == END_MARK)
        return read_stream(memoryview(body)[len(FILE_MARK) :])
    return read_stream(body)


def read_stream(body: bytes | memoryview) -> pa.Table:
    """Return the table of an Arrow IPC stream; its buffers are slices of the body, which is checked in full."""
    require_safe_release(pa.__version__)
    require_plain(body)
    with pa.ipc.open_stream(pa.py_buffer(body)) as reader:
        table = reader.read_all()
    table.validate(full=True)  # offsets that point elsewhere would be followed
    return table


def require_bounded(table: pa.Table, size: int) -> None:
    """Raise for a table that takes far more memory as Python objects than its stream of *size* bytes."""
    for column in table.columns:
        for chunk in column.chunks:
            _require_bounded(chunk, size)


def _require_bounded(array: Any, size: int, *, nested: bool = False) -> None:
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        _require_bounded(array.storage, size, nested=nested)
    elif pa.types.is_dictionary(kind):
        require(not nested)
    elif pa.types.is_struct(kind):
        require(kind.num_fields or len(array) <= size)
        for part in array.flatten():
            _require_bounded(part, size, nested=True)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        require(len(array) <= size)
        _require_bounded(array.values, size, nested=True)
    elif pa.types.is_map(kind):
        _require_bounded(array.keys, size, nested=True)
        _require_bounded(array.items, size, nested=True)
    elif pa.types.is_null(kind) or kind == pa.binary(0):
        require(len(array) <= size)
    else:
        require(not _may_overlap(kind))


def _may_overlap(kind: pa.DataType) -> bool:
    """Return whether many items of a type can be the same bytes."""
    return any(getattr(pa.types, test)(kind) for test in OVERLAPPING if hasattr(pa.types, test))


OVERLAPPING = (
    "is_union", "is_run_end_encoded", "is_string_view", "is_binary_view", "is_list_view", "is_large_list_view",
)  # fmt: skip


# -- kinds


def take_table(value: pa.Table) -> list[Any]:
    """Return the stream of a table."""
    return [memoryview(write_stream(value))]


def build_table(parts: list[Any]) -> pa.Table:
    """Return a table that owns its memory."""
    (content,) = parts
    require(type(content) in (bytes, memoryview))
    return read_stream(bytes(content) if memoryview(content).readonly else content)


def take_batch(value: pa.RecordBatch) -> list[Any]:
    """Return the stream of a table of one batch."""
    return [memoryview(write_stream(pa.Table.from_batches([value])))]


def build_batch(parts: list[Any]) -> pa.RecordBatch:
    """Return a record batch."""
    table = build_table(parts)
    batches = table.to_batches()
    require(len(batches) <= 1)
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)


def take_chunked(value: pa.ChunkedArray) -> list[Any]:
    """Return the stream of a table of one column."""
    return [memoryview(write_stream(pa.table([value], names=[COLUMN])))]


def build_chunked(parts: list[Any]) -> pa.ChunkedArray:
    """Return a chunked array."""
    table = build_table(parts)
    require(table.num_columns == 1)
    return table.column(0)


def take_array(value: pa.Array) -> list[Any]:
    """Return the stream of a table of one column of one chunk."""
    return take_chunked(pa.chunked_array([value]))


def build_array(parts: list[Any]) -> pa.Array:
    """Return an array."""
    column = build_chunked(parts)
    require(column.num_chunks <= 1)
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)


def take_scalar(value: pa.Scalar) -> list[Any]:
    """Return the parts of an array of one item."""
    return take_array(pa.array([value], value.type) if value.is_valid else pa.nulls(1, value.type))


def build_scalar(parts: list[Any]) -> pa.Scalar:
    """Return a scalar."""
    column = build_chunked(parts)
    require(len(column) == 1)
    return column[0]


def take_schema(value: pa.Schema) -> list[Any]:
    """Return the stream of a table without rows."""
    return [memoryview(write_stream(value.empty_table()))]


TABLE = LibraryKind("pyarrow.Table", take_table, build_table)
BATCH = LibraryKind("pyarrow.RecordBatch", take_batch, build_batch)
CHUNKED = LibraryKind("pyarrow.ChunkedArray", take_chunked, build_chunked)
ARRAY = LibraryKind("pyarrow.Array", take_array, build_array)
SCALAR = LibraryKind("pyarrow.Scalar", take_scalar, build_scalar)
SCHEMA = LibraryKind("pyarrow.Schema", take_schema, lambda parts: build_table(parts).schema)

BY_CLASS = {pa.Table: TABLE, pa.RecordBatch: BATCH, pa.ChunkedArray: CHUNKED, pa.Schema: SCHEMA}
BY_NAME = {kind.name: kind for kind in (*BY_CLASS.values(), ARRAY, SCALAR)}


def kind_of(cls: type) -> LibraryKind | None:
    """Return the kind of a class of pyarrow; each type of items has classes of its own."""
    if kind := BY_CLASS.get(cls):
        return kind
    if issubclass(cls, pa.Array):
        return ARRAY
    return SCALAR if issubclass(cls, pa.Scalar) else None


def kind_named(name: str) -> LibraryKind | None:
    """Return the kind of a stored name."""
    return BY_NAME.get(name)
