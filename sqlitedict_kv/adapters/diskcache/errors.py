"""Errors of diskcache's API, which programs may also catch as those of ``sqlite3``, and its warnings."""

from __future__ import annotations

import sqlite3

from sqlitedict_kv import (
    CorruptStoreError,
    DamagedEntryError,
    KVError,
    NewerFormatError,
    NotADatabaseError,
    ReadOnlyError,
    StoreDetachedError,
    StoreError,
    StoreFullError,
    StoreIOError,
)


class Timeout(Exception):  # noqa: N818 - diskcache's name
    """Says that others held the lock of the cache for the whole timeout."""


class EmptyDirWarning(UserWarning):
    """Never issued, because there are no directories of values; it exists so that filters of warnings keep working."""


class UnknownFileWarning(UserWarning):
    """Never issued, because there are no files of values; it exists so that filters of warnings keep working."""


class NotACacheError(NotADatabaseError, sqlite3.DatabaseError):
    """Says that the file is not a database."""


class NewerCacheError(NewerFormatError, sqlite3.DatabaseError):
    """Says that a later release wrote the file."""


class DamagedValueError(DamagedEntryError, sqlite3.DatabaseError):
    """Says that one entry is damaged; the others can be read."""


class DamagedCacheError(CorruptStoreError, sqlite3.DatabaseError):
    """Says that the file is damaged."""


class CacheFullError(StoreFullError, sqlite3.OperationalError):
    """Says that no space is left; nothing was written."""


class CacheIOError(StoreIOError, sqlite3.OperationalError):
    """Says that the operating system failed."""


class CacheDetachedError(StoreDetachedError, sqlite3.OperationalError):
    """Says that the file was replaced or lost its locks."""


class CacheReadOnlyError(ReadOnlyError, sqlite3.OperationalError):
    """Says that the file cannot be written."""


class CacheError(StoreError, sqlite3.OperationalError):
    """Says that the file failed in another way."""


KINDS: tuple[tuple[type[KVError], type[KVError]], ...] = (
    (NotADatabaseError, NotACacheError),
    (NewerFormatError, NewerCacheError),
    (CorruptStoreError, DamagedCacheError),
    (StoreFullError, CacheFullError),
    (StoreIOError, CacheIOError),
    (StoreDetachedError, CacheDetachedError),
    (ReadOnlyError, CacheReadOnlyError),
    (StoreError, CacheError),
)


def like_sqlite3(error: KVError) -> KVError:
    """Return an error of the same kind that is also one of ``sqlite3``; the error itself if there is none."""
    if isinstance(error, sqlite3.Error):
        return error
    if isinstance(error, DamagedEntryError):
        return DamagedValueError(error.namespace, error.key, error.reason)
    return next((ours(str(error)) for kind, ours in KINDS if isinstance(error, kind)), error)
