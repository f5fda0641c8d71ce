"""Data version: it changes with every commit of every process.

In WAL mode, the header of the wal-index, the first 48 bytes of the ``-shm`` file, is rewritten by each
commit (https://www.sqlite.org/walformat.html, section 2.1). Read through mmap it costs 0.1 us, where
``PRAGMA data_version`` costs almost as much as a point read.

Closing any descriptor of that file would drop the POSIX locks that SQLite holds on it, those of other
people's connections in this process too. So it is opened after the first connection, shared by all, and
closed when SQLite itself has closed its own.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import sqlite3
import sys
from itertools import count
from threading import Lock
from typing import Protocol

HEADER = slice(0, 48)
CHANGE_COUNTER = slice(8, 12)
FRAMES = slice(16, 20)
BACKFILLED = slice(96, 100)  # behind the two copies of the header
MAPPED_BYTES = 100
OUR_DESCRIPTORS = 2  # of an index: the mapping keeps one of its own
FORMAT = slice(0, 4)
KNOWN_FORMAT = 3007000  # of the wal-index; SQLite promises to change the number with the format
COUNTER_VALUES = 2**32


class DataVersion(Protocol):
    """The question whether anybody has committed."""

    needs_lock: bool  # whether only the holder of the connection's lock may ask

    def read(self) -> bytes | None:
        """Return bytes that differ after every foreign commit, and perhaps our own; None: unknown."""

    def is_next(self, before: bytes | None, after: bytes | None) -> bool:
        """Return whether just one commit, one of ours, lies between the two."""

    def backlog(self) -> int | None:
        """Return how many pages the log holds that no checkpoint has copied; None: unknown."""

    def abandon(self) -> None:
        """Answer no more, and leave open what is open."""

    def release(self) -> None:
        """Let go of what it holds open; the connection is closed already."""


class NoDataVersion:
    """Stands for the data version of a connection that is not open: nothing is known."""

    needs_lock = False

    def read(self) -> bytes | None:
        """Return None."""

    def is_next(self, before: bytes | None, after: bytes | None) -> bool:  # noqa: ARG002 - as DataVersion has it
        """Return False."""
        return False

    def backlog(self) -> int | None:
        """Return None."""

    def abandon(self) -> None:
        """Do nothing."""

    def release(self) -> None:
        """Do nothing."""


class _Index:
    """An open wal-index."""

    def __init__(self, file: tuple[int, int], descriptor: int) -> None:
        self.users = 0  # connections of stores that read it
        self._file = file
        self._descriptor = descriptor
        self.map = mmap.mmap(descriptor, MAPPED_BYTES, access=mmap.ACCESS_READ)

    def is_known(self) -> bool:
        return int.from_bytes(self.map[FORMAT], sys.byteorder) == KNOWN_FORMAT

    def close_if_unused(self) -> None:
        if self.users or _descriptors_of(self._file) > OUR_DESCRIPTORS:
            return
        del _open[self._file]
        self.map.close()
        os.close(self._descriptor)


def _descriptors_of(file: tuple[int, int]) -> int:
    """Return how many descriptors of a file this process has open."""
    found = 0
    try:
        names = os.listdir("/proc/self/fd" if sys.platform == "linux" else "/dev/fd")
    except OSError:
        return sys.maxsize  # unknown, so that nothing is closed
    for name in names:
        with contextlib.suppress(OSError):  # the one that lists, for example, is closed by now
            status = os.fstat(int(name))
            found += (status.st_dev, status.st_ino) == file
    return found


class WalIndexDataVersion:
    """The header of the wal-index, as one connection sees it."""

    needs_lock = False

    def __init__(self, index: _Index) -> None:
        """Read from an open index."""
        self._index = index
        self._map: mmap.mmap | None = index.map
        index.users += 1

    def read(self) -> bytes | None:
        """Return the header; None once it was closed."""
        try:
            return self._map[HEADER]  # type: ignore[index] # None is the rare case, and caught
        except (TypeError, ValueError):
            return None

    def is_next(self, before: bytes | None, after: bytes | None) -> bool:
        """Return whether the change counter went on by one; a recovery starts it again at 0."""
        if not before or not after or not _counter(before):
            return False
        return _counter(after) == (_counter(before) + 1) % COUNTER_VALUES

    def backlog(self) -> int | None:
        """Return the frames in the log less those that checkpoints have copied."""
        try:
            frames, copied = self._map[FRAMES], self._map[BACKFILLED]  # type: ignore[index] # likewise
        except (TypeError, ValueError):
            return None
        return int.from_bytes(frames, sys.byteorder) - int.from_bytes(copied, sys.byteorder)

    def abandon(self) -> None:
        """Answer no more, and leave the file open."""
        self._map = None

    def release(self) -> None:
        """Answer no more, and close the file if nobody needs it open."""
        self._map = None
        with _lock:
            self._index.users -= 1
            for index in list(_open.values()):
                index.close_if_unused()


class QueriedDataVersion:
    """SQLite's own count of the commits of others, asked with a statement, and that of our own changes."""

    needs_lock = True

    def __init__(self, raw: sqlite3.Connection) -> None:
        """Ask through *raw*."""
        self._raw: sqlite3.Connection | None = raw
        self._born = next(_births)

    def read(self) -> bytes | None:
        """Return the count, which each connection starts again; None once it was closed."""
        if self._raw is None:
            return None
        (commits,) = self._raw.execute("PRAGMA data_version").fetchone()
        return f"{self._born} {commits} {self._raw.total_changes}".encode()

    def is_next(self, before: bytes | None, after: bytes | None) -> bool:
        """Return whether the count of the others' commits stood still."""
        if before is None or after is None:
            return False
        return before.rpartition(b" ")[0] == after.rpartition(b" ")[0]

    def backlog(self) -> int | None:
        """Return None."""

    def abandon(self) -> None:
        """Ask no more."""
        self._raw = None

    def release(self) -> None:
        """Ask no more."""
        self._raw = None


def _counter(header: bytes) -> int:
    return int.from_bytes(header[CHANGE_COUNTER], sys.byteorder)


_births = count(1)
_lock = Lock()
_open: dict[tuple[int, int], _Index] = {}  # by device and inode


def make_data_version(raw: sqlite3.Connection, wal_index: str | None) -> DataVersion:
    """Return the data version for a connection that has read from its database.

    Args:
        raw: the connection.
        wal_index: the path of its ``-shm`` file, None where there is none.
    """
    # Beside a file that is not in WAL mode, for example a backup, there may be the dead index of another time.
    logged = raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    shared = _wal_index_data_version(wal_index) if wal_index and logged and os.name == "posix" else None
    return shared or QueriedDataVersion(raw)


def _wal_index_data_version(path: str) -> WalIndexDataVersion | None:
    """Return the data version of a wal-index, None if it cannot be opened or its format is not known."""
    with _lock:
        try:
            status = os.stat(path)
            file = (status.st_dev, status.st_ino)
            if file not in _open:
                _open[file] = _Index(file, os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except (OSError, ValueError):  # on a read-only medium there is none
            return None
        # One of another format stays open all the same, for SQLite holds locks on it.
        return WalIndexDataVersion(_open[file]) if _open[file].is_known() else None
