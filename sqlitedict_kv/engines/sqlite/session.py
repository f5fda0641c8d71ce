"""The calls that the verbs of the engine make: of a database, or of a transaction that stays open."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Literal, Protocol, TypeVar

from sqlitedict_kv.engines.protocol import Keys

T = TypeVar("T")
Durability = Literal["process", "power"]
Work = Callable[[sqlite3.Cursor], T]
Noted = dict[str | int, int]  # versions that statements noted, by key or by one of NEW and OLD


def anything(_: object) -> Keys:
    """Say that a transaction may have changed any entry."""


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


class SQLiteSession(Protocol):
    """A way to run statements; see :class:`Database` and :class:`OpenTransaction`."""

    @property
    def label(self) -> str:
        """Where the data is, for people."""

    @property
    def durability(self) -> Durability:
        """What an acknowledged write survives."""

    def run(self, work: Work[T]) -> T:
        """Call *work* with a cursor; again while others hold a lock. It must leave no statement unfinished."""

    def transact(self, work: Work[T], touched: Callable[[T], Keys] = anything, *, aside: bool = False) -> T:
        """Call *work* within a write transaction; *touched* says from its result what it may have changed."""

    def aside(self) -> AbstractContextManager[sqlite3.Cursor]:
        """Give a cursor for work that takes long."""

    def patiently(self, work: Callable[[], T]) -> T:
        """Call *work*, which uses such a cursor; again while others hold a lock."""

    def clear_notes(self, cursor: sqlite3.Cursor) -> Noted:
        """Return the empty dict in which statements of this cursor's connection note versions."""

    def settle(self) -> None:
        """Leave no statement open after one that was not read to its end."""

    def require_writable(self) -> None:
        """Raise ReadOnlyError if the store was opened to read."""
