"""Streams of values for tasks: a thread reads and writes the bytes."""

from __future__ import annotations

import io
import os

from sqlitedict_kv.concurrency.cancellation import in_thread
from sqlitedict_kv.operations.streams import ValueWriter


class AsyncStream:
    """A value that is read or written a little at a time; made by :meth:`AsyncNamespace.open`."""

    __slots__ = ("_stream",)

    def __init__(self, stream: io.BufferedReader | ValueWriter) -> None:
        """Await what *stream* does."""
        self._stream = stream

    @property
    def version(self) -> int | None:
        """That of the entry, once it is written."""
        return getattr(self._stream, "version", None)

    async def read(self, size: int = -1) -> bytes:
        """Return the next bytes, *size* at most; all that are left if it is negative."""
        return await in_thread(lambda: self._stream.read(size) or b"")

    async def write(self, data: bytes | bytearray | memoryview) -> int:
        """Append bytes, all of them, and return how many they are; see :meth:`ValueWriter.write`."""
        return await in_thread(lambda: self._stream.write(data))

    async def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position and return it; see :meth:`io.IOBase.seek`."""
        return await in_thread(lambda: self._stream.seek(offset, whence))

    def tell(self) -> int:
        """Return the position, in bytes from the beginning."""
        return self._stream.tell()

    async def close(self, *, discard: bool = False) -> None:
        """Close it; *discard* writes no entry."""
        stream = self._stream
        await in_thread(stream.discard if discard and isinstance(stream, ValueWriter) else stream.close)
