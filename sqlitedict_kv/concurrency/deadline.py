"""Deadlines of calls that are tried again until their time is up."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

from sqlitedict_kv.concurrency.backoff import Backoff


class Deadline:
    """The time that one call may take, with all its attempts and the pauses between them."""

    __slots__ = ("_backoff", "_clock", "_end", "_pauses", "timeout")

    def __init__(
        self,
        timeout: float | None,
        backoff: Backoff,
        *,
        since: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Allow *timeout* seconds, None is without end, from now or from a moment of *clock*, which only grows."""
        self.timeout = timeout
        self._backoff = backoff
        self._clock = clock
        self._pauses: Iterator[float] | None = None  # most calls need no second attempt
        self._end = math.inf if timeout is None else (clock() if since is None else since) + timeout

    def remaining(self) -> float:
        """Return the seconds that are left, at least 0."""
        return max(0.0, self._end - self._clock())

    def next_pause(self) -> float:
        """Return the seconds to wait before the next attempt; 0 if the time is up."""
        left = self.remaining()
        if self._pauses is None:
            self._pauses = self._backoff.pauses()
        return min(left, next(self._pauses)) if left else 0.0

    def pause(self) -> bool:
        """Sleep before the next attempt; return False, at once, if the time is up."""
        seconds = self.next_pause()
        if not seconds:
            return False
        time.sleep(seconds)
        return True

    def attempts(self) -> Iterator[float]:
        """Yield the seconds to wait before each attempt, 0.0 before the first, until the time is up."""
        yield 0.0
        while seconds := self.next_pause():
            yield seconds
