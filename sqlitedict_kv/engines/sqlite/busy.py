"""Waiting for a lock that another process or thread holds.

SQLite's own busy handler backs off to 100 ms between attempts, so that a writer among others that
never pause waits for hundreds of milliseconds; and some calls, such as the change to WAL mode, never
ask it. So SQLite is told not to wait, and every call that may meet a lock is made through here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TypeVar

from sqlitedict_kv.concurrency.backoff import Backoff
from sqlitedict_kv.concurrency.deadline import Deadline
from sqlitedict_kv.engines.sqlite.error_mapping import is_busy
from sqlitedict_kv.errors import StoreBusyError

T = TypeVar("T")

# A small write holds the lock for 20 us, but an attempt that fails costs as much again: waiters that ask
# more often than this take more time from those who write than they win (measured with 4 processes on 2 cores).
BACKOFF = Backoff(0.0005, 0.001, growth=1.5)


class BusyTimeout(Deadline):
    """The time that one call may spend waiting."""

    __slots__ = ("_label",)

    def __init__(self, timeout: float, label: str) -> None:
        """Start to wait for at most *timeout* seconds for the store called *label*."""
        super().__init__(timeout, BACKOFF)
        self._label = label

    def wait(self, cause: BaseException) -> None:
        """Sleep before the next attempt, or raise StoreBusyError if the time is up."""
        if not self.pause():
            raise self.exhausted() from cause

    def exhausted(self) -> StoreBusyError:
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
