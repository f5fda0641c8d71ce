"""Value files of a damaged store: they stay with it, and those of entries that were saved get a second name."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3

from sqlitedict_kv.codecs.file_reference import FILE, BadReferenceError, new_name, parse_reference
from sqlitedict_kv.engines.sqlite import schema
from sqlitedict_kv.engines.sqlite.files.location import PRIVATE_DIRECTORY, PRIVATE_FILE, VALUES, sync_directory
from sqlitedict_kv.engines.sqlite.files.value_table import FILE_INDEX, FILE_TABLE

STORE = "STORE"  # the file in the folder that holds the id of the store
ID_BYTES = 64  # more than it has

REFERENCES = "SELECT ns, key, value FROM kv WHERE content_type = ?"
ADD = "INSERT OR IGNORE INTO kv_file (name, ns, key, size, state) VALUES (?, ?, ?, ?, 0)"
SET_OWNER = "INSERT INTO kv_file (name, ns, key, size, state) VALUES ('', ?, '', 0, 1)"


def enter_files(raw: sqlite3.Connection, owner: str) -> None:
    """Enter into a new store, which has a connection and no transaction, the files that its entries refer to."""
    files: list[tuple[str, str, str, int]] = []
    for namespace, key, body in raw.execute(REFERENCES, (FILE,)):
        with contextlib.suppress(BadReferenceError, TypeError):
            reference = parse_reference(body)
            files.append((reference.file, namespace, key, reference.size))
    if not files:
        return
    raw.execute("BEGIN")
    raw.execute(FILE_TABLE)
    raw.execute(FILE_INDEX)
    raw.execute(f"PRAGMA user_version = {schema.WITH_FILES}")
    raw.execute(SET_OWNER, (owner,))
    raw.executemany(ADD, files)
    raw.execute("COMMIT")


def read_owner(path: str) -> str:
    """Return the id in the folder of a store at *path*; a new one if there is none."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        descriptor = os.open(os.path.join(path + VALUES, STORE), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            found = os.read(descriptor, ID_BYTES).decode("ascii")
        finally:
            os.close(descriptor)
        if found.isalnum():
            return found
    return new_name()


def link_files(path: str, fresh: str, owner: str) -> int:
    """Make the folder of a new store, with second names of the files that it refers to; return how many are missing."""
    names = _names_in(fresh)
    if not names or not os.path.isdir(path + VALUES):
        return len(names)
    folder = fresh + VALUES
    os.mkdir(folder, PRIVATE_DIRECTORY)
    descriptor = os.open(os.path.join(folder, STORE), os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE_FILE)
    try:
        os.write(descriptor, owner.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    missing = 0
    for name in names:
        try:
            os.link(os.path.join(path + VALUES, name), os.path.join(folder, name), follow_symlinks=False)
        except FileNotFoundError:
            missing += 1
    sync_directory(folder)
    return missing


def _names_in(path: str) -> list[str]:
    with contextlib.closing(sqlite3.connect(path)) as raw:
        (version,) = raw.execute("PRAGMA user_version").fetchone()
        if version < schema.WITH_FILES:
            return []
        return [name for (name,) in raw.execute("SELECT name FROM kv_file WHERE name <> ''")]


def swap_folders(path: str, aside: str, fresh: str) -> None:
    """Let the folder go with the damaged file, and the new one take its place; :func:`undo_folders` undoes it."""
    if os.path.lexists(path + VALUES):
        os.rename(path + VALUES, aside + VALUES)
    if os.path.lexists(fresh + VALUES):
        os.rename(fresh + VALUES, path + VALUES)


def undo_folders(path: str, aside: str) -> None:
    """Give a damaged file its folder back, whose process died before the new file took its place."""
    if not os.path.lexists(aside + VALUES):
        return
    if os.path.lexists(path + VALUES):  # of the new file: it has nothing but second names
        shutil.rmtree(path + VALUES)
    os.rename(aside + VALUES, path + VALUES)
