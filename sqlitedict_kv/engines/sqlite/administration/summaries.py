"""Summaries of rows: sizes, types and times, without the values."""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlitedict_kv.codecs.file_reference import FILE, described
from sqlitedict_kv.engines.optional import RecordSummary
from sqlitedict_kv.engines.protocol import KeyRange
from sqlitedict_kv.engines.sqlite.key_range import bounds_of
from sqlitedict_kv.engines.sqlite.session import SQLiteSession
from sqlitedict_kv.errors import CorruptStoreError, DamagedEntryError

# The size is in the head of a row: the value itself is not read, but for a reference to a file.
SUMMARIES = """
    SELECT key, length(value), content_type, version, expires_at, updated_at, iif(content_type = ?, value, NULL) FROM kv
    WHERE ns = ? AND key >= ? AND key < ? ORDER BY key LIMIT ?
"""
SUMMARIES_REVERSE = """
    SELECT key, length(value), content_type, version, expires_at, updated_at, iif(content_type = ?, value, NULL) FROM kv
    WHERE ns = ? AND key >= ? AND key < ? ORDER BY key DESC LIMIT ?
"""
BYTES_PER_PAGE = 16 * 2**20  # of values: what lies behind a large one in its row is found by going along its pages


def read_summaries(session: SQLiteSession, span: KeyRange, limit: int) -> list[RecordSummary]:
    """Return the first entries of a range, expired ones too: at least one if there is any, at most *limit*."""
    statement = SUMMARIES_REVERSE if span.reverse else SUMMARIES
    bounds = (FILE, span.namespace, *bounds_of(span), limit)

    def work(cursor: sqlite3.Cursor) -> list[tuple[Any, ...]]:
        rows = []
        size = 0
        for row in cursor.execute(statement, bounds):
            rows.append(row)
            size += row[1]
            if size >= BYTES_PER_PAGE:
                session.settle()  # the statement is not at its end, and would hold a snapshot
                break
        return rows

    found = [_summary_of(span.namespace, row) for row in session.run(work)]
    _refuse_disorder(session, span, found)
    return found


def _summary_of(namespace: str, row: tuple[Any, ...]) -> RecordSummary:
    key, size, content_type, version, expires_at, updated_at, reference = row
    numbers = type(version) is int and type(updated_at) is int and (expires_at is None or type(expires_at) is int)
    if not numbers or type(key) is not str or type(content_type) is not str:
        raise DamagedEntryError(namespace, str(key), "its row is not one that this library writes")
    if type(reference) is bytes:
        content_type, size = described(reference, content_type)
    in_file = type(reference) is bytes and content_type != FILE
    return RecordSummary(key, size, content_type, version, expires_at, updated_at, in_file)


def _refuse_disorder(session: SQLiteSession, span: KeyRange, found: list[RecordSummary]) -> None:
    """Raise unless the walk has come further: in an index that is damaged it could go round in circles forever."""
    if found and span.after is not None:
        last = found[-1].key
        if last >= span.after if span.reverse else last <= span.after:
            raise CorruptStoreError(f"{session.label}: the database file is damaged: its keys are out of order")
