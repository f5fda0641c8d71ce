"""Values as streams of bytes: written and read a little at a time."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from sqlitedict_kv.codecs.codec import BYTES
from sqlitedict_kv.codecs.file_reference import FILE
from sqlitedict_kv.codecs.limits import too_large
from sqlitedict_kv.errors import EntryGoneError, TooLargeError
from sqlitedict_kv.operations.optional import Staging

if TYPE_CHECKING:
    from types import TracebackType

    from _typeshed import ReadableBuffer

    from sqlitedict_kv.engines.optional import GrowingBody
    from sqlitedict_kv.operations.context import StoreContext

Commit = Callable[[bytes, str], int]  # takes what is to be in the entry, and its content type; returns the version


class ValueWriter(io.RawIOBase):
    """A value that is being written; its entry is there when the stream is closed, or it is not there at all.

    Attributes:
        version: of the entry, once it is written.
    """

    def __init__(self, context: StoreContext, content_type: str, commit: Commit) -> None:
        """Hold what fits into a row in memory; what is larger goes to a file without a name.

        Args:
            context: that of the store.
            content_type: of the value.
            commit: writes the entry.
        """
        self.version: int | None = None
        self._context = context
        self._content_type = content_type
        self._commit = commit
        self._small = bytearray()
        self._large: GrowingBody | None = None
        self._done = False

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        """Append bytes, all of them, and return how many they are.

        Raises:
            TooLargeError, StoreFullError, StoreIOError: the value cannot be kept; the stream is closed then.
            ValueError: the stream is closed.
        """
        if self.closed or self._done:
            raise ValueError("the stream is closed")
        with memoryview(data) as view, view.cast("B") as piece:
            try:
                self._write(piece)
            except BaseException:
                self.discard()
                raise
            return len(piece)

    def _write(self, piece: memoryview) -> None:
        context = self._context
        if self._large is None and len(self._small) + len(piece) <= context.max_value_bytes:
            self._small += piece
            return
        stage, kept_as = context.stage, self._content_type
        if not isinstance(stage, Staging):
            size = len(self._small) + len(piece)
            raise TooLargeError(too_large(size, context.max_value_bytes, kept_as, least=True))
        if self._large is None:
            self._large = stage.begin()
            self._large.write(memoryview(self._small))
            self._small = bytearray()
        stage.require_within(self._large.size + len(piece), kept_as, least=True)
        self._large.write(piece)

    def close(self) -> None:
        """Write the entry; raise what :meth:`Namespace.set` does."""
        if self.closed or self._done:
            super().close()
            return
        self._done = True
        try:
            if self._large is None:
                self.version = self._commit(bytes(self._small), self._content_type)
            else:
                stage = self._context.stage
                assert isinstance(stage, Staging)
                self.version = self._commit(*stage.finish(self._large, self._content_type))
        finally:
            self._release()

    def discard(self) -> None:
        """Write no entry, and let go what was written."""
        self._done = True
        self._release()

    def _release(self) -> None:
        large, self._large, self._small = self._large, None, bytearray()
        if large is not None:
            large.close()
        super().close()

    def __enter__(self) -> Self:
        """Return the stream."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Write the entry at the end of the block, or nothing if the block raised."""
        if kind is None:
            self.close()
        else:
            self.discard()

    def __del__(self) -> None:
        """Write nothing: only closing does."""
        if not (self.closed or self._done):
            self.discard()
            warnings.warn(
                "a stream to a store was never closed, so its value was not written", ResourceWarning, stacklevel=1
            )


def check_stream_type(content_type: object, context: StoreContext) -> str:
    """Return the content type of a stream, which needs no codec; None is bytes.

    Raises:
        TypeError, ValueError: it is none.
        CodecError: the view keeps values of a type, and bytes are not of it.
    """
    if context.codecs.annotation is not None:
        context.codecs.encode(b"", BYTES)
    if content_type is None:
        return BYTES
    if not isinstance(content_type, str):
        raise TypeError(f"content_type must be a str or None, not {type(content_type).__name__}")
    if not content_type or not content_type.isprintable() or content_type == FILE:
        raise ValueError(f"content_type {content_type!r} cannot be that of a value")
    return content_type


def check_mode(mode: object) -> bool:
    """Return whether a mode is to write; raise ValueError for another one than "rb" and "wb"."""
    if mode not in ("rb", "wb"):
        raise ValueError(f"mode must be 'rb' or 'wb', not {mode!r}")
    return mode == "wb"


def open_value(context: StoreContext, namespace: str, key: str) -> io.BufferedReader:
    """Return the encoded value of an entry as a stream; raise KeyError if there is none."""
    record = context.read(namespace, key)
    if record is None:
        raise KeyError(key)
    opened = context.codecs.file_access.open if record.content_type == FILE else None
    if opened is None:
        return io.BufferedReader(io.BytesIO(record.body))
    try:
        return io.BufferedReader(opened(namespace, key, record.body))
    except EntryGoneError:
        raise KeyError(key) from None
