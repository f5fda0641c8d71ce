"""Edits as statements that write rows, run within the open transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from sqlitedict_kv.engines.protocol import Advance, Change, Check, Delete, Edit, Put, Touch
from sqlitedict_kv.engines.sqlite.checksum import READ, batches, checksum, crc, is_checked, record_of, seal
from sqlitedict_kv.engines.sqlite.maintenance import RAISE_FLOOR
from sqlitedict_kv.engines.sqlite.session import Noted
from sqlitedict_kv.engines.sqlite.tag_table import write_tags
from sqlitedict_kv.engines.sqlite.value_files.writing import StagedBody
from sqlitedict_kv.errors import ConflictError, CorruptStoreError, DamagedEntryError

# A key that is created starts above all that its namespace ever removed. checksum.py explains the checksum.
UPSERT = """
    INSERT INTO kv (ns, key, value, content_type, version, expires_at, updated_at, checksum)
    VALUES (?, ?, ?, ?, 1 + ifnull((SELECT version FROM kv_floor WHERE ns = ?), 0), ?, ?,
        (1 + ifnull((SELECT version FROM kv_floor WHERE ns = ?), 0) & 0x7FFFFFFF) << 32 | ?)
    ON CONFLICT (ns, key) DO UPDATE SET
        value = excluded.value, content_type = excluded.content_type, version = kv.version + 1,
        expires_at = excluded.expires_at, updated_at = excluded.updated_at,
        checksum = (kv.version + 1 & 0x7FFFFFFF) << 32 | (excluded.checksum & 0xFFFFFFFF)
    RETURNING version
"""
# RETURNING makes a temporary table, a fifth of the time of a small write. To let a function of ours note the version
# costs a fifth of that.
NEW, OLD = 0, 1  # what note_version() notes the version of: an entry that is created, and one that is replaced
UPSERT_NOTING = """
    INSERT INTO kv (ns, key, value, content_type, version, expires_at, updated_at, checksum)
    VALUES (?, ?, ?, ?, note_version(0, 1 + ifnull((SELECT version FROM kv_floor WHERE ns = ?), 0)), ?, ?,
        (1 + ifnull((SELECT version FROM kv_floor WHERE ns = ?), 0) & 0x7FFFFFFF) << 32 | ?)
    ON CONFLICT (ns, key) DO UPDATE SET
        value = excluded.value, content_type = excluded.content_type, version = note_version(1, kv.version + 1),
        expires_at = excluded.expires_at, updated_at = excluded.updated_at,
        checksum = (kv.version + 1 & 0x7FFFFFFF) << 32 | (excluded.checksum & 0xFFFFFFFF)
"""
# This one and the next two write one row or none. A row that has expired is absent.
ADD_NOTING = """
    INSERT INTO kv (ns, key, value, content_type, version, expires_at, updated_at, checksum)
    VALUES (?, ?, ?, ?, note_version(0, 1 + ifnull((SELECT version FROM kv_floor WHERE ns = ?), 0)), ?, ?,
        (1 + ifnull((SELECT version FROM kv_floor WHERE ns = ?), 0) & 0x7FFFFFFF) << 32 | ?)
    ON CONFLICT (ns, key) DO UPDATE SET
        value = excluded.value, content_type = excluded.content_type, version = note_version(1, kv.version + 1),
        expires_at = excluded.expires_at, updated_at = excluded.updated_at,
        checksum = (kv.version + 1 & 0x7FFFFFFF) << 32 | (excluded.checksum & 0xFFFFFFFF)
    WHERE kv.expires_at <= ?
"""
REPLACE_NOTING = """
    UPDATE kv SET
        value = ?, content_type = ?, version = note_version(1, version + 1), expires_at = ?, updated_at = ?,
        checksum = (version + 1 & 0x7FFFFFFF) << 32 | ?
    WHERE ns = ? AND key = ? AND version = ? AND (expires_at IS NULL OR expires_at > ?)
"""
# A time to live that is kept may have been changed meanwhile, which is no new version.
REPLACE_IN_TIME_NOTING = """
    UPDATE kv SET
        value = ?, content_type = ?, version = note_version(1, version + 1), expires_at = ?, updated_at = ?,
        checksum = (version + 1 & 0x7FFFFFFF) << 32 | ?
    WHERE ns = ? AND key = ? AND version = ? AND expires_at IS ?
