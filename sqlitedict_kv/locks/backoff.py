"""Timeouts of those who wait for a lock."""

from __future__ import annotations

from collections.abc import Callable

from sqlitedict_kv.concurrency.backoff import Backoff
from sqlitedict_kv.concurrency.deadline import Deadline
from sqlitedict_kv.validation import check_bool, check_timeout

BACKOFF = Backoff(0.001, 0.050)


def check_patience(timeout: object, blocking: object) -> float | None:
    """Return how many seconds to wait: 0 is not at all, None is without end."""
    waits = check_bool(blocking, "blocking")
    seconds = None if timeout is None else check_timeout(timeout)
    if waits:
        return seconds
    if seconds is not None:
        raise ValueError("timeout must be left out where blocking is False: nothing is waited for")
    return 0.0


def deadline_of(patience: float | None, clock: Callable[[], float]) -> Deadline:
    """Return the deadline of somebody who waits *patience* seconds from now on."""
    return Deadline(patience, BACKOFF, clock=clock)
