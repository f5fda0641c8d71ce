"""One connection of the sqlite3 module, used only under its lock."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from threading import Lock
from typing import Any, NoReturn, TypeVar

from sqlitedict_kv.engines.sqlite.coherence.data_version import DataVersion, NoDataVersion, make_data_version
from sqlitedict_kv.engines.sqlite.error_mapping import like_driver
from sqlitedict_kv.engines.sqlite.files.location import FileIdentity, Location

T = TypeVar("T")

NOTE_VERSION = "note_version"  # an SQL function: note_version(name, version) notes the version and returns it


class AsleepError(sqlite3.Error):
    """Raised by the cursor of a connection that is not open at the moment."""


class _NoCursor:
    """Stands for the cursor of a connection that is not open, so that the hot path need not ask."""

    def execute(self, *_: Any) -> NoReturn:
        raise AsleepError

    @property
    def connection(self) -> NoReturn:
        raise AsleepError

    def close(self) -> None:
        """Do nothing."""


NO_CURSOR: Any = _NoCursor()
NO_DATA_VERSION = NoDataVersion()


class Connection:
    """A connection that one thread at a time uses, and that can be closed and opened again.

    The sqlite3 module gives wrong rows when threads share a connection, whatever its `threadsafety`
    says (https://github.com/python/cpython/issues/118172), so every call holds `lock`. The same lock
    keeps a fork from happening inside SQLite.
    """

    __slots__ = ("_hidden", "_location", "cursor", "data_version", "lock", "noted", "place", "raw")

    def __init__(self, location: Location | None) -> None:
        """Make a connection that is not open yet; *location* is None for one in memory."""
        self.lock = Lock()
        self.raw: sqlite3.Connection | None = None
        self.cursor: sqlite3.Cursor = NO_CURSOR
        self._hidden: sqlite3.Cursor = NO_CURSOR  # the cursor while a transaction is open
        self._location = location
        self.place: FileIdentity | None = None
        self.data_version: DataVersion = NO_DATA_VERSION
        self.noted: dict[str | int, int] = {}  # the versions that statements noted since it was cleared

    def wake(self, raw: sqlite3.Connection, *, watched: bool) -> None:
        """Begin to use an open connection that has read from its file; *watched* to be asked for its data version."""
        self.raw = raw
        # A method of C, where a function of ours would cost twice as much.
        raw.create_function(NOTE_VERSION, 2, self.noted.setdefault)
        self.cursor = raw.cursor()
        if self._location:
            self.place = FileIdentity(self._location)
        if watched:
            self.data_version = make_data_version(raw, self._location.shm if self._location else None)

    def has_moved(self) -> bool:
        """Return whether the file or its log is no longer the one that is open."""
        try:
            return self.place is not None and self.place.has_changed()
        except OSError as error:
            raise like_driver(error) from error

    def is_lost(self) -> bool:
        """Return the same, by a look at the path itself, which costs more and misses nothing."""
        try:
            return self.place is not None and not self.place.is_here()
        except OSError as error:
            raise like_driver(error) from error

    def settle(self) -> None:
        """Leave no statement and no transaction open after a call that was interrupted."""
        if self.raw is None:
            return
        # If a KeyboardInterrupt breaks this off, the next call finds no cursor, and settles first.
        if self.cursor is not NO_CURSOR:
            self._hidden, self.cursor = self.cursor, NO_CURSOR
        self._hidden.close()
        if self.raw.in_transaction:
            self.raw.rollback()
        self._hidden, self.cursor = NO_CURSOR, self.raw.cursor()

    def alone(self, work: Callable[[sqlite3.Cursor], T]) -> T:
        """Call what begins and ends a transaction with the cursor, which nobody else finds before that.

        A KeyboardInterrupt can come anywhere, and a second one where the first is handled. In a transaction that
        stayed open, the next writes would be acknowledged, and lost.
        """
        cursor = self._hidden = self.cursor
        self.cursor = NO_CURSOR
        result = work(cursor)
        self.cursor, self._hidden = cursor, NO_CURSOR
        return result

    def sleep(self) -> None:
        """Close the connection; it can be woken again."""
        raw, self.raw = self.raw, None
        self.cursor.close()
        self._hidden.close()
        self.cursor = self._hidden = NO_CURSOR
        place, self.place = self.place, None
        if place is not None:
            place.close()
        if raw is not None:
            raw.close()
        old, self.data_version = self.data_version, NO_DATA_VERSION
        old.release()

    def abandon(self) -> bool:
        """Stop to use the connection without the checkpoint that a close would make; return whether it is closed.

        That checkpoint would copy a log that is no longer the file's own over newer data, or one of which a failed
        sync has left only a part on the disk.
        """
        raw = self.raw
        closed = raw is None or sys.version_info >= (3, 12)
        if raw is not None and sys.version_info >= (3, 12):
            raw.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)
        elif raw is not None:
            self.freeze()
        self.sleep()
        return closed

    def freeze(self) -> None:
        """Never touch the connection again, nor let it be closed: a child got it in the middle of a call."""
        self.data_version.abandon()
        for thing in (self.raw, self.cursor, self._hidden, self.data_version):
            make_immortal(thing)
        if self.place is not None:
            self.place.close()  # no lock hangs on the descriptor of a directory
        self.raw, self.data_version, self.place = None, NO_DATA_VERSION, None
        self.cursor = self._hidden = NO_CURSOR


def make_immortal(thing: object) -> None:
    """Keep an object from ever being finalized, even when the interpreter exits."""
    import ctypes  # noqa: PLC0415 - rare, and a quarter of the time to import us

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
