"""Benchmark of the place where a store is: how long its operations take there."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from secrets import token_hex
from typing import Any, NamedTuple

from sqlitedict_kv.engines.address import scheme_of
from sqlitedict_kv.namespace import Namespace
from sqlitedict_kv.store import Store

ENTRIES = 10_000
MANY = 1000  # entries of one set_many
LRU = "64 MB"
LEAST_RUNS = 20
VALUE = {"name": "Ada Lovelace", "tags": ["a", "b", "c"], "text": "x" * 900}  # 1 kB of JSON
HIGH = 0.99


class Timing(NamedTuple):
    """How long an operation took.

    Attributes:
        operation: what was done.
        runs: how often.
        median: seconds of half of them at most; for many entries at once, of one entry.
        slowest: seconds that 1 % took longer than.
        per_second: how many were done a second.
    """

    operation: str
    runs: int
    median: float
    slowest: float
    per_second: float


def measure(place: str, seconds: float) -> Iterator[Timing]:
    """Yield the timings of operations on a new store of 10,000 entries of 1 kB, which is removed at the end.

    Args:
        place: a directory, or a file in one, in which the store is made; or the address of servers, on which it is a
            namespace of its own.
        seconds: how long to measure, about.
    """
    if scheme_of(place) is not None:
        yield from _measure_servers(place, seconds)
        return
    directory = place if os.path.isdir(place) else os.path.dirname(os.path.abspath(place))
    with tempfile.TemporaryDirectory(prefix="sqlitedict-kv-bench-", dir=directory) as own:
        path = os.path.join(own, "bench.db")
        with Store(path) as store, Store(path, durability="power") as durable, Store(path, lru_bytes=LRU) as quick:
            name = "bench"
            fill(store.ns(name))
            share = seconds / 6
            yield from _measure_namespace(store.ns(name), share)
            yield _time("get, from the LRU", _get(quick.ns(name)), share)
            yield _time("set, durability='power'", _set(durable.ns(name)), share)
            yield _time("a memoized function, a hit", _hit(quick), share)


def _measure_servers(address: str, seconds: float) -> Iterator[Timing]:
    with Store(address) as store, _own_namespace(store) as entries:
        fill(entries)
        yield from _measure_namespace(entries, seconds / 3)


@contextmanager
def _own_namespace(store: Store) -> Iterator[Namespace[str, Any]]:
    name = f"sqlitedict_kv.bench.{token_hex(8)}"
    try:
        yield store.ns(name)
    finally:
        store.drop(name)


def fill(entries: Namespace[str, Any]) -> None:
    """Write the entries that are read."""
    for first in range(0, ENTRIES, MANY):
        entries.set_many({_key(number): VALUE for number in range(first, first + MANY)})


def _measure_namespace(entries: Namespace[str, Any], share: float) -> Iterator[Timing]:
    yield _time("get", _get(entries), share)
    yield _time("set", _set(entries), share)
    yield _time(f"set_many of {MANY:,}, an entry", _set_many(entries), share, entries=MANY)


def _key(number: int) -> str:
    return f"key{number:06}"


def _get(entries: Namespace[str, Any]) -> Callable[[], object]:
    choose = Random(7)  # noqa: S311 - not a secret
    return lambda: entries[_key(choose.randrange(ENTRIES))]


def _set(entries: Namespace[str, Any]) -> Callable[[], object]:
    choose = Random(7)  # noqa: S311 - likewise
    return lambda: entries.set(_key(choose.randrange(ENTRIES)), VALUE)


def _set_many(entries: Namespace[str, Any]) -> Callable[[], object]:
    values = {_key(number): VALUE for number in range(MANY)}
    return lambda: entries.set_many(values)


def _hit(store: Store) -> Callable[[], object]:
    @store.memoize(name="bench", code=False)
    def bench(number: int) -> dict[str, Any]:
        return {**VALUE, "number": number}

    return lambda: bench(1)


def _time(operation: str, call: Callable[[], object], seconds: float, entries: int = 1) -> Timing:
    """Run an operation until so many seconds are over."""
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while len(taken) < LEAST_RUNS or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        taken.append((time.perf_counter() - start) / entries)
    ordered = sorted(taken)
    slowest = ordered[min(len(ordered) - 1, int(len(ordered) * HIGH))]
    return Timing(operation, len(taken), statistics.median(ordered), slowest, len(taken) / sum(taken))
