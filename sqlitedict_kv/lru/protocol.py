"""Interfaces of the LRU: what it does for a store, and what an eviction policy does for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from sqlitedict_kv.engines.protocol import Value

ENTRY_OVERHEAD = 500  # bytes of the objects around a value's body, measured on CPython 3.11

Name = tuple[str, str]  # namespace and key


class LRUStats(NamedTuple):
    """What an LRU did in this process.

    Attributes:
        hits: reads that it served.
        misses: reads that went on to the file, or to the server.
        entries: how many it holds.
        bytes: how much memory they take, about.
        evictions: entries that it removed because the memory was full.
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


class CachedValue:
    """A value, its size, until when it may be served without validation, and whether it was used recently."""

    __slots__ = ("size", "until", "used", "value")

    def __init__(self, value: Value, size: int, until: float = 0.0) -> None:
        self.value = value
        self.size = size
        self.until = until  # by a monotonic clock; 0 is never
        self.used = False


def size_of(name: Name, value: Value) -> int:
    """Return about how many bytes of memory an entry takes."""
    return len(value[0]) + len(name[0]) + len(name[1]) + ENTRY_OVERHEAD


class ValueCache(Protocol):
    """Entries by name within a number of bytes, and the policy that decides which of them are evicted.

    Only the holder of the lock of their LRU calls ``put``, ``drop`` and ``clear``; any thread calls the others.
    """

    @property
    def max_bytes(self) -> int:
        """How many bytes the entries may take."""

    @property
    def used_bytes(self) -> int:
        """How many bytes they take."""

    @property
    def evictions(self) -> int:
        """How many entries were removed because the memory was full."""

    @property
    def held(self) -> Callable[[Name], CachedValue | None]:
        """Returns the entry of a name; called by every hit."""

    def __len__(self) -> int:
        """Return the number of entries."""

    def admits(self, name: Name, size: int) -> bool:
        """Return whether a value that was read is worth to be held."""

    def put(self, name: Name, entry: CachedValue) -> None:
        """Hold an entry in the place of what was there, and evict others for it."""

    def drop(self, name: Name) -> None:
        """Remove an entry, if it is there."""

    def clear(self) -> bool:
        """Remove every entry; return whether there were any."""


class LRU(Protocol):
    """Recently used values by namespace and key, as far as they are known to be current."""

    def read_value(self, namespace: str, key: str) -> Value | None:
        """Return the newest value, expired or not; as :meth:`Engine.read_value`, often from memory."""

    def held_value(self, namespace: str, key: str) -> Value:
        """Return the newest value, expired or not, and never wait; raise NotHeldError if :meth:`read_value` has to."""

    def stats(self) -> LRUStats:
        """Return what it did in this process."""
