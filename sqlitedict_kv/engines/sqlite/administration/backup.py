"""A consistent copy of a store in a new file, with its value files in a folder beside it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable

from sqlitedict_kv.engines.sqlite.database import Database
from sqlitedict_kv.engines.sqlite.files.location import PRIVATE_FILE, VALUES, sync_directory
from sqlitedict_kv.engines.sqlite.value_files import catalog
from sqlitedict_kv.engines.sqlite.value_files.catalog import KnownFile
from sqlitedict_kv.engines.sqlite.value_files.folder import OpenFolder, ValueFolder
from sqlitedict_kv.engines.sqlite.value_files.transfer import transfer
from sqlitedict_kv.errors import MissingFileError, OpenError

ATTEMPTS = 2  # the second one where the first large value came while the first one was made

Tell = Callable[[int, int], object]

PAGES_PER_STEP = 1000


def write_backup(
    database: Database, path: str, folder: ValueFolder | None = None, tell: Tell | None = None, *, link: bool = False
) -> None:
    """Write a consistent copy to a new file, and the value files that it refers to into a folder beside that.

    Both grow under other names and get their own only when they are whole. With *link* the files are not copied, but
    get a second name.
    """
    # First, for a process that was forked while a thread was inside SQLite must not open the copy either: the thread
    # may have held a mutex of the whole process, which nobody gives back.
    database.require_usable()
    partial = f"{path}.{os.getpid()}.partial"
    try:
        _refuse_occupied(path)
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE_FILE))
        try:
            has_files = _write_partial(database, partial, folder, tell, link=link)
            _refuse_occupied(path)
            if has_files:  # first, for a folder without its file is no harm
                os.rename(partial + VALUES, path + VALUES)
            os.rename(partial, path)
            sync_directory(os.path.dirname(os.path.abspath(path)))
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(partial)
            import shutil  # noqa: PLC0415 - it imports what decompresses archives

            shutil.rmtree(partial + VALUES, ignore_errors=True)
            raise
    except OSError as error:
        raise OpenError(f"cannot write a backup to {path}: {error}") from error


def _refuse_occupied(path: str) -> None:
    for occupied in (path, path + VALUES):
        if os.path.lexists(occupied):
            there = "" if occupied == path else f", {occupied}"
            raise OpenError(f"cannot write a backup to {path}: something is there already{there}")


def _write_partial(database: Database, path: str, folder: ValueFolder | None, tell: Tell | None, *, link: bool) -> bool:
    """Write both under names that are not final; return whether there are value files."""
    if folder is None:
        _copy_to(database, path, tell)
        return False
    files: list[KnownFile] = []
    for _ in range(ATTEMPTS):
        with folder.kept() as source:  # what the copy refers to stays
            files, owner = _copy_to(database, path, tell)
            if not files:
                return False
            if source is not None:
                _transfer_to(path, source, files, owner, link=link)
                return True
    name, namespace, key, _ = files[0]
    raise MissingFileError(namespace, key, f"its file {name} is in {folder.path}, which is not there")


def _transfer_to(path: str, source: OpenFolder, files: list[KnownFile], owner: str | None, *, link: bool) -> None:
    with ValueFolder(os.path.abspath(path)).made() as target:
        if owner is not None:
            target.claim(owner)
        transfer(source, target, files, link=link)


def _copy_to(database: Database, path: str, tell: Tell | None) -> tuple[list[KnownFile], str | None]:
    """Copy the database; return the files that it refers to, and the id of the store."""
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
            return catalog.keep_only_live(target.cursor()), catalog.owner_of(target.cursor())
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
