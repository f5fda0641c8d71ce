"""Limits of a store, max_bytes and max_entries: the eviction of entries over them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from sqlitedict_kv.engines.sqlite.database import Database
from sqlitedict_kv.engines.sqlite.maintenance import (
    COUNT_ALL,
    EVERY_BYTES,
    EVERY_WRITES,
    REFERENCE,
    Removed,
    names_of,
    note_removed,
)
from sqlitedict_kv.engines.sqlite.value_files.catalog import reference_of, sizes

EVICTED_ROWS = 64  # of one round, at least
QUICKLY_COUNTED = 10_000  # rows, in about 0.1 ms
WINDOW = 2  # evict the least recently written of this many times as many of the oldest

OLDEST = f"""
    SELECT rowid, size, reference FROM (
        SELECT rowid, length(value) AS size, {REFERENCE} AS reference, updated_at FROM kv ORDER BY rowid LIMIT ?
    ) ORDER BY updated_at, rowid
"""
EVICT = "DELETE FROM kv WHERE rowid IN ({}) RETURNING ns, version, length(value), key, " + REFERENCE
USED_BYTES = """
    SELECT (page_count - freelist_count) * page_size
    FROM pragma_page_count, pragma_freelist_count, pragma_page_size
"""


class Limits:
    """Evicts entries over the limits, of those created longest ago the ones that were written longest ago."""

    def __init__(self, database: Database, *, max_bytes: int | None, max_entries: int | None) -> None:
        """Keep *database* within limits; None is none."""
        self._database = database
        self._max_bytes = max_bytes
        self._max_entries = max_entries
        self._surplus = 0
        self._uncounted: int | None = None  # writes since the entries were counted
        self.remove_files: Callable[[], None] | None = None  # those that nothing refers to, as far as that is known
        self.evicted = 0  # entries, by this process

    @property
    def pace(self) -> tuple[int, int]:
        """After how many writes, and after how many bytes of values, it is time to look."""
        every_writes, every_bytes = EVERY_WRITES, EVERY_BYTES
        if self._max_entries is not None:
            every_writes = max(1, min(EVERY_WRITES, self._max_entries // 64))
        if self._max_bytes is not None:
            every_bytes = min(EVERY_BYTES, self._max_bytes // 64)
        return every_writes, every_bytes

    def keep(self, writes: int, size: int) -> None:
        """Evict what is over the limits, after so many *writes* of *size* bytes in all."""
        if self._max_entries is not None:
            self._evict_entries(self._max_entries, writes)
        if self._max_bytes is not None:
            self._evict_bytes(self._max_bytes, size)

    def _evict_entries(self, limit: int, writes: int) -> None:
        """Evict what is over the limit; the count is renewed once per 1/64 of the limit that was written."""
        self._surplus += writes
        if self._uncounted is None or self._uncounted + writes >= limit // 64:
            self._surplus = self._count(limit) - limit
            self._uncounted = 0
        else:
            self._uncounted += writes
        if self._surplus > 0:
            self._surplus -= len(self.evict(min(self._surplus, max(EVICTED_ROWS, 2 * writes))))

    def _count(self, limit: int) -> int:
        """Return how many rows there are; aside, where so many are allowed that it takes long."""
        if limit <= QUICKLY_COUNTED:
            (count,) = self._database.run(lambda cursor: cursor.execute(COUNT_ALL).fetchone())
        else:
            with self._database.aside() as cursor:
                (count,) = self._database.patiently(lambda: cursor.execute(COUNT_ALL).fetchone())
        return int(count)

    def _evict_bytes(self, limit: int, size: int) -> None:
        """Evict until there is head-room again, or twice what was written has gone.

        Files that nothing refers to any more take space too, but no eviction gets that back: they are removed.
        """
        allowed = limit - limit // 16
        freed = rows = 0
        while rows < EVICTED_ROWS or freed < 2 * size:
            used, dead = self._database.run(used_bytes)
            removed = self.evict(EVICTED_ROWS // 4, used - dead - allowed) if used - dead > allowed else []
            if not removed:
                break
            rows += len(removed)
            freed += sum(map(_weight_of, removed))
        used, dead = self._database.run(used_bytes)
        if dead and used > allowed and self.remove_files is not None:
            self.remove_files()

    def evict(self, rows: int, size: int | None = None) -> list[Removed]:
        """Remove at most *rows* entries, or so many that their values take *size* bytes; never the newest."""

        def work(cursor: sqlite3.Cursor) -> list[Removed]:
            oldest = cursor.execute(OLDEST, (WINDOW * rows,)).fetchall()
            if len(oldest) < WINDOW * rows:  # they are all there are, so the last one is the newest
                del oldest[-1:]
            chosen: list[int] = []
            gone = 0
            for rowid, length, reference in oldest[:rows]:
                if size is not None and gone >= size:
                    break
                chosen.append(rowid)
                gone += _size_of(length, reference)
            removed: list[Removed] = cursor.execute(EVICT.format(", ".join("?" * len(chosen))), chosen).fetchall()
            note_removed(cursor, removed)
            return removed

        removed = self._database.transact(work, names_of)
        self.evicted += len(removed)
        return removed


def used_bytes(cursor: sqlite3.Cursor) -> tuple[int, int]:
    """Return the bytes that are in use, in files too, and those of files that nothing refers to any more."""
    (pages,) = cursor.execute(USED_BYTES).fetchone()
    _, size, dead = sizes(cursor)
    return pages + size, dead


def _size_of(length: int, reference: object) -> int:
    """Return the bytes of a value, be it in a file."""
    found = None if reference is None else reference_of(reference)
    return length if found is None else length + found.size


def _weight_of(removed: Removed) -> int:
    return _size_of(removed[2], removed[4])
