"""Moving committed pages from the log into the database file.

SQLite before 3.51.3 loses data when a checkpoint runs while another connection starts the log afresh
(https://www.sqlite.org/wal.html#walresetbug). Only a writer starts it afresh, so a checkpoint that runs
while we hold the write lock cannot meet one. That is right on every release, so there is one code path.
"""

from __future__ import annotations

import sqlite3

from sqlitedict_kv.engines.sqlite.busy import BusyTimeout, patiently
from sqlitedict_kv.engines.sqlite.database import Database
from sqlitedict_kv.engines.sqlite.session import in_transaction
from sqlitedict_kv.errors import StoreBusyError

BACKLOG_PAGES = 2000  # 8 MB of log, by any process
EVERY_COMMITS = 1000  # of this process, where the backlog is not known
GUARD_SECONDS = 0.05  # to wait for the write lock; a later write will try again

MARK_FOR_SYNC = "INSERT INTO kv_floor (ns, version) VALUES ('', 0) ON CONFLICT (ns) DO UPDATE SET version = 1 - version"
PASSIVE = "PRAGMA wal_checkpoint(PASSIVE)"


class Checkpointer:
    """Runs a guarded checkpoint each time enough was written."""

    def __init__(self, database: Database) -> None:
        """Watch over the log of *database*."""
        self._database = database
        self._commits = 0
        self._left = 0  # pages that a reader held back from the last checkpoint

    def wrote(self, commits: int) -> None:
        """Note some commits, and make a checkpoint if one is due."""
        self._commits += commits
        version = self._database.main.data_version
        backlog = version.backlog()
        if backlog is None:
            due = self._commits >= EVERY_COMMITS
        else:
            self._left = min(self._left, backlog)
            due = backlog >= BACKLOG_PAGES + self._left
        if due and self.run():
            self._commits = 0
            self._left = version.backlog() or 0

    def run(self) -> bool:
        """Copy what no reader holds back; return False if the write lock was not to be had soon."""
        if self._database.in_memory:
            return True
        with self._database.aside() as guard, self._database.aside() as worker:
            if not _try_to_begin(guard, self._database.label):
                return False
            try:
                self._database.patiently(lambda: worker.execute(PASSIVE).fetchone())
            finally:
                guard.execute("ROLLBACK")
            return True


def _try_to_begin(guard: sqlite3.Cursor, label: str) -> bool:
    try:
        patiently(lambda: guard.execute("BEGIN IMMEDIATE"), BusyTimeout(GUARD_SECONDS, label))
    except StoreBusyError:
        return False
    return True


def sync_log(database: Database) -> None:
    """Make a commit that syncs the log, and so all the commits before it."""
    with database.aside(durability="power") as cursor:
        database.patiently(lambda: in_transaction(cursor, lambda cursor: cursor.execute(MARK_FOR_SYNC)))
