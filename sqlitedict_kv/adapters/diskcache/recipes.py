"""Recipes of diskcache; the locks of :mod:`sqlitedict_kv.locks` know their owner and wait without spinning."""

from __future__ import annotations

import functools
import math
import os
import random
import threading
import time
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from sqlitedict_kv.adapters.diskcache.memoize import full_name, key_maker
from sqlitedict_kv.adapters.diskcache.values import ENOVAL

T = TypeVar("T")

SPIN = 0.001  # seconds between two tries


class Averager:
    """A running average that processes share."""

    def __init__(self, cache: Any, key: Any, expire: float | None = None, tag: Any = None) -> None:
        """Keep it under *key* of *cache*."""
        self._cache, self._key, self._expire, self._tag = cache, key, expire, tag

    def add(self, value: float) -> None:
        """Add a value."""
        self._cache.modify(
            self._key, lambda pair: (pair[0] + value, pair[1] + 1), (0.0, 0), expire=self._expire, tag=self._tag
        )

    def get(self) -> float | None:
        """Return the average, None if nothing was added."""
        total, count = self._cache.get(self._key, (0.0, 0), retry=True)
        return total / count if count else None

    def pop(self) -> float | None:
        """Return the average and start again."""
        total, count = self._cache.pop(self._key, (0.0, 0), retry=True)
        return total / count if count else None


class Lock:
    """A lock that processes share; it has no owner, so anyone can release it."""

    def __init__(self, cache: Any, key: Any, expire: float | None = None, tag: Any = None) -> None:
        """Keep it under *key* of *cache*, for *expire* seconds at most."""
        self._cache, self._key, self._expire, self._tag = cache, key, expire, tag

    def acquire(self) -> None:
        """Wait until it is free and take it."""
        while not self._cache.add(self._key, None, expire=self._expire, tag=self._tag, retry=True):
            time.sleep(SPIN)

    def release(self) -> None:
        """Let it go."""
        self._cache.delete(self._key, retry=True)

    def locked(self) -> bool:
        """Return whether it is held."""
        return self._key in self._cache

    def __enter__(self) -> None:
        """Take it."""
        self.acquire()

    def __exit__(self, *exc_info: object) -> None:
        """Let it go."""
        self.release()


class RLock:
    """A lock that the thread which holds it may take again."""

    def __init__(self, cache: Any, key: Any, expire: float | None = None, tag: Any = None) -> None:
        """Keep it under *key* of *cache*, for *expire* seconds at most."""
        self._cache, self._key, self._expire, self._tag = cache, key, expire, tag

    def acquire(self) -> None:
        """Wait until it is free, or ours already, and take it."""
        me = _this_thread()
        while not self._change(lambda held: (me, held[1] + 1) if held[0] == me or not held[1] else None):
            time.sleep(SPIN)

    def release(self) -> None:
        """Let it go once; raise AssertionError if it is not ours."""
        me = _this_thread()
        if not self._change(lambda held: (me, held[1] - 1) if held[0] == me and held[1] else None):
            raise AssertionError("cannot release un-acquired lock")

    def _change(self, function: Callable[[Any], Any]) -> Any:
        return self._cache.modify(self._key, function, (None, 0), expire=self._expire, tag=self._tag)

    def __enter__(self) -> None:
        """Take it."""
        self.acquire()

    def __exit__(self, *exc_info: object) -> None:
        """Let it go once."""
        self.release()


