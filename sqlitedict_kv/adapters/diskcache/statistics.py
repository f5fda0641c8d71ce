"""Statistics of reads: hits and misses, counted in this process and written to the store from time to time."""

from __future__ import annotations

from functools import partial

from sqlitedict_kv import Namespace
from sqlitedict_kv.adapters.diskcache.directory import COUNTERS, CacheDirectory

AT_MOST = 1000  # reads that are not in the store yet


class Statistics:
    """The hits and misses of a cache, of all processes."""

    def __init__(self, directory: CacheDirectory) -> None:
        """Count the reads of *directory*."""
        self._directory = directory
        self._hits = self._misses = 0

    def count(self, *, hit: bool) -> None:
        """Count one read."""
        if hit:
            self._hits += 1
        else:
            self._misses += 1
        if self._hits + self._misses >= AT_MOST and not self._directory.is_held():
            self.flush()

    def flush(self) -> None:
        """Add the counts of this process to those of the store."""
        counts = {"hits": self._hits, "misses": self._misses}
        self._hits = self._misses = 0
        for name, count in counts.items():
            if count:
                self._directory.on(COUNTERS, partial(_add, name, count))

    def total(self, *, reset: bool) -> tuple[int, int]:
        """Return hits and misses, and begin at zero if *reset* is true."""
        self.flush()
        found = self._directory.on(COUNTERS, lambda counters: counters.copy())
        if reset:
            self._directory.on(COUNTERS, lambda counters: counters.clear())
        return found.get("hits", 0), found.get("misses", 0)


def _add(name: str, count: int, counters: Namespace) -> None:
    counters.incr(name, count)
