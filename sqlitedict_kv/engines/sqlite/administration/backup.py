"""A consistent copy of a store in a new file."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable

from sqlitedict_kv.engines.sqlite.database import Database
from sqlitedict_kv.engines.sqlite.files.location import PRIVATE_FILE, sync_directory
from sqlitedict_kv.errors import OpenError

Tell = Callable[[int, int], object]

PAGES_PER_STEP = 1000


def write_backup(database: Database, path: str, tell: Tell | None = None) -> None:
    """Write a consistent copy to a new file.

    The copy grows under another name and gets its own only when it is whole.
    """
    partial = f"{path}.{os.getpid()}.partial"
    try:
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE_FILE))
        try:
            _copy_to(database, partial, tell)
            if os.path.lexists(path):
                raise OpenError(f"cannot write a backup to {path}: something is there already")
            os.rename(partial, path)
            sync_directory(os.path.dirname(os.path.abspath(path)))
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(partial)
            raise
    except OSError as error:
        raise OpenError(f"cannot write a backup to {path}: {error}") from error


def _copy_to(database: Database, path: str, tell: Tell | None) -> None:
    try:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as target:
            with database.aside() as cursor:
                try:
                    _copy_pages(cursor, target, tell)
                except sqlite3.OperationalError as error:  # of the copy, most likely: no reason to stop the store
                    raise OpenError(f"cannot write a backup to {path}: {error}") from error
            # So that the copy is one file, its log in it.
            (mode,) = target.execute("PRAGMA journal_mode = DELETE").fetchone()
            if mode != "delete":
                raise OpenError(f"cannot write a backup to {path}: it stays in journal mode {mode}")
    except sqlite3.Error as error:
        raise OpenError(f"cannot write a backup to {path}: {error}") from error


def _copy_pages(cursor: sqlite3.Cursor, target: sqlite3.Connection, tell: Tell | None) -> None:
    """Copy all pages of one snapshot, while others write: in one step, or in several within one transaction."""
    if tell is None:
        cursor.connection.backup(target)
        return
    cursor.execute("BEGIN")
    try:
        cursor.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # the snapshot begins with the first read
        cursor.connection.backup(
            target, pages=PAGES_PER_STEP, progress=lambda _, left, total: tell(total - left, total)
        )
    finally:
        cursor.connection.rollback()
