"""Migration of a shelf of the standard library's ``shelve``."""

from __future__ import annotations

import dbm
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlitedict_kv import Namespace
from sqlitedict_kv.adapters._compat.migration import (
    Loads,
    Moved,
    Progress,
    Unpickle,
    UnreadableError,
    choose_loads,
    load_pickle,
    open_unchanged,
)
from sqlitedict_kv.adapters.migration.old_entries import Moving, OldEntry

ENDINGS = ("", ".db", ".dat", ".dir", ".pag")  # that a library of dbm puts behind the name it is given
TABLE = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'Dict'"  # that of dbm.sqlite3
ROWS = "SELECT CAST(key AS BLOB), CAST(value AS BLOB) FROM Dict"
COUNT = "SELECT count(*) FROM Dict"

Read = Callable[[], bytes]


def move_shelf(
    path: str | os.PathLike[str],
    namespace: Namespace[str, Any],
    *,
    unpickle: Unpickle = "plain",
    progress: Progress | None = None,
) -> Moved:
    """Copy all entries of a shelf; it stays as it is, and must not be written meanwhile.

    Args:
        path: what ``shelve.open`` takes, or one of the files that it made.
        namespace: where to; entries that are there stay.
        unpickle: what to do with the values, which are pickles: ``"plain"`` reads plain data without running code, and
            True reads all, **which runs whatever code they contain**; False skips them.
        progress: called with how many entries were looked at, and how many there are.

    Raises:
        ValueError: there is no shelf, or one of a library of dbm that is not here.
    """
    loads = choose_loads(unpickle)
    with _open(Path(path)) as (pairs, total):
        moving = Moving(namespace, os.fspath(path), time.time)
        return moving.run((_entry(key, read, loads) for key, read in pairs), total, progress)


def _entry(key: bytes, read: Read, loads: Loads | None) -> OldEntry:
    def load() -> tuple[str, Any, None]:
        try:
            text = key.decode()
        except UnicodeDecodeError:
            raise UnreadableError("its key is not UTF-8") from None
        return text, load_pickle(read(), "value", loads), None

    return OldEntry(bytes(key).decode(errors="backslashreplace"), load)


@contextmanager
def _open(path: Path) -> Iterator[tuple[Iterator[tuple[bytes, Read]], int]]:
    """Give the keys and ways to the values of a shelf, and how many there are."""
    if path.is_file() and is_sqlite_shelf(path):
        with open_unchanged(path) as connection:
            (count,) = connection.execute(COUNT).fetchone()
            yield ((bytes(key), partial(bytes, value)) for key, value in connection.execute(ROWS)), count
        return
    name = name_of_shelf(path)
    if name is None:
        raise ValueError(f"there is no shelf at {path}, or one of a library of dbm that is not installed here")
    with closing(dbm.open(name, "r")) as database:
        keys = [bytes(key) for key in database.keys()]  # type: ignore[arg-type] # noqa: SIM118 - gdbm's objects do not iterate
        yield ((key, partial(database.__getitem__, key)) for key in keys), len(keys)


def name_of_shelf(path: Path) -> str | None:
    """Return the name by which dbm opens a shelf, None if it is none."""
    for ending in ENDINGS:
        name = str(path).removesuffix(ending)
        if (not ending or str(path).endswith(ending)) and dbm.whichdb(name):
            return name
    return None


def is_sqlite_shelf(path: Path) -> bool:
    """Return whether a file is a shelf of dbm.sqlite3, which Python has since 3.13."""
    try:
        with open_unchanged(path) as connection:
            return connection.execute(TABLE).fetchone() is not None
    except (ValueError, sqlite3.Error):
        return False
