"""How many reads found something: counted in this process, written down now and then."""

from __future__ import annotations

from functools import partial

from sqlitedict_kv.adapters.diskcache.shelf import COUNTERS, Open, Shelf

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
        if self._hits + self._misses >= AT_MOST and self._shelf.held() is None:
            self.write_down()

    def write_down(self) -> None:
        """Add what was counted to what the store knows."""
        counts = {"hits": self._hits, "misses": self._misses}
        self._hits = self._misses = 0
        for name, count in counts.items():
            if count:
                self._shelf.run(partial(_add, name, count), retry=True)

    def total(self, *, reset: bool) -> tuple[int, int]:
        """Return hits and misses, and begin at zero if *reset* is true."""
        self.write_down()
        found = self._shelf.run(lambda opened: opened.store.ns(COUNTERS).copy(), retry=True)
        if reset:
            self._shelf.run(lambda opened: opened.store.ns(COUNTERS).clear(), retry=True)
        return found.get("hits", 0), found.get("misses", 0)


def _add(name: str, count: int, opened: Open) -> None:
    opened.store.ns(COUNTERS).incr(name, count)
