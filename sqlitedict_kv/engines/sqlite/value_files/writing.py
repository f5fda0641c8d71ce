"""Writing of a value to a file that has no name yet, with a checksum of each chunk."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator

from sqlitedict_kv.codecs.body_parts import BodyParts, parts_of
from sqlitedict_kv.codecs.file_reference import FileReference, new_name
from sqlitedict_kv.engines.crc32 import crc32_of_large
from sqlitedict_kv.engines.protocol import Edit, Put
from sqlitedict_kv.engines.record import Record
from sqlitedict_kv.engines.sqlite.value_files.folder import TEMPORARY, OpenFolder, ValueFolder, sync_file
from sqlitedict_kv.errors import StoreError, StoreFullError, StoreIOError

if sys.platform != "win32":
    import fcntl

BOUNCE_BYTES = 256 * 2**10
CHUNK_BYTES = 2**20
MOST_CHUNKS = 2048  # of a value, whose checksums then are 15 kB of its row
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class StagedFile:
    """A file with a value in it, which has a name only when the transaction of its entry gives it one."""

    def __init__(self, folder: ValueFolder, descriptor: int, temporary: str | None) -> None:
        """Own the *descriptor*; *temporary* is the name that the file has meanwhile, if it needs one."""
        self.name = new_name()
        self._folder = folder
        self.descriptor = descriptor
        self._temporary = temporary
        self._process = os.getpid()

    def publish(self, folder: OpenFolder) -> None:
        """Give the file its name; the caller holds the write lock of the database.

        Only what holds that lock makes names. So whoever holds it and finds a name that the database does not know has
        found one that nothing will ever refer to.
        """
        if self._temporary is not None:
            folder.rename(self._temporary, self.name)
            self._temporary = None
            return
        with contextlib.suppress(FileExistsError):  # of an attempt that was rolled back
            folder.link(self.descriptor, self.name)

    def close(self) -> None:
        """Let the file go; without a name it is no more."""
        if self.descriptor < 0 or self._process != os.getpid():
            return
        descriptor, self.descriptor = self.descriptor, -1
        temporary, self._temporary = self._temporary, None
        if temporary is not None:
            with contextlib.suppress(OSError, StoreError), self._folder.opened() as folder:
                folder.unlink(temporary)
        os.close(descriptor)

    def __del__(self) -> None:
        """Let the file of a value go that was never written."""
        if not sys.is_finalizing():
            self.close()


class StagedBody(bytes):
    """The reference to a file, as the body of an entry that is to be written."""

    staged: StagedFile
    size: int
    publish: Callable[[sqlite3.Cursor, StagedBody, tuple[str, str]], None]


def stage(
    folder: ValueFolder, body: bytes | BodyParts, content_type: str, *, durable: bool
) -> tuple[StagedFile, bytes]:
    """Write a value to a file; return it with the reference to it.

    Raises:
        StoreFullError: there is no space for it.
        StoreIOError: the operating system refuses.
    """
    with translate_errors(folder.path):
        staged = create(folder)
        try:
            chunk = chunk_of(len(body))
            sums = write_parts(staged.descriptor, parts_of(body), chunk)
            if durable:
                sync_file(staged.descriptor)
        except BaseException:
            staged.close()
            raise
    return staged, FileReference(staged.name, len(body), content_type, chunk, sums).pack()


@contextlib.contextmanager
def translate_errors(path: str) -> Iterator[None]:
    """Raise what the operating system says as an error of ours."""
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        if error.errno in NO_SPACE:
            raise StoreFullError(f"{path}: no space is left for a large value; nothing was written") from error
        raise StoreIOError(f"{path}: the operating system failed to write a large value ({error})") from error


def create(folder: ValueFolder) -> StagedFile:
    """Return a new file without a name, or with one that says that it is being written."""
    with folder.made() as opened:
        while True:
            descriptor, temporary = opened.create(TEMPORARY)
            staged = StagedFile(folder, descriptor, temporary)
            try:
                locked = temporary is None or _is_locked(descriptor)
            except BaseException:
                staged.close()
                raise
            if locked:
                return staged
            staged.close()


def _is_locked(descriptor: int) -> bool:
    """Lock a new file against the collector; return False if that was quicker and has removed it."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(descriptor).st_nlink > 0


def chunk_of(size: int) -> int:
    """Return the size of the chunks of a value: as small as can be with so many checksums as a row may have."""
    chunk = CHUNK_BYTES
    while -(-size // chunk) > MOST_CHUNKS:
        chunk *= 2
    return chunk


def write_parts(descriptor: int, parts: Iterable[memoryview], chunk: int) -> bytes:
    """Write the parts of a value, one after the other; return the CRC-32 of each chunk.

    Each piece is copied first, and what is summed and written is the copy: another thread may change the value.
    """
    sums = ChunkSums(chunk)
    for piece in pieces_of(parts):
        sums.add(piece)
        write_all(descriptor, piece)
    return sums.finish()


class ChunkSums:
    """The CRC-32 of each chunk of a value that comes in pieces, of which whole ones make a chunk."""

    def __init__(self, chunk: int) -> None:
        """Sum chunks of so many bytes."""
        self.chunk = chunk
        self._sums = bytearray()
        self._crc = self._done = 0

    def add(self, piece: memoryview) -> None:
        """Sum the next piece."""
        self._crc = crc32_of_large(piece, self._crc)
        self._done += len(piece)
        if self._done % self.chunk == 0:
            self._end_chunk()

    def finish(self) -> bytes:
        """Return four bytes of each chunk, the last of which may be shorter."""
        if self._done % self.chunk:
            self._end_chunk()
        return bytes(self._sums)

    def _end_chunk(self) -> None:
        self._sums += self._crc.to_bytes(4, "big")
        self._crc = 0


def pieces_of(parts: Iterable[memoryview]) -> Iterator[memoryview]:
    """Yield copies of all bytes in pieces of one size, but the last, each in the same memory as the one before."""
    bounce = memoryview(bytearray(BOUNCE_BYTES))
    filled = 0
    for part in parts:
        start = 0
        while start < len(part):
            size = min(BOUNCE_BYTES - filled, len(part) - start)
            bounce[filled : filled + size] = part[start : start + size]
            filled += size
            start += size
            if filled == BOUNCE_BYTES:
                yield bounce
                filled = 0
    if filled:
        yield bounce[:filled]


def write_all(descriptor: int, piece: memoryview) -> None:
    """Write all of a piece, however little the system takes at a time."""
    while piece:
        piece = piece[os.write(descriptor, piece) :]


def close_files(edits: Iterable[Edit | Record]) -> int:
    """Let the files go that edits were to write, or have written; return how many bytes of values the edits have."""
    size = 0
    for edit in edits:
        if isinstance(edit, Put | Record):
            body = edit.body
            if type(body) is StagedBody:
                size += body.size
                body.staged.close()
            else:
                size += len(body)
    return size
