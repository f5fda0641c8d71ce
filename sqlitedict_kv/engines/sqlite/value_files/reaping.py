"""Removal of value files that nothing refers to any more."""

from __future__ import annotations

import contextlib
import heapq
import os
import re
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from time import monotonic

from sqlitedict_kv.codecs.file_reference import FILE, NAME
from sqlitedict_kv.engines.sqlite.checkpoint import sync_log
from sqlitedict_kv.engines.sqlite.database import Database
from sqlitedict_kv.engines.sqlite.error_mapping import like_driver
from sqlitedict_kv.engines.sqlite.value_files import catalog
from sqlitedict_kv.engines.sqlite.value_files.folder import STORE, TEMPORARY, OpenFile, OpenFolder, ValueFolder
from sqlitedict_kv.engines.sqlite.value_files.writing import translate_errors

if sys.platform != "win32":
    import fcntl

BATCH = 64  # names of a round
DEAD_BYTES = 256 * 2**20  # from which on the dead are removed, if they are an eighth of all as well
DEAD_SHARE = 8
DEAD_SECONDS = 30.0  # after which they are removed, however small they are
COLLECT_ROUNDS = 16  # of maintenance, between two looks for files that the database does not know

OURS = re.compile(rf"{NAME.pattern}|{STORE}\.{NAME.pattern}")


