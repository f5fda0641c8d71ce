"""What every kind of LRU does for a store."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from sqlitedict_kv.engines.protocol import Value


class LRUStats(NamedTuple):
    """What an LRU did in this process.

    Attributes:
        hits: reads that it served.
        misses: reads that went on to the file, or to the server.
        entries: how many it holds.
        bytes: how much memory they take, about.
        evictions: entries that it dropped for want of cache.
        invalidations: times that it forgot everything: somebody else committed to the file, or the connection that
            tells of what others write was lost.
    """

    hits: int
    misses: int
    entries: int
    bytes: int
    evictions: int
    invalidations: int


class NotHeldError(Exception):
    """Says that memory alone does not know the newest value."""


class LRU(Protocol):
    """Values by namespace and key, those used of late, as far as they are known to be current."""

    def read_value(self, namespace: str, key: str) -> Value | None:
        """Return the newest value, expired or not; as :meth:`Engine.read_value`, often from memory."""

    def held_value(self, namespace: str, key: str) -> Value:
        """Return the newest value, expired or not, and never wait; raise NotHeldError if :meth:`read_value` has to."""

    def stats(self) -> LRUStats:
        """Return what it did in this process."""
