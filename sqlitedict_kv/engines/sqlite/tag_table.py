"""Table of the tags of entries, made by the first tag.

A tag is valid only while its version is that of the entry. So a write, a removal or an expiry costs no look at this
table, and what they leave behind is swept in small parts.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from sqlitedict_kv.codecs.file_reference import FILE
from sqlitedict_kv.engines.protocol import Edit, Put
from sqlitedict_kv.engines.sqlite.maintenance import SOME_EXPIRED, raise_floors
from sqlitedict_kv.engines.sqlite.schema import TAG_INDEX, TAG_TABLE, WITH_TAGS, raise_format
from sqlitedict_kv.engines.sqlite.session import SQLiteSession
from sqlitedict_kv.engines.sqlite.value_files.catalog import bury_references, has_files

ENTRIES_PER_STEP = 1000  # that one transaction removes
ROWS_PER_STEP = 1000  # of tags, that one statement looks at

FORMAT = "PRAGMA {}.user_version"
FORGET_ENTRY = "DELETE FROM kv_tag WHERE ns = ? AND key = ?"
TAG_ENTRY = """
    INSERT INTO kv_tag (ns, key, tag, version) SELECT ns, key, ?, version FROM kv WHERE ns = ? AND key = ?
"""
IS_USED = "SELECT 1 FROM kv_tag WHERE tag = ? LIMIT 1"
# A step takes the first tags of entries, in the order of the index, and all up to the last of them.
FIRST = "SELECT version, ns, key FROM kv_tag WHERE tag = ? ORDER BY version, ns, key LIMIT ?"
TAGGED = """
    FROM kv_tag AS t CROSS JOIN kv ON kv.ns = t.ns AND kv.key = t.key AND kv.version = t.version
    WHERE t.tag = ? AND (t.version, t.ns, t.key) <= (?, ?, ?)
"""
EXPIRED = f"SELECT count(*) {TAGGED} AND kv.expires_at <= ?"
REFERENCES = f"SELECT kv.value {TAGGED} AND kv.content_type = ?"
# RETURNING would take as long again.
REMOVE = f"DELETE FROM kv WHERE rowid IN (SELECT kv.rowid {TAGGED})"
FORGET = "DELETE FROM kv_tag WHERE tag = ? AND (version, ns, key) <= (?, ?, ?)"
TAGS_OF = "SELECT version, tag FROM kv_tag WHERE ns = ? AND key = ? ORDER BY tag"
WALK = """
    SELECT ns, key, tag, version, ifnull((
        SELECT kv.version FROM kv WHERE kv.ns = kv_tag.ns AND kv.key = kv_tag.key
    ), 0) FROM kv_tag WHERE (ns, key, tag) > (?, ?, ?) ORDER BY ns, key, tag LIMIT ?
"""
FORGET_STALE = """
    DELETE FROM kv_tag WHERE ns = ? AND key = ? AND tag = ? AND version = ?
    AND NOT EXISTS (SELECT 1 FROM kv WHERE kv.ns = kv_tag.ns AND kv.key = kv_tag.key AND kv.version = kv_tag.version)
"""
FORGET_NAMESPACE = "DELETE FROM kv_tag WHERE (ns, key, tag) IN (SELECT ns, key, tag FROM kv_tag WHERE ns = ? LIMIT ?)"
COUNT = "SELECT count(*) FROM kv_tag"
EMPTY = "DELETE FROM main.kv_tag"
FILL = """
    INSERT INTO main.kv_tag (ns, key, tag, version)
    SELECT old.ns, old.key, old.tag, kv.version FROM backup.kv_tag AS old
    JOIN backup.kv AS source ON source.ns = old.ns AND source.key = old.key AND source.version = old.version
    JOIN main.kv AS kv ON kv.ns = old.ns AND kv.key = old.key
