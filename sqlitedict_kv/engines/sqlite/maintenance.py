"""Maintenance in small, bounded parts, made now and then by ordinary writes: sweeping, eviction, checkpoints."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from threading import Lock
from typing import Any

from sqlitedict_kv.codecs.file_reference import FILE
from sqlitedict_kv.concurrency.fork import forgets_after_fork
from sqlitedict_kv.engines.sqlite.checkpoint import Checkpointer
from sqlitedict_kv.engines.sqlite.database import Database
from sqlitedict_kv.engines.sqlite.session import SQLiteSession
from sqlitedict_kv.engines.sqlite.value_files.catalog import bury_references, reference_of, sizes
from sqlitedict_kv.errors import KVError

EVERY_WRITES = 16
EVERY_BYTES = 256 * 2**10  # of values
SWEEP_ROWS = 64  # of a round, and at least four times what was written since the last, so that it catches up
PURGE_ROWS = 500  # of one transaction of an explicit purge
EVICTED_ROWS = 64  # of one round, at least
QUICKLY_COUNTED = 10_000  # rows, in about 0.1 ms
WINDOW = 2  # evict the least recently written of this many times as many of the oldest

# Namespace, version, bytes of the value, key, and the reference to a file if the value is in one.
Removed = tuple[str, int, int, str, Any]

REFERENCE = f"iif(content_type = '{FILE}', value, NULL)"

SOME_EXPIRED = "SELECT 1 FROM kv WHERE expires_at <= ? LIMIT 1"
SWEEP = f"""
    DELETE FROM kv WHERE rowid IN (
        SELECT rowid FROM kv WHERE expires_at <= ? ORDER BY expires_at LIMIT ?
    ) RETURNING ns, version, length(value), key, {REFERENCE}
"""
SWEEP_NAMESPACE = f"""
    DELETE FROM kv WHERE rowid IN (
        SELECT rowid FROM kv WHERE expires_at <= ? AND +ns = ? LIMIT ?
    ) RETURNING ns, version, length(value), key, {REFERENCE}
"""
OLDEST = f"""
    SELECT rowid, size, reference FROM (
        SELECT rowid, length(value) AS size, {REFERENCE} AS reference, updated_at FROM kv ORDER BY rowid LIMIT ?
    ) ORDER BY updated_at, rowid
"""
EVICT = "DELETE FROM kv WHERE rowid IN ({}) RETURNING ns, version, length(value), key, " + REFERENCE
RAISE_FLOOR = """
    INSERT INTO kv_floor (ns, version) VALUES (?, ?)
    ON CONFLICT (ns) DO UPDATE SET version = excluded.version WHERE excluded.version > kv_floor.version
"""
COUNT_ALL = "SELECT count(*) FROM kv"
USED_BYTES = """
    SELECT (page_count - freelist_count) * page_size
    FROM pragma_page_count, pragma_freelist_count, pragma_page_size
