"""Restoring: the write of entries that come from another store, above the versions that they had there."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from sqlitedict_kv.engines.protocol import Put, Tags
from sqlitedict_kv.engines.record import Record
from sqlitedict_kv.engines.sqlite.checksum import READ, batches, checksum, crc, record_of, seal
from sqlitedict_kv.engines.sqlite.database import Database
from sqlitedict_kv.engines.sqlite.maintenance import RAISE_FLOOR
from sqlitedict_kv.engines.sqlite.mutations import (
    ENTRIES_PER_WRITE,
    MAX_INTEGER,
    floor_of,
    names_of,
    of_each_length,
    publish,
    write_rows,
)
from sqlitedict_kv.engines.sqlite.tag_table import tag_entries
from sqlitedict_kv.errors import UnsupportedError

# An entry that is copied gets a version above those of its source; what is inserted has one.
RESTORE_MANY_ROWS = """
    INSERT INTO kv (ns, key, value, content_type, version, expires_at, updated_at, checksum)
    VALUES {}
    ON CONFLICT (ns, key) DO UPDATE SET
        value = excluded.value, content_type = excluded.content_type, version = max(kv.version + 1, excluded.version),
        expires_at = excluded.expires_at, updated_at = excluded.updated_at,
        checksum = (max(kv.version + 1, excluded.version) & 0x7FFFFFFF) << 32 | (excluded.checksum & 0xFFFFFFFF)
"""

RESTORE_MANY = of_each_length(RESTORE_MANY_ROWS)


def restore_entries(
    database: Database, namespace: str, puts: Sequence[Put], above: int, now: int, *, aside: bool
) -> None:
    """Write entries of a namespace, no two of them under one key, all or none, at versions greater than *above*.

    The floor is raised to it, so those of keys that are created later are greater too.
    """
    if above >= MAX_INTEGER:
        raise UnsupportedError(f"{database.label}: no version can follow {above} in namespace {namespace!r}")

    def work(cursor: sqlite3.Cursor) -> None:
        if above > 0:
            cursor.execute(RAISE_FLOOR, (namespace, above))
        write_rows(cursor, RESTORE_MANY, puts, floor_of(cursor, namespace) + 1, now)

    database.transact(work, lambda _: names_of(puts), aside=aside)


def import_records(
    database: Database, namespace: str, records: Mapping[str, Record], now: int, tags: Tags | None = None
) -> None:
    """Write records of a namespace, all or none, at their versions and with the times of their updates.

    Where the namespace may have given such a version before, an entry gets the lowest one above. A record without a
    time of update, 0, is updated *now*.
    """

    def work(cursor: sqlite3.Cursor) -> None:
        _write_records(cursor, namespace, records, now, tags)

    database.transact(work, lambda _: [(namespace, key) for key in records])


def merge_records(
    database: Database, namespace: str, records: Mapping[str, Record], now: int, tags: Tags | None = None
) -> int:
    """Write those records of a namespace that are newer than what is there, as :func:`import_records` does."""

    def work(cursor: sqlite3.Cursor) -> int:
        newer = {key: record for key, record in records.items() if _is_newer(cursor, namespace, key, record, now)}
        _write_records(cursor, namespace, newer, now, tags)
        return len(newer)

    return database.transact(work, lambda _: [(namespace, key) for key in records])


def _is_newer(cursor: sqlite3.Cursor, namespace: str, key: str, record: Record, now: int) -> bool:
    row = cursor.execute(READ, (namespace, key)).fetchone()
    return record.is_newer_than(record_of(namespace, key, row) if row else None, now)


def _write_records(
    cursor: sqlite3.Cursor, namespace: str, records: Mapping[str, Record], now: int, tags: Tags | None
) -> None:
    lowest = floor_of(cursor, namespace) + 1
    for batch in batches(sorted(records.items()), ENTRIES_PER_WRITE):
        values: list[object] = []
        for key, (body, content_type, version, expires_at, updated_at) in batch:
            publish(cursor, body, namespace, key)
            given, written = max(version, lowest), updated_at or now
            summed = checksum(given, seal(crc(namespace, key, body, content_type, expires_at), written))
            values += (namespace, key, body, content_type, given, expires_at, written, summed)
        cursor.execute(RESTORE_MANY[len(batch)], values)
    if tagged := [(namespace, key, given) for key, given in (tags or {}).items() if key in records]:
        tag_entries(cursor, tagged)
