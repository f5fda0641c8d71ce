"""A rate limit for all processes together."""

from __future__ import annotations

import functools
import inspect
import math
import time
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from sqlitedict_kv.concurrency.async_driver import drive
from sqlitedict_kv.concurrency.lease import JSON, LeaseSpace
from sqlitedict_kv.concurrency.sansio import Blocking, Pause, Steps, run
from sqlitedict_kv.errors import ConflictError
from sqlitedict_kv.locks.backoff import BACKOFF, check_patience
from sqlitedict_kv.locks.faces import AwaitedSpace, check_space
from sqlitedict_kv.validation import check_callable, check_int, check_key, check_number

P = ParamSpec("P")
R = TypeVar("R")

MICROSECONDS = 1_000_000
MAX_SECONDS = 366 * 24 * 3600.0


class Throttle:
    """Lets *count* calls through in *seconds*: a bucket of *count* tokens that fills up evenly.

    A full bucket lets *count* calls through at once, and from then on one every ``seconds / count``; so in any
    stretch of *t* seconds there are at most ``count * (1 + t / seconds)``. As a decorator it makes calls wait.
    """

    def __init__(
        self,
        namespace: LeaseSpace | AwaitedSpace,
        key: str,
        *,
        count: int,
        seconds: float = 1.0,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Describe a limit; nothing is written before it is used, and a key that is there goes on as it is.

        Args:
            namespace: the namespace that keeps it, a Namespace or an AsyncNamespace.
            key: its key there.
            count: how many calls, the same in all processes.
            seconds: in which time; at most a million calls a second.
            clock: returns the Unix time in seconds, as the store's clock does.
            sleep: waits so many seconds; in tasks it is asyncio.sleep.

        Raises:
            TypeError, ValueError: an argument is not as described.
        """
        self._namespace, self._in_thread = check_space(namespace)
        self._key = check_key(key)
        tokens = check_int(count, "count", lowest=1)
        period = check_number(seconds, "seconds")
        shortest = tokens / MICROSECONDS  # a million calls a second
        if not shortest <= period <= MAX_SECONDS:
            raise ValueError(f"seconds must be from {shortest} to {MAX_SECONDS}, not {period}")
        self._limit = f"{tokens} in {period} s"
        self._interval = math.ceil(period * MICROSECONDS / tokens)  # microseconds until there is one more token
        self._capacity = self._interval * tokens  # microseconds until an empty bucket is full
        self._clock: Callable[[], float] = check_callable(clock, "clock")
        self._sleep = check_callable(sleep, "sleep")

    def acquire(self, *, timeout: float | None = None, blocking: bool = True) -> bool:
        """Take a token, waiting until there is one; return whether it was taken.

        Args:
            timeout: seconds to wait; None is as long as it takes. Where that cannot be enough it returns at once.
            blocking: whether to wait at all.
        """
        return run(self._acquiring(check_patience(timeout, blocking)), self._sleep)

    async def acquire_async(  # False is no error
        self,
        *,
        timeout: float | None = None,  # noqa: ASYNC109
        blocking: bool = True,
    ) -> bool:
        """Take a token as :meth:`acquire` does; a task that is cancelled while it waits takes none."""
        return await drive(self._acquiring(check_patience(timeout, blocking)), self._in_thread)

    def _acquiring(self, patience: float | None) -> Steps[bool]:
        while pause := (yield Blocking(self._take)):
            if patience is not None and (patience := patience - pause) < 0:
                return False
            yield Pause(pause)
        return True

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return a function, ``async def`` if *function* is, that waits for a token before each call."""
        check_callable(function, "function")

        @functools.wraps(function)
        async def throttled_async(*args: P.args, **kwargs: P.kwargs) -> Any:
            await self.acquire_async()
            return await cast("Any", function(*args, **kwargs))

        @functools.wraps(function)
        def throttled(*args: P.args, **kwargs: P.kwargs) -> R:
            self.acquire()
            return function(*args, **kwargs)

        return cast("Callable[P, R]", throttled_async) if inspect.iscoroutinefunction(function) else throttled

    def _take(self) -> float:
        """Take a token and return 0.0, or take none and return the seconds until there may be one.

        All that is kept is when the bucket is full again (Unix time in microseconds), so no entry, or one that
        has expired, is a full bucket, and each token that is taken moves that time on by one interval.
        """
        while True:
            now = round(self._clock() * MICROSECONDS)
            entry = self._namespace.get_with_meta(self._key)
            full_at: int = now if entry is None else max(entry.value, now)
            if full_at > now + 2 * self._capacity:  # a clock that was set back by hours must not stop us for hours
                full_at = now
            lacking = full_at + self._interval - now - self._capacity
            if lacking > 0:
                return max(lacking / MICROSECONDS, BACKOFF.shortest)
            full_at += self._interval
            version = 0 if entry is None else entry.meta.version
            try:
                self._namespace.cas_set(
                    self._key, full_at, version, ttl=(full_at - now) / MICROSECONDS, content_type=JSON
                )
            except ConflictError:
                continue  # somebody else took one
            return 0.0

    def __repr__(self) -> str:
        """Return the limit, the key and the namespace."""
        return f"<Throttle {self._key!r} in namespace {self._namespace.name!r}: {self._limit}>"
