"""Stores whose large values are kept in a way that is known to fail."""

from __future__ import annotations

import os
import tempfile

from sqlitedict_kv.codecs.file_reference import FILE, parse_reference
from sqlitedict_kv.engines.sqlite.engine import SQLiteEngine
from sqlitedict_kv.engines.sqlite.value_files import catalog, folder, reaping, writing
from sqlitedict_kv.engines.sqlite.value_files.folder import OpenFolder
from sqlitedict_kv.engines.sqlite.value_files.reaping import Reaper
from sqlitedict_kv.engines.sqlite.value_files.store_files import StoreFiles
from sqlitedict_kv.errors import StoreFullError

WRITE_PARTS, PUBLISH, NAMELESS = writing.write_parts, StoreFiles.publish, folder.NAMELESS
COMMIT = SQLiteEngine.commit


def hasten_files() -> None:
    """Let a short run remove dead files, and look for those that nobody knows, at every opportunity."""
    reaping.DEAD_SECONDS = 0.0
    reaping.COLLECT_ROUNDS = 2


def choose_way(way: str) -> None:
    """Let this process write files that get their name by a link ("nameless"), or by a change of name ("renamed")."""
    folder.NAMELESS = 0 if way == "renamed" else NAMELESS


def break_files(sabotage: str) -> None:
    """Break the store of this process in one way, or not at all."""
    match sabotage:
        case "a file is not synced":
            writing.sync_file = lambda descriptor: None
        case "the folder is not synced":
            OpenFolder.sync = lambda self: None
        case "removed at once":
            Reaper._secure = lambda self, folder: None
        case "removed without a sync of the files":
            Reaper._secure = lambda self, folder: self._sync_log([])
        case "published before it is written":
            writing.write_parts = _write_later
            SQLiteEngine.commit = lambda self, *arguments: (COMMIT(self, *arguments), _write_now())[0]
        case "a failed write is overlooked":
            writing.write_all = _write_some
            SQLiteEngine.commit = _commit_or_not
        case "removed before the commit":
            StoreFiles.publish = _remove_predecessor
        case "collected without the lock":
            Reaper._remove_unknown = _remove_without_the_lock


def _remove_without_the_lock(self, opened, names):
    for name in self._database.run(lambda cursor: catalog.unknown_of(cursor, names)):
        opened.unlink(name)


_late = []


def _write_later(descriptor, parts, chunk):
    """Return the checksums of what is written only when the entry is committed."""
    kept = [bytes(part) for part in parts]
    with tempfile.TemporaryFile() as elsewhere:
        sums = WRITE_PARTS(elsewhere.fileno(), map(memoryview, kept), chunk)
    os.ftruncate(descriptor, sum(map(len, kept)))
    _late.append((os.dup(descriptor), kept, chunk))
    return sums


def _write_now():
    while _late:
        descriptor, kept, chunk = _late.pop()
        WRITE_PARTS(descriptor, map(memoryview, kept), chunk)
        os.close(descriptor)


def _remove_predecessor(self, cursor, body, entry):
    row = cursor.execute(catalog.PREDECESSOR, (*entry, FILE)).fetchone()
    if row is not None:
        with self.folder.opened() as opened:
            opened.unlink(parse_reference(row[0]).file)
    PUBLISH(self, cursor, body, entry)


def _write_some(descriptor, piece):
    try:
        os.write(descriptor, piece)
    except OSError:
        os.ftruncate(descriptor, os.fstat(descriptor).st_size + len(piece))


def _commit_or_not(self, *arguments):
    try:
        return COMMIT(self, *arguments)
    except StoreFullError:
        return [1]
