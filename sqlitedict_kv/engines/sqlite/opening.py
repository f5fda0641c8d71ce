"""The opening of a database: the first look, the migration, and what each connection is set to."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable
from types import ModuleType

from sqlitedict_kv.engines.sqlite import schema
from sqlitedict_kv.engines.sqlite.busy import BusyTimeout, patiently
from sqlitedict_kv.engines.sqlite.error_mapping import primary_code
from sqlitedict_kv.engines.sqlite.files.location import Location
from sqlitedict_kv.engines.sqlite.session import Durability, in_transaction
from sqlitedict_kv.errors import (
    CorruptStoreError,
    KVError,
    LocationError,
    OpenError,
    StoreDetachedError,
    StoreNotFoundError,
)

OLDEST_SQLITE = (3, 35, 0)  # the first with RETURNING
CACHE_KIB = 32_000  # page cache of a connection, at most
WAL_KEPT_BYTES = 8 * 2**20  # what the log is cut to when a checkpoint has emptied it

PRAGMAS = (
    "PRAGMA trusted_schema = OFF",  # these three: https://www.sqlite.org/security.html
    "PRAGMA cell_size_check = ON",
    "PRAGMA mmap_size = 0",
    "PRAGMA temp_store = MEMORY",
    f"PRAGMA cache_size = -{CACHE_KIB}",
    f"PRAGMA journal_size_limit = {WAL_KEPT_BYTES}",
    "PRAGMA wal_autocheckpoint = 0",  # see checkpoint.py
)
SYNCHRONOUS = {"process": "PRAGMA synchronous = NORMAL", "power": "PRAGMA synchronous = FULL"}
# On macOS a plain fsync stops at the drive's cache: https://www.sqlite.org/pragma.html#pragma_fullfsync
FULL_FSYNC = ("PRAGMA fullfsync = ON", "PRAGMA checkpoint_fullfsync = ON") if sys.platform == "darwin" else ()

_forbidden: dict[tuple[int, int], KVError] = {}  # files, by device and inode, that this process must not open again


class Opener:
    """Opens connections to one file, or to memory, always to the file that it opened first."""

    def __init__(
        self,
        location: Location | None,
        label: str,
        readonly: bool,  # noqa: FBT001 - as Database has it
        durability: Durability,
        *,
        checks_pages: bool,
        connect: Callable[..., sqlite3.Connection],
    ) -> None:
        """Open the file at *location*; with *checks_pages* the first look reads all of them."""
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise OpenError(f"SQLite {sqlite3.sqlite_version} is too old; 3.35 or newer is needed")
        self.label = label
        self.readonly = readonly
        self.durability = durability
        self.inode: tuple[int, int] | None = None  # of the file, once it was opened
        self._location = location
        self._checks_pages = checks_pages
        self._connect = connect
        self._mode = "mode=rw"

    def open(self, patience: BusyTimeout, durability: Durability | None = None) -> sqlite3.Connection:
        """Return a new connection, set as it should be, that has read from its file."""
        return self._open_file(patience, durability) if self._location else self._open_memory()

    def forbid(self, reason: KVError) -> None:
        """Let nothing in this process open the file again: what does raises an error as *reason* is."""
        if self.inode:
            _forbidden[self.inode] = reason

    def _open_memory(self) -> sqlite3.Connection:
        raw = self._connect_to("file::memory:")
        in_transaction(raw.cursor(), lambda _: schema.migrate(raw, schema.SchemaState(0, [])))
        return raw

    def _open_file(self, patience: BusyTimeout, durability: Durability | None) -> sqlite3.Connection:
        assert self._location is not None
        first = self.inode is None
        if first and self.readonly:
            self._location.require()
        elif first:
            self._location.create()
        inode = self._location.inode()
        if inode in _forbidden:
            raise again_of(_forbidden[inode])
        if not first and inode != self.inode:
            raise StoreDetachedError(f"{self.label}: the file was deleted or replaced while it was open")
        raw = self._open_current(patience) if first else self._connect_to(self._location.uri(self._mode))
        try:
            patiently(lambda: self._prepare(raw, durability or self.durability), patience)
            if self._location.inode() != inode:  # a lock is held since the first read: from now on it stays
                raise StoreDetachedError(f"{self.label}: the file was replaced while it was being opened; try again")
        except BaseException:
            raw.close()
            raise
        self.inode = inode
        return raw

    def _open_current(self, patience: BusyTimeout) -> sqlite3.Connection:
        """Return a connection to a file that is a current store, migrated if need be."""
        assert self._location is not None
        current = self._look(patience)
        if self.readonly:
            self._mode = self._readable_mode()
        raw = self._connect_to(self._location.uri(self._mode))
        try:
            if not current and not self.readonly:
                patiently(lambda: self._migrate(raw), patience)
        except BaseException:
            raw.close()
            raise
        return raw

    def _look(self, patience: BusyTimeout) -> bool:
        """Return whether the file needs no migration; raise if it is not ours.

        A file that turns out to be somebody else's must stay as it is, and alone. So the first look is one
        that takes no locks and leaves no files. Where there is a log it is not enough, and where there is a
        journal it may see half a write; then a connection that cannot write looks again: not even the recovery
        of a log would change the file.
        """
        assert self._location is not None
        if not os.path.lexists(self._location.wal):
            try:
                return self._look_through("mode=ro&immutable=1", patience)
            except (KVError, sqlite3.Error):
                if not self._location.has_companions():
                    raise
        try:
            return self._look_through(self._readable_mode() if self.readonly else "mode=ro", patience)
        except sqlite3.Error as error:
            if self.readonly or getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_READONLY_ROLLBACK:
                raise
        # A power cut left half a transaction. Nobody can read the file before it is undone, and that is what its owner
        # would do as well.
        return self._look_through("mode=rw", patience)

    def _look_through(self, mode: str, patience: BusyTimeout) -> bool:
        assert self._location is not None
        reader = self._connect_to(self._location.uri(mode))
        try:
            patiently(lambda: reader.execute("BEGIN"), patience)  # or others could migrate it while we look
            found = patiently(lambda: schema.inspect_schema(reader, self.label), patience)
            if self._checks_pages and (problems := patiently(lambda: quarantine().damage_in(reader), patience)):
                raise CorruptStoreError(f"{self.label} is damaged: {'; '.join(problems)}; it was not changed")
        finally:
            reader.close()
        if self.readonly and not found.version:
            raise StoreNotFoundError(f"{self.label} is empty; open it once for writing")
        return found.version >= schema.CURRENT and not found.useless_indexes

    def _readable_mode(self) -> str:
        """Return how to open the file for reading only: plainly, or as one that nobody can change."""
        assert self._location is not None
        probe = self._connect_to(self._location.uri("mode=ro"))
        try:
            probe.execute("SELECT 1 FROM sqlite_schema").fetchone()
        except sqlite3.Error as error:
            if primary_code(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                return "mode=ro"
            if self._location.has_log():
                raise LocationError(
                    f"{self.label} has a log that cannot be read without write access to its directory; "
                    f"open it once for writing and close it, then it can be read from a read-only place"
                ) from error
            return "mode=ro&immutable=1"
        finally:
            probe.close()
        return "mode=ro"

    def _migrate(self, raw: sqlite3.Connection) -> None:
        """Bring the file to the current format, whatever others do to it at the same time."""
        raw.execute("PRAGMA journal_mode = WAL")
        # Under NORMAL a power cut could take the tables of a young file away again.
        raw.execute(SYNCHRONOUS["power"])
        in_transaction(raw.cursor(), lambda _: schema.migrate(raw, schema.inspect_schema(raw, self.label)))

    def _prepare(self, raw: sqlite3.Connection, durability: Durability) -> None:
        """Set what SQLite keeps per connection, and read once, so that the log is there."""
        raw.executescript(";".join((*PRAGMAS, *FULL_FSYNC, SYNCHRONOUS[durability])))
        if not self.readonly and raw.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            raw.execute("PRAGMA journal_mode = WAL")  # a copy that backup() made has no log yet
        (version,) = raw.execute("PRAGMA main.user_version").fetchone()
        if self.readonly and version == 0:
            for view in schema.VIEWS_OF_V1:
                raw.execute(view)

    def _connect_to(self, uri: str) -> sqlite3.Connection:
        raw = self._connect(uri, uri=True, timeout=0, isolation_level=None, check_same_thread=False)
        if sys.version_info >= (3, 12):
            raw.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)
            raw.setconfig(sqlite3.SQLITE_DBCONFIG_ENABLE_TRIGGER, False)
        return raw


def quarantine() -> ModuleType:
    """Return the module that few stores need."""
    from sqlitedict_kv.engines.sqlite.recovery import quarantine as module  # noqa: PLC0415

    return module


def again_of(error: KVError) -> KVError:
    """Return an equal error, without the traceback of its first time."""
    return type(error)(*error.args)
