"""The engine that keeps everything in one SQLite file."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from zlib import crc32

from sqlitedict_kv.engines.crc32 import SMALL, crc32_of_large
from sqlitedict_kv.engines.optional import CommitObserver, Quarantine, RecordSummary
from sqlitedict_kv.engines.protocol import (
    Advance,
    Capabilities,
    Change,
    CheckReport,
    Decode,
    Edit,
    Figures,
    KeyRange,
    Put,
    Tags,
    Value,
)
from sqlitedict_kv.engines.record import Record
from sqlitedict_kv.engines.sqlite.administration.backup import write_backup
from sqlitedict_kv.engines.sqlite.administration.progress import counting_steps
from sqlitedict_kv.engines.sqlite.administration.resting import rest
from sqlitedict_kv.engines.sqlite.administration.restore import merge_records, restore_entries
from sqlitedict_kv.engines.sqlite.administration.summaries import read_summaries
from sqlitedict_kv.engines.sqlite.administration.verification import verify
from sqlitedict_kv.engines.sqlite.checkpoint import sync_log
from sqlitedict_kv.engines.sqlite.checksum import EXPECTED_CRC, READ, SEAL_MASK, Row, batches, record_of
from sqlitedict_kv.engines.sqlite.database import Database, OnCorrupt
from sqlitedict_kv.engines.sqlite.error_mapping import UndecodableTextError
from sqlitedict_kv.engines.sqlite.group_commit import write_if_free
from sqlitedict_kv.engines.sqlite.limits import Limits
from sqlitedict_kv.engines.sqlite.maintenance import Maintenance
from sqlitedict_kv.engines.sqlite.mutations import (
    ADD_NOTING,
    NEW,
    OLD,
    REPLACE_IN_TIME_NOTING,
    REPLACE_NOTING,
    UPSERT_NOTING,
    names_of,
    replacement_of,
    values_of,
)
from sqlitedict_kv.engines.sqlite.open_transaction import hold_transaction
from sqlitedict_kv.engines.sqlite.session import Durability
from sqlitedict_kv.engines.sqlite.session_engine import HAS_LIVE, LONG_COMMIT, SessionEngine
from sqlitedict_kv.engines.sqlite.tag_table import TagSweeper, count_tags, is_tagged
from sqlitedict_kv.engines.sqlite.value_files import catalog
from sqlitedict_kv.engines.sqlite.value_files.store_files import StoreFiles
from sqlitedict_kv.engines.sqlite.value_files.writing import StagedBody, close_files
from sqlitedict_kv.errors import DamagedEntryError

READ_VALUE = f"SELECT value, content_type, expires_at, {EXPECTED_CRC} FROM kv WHERE ns = ? AND key = ?"
READ_MANY = """
    SELECT value, content_type, version, expires_at, updated_at, checksum, key FROM kv
    WHERE ns = ? AND key IN ({})
