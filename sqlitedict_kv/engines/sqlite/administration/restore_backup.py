"""Replacement of all entries of a file by those of a backup, in one transaction.

Others may have the file open meanwhile: they see what was there until the end, and the backup from then on.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator

from sqlitedict_kv.engines.sqlite.database import Database
from sqlitedict_kv.engines.sqlite.files.location import VALUES, uri_of
from sqlitedict_kv.engines.sqlite.mutations import MAX_INTEGER
from sqlitedict_kv.engines.sqlite.session import in_transaction
from sqlitedict_kv.engines.sqlite.tag_table import replace_tags
from sqlitedict_kv.engines.sqlite.value_files.catalog import has_files, live_files
from sqlitedict_kv.engines.sqlite.value_files.folder import ValueFolder
from sqlitedict_kv.engines.sqlite.value_files.store_files import StoreFiles
from sqlitedict_kv.engines.sqlite.value_files.transfer import transfer
from sqlitedict_kv.engines.sqlite.value_files.writing import translate_errors
from sqlitedict_kv.errors import MissingFileError, UnsupportedError

ATTACH = "ATTACH ? AS backup"
DETACH = "DETACH backup"
COLUMNS = "SELECT name FROM pragma_table_info('kv', 'backup')"

# The highest version that each namespace of the file has given so far. The row of the name '' counts syncs.
MAKE_GIVEN = "CREATE TEMP TABLE given (ns TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID"
FILL_GIVEN = """
    INSERT INTO temp.given
    SELECT ns, max(version) FROM (
        SELECT ns, max(version) AS version FROM main.kv GROUP BY ns UNION ALL SELECT ns, version FROM main.kv_floor
    ) WHERE ns <> '' GROUP BY ns
"""
HIGHEST_GIVEN = "SELECT max(version) FROM temp.given"
DROP_GIVEN = "DROP TABLE temp.given"
EMPTY = "DELETE FROM main.kv"
# Where the file gave versions, each entry gets one above them all. The checksum moves along, if it is of the version.
FILL = """
    INSERT INTO main.kv (ns, key, value, content_type, version, expires_at, updated_at, checksum)
    SELECT ns, key, value, content_type, next, expires_at, updated_at,
        CASE WHEN checksum >> 32 = (version & 0x7FFFFFFF) THEN (next & 0x7FFFFFFF) << 32 | (checksum & 0xFFFFFFFF) END
    FROM (
        SELECT b.*, max(b.version, ifnull(given.version + 1, 0)) AS next
        FROM backup.kv AS b LEFT JOIN temp.given ON given.ns = b.ns ORDER BY b.rowid
    )
"""
FILL_UNCHECKED = """
    INSERT INTO main.kv (ns, key, value, content_type, version, expires_at, updated_at)
    SELECT b.ns, key, value, content_type, max(b.version, ifnull(given.version + 1, 0)), expires_at, updated_at
    FROM backup.kv AS b LEFT JOIN temp.given ON given.ns = b.ns ORDER BY b.rowid
"""
RAISE_FLOORS = """
    INSERT INTO main.kv_floor (ns, version) SELECT ns, version FROM {} WHERE ns <> ''
    ON CONFLICT (ns) DO UPDATE SET version = max(version, excluded.version)
"""
COUNT = "SELECT count(*) FROM main.kv"


def replace_entries(database: Database, path: str, files: StoreFiles | None = None) -> int:
    """Replace all entries by those of the store at *path*, which is sound and not written to meanwhile.

    Each entry gets a version above all that its namespace gave here, so that a stale compare-and-set cannot succeed.
    Return how many entries there are now.
    """
    database.require_writable()
    with contextlib.ExitStack() as stack:
        cursor = stack.enter_context(database.aside())
        columns = stack.enter_context(_attached(database, cursor, path))
        bring = _bring_files(database, cursor, path, files, stack)
        fill = FILL if "checksum" in columns else FILL_UNCHECKED

        def work(cursor: sqlite3.Cursor) -> int:
            cursor.execute(FILL_GIVEN)
            (highest,) = cursor.execute(HIGHEST_GIVEN).fetchone()
            if highest is not None and highest >= MAX_INTEGER:
                raise UnsupportedError(f"{database.label}: no version can follow {highest}")
            cursor.execute(EMPTY)
            cursor.execute(fill)
            replace_tags(cursor)
            bring(cursor)
            cursor.execute(RAISE_FLOORS.format("temp.given"))
            if fill is FILL:
                cursor.execute(RAISE_FLOORS.format("backup.kv_floor"))
            (entries,) = cursor.execute(COUNT).fetchone()
            database.require_here(cursor)  # for it took long
            return int(entries)

        return database.patiently(lambda: in_transaction(cursor, work))


def _bring_files(
    database: Database, cursor: sqlite3.Cursor, path: str, files: StoreFiles | None, stack: contextlib.ExitStack
) -> Callable[[sqlite3.Cursor], None]:
    """Copy the value files of a backup into the folder; return what enters them within the transaction.

    Until the end of *stack* nothing is removed there, so the names may come before the lock on the database.
    """
    found = database.patiently(lambda: live_files(cursor, "backup") if has_files(cursor, "backup") else [])
    if files is None:
        return lambda _: None
    if not found:
        return lambda cursor: files.adopt(cursor, None, [])
    files.claim()
    source = stack.enter_context(ValueFolder(os.path.realpath(path)).kept())
    if source is None:
        name, namespace, key, _ = found[0]
        raise MissingFileError(namespace, key, f"its file {name} is in {path}{VALUES}, which is not there")
    stack.enter_context(translate_errors(files.folder.path))
    target = stack.enter_context(files.folder.kept())
    assert target is not None
    transfer(source, target, found)
    return lambda cursor: files.adopt(cursor, target, found)


@contextlib.contextmanager
def _attached(database: Database, cursor: sqlite3.Cursor, path: str) -> Iterator[set[str]]:
    """Attach a backup for reading, and give the names of its columns."""
    database.patiently(lambda: cursor.execute(ATTACH, (uri_of(path, "mode=ro"),)))
    database.patiently(lambda: cursor.execute(MAKE_GIVEN))
    try:
        yield {name for (name,) in database.patiently(lambda: cursor.execute(COLUMNS).fetchall())}
    finally:
        with contextlib.suppress(sqlite3.Error):  # the connection is closed in any case
            cursor.execute(DROP_GIVEN)
            cursor.execute(DETACH)
