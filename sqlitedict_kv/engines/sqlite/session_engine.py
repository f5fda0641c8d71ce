"""The verbs on rows, in SQL, for any session."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence

from sqlitedict_kv.engines.protocol import (
    Advance,
    AgeRange,
    Capabilities,
    Edit,
    Figures,
    KeyRange,
    Outcome,
    Put,
    Value,
)
from sqlitedict_kv.engines.record import Record
from sqlitedict_kv.engines.sqlite.checksum import READ, Row, record_of
from sqlitedict_kv.engines.sqlite.error_mapping import UndecodableTextError
from sqlitedict_kv.engines.sqlite.group_commit import commit_groups
from sqlitedict_kv.engines.sqlite.key_range import KEYS, KEYS_REVERSE, RECORDS, RECORDS_REVERSE, bounds_of
from sqlitedict_kv.engines.sqlite.maintenance import COUNT_ALL, RAISE_FLOOR, purge, raise_floors
from sqlitedict_kv.engines.sqlite.mutations import (
    apply_in_order,
    floor_of,
    names_of,
    put_rows,
)
from sqlitedict_kv.engines.sqlite.session import SQLiteSession
from sqlitedict_kv.engines.sqlite.tag_table import (
    ENTRIES_PER_STEP,
    forget_namespace,
    forget_step,
    is_used,
    read_tags,
)
from sqlitedict_kv.engines.sqlite.value_files.writing import close_files
from sqlitedict_kv.errors import CorruptStoreError, DamagedEntryError

# The primary key counts without a look at the rows; the unary plus leaves the expired to their own index.
COUNT = """
    SELECT (SELECT count(*) FROM kv WHERE ns = ?),
           (SELECT count(*) FROM kv WHERE expires_at <= ? AND +ns = ?)
"""
# The order of the rowids is that of creation: an entry that is written again keeps its row. The unary plus lets SQLite
# walk along them instead of sorting what the primary key finds.
BY_AGE = """
    SELECT rowid, key FROM kv
    WHERE rowid > ? AND rowid <= ? AND +ns = ? AND (expires_at IS NULL OR +expires_at > ?) ORDER BY rowid LIMIT ?
"""
BY_AGE_REVERSE = """
    SELECT rowid, key FROM kv
    WHERE rowid > ? AND rowid <= ? AND +ns = ? AND (expires_at IS NULL OR +expires_at > ?) ORDER BY rowid DESC LIMIT ?
"""
COUNT_EXPIRED = "SELECT count(*) FROM kv WHERE expires_at <= ?"
NEXT_NAMESPACE = "SELECT min(ns) FROM kv WHERE ns > ?"
HAS_LIVE = "SELECT 1 FROM kv WHERE ns = ? AND (expires_at IS NULL OR expires_at > ?) LIMIT 1"
CLEAR = "DELETE FROM kv WHERE ns = ?"
HIGHEST_VERSION = "SELECT max(iif(typeof(version) = 'integer', version, 0)) FROM kv WHERE ns = ?"
DROP_BATCH = """
    DELETE FROM kv WHERE rowid IN (SELECT rowid FROM kv WHERE ns = ? LIMIT ?)
    RETURNING ns, version, ifnull(expires_at > ?, 1)
"""
SPACE = """
    SELECT page_count * page_size, freelist_count * page_size
    FROM pragma_page_count, pragma_freelist_count, pragma_page_size
