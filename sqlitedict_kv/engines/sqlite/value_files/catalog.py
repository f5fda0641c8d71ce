"""Table of the value files: which there are, for which entries, and what is to be done with them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sqlitedict_kv.codecs.file_reference import FILE, NAME, BadReferenceError, FileReference, new_name, parse_reference
from sqlitedict_kv.engines.sqlite.files.value_table import FILE_INDEX, FILE_TABLE
from sqlitedict_kv.engines.sqlite.schema import WITH_FILES, raise_format

WRITTEN, SYNCED, DEAD = 0, 1, 2  # states; nothing refers to a dead one any more

USER_VERSION = "PRAGMA {}.user_version"
HAS_TABLE = "SELECT 1 FROM {}.sqlite_schema WHERE name = 'kv_file'"
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
ALL_SIZES = """
    SELECT count(*), ifnull(sum(size), 0), ifnull(sum(iif(state = 2, size, 0)), 0) FROM kv_file WHERE name <> ''
"""
MARK_ALL_DEAD = "UPDATE kv_file SET state = 2 WHERE name <> ''"
FORGET_ALL = "DELETE FROM kv_file WHERE name <> ''"
LIVE_FILES = """
    SELECT file.name, file.ns, file.key, file.size FROM {0}.kv_file AS file JOIN {0}.kv AS kv USING (ns, key)
    WHERE kv.content_type = ? AND instr(kv.value, CAST(file.name AS BLOB)) ORDER BY file.name