"""
# Only the versions of rows that were there are noted: a new one has the version that it was given.
UPSERT_MANY_ROWS = """
    INSERT INTO kv (ns, key, value, content_type, version, expires_at, updated_at, checksum)
    VALUES {}
    ON CONFLICT (ns, key) DO UPDATE SET
        value = excluded.value, content_type = excluded.content_type, version = note_version(kv.key, kv.version + 1),
        expires_at = excluded.expires_at, updated_at = excluded.updated_at,
        checksum = (kv.version + 1 & 0x7FFFFFFF) << 32 | (excluded.checksum & 0xFFFFFFFF)
"""
VERSION = "SELECT version, expires_at FROM kv WHERE ns = ? AND key = ?"
DELETE = "DELETE FROM kv WHERE ns = ? AND key = ?"
DELETE_AT = "DELETE FROM kv WHERE ns = ? AND key = ? AND version = ? AND (expires_at IS NULL OR expires_at > ?)"
TOUCH = "UPDATE kv SET expires_at = ?, checksum = ? WHERE ns = ? AND key = ?"
FLOOR = "SELECT version FROM kv_floor WHERE ns = ?"

ENTRIES_PER_WRITE = 16  # of one statement; with more, SQLite keeps too much to be able to undo it
MAX_INTEGER = 2**63 - 1  # of SQLite
EXPIRY_TYPES = (int, type(None))


def of_each_length(statement: str) -> list[str]:
    """Return the statement for so many rows as its place in the list says."""
    return [statement.format(", ".join(["(?, ?, ?, ?, ?, ?, ?, ?)"] * rows)) for rows in range(ENTRIES_PER_WRITE + 1)]


UPSERT_MANY = of_each_length(UPSERT_MANY_ROWS)


def names_of(edits: Iterable[Edit]) -> list[tuple[str, str]]:
    """Return namespace and key of each edit."""
    return [(edit.namespace, edit.key) for edit in edits]


def apply(cursor: sqlite3.Cursor, edit: Edit, now: int) -> int | None:
    """Apply one edit within the open transaction and return its version; see :meth:`Engine.commit`."""
    match edit:
        case Put(namespace, key, expected=expected):
            if expected is not None:
                _demand(cursor, namespace, key, expected, now)
            if type(edit.body) is StagedBody:
                publish(cursor, edit.body, namespace, key)
            (version,) = cursor.execute(UPSERT, values_of(edit, now)).fetchone()
            write_tags(cursor, [edit])
            return int(version)
        case Check(namespace, key, expected):
            return _demand(cursor, namespace, key, expected, now)
        case Delete():
            return _delete(cursor, edit, now)
        case Touch():
            return _touch(cursor, edit, now)
        case Change(namespace, key, function):
            row = cursor.execute(READ, (namespace, key)).fetchone()
            record = record_of(namespace, key, row) if row else None
            return apply(cursor, function(record if record and record.is_live(now) else None), now)


def apply_in_order(cursor: sqlite3.Cursor, edits: Sequence[Edit], now: int) -> list[int | None]:
    """Apply edits within the open transaction and return their versions."""
    return [apply(cursor, edit, now) for edit in edits]


def publish(cursor: sqlite3.Cursor, body: bytes, namespace: str, key: str) -> None:
    """Give the file of an entry that is about to be written its name, if its value is in one."""
    if type(body) is StagedBody:
        body.publish(cursor, body, (namespace, key))


def values_of(edit: Put, now: int) -> tuple[object, ...]:
    """Return what UPSERT binds."""
    namespace, key, body, content_type, expires_at, _, _ = edit
    return namespace, key, body, content_type, namespace, expires_at, now, namespace, _seal_of(edit, now)


def replacement_of(edit: Put, version: int, now: int, expiry: int | None) -> tuple[object, ...]:
    """Return what REPLACE_NOTING binds, and REPLACE_IN_TIME_NOTING; *expiry* is what the old one is compared with."""
    namespace, key, body, content_type, expires_at, _, _ = edit
    return body, content_type, expires_at, now, _seal_of(edit, now), namespace, key, version, expiry


def _seal_of(edit: Put, now: int) -> int:
    """Return the low half of the checksum of the row that an edit makes."""
    namespace, key, body, content_type, expires_at, _, _ = edit
    return seal(crc(namespace, key, body, content_type, expires_at), now)


def _key(edit: Put) -> str:
    return edit.key


def put_rows(
    cursor: sqlite3.Cursor, noted: Noted, puts: Sequence[Put], now: int, advance: Advance | None = None
) -> dict[str, int]:
    """Write entries of one namespace, no two of them under one key, and return their versions by key."""
    first = floor_of(cursor, puts[0].namespace) + 1
    write_rows(cursor, UPSERT_MANY, puts, first, now, advance)
    return {put.key: noted.get(put.key, first) for put in puts}


def write_rows(
    cursor: sqlite3.Cursor,
    statements: Sequence[str],
    puts: Sequence[Put],
    first: int,
    now: int,
    advance: Advance | None = None,
) -> None:
    """Write rows by the statement for so many; a key that is created gets the version *first*."""
    for put in puts:
        if type(put.body) is StagedBody:
            publish(cursor, put.body, put.namespace, put.key)
    high = checksum(first, 0)
    done = 0
    # In the order of the keys, writes to the same page come one after the other.
    for batch in batches(sorted(puts, key=_key), ENTRIES_PER_WRITE):
        values: list[object] = []
        for namespace, key, body, content_type, expires_at, _, _ in batch:
            if type(body) is StagedBody:
                body.publish(cursor, body, (namespace, key))
            low = seal(crc(namespace, key, body, content_type, expires_at), now)
            values += (namespace, key, body, content_type, first, expires_at, now, high | low)
        cursor.execute(statements[len(batch)], values)
        done += len(batch)
        if advance is not None:
            advance(done)
    write_tags(cursor, puts)


def floor_of(cursor: sqlite3.Cursor, namespace: str) -> int:
    """Return the highest version that a namespace ever removed."""
    row = cursor.execute(FLOOR, (namespace,)).fetchone()
    if row and (type(row[0]) is not int or not 0 <= row[0] < MAX_INTEGER):
        raise CorruptStoreError(f"the floor of namespace {namespace!r} is damaged: no version can follow it")
    return row[0] if row else 0


def _live_version(cursor: sqlite3.Cursor, namespace: str, key: str, now: int) -> int | None:
    row = cursor.execute(VERSION, (namespace, key)).fetchone()
    if row is None:
        return None
    version, expires_at = row
    if type(version) is not int or type(expires_at) not in EXPIRY_TYPES:
        raise DamagedEntryError(namespace, key, "its version or its expiry is not a number")
    return None if expires_at is not None and expires_at <= now else version


def _demand(cursor: sqlite3.Cursor, namespace: str, key: str, expected: int, now: int) -> int | None:
    """Return the live version; raise ConflictError if it is not the expected one."""
    actual = _live_version(cursor, namespace, key, now)
    if (actual or 0) != expected:
        raise ConflictError(namespace, key, expected=expected, actual=actual)
    return actual


def _delete(cursor: sqlite3.Cursor, edit: Delete, now: int) -> int | None:
    namespace, key = edit.namespace, edit.key
    if edit.expected and cursor.execute(DELETE_AT, (namespace, key, edit.expected, now)).rowcount:
        cursor.execute(RAISE_FLOOR, (namespace, edit.expected))
        return edit.expected
    try:
        version = _live_version(cursor, namespace, key, now)
    except DamagedEntryError:
        if edit.expected is not None:
            raise
        cursor.execute(DELETE, (namespace, key))  # what its message advises; which version it had, nobody knows
        return 0
    if edit.expected is not None and (version or 0) != edit.expected:
        raise ConflictError(namespace, key, expected=edit.expected, actual=version)
    if version is None:
        if edit.required:
            raise KeyError(key)
        return None
    cursor.execute(DELETE, (namespace, key))
    cursor.execute(RAISE_FLOOR, (namespace, version))
    return version


def _touch(cursor: sqlite3.Cursor, edit: Touch, now: int) -> int | None:
    namespace, key = edit.namespace, edit.key
    row = cursor.execute(READ, (namespace, key)).fetchone()
    record = record_of(namespace, key, row) if row else None
    if record is None or not record.is_live(now) or (edit.expiring and record.expires_at is None):
        return None
    # What came without a checksum of its version stays without: nobody has vouched for it.
    check = row[5]
    if is_checked(row):
        summed = crc(namespace, key, record.body, record.content_type, edit.expires_at)
        check = checksum(record.version, seal(summed, record.updated_at))
    if edit.expires_at != record.expires_at:  # or SQLite would count a change, and commit none
        cursor.execute(TOUCH, (edit.expires_at, check, namespace, key))
    return record.version
