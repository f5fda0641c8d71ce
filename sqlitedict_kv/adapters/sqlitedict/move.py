"""Migration of the tables of a file of sqlitedict."""

from __future__ import annotations

import binascii
import os
import shutil
import sqlite3
from base64 import b64decode
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from sqlitedict_kv.adapters._compat.migration import (
    UNKEPT,
    Loads,
    Moved,
    Progress,
    Unpickle,
    UnreadableError,
    choose_loads,
    find_damage,
    load_pickle,
    open_unchanged,
)
from sqlitedict_kv.adapters._compat.table_rows import Gap, TableRows
from sqlitedict_kv.adapters.sqlitedict import coders
from sqlitedict_kv.adapters.sqlitedict.coders import Coder
from sqlitedict_kv.adapters.sqlitedict.table import SqliteDict

MOVED_AT_ONCE = 500  # entries of a transaction
OLD = ".sqlitedict"  # what the name of an old file ends in when the new one has taken its place
NEW = ".moving"  # what the name of a new file ends in until it is complete
LOGS = ("-wal", "-journal")
ORIGINAL_TABLES = """
    SELECT name FROM sqlite_schema AS t
    WHERE type = 'table'
      AND (SELECT group_concat(name || ' ' || type || ' ' || pk) FROM pragma_table_info(t.name))
          = 'key TEXT 1,value BLOB 0'
    ORDER BY rowid
"""
COUNT = "SELECT count(*) FROM {}"
ROWS = "SELECT rowid, key, value FROM {} WHERE rowid >= ? ORDER BY rowid LIMIT ?"


def move(
    filename: str | os.PathLike[str],
    target: str | os.PathLike[str] | None = None,
    tablename: str | None = None,
    flag: str = "c",
    autocommit: bool = False,
    journal_mode: str = "DELETE",
    encode: Coder | None = None,
    decode: Coder | None = None,
    encode_key: Coder | None = None,
    decode_key: Coder | None = None,
    timeout: float = 5,
    outer_stack: bool = True,
    *,
    unpickle: Unpickle = False,
    progress: Progress | None = None,
) -> Moved:
    """Copy the tables of a file of sqlitedict to a store, in the order of their entries.

    Pass what your program passes to :class:`SqliteDict`, and it works with the new file unchanged. The old file stays
    as it is; do not write to it meanwhile. A second run continues where the first was interrupted: entries that the
    target has are left alone.

    Args:
        filename: the old file.
        target: the new file, created if it does not exist. None, or the same file, moves in place: the new file takes
            the name of the old one when it is complete, and the old one is kept under that name and ``.sqlitedict``.
        tablename: the table to move; None moves all of them. Tables that were written with different functions need
            a call each.
        flag: has no effect.
        autocommit: has no effect.
        journal_mode: has no effect.
        encode: as the file was written with, ``json.dumps`` for example. With *decode*, the entries are kept encoded,
            and so must be read with the same two functions.
        decode: as the file was read with; what it fails on is skipped. Without *encode*, the decoded values are
            kept, and read without any function. Left out, values that are not bytes are kept as they are, and bytes
            are taken for pickles.
        encode_key: as the file was written with. That of this module makes texts of keys without pickle, so keys of
            sqlitedict's function of this name, which are pickles, are encoded again.
        decode_key: as the file was read with.
        timeout: seconds to wait while others write to the target.
        outer_stack: has no effect.
        unpickle: what to do with pickles. False skips them. ``"plain"`` reads those of plain data (None, bool, numbers,
            str, bytes, lists, tuples, dicts, sets, dates and times, Decimal, Fraction, UUID, paths, OrderedDict, deque,
            Counter) and skips the others; no code can run. True reads them all, **which runs whatever code they
            contain**; what no codec keeps is skipped then.
        progress: called after each transaction with how many entries of a table were looked at, and how many it has,
            None if that cannot be told.

    Returns:
        what was moved, and what was not and why.

    Raises:
        ValueError: the file has no table of sqlitedict, or not the one that is asked for, or is damaged beyond reading;
            in place, it has a log, so it is in use or its last program was killed.
        FileNotFoundError: the file does not exist.
    """
    del flag, autocommit, journal_mode, outer_stack
    source = Path(filename)
    if not source.is_file():
        raise FileNotFoundError(f"there is no file {source}")
    migration = _Migration(
        tablename,
        _value_reader(encode, decode, loads := choose_loads(unpickle)),
        _key_reader(encode_key, decode_key, loads),
        timeout,
        progress,
    )
    if target is None or (os.path.exists(target) and os.path.samefile(source, target)):
        _move_in_place(source, migration)
    else:
        migration.move(source, Path(target))
    return migration.report