"""

NEVER = -1  # a time before which nothing expired
KEYS_PER_READ = 256  # bound values of one statement

READ_MANY_FULL = READ_MANY.format(", ".join(["?"] * KEYS_PER_READ))


class SQLiteEngine(SessionEngine):
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
        files_above: int | None = None,
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
        self._limits = Limits(self._database, max_bytes=max_bytes, max_entries=max_entries)
        every_writes, every_bytes = self._limits.pace
        self._maintenance = Maintenance(self._database, every_writes=every_writes, every_bytes=every_bytes)
        if max_bytes is not None or max_entries is not None:
            self._maintenance.evict = self._limits.keep
        self._files = None if self._database.in_memory else StoreFiles(self._database, self.read)
        self.load = None if self._files is None else self._files.load
        self.map = None if self._files is None else self._files.map
        self.open_body = None if self._files is None else self._files.open
        self.read_body = None if self._files is None else self._files.read_body
        self.value_files = None if files_above is None else self._files  # what writes values to files
        if self._files is not None:
            self._maintenance.maintain_files = self._files.maintain
            self._limits.remove_files = self._files.reaper.reap
        self._sweeper = TagSweeper(self._database)
        self._maintenance.sweep_tags = self._sweeper.maintain
        super().__init__(self._database, self._maintenance.wrote)
        self.quarantined: Quarantine | None = self._database.quarantined

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
            files=self.value_files is not None,
            tags=True,
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
            if expected == (crc32(head + body) if len(body) <= SMALL else crc32_of_large(body, crc32(head))):
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
            rows = self._database.run(lambda _: self._main.alone(look)) if keys else []
        except UndecodableTextError:
            self._name_damage([(namespace, key) for key in keys])
            raise
        return {key: record_of(namespace, key, row) for key, row in rows}

    # -- writing

    def put(self, namespace: str, key: str, body: bytes, content_type: str, expires_at: int | None, now: int) -> int:
        """Write one entry whatever is there and return its version."""
        # Flat, without _write, Put and rows.seal: the calls would cost 5 % of a small write.
        database, main = self._database, self._main
        head = f"{namespace}\0{key}\0{content_type}\0{expires_at}".encode()
        summed = crc32(head + body) if len(body) <= SMALL else crc32_of_large(body, crc32(head))
        sealed = summed + now + (now >> 32) & SEAL_MASK
        values = (namespace, key, body, content_type, namespace, expires_at, now, namespace, sealed)
        error = None
        with main.lock:
            try:
                if main.has_moved():
                    database.require_attached()
                noted = main.noted
                noted.clear()
                if database.observer is None:
                    main.cursor.execute(UPSERT_NOTING, values)
                else:
                    before = main.data_version.read()
                    main.cursor.execute(UPSERT_NOTING, values)
                    database.notify_observer([(namespace, key)], before, changed=True)
                version = noted[OLD] if OLD in noted else noted[NEW]
            except BaseException as caught:
                main.settle()
                error = caught
        if error is not None:
            database.require_writable()
            written = database.again(error, lambda _: self._write_noting(UPSERT_NOTING, values, namespace, key))
            assert written is not None
            version = written
        self._wrote(1, len(body), now)
        return version

    def put_at_once(self, edit: Put, now: int) -> int | None:
        """Write one entry as :meth:`put` does; None if others hold the lock: nothing was written."""
        values = UPSERT_NOTING, values_of(edit, now), edit.namespace, edit.key
        version = write_if_free(self._database, self._write_noting, values)
        if version is not None:
            self._wrote(1, len(edit.body), now)
        return version

    def restore(self, namespace: str, edits: Sequence[Put], above: int, now: int) -> None:
        """Write entries with distinct keys of a namespace, all or none, at versions greater than *above*."""
        restore_entries(self._database, namespace, edits, above, now, aside=len(edits) > LONG_COMMIT)
        self._count(edits, now)

    def merge(self, namespace: str, records: Mapping[str, Record], now: int, tags: Tags | None = None) -> int:
        """Write those records that are newer than what is there, with their times, and return how many."""
        merged = merge_records(self._database, namespace, records, now, tags)
        self._wrote(merged, close_files(records.values()), now)
        return merged

    def commit(self, edits: Sequence[Edit], now: int) -> list[int | None]:
        """Apply edits in order, all or none; a single one in half the time of a transaction."""
        if len(edits) == 1:
            try:
                version = self._commit_alone(edits[0], now)
            except UndecodableTextError:
                self._name_damage(names_of(edits))
                raise
            if version is not None:
                self._count(edits, now)
                return [version]
        return super().commit(edits, now)

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
                return self._write(ADD_NOTING, (*values_of(put, now), NEVER), put)
            return self._write(REPLACE_IN_TIME_NOTING, replacement_of(put, record.version, now, record.expires_at), put)
        if not isinstance(edit, Put) or type(edit.body) is StagedBody or edit.tags:
            return None
        if edit.expected is None:
            return self._write(UPSERT_NOTING, values_of(edit, now), edit)
        if edit.expected == 0:
            return self._write(ADD_NOTING, (*values_of(edit, now), now), edit)
        return self._write(REPLACE_NOTING, replacement_of(edit, edit.expected, now, now), edit)

    def _write(self, statement: str, values: tuple[object, ...], put: Put) -> int | None:
        """Run a statement that writes one row, or none, and return its version, or None."""
        if type(put.body) is StagedBody or put.tags:
            return None
        return self._database.run(lambda _: self._write_noting(statement, values, put.namespace, put.key))

    def _write_noting(self, statement: str, values: tuple[object, ...], namespace: str, key: str) -> int | None:
        """Run a statement that writes one row, or none; the caller holds the main lock."""
        main, database = self._main, self._database
        database.require_attached()
        main.noted.clear()
        before = main.data_version.read() if database.observer else None
        written = main.cursor.execute(statement, values).rowcount
        database.notify_observer([(namespace, key)], before, changed=bool(written))
        if not written:
            return None
        return main.noted[OLD] if OLD in main.noted else main.noted[NEW]

    @contextlib.contextmanager
    def exclusive(self, now: Callable[[], int]) -> Iterator[SessionEngine]:
        """Give an engine whose calls are one write transaction, committed when the block ends without an error."""
        with hold_transaction(self._database) as held:
            yield SessionEngine(held, held.wrote)
        self._wrote(held.written, held.written_bytes, now())

    # -- coherence

    def data_version(self, *, waiting: bool = True) -> Callable[[], bytes | None]:
        """Return a function that returns the data version; see :class:`DataVersionEngine`."""
        version = self._main.data_version
        if not version.needs_lock:
            return version.read
        return (lambda: self._database.run(lambda _: version.read())) if waiting else lambda: None

    def observe_commits(self, observer: CommitObserver) -> None:
        """Notify *observer* of each commit of this object, in their order."""
        self._database.observer = observer

    # -- maintenance

    def _count(self, edits: Sequence[Edit], now: int) -> None:
        self._sweeper.in_use = self._sweeper.in_use or is_tagged(edits)
        super()._count(edits, now)

    def forget_tag(self, tag: str, now: int) -> int:
        """Remove every entry with a tag, in bounded batches; return how many were live."""
        self._sweeper.in_use = True  # what else the entries were tagged with is stale now
        return super().forget_tag(tag, now)

    def purge_expired(self, namespace: str | None, limit: int | None, now: int) -> int:
        """Remove entries that expired, in bounded batches; return how many."""
        purged = self._maintenance.purge(namespace, limit, now)
        if limit is None:
            self._sweeper.sweep_all()
        return purged

    def figures(self, now: int) -> Figures:
        """Count what there is."""
        sizes = self._database.run(catalog.sizes)
        return (
            super()
            .figures(now)
            ._replace(
                evicted=self._limits.evicted,
                purged=self._maintenance.purged,
                files=sizes.files,
                file_bytes=sizes.size,
                tags=self._database.run(count_tags),
            )
        )

    def summaries(self, span: KeyRange, limit: int) -> list[RecordSummary]:
        """Return the first entries of a range without their values; see :class:`SummarizingEngine`."""
        return read_summaries(self._database, span, limit)

    def check(self, decode: Decode, advance: Advance | None = None) -> CheckReport:
        """Verify the whole store; *decode* raises a KVError for a value that cannot be read."""
        return verify(self._database, decode, self._files, advance)

    def probe(self) -> list[str]:
        """Read and, if writes are allowed, take and leave the write lock; raise what fails."""
        self._database.run(lambda cursor: cursor.execute(HAS_LIVE, ("", 0)).fetchone())
        if not self._database.readonly:
            self._database.transact(lambda _: None)
        return []

    def vacuum(self, advance: Advance | None = None) -> None:
        """Give the free space back to the operating system."""
        self._database.require_writable()
        self._sweeper.sweep_all()
        if self._files is not None:
            self._files.reaper.finish()
        with self._database.aside() as cursor, counting_steps(cursor, advance):
            self._database.patiently(lambda: cursor.execute("VACUUM"))
        self._maintenance.checkpoint()

    def backup(self, path: str, tell: Callable[[int, int], object] | None = None, *, link: bool = False) -> None:
        """Write a consistent copy to a new file, and files of values beside it."""
        write_backup(self._database, path, None if self._files is None else self._files.folder, tell, link=link)

    def sync(self) -> None:
        """Make all that was acknowledged survive a power cut."""
        self._database.require_writable()
        if self._files is not None:  # their files before the entries
            self._files.reaper.secure()
        sync_log(self._database)

    def rest(self) -> None:
        """Release what the operating system gives until the next call; see :class:`RestingEngine`."""
        rest(self._database)

    def close(self) -> None:
        """Release everything; later calls raise StoreClosedError."""
        self._database.holders.refuse("close the store")
        self._database.close()
