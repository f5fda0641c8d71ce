"""Waiting: for how long, and in a task without harm from a cancellation."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from typing import TypeVar

from sqlitedict_kv.arguments import checked_bool, checked_timeout

T = TypeVar("T")

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


async def in_thread(function: Callable[[], T], undo: Callable[[T], object] | None = None) -> T:
    """Return what a function that blocks returns, from a thread.

    A thread cannot be cancelled. So a cancellation takes effect only when the function has ended, and *undo*,
    if there is one, has been called with what it returned: else a lock would be taken that nobody releases.
    """
    call = asyncio.ensure_future(asyncio.to_thread(function))
    cancelled = None
    while not call.done():
        try:
            await asyncio.wait([call])  # which, unlike an await of the call itself, never cancels it
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return call.result()
    if undo is not None and call.exception() is None:
        result = call.result()
        await in_thread(lambda: undo(result))
    raise cancelled
