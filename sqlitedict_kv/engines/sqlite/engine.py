"""The verbs of a store, in SQL."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import get_ident
from typing import Any
from zlib import crc32

from sqlitedict_kv.engines.optional import CommitObserver
from sqlitedict_kv.engines.protocol import (
    AgeRange,
    Capabilities,
    Change,
    CheckReport,
    Edit,
    Figures,
    KeyRange,
    Outcome,
    Put,
    Value,
)
from sqlitedict_kv.engines.record import Record
from sqlitedict_kv.engines.sqlite.checksum import (
    EXPECTED_CRC,
    READ,
    SEAL_MASK,
    SMALL,
    Row,
    batches,
    is_checked,
    record_of,
)
from sqlitedict_kv.engines.sqlite.connection import AsleepError
from sqlitedict_kv.engines.sqlite.database import Database, Durability, OnCorrupt, in_transaction
from sqlitedict_kv.engines.sqlite.error_mapping import UndecodableTextError, is_busy
from sqlitedict_kv.engines.sqlite.key_range import KEYS, KEYS_REVERSE, RECORDS, RECORDS_REVERSE, bounds_of
from sqlitedict_kv.engines.sqlite.location import PRIVATE_FILE, sync_directory
from sqlitedict_kv.engines.sqlite.maintenance import RAISE_FLOOR, Maintenance, raise_floors
from sqlitedict_kv.engines.sqlite.mutations import (
    ADD_TELLING,
    MAX_INTEGER,
    NEW,
    OLD,
    REPLACE_IN_TIME_TELLING,
    REPLACE_TELLING,
    UPSERT_TELLING,
    apply,
    apply_groups,
    floor_of,
    names_of,
    put_rows,
    replacement_of,
    restore_rows,
    values_of,
)
from sqlitedict_kv.engines.sqlite.open_transaction import OpenTransaction
from sqlitedict_kv.errors import CorruptStoreError, DamagedEntryError, KVError, OpenError, UnsupportedError

READ_VALUE = f"SELECT value, content_type, expires_at, {EXPECTED_CRC} FROM kv WHERE ns = ? AND key = ?"
READ_MANY = """
    SELECT value, content_type, version, expires_at, updated_at, checksum, key FROM kv
    WHERE ns = ? AND key IN ({})
"""
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
BY_AGE_REVERSE = BY_AGE.replace("ORDER BY rowid", "ORDER BY rowid DESC")
COUNT_EXPIRED = "SELECT count(*) FROM kv WHERE expires_at <= ?"
COUNT_ALL = "SELECT count(*) FROM kv"
NEXT_NAMESPACE = "SELECT min(ns) FROM kv WHERE ns > ?"
HAS_LIVE = "SELECT 1 FROM kv WHERE ns = ? AND (expires_at IS NULL OR expires_at > ?) LIMIT 1"

CLEAR = "DELETE FROM kv WHERE ns = ?"
HIGHEST_VERSION = "SELECT max(iif(typeof(version) = 'integer', version, 0)) FROM kv WHERE ns = ?"
DROP_BATCH = """
    DELETE FROM kv WHERE rowid IN (SELECT rowid FROM kv WHERE ns = ? LIMIT ?)
    RETURNING ns, version, ifnull(expires_at > ?, 1)
"""
CHECK_BATCH = """
    SELECT value, content_type, version, expires_at, updated_at, checksum, ns, key, rowid FROM kv
    WHERE rowid > ? ORDER BY rowid LIMIT ?
"""
INTEGRITY = "PRAGMA integrity_check(20)"
SPACE = """
    SELECT page_count * page_size, freelist_count * page_size
    FROM pragma_page_count, pragma_freelist_count, pragma_page_size