"""

BYTES_PER_PAGE = 4 * 2**20  # of values that are held at once while records are listed
LONG_COMMIT = 2000  # edits; more are written through a connection of their own
DROP_ROWS = 1000
MAX_ROWID = 2**63 - 1


class SessionEngine:
    """The verbs on rows, as every session can run them; :class:`SQLiteEngine` has quicker ways for some.

    *wrote* is told of each commit: how many entries, how many bytes of values, and when.
    """

    def __init__(self, session: SQLiteSession, wrote: Callable[[int, int, int], None]) -> None:
        """Run statements by *session*."""
        self._session = session
        self._wrote = wrote
        self.label = session.label

    @property
    def capabilities(self) -> Capabilities:
        """What can be done within an open transaction: all but to begin another one."""
        return Capabilities(
            atomic_across_namespaces=True,
            exact_len=True,
            ordered=True,
            durable=True,
            by_age=True,
            exclusive=False,
            limits=False,
            backup=False,
            tags=True,
        )

    # -- reading

    def read_value(self, namespace: str, key: str) -> Value | None:
        """Return what a reader of the value alone needs."""
        record = self.read(namespace, key)
        return record and (record.body, record.content_type, record.expires_at, None)

    def read(self, namespace: str, key: str) -> Record | None:
        """Return the newest record, expired or not."""
        try:
            row = self._session.run(lambda cursor: cursor.execute(READ, (namespace, key)).fetchone())
        except UndecodableTextError as error:
            raise DamagedEntryError(namespace, key, "it holds text that is not UTF-8") from error
        return None if row is None else record_of(namespace, key, row)

    def read_many(self, namespace: str, keys: Sequence[str]) -> dict[str, Record]:
        """Return the newest records of those keys that have one."""
        found = {key: self.read(namespace, key) for key in keys}
        return {key: record for key, record in found.items() if record is not None}

    def keys(self, span: KeyRange, limit: int, now: int) -> list[str]:
        """Return the first live keys of a span."""
        statement = KEYS_REVERSE if span.reverse else KEYS
        bounds = (span.namespace, *bounds_of(span), now, limit)
        keys = [key for (key,) in self._session.run(lambda cursor: cursor.execute(statement, bounds).fetchall())]
        self._refuse_disorder(span, keys)
        return keys

    def records(self, span: KeyRange, limit: int, now: int) -> list[tuple[str, Record]]:
        """Return the first live records of a span: at least one if there is any, at most *limit*."""
        statement = RECORDS_REVERSE if span.reverse else RECORDS
        bounds = (span.namespace, *bounds_of(span), now, limit)

        def work(cursor: sqlite3.Cursor) -> list[tuple[str, Row]]:
            rows: list[tuple[str, Row]] = []
            size = 0
            for row in cursor.execute(statement, bounds):
                rows.append((row[6], row[:6]))
                size += len(row[0]) if isinstance(row[0], bytes | str) else 0
                if size >= BYTES_PER_PAGE:
                    self._session.settle()  # the statement is not at its end, and would hold a snapshot
                    break
            return rows

        try:
            rows = self._session.run(work)
        except UndecodableTextError:
            self._name_damage([(span.namespace, key) for key in self.keys(span, limit, now)])
            raise
        self._refuse_disorder(span, [key for key, _ in rows[-1:]])
        return [(key, record_of(span.namespace, key, row)) for key, row in rows]

    def _refuse_disorder(self, span: KeyRange, keys: Sequence[str]) -> None:
        """Raise unless a walk has come further: in an index that is damaged it could go round in circles forever."""
        if keys and span.after is not None and (keys[-1] >= span.after if span.reverse else keys[-1] <= span.after):
            raise self._disorder()

    def _disorder(self) -> CorruptStoreError:
        return CorruptStoreError(f"{self.label}: the database file is damaged: its keys are out of order")

    def _name_damage(self, names: Iterable[tuple[str, str]]) -> None:
        """Raise DamagedEntryError for the one of these entries that cannot be read."""
        for namespace, key in names:
            self.read(namespace, key)

    def keys_by_age(self, age: AgeRange, limit: int, now: int) -> list[tuple[int, str]]:
        """Return positions and keys of the first live entries in the order of their creation."""
        low, high = age.after or 0, MAX_ROWID if age.until is None else age.until
        if age.reverse:
            low, high = 0, MAX_ROWID if age.after is None else age.after - 1
        statement, values = BY_AGE_REVERSE if age.reverse else BY_AGE, (low, high, age.namespace, now, limit)
        return self._session.run(lambda cursor: cursor.execute(statement, values).fetchall())

    def count(self, namespace: str, now: int) -> tuple[int, int]:
        """Return how many entries of a namespace are live, and how many have expired."""
        rows, expired = self._session.run(lambda cursor: cursor.execute(COUNT, (namespace, now, namespace)).fetchone())
        return rows - expired, expired

    def highest(self, namespace: str) -> int:
        """Return the highest version that the namespace has given so far, 0 if it has given none."""
        with self._session.aside() as cursor:  # it looks at every row
            (version,), floor = self._session.patiently(
                lambda: (cursor.execute(HIGHEST_VERSION, (namespace,)).fetchone(), floor_of(cursor, namespace))
            )
        return max(version or 0, floor)

    def namespaces(self, now: int) -> list[str]:
        """Return the names that have live entries, in order."""

        def work(cursor: sqlite3.Cursor) -> list[str]:
            names: list[str] = []
            (name,) = cursor.execute(NEXT_NAMESPACE, ("",)).fetchone()
            if name is not None and type(name) is not str:
                raise self._disorder()
            while name is not None:
                if cursor.execute(HAS_LIVE, (name, now)).fetchone():
                    names.append(name)
                last = name
                (name,) = cursor.execute(NEXT_NAMESPACE, (last,)).fetchone()
                if name is not None and (type(name) is not str or name <= last):  # as in _refuse_disorder
                    raise self._disorder()
            return names

        return self._session.run(work)

    def figures(self, now: int) -> Figures:
        """Count what there is; this session itself has evicted and purged nothing."""
        names = self.namespaces(now)
        with self._session.aside() as cursor:
            rows, expired, used, free = self._session.patiently(
                lambda: (
                    *cursor.execute(COUNT_ALL).fetchone(),
                    *cursor.execute(COUNT_EXPIRED, (now,)).fetchone(),
                    *cursor.execute(SPACE).fetchone(),
                )
            )
        return Figures(
            entries=rows - expired,
            expired=expired,
            namespaces=len(names),
            bytes_on_disk=used,
            free_bytes=free,
            evicted=0,
            purged=0,
            library_version=f"SQLite {sqlite3.sqlite_version}",
            durability=self._session.durability,
        )

    # -- writing

    def put(self, namespace: str, key: str, body: bytes, content_type: str, expires_at: int | None, now: int) -> int:
        """Write one entry whatever is there and return its version."""
        edit = Put(namespace, key, body, content_type, expires_at)
        return self.put_many([edit], now)[key]

    def put_many(self, edits: Sequence[Put], now: int, advance: Advance | None = None) -> dict[str, int]:
        """Write entries with distinct keys of one namespace, all or none; return their versions."""

        def work(cursor: sqlite3.Cursor) -> dict[str, int]:
            return put_rows(cursor, self._session.clear_notes(cursor), edits, now, advance)

        if not edits:
            return {}
        try:
            versions = self._session.transact(work, lambda _: names_of(edits), aside=len(edits) > LONG_COMMIT)
        except BaseException:
            close_files(edits)
            raise
        self._count(edits, now)
        return versions

    def commit(self, edits: Sequence[Edit], now: int) -> list[int | None]:
        """Apply edits in order, all or none."""

        def work(cursor: sqlite3.Cursor) -> list[int | None]:
            return apply_in_order(cursor, edits, now)

        try:
            versions = self._session.transact(work, lambda _: names_of(edits), aside=len(edits) > LONG_COMMIT)
        except BaseException as error:
            close_files(edits)
            if isinstance(error, UndecodableTextError):
                self._name_damage(names_of(edits))
            raise
        self._count(edits, now)
        return versions

    def commit_groups(self, claim: Callable[[], Sequence[Sequence[Edit]]], clock: Callable[[], int]) -> list[Outcome]:
        """Apply groups of edits in one transaction, in order, each group all or none."""
        outcomes, edits, now = commit_groups(self._session, claim, clock)
        self._count(edits, now)
        return outcomes

    def _count(self, edits: Sequence[Edit], now: int) -> None:
        """Report a commit that was made."""
        self._wrote(len(edits), close_files(edits), now)

    def forget_tag(self, tag: str, now: int) -> int:
        """Remove every entry with a tag, in bounded batches; return how many were live."""
        self._session.require_writable()
        total, found = 0, ENTRIES_PER_STEP if is_used(self._session, tag) else 0
        while found == ENTRIES_PER_STEP:
            found, live = forget_step(self._session, tag, now)
            total += live
            self._wrote(1, 0, now)
        return total

    def tags_of(self, namespace: str, keys: Sequence[str]) -> dict[str, tuple[int, tuple[str, ...]]]:
        """Return the tags of those keys that have some, with the version for which they are valid."""
        return self._session.run(lambda cursor: read_tags(cursor, namespace, keys))

    def clear(self, namespace: str, now: int) -> None:
        """Remove every entry of a namespace in one step."""

        def work(cursor: sqlite3.Cursor) -> None:
            (highest,) = cursor.execute(HIGHEST_VERSION, (namespace,)).fetchone()
            if highest is not None:
                cursor.execute(CLEAR, (namespace,))
                cursor.execute(RAISE_FLOOR, (namespace, highest))
                forget_namespace(cursor, namespace)

        self._session.transact(work, aside=True)
        self._wrote(1, 0, now)

    def drop(self, namespace: str, now: int, advance: Advance | None = None) -> int:
        """Remove every entry of a namespace in bounded batches; return how many were live."""

        def work(cursor: sqlite3.Cursor) -> list[tuple[str, int, int]]:
            removed = cursor.execute(DROP_BATCH, (namespace, DROP_ROWS, now)).fetchall()
            raise_floors(cursor, removed)
            forget_namespace(cursor, namespace, DROP_ROWS)
            return removed

        total = rows = 0
        while removed := self._session.transact(work):
            total += sum(live for _, _, live in removed)
            rows += len(removed)
            self._wrote(1, 0, now)
            if advance is not None:
                advance(rows)
        return total

    def purge_expired(self, namespace: str | None, limit: int | None, now: int) -> int:
        """Remove entries that expired, in bounded batches; return how many."""
        return purge(self._session, namespace, limit, now)

    def close(self) -> None:
        """Do nothing: the session belongs to somebody else."""
