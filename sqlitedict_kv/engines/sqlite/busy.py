"""Waiting for a lock that another process or thread holds.

SQLite's own busy handler backs off to 100 ms between attempts, so that a writer among others that
never pause waits for hundreds of milliseconds; and some calls, such as the change to WAL mode, never
ask it. So SQLite is told not to wait, and every call that may meet a lock is made through here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from threading import get_ident
from typing import TypeVar

from sqlitedict_kv.concurrency.backoff import Backoff
from sqlitedict_kv.concurrency.deadline import Deadline
from sqlitedict_kv.engines.sqlite.error_mapping import is_busy
from sqlitedict_kv.errors import StoreBusyError

T = TypeVar("T")

# A small write holds the lock for 20 us, but an attempt that fails costs as much again: waiters that ask
# more often than this take more time from those who write than they win (measured with 4 processes on 2 cores).
BACKOFF = Backoff(0.0005, 0.001, growth=1.5)


class Holders:
    """The threads of this process that hold the lock of a file in a block of ``exclusive()``."""

    def __init__(self, label: str) -> None:
        """Begin with none for the store called *label*."""
        self.threads: set[int] = set()
        self._label = label

    def refuse(self, action: str) -> None:
        """Raise for a thread that would wait for itself."""
        if get_ident() in self.threads:
            raise RuntimeError(
                f"cannot {action} in the block of exclusive(), which holds the lock of {self._label}; "
                f"use what the block is given, or do it outside"
            )


class BusyTimeout(Deadline):
    """The time that one call may spend waiting."""

    __slots__ = ("_holders", "_label")

    def __init__(self, timeout: float, label: str, holders: Holders | None = None) -> None:
        """Start to wait for at most *timeout* seconds for the store called *label*; a holder does not wait."""
        super().__init__(timeout, BACKOFF)
        self._label = label
        self._holders = holders

    def wait(self, cause: BaseException) -> None:
        """Sleep before the next attempt, or raise StoreBusyError if the time is up."""
        if self._holders is not None:
            self._holders.refuse("write through the store")
        if not self.pause():
            raise self.busy_error() from cause

    def busy_error(self) -> StoreBusyError:
        """Return the error that says how long was waited for what."""
        return StoreBusyError(
            f"{self._label}: others held the lock for the whole timeout of {self.timeout:g} s; "
            f"nothing was written; retry, or open the store with a larger timeout"
        )


def patiently(work: Callable[[], T], patience: BusyTimeout) -> T:
    """Call *work* until no lock stands in its way and return what it returns."""
    while True:
        try:
            return work()
        except sqlite3.Error as error:
            if not is_busy(error):
                raise
            patience.wait(error)
