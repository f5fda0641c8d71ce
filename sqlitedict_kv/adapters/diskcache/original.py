"""Directories of diskcache, read without diskcache and without changing anything in them."""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from sqlitedict_kv.adapters._compat.migration import Loads, UnreadableError, load_pickle, open_unchanged
from sqlitedict_kv.adapters.diskcache.directory import ORIGINAL_FILE

RAW, BINARY, TEXT, PICKLE = 1, 2, 3, 4  # diskcache's column `mode`

TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table'"
SETTINGS = "SELECT key, value FROM Settings"
ROWS = """
    SELECT rowid, key, raw, expire_time, tag, mode, filename, value FROM Cache WHERE rowid > ? ORDER BY rowid LIMIT ?
"""
SAMPLE = "SELECT key, raw FROM Cache ORDER BY rowid LIMIT 100"
ROWS_AT_ONCE = 200


class Row(NamedTuple):
    """A row of diskcache's table."""

    rowid: int
    key: Any
    raw: int
    expire_time: float | None
    tag: Any
    mode: int
    filename: str | None
    value: Any


class OriginalDirectory:
    """The settings and rows of a directory."""

    def __init__(self, connection: sqlite3.Connection, directory: Path) -> None:
        """Read by *connection*, and values that are files from *directory*."""
        self._connection = connection
        self._directory = directory
        self.settings: dict[str, Any] = dict(connection.execute(SETTINGS).fetchall())

    def rows(self) -> Iterator[Row]:
        """Yield all rows in the order in which they were inserted."""
        last = 0
        while found := self._connection.execute(ROWS, (last, ROWS_AT_ONCE)).fetchall():
            for row in found:
                yield Row(*row)
            last = found[-1][0]

    def looks_like_json(self) -> bool:
        """Return whether the keys are those of a JSONDisk: compressed JSON."""
        sample = self._connection.execute(SAMPLE).fetchall()
        return bool(sample) and all(raw and isinstance(key, bytes) and _is_json(key) for key, raw in sample)

    def key(self, row: Row, *, as_json: bool, loads: Loads | None) -> Any:
        """Return the key of a row; raise UnreadableError if it is a pickle that must not be read."""
        if not row.raw:
            return load_pickle(row.key, "key", loads)
        return _from_json(row.key, "key") if as_json else row.key

    def value(self, row: Row, *, as_json: bool, loads: Loads | None) -> Any:
        """Return the value of a row; raise UnreadableError if it is a pickle that must not be read, or lost."""
        if row.mode == RAW:
            value = row.value
        elif row.mode == BINARY:
            value = self._content(row.filename)
        elif row.mode == TEXT:
            value = self._text(row.filename)
        elif row.mode == PICKLE:
            pickled = self._content(row.filename) if row.value is None else row.value
            return load_pickle(pickled, "value", loads)
        else:
            raise UnreadableError(f"its mode {row.mode!r} is unknown")
        return _from_json(value, "value") if as_json else value

    def _content(self, filename: Any) -> bytes:
        if not isinstance(filename, str):
            raise UnreadableError("it names no file")
        path = self._directory / filename.replace("\\", "/")  # as Windows wrote it
        try:
            if not path.resolve().is_relative_to(self._directory.resolve()):
                raise UnreadableError("it names a file outside of the directory")
            return path.read_bytes()
        except OSError as error:
            raise UnreadableError(f"its file cannot be read: {error.strerror}") from error

    def _text(self, filename: Any) -> str:
        try:
            text = self._content(filename).decode()
        except UnicodeDecodeError:
            raise UnreadableError("its file is not UTF-8") from None
        return text if os.linesep == "\n" else text.replace(os.linesep, "\n")


def is_original(directory: Path) -> bool:
    """Return whether a directory has a file of the name that diskcache gives its own."""
    return (directory / ORIGINAL_FILE).is_file()


@contextmanager
def open_original(directory: Path) -> Iterator[OriginalDirectory]:
    """Open a directory of diskcache for reading; raise ValueError if it is not one, or is damaged."""
    path = directory / ORIGINAL_FILE
    with open_unchanged(path) as connection:
        tables = {name for (name,) in connection.execute(TABLES)}
        if not {"Settings", "Cache"} <= tables:
            raise ValueError(f"{path} has no tables of diskcache; nothing was moved from it")
        yield OriginalDirectory(connection, directory)


def _is_json(compressed: bytes) -> bool:
    try:
        _from_json(compressed, "key")
    except UnreadableError:
        return False
    return True


def _from_json(compressed: Any, what: str) -> Any:
    try:
        return json.loads(zlib.decompress(compressed))
    except (TypeError, ValueError, zlib.error) as error:
        raise UnreadableError(f"its {what} is not compressed JSON") from error
