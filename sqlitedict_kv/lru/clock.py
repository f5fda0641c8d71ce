"""A bounded room for values that were read: who comes in, and who goes when it is full.

A hit takes no lock. Nor does it move its entry to an end of a list, as a textbook LRU does: it leaves a note on it,
and an entry with a note gets a second chance when room is needed (CLOCK, Corbato 1968).

While it is full, a key has to be missed twice before others make room for it: what is read only once, by a walk
through many keys say, neither takes the place of what is in use nor costs the work of a change (this is the
doorkeeper of TinyLFU, Einziger, Friedman and Manes 2017, https://arxiv.org/abs/1512.00727).
"""

from __future__ import annotations

from collections import OrderedDict

from sqlitedict_kv.engines.protocol import Value

ENTRY_OVERHEAD = 500  # bytes of the objects around a value's body, measured on CPython 3.11

Name = tuple[str, str]  # namespace and key


class CachedValue:
    """A value, until when it may be served by itself, and whether it was used since room was made last."""

    __slots__ = ("size", "until", "used", "value")

    def __init__(self, value: Value, size: int, until: float = 0.0) -> None:
        self.value = value
        self.size = size
        self.until = until  # by a monotonic clock; 0 is never
        self.used = False


def size_of(name: Name, value: Value) -> int:
    """Return the bytes of memory that an entry takes, about."""
    return len(value[0]) + len(name[0]) + len(name[1]) + ENTRY_OVERHEAD


class ClockCache:
    """Entries by name, within so many bytes; whoever changes them holds the lock of their LRU."""

    __slots__ = ("_entries", "_knocked", "bytes", "evictions", "held", "max_bytes")

    def __init__(self, max_bytes: int) -> None:
        """Begin empty."""
        self.max_bytes = max_bytes
        self.bytes = 0
        self.evictions = 0
        self._entries: OrderedDict[Name, CachedValue] = OrderedDict()
        self._knocked: set[int] = set()  # hashes of names that were missed once while there was no room
        # Of the one dict that there ever is, so that a hit calls it at once; it needs no lock.
        self.held = self._entries.get

    def __len__(self) -> int:
        return len(self._entries)

    def rejects(self, name: Name, size: int) -> bool:
        """Return whether others would have to go for a name that was not missed of late.

        It needs no lock, as it is but a guess.
        """
        if self.bytes + size <= self.max_bytes:
            return False
        knocked, knock = self._knocked, hash(name)
        if knock in knocked:
            return False
        if len(knocked) > len(self._entries):
            self._knocked = knocked = set()
        knocked.add(knock)
        return True

    def put(self, name: Name, entry: CachedValue) -> None:
        """Hold an entry in the place of what was there, and let others go for it."""
        self.drop(name)
        self._entries[name] = entry
        self.bytes += entry.size
        while self.bytes > self.max_bytes and self._entries:
            name, entry = self._entries.popitem(last=False)
            if entry.used:
                entry.used = False
                self._entries[name] = entry
            else:
                self.bytes -= entry.size
                self.evictions += 1

    def drop(self, name: Name) -> None:
        """Let an entry go, if it is there."""
        entry = self._entries.pop(name, None)
        if entry is not None:
            self.bytes -= entry.size

    def clear(self) -> bool:
        """Let all of them go; return whether there were any."""
        if not self._entries:
            return False
        self._entries.clear()
        self.bytes = 0
        return True
