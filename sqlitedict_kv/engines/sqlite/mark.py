"""A mark that moves with every commit of every process.

In WAL mode, the header of the wal-index, the first 48 bytes of the ``-shm`` file, is rewritten by each
commit (https://www.sqlite.org/walformat.html, section 2.1). Read through mmap it costs 0.1 us, where
``PRAGMA data_version`` costs almost as much as a point read.

Closing any descriptor of that file would drop the POSIX locks that SQLite holds on it. So it is opened
after the first connection of this process, shared by all, and closed after the last.
"""

from __future__ import annotations

import mmap
import os
import sqlite3
import sys
from itertools import count
from threading import Lock
from typing import Protocol

HEADER_BYTES = 48
HEADER = slice(0, HEADER_BYTES)
CHANGE_COUNTER = slice(8, 12)
FRAMES = slice(16, 20)
BACKFILLED = slice(96, 100)  # behind the two copies of the header
MAPPED_BYTES = 100
FORMAT = slice(0, 4)
KNOWN_FORMAT = 3007000  # of the wal-index; SQLite promises to change the number with the format
COUNTER_VALUES = 2**32


class Mark(Protocol):
    """What is asked whether anybody has committed."""

    needs_lock: bool  # whether only the holder of the connection's lock may ask

    def read(self) -> bytes | None:
        """Return bytes that differ after every foreign commit, and perhaps our own; None: unknown."""

    def is_next(self, before: bytes | None, after: bytes | None) -> bool:
        """Return whether just one commit, one of ours, lies between two marks."""

    def backlog(self) -> int | None:
        """Return how many pages the log holds that no checkpoint has copied; None: unknown."""

    def release(self) -> None:
        """Let go of what the mark holds open; the connection is closed already."""


class NoMark:
    """Stands for the mark of a connection that is not open: nothing is known."""

    needs_lock = False

    def read(self) -> bytes | None:
        """Return None."""

    def is_next(self, before: bytes | None, after: bytes | None) -> bool:  # noqa: ARG002 - as Mark has it
        """Return False."""
        return False

    def backlog(self) -> int | None:
        """Return None."""

    def release(self) -> None:
        """Do nothing."""


class SharedMark:
    """The header of the wal-index."""

    needs_lock = False

    def __init__(self, file: tuple[int, int], descriptor: int) -> None:
        """Map an open wal-index, which is known by device and inode."""
        self.users = 1
        self._file = file
        self._descriptor = descriptor
        self._map = mmap.mmap(descriptor, MAPPED_BYTES, access=mmap.ACCESS_READ)

    def read(self) -> bytes | None:
        """Return the header; None once it was closed."""
        try:
            return self._map[HEADER]
        except ValueError:
            return None

    def is_next(self, before: bytes | None, after: bytes | None) -> bool:
        """Return whether the change counter went on by one."""
        return before is not None and after is not None and _counter(after) == (_counter(before) + 1) % COUNTER_VALUES

    def backlog(self) -> int | None:
        """Return the frames in the log less those that checkpoints have copied."""
        try:
            frames, copied = self._map[FRAMES], self._map[BACKFILLED]
        except ValueError:
            return None
        return int.from_bytes(frames, sys.byteorder) - int.from_bytes(copied, sys.byteorder)

    def is_known(self) -> bool:
        """Return whether the header is of the format that is described."""
        header = self.read()
        return header is not None and int.from_bytes(header[FORMAT], sys.byteorder) == KNOWN_FORMAT

    def release(self) -> None:
        """Close the file if this was its last user."""
        with _lock:
            self.users -= 1
            if not self.users:
                del _open[self._file]
                self._map.close()
                os.close(self._descriptor)


class AskedMark:
    """SQLite's own count of the commits of others, asked with a statement."""

    needs_lock = True

    def __init__(self, raw: sqlite3.Connection) -> None:
        """Ask through *raw*."""
        self._raw: sqlite3.Connection | None = raw
        self._born = next(_births)

    def read(self) -> bytes | None:
        """Return the count, which each connection begins anew; None once it was closed."""
        if self._raw is None:
            return None
        (commits,) = self._raw.execute("PRAGMA data_version").fetchone()
        return f"{self._born} {commits}".encode()

    def is_next(self, before: bytes | None, after: bytes | None) -> bool:
        """Return whether the count stood still: our own commits do not move it."""
        return before is not None and before == after

    def backlog(self) -> int | None:
        """Return None."""

    def release(self) -> None:
        """Ask no more."""
        self._raw = None


def _counter(header: bytes) -> int:
    return int.from_bytes(header[CHANGE_COUNTER], sys.byteorder)


_births = count(1)
_lock = Lock()
_open: dict[tuple[int, int], SharedMark] = {}  # by device and inode


def mark_of(raw: sqlite3.Connection, wal_index: str | None) -> Mark:
    """Return the mark for a connection that has read from its database.

    Args:
        raw: the connection.
        wal_index: the path of its ``-shm`` file, None where there is none.
    """
    shared = _shared_mark(wal_index) if wal_index and os.name == "posix" else None
    return shared or AskedMark(raw)


def _shared_mark(path: str) -> SharedMark | None:
    with _lock:
        try:
            status = os.stat(path)
        except FileNotFoundError:  # a file on a read-only medium has none
            return None
        file = (status.st_dev, status.st_ino)
        if file in _open:
            _open[file].users += 1
            return _open[file]
        mark = _open[file] = SharedMark(file, os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    if mark.is_known():
        return mark
    mark.release()
    return None