"""
MARK_SYNCED = "UPDATE kv_file SET state = 1 WHERE name = ? AND state = 0"
# The type lies behind the value: to look at it in a row of 4 MB takes 1 ms. So only short rows are asked for theirs.
REFERENCES = "SELECT ns, key, value FROM kv WHERE iif(length(value) <= 32768, content_type = ?, 0)"
REVIVE = "UPDATE kv_file SET ns = ?, key = ?, state = 0 WHERE name = ?"
FORGET = "DELETE FROM kv_file WHERE name = ? AND state = 2"
STATE = "SELECT state FROM kv_file WHERE name = ?"
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


class KnownFile(NamedTuple):
    """A file that an entry refers to."""

    name: str
    namespace: str
    key: str
    size: int  # bytes


class FileSizes(NamedTuple):
    """How much is in files."""

    files: int  # that the database knows, dead ones included
    size: int  # bytes of all of them
    dead: int  # bytes of those that nothing refers to any more


NO_FILES = FileSizes(0, 0, 0)


def has_files(cursor: sqlite3.Cursor, schema: str = "main") -> bool:
    """Return whether a database has ever had a value in a file; *schema* is the name by which it is attached."""
    (version,) = cursor.execute(USER_VERSION.format(schema)).fetchone()
    if int(version) <= WITH_FILES:
        return int(version) == WITH_FILES
    return cursor.execute(HAS_TABLE.format(schema)).fetchone() is not None


def prepare(cursor: sqlite3.Cursor) -> str | None:
    """Make the table if there is none; return the id of the store, None if it has none yet."""
    if not has_files(cursor):
        cursor.execute(FILE_TABLE)
        cursor.execute(FILE_INDEX)
        raise_format(cursor, WITH_FILES)
    return owner_of(cursor)


def owner_of(cursor: sqlite3.Cursor) -> str | None:
    """Return the id of the store, None if it has none."""
    row = cursor.execute(OWNER).fetchone() if has_files(cursor) else None
    return None if row is None else str(row[0])


def set_owner(cursor: sqlite3.Cursor, owner: str | None) -> str:
    """Give the store an id, a new one if *owner* is None, and return it."""
    chosen = new_name() if owner is None else owner
    cursor.execute(SET_OWNER, (chosen,))
    return chosen


def enter(cursor: sqlite3.Cursor, name: str, entry: tuple[str, str], size: int, *, durable: bool) -> None:
    """Note a file that an entry is about to refer to, and that the file of its predecessor is dead."""
    bury_predecessor(cursor, entry)
    cursor.execute(ADD, (name, *entry, size, SYNCED if durable else WRITTEN))


def bury_predecessor(cursor: sqlite3.Cursor, entry: tuple[str, str]) -> None:
    """Note that the file of an entry, if it has one, is dead once this transaction is committed."""
    row = cursor.execute(PREDECESSOR, (*entry, FILE)).fetchone()
    reference = None if row is None else reference_of(row[0])
    if reference is not None:  # the walk finds what a damaged one stood for
        cursor.execute(MARK_DEAD, (reference.file,))


def bury_references(cursor: sqlite3.Cursor, references: Iterable[object]) -> None:
    """Note that nothing refers to the files of entries that were removed, given what their rows held."""
    names = [(found.file,) for found in map(reference_of, references) if found is not None]
    if names and has_files(cursor):
        cursor.executemany(MARK_DEAD, names)


def reference_of(body: object) -> FileReference | None:
    """Return the reference that a row holds; None if it is damaged."""
    if type(body) is not bytes:
        return None
    try:
        return parse_reference(body)
    except BadReferenceError:
        return None


def sizes(cursor: sqlite3.Cursor) -> FileSizes:
    """Return how many files there are, and their bytes."""
    if not has_files(cursor):
        return NO_FILES
    return FileSizes(*cursor.execute(ALL_SIZES).fetchone())


def replace(cursor: sqlite3.Cursor, files: Iterable[KnownFile]) -> None:
    """Enter files that are safe on the disk; all others are dead."""
    cursor.execute(MARK_ALL_DEAD)
    cursor.executemany(ADD, [(*file, SYNCED) for file in files])


def live_files(cursor: sqlite3.Cursor, schema: str = "main") -> list[KnownFile]:
    """Return the files that entries of a database refer to; *schema* is the name by which it is attached."""
    rows = cursor.execute(LIVE_FILES.format(schema), (FILE,)).fetchall()
    return [KnownFile(*row) for row in rows if NAME.fullmatch(row[0])]


def keep_only_live(cursor: sqlite3.Cursor) -> list[KnownFile]:
    """Leave in a table only what entries refer to, all of it as safe on the disk, and return it."""
    if not has_files(cursor):
        return []
    files = live_files(cursor)
    cursor.execute("BEGIN")
    cursor.execute(FORGET_ALL)
    cursor.executemany(ADD, [(*file, SYNCED) for file in files])
    cursor.execute("COMMIT")
    return files


def names_in(cursor: sqlite3.Cursor, state: int, limit: int) -> list[str]:
    """Return the names of files in a state, *limit* at most; -1 is all."""
    if not has_files(cursor):
        return []
    return [name for (name,) in cursor.execute(NAMES_IN_STATE, (state, limit))]


def is_alive(cursor: sqlite3.Cursor, name: str) -> bool:
    """Return whether an entry refers to a file."""
    row = cursor.execute(IS_ALIVE, (FILE, name)).fetchone()
    return row is not None and bool(row[0])


def unknown_of(cursor: sqlite3.Cursor, names: Iterable[str]) -> list[str]:
    """Return those of the names that the table does not have."""
    return [name for name in names if cursor.execute(IS_KNOWN, (name,)).fetchone() is None]


def still_dead(cursor: sqlite3.Cursor, names: Iterable[str]) -> list[str]:
    """Return those of the names that the table has as dead."""
    return [name for name in names if cursor.execute(STATE, (name,)).fetchone() == (DEAD,)]


def mark_synced(cursor: sqlite3.Cursor, names: Iterable[str]) -> None:
    """Note that files are on the disk."""
    cursor.executemany(MARK_SYNCED, [(name,) for name in names])


def mark_dead(cursor: sqlite3.Cursor, names: Iterable[str]) -> None:
    """Note that nothing refers to these files."""
    cursor.executemany(MARK_DEAD, [(name,) for name in names])


def referring_to(cursor: sqlite3.Cursor, names: set[str]) -> dict[str, tuple[str, str]]:
    """Return which of these files an entry refers to, whatever the table says, with namespace and key of the entry."""
    found: dict[str, tuple[str, str]] = {}
    for namespace, key, body in cursor.execute(REFERENCES, (FILE,)).fetchall():
        try:
            name = parse_reference(body).file
        except (BadReferenceError, TypeError):
            continue
        if name in names:
            found[name] = (namespace, key)
    return found


def revive(cursor: sqlite3.Cursor, entries: Mapping[str, tuple[str, str]]) -> None:
    """Note that entries refer to files that were taken for dead."""
    cursor.executemany(REVIVE, [(*entry, name) for name, entry in entries.items()])
