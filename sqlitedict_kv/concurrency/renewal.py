"""Periodic calls from one background thread, which lives only while it is needed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from sqlitedict_kv.concurrency.fork import forgets_after_fork
from sqlitedict_kv.errors import ConflictError, KVError, LockLostError

MOST_SKIPPED = 4  # the lease has ended by then
IDLE_SECONDS = 10.0  # how long the thread stays when there is nothing to do


class _Renewal(NamedTuple):
    due: float  # of time.monotonic()
    every: float  # seconds
    call: Callable[[], object]
    wanted: Callable[[], bool]
    skipped: int = 0  # times in a row that it was not wanted


class Keeper:
    """Renews leases for as long as their owners work."""

    def __init__(self) -> None:
        """Begin without a thread."""
        self.forget_after_fork()

    def forget_after_fork(self) -> None:
        """Renew nothing: the leases and the thread are the parent's."""
        # The lock is entered by itself: that of a condition is entered in Python, where an interrupt may come between.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._held: dict[object, _Renewal] = {}  # by ticket
        self._thread: threading.Thread | None = None
        self._wakes_at = 0.0
        self._shortest = IDLE_SECONDS  # between two calls of a ticket, of all that there were

    def hold(self, call: Callable[[], object], every: float, wanted: Callable[[], bool]) -> object:
        """Call *call* every so many seconds, and return a ticket to end that.

        It also ends when *call* raises ConflictError or LockLostError. While *wanted* returns False there is no call,
        and after MOST_SKIPPED times there never is one again.
        """
        ticket, due = object(), time.monotonic() + every
        with self._lock:
            self._held[ticket] = _Renewal(due, every, call, wanted)
            self._shortest = min(self._shortest, every)
            if self._thread is None:
                # Not where the interpreter is about to end, nor in an isolated one, which has no daemon threads.
                with suppress(RuntimeError):
                    thread = threading.Thread(target=self._run, name="sqlitedict_kv leases", daemon=True)
                    thread.start()
                    self._thread = thread
            elif due < self._wakes_at:
                self._changed.notify()
        return ticket

    def drop(self, ticket: object) -> None:
        """End the calls of a ticket."""
        with self._lock:
            self._held.pop(ticket, None)

    def _run(self) -> None:
        idle_since = time.monotonic()
        while True:
            with self._lock:
                now = time.monotonic()
                idle_since = now if self._held else idle_since
                due = [(ticket, renewal) for ticket, renewal in self._held.items() if renewal.due <= now]
                if not due and now >= idle_since + IDLE_SECONDS:
                    self._thread, self._shortest = None, IDLE_SECONDS
                    return
                if not due:
                    self._sleep(now)
            for ticket, renewal in due:
                self._make(ticket, renewal)

    def _sleep(self, now: float) -> None:
        """Wait for the next call that is due, or could be: to be woken up for it costs a call a fifth."""
        self._wakes_at = min([now + self._shortest, *(renewal.due for renewal in self._held.values())])
        self._changed.wait(self._wakes_at - now)

    def _make(self, ticket: object, renewal: _Renewal) -> None:
        again, skipped = True, 0
        try:
            if renewal.wanted():
                renewal.call()
            else:
                skipped = renewal.skipped + 1
                again = skipped < MOST_SKIPPED
        except (ConflictError, LockLostError):  # the lease is another's: its owner will find out when it commits
            again = False
        except KVError:  # busy, or closed meanwhile; the lease ends by itself if this goes on
            again = True
        with self._lock:
            if self._held.pop(ticket, None) is not None and again:
                self._held[ticket] = renewal._replace(due=time.monotonic() + renewal.every, skipped=skipped)


KEEPER = Keeper()
forgets_after_fork(KEEPER)