"""


class Maintenance:
    """Sweeps expired entries, evicts over the limits, and makes checkpoints, as part of ordinary writes."""

    def __init__(self, database: Database, *, max_bytes: int | None, max_entries: int | None) -> None:
        """Look after *database*; the limits are None where there are none."""
        self._database = database
        self._max_bytes = max_bytes
        self._max_entries = max_entries
        self._every_writes = EVERY_WRITES
        self._every_bytes = EVERY_BYTES
        if max_entries is not None:
            self._every_writes = max(1, min(EVERY_WRITES, max_entries // 64))
        if max_bytes is not None:
            self._every_bytes = min(EVERY_BYTES, max_bytes // 64)
        self._checkpointer = Checkpointer(database)
        self.maintain_files: Callable[[], None] | None = None
        self.remove_files: Callable[[], None] | None = None  # those that nothing refers to, as far as that is known
        self._round = Lock()
        self._writes = 0
        self._bytes = 0
        self._commits = 0
        self._surplus = 0
        self._uncounted: int | None = None  # writes since the entries were counted
        forgets_after_fork(self)
        self.evicted = 0  # entries, by this process
        self.purged = 0  # likewise

    def wrote(self, entries: int, size: int, now: int) -> None:
        """Note a commit of *entries* entries and *size* bytes, and do what is due.

        The commit stands, so nothing is raised: a storage that fails here fails the next call too.
        """
        self._writes += entries
        self._bytes += size
        self._commits += 1
        if self._writes < self._every_writes and self._bytes < self._every_bytes:
            return
        try:
            self._do_round(now)
        except KVError:
            return

    def _do_round(self, now: int) -> None:
        if not self._round.acquire(blocking=False):
            return
        try:
            writes, size, commits = self._writes, self._bytes, self._commits
            self._writes = self._bytes = self._commits = 0
            self._checkpointer.wrote(commits)
            if self._database.run(lambda cursor: cursor.execute(SOME_EXPIRED, (now,)).fetchone()):
                self.purge(None, max(SWEEP_ROWS, 4 * writes), now)
            if self._max_entries is not None:
                self._evict_entries(self._max_entries, writes)
            if self._max_bytes is not None:
                self._evict_bytes(self._max_bytes, size)
            if self.maintain_files is not None:
                self.maintain_files()
        finally:
            self._round.release()

    def purge(self, namespace: str | None, limit: int | None, now: int) -> int:
        """Remove expired entries, *limit* at most, in bounded transactions; return how many."""
        count = purge(self._database, namespace, limit, now)
        self.purged += count
        return count

    def checkpoint(self) -> bool:
        """Make a checkpoint now; return False if the write lock was not to be had soon."""
        return self._checkpointer.run()

    def _evict_entries(self, limit: int, writes: int) -> None:
        """Evict what is over the limit; the count is renewed once per 1/64 of the limit that was written."""
        self._surplus += writes
        if self._uncounted is None or self._uncounted + writes >= limit // 64:
            self._surplus = self._count(limit) - limit
            self._uncounted = 0
        else:
            self._uncounted += writes
        if self._surplus > 0:
            self._surplus -= len(self._evict(min(self._surplus, max(EVICTED_ROWS, 2 * writes))))

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
            used, dead = self._database.run(_used_bytes)
            removed = self._evict(EVICTED_ROWS // 4, used - dead - allowed) if used - dead > allowed else []
            if not removed:
                break
            rows += len(removed)
            freed += sum(map(_weight_of, removed))
        used, dead = self._database.run(_used_bytes)
        if dead and used > allowed and self.remove_files is not None:
            self.remove_files()

    def _evict(self, rows: int, size: int | None = None) -> list[Removed]:
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
            _note_removed(cursor, removed)
            return removed

        removed = self._database.transact(work, names_of)
        self.evicted += len(removed)
        return removed

    def forget_after_fork(self) -> None:
        """Let rounds begin in a child: the thread that was in one is not there."""
        self._round = Lock()


def purge(session: SQLiteSession, namespace: str | None, limit: int | None, now: int) -> int:
    """Remove expired entries, *limit* at most, in bounded transactions; return how many."""
    total = 0
    while limit is None or total < limit:
        batch = PURGE_ROWS if limit is None else min(PURGE_ROWS, limit - total)
        removed = _sweep(session, namespace, batch, now)
        total += removed
        if removed < batch:
            break
    return total


def _sweep(session: SQLiteSession, namespace: str | None, limit: int, now: int) -> int:
    """Remove at most *limit* expired entries in one transaction and return how many."""

    def work(cursor: sqlite3.Cursor) -> list[Removed]:
        if namespace is None:
            removed = cursor.execute(SWEEP, (now, limit)).fetchall()
        else:
            removed = cursor.execute(SWEEP_NAMESPACE, (now, namespace, limit)).fetchall()
        _note_removed(cursor, removed)
        return removed

    return len(session.transact(work, names_of))


def _used_bytes(cursor: sqlite3.Cursor) -> tuple[int, int]:
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


def _note_removed(cursor: sqlite3.Cursor, removed: list[Removed]) -> None:
    """Note what follows from the removal of rows, in the transaction that removes them."""
    raise_floors(cursor, removed)
    references = [row[4] for row in removed if row[4] is not None]
    if references:
        bury_references(cursor, references)


def names_of(removed: Iterable[Removed]) -> list[tuple[str, str]]:
    """Return namespace and key of rows that were removed."""
    return [(namespace, key) for namespace, _, _, key, _ in removed]


def raise_floors(cursor: sqlite3.Cursor, removed: Iterable[tuple[Any, ...]]) -> None:
    """Remember, per namespace, the highest version among the rows removed; they begin with the two."""
    highest: dict[str, int] = {}
    for namespace, version, *_ in removed:
        if type(version) is not int:  # of a damaged row
            continue
        highest[namespace] = max(version, highest.get(namespace, 0))
    for floor in highest.items():
        cursor.execute(RAISE_FLOOR, floor)
