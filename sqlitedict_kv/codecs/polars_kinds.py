"""Frames and series of polars as Arrow streams."""

from __future__ import annotations

import io
from typing import Any

import polars as pl

from sqlitedict_kv.codecs.arrow_stream import require_plain
from sqlitedict_kv.codecs.library_kinds import LibraryKind
from sqlitedict_kv.codecs.parts import require
from sqlitedict_kv.errors import CodecError

EXACT = {
    pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64, pl.Float32, pl.Float64,
    pl.Boolean, pl.String, pl.Binary, pl.Date, pl.Time, pl.Datetime, pl.Duration,
}  # dtypes that Arrow has too: a frame of them need not be read back  # fmt: skip


def take_frame(value: pl.DataFrame) -> list[Any]:
    """Return the stream of a frame, if polars gives it back as it is.

    Columns of Python objects are refused before polars sees them: it writes their addresses into the stream.
    """
    for name, dtype in value.schema.items():
        if _holds_objects(dtype):
            raise CodecError(f"the column {name!r} of a polars frame holds Python objects; give it a dtype of polars")
    content = value.write_ipc_stream(None).getbuffer()
    if value.height and all(dtype.base_type() in EXACT for dtype in value.dtypes):
        return [content]
    made = _read(content)
    if made.schema != value.schema or not made.equals(value, null_equal=True):
        raise CodecError("Arrow cannot keep this polars frame exactly")
    return [content]


def _holds_objects(dtype: Any) -> bool:
    inner = [field.dtype for field in dtype.fields] if isinstance(dtype, pl.Struct) else [getattr(dtype, "inner", None)]
    return dtype == pl.Object or any(part is not None and _holds_objects(part) for part in inner)


def build_frame(parts: list[Any]) -> pl.DataFrame:
    """Return a frame."""
    (content,) = parts
    require(type(content) in (bytes, memoryview))
    require_plain(content)
    return _read(content)


def _read(content: bytes | memoryview) -> pl.DataFrame:
    try:
        return pl.read_ipc_stream(io.BytesIO(content))
    except pl.exceptions.PanicException as error:  # it is a BaseException, which nobody else would catch
        raise ValueError("polars cannot read this stream") from error


def take_series(value: pl.Series) -> list[Any]:
    """Return the parts of a frame of one column."""
    return take_frame(value.to_frame())


def build_series(parts: list[Any]) -> pl.Series:
    """Return a series."""
    frame = build_frame(parts)
    require(frame.width == 1)
    return frame.to_series()


def refuse_lazy(_: pl.LazyFrame) -> list[Any]:
    """Raise CodecError: a lazy frame is a plan, not a value."""
    raise CodecError("a LazyFrame of polars is a plan that was not carried out; keep .collect() of it")


KINDS: dict[type, LibraryKind] = {
    pl.DataFrame: LibraryKind("polars.DataFrame", take_frame, build_frame),
    pl.Series: LibraryKind("polars.Series", take_series, build_series),
    pl.LazyFrame: LibraryKind("polars.LazyFrame", refuse_lazy, build_frame),
}
BY_NAME = {kind.name: kind for cls, kind in KINDS.items() if cls is not pl.LazyFrame}


def kind_of(cls: type) -> LibraryKind | None:
    """Return the kind of a class of polars."""
    return KINDS.get(cls)


def kind_named(name: str) -> LibraryKind | None:
    """Return the kind of a stored name."""
    return BY_NAME.get(name)
