"""Errors of the sqlite3 module as errors of a store."""

from __future__ import annotations

import sqlite3

from sqlitedict_kv.errors import (
    CorruptStoreError,
    ReadOnlyError,
    StoreBusyError,
    StoreError,
    StoreFullError,
    StoreIOError,
    TooLargeError,
)

# https://www.sqlite.org/rescode.html: the low byte of an extended code is the primary code.
BY_PRIMARY_CODE: dict[int, tuple[type[StoreError | TooLargeError], str]] = {
    sqlite3.SQLITE_BUSY: (StoreBusyError, "others hold the lock"),
    sqlite3.SQLITE_LOCKED: (StoreBusyError, "others hold the lock"),
    sqlite3.SQLITE_FULL: (StoreFullError, "no space is left on the device; nothing was written"),
    sqlite3.SQLITE_IOERR: (StoreIOError, "the operating system failed to read or write the file"),
    sqlite3.SQLITE_CORRUPT: (CorruptStoreError, "the database file is damaged"),
    sqlite3.SQLITE_NOTADB: (CorruptStoreError, "the database file is damaged"),
    sqlite3.SQLITE_READONLY: (ReadOnlyError, "the file cannot be written"),
    sqlite3.SQLITE_TOOBIG: (TooLargeError, "the value is larger than SQLite can keep"),
}
# After one of these, nothing that the connection holds can be trusted: a failed fsync, for example, may have
# dropped pages that the next one reports as written (https://www.usenix.org/conference/atc20/presentation/rebello).
STOPPING = (StoreIOError, CorruptStoreError)


def stops(error: Exception) -> bool:
    """Return whether a store must not go on after an error of ours."""
    return isinstance(error, STOPPING) and not isinstance(error, UndecodableTextError)


class UndecodableTextError(CorruptStoreError):
    """Says that a row holds text that is not UTF-8; other rows can be read."""


def is_busy(error: sqlite3.Error) -> bool:
    """Return whether the call may succeed once somebody else has finished."""
    return primary_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def primary_code(error: sqlite3.Error) -> int | None:
    """Return SQLite's primary result code, or None where the sqlite3 module itself raised."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def like_driver(error: OSError) -> sqlite3.Error:
    """Return what the driver would have raised for an error that we met when we asked the system ourselves."""
    ours = sqlite3.OperationalError(str(error))
    ours.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSTAT
    return ours


def translate(error: sqlite3.Error, label: str) -> StoreError | TooLargeError:
    """Return the library's own error for one of the driver, naming the store."""
    code = primary_code(error)
    if code is None and "decode to UTF-8" in str(error):
        return UndecodableTextError(f"{label}: an entry holds text that is not UTF-8; see Store.check()")
    kind, meaning = BY_PRIMARY_CODE.get(code or 0, (StoreError, "SQLite refused the call"))
    return kind(f"{label}: {meaning} (SQLite says: {error})")


def showable_cause(error: sqlite3.Error) -> sqlite3.Error | None:
    """Return an error of the driver, unless its message quotes the text that it could not decode: that is a value."""
    return None if "decode to UTF-8" in str(error) else error
