"""Waiting: for how long."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from sqlitedict_kv.validation import checked_bool, checked_timeout

SHORTEST_PAUSE = 0.001  # seconds
LONGEST_PAUSE = 0.050


def checked_patience(timeout: object, blocking: object) -> float | None:
    """Return how many seconds to wait: 0 is not at all, None is as long as it takes."""
    waits = checked_bool(blocking, "blocking")
    seconds = None if timeout is None else checked_timeout(timeout)
    if waits:
        return seconds
    if seconds is not None:
        raise ValueError("timeout must be left out where blocking is False: nothing is waited for")
    return 0.0


def pauses(patience: float | None, clock: Callable[[], float]) -> Iterator[float]:
    """Yield the pause before each attempt in seconds, 0.0 before the first, until *patience* is used up.

    They double up to a limit, and each is cut at random, so that those who wait do not all come at once.
    """
    end = None if patience is None else clock() + patience
    longest = SHORTEST_PAUSE
    yield 0.0
    while True:
        pause = random.uniform(longest / 2, longest)  # noqa: S311 # no secret
        if end is not None:
            left = end - clock()
            if left <= 0:
                return
            pause = min(pause, left)
        yield pause
        longest = min(longest * 2, LONGEST_PAUSE)