class BoundedSemaphore:
    """A semaphore that processes share: at most a number of holders at the same time."""

    def __init__(self, cache: Any, key: Any, value: int = 1, expire: float | None = None, tag: Any = None) -> None:
        """Keep it under *key* of *cache*, and let *value* holders in."""
        self._cache, self._key, self._value, self._expire, self._tag = cache, key, value, expire, tag

    def acquire(self) -> None:
        """Wait until there is a free place and take it."""
        while not self._change(lambda free: free - 1 if free > 0 else None):
            time.sleep(SPIN)

    def release(self) -> None:
        """Free a place; raise AssertionError if all are free."""
        if not self._change(lambda free: free + 1 if free < self._value else None):
            raise AssertionError("cannot release un-acquired semaphore")

    def _change(self, function: Callable[[int], int | None]) -> Any:
        return self._cache.modify(self._key, function, self._value, expire=self._expire, tag=self._tag)

    def __enter__(self) -> None:
        """Take a place."""
        self.acquire()

    def __exit__(self, *exc_info: object) -> None:
        """Free a place."""
        self.release()


def throttle(
    cache: Any,
    count: int,
    seconds: float,
    name: str | None = None,
    expire: float | None = None,
    tag: Any = None,
    time_func: Callable[[], float] = time.time,
    sleep_func: Callable[[float], object] = time.sleep,
) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Return a decorator that lets a function be called *count* times in *seconds*, among all processes."""

    def decorate(function: Callable[..., T]) -> Callable[..., T]:
        rate = count / float(seconds)
        key = full_name(function) if name is None else name
        cache.set(key, (time_func(), count), expire=expire, tag=tag, retry=True)

        def delay() -> float:
            """Take one call off the tally and return 0, or the seconds until there will be one."""
            now, missing = time_func(), [0.0]

            def take(pair: tuple[float, float]) -> tuple[float, float] | None:
                tally = pair[1] + (now - pair[0]) * rate
                missing[0] = 1 - tally
                return (now, min(tally, count) - 1) if tally >= 1 else None

            if cache.modify(key, take, (now, count), expire=expire, tag=tag):
                return 0
            return missing[0] / rate

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> T:
            while wait := delay():
                sleep_func(wait)
            return function(*args, **kwargs)

        return call

    return decorate


def barrier(
    cache: Any,
    lock_factory: Callable[..., Any],
    name: str | None = None,
    expire: float | None = None,
    tag: Any = None,
) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Return a decorator that holds a lock while a function runs."""

    def decorate(function: Callable[..., T]) -> Callable[..., T]:
        lock = lock_factory(cache, full_name(function) if name is None else name, expire=expire, tag=tag)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> T:
            with lock:
                return function(*args, **kwargs)

        return call

    return decorate


def memoize_stampede(
    cache: Any,
    expire: float | None,
    name: str | None = None,
    typed: bool = False,
    tag: Any = None,
    beta: float = 1,
    ignore: Collection[int | str] = (),
) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Return a decorator that keeps results, and now and then renews one before it expires, in a thread.

    The closer a result is to its end, and the longer it took, the likelier it is renewed (Vattani et al., "Optimal
    Probabilistic Cache Stampede Prevention", 2015). :meth:`sqlitedict_kv.Store.memoize` computes each result once.
    """

    def decorate(function: Callable[..., T]) -> Callable[..., T]:
        make_key = key_maker(function, name, typed=typed, ignore=ignore)

        def compute(key: Any, args: Any, kwargs: Any) -> T:
            start = time.time()
            result = function(*args, **kwargs)
            cache.set(key, (result, time.time() - start), expire=expire, tag=tag, retry=True)
            return result

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            key = make_key(*args, **kwargs)
            found, expires = cache.get(key, ENOVAL, expire_time=True, retry=True)
            if found is ENOVAL:
                return compute(key, args, kwargs)
            result, duration = found
            left = math.inf if expires is None else expires - time.time()
            if -duration * beta * math.log(1 - random.random()) < left:  # noqa: S311 - no secret
                return result
            # One of all processes renews it.
            if cache.add((key, "renewing"), None, expire=duration, retry=True):
                threading.Thread(target=compute, args=(key, args, kwargs), daemon=True).start()
            return result

        call.__cache_key__ = make_key  # type: ignore[attr-defined] # diskcache's name
        return call

    return decorate


def _this_thread() -> str:
    return f"{os.getpid()}-{threading.get_ident()}"
