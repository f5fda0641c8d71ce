"""The open file: the one place that opens, begins, commits, retries and gives up."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Literal, TypeVar
from weakref import finalize

from sqlitedict_kv.display.cell import advice, running_cell
from sqlitedict_kv.engines.optional import CommitObserver
from sqlitedict_kv.engines.protocol import Keys
from sqlitedict_kv.engines.sqlite import fork_safety
from sqlitedict_kv.engines.sqlite.busy import BusyTimeout, Holders, patiently
from sqlitedict_kv.engines.sqlite.connection import NO_CURSOR, AsleepError, Connection
from sqlitedict_kv.engines.sqlite.error_mapping import is_busy, showable_cause, stops, translate
from sqlitedict_kv.engines.sqlite.files.location import Location
from sqlitedict_kv.engines.sqlite.opening import Opener, again_of, quarantine
from sqlitedict_kv.engines.sqlite.session import Durability, Noted, Work, anything, in_transaction
from sqlitedict_kv.errors import (
    ForkedStoreError,
    KVError,
    OpenError,
    ReadOnlyError,
    StoreClosedError,
    StoreDetachedError,
)

if TYPE_CHECKING:
    from sqlitedict_kv.engines.optional import Quarantine

T = TypeVar("T")
OnCorrupt = Literal["raise", "quarantine"]

ATTEMPTS = 3  # to open a damaged file that others put into quarantine at the same time


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
        self.label = path or ":memory:"
        self.readonly, self.durability = readonly, durability
        self._timeout = timeout
        self._quarantines = on_corrupt == "quarantine" and path is not None and not readonly
        self.quarantined: Quarantine | None = None
        if path and self._quarantines:
            quarantine().undo_interrupted(path)
        self._location = Location(path, allow_unsafe_filesystem=allow_unsafe_filesystem) if path else None
        self.in_memory = self._location is None
        checks = self._quarantines
        self._opener = Opener(self._location, self.label, readonly, durability, checks_pages=checks, connect=connect)
        self._stopped: KVError | None = None
        self._cell = running_cell()
        self.observer: CommitObserver | None = None
        self._gate = Lock()  # held while the set of connections changes, and during a fork
        self.main = Connection(self._location)
        self._connections = [self.main]
        self._held: list[Lock] = []  # by a fork under way
        self._caught = False  # whether a fork did not wait for the end of a call
        self.holders = Holders(self.label)  # in a block of exclusive()
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
        patience = BusyTimeout(self._timeout, self.label, self.holders)
        while isinstance(error, AsleepError) or is_busy(error):
            if not isinstance(error, AsleepError):
                patience.wait(error)
            try:
                return self._attempt(work, patience)
            except sqlite3.Error as another:
                error = another
        raise self.failure(error) from showable_cause(error)

    def transact(self, work: Work[T], touched: Callable[[T], Keys] = anything, *, aside: bool = False) -> T:
        """Call *work* within a write transaction.

        Args:
            work: what to do; it may be called several times.
            touched: says from the result of *work* which entries it may have changed.
            aside: use a connection of its own, so that no reader is behind a long transaction.
        """
        self.require_writable()

        def transact_if_attached(cursor: sqlite3.Cursor) -> T:
            self.require_attached()
            if self.observer is None:
                return self.main.alone(lambda cursor: in_transaction(cursor, work))
            before, changes = self.main.data_version.read(), cursor.connection.total_changes
            result = self.main.alone(lambda cursor: in_transaction(cursor, work))
            # A transaction that changed nothing changes no data version: the next commit seen would be a stranger's.
            self.notify_observer(touched(result), before, changed=cursor.connection.total_changes != changes)
            return result

        if not aside or self._location is None:
            return self.run(transact_if_attached)
        with self.aside() as cursor:

            def run_if_attached(cursor: sqlite3.Cursor) -> T:
                result = work(cursor)
                self.require_here(cursor)  # for others may have held the lock for long, and the work takes long too
                return result

            return self.patiently(lambda: in_transaction(cursor, run_if_attached))

    def notify_observer(self, keys: Keys, before: bytes | None, *, changed: bool) -> None:
        """Notify the observer of a commit; the caller holds the main lock since before it."""
        if self.observer is not None:
            version = self.main.data_version
            try:
                after = version.read()
            except sqlite3.Error:  # the commit stands, and must not be made again
                after = None
            self.observer.notify_commit(keys, before, after, alone=changed and version.is_next(before, after))

    def clear_notes(self, cursor: sqlite3.Cursor) -> Noted:
        """Return the empty dict in which statements of this cursor's connection note versions."""
        noted = self._connection_of(cursor).noted
        noted.clear()
        return noted

    def settle(self) -> None:
        """Leave no statement of the main connection open; the caller holds its lock."""
        self.main.settle()

    def _connection_of(self, cursor: sqlite3.Cursor) -> Connection:
        connections = list(self._connections)  # others come and go, and a walk along the list itself would skip some
        return next(each for each in connections if each.raw is cursor.connection)

    def patiently(self, work: Callable[[], T]) -> T:
        """Call *work*, which uses a connection that is held already; again while others hold a lock."""
        try:
            return patiently(work, BusyTimeout(self._timeout, self.label))
        except sqlite3.Error as error:
            raise self.failure(error) from showable_cause(error)

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
                raise self.failure(error) from showable_cause(error)
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
        if self.main.is_lost() if by_path else self.main.has_moved():
            raise self._stop(self._detached_error())

    def require_here(self, cursor: sqlite3.Cursor) -> None:
        """Do the same for the cursor of a connection beside the main one, by a look at the path."""
        if self._connection_of(cursor).is_lost():
            with self.main.lock:
                raise self._stop(self._detached_error())

    def require_usable(self, *, or_closed: bool = False) -> None:
        """Raise if the store had to stop, or was closed; one that is being closed may end what it has begun."""
        if self._stopped is not None and not (or_closed and isinstance(self._stopped, StoreClosedError)):
            raise again_of(self._stopped)

    def _detached_error(self) -> StoreDetachedError:
        return StoreDetachedError(
            f"{self.label}: the file or its log was deleted, replaced or lost its locks while it was open, so "
            f"nothing more is written; what was acknowledged before may be in the old file only{advice(self._cell)}"
        )

    def _attempt(self, work: Work[T], patience: BusyTimeout) -> T:
        if not self.main.lock.acquire(timeout=patience.remaining()):
            raise patience.busy_error()
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
                    if self.main.has_moved():  # a log without its file reads as damage, and the file may be sound
                        ours = self._detached_error()
                self._stop(ours)
        return ours

    def _stop(self, reason: KVError) -> KVError:
        """Take no more calls, and leave the file as it is; the caller holds the main lock."""
        if self._stopped is None:
            self._stopped = reason
        closed = self.main.abandon()
        if not closed and isinstance(reason, StoreDetachedError):
            self._opener.forbid(reason)  # SQLite goes on believing that this process holds the locks that it lost
        return reason

    # -- opening

    def _open(self, patience: BusyTimeout) -> None:
        """Open the file for the first time, one that is damaged after its quarantine if that was asked for."""
        for _ in range(ATTEMPTS):
            inode = self._location.inode() if self._location else None
            try:
                return self._wake(self.main, patience)
            except KVError as error:
                if not self._location or not self._quarantines or not quarantine().is_damage(error):
                    raise
                in_use = any(isinstance(other, Database) and other.has_open(inode) for other in fork_safety.members())
                done = quarantine().quarantine(self._location, inode, error, in_use=in_use)
                self.quarantined = done or self.quarantined
        return self._wake(self.main, patience)

    def has_open(self, inode: tuple[int, int] | None) -> bool:
        """Return whether this is the file in use here; a connection that is closed for a fork opens it again."""
        return self._stopped is None and self._opener.inode == inode

    def _wake(self, connection: Connection, patience: BusyTimeout, durability: Durability | None = None) -> None:
        """Open *connection* unless it is open; the caller holds its lock."""
        if connection.raw is not None:
            if connection.cursor is NO_CURSOR:
                connection.settle()
            return
        self.require_usable()
        try:
            raw = self._opener.open(patience, durability)
            try:
                connection.wake(raw, watched=connection is self.main)
            except BaseException:
                connection.sleep()  # half awake, it would not notice that its file was replaced
                raise
        except KVError:  # some are an OSError too
            raise
        except (sqlite3.Error, OSError) as error:
            raise OpenError(f"cannot open {self.label}: {error}") from error

    # -- closing and forking

    def close(self) -> None:
        """Close every connection; later calls raise StoreClosedError."""
        with self._gate:
            if self._stopped is None:
                self._stopped = StoreClosedError(f"the store at {self.label} is closed{advice(self._cell)}")
            others = [connection.lock for connection in self._connections if connection is not self.main]
        for lock in others:  # perhaps the end of a backup: closing the index would drop its locks
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
            self._stopped = self._forked_error()
            self._opener.forbid(self._stopped)
        for connection in self._connections:
            connection.lock = Lock()
            if self._caught:
                connection.freeze()

    def _forked_error(self) -> ForkedStoreError:
        return ForkedStoreError(
            f"{self.label}: this process was forked while a thread of its parent was inside a call, so it must not "
            f"touch the file; start it with the spawn method, or fork while the store is idle"
        )


def _close_all(connections: list[Connection]) -> None:
    for connection in connections:
        if connection.lock.acquire(timeout=1):  # at exit, a daemon thread may be inside
            connection.sleep()
            connection.lock.release()