"""
MARK_FOR_SYNC = "INSERT INTO kv_floor (ns, version) VALUES ('', 0) ON CONFLICT (ns) DO UPDATE SET version = 1 - version"

NEVER = -1  # a time before which nothing expired
KEYS_PER_READ = 256  # bound values of one statement
BYTES_PER_PAGE = 4 * 2**20  # of values that are held at once while records are listed
LONG_COMMIT = 2000  # edits; more are written through a connection of their own
DROP_ROWS = 1000
CHECK_ROWS = 200
MAX_ROWID = 2**63 - 1

READ_MANY_FULL = READ_MANY.format(", ".join(["?"] * KEYS_PER_READ))


class SQLiteEngine:
    """Keeps records in one SQLite file, or in memory; see :class:`sqlitedict_kv.engines.protocol.Engine`."""

    def __init__(
        self,
        path: str | None,
        *,
        readonly: bool = False,
        durability: Durability = "process",
        timeout: float = 10.0,
        max_bytes: int | None = None,
        max_entries: int | None = None,
        allow_unsafe_filesystem: bool = False,
        on_corrupt: OnCorrupt = "raise",
        connect: Callable[..., sqlite3.Connection] = sqlite3.connect,
    ) -> None:
        """Open the file at *path*; None is memory."""
        self._database = Database(
            path,
            readonly=readonly,
            durability=durability,
            timeout=timeout,
            allow_unsafe_filesystem=allow_unsafe_filesystem,
            on_corrupt=on_corrupt,
            connect=connect,
        )
        self._main = self._database.main
        self._upkeep = Maintenance(self._database, max_bytes=max_bytes, max_entries=max_entries)
        self._holders: set[int] = set()  # threads that are in a block of exclusive()
        self.label = self._database.label
        self.quarantined = self._database.quarantined

    @property
    def capabilities(self) -> Capabilities:
        """What a store in a file or in memory can do: all there is, but for what takes a file."""
        in_file = not self._database.in_memory
        return Capabilities(
            atomic_across_namespaces=True,
            exact_len=True,
            ordered=True,
            durable=in_file,
            by_age=True,
            exclusive=in_file,
            limits=True,
            backup=True,
        )

    # -- reading

    def read_value(self, namespace: str, key: str) -> Value | None:
        """Return what a reader of the value alone needs: body, content type and expires_at; expired or not."""
        # Flat, without Database.run and rows.crc: the calls would add a quarter to the 5 us of a point read.
        main = self._main
        error = None
        with main.lock:
            try:
                row: Value | None = main.cursor.execute(READ_VALUE, (namespace, key)).fetchone()
            except BaseException as caught:
                main.settle()
                error = caught
        if error is not None:
            row = self._again(error, namespace, key)
        if row is None:
            return None
        body, content_type, expires_at, expected = row
        if type(body) is bytes:
            head = f"{namespace}\0{key}\0{content_type}\0{expires_at}".encode()
            if expected == (crc32(head + body) if len(body) <= SMALL else crc32(body, crc32(head))):
                return row
        record = self.read(namespace, key)  # raises, unless another program wrote the row
        return record and (record.body, record.content_type, record.expires_at, None)

    def _again(self, error: BaseException, namespace: str, key: str) -> Value | None:
        try:
            found: Value | None = self._database.again(
                error, lambda cursor: cursor.execute(READ_VALUE, (namespace, key)).fetchone()
            )
        except UndecodableTextError as undecodable:
            raise DamagedEntryError(namespace, key, "it holds text that is not UTF-8") from undecodable
        return found

    def read(self, namespace: str, key: str) -> Record | None:
        """Return the newest record, expired or not."""
        try:
            row = self._database.run(lambda cursor: cursor.execute(READ, (namespace, key)).fetchone())
        except UndecodableTextError as error:
            raise DamagedEntryError(namespace, key, "it holds text that is not UTF-8") from error
        return None if row is None else record_of(namespace, key, row)

    def read_many(self, namespace: str, keys: Sequence[str]) -> dict[str, Record]:
        """Return the newest records of those keys that have one, expired or not, as of one moment."""

        def look(cursor: sqlite3.Cursor) -> list[tuple[str, Row]]:
            rows: list[tuple[str, Row]] = []
            cursor.execute("BEGIN")
            for batch in batches(keys, KEYS_PER_READ):
                padding = [batch[-1]] * (KEYS_PER_READ - len(batch))
                found = cursor.execute(READ_MANY_FULL, (namespace, *batch, *padding)).fetchall()
                rows += [(row[6], row[:6]) for row in found]
            cursor.execute("COMMIT")
            return rows

        try:
            return (
                {
                    key: record_of(namespace, key, row)
                    for key, row in self._database.run(lambda _: self._main.alone(look))
                }
                if keys
                else {}
            )
        except UndecodableTextError:
            self._name_damage([(namespace, key) for key in keys])
            raise

    def keys(self, span: KeyRange, limit: int, now: int) -> list[str]:
        """Return the first live keys of a span."""
        statement = KEYS_REVERSE if span.reverse else KEYS
        bounds = (span.namespace, *bounds_of(span), now, limit)
        keys = [key for (key,) in self._database.run(lambda cursor: cursor.execute(statement, bounds).fetchall())]
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
                    self._main.settle()  # the statement is not at its end, and would hold a snapshot
                    break
            return rows

        try:
            rows = self._database.run(work)
        except UndecodableTextError:
            self._name_damage([(span.namespace, key) for key in self.keys(span, limit, now)])
            raise
        self._refuse_disorder(span, [key for key, _ in rows[-1:]])
        return [(key, record_of(span.namespace, key, row)) for key, row in rows]

    def _refuse_disorder(self, span: KeyRange, keys: Sequence[str]) -> None:
        """Raise unless a walk has come further: in an index that is damaged it could go round in circles for ever."""
        if keys and span.after is not None and (keys[-1] >= span.after if span.reverse else keys[-1] <= span.after):
            raise self._disorder()

    def _disorder(self) -> CorruptStoreError:
        return CorruptStoreError(f"{self.label}: the database file is damaged: its keys are out of order")

    def keys_by_age(self, age: AgeRange, limit: int, now: int) -> list[tuple[int, str]]:
        """Return positions and keys of the first live entries in the order of their creation."""
        low, high = age.after or 0, MAX_ROWID if age.until is None else age.until
        if age.reverse:
            low, high = 0, MAX_ROWID if age.after is None else age.after - 1
        statement, values = BY_AGE_REVERSE if age.reverse else BY_AGE, (low, high, age.namespace, now, limit)
        return self._database.run(lambda cursor: cursor.execute(statement, values).fetchall())

    def count(self, namespace: str, now: int) -> tuple[int, int]:
        """Return how many entries of a namespace are live, and how many have expired."""
        rows, expired = self._database.run(lambda cursor: cursor.execute(COUNT, (namespace, now, namespace)).fetchone())
        return rows - expired, expired

    def highest(self, namespace: str) -> int:
        """Return the highest version that the namespace has given so far, 0 if it has given none."""
        with self._database.aside() as cursor:  # it looks at every row
            (version,), floor = self._database.patiently(
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

        return self._database.run(work)

    # -- writing

    def put(self, namespace: str, key: str, body: bytes, content_type: str, expires_at: int | None, now: int) -> int:
        """Write one entry whatever is there and return its version."""
        # Flat, without _write, Put and rows.seal: the calls would cost 5 % of a small write.
        database, main = self._database, self._main
        head = f"{namespace}\0{key}\0{content_type}\0{expires_at}".encode()
        summed = crc32(head + body) if len(body) <= SMALL else crc32(body, crc32(head))
        sealed = summed + now + (now >> 32) & SEAL_MASK
        values = (namespace, key, body, content_type, namespace, expires_at, now, namespace, sealed)
        error = None
        with main.lock:
            try:
                if main.moved():
                    database.require_attached()
                told = main.told
                told.clear()
                if database.observer is None:
                    main.cursor.execute(UPSERT_TELLING, values)
                else:
                    before = main.mark.read()
                    main.cursor.execute(UPSERT_TELLING, values)
                    database.tell([(namespace, key)], before, changed=True)
                version = told[OLD] if OLD in told else told[NEW]
            except BaseException as caught:
                main.settle()
                error = caught
        if error is not None:
            database.require_writable()
            written = database.again(error, lambda _: self._told_by(UPSERT_TELLING, values, namespace, key))
            assert written is not None
            version = written
        self._upkeep.wrote(1, len(body), now)
        return version

    def put_at_once(self, edit: Put, now: int) -> int | None:
        """Write one entry as :meth:`put` does; None if others hold the lock: nothing was written."""
        self._database.require_writable()
        values, main = values_of(edit, now), self._main
        error: sqlite3.Error | None = None
        with main.lock:
            try:
                version = self._told_by(UPSERT_TELLING, values, edit.namespace, edit.key)
            except BaseException as caught:
                main.settle()
                if not isinstance(caught, sqlite3.Error):
                    raise
                error = caught
        if error is not None:
            if isinstance(error, AsleepError) or is_busy(error):
                return None
            raise self._database.failure(error) from error
        self._upkeep.wrote(1, len(edit.body), now)
        return version

    def put_many(self, edits: Sequence[Put], now: int) -> dict[str, int]:
        """Write entries with distinct keys of one namespace, all or none; return their versions."""

        def work(cursor: sqlite3.Cursor) -> dict[str, int]:
            return put_rows(cursor, self._database.told(cursor), edits, now)

        if not edits:
            return {}
        versions = self._database.transact(work, lambda _: names_of(edits), aside=len(edits) > LONG_COMMIT)
        self._upkeep.wrote(len(edits), sum(len(edit.body) for edit in edits), now)
        return versions

    def restore(self, namespace: str, edits: Sequence[Put], above: int, now: int) -> None:
        """Write entries with distinct keys of a namespace, all or none, at versions greater than *above*.

        The floor is raised to it, so those of keys that are created later are greater too.
        """
        if above >= MAX_INTEGER:
            raise UnsupportedError(f"{self.label}: no version can follow {above} in namespace {namespace!r}")

        def work(cursor: sqlite3.Cursor) -> None:
            restore_rows(cursor, namespace, edits, above, now)

        self._database.transact(work, lambda _: names_of(edits), aside=len(edits) > LONG_COMMIT)
        self._upkeep.wrote(len(edits), sum(len(edit.body) for edit in edits), now)

    def commit(self, edits: Sequence[Edit], now: int) -> list[int | None]:
        """Apply edits in order, all or none."""

        def work(cursor: sqlite3.Cursor) -> list[int | None]:
            return [apply(cursor, edit, now) for edit in edits]

        try:
            version = self._commit_alone(edits[0], now) if len(edits) == 1 else None
            if version is not None:
                versions: list[int | None] = [version]
            else:
                versions = self._database.transact(work, lambda _: names_of(edits), aside=len(edits) > LONG_COMMIT)
        except UndecodableTextError:
            self._name_damage(names_of(edits))
            raise
        self._upkeep.wrote(len(edits), sum(len(edit.body) for edit in edits if isinstance(edit, Put)), now)
        return versions

    def _commit_alone(self, edit: Edit, now: int) -> int | None:
        """Try an edit as a single statement, in half the time of a transaction; return its version.

        None says that nothing was changed and a transaction has to find out why: the entry is not as expected, or
        another one changed it meanwhile.
        """
        self._database.require_writable()
        if isinstance(edit, Change):
            row = self._database.run(lambda cursor: cursor.execute(READ, (edit.namespace, edit.key)).fetchone())
            record = record_of(edit.namespace, edit.key, row) if row else None
            put = edit.function(record if record and record.is_live(now) else None)
            if record is None:
                return self._write(ADD_TELLING, (*values_of(put, now), NEVER), put)
            return self._write(
                REPLACE_IN_TIME_TELLING, replacement_of(put, record.version, now, record.expires_at), put
            )
        if not isinstance(edit, Put):
            return None
        if edit.expected is None:
            return self._write(UPSERT_TELLING, values_of(edit, now), edit)
        if edit.expected == 0:
            return self._write(ADD_TELLING, (*values_of(edit, now), now), edit)
        return self._write(REPLACE_TELLING, replacement_of(edit, edit.expected, now, now), edit)

    def _write(self, statement: str, values: tuple[object, ...], put: Put) -> int | None:
        """Run a statement that writes one row, or none, and return its version, or None."""
        return self._database.run(lambda _: self._told_by(statement, values, put.namespace, put.key))

    def _told_by(self, statement: str, values: tuple[object, ...], namespace: str, key: str) -> int | None:
        """Run a statement that writes one row, or none; the caller holds the main lock."""
        main, database = self._main, self._database
        database.require_attached()
        main.told.clear()
        before = main.mark.read() if database.observer else None
        written = main.cursor.execute(statement, values).rowcount
        database.tell([(namespace, key)], before, changed=bool(written))
        if not written:
            return None
        return main.told[OLD] if OLD in main.told else main.told[NEW]

    def commit_groups(self, claim: Callable[[], Sequence[Sequence[Edit]]], clock: Callable[[], int]) -> list[Outcome]:
        """Apply groups of edits in one transaction, in order, each group all or none."""
        edits: list[Edit] = []
        now = 0

        def work(cursor: sqlite3.Cursor) -> list[Outcome]:
            nonlocal edits, now
            groups = claim()  # between BEGIN and the first write: the lock is ours
            edits, now = [edit for group in groups for edit in group], clock()
            return apply_groups(cursor, groups, now, lambda: self._database.told(cursor), self.label)

        outcomes = self._database.transact(work, lambda _: names_of(edits))
        self._upkeep.wrote(len(edits), sum(len(edit.body) for edit in edits if isinstance(edit, Put)), now)
        return outcomes

    def _name_damage(self, names: Iterable[tuple[str, str]]) -> None:
        """Raise DamagedEntryError for the one of these entries that cannot be read."""
        for namespace, key in names:
            self.read(namespace, key)

    def clear(self, namespace: str, now: int) -> None:
        """Remove every entry of a namespace in one step."""

        def work(cursor: sqlite3.Cursor) -> None:
            (highest,) = cursor.execute(HIGHEST_VERSION, (namespace,)).fetchone()
            if highest is not None:
                cursor.execute(CLEAR, (namespace,))
                cursor.execute(RAISE_FLOOR, (namespace, highest))

        self._database.transact(work, aside=True)
        self._upkeep.wrote(1, 0, now)

    def drop(self, namespace: str, now: int) -> int:
        """Remove every entry of a namespace in bounded batches; return how many were live."""

        def work(cursor: sqlite3.Cursor) -> list[tuple[str, int, int]]:
            removed = cursor.execute(DROP_BATCH, (namespace, DROP_ROWS, now)).fetchall()
            raise_floors(cursor, removed)
            return removed

        total = 0
        while removed := self._database.transact(work):
            total += sum(live for _, _, live in removed)
            self._upkeep.wrote(1, 0, now)
        return total

    @contextlib.contextmanager
    def exclusive(self, now: Callable[[], int]) -> Iterator[OpenTransactionEngine]:
        """Give an engine whose calls are one write transaction, committed when the block ends without an error."""
        self._database.require_writable()
        if self._database.in_memory:
            raise UnsupportedError("exclusive() needs a store in a file; one in memory has a single connection")
        self._refuse_holder("begin another block")
        thread = get_ident()
        strange: sqlite3.Error | None = None
        with self._database.aside() as cursor:
            held = OpenTransaction(self._database, cursor)
            held.begin()
            self._holders.add(thread)
            try:
                yield OpenTransactionEngine(held)
                held.commit()
            except sqlite3.Error as error:  # ours are translated: it is of another database, and no reason to stop
                strange = error
            finally:
                self._holders.discard(thread)
                held.end()
        if strange is not None:
            raise strange
        self._upkeep.wrote(held.written, held.written_bytes, now())

    def _refuse_holder(self, action: str) -> None:
        """Raise for a thread that would wait for itself."""
        if get_ident() in self._holders:
            raise RuntimeError(f"cannot {action} in the block of exclusive(), which holds the lock of {self.label}")

    # -- coherence

    def data_version(self, *, waiting: bool = True) -> Callable[[], bytes | None]:
        """Return a function that returns the data version; see :class:`DataVersionEngine`."""
        mark = self._main.mark
        if not mark.needs_lock:
            return mark.read
        return (lambda: self._database.run(lambda _: mark.read())) if waiting else lambda: None

    def observe_commits(self, observer: CommitObserver) -> None:
        """Notify *observer* of each commit of this object, in their order."""
        self._database.observer = observer

    # -- upkeep

    def purge_expired(self, namespace: str | None, limit: int | None, now: int) -> int:
        """Remove entries that expired, in bounded batches; return how many."""
        return self._upkeep.purge(namespace, limit, now)

    def figures(self, now: int) -> Figures:
        """Count what there is."""
        names = self.namespaces(now)
        with self._database.aside() as cursor:
            rows, expired, used, free = self._database.patiently(
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
            evicted=self._upkeep.evicted,
            purged=self._upkeep.purged,
            library_version=f"SQLite {sqlite3.sqlite_version}",
            durability=self._database.durability,
        )

    def check(self, decode: Callable[[str, str, bytes, str], object]) -> CheckReport:
        """Verify the whole store; *decode* raises a KVError for a record that cannot be read."""
        problems: list[str] = []
        entries = unchecked = 0
        try:
            with self._database.aside() as cursor, contextlib.ExitStack() as stack:
                stack.callback(setattr, cursor.connection, "text_factory", str)  # memory has no other connection
                cursor.connection.text_factory = _lenient_text

                def rows(statement: str, *values: object) -> list[Any]:
                    return self._database.patiently(lambda: cursor.execute(statement, values).fetchall())

                problems += [text for (text,) in rows(INTEGRITY) if text != "ok"]
                last = -(2**63)
                while batch := rows(CHECK_BATCH, last, CHECK_ROWS):
                    if batch[-1][-1] <= last:  # in a page that is out of order, this would never end
                        problems.append("the rows are out of order")
                        break
                    for *columns, namespace, key, rowid in batch:
                        row = tuple(columns)
                        try:
                            record = record_of(namespace, key, row)
                            decode(namespace, key, record.body, record.content_type)
                            unchecked += not is_checked(row)
                        except KVError as error:
                            problems.append(str(error))
                        last = rowid
                    entries += len(batch)
        except CorruptStoreError as error:
            problems.append(str(error))
        return CheckReport(not problems, entries, unchecked, tuple(problems))

    def probe(self) -> list[str]:
        """Read and, if writes are allowed, take and leave the write lock; raise what fails."""
        self._database.run(lambda cursor: cursor.execute(HAS_LIVE, ("", 0)).fetchone())
        if not self._database.readonly:
            self._database.transact(lambda _: None)
        return []

    def vacuum(self) -> None:
        """Give the free space back to the operating system."""
        self._database.require_writable()
        with self._database.aside() as cursor:
            self._database.patiently(lambda: cursor.execute("VACUUM"))
        self._upkeep.checkpoint()

    def backup(self, path: str) -> None:
        """Write a consistent copy to a new file.

        The copy grows under another name and gets its own only when it is whole.
        """
        partial = f"{path}.{os.getpid()}.partial"
        try:
            os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE_FILE))
            try:
                self._copy_to(partial)
                if os.path.lexists(path):
                    raise OpenError(f"cannot write a backup to {path}: something is there already")
                os.rename(partial, path)
                sync_directory(os.path.dirname(os.path.abspath(path)))
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(partial)
                raise
        except OSError as error:
            raise OpenError(f"cannot write a backup to {path}: {error}") from error

    def _copy_to(self, path: str) -> None:
        try:
            with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as target:
                with self._database.aside() as cursor:
                    try:
                        cursor.connection.backup(target)  # all pages in one step: one snapshot, while others write
                    except sqlite3.OperationalError as error:  # of the copy, most likely: no reason to stop the store
                        raise OpenError(f"cannot write a backup to {path}: {error}") from error
                # So that the copy is one file, its log in it.
                (mode,) = target.execute("PRAGMA journal_mode = DELETE").fetchone()
                if mode != "delete":
                    raise OpenError(f"cannot write a backup to {path}: it stays in journal mode {mode}")
        except sqlite3.Error as error:
            raise OpenError(f"cannot write a backup to {path}: {error}") from error

    def sync(self) -> None:
        """Make all that was acknowledged survive a power cut.

        A commit that syncs the log syncs all the commits before it.
        """
        self._database.require_writable()
        with self._database.aside(durability="power") as cursor:
            self._database.patiently(lambda: in_transaction(cursor, lambda cursor: cursor.execute(MARK_FOR_SYNC)))

    def close(self) -> None:
        """Release everything; later calls raise StoreClosedError."""
        self._refuse_holder("close the store")
        self._database.close()


class OpenTransactionEngine(SQLiteEngine):
    """The verbs, within the open transaction of :meth:`SQLiteEngine.exclusive`."""

    def __init__(self, held: OpenTransaction) -> None:
        """Work within *held*, which answers the calls of a database, of its connection and of the upkeep."""
        self._database: Any = held
        self._main: Any = held
        self._upkeep: Any = held
        self._holders = set()
        self.label = held.label
        self.quarantined = None

    def read_value(self, namespace: str, key: str) -> Value | None:
        """Return what a reader of the value alone needs."""
        record = self.read(namespace, key)
        return record and (record.body, record.content_type, record.expires_at, None)

    def read_many(self, namespace: str, keys: Sequence[str]) -> dict[str, Record]:
        """Return the newest records of those keys that have one."""
        found = {key: self.read(namespace, key) for key in keys}
        return {key: record for key, record in found.items() if record is not None}

    def put(self, namespace: str, key: str, body: bytes, content_type: str, expires_at: int | None, now: int) -> int:
        """Write one entry whatever is there and return its version."""
        (version,) = self.commit([Put(namespace, key, body, content_type, expires_at)], now)
        assert version is not None
        return version

    def _commit_alone(self, edit: Edit, now: int) -> int | None:
        """Leave every edit to the transaction that is open."""
        del edit, now
        return None

    def purge_expired(self, namespace: str | None, limit: int | None, now: int) -> int:
        """Remove entries that expired; return how many."""
        return Maintenance(self._database, max_bytes=None, max_entries=None).purge(namespace, limit, now)

    @contextlib.contextmanager
    def exclusive(self, now: Callable[[], int]) -> Iterator[OpenTransactionEngine]:
        """Give the engine itself: the transaction is open already."""
        del now
        yield self


def _lenient_text(raw: bytes) -> str:
    """Decode anything, so that damaged text fails at its checksum, beside the name of its entry."""
    return raw.decode(errors="replace")
