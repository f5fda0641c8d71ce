"""How many reads found something: counted in this process, written down now and then."""

from __future__ import annotations

from functools import partial

from sqlitedict_kv.adapters.diskcache.directory import COUNTERS, Shelf
from sqlitedict_kv.namespace import Namespace

AT_MOST = 1000  # reads that are not written down yet


class Reads:
    """The hits and misses of a cache, of all processes."""

    def __init__(self, shelf: Shelf) -> None:
        """Count the reads of *shelf*."""
        self._shelf = shelf
        self._hits = self._misses = 0

    def count(self, *, hit: bool) -> None:
        """Count one read."""
        if hit:
            self._hits += 1
        else:
            self._misses += 1
        if self._hits + self._misses >= AT_MOST and not self._shelf.is_held():
            self.write_down()

    def write_down(self) -> None:
        """Add what was counted to what the store knows."""
        counts = {"hits": self._hits, "misses": self._misses}
        self._hits = self._misses = 0
        for name, count in counts.items():
            if count:
                self._shelf.on(COUNTERS, partial(_add, name, count))

    def total(self, *, reset: bool) -> tuple[int, int]:
        """Return hits and misses, and begin at zero if *reset* is true."""
        self.write_down()
        found = self._shelf.on(COUNTERS, lambda counters: counters.copy())
        if reset:
            self._shelf.on(COUNTERS, lambda counters: counters.clear())
        return found.get("hits", 0), found.get("misses", 0)


def _add(name: str, count: int, counters: Namespace) -> None:
    counters.incr(name, count)
