"""The calls of a database, within one write transaction that stays open between them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import TypeVar

from sqlitedict_kv.engines.protocol import Keys
from sqlitedict_kv.engines.sqlite.database import Database
from sqlitedict_kv.engines.sqlite.session import Noted, Work, anything
from sqlitedict_kv.errors import StoreError, UnsupportedError

T = TypeVar("T")


class OpenTransaction:
    """The session of a block of :meth:`SQLiteEngine.exclusive`; one thread uses it."""

    def __init__(self, database: Database, cursor: sqlite3.Cursor) -> None:
        """Work with *cursor*, whose connection nobody else uses."""
        self._database = database
        self._raw = cursor.connection
        self._cursor = cursor
        self._owner: int | None = get_ident()  # the thread; None when the block is over
        self.label = database.label
        self.durability = database.durability
        self.written = 0  # entries
        self.written_bytes = 0  # of their values

    def begin(self) -> None:
        """Take the write lock; raise StoreBusyError if others held it for the whole timeout."""
        self._database.patiently(lambda: self._cursor.execute("BEGIN IMMEDIATE"))

    def commit(self) -> None:
        """Make all that was done be there, for everybody, at once; the block may have taken long."""
        self.run(self._database.require_here)
        self.run(lambda cursor: cursor.execute("COMMIT"))

    def end(self) -> None:
        """Refuse every later call."""
        self._owner = None

    def run(self, work: Work[T]) -> T:
        """Call *work* once; nobody else can be in the way."""
        if self._owner != get_ident():
            raise RuntimeError("what a block of exclusive() is given is of no use after it, nor in another thread")
        self._database.require_usable(or_closed=True)  # a child that was forked in the block has not its connection
        if not self._raw.in_transaction:  # SQLite ends it by itself when the disk is full, for one
            raise StoreError(f"{self.label}: the transaction failed before, and nothing of it was written; begin again")
        try:
            return work(self._cursor)
        except sqlite3.Error as error:
            raise self._database.failure(error) from error

    def transact(self, work: Work[T], touched: Callable[[T], Keys] = anything, *, aside: bool = False) -> T:
        """Call *work*, and undo what it did if it raises; what was done before stays."""
        del touched, aside  # the commit is made on a connection that is not the store's, as a stranger's would be

        def within(cursor: sqlite3.Cursor) -> T:
            cursor.execute("SAVEPOINT one_call")
            try:
                result = work(cursor)
            except BaseException:
                if self._raw.in_transaction:
                    cursor.execute("ROLLBACK TO one_call")
                    cursor.execute("RELEASE one_call")
                raise
            cursor.execute("RELEASE one_call")
            return result

        return self.run(within)

    def clear_notes(self, cursor: sqlite3.Cursor) -> Noted:
        """Return the empty dict in which statements note versions."""
        return self._database.clear_notes(cursor)

    def settle(self) -> None:
        """Leave no statement open, and the transaction as it is."""
        self._cursor.close()
        self._cursor = self._raw.cursor()

    @contextmanager
    def aside(self) -> Iterator[sqlite3.Cursor]:
        """Give the one cursor that there is."""
        yield self._cursor

    def patiently(self, work: Callable[[], T]) -> T:
        """Call *work*, which nobody keeps waiting."""
        return self.run(lambda _: work())

    def require_writable(self) -> None:
        """Do nothing: a transaction that writes is open."""

    def wrote(self, entries: int, size: int, now: int) -> None:
        """Count what was written, for the upkeep that follows when the block is over."""
        del now
        self.written += entries
        self.written_bytes += size


@contextmanager
def hold_transaction(database: Database) -> Iterator[OpenTransaction]:
    """Give a transaction for one thread, committed when the block ends without an error."""
    database.require_writable()
    if database.in_memory:
        raise UnsupportedError("exclusive() needs a store in a file; one in memory has a single connection")
    database.holders.refuse("begin another block")
    thread = get_ident()
    strange: sqlite3.Error | None = None
    with database.aside() as cursor:
        held = OpenTransaction(database, cursor)
        held.begin()
        database.holders.threads.add(thread)
        try:
            yield held
            held.commit()
        except sqlite3.Error as error:  # ours are translated: it is of another database, and no reason to stop
            strange = error
        finally:
            database.holders.threads.discard(thread)
            held.end()
    if strange is not None:
        raise strange
