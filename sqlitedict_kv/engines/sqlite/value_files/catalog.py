"""Table of the value files: which there are, for which entries, and what is to be done with them."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterable

from sqlitedict_kv.codecs.file_reference import FILE, BadReferenceError, parse_reference
from sqlitedict_kv.engines.sqlite.files.value_table import FILE_INDEX, FILE_TABLE
from sqlitedict_kv.engines.sqlite.schema import WITH_FILES

WRITTEN, SYNCED, DEAD = 0, 1, 2  # states; nothing refers to a dead one any more

USER_VERSION = "PRAGMA main.user_version"
OWNER = "SELECT ns FROM kv_file WHERE name = ''"
SET_OWNER = "INSERT INTO kv_file (name, ns, key, size, state) VALUES ('', ?, '', 0, 1)"
PREDECESSOR = "SELECT value FROM kv WHERE ns = ? AND key = ? AND content_type = ?"
MARK_DEAD = "UPDATE kv_file SET state = 2 WHERE name = ?"
ADD = """
    INSERT INTO kv_file (name, ns, key, size, state) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (name) DO UPDATE SET ns = excluded.ns, key = excluded.key, state = excluded.state
"""
NAMES_IN_STATE = "SELECT name FROM kv_file WHERE state = ? AND name <> '' LIMIT ?"
BYTES_IN_STATE = "SELECT count(*), ifnull(sum(size), 0) FROM kv_file WHERE state = ? AND name <> ''"
ALL_BYTES = "SELECT count(*), ifnull(sum(size), 0) FROM kv_file WHERE name <> ''"
MARK_SYNCED = "UPDATE kv_file SET state = 1 WHERE name = ? AND state = 0"
FORGET = "DELETE FROM kv_file WHERE name = ? AND state = 2"
IS_KNOWN = "SELECT 1 FROM kv_file WHERE name = ?"
# Names in turn, with whether the row still refers to each: another program may have written it, or removed it.
WALK = """
    SELECT name, state = 2 OR EXISTS (
        SELECT 1 FROM kv WHERE kv.ns = kv_file.ns AND kv.key = kv_file.key AND kv.content_type = ?
        AND instr(kv.value, CAST(kv_file.name AS BLOB))
    ) FROM kv_file WHERE name > ? ORDER BY name LIMIT ?
"""

IS_ALIVE = """
    SELECT EXISTS (
        SELECT 1 FROM kv WHERE kv.ns = kv_file.ns AND kv.key = kv_file.key AND kv.content_type = ?
        AND instr(kv.value, CAST(kv_file.name AS BLOB))
    ) FROM kv_file WHERE name = ?
"""


def has_files(cursor: sqlite3.Cursor) -> bool:
    """Return whether the database has ever had a value in a file."""
    (version,) = cursor.execute(USER_VERSION).fetchone()
    return int(version) >= WITH_FILES


def prepare(cursor: sqlite3.Cursor) -> str | None:
    """Make the table if there is none; return the id of the store, None if it has none yet."""
    if not has_files(cursor):
        cursor.execute(FILE_TABLE)
        cursor.execute(FILE_INDEX)
        cursor.execute(f"PRAGMA main.user_version = {WITH_FILES}")
    return owner_of(cursor)


def owner_of(cursor: sqlite3.Cursor) -> str | None:
    """Return the id of the store, None if it has none."""
    row = cursor.execute(OWNER).fetchone() if has_files(cursor) else None
    return None if row is None else str(row[0])


def set_owner(cursor: sqlite3.Cursor, owner: str | None) -> str:
    """Give the store an id, a new one if *owner* is None, and return it."""
    chosen = secrets.token_hex(16) if owner is None else owner
    cursor.execute(SET_OWNER, (chosen,))
    return chosen


def enter(cursor: sqlite3.Cursor, name: str, entry: tuple[str, str], size: int, *, durable: bool) -> None:
    """Note a file that an entry is about to refer to, and that the file of its predecessor is dead."""
    bury_predecessor(cursor, entry)
    cursor.execute(ADD, (name, *entry, size, SYNCED if durable else WRITTEN))


def bury_predecessor(cursor: sqlite3.Cursor, entry: tuple[str, str]) -> None:
    """Note that the file of an entry, if it has one, is dead once this transaction is committed."""
    row = cursor.execute(PREDECESSOR, (*entry, FILE)).fetchone()
    if row is None or type(row[0]) is not bytes:
        return
    try:
        name = parse_reference(row[0]).file
    except BadReferenceError:  # the walk finds what it stood for
        return
    cursor.execute(MARK_DEAD, (name,))


def is_alive(cursor: sqlite3.Cursor, name: str) -> bool:
    """Return whether an entry refers to a file."""
    row = cursor.execute(IS_ALIVE, (FILE, name)).fetchone()
    return row is not None and bool(row[0])


def mark_dead(cursor: sqlite3.Cursor, names: Iterable[str]) -> None:
    """Note that nothing refers to these files."""
    cursor.executemany(MARK_DEAD, [(name,) for name in names])
