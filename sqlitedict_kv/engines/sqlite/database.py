"""The open file: the one place that opens, begins, commits, retries and gives up."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from time import monotonic
from types import ModuleType
from typing import TYPE_CHECKING, Literal, TypeVar
from weakref import finalize

from sqlitedict_kv.engines.optional import CommitObserver
from sqlitedict_kv.engines.protocol import Keys
from sqlitedict_kv.engines.sqlite import fork_safety, schema
from sqlitedict_kv.engines.sqlite.busy import BusyTimeout, patiently
from sqlitedict_kv.engines.sqlite.connection import NO_CURSOR, AsleepError, Connection
from sqlitedict_kv.engines.sqlite.error_mapping import is_busy, primary_code, stops, translate
from sqlitedict_kv.engines.sqlite.location import Location
from sqlitedict_kv.errors import (
    CorruptStoreError,
    ForkedStoreError,
    KVError,
    LocationError,
    OpenError,
    ReadOnlyError,
    StoreClosedError,
    StoreDetachedError,
    StoreNotFoundError,
)

if TYPE_CHECKING:
    from sqlitedict_kv.engines.optional import Quarantine

T = TypeVar("T")
Durability = Literal["process", "power"]
OnCorrupt = Literal["raise", "quarantine"]
Work = Callable[[sqlite3.Cursor], T]

OLDEST_SQLITE = (3, 35, 0)  # the first with RETURNING
CACHE_KIB = 32_000  # page cache of a connection, at most
ATTEMPTS = 3  # to open a damaged file that others put into quarantine at the same time
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


def in_transaction(cursor: sqlite3.Cursor, work: Work[T]) -> T:
    """Call *work* between BEGIN IMMEDIATE and COMMIT; leave no transaction open, whatever happens."""
    try:
        cursor.execute("BEGIN IMMEDIATE")
        result = work(cursor)
        cursor.execute("COMMIT")
    except BaseException:
        if cursor.connection.in_transaction:
            cursor.connection.rollback()
        raise
    return result


def anything(_: object) -> None:
    """Say that a transaction may have changed any entry."""


_forbidden: dict[tuple[int, int], KVError] = {}  # files, by device and inode, that this process must not open again


class Database:
    """One SQLite database: a connection for short calls, and more for long ones while they last."""

    def __init__(
        self,
        path: str | None,
        *,
        readonly: bool = False,
        durability: Durability = "process",
        timeout: float = 10.0,
        allow_unsafe_filesystem: bool = False,
        on_corrupt: OnCorrupt = "raise",
        connect: Callable[..., sqlite3.Connection] = sqlite3.connect,
    ) -> None:
        """Open the file at *path*, made if there is none and *readonly* is false; None is memory."""
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise OpenError(f"SQLite {sqlite3.sqlite_version} is too old; 3.35 or newer is needed")
        self.label = path or ":memory:"
        self.readonly = readonly
        self.durability = durability
        self._timeout = timeout
        self._connect = connect
        self._quarantines = on_corrupt == "quarantine" and path is not None and not readonly
        self.quarantined: Quarantine | None = None
        if path and self._quarantines:
            _quarantine().undo_interrupted(path)
        self._location = Location(path, allow_unsafe_filesystem=allow_unsafe_filesystem) if path else None
        self.in_memory = self._location is None
        self._inode: tuple[int, int] | None = None
        self._mode = "mode=rw"
        self._stopped: KVError | None = None
        self.observer: CommitObserver | None = None
        self._gate = Lock()  # held while the set of connections changes, and during a fork
        self.main = Connection(self._location)
        self._connections = [self.main]
        self._held: list[Lock] = []  # by a fork under way
        self._caught = False  # whether a fork did not wait for the end of a call
        with fork_safety.opening, self.main.lock:
            self._open(BusyTimeout(timeout, self.label))
            fork_safety.enroll(self)
        # Not a method of self, so that a store that is forgotten can be collected.
        self._finalizer = finalize(self, _close_all, self._connections)

    # -- calls

    def run(self, work: Work[T]) -> T:
        """Call *work* with the cursor of the main connection; again while others hold a lock.

        *work* must leave no statement unfinished and may be called several times.
        """
        with self.main.lock:
            try:
                return work(self.main.cursor)
            except BaseException as caught:
                self.main.settle()
                error = caught
        return self.again(error, work)

    def again(self, error: BaseException, work: Work[T]) -> T:
        """Call *work* after its first attempt raised *error*, if that only means to wait or to wake up.

        The first attempt settled the connection before it let go of the lock: in a transaction that it had
        left open, the next thread would write, be told so, and be rolled back.
        """
        if not isinstance(error, sqlite3.Error):
            raise error
        patience = BusyTimeout(self._timeout, self.label)
        while isinstance(error, AsleepError) or is_busy(error):
            if not isinstance(error, AsleepError):
                patience.wait(error)
            try:
                return self._attempt(work, patience)
            except sqlite3.Error as another:
                error = another
        raise self.failure(error) from shown_cause(error)

    def transact(self, work: Work[T], touched: Callable[[T], Keys] = anything, *, aside: bool = False) -> T:
        """Call *work* within a write transaction.

        Args:
            work: what to do; it may be called several times.
            touched: says from the result of *work* which entries it may have changed.
            aside: use a connection of its own, so that no reader is behind a long transaction.
        """
        self.require_writable()

        def attached(cursor: sqlite3.Cursor) -> T:
            self.require_attached()
            if self.observer is None:
                return self.main.alone(lambda cursor: in_transaction(cursor, work))
            before, changes = self.main.mark.read(), cursor.connection.total_changes
            result = self.main.alone(lambda cursor: in_transaction(cursor, work))
            # A transaction that changed nothing moves no mark: the next commit seen would be a stranger's.
            self.tell(touched(result), before, changed=cursor.connection.total_changes != changes)
            return result

        if not aside or self._location is None:
            return self.run(attached)
        with self.aside() as cursor:

            def still_attached(cursor: sqlite3.Cursor) -> T:
                result = work(cursor)
                self.require_here(cursor)  # for others may have held the lock for long, and the work takes long too
                return result

            return self.patiently(lambda: in_transaction(cursor, still_attached))

    def tell(self, keys: Keys, before: bytes | None, *, changed: bool) -> None:
        """Tell the observer of a commit; the caller holds the main lock since before it."""
        if self.observer is not None:
            mark = self.main.mark
            try:
                after = mark.read()
            except sqlite3.Error:  # the commit stands, and must not be made again
                after = None
            self.observer.notify_commit(keys, before, after, alone=changed and mark.is_next(before, after))

    def told(self, cursor: sqlite3.Cursor) -> dict[str | int, int]:
        """Return what statements of this cursor's connection tell the function TELL, nothing so far."""
        told = self._connection_of(cursor).told
        told.clear()
        return told

    def _connection_of(self, cursor: sqlite3.Cursor) -> Connection:
        connections = list(self._connections)  # others come and go, and a walk along the list itself would skip some
        return next(each for each in connections if each.raw is cursor.connection)

    def patiently(self, work: Callable[[], T]) -> T:
        """Call *work*, which uses a connection that is held already; again while others hold a lock."""
        try:
            return patiently(work, BusyTimeout(self._timeout, self.label))
        except sqlite3.Error as error:
            raise self.failure(error) from shown_cause(error)

    @contextmanager
    def aside(self, durability: Durability | None = None) -> Iterator[sqlite3.Cursor]:
        """Give the cursor of a connection of its own, for work that takes long; memory has only one."""
        if self._location is None:
            with self.main.lock:
                self._wake(self.main, BusyTimeout(self._timeout, self.label))
                try:
                    yield self.main.cursor
                except BaseException:
                    self.main.settle()
                    raise
            return
        self.run(lambda _: self.require_attached(by_path=True))
        connection = Connection(self._location)
        with connection.lock:
            try:
                with self._gate:
                    self._connections.append(connection)
                self._wake(connection, BusyTimeout(self._timeout, self.label), durability)
                yield connection.cursor
            except sqlite3.Error as error:
                raise self.failure(error) from shown_cause(error)
            finally:
                # Whatever a KeyboardInterrupt breaks off: what stayed open would keep the lock of the file.
                try:
                    if connection.raw is not None:
                        connection.settle()
                finally:
                    try:
                        self._end(connection)
                    finally:
                        if connection in self._connections:
                            self._connections.remove(connection)  # without the gate, for which a fork may be waiting

    def _end(self, connection: Connection) -> None:
        """Close a connection, without the checkpoint that the last one makes if the store had to stop."""
        if self._stopped is None or isinstance(self._stopped, StoreClosedError):
            connection.sleep()
        else:
            connection.abandon()

    def require_writable(self) -> None:
        """Raise ReadOnlyError if the store was opened to read."""
        if self.readonly:
            raise ReadOnlyError(f"{self.label} was opened with readonly=True; open it without to write")

    def require_attached(self, *, by_path: bool = False) -> None:
        """Stop the store if the file is not the one that was opened; the caller holds the main lock."""
        if self.main.lost() if by_path else self.main.moved():
            raise self._stop(self._detached())

    def require_here(self, cursor: sqlite3.Cursor) -> None:
        """Do the same for the cursor of a connection beside the main one, by a look at the path."""
        if self._connection_of(cursor).lost():
            with self.main.lock:
                raise self._stop(self._detached())

    def require_sound(self) -> None:
        """Raise if the store had to stop; one that is being closed may end what it has begun."""
        if self._stopped is not None and not isinstance(self._stopped, StoreClosedError):
            raise again_of(self._stopped)

    def _detached(self) -> StoreDetachedError:
        return StoreDetachedError(
            f"{self.label}: the file or its log was deleted, replaced or lost its locks while it was open, so "
            f"nothing more is written; what was acknowledged before may be in the old file only"
        )

    def _attempt(self, work: Work[T], patience: BusyTimeout) -> T:
        if not self.main.lock.acquire(timeout=patience.remaining()):
            raise patience.exhausted()
        try:
            self._wake(self.main, patience)
            return work(self.main.cursor)
        except BaseException:
            self.main.settle()
            raise
        finally:
            self.main.lock.release()

    # -- failing

    def failure(self, error: sqlite3.Error) -> Exception:
        """Return what to raise for an error of the driver; stop the store if it must not go on."""
        ours = translate(error, self.label)
        if stops(ours) and self._location:
            with self.main.lock:
                with suppress(sqlite3.Error):  # the system may not tell now
                    if self.main.moved():  # a log without its file, say, reads as damage, and the file may be sound
                        ours = self._detached()
                self._stop(ours)
        return ours

    def _stop(self, reason: KVError) -> KVError:
        """Take no more calls, and leave the file as it is; the caller holds the main lock."""
        if self._stopped is None:
            self._stopped = reason
        closed = self.main.abandon()
        if not closed and self._inode and isinstance(reason, StoreDetachedError):
            # SQLite goes on believing that this process holds the locks that it lost.
            _forbidden[self._inode] = reason
        return reason

    # -- opening

    def _open(self, patience: BusyTimeout) -> None:
        """Open the file for the first time, one that is damaged after its quarantine if that was asked for."""
        for _ in range(ATTEMPTS):
            inode = self._location.inode() if self._location else None
            try:
                return self._wake(self.main, patience)
            except KVError as error:
                if not self._location or not self._quarantines or not _quarantine().is_damage(error):
                    raise
                in_use = any(isinstance(other, Database) and other.has_open(inode) for other in fork_safety.members())
                done = _quarantine().quarantine(self._location, inode, error, in_use=in_use)
                self.quarantined = done or self.quarantined
        return self._wake(self.main, patience)

    def has_open(self, inode: tuple[int, int] | None) -> bool:
        """Return whether this is the file in use here; a connection that is closed for a fork opens it again."""
        return self._stopped is None and self._inode == inode

    def _wake(self, connection: Connection, patience: BusyTimeout, durability: Durability | None = None) -> None:
        """Open *connection* unless it is open; the caller holds its lock."""
        if connection.raw is not None:
            if connection.cursor is NO_CURSOR:
                connection.settle()
            return
        if self._stopped is not None:
            raise again_of(self._stopped)
        try:
            raw = self._open_file(patience, durability) if self._location else self._open_memory()
            try:
                connection.wake(raw, marked=connection is self.main)
            except BaseException:
                connection.sleep()  # half awake, it would not notice that its file was replaced
                raise
        except KVError:  # some are an OSError too
            raise
        except (sqlite3.Error, OSError) as error:
            raise OpenError(f"cannot open {self.label}: {error}") from error

    def _open_memory(self) -> sqlite3.Connection:
        raw = self._connected("file::memory:")
        in_transaction(raw.cursor(), lambda _: schema.migrate(raw, schema.SchemaState(0, [])))
        return raw

    def _open_file(self, patience: BusyTimeout, durability: Durability | None) -> sqlite3.Connection:
        assert self._location is not None
        first = self._inode is None
        if first and self.readonly:
            self._location.require()
        elif first:
            self._location.create()
        inode = self._location.inode()
        if inode in _forbidden:
            raise again_of(_forbidden[inode])
        if not first and inode != self._inode:
            raise StoreDetachedError(f"{self.label}: the file was deleted or replaced while it was open")
        raw = self._inspected(patience) if first else self._connected(self._location.uri(self._mode))
        try:
            patiently(lambda: self._prepare(raw, durability or self.durability), patience)
            if self._location.inode() != inode:  # a lock is held since the first read: from now on it stays
                raise StoreDetachedError(f"{self.label}: the file was replaced while it was being opened; try again")
        except BaseException:
            raw.close()
            raise
        self._inode = inode
        return raw

    def _inspected(self, patience: BusyTimeout) -> sqlite3.Connection:
        """Return a connection to a file that is a current store, migrated if need be."""
        assert self._location is not None
        current = self._look(patience)
        if self.readonly:
            self._mode = self._readable_mode()
        raw = self._connected(self._location.uri(self._mode))
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
        # A power cut left half a transaction, the creation of a store say. Nobody can read the file before it is
        # undone, and that is what its owner would do as well.
        return self._look_through("mode=rw", patience)

    def _look_through(self, mode: str, patience: BusyTimeout) -> bool:
        assert self._location is not None
        reader = self._connected(self._location.uri(mode))
        try:
            patiently(lambda: reader.execute("BEGIN"), patience)  # or others could migrate it while we look
            found = patiently(lambda: schema.found_in(reader, self.label), patience)
            if self._quarantines and (problems := patiently(lambda: _quarantine().damage_in(reader), patience)):
                raise CorruptStoreError(f"{self.label} is damaged: {'; '.join(problems)}; it was not changed")
        finally:
            reader.close()
        if self.readonly and not found.version:
            raise StoreNotFoundError(f"{self.label} is empty; open it once for writing")
        return found.version == schema.CURRENT and not found.useless_indexes

    def _readable_mode(self) -> str:
        """Return how to open the file for reading only: plainly, or as one that nobody can change."""
        assert self._location is not None
        probe = self._connected(self._location.uri("mode=ro"))
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
        in_transaction(raw.cursor(), lambda _: schema.migrate(raw, schema.found_in(raw, self.label)))

    def _prepare(self, raw: sqlite3.Connection, durability: Durability) -> None:
        """Set what SQLite keeps per connection, and read once, so that the log is there."""
        raw.executescript(";".join((*PRAGMAS, *FULL_FSYNC, SYNCHRONOUS[durability])))
        if not self.readonly and raw.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            raw.execute("PRAGMA journal_mode = WAL")  # a copy that backup() made has no log yet
        (version,) = raw.execute("PRAGMA main.user_version").fetchone()
        if self.readonly and version == 0:
            for view in schema.VIEWS_OF_V1:
                raw.execute(view)

    def _connected(self, uri: str) -> sqlite3.Connection:
        raw = self._connect(uri, uri=True, timeout=0, isolation_level=None, check_same_thread=False)
        if sys.version_info >= (3, 12):
            raw.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)
            raw.setconfig(sqlite3.SQLITE_DBCONFIG_ENABLE_TRIGGER, False)
        return raw

    # -- closing and forking

    def close(self) -> None:
        """Close every connection; later calls raise StoreClosedError."""
        with self._gate:
            if self._stopped is None:
                self._stopped = StoreClosedError(f"the store at {self.label} is closed")
            others = [connection.lock for connection in self._connections if connection is not self.main]
        for lock in others:  # the end of a backup, say: closing the mark would drop its locks
            with lock:
                pass
        with self.main.lock:
            self.main.sleep()
        self._finalizer.detach()

    def before_fork(self, deadline: float) -> None:
        """Wait for the end of every call and close what a child must not inherit."""
        self._caught = False
        self._held = []
        awaited: Lock | None = None
        while True:
            awaited = self._hold_all(awaited)
            if awaited is None:
                break
            if not awaited.acquire(timeout=max(0.0, deadline - monotonic())):
                self._caught = True
                return
        if self._location:
            self.main.sleep()

    def _hold_all(self, held: Lock | None) -> Lock | None:
        """Take every lock, or none and return one that is taken; *held* is held already.

        A call may hold one lock and wait for another, so to hold some and wait would be a deadlock.
        """
        self._held = [held] if held else []
        if held is not self._gate and not self._gate.acquire(blocking=False):
            self._let_in()
            return self._gate
        if held is not self._gate:
            self._held.append(self._gate)
        for connection in list(self._connections):
            if connection.lock is held:
                continue
            if not connection.lock.acquire(blocking=False):
                self._let_in()
                return connection.lock
            self._held.append(connection.lock)
        return None

    def _let_in(self) -> None:
        for lock in self._held:
            lock.release()
        self._held = []

    def after_fork_in_parent(self) -> None:
        """Let the threads in again; the connection is opened by the next call."""
        self._let_in()

    def after_fork_in_child(self) -> None:
        """Let the only thread in, or refuse every call if the parent was in the middle of one."""
        self._gate = Lock()
        if self._caught:
            self._stopped = self._forked()
            if self._inode:
                _forbidden[self._inode] = self._stopped
        for connection in self._connections:
            connection.lock = Lock()
            if self._caught:
                connection.freeze()

    def _forked(self) -> ForkedStoreError:
        return ForkedStoreError(
            f"{self.label}: this process was forked while a thread of its parent was inside a call, so it must not "
            f"touch the file; start it with the spawn method, or fork while the store is idle"
        )


def _quarantine() -> ModuleType:
    """Return the module that few stores need."""
    from sqlitedict_kv.engines.sqlite.recovery import quarantine  # noqa: PLC0415

    return quarantine


def shown_cause(error: sqlite3.Error) -> sqlite3.Error | None:
    """Return an error of the driver, unless its message quotes the text that it could not decode: that is a value."""
    return None if "decode to UTF-8" in str(error) else error


def again_of(error: KVError) -> KVError:
    """Return an equal error, without the traceback of its first time."""
    return type(error)(*error.args)


def _close_all(connections: list[Connection]) -> None:
    for connection in connections:
        if connection.lock.acquire(timeout=1):  # at exit, a daemon thread may be inside
            connection.sleep()
            connection.lock.release()