class Reaper:
    """Removes what is dead, and what nobody knows, a few files at a time."""

    def __init__(self, database: Database, folder: ValueFolder) -> None:
        """Look after the *folder* of a database."""
        self._database = database
        self._folder = folder
        self._walked = ""  # the last name that was looked at
        self._collected = ""  # likewise, among the names in the folder
        self._dead_since: float | None = None
        self._rounds = 0

    # -- when

    def maintain(self) -> None:
        """Do a small part of what is due."""
        if not self._database.run(catalog.has_files):
            return
        self._walk()
        self._rounds += 1
        if self._is_due():
            self.reap(BATCH)
        if self._rounds % COLLECT_ROUNDS == 0:
            self._collect_batch()

    def finish(self) -> None:
        """Remove all that nothing refers to."""
        if not self._database.run(catalog.has_files):
            return
        self._walked = self._collected = ""
        with translate_errors(self._folder.path):
            while self._walk():
                pass
            self.reap()
            while self._collect_batch():
                pass

    def reap(self, limit: int = -1) -> None:
        """Remove files that are known to be dead, *limit* at most; -1 is all."""
        dead = self._without_referred(self._names_in(catalog.DEAD, limit))
        for start in range(0, len(dead), BATCH):
            self._remove(dead[start : start + BATCH])

    def _is_due(self) -> bool:
        count, size = self._database.run(
            lambda cursor: cursor.execute(catalog.BYTES_IN_STATE, (catalog.DEAD,)).fetchone()
        )
        if not count:
            self._dead_since = None
            return False
        if self._dead_since is None:
            self._dead_since = monotonic()
        if monotonic() - self._dead_since >= DEAD_SECONDS:
            return True
        if size < DEAD_BYTES:
            return False
        _, everything = self._database.run(lambda cursor: cursor.execute(catalog.ALL_BYTES).fetchone())
        return bool(size * DEAD_SHARE >= everything - size)

    # -- entries that were removed

    def _walk(self) -> bool:
        """Look at the next names in turn; return whether there may be more behind them.

        An entry can be removed in many ways, by other programs too, so this is what finds its file.
        """
        found = self._database.run(lambda cursor: cursor.execute(catalog.WALK, (FILE, self._walked, BATCH)).fetchall())
        dead = [name for name, is_alive in found if not is_alive and name]
        if dead:
            self._database.transact(lambda cursor: _bury(cursor, dead))
        self._walked = found[-1][0] if len(found) == BATCH else ""
        return len(found) == BATCH

    # -- dead files

    def _remove(self, names: Sequence[str]) -> None:
        """Remove dead files for good."""
        with self._held() as folder:
            if folder is None:
                return
            # A backup that was restored meanwhile may have brought some of them back; from here on none can be.
            dead = self._database.run(lambda cursor: catalog.still_dead(cursor, names))
            # A power cut may bring the entries back that referred to these. So what took their place is made safe
            # before they go: first the files, then the log.
            self._secure(folder)
            gone = [(name,) for name in dead if folder.unlink(name)]
            self._database.transact(lambda cursor: cursor.executemany(catalog.FORGET, gone) and None)
            self._dead_since = None

    def _without_referred(self, dead: list[str]) -> list[str]:
        """Return those of the dead to which no entry at all refers; another program may have renamed or copied one.

        None can come to refer to one of these later, as there is none that it could be copied from.
        """
        if not dead:
            return []
        with self._database.aside() as cursor:
            entries = self._database.patiently(lambda: catalog.referring_to(cursor, set(dead)))
        if entries:
            self._database.transact(lambda cursor: catalog.revive(cursor, entries))
        return [name for name in dead if name not in entries]

    def secure(self) -> None:
        """Let every value that was written so far survive a power cut, once the log does."""
        if self._names_in(catalog.WRITTEN, 1):
            with translate_errors(self._folder.path), self._folder.opened() as folder:
                self._secure(folder)

    def _secure(self, folder: OpenFolder) -> None:
        names = self._names_in(catalog.WRITTEN, -1)
        for name in names:
            with contextlib.suppress(FileNotFoundError), contextlib.closing(OpenFile(folder, name)) as file:
                self._sync(file)
        self._sync(folder)
        self._sync_log(names)

    def _sync(self, thing: OpenFile | OpenFolder) -> None:
        """Sync a file or the folder; stop the store if that fails, for the system may have dropped what it has."""
        try:
            thing.sync()
        except OSError as error:
            raise self._database.failure(like_driver(error)) from error

    def _sync_log(self, synced: list[str]) -> None:
        """Sync the log, and note files that are safe."""
        sync_log(self._database)
        if synced:
            self._database.transact(lambda cursor: catalog.mark_synced(cursor, synced))

    def _names_in(self, state: int, limit: int) -> list[str]:
        names = self._database.run(lambda cursor: catalog.names_in(cursor, state, limit))
        return [name for name in names if NAME.fullmatch(name)]

    # -- files that nobody knows

    def _collect_batch(self) -> bool:
        """Remove files that were left behind, among the next names; return whether there may be more behind them."""
        with self._held() as folder:
            if folder is None or not self._is_ours(folder):
                return False
            names = heapq.nsmallest(BATCH, (name for name in folder.names() if name > self._collected))
            for name in names:
                if name.startswith(TEMPORARY):
                    remove_abandoned(folder, name)
            self._remove_unknown(folder, [name for name in names if OURS.fullmatch(name)])
            self._collected = names[-1] if len(names) == BATCH else ""
            return len(names) == BATCH

    def _remove_unknown(self, folder: OpenFolder, names: Sequence[str]) -> None:
        unknown = self._database.run(lambda cursor: catalog.unknown_of(cursor, names))
        if unknown:
            self._database.transact(lambda cursor: remove_unknown(cursor, folder, unknown))

    def _is_ours(self, folder: OpenFolder) -> bool:
        owner = self._database.run(catalog.owner_of)
        return owner is not None and owner == folder.owner()

    @contextlib.contextmanager
    def _held(self) -> Iterator[OpenFolder | None]:
        """Give the folder with its lock held; None if there is no folder, or others hold the lock."""
        with contextlib.ExitStack() as stack:
            try:
                folder = stack.enter_context(self._folder.opened())
                held = stack.enter_context(self._folder.locked(folder, shared=False, waiting=False))
            except OSError:
                held = False
            yield folder if held else None


def _bury(cursor: sqlite3.Cursor, names: list[str]) -> None:
    """Note that files are dead, unless an entry has come to refer to one meanwhile."""
    catalog.mark_dead(cursor, [name for name in names if not catalog.is_alive(cursor, name)])


def remove_unknown(cursor: sqlite3.Cursor, folder: OpenFolder, names: Sequence[str]) -> None:
    """Remove the files that the database still does not know; the caller holds the write lock.

    What makes a name holds that lock until the database knows it, so nothing can come to refer to one of these.
    """
    for name in catalog.unknown_of(cursor, names):
        folder.unlink(name)


def remove_abandoned(folder: OpenFolder, name: str) -> None:
    """Remove a file that was being written by a process that is no more, which its lock tells."""
    try:
        descriptor = folder.open(name, os.O_RDWR)
    except FileNotFoundError:
        return
    try:
        if sys.platform == "win32":  # where a file that is open cannot be removed
            folder.unlink(name)
            return
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    else:
        folder.unlink(name)
    finally:
        os.close(descriptor)
