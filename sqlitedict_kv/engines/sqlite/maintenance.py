"""Maintenance in small, bounded parts, made now and then by ordinary writes: sweeping, checkpoints, and more."""

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
from sqlitedict_kv.engines.sqlite.value_files.catalog import bury_references
from sqlitedict_kv.errors import KVError

EVERY_WRITES = 16
EVERY_BYTES = 256 * 2**10  # of values
SWEEP_ROWS = 64  # of a round, and at least four times what was written since the last, so that it catches up
TAGS_PER_WRITE = 2  # that are looked at, of a process that writes tags
PURGE_ROWS = 500  # of one transaction of an explicit purge

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
COUNT_ALL = "SELECT count(*) FROM kv"
RAISE_FLOOR = """
    INSERT INTO kv_floor (ns, version) VALUES (?, ?)
    ON CONFLICT (ns) DO UPDATE SET version = excluded.version WHERE excluded.version > kv_floor.version
"""


class Maintenance:
    """Sweeps expired entries, makes checkpoints, and calls what else is due, as part of ordinary writes."""

    def __init__(self, database: Database, *, every_writes: int = EVERY_WRITES, every_bytes: int = EVERY_BYTES) -> None:
        """Look after *database* once per so many writes, or bytes of values."""
        self._database = database
        self._every_writes = every_writes
        self._every_bytes = every_bytes
        self._checkpointer = Checkpointer(database)
        self.evict: Callable[[int, int], None] | None = None  # takes entries and bytes written since the last round
        self.maintain_files: Callable[[], None] | None = None
        self.sweep_tags: Callable[[int], object] | None = None  # takes how many to look at
        self._round = Lock()
        self._writes = 0
        self._bytes = 0
        self._commits = 0
        forgets_after_fork(self)
        self.purged = 0  # entries, by this process

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
            if self.evict is not None:
                self.evict(writes, size)
            if self.maintain_files is not None:
                self.maintain_files()
            if self.sweep_tags is not None:
                self.sweep_tags(TAGS_PER_WRITE * writes)
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
        note_removed(cursor, removed)
        return removed

    return len(session.transact(work, names_of))


def note_removed(cursor: sqlite3.Cursor, removed: list[Removed]) -> None:
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
