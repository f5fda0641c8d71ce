"""Waiting for a lock that another process or thread holds.

SQLite's own busy handler backs off to 100 ms between attempts, so that a writer among others that
never pause waits for hundreds of milliseconds; and some calls, such as the change to WAL mode, never
ask it. So SQLite is told not to wait, and every call that may meet a lock is made through here.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import TypeVar

from sqlitedict_kv.engines.sqlite.error_mapping import is_busy
from sqlitedict_kv.errors import StoreBusyError

T = TypeVar("T")

# Seconds. A small write holds the lock for 20 us, but an attempt that fails costs as much again: waiters that ask
# more often than this take more time from those who write than they win (measured with 4 processes on 2 cores).
SHORTEST_PAUSE = 0.0005
LONGEST_PAUSE = 0.001


class BusyTimeout:
    """The time that one call may spend waiting."""

    def __init__(self, timeout: float, label: str) -> None:
        """Start to wait for at most *timeout* seconds for the store called *label*."""
        self._timeout = timeout
        self._label = label
        self._deadline = time.monotonic() + timeout
        self._pause = SHORTEST_PAUSE

    def remaining(self) -> float:
        """Return the seconds that are left, at least 0."""
        return max(0.0, self._deadline - time.monotonic())

    def pause(self, cause: BaseException | None = None) -> None:
        """Sleep a little before the next attempt, or raise StoreBusyError if the time is up."""
        left = self.remaining()
        if not left:
            raise self.exhausted() from cause
        # An uneven length keeps several waiters from asking in step.
        share = 0.5 + time.perf_counter_ns() % 1024 / 2048
        time.sleep(min(left, share * self._pause))
        self._pause = min(LONGEST_PAUSE, self._pause * 1.5)

    def exhausted(self) -> StoreBusyError:
        """Return the error that says how long was waited for what."""
        return StoreBusyError(
            f"{self._label}: others held the lock for the whole timeout of {self._timeout:g} s; "
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
            patience.pause(error)