"""


def has_tags(cursor: sqlite3.Cursor, schema: str = "main") -> bool:
    """Return whether a database has ever had a tag; *schema* is the name by which it is attached."""
    (version,) = cursor.execute(FORMAT.format(schema)).fetchone()
    return int(version) >= WITH_TAGS


def _prepare(cursor: sqlite3.Cursor) -> None:
    """Make the table if there is none."""
    if not has_tags(cursor):
        cursor.execute(TAG_TABLE)
        cursor.execute(TAG_INDEX)
        raise_format(cursor, WITH_TAGS)


def is_tagged(edits: Iterable[Edit]) -> bool:
    """Return whether an edit writes tags."""
    return any(type(edit) is Put and edit.tags for edit in edits)


def write_tags(cursor: sqlite3.Cursor, puts: Sequence[Put]) -> None:
    """Give the entries that were written just now their tags, in the same transaction."""
    tagged = [(put.namespace, put.key, put.tags) for put in puts if put.tags]
    if tagged:
        tag_entries(cursor, tagged)


def tag_entries(cursor: sqlite3.Cursor, tagged: Sequence[tuple[str, str, tuple[str, ...]]]) -> None:
    """Give entries tags, by namespace and key, as of the versions that they have."""
    _prepare(cursor)
    cursor.executemany(FORGET_ENTRY, [(namespace, key) for namespace, key, _ in tagged])
    cursor.executemany(TAG_ENTRY, [(tag, namespace, key) for namespace, key, tags in tagged for tag in tags])


def forget_namespace(cursor: sqlite3.Cursor, namespace: str, limit: int = -1) -> None:
    """Remove tags of a namespace whose entries are removed in the same transaction; all if *limit* is -1."""
    if has_tags(cursor):
        cursor.execute(FORGET_NAMESPACE, (namespace, limit))


def read_tags(cursor: sqlite3.Cursor, namespace: str, keys: Iterable[str]) -> dict[str, tuple[int, tuple[str, ...]]]:
    """Return the tags of those keys that have some, with the version for which they are valid."""
    found: dict[str, tuple[int, tuple[str, ...]]] = {}
    if has_tags(cursor):
        for key in keys:
            rows = cursor.execute(TAGS_OF, (namespace, key)).fetchall()
            if rows:
                found[key] = rows[0][0], tuple(tag for _, tag in rows)
    return found


def count_tags(cursor: sqlite3.Cursor) -> int:
    """Return how many tags entries have, those included that are yet to be swept."""
    (count,) = cursor.execute(COUNT).fetchone() if has_tags(cursor) else (0,)
    return int(count)


def replace_tags(cursor: sqlite3.Cursor) -> None:
    """Replace all tags by those of an attached backup, after all entries were."""
    if has_tags(cursor):
        cursor.execute(EMPTY)
    if has_tags(cursor, "backup"):
        _prepare(cursor)
        cursor.execute(FILL)


def forget_step(session: SQLiteSession, tag: str, now: int) -> tuple[int, int]:
    """Remove some of the entries with a tag, in one transaction; return how many were tagged, and how many live."""
    rows: list[tuple[Any, ...]] = []

    def work(cursor: sqlite3.Cursor) -> int:
        nonlocal rows
        rows = cursor.execute(FIRST, (tag, ENTRIES_PER_STEP)).fetchall()
        if not rows:
            return 0
        bounds = (tag, *rows[-1])
        expired = cursor.execute(SOME_EXPIRED, (now,)).fetchone() and cursor.execute(EXPIRED, (*bounds, now)).fetchone()
        if has_files(cursor):
            bury_references(cursor, [body for (body,) in cursor.execute(REFERENCES, (*bounds, FILE)).fetchall()])
        removed = cursor.execute(REMOVE, bounds).rowcount
        highest = {namespace: version for version, namespace, _ in rows}  # they are in the order of the versions
        raise_floors(cursor, highest.items())
        cursor.execute(FORGET, bounds)
        return removed - (expired[0] if expired else 0)

    live = session.transact(work, lambda _: [(namespace, key) for _, namespace, key in rows])
    return len(rows), live


def is_used(session: SQLiteSession, tag: str) -> bool:
    """Return whether a tag is in the table."""
    return session.run(lambda cursor: has_tags(cursor) and cursor.execute(IS_USED, (tag,)).fetchone() is not None)


class TagSweeper:
    """Removes tags of entries that were written again or are gone, walking round the table in small parts."""

    def __init__(self, session: SQLiteSession) -> None:
        """Begin at the beginning."""
        self._session = session
        self._after = ("", "", "")
        self.in_use = False  # whether this process has written tags: a store without any costs no look

    def maintain(self, rows: int) -> None:
        """Look at so many tags, if there may be any."""
        if self.in_use:
            self.sweep(rows)

    def sweep(self, rows: int) -> int:
        """Look at so many tags, and remove those that are stale; return how many were looked at."""
        found = self._session.run(lambda cursor: self._look(cursor, rows))
        self._after = found[-1][:3] if len(found) == rows else ("", "", "")
        stale = [row[:4] for row in found if row[3] != row[4]]
        if stale:
            # An entry that was written again meanwhile has another version, and its tags too.
            self._session.transact(lambda cursor: cursor.executemany(FORGET_STALE, stale), lambda _: [])
        return len(found)

    def _look(self, cursor: sqlite3.Cursor, rows: int) -> list[Any]:
        return cursor.execute(WALK, (*self._after, rows)).fetchall() if has_tags(cursor) else []

    def sweep_all(self) -> None:
        """Remove all that are stale, in bounded steps."""
        self._after = ("", "", "")
        while self.sweep(ROWS_PER_STEP) == ROWS_PER_STEP:
            pass
