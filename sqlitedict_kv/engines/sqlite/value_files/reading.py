"""Reading of a value from its file, of which every byte is verified."""

from __future__ import annotations

import contextlib
import mmap
import os
import stat
import sys

from sqlitedict_kv.codecs.file_reference import FileReference
from sqlitedict_kv.engines.crc32 import crc32_of_large
from sqlitedict_kv.engines.sqlite.value_files.folder import ValueFolder

LARGE_PAGES = 2**22  # bytes from which on a buffer is of large pages, as numpy has it
READ_BYTES = 2**20  # at once, or a chunk if that is less
NONBLOCK = getattr(os, "O_NONBLOCK", 0)  # so that nobody waits for the writer of a pipe


class FileDamageError(Exception):
    """Says what is wrong with a file, to go into an error that names its entry."""


def read_file(folder: ValueFolder, reference: FileReference) -> memoryview:
    """Return the content of a file in memory that belongs to the caller alone.

    Raises:
        FileNotFoundError: it is not there.
        FileDamageError: it is not what the reference says.
        MemoryError: there is not enough memory for it.
        OSError: the operating system failed to read it.
    """
    descriptor = open_file(folder, reference)
    try:
        buffer = private_buffer(reference.size)
        fill(descriptor, buffer, reference)
    finally:
        os.close(descriptor)
    return buffer


def verify_file(folder: ValueFolder, reference: FileReference) -> None:
    """Read a file a little at a time and compare its checksums; errors as of :func:`read_file`."""
    descriptor = open_file(folder, reference)
    try:
        verify(descriptor, reference)
    finally:
        os.close(descriptor)


def verify(descriptor: int, reference: FileReference) -> None:
    """Read a file that is open, a little at a time, and compare its checksums; errors as of :func:`read_file`."""
    piece = memoryview(bytearray(min(READ_BYTES, reference.size)))
    for number, start in enumerate(range(0, reference.size, reference.chunk)):
        crc, end = 0, min(start + reference.chunk, reference.size)
        for position in range(start, end, len(piece)):
            part = piece[: end - position]
            read_at(descriptor, part, position)
            crc = crc32_of_large(part, crc)
        compare(number, crc, reference)


def open_file(folder: ValueFolder, reference: FileReference) -> int:
    """Return a descriptor of a file that is an ordinary one of the right size; errors as of :func:`read_file`."""
    with folder.opened() as opened:
        try:
            descriptor = opened.open(reference.file, os.O_RDONLY | NONBLOCK)
        except FileNotFoundError:
            raise
        except OSError as error:
            if stat.S_ISLNK(_mode_of(folder, reference.file)):
                raise FileDamageError("in the place of its file is a link") from None
            raise error from None
    try:
        check_status(os.fstat(descriptor), reference)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _mode_of(folder: ValueFolder, name: str) -> int:
    try:
        return os.lstat(os.path.join(folder.path, name)).st_mode
    except OSError:
        return 0


def check_status(status: os.stat_result, reference: FileReference) -> None:
    """Raise FileDamageError unless it is an ordinary file of the right size."""
    check_regular(status, reference.size)


def check_regular(status: os.stat_result, size: int) -> None:
    """Raise FileDamageError unless it is an ordinary file of a size."""
    if not stat.S_ISREG(status.st_mode):
        raise FileDamageError("in the place of its file is something else")
    if status.st_size != size:
        raise FileDamageError(f"its file has {status.st_size} bytes instead of {size}")


def private_buffer(size: int) -> memoryview:
    """Return memory that begins at a page; the system gives it page by page as it is filled."""
    try:
        if sys.platform == "win32":
            return memoryview(mmap.mmap(-1, size))
        memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError:
        raise MemoryError from None
    if size >= LARGE_PAGES and hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # of a system that has none
            memory.madvise(mmap.MADV_HUGEPAGE)  # halves the time of a read, most of which goes into page faults
    return memoryview(memory)


def fill(descriptor: int, buffer: memoryview, reference: FileReference) -> None:
    """Read a whole file and compare each chunk with its checksum, while it is in the cache of the processor."""
    for number, start in enumerate(range(0, reference.size, reference.chunk)):
        end = min(start + reference.chunk, reference.size)
        crc = 0
        for position in range(start, end, READ_BYTES):
            piece = buffer[position : min(position + READ_BYTES, end)]
            read_at(descriptor, piece, position)
            crc = crc32_of_large(piece, crc)
        compare(number, crc, reference)


def compare(number: int, crc: int, reference: FileReference) -> None:
    """Raise FileDamageError unless a chunk has its checksum."""
    if crc.to_bytes(4, "big") != reference.crc32[4 * number : 4 * number + 4]:
        raise FileDamageError(f"chunk {number} of its file does not match its checksum")


def read_at(descriptor: int, piece: memoryview, position: int) -> None:
    """Fill a piece of memory from a position of a file; raise FileDamageError at its end.

    A descriptor has a position of its own, but a child of this process shares it.
    """
    while piece:
        done = _read_some(descriptor, piece, position)
        if not done:
            raise FileDamageError("its file ends too early")
        piece, position = piece[done:], position + done


def _read_some(descriptor: int, piece: memoryview, position: int) -> int:
    if hasattr(os, "preadv"):
        return os.preadv(descriptor, [piece], position)
    os.lseek(descriptor, position, os.SEEK_SET)
    data = os.read(descriptor, len(piece))
    piece[: len(data)] = data
    return len(data)
