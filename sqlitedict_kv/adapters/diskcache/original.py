"""Directories of diskcache, read without diskcache and without changing anything in them."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from sqlitedict_kv.adapters._compat.migration import Loads, UnreadableError, find_damage, load_pickle, open_unchanged
from sqlitedict_kv.adapters._compat.table_rows import Gap, TableRows
from sqlitedict_kv.adapters.diskcache.directory import ORIGINAL_FILE
from sqlitedict_kv.adapters.diskcache.disk import MODE_BINARY, MODE_PICKLE, MODE_TEXT
from sqlitedict_kv.adapters.diskcache.values import MODE_RAW

TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table'"
SETTINGS = "SELECT key, value FROM Settings"
ROWS = """
    SELECT rowid, key, raw, expire_time, tag, mode, filename, size, value FROM Cache
    WHERE rowid >= ? ORDER BY rowid LIMIT ?
"""
COUNT = "SELECT count(*) FROM Cache"
SAMPLED = 100  # keys
LARGEST_JSON = 128 * 2**20  # bytes, decompressed; a few kilobytes can become any number of them


class Row(NamedTuple):
    """A row of diskcache's table."""

    rowid: int
    key: Any
    raw: int
    expire_time: float | None
    tag: Any
    mode: int
    filename: str | None
    size: int  # of the file, in bytes
    value: Any


class OriginalDirectory:
    """The settings and rows of a directory."""

    def __init__(self, connection: sqlite3.Connection, directory: Path) -> None:
        """Read by *connection*, and values that are files from *directory*."""
        self._connection = connection
        self._directory = directory
        self.damage = find_damage(connection)
        self.settings = self._read_settings()

    def _read_settings(self) -> dict[str, Any]:
        try:
            return dict(self._connection.execute(SETTINGS).fetchall())
        except sqlite3.DatabaseError:  # that page is damaged
            return {}

    def rows(self) -> Iterator[Row | Gap]:
        """Yield all rows in the order in which they were inserted, and gaps in place of those that are damaged."""
        for row in TableRows(self._connection, ROWS):
            yield row if isinstance(row, Gap) else Row(*row)

    def count(self) -> int | None:
        """Return how many rows there are; None if the pages that tell are damaged."""
        try:
            (rows,) = self._connection.execute(COUNT).fetchone()
        except sqlite3.DatabaseError:
            return None
        return int(rows)

    def looks_like_json(self) -> bool:
        """Return whether the keys are those of a JSONDisk: compressed JSON."""
        sample = list(islice((row for row in self.rows() if isinstance(row, Row)), SAMPLED))
        return bool(sample) and all(row.raw and isinstance(row.key, bytes) and _is_json(row.key) for row in sample)

    def key(self, row: Row, *, as_json: bool, loads: Loads | None) -> Any:
        """Return the key of a row; raise UnreadableError if it is a pickle that must not be read."""
        if not row.raw:
            return load_pickle(row.key, "key", loads)
        return _from_json(row.key, "key") if as_json else row.key

    def value(self, row: Row, *, as_json: bool, loads: Loads | None) -> Any:
        """Return the value of a row; raise UnreadableError if it is a pickle that must not be read, or lost."""
        if row.mode == MODE_RAW:
            value = row.value
        elif row.mode == MODE_BINARY:
            value = self._content(row)
        elif row.mode == MODE_TEXT:
            value = self._text(row)
        elif row.mode == MODE_PICKLE:
            pickled = self._content(row) if row.value is None else row.value
            return load_pickle(pickled, "value", loads)
        else:
            raise UnreadableError(f"its mode {row.mode!r} is unknown")
        return _from_json(value, "value") if as_json else value

    def _text(self, row: Row) -> str:
        try:
            text = self._content(row).decode()
        except UnicodeDecodeError:
            raise UnreadableError("its file is not UTF-8") from None
        return text if os.linesep == "\n" else text.replace(os.linesep, "\n")

    def _content(self, row: Row) -> bytes:
        """Return the bytes of the file of a row; raise UnreadableError if the file is lost or not whole."""
        if not isinstance(row.filename, str):
            raise UnreadableError("it names no file")
        path = self._directory / row.filename.replace("\\", "/")  # as Windows wrote it
        try:
            if not path.resolve().is_relative_to(self._directory.resolve()):
                raise UnreadableError("it names a file outside of the directory")
            # O_NONBLOCK: opening a FIFO would wait for a writer
            with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise UnreadableError("its file is not a regular file")
                if status.st_size != row.size:
                    raise UnreadableError(f"its file has {status.st_size:,} bytes, and should have {row.size!r}")
                return file.read()
        except OSError as error:
            raise UnreadableError(f"its file cannot be read: {error.strerror}") from error


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
        stream = zlib.decompressobj()
        text = stream.decompress(compressed, LARGEST_JSON)
        if not stream.eof:
            raise UnreadableError(f"its {what} is JSON that is cut off, or has more than {LARGEST_JSON:,} bytes")
        return json.loads(text)
    except RecursionError:
        raise UnreadableError(f"its {what} is JSON that is nested too deeply") from None
    except (TypeError, ValueError, zlib.error) as error:
        raise UnreadableError(f"its {what} is not compressed JSON") from error
