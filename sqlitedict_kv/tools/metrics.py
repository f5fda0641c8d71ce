"""Metrics of stores and of memoized functions, for whatever collects them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from sqlitedict_kv.errors import KVError
from sqlitedict_kv.store import Store

Kind = Literal["counter", "gauge"]  # what only grows while a process lives, and what goes up and down


class Metric(NamedTuple):
    """A figure that is collected.

    Attributes:
        name: without a prefix.
        kind: counter or gauge.
        unit: of the values, in the words of OpenTelemetry; empty for numbers of things.
        help: what it is, in a sentence.
    """

    name: str
    kind: Kind
    unit: str
    help: str


class Sample(NamedTuple):
    """A value of a metric at one moment."""

    metric: Metric
    labels: dict[str, str]
    value: float


UP = Metric("up", "gauge", "", "Whether the store answered when it was asked for its figures.")
SECONDS = Metric("stats_seconds", "gauge", "s", "How long the store took to answer that.")
OF_STORE = {
    "entries": Metric("entries", "gauge", "", "Entries that can be read."),
    "expired": Metric("expired_entries", "gauge", "", "Entries that have expired and were not removed yet."),
    "namespaces": Metric("namespaces", "gauge", "", "Namespaces that have entries."),
    "bytes_on_disk": Metric("size_bytes", "gauge", "By", "The size of the file, or the memory of the servers."),
    "free_bytes": Metric("free_bytes", "gauge", "By", "What of it is free, for new entries."),
    "hits": Metric("read_hits", "counter", "", "Reads of this process that found something."),
    "misses": Metric("read_misses", "counter", "", "Reads of this process that found nothing."),
    "evicted": Metric("evicted_entries", "counter", "", "Entries that this process removed to keep a limit."),
    "purged": Metric("purged_entries", "counter", "", "Expired entries that this process removed."),
}
OF_LRU = {
    "hits": Metric("lru_hits", "counter", "", "Reads that the LRU served."),
    "misses": Metric("lru_misses", "counter", "", "Reads that went on to the file or the server."),
    "entries": Metric("lru_entries", "gauge", "", "Entries that the LRU holds."),
    "bytes": Metric("lru_bytes", "gauge", "By", "The memory that they take, about."),
    "evictions": Metric("lru_evictions", "counter", "", "Entries that the LRU removed because its memory was full."),
    "invalidations": Metric("lru_invalidations", "counter", "", "Times that the LRU forgot everything."),
}
OF_FUNCTION = {
    "hits": Metric("memoize_hits", "counter", "", "Calls that found their result in the store."),
    "misses": Metric("memoize_misses", "counter", "", "Calls that computed it, or waited for another that did."),
    "computed": Metric("memoize_computed", "counter", "", "How often the function itself was called."),
    "not_kept": Metric("memoize_not_kept", "counter", "", "Results that condition= or ttl= refused."),
    "unstorable": Metric("memoize_unstorable", "counter", "", "Results that no codec keeps, or that are too large."),
    "lost": Metric("memoize_lost", "counter", "", "Results that were not kept because the lease had ended."),
    "stale": Metric("memoize_stale", "counter", "", "Calls that got an expired result because the function raised."),
    "failed_refreshes": Metric("memoize_failed_refreshes", "counter", "", "Refreshes in the background that raised."),
    "undecodable": Metric("memoize_undecodable", "counter", "", "Entries that did not decode and were computed again."),
    "storage_errors": Metric("memoize_storage_errors", "counter", "", "Failures of the storage that calls survived."),
    "base_hits": Metric("memoize_base_hits", "counter", "", "Results that were taken from the base."),
}
METRICS = (UP, SECONDS, *OF_STORE.values(), *OF_LRU.values(), *OF_FUNCTION.values())


class Watched(NamedTuple):
    """Stores by the name that they are shown under, and memoized functions."""

    stores: Mapping[str, Store]
    functions: tuple[Any, ...]


def check_watched(stores: object, functions: Iterable[Any]) -> Watched:
    """Return what is to be watched.

    Args:
        stores: stores by the names that they are shown under, or one store.
        functions: functions that ``memoize`` made.

    Raises:
        TypeError: it is something else.
    """
    named = {"store": stores} if isinstance(stores, Store) else stores
    if not isinstance(named, Mapping) or not all(isinstance(each, Store) for each in named.values()):
        raise TypeError("stores must be a Store or a mapping of names to them; that of an AsyncStore is its sync_store")
    given = tuple(functions)
    for function in given:
        if not hasattr(function, "cache_info"):
            raise TypeError(f"functions must be memoized, and {function!r:.100} is not")
    return Watched({str(name): each for name, each in named.items()}, given)


def collect(watched: Watched) -> Iterator[Sample]:
    """Yield the figures of stores and functions as they are now; a store that fails is down, and nothing is raised.

    The entries are counted for it, which takes some hundredths of a second for a million.
    """
    for name, store in watched.stores.items():
        yield from _samples_of(name, store)
    for function in watched.functions:
        labels = {"function": f"{function.__module__}.{function.__qualname__}"}
        yield from _listed(OF_FUNCTION, function.cache_info(), labels)


def _samples_of(name: str, store: Store) -> Iterator[Sample]:
    labels = {"store": name}
    start = time.perf_counter()
    try:
        stats = store.stats()
    except KVError:
        yield Sample(UP, labels, 0)
        return
    yield Sample(UP, labels, 1)
    yield Sample(SECONDS, labels, time.perf_counter() - start)
    yield from _listed(OF_STORE, stats, labels)
    if stats.lru is not None:
        yield from _listed(OF_LRU, stats.lru, labels)


def _listed(metrics: Mapping[str, Metric], figures: object, labels: dict[str, str]) -> Iterator[Sample]:
    for field, metric in metrics.items():
        yield Sample(metric, labels, getattr(figures, field))


def once_in(seconds: float, watched: Watched) -> Callable[[], list[Sample]]:
    """Return what collects, and gives what it collected again until so much time has gone by."""
    kept: list[Sample] = []
    until = float("-inf")

    def recent() -> list[Sample]:
        nonlocal kept, until
        now = time.monotonic()
        if now >= until:
            kept, until = list(collect(watched)), now + seconds
        return kept

    return recent
