"""Migration of the tables of a file of sqlitedict."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

from sqlitedict_kv import CodecError, TooLargeError
from sqlitedict_kv.adapters._compat.migration import (
    Loads,
    Moved,
    Unpickle,
    UnreadableError,
    choose_loads,
    load_pickle,
    open_unchanged,
)
from sqlitedict_kv.adapters.sqlitedict.coders import Coder
from sqlitedict_kv.adapters.sqlitedict.table import SqliteDict

MOVED_AT_ONCE = 500  # entries of a transaction
THEIR_TABLES = """
    SELECT name FROM sqlite_schema AS t
    WHERE type = 'table'
      AND (SELECT group_concat(name || ' ' || type || ' ' || pk) FROM pragma_table_info(t.name))
          = 'key TEXT 1,value BLOB 0'
    ORDER BY rowid
"""


def move(
    filename: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    decode: Coder | None = None,
    unpickle: Unpickle = False,
) -> Moved:
    """Copy the tables of a file of sqlitedict to a store, in the order of their entries.

    The file stays as it is; do not write to it meanwhile. A second run continues where the first was
    interrupted: entries that the target has are left alone.

    Args:
        filename: the old file.
        target: the new file, created if it does not exist.
        decode: as the file was written with, ``json.loads`` for example; left out, values that are not bytes are taken
            as they are, and bytes are taken for pickles. What it fails on is skipped.
        unpickle: what to do with pickles. False skips them. ``"plain"`` reads those of plain data (None, bool, numbers,
            str, bytes, lists, tuples, dicts, sets) and skips those that would import or call anything. True reads them
            all, **which runs whatever code they contain**; what no codec keeps is skipped then.

    Returns:
        what was moved, and what was not and why.

    Raises:
        ValueError: the file has no table of sqlitedict, or is damaged.
        FileNotFoundError: the file does not exist.
    """
    source = Path(filename)
    if not source.is_file():
        raise FileNotFoundError(f"there is no file {source}")
    loads = choose_loads(unpickle)
    if os.path.exists(target) and os.path.samefile(source, target):
        raise ValueError("target must be another file: the old one stays as it is")
    report = Moved()
    with open_unchanged(source) as connection:
        tables = [name for name, *_ in connection.execute(THEIR_TABLES)]
        if not tables:
            raise ValueError(f"{source} has no table of sqlitedict; nothing was moved")
        for name in tables:
            with SqliteDict(target, name) as table:
                _copy_table(connection, name, table, report, decode=decode, loads=loads)
    return report


def _copy_table(
    connection: sqlite3.Connection,
    name: str,
    table: SqliteDict,
    report: Moved,
    *,
    decode: Coder | None,
    loads: Loads | None,
) -> None:
    quoted = name.replace('"', '""')
    rows = connection.execute(f'SELECT key, value FROM "{quoted}" ORDER BY rowid')
    while batch := rows.fetchmany(MOVED_AT_ONCE):
        for key, stored in batch:
            try:
                if key in table:
                    report.present += 1
                    continue
                table[key] = _decoded(stored, decode) if decode else _value_of(stored, loads)
                report.moved += 1
            except (UnreadableError, CodecError, TooLargeError, TypeError, ValueError) as error:
                report.skip(name, key, error)
        table.commit()


def _decoded(stored: Any, decode: Coder) -> Any:
    try:
        return decode(stored)
    except Exception as error:  # whatever it raises for what another encoder wrote
        raise UnreadableError(f"decode fails on its value: {type(error).__name__}") from error


def _value_of(stored: Any, loads: Loads | None) -> Any:
    return load_pickle(stored, "value", loads) if isinstance(stored, bytes) else stored