def _move_in_place(source: Path, migration: _Migration) -> None:
    old, new = Path(f"{source}{OLD}"), Path(f"{source}{NEW}")
    if old.exists() and not os.path.samefile(old, source):  # the new file has taken its place already
        migration.move(old, source)
        return
    if logs := [f"{source}{ending}" for ending in LOGS if os.path.lexists(f"{source}{ending}")]:
        raise ValueError(
            f"{source} is in use, or its last program was killed, as there is {logs[0]}; end the programs that use it, "
            f"open and close it with sqlitedict once, and move it then"
        )
    migration.move(source, new)
    shutil.copymode(source, new)
    if not old.exists():
        os.link(source, old)
    os.replace(new, source)


class _Migration:
    """One run of :func:`move`: the tables, how keys and values are read, and the report."""

    def __init__(
        self,
        tablename: str | None,
        read_value: Callable[[Any], Any],
        read_key: Callable[[Any], Any],
        timeout: float,
        progress: Progress | None,
    ) -> None:
        """Move *tablename*, or all tables if it is None."""
        self.report = Moved()
        self._tablename = tablename
        self._read_value = read_value
        self._read_key = read_key
        self._timeout = timeout
        self._progress = progress

    def move(self, source: Path, target: Path) -> None:
        """Copy tables of *source* to *target*."""
        with open_unchanged(source) as connection:
            if (damage := find_damage(connection)) is not None:
                self.report.damaged.append(f"{source}: {damage}")
            for name in self._tables(connection, source):
                with SqliteDict(target, name, timeout=self._timeout) as table:
                    self._copy_table(connection, name, table)

    def _tables(self, connection: sqlite3.Connection, source: Path) -> list[str]:
        names = [name for name, *_ in connection.execute(ORIGINAL_TABLES)]
        if not names:
            raise ValueError(f"{source} has no table of sqlitedict; nothing was moved")
        if self._tablename is None:
            return names
        if self._tablename not in names:
            raise ValueError(f"{source} has no table {self._tablename!r} of sqlitedict; it has {', '.join(names)}")
        for name in names:
            if name != self._tablename:
                self.report.note_unkept(f"table {name!r}: it was not asked for; call move() for it too")
        return [self._tablename]

    def _copy_table(self, connection: sqlite3.Connection, name: str, table: SqliteDict) -> None:
        quoted = '"{}"'.format(name.replace('"', '""'))
        rows, done = iter(TableRows(connection, ROWS.format(quoted))), 0
        total = None if self._progress is None else _count(connection, quoted)
        while batch := list(islice(rows, MOVED_AT_ONCE)):
            for row in batch:
                if isinstance(row, Gap):
                    self.report.skip_gap(name, row)
                    continue
                _, key, stored = row
                try:
                    self._copy_entry(key, stored, table)
                except UNKEPT as error:
                    self.report.skip(name, key, error)
            table.commit()
            done += len(batch)
            if self._progress is not None:
                self._progress(done, total)

    def _copy_entry(self, key: Any, stored: Any, table: SqliteDict) -> None:
        text = self._read_key(key)
        if text in table:
            self.report.present += 1
            return
        table[text] = self._read_value(stored)
        self.report.moved += 1


def _count(connection: sqlite3.Connection, quoted: str) -> int | None:
    """Return how many rows a table has; None if the pages that tell are damaged."""
    try:
        (rows,) = connection.execute(COUNT.format(quoted)).fetchone()
    except sqlite3.DatabaseError:
        return None
    return int(rows)


def _value_reader(encode: Coder | None, decode: Coder | None, loads: Loads | None) -> Callable[[Any], Any]:
    """Return the function that makes what the new file keeps of what the old one kept."""
    if decode is None or decode is coders.decode:
        return lambda stored: load_pickle(stored, "value", loads) if isinstance(stored, bytes) else stored
    keeps_encoded = encode is not None and encode is not coders.encode

    def read(stored: Any) -> Any:
        try:
            value = decode(stored)
        except Exception as error:  # whatever it raises for what another encoder wrote
            raise UnreadableError(f"decode fails on its value: {type(error).__name__}") from error
        return stored if keeps_encoded else value

    return read


def _key_reader(encode_key: Coder | None, decode_key: Coder | None, loads: Loads | None) -> Callable[[Any], Any]:
    """Return the function that makes a key of the new file of one of the old file."""
    if coders.encode_key is not encode_key and coders.decode_key is not decode_key:
        return coders.identity

    def read(stored: Any) -> str:
        try:
            pickled = b64decode(stored, validate=True)
        except (TypeError, ValueError, binascii.Error):
            raise UnreadableError("its key is not one that encode_key of sqlitedict made") from None
        return coders.encode_key(load_pickle(pickled, "key", loads))

    return read
