"""The verification of a whole file: its pages, its checksums, its values."""

from __future__ import annotations

import contextlib
from typing import Any

from sqlitedict_kv.codecs.file_reference import FILE
from sqlitedict_kv.engines.protocol import Advance, CheckReport, Decode
from sqlitedict_kv.engines.record import Record
from sqlitedict_kv.engines.sqlite.checksum import is_checked, record_of
from sqlitedict_kv.engines.sqlite.database import Database
from sqlitedict_kv.engines.sqlite.value_files.inspection import count_unknown
from sqlitedict_kv.engines.sqlite.value_files.store_files import StoreFiles
from sqlitedict_kv.errors import CorruptStoreError, KVError, NotKeptHereError

INTEGRITY = "PRAGMA integrity_check(20)"
CHECK_BATCH = """
    SELECT value, content_type, version, expires_at, updated_at, checksum, ns, key, rowid FROM kv
    WHERE rowid > ? ORDER BY rowid LIMIT ?
"""
CHECK_ROWS = 200
LOWEST_ROWID = -(2**63)


def verify(
    database: Database, decode: Decode, files: StoreFiles | None = None, advance: Advance | None = None
) -> CheckReport:
    """Read everything; *decode* raises a KVError for a value that cannot be read.

    Of values in files the bytes are compared with their checksums, and not decoded, so that they need no memory.
    """
    report = _Report(decode, files)
    try:
        with database.aside() as cursor, contextlib.ExitStack() as stack:
            stack.callback(setattr, cursor.connection, "text_factory", str)  # memory has no other connection
            cursor.connection.text_factory = _decode_leniently

            def rows(statement: str, *values: object) -> list[Any]:
                return database.patiently(lambda: cursor.execute(statement, values).fetchall())

            report.problems += [text for (text,) in rows(INTEGRITY) if text != "ok"]
            last = LOWEST_ROWID
            while batch := rows(CHECK_BATCH, last, CHECK_ROWS):
                if batch[-1][-1] <= last:  # in a page that is out of order, this would never end
                    report.problems.append("the rows are out of order")
                    break
                last = batch[-1][-1]
                report.look_at(batch)
                if advance is not None:
                    advance(report.entries)
    except CorruptStoreError as error:
        report.problems.append(str(error))
    unknown = 0 if files is None else count_unknown(database, files.folder)
    problems = tuple(report.problems)
    return CheckReport(not problems, report.entries, report.unchecked, problems, report.files, unknown)


class _Report:
    """The findings so far."""

    def __init__(self, decode: Decode, files: StoreFiles | None) -> None:
        self._decode = decode
        self._files = files
        self.problems: list[str] = []
        self.files = 0
        self.entries = 0
        self.unchecked = 0

    def look_at(self, batch: list[Any]) -> None:
        for *columns, namespace, key, _ in batch:
            row = tuple(columns)
            try:
                record = record_of(namespace, key, row)
                self._look_into(namespace, key, record, intact=is_checked(row))
                self.unchecked += not is_checked(row)
            except KVError as error:
                self.problems.append(str(error))
        self.entries += len(batch)

    def _look_into(self, namespace: str, key: str, record: Record, *, intact: bool) -> None:
        """Raise a KVError for a value that cannot be read."""
        if record.content_type == FILE and self._files is not None:
            self.files += 1
            self._files.verify(namespace, key, record.body)
            return
        try:
            self._decode(namespace, key, record.body, record.content_type)
        except NotKeptHereError:  # another program allows its class, has its codec or reads its bytes
            if not intact:
                raise


def _decode_leniently(raw: bytes) -> str:
    """Decode anything, so that damaged text fails at its checksum, beside the name of its entry."""
    return raw.decode(errors="replace")
