"""Value files that are written and read a little at a time."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

from sqlitedict_kv.codecs.file_reference import FileReference
from sqlitedict_kv.engines.crc32 import crc32_of_large
from sqlitedict_kv.engines.sqlite.value_files.folder import sync_file
from sqlitedict_kv.engines.sqlite.value_files.reading import FileDamageError, compare, read_at
from sqlitedict_kv.engines.sqlite.value_files.writing import (
    BOUNCE_BYTES,
    CHUNK_BYTES,
    MOST_CHUNKS,
    ChunkSums,
    StagedFile,
    translate_errors,
    write_all,
)
from sqlitedict_kv.errors import DamagedFileError, StoreIOError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class GrowingFile:
    """A file without a name whose size is not known yet."""

    def __init__(self, path: str, staged: StagedFile, *, durable: bool) -> None:
        """Write to a *staged* file of the folder *path*; *durable* is whether it is synced at the end."""
        self.staged = staged
        self.size = 0
        self._path = path
        self._durable = durable
        self._bounce = memoryview(bytearray(BOUNCE_BYTES))  # another thread may change what is written
        self._filled = 0
        self._sums = ChunkSums(CHUNK_BYTES)

    def write(self, data: memoryview) -> None:
        """Append bytes; raise StoreFullError or StoreIOError, after which the file is to be closed."""
        start = 0
        while start < len(data):
            size = min(BOUNCE_BYTES - self._filled, len(data) - start)
            self._bounce[self._filled : self._filled + size] = data[start : start + size]
            self._filled += size
            start += size
            if self._filled == BOUNCE_BYTES:
                self._flush()

    def finish(self, content_type: str) -> FileReference:
        """Write what is left; return the reference to the whole."""
        self._flush()
        if self._durable:
            with translate_errors(self._path):
                sync_file(self.staged.descriptor)
        return FileReference(self.staged.name, self.size, content_type, self._sums.chunk, self._sums.finish())

    def close(self) -> None:
        """Let the file go, unless an entry refers to it."""
        self.staged.close()

    def _flush(self) -> None:
        piece, self._filled = self._bounce[: self._filled], 0
        if not piece:
            return
        with translate_errors(self._path):
            if self.size == self._sums.chunk * MOST_CHUNKS:
                self._double_chunks()
            self._sums.add(piece)
            write_all(self.staged.descriptor, piece)
        self.size += len(piece)

    def _double_chunks(self) -> None:
        """Read all that was written again, for the checksums of larger chunks."""
        self._sums = ChunkSums(2 * self._sums.chunk)
        piece = memoryview(bytearray(BOUNCE_BYTES))
        for position in range(0, self.size, BOUNCE_BYTES):
            read_at(self.staged.descriptor, piece, position)
            self._sums.add(piece)


class VerifiedFile(io.RawIOBase):
    """The content of a value file, of which no byte is given that was not verified."""

    def __init__(self, descriptor: int, reference: FileReference, entry: tuple[str, str]) -> None:
        """Own the *descriptor*; *entry* is namespace and key, for messages."""
        self._descriptor = descriptor
        self._reference = reference
        self._entry = entry
        self._position = 0
        self._number = -1  # of the chunk that is held
        self._held = memoryview(b"")

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to a position, in bytes from the beginning, from here or from the end; return it from the beginning."""
        self._require_open()
        bases = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._reference.size}
        if whence not in bases:
            raise ValueError(f"whence must be 0, 1 or 2, not {whence!r}")
        if bases[whence] + offset < 0:
            raise ValueError(f"position {bases[whence] + offset} is before the beginning")
        self._position = bases[whence] + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill a buffer with the next bytes, at most to the end of a chunk; return how many they are.

        Raises:
            DamagedFileError: the file is not as it was written.
            StoreIOError: the operating system failed to read it.
        """
        self._require_open()
        with memoryview(buffer).cast("B") as target:
            if self._position >= self._reference.size or not target:
                return 0
            number, start = divmod(self._position, self._reference.chunk)
            found = self._chunk(number)[start : start + len(target)]
            target[: len(found)] = found
        self._position += len(found)
        return len(found)

    def _chunk(self, number: int) -> memoryview:
        if number != self._number:
            begin = number * self._reference.chunk
            held = memoryview(bytearray(min(self._reference.chunk, self._reference.size - begin)))
            self._number = -1
            try:
                read_at(self._descriptor, held, begin)
                compare(number, crc32_of_large(held, 0), self._reference)
            except FileDamageError as error:
                raise DamagedFileError(*self._entry, str(error)) from None
            except OSError as error:
                raise StoreIOError(f"the operating system failed to read the entry {self._entry}: {error}") from error
            self._number, self._held = number, held
        return self._held

    def close(self) -> None:
        """Let the file go."""
        if not self.closed:
            os.close(self._descriptor)
            self._held = memoryview(b"")
        super().close()

    def _require_open(self) -> None:
        if self.closed:
            raise ValueError("the stream is closed")
