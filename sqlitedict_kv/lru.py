"""The read-through LRU in front of an engine, which never serves a value older than the last commit.

It holds encoded values, so no caller ever holds an object that another one can change. An entry is served
only while the engine's mark has not moved since the entry was read: not by a thread, not by another process,
not by the sqlite3 shell. Three rules keep that true:

1. The engine's mark is read before the row, and once more before the row is put in.
2. After a commit of our own, if nobody else committed meanwhile, only its keys are forgotten; else everything.
3. Entries go first and our copy of the mark moves after. A hit reads our copy first and the entry after, and
   asks the engine last.

By the third rule a hit takes no lock. Nor does it move its entry to an end of a list, as a textbook LRU does:
it leaves a note on it, and an entry with a note gets a second chance when room is needed (CLOCK, Corbato 1968).

While it is full, a key has to be missed twice before others make room for it: what is read only once, by a walk
through many keys say, neither takes the place of what is in use nor costs the work of a change (this is the
doorkeeper of TinyLFU, Einziger, Friedman and Manes 2017, https://arxiv.org/abs/1512.00727).
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import NamedTuple
from weakref import WeakSet

from sqlitedict_kv.engine import Engine, Keys, Value

ENTRY_OVERHEAD = 500  # bytes of the objects around a value's body, measured on CPython 3.11
UNKNOWN = b""  # a mark that no engine gives

Name = tuple[str, str]  # namespace and key


class LRUStats(NamedTuple):
    """What an LRU did in this process.

    Attributes:
        hits: reads that it served.
        misses: reads that went on to the file.
        entries: how many it holds.
        bytes: how much memory they take, about.
        evictions: entries that it dropped for want of room.
        invalidations: times that it forgot everything, because somebody else committed.
    """

    hits: int
    misses: int
    entries: int
    bytes: int
    evictions: int
    invalidations: int


class NotHeldError(Exception):
    """Says that memory alone does not know the newest value."""


class _Entry:
    """A value, and whether it was used since room was made last."""

    __slots__ = ("size", "used", "value")

    def __init__(self, value: Value, size: int) -> None:
        self.value = value
        self.size = size
        self.used = False


def size_of(name: Name, value: Value) -> int:
    """Return the bytes of memory that an entry takes, about."""
    return len(value[0]) + len(name[0]) + len(name[1]) + ENTRY_OVERHEAD


class LRU:
    """Values by namespace and key, those used of late, as far as they are known to be current."""

    def __init__(self, engine: Engine, max_bytes: int) -> None:
        """Stand in front of *engine* and take *max_bytes* of memory at most."""
        self._engine = engine
        self._max_bytes = max_bytes
        self._read_mark = engine.marker()
        self._glance = engine.marker(waiting=False)
        self._begin()
        _all.add(self)
        engine.observe(self)

    def _begin(self) -> None:
        self._lock = Lock()  # held by whoever changes the entries or the mark
        self._mark = UNKNOWN
        self._entries: OrderedDict[Name, _Entry] = OrderedDict()
        self._bytes = 0
        self._knocked: set[int] = set()  # hashes of names that were missed once while there was no room
        self._hits = 0
        self._misses = 0
        self._evictions = 0
        self._invalidations = 0

    def read_value(self, namespace: str, key: str) -> Value | None:
        """Return the newest value, expired or not; as :meth:`Engine.read_value`, often from memory."""
        name = (namespace, key)
        read_mark = self._read_mark
        known = self._mark
        entry = self._entries.get(name)
        mark = read_mark()
        if entry is not None and mark == known:
            entry.used = True
            self._hits += 1
            return entry.value
        self._misses += 1
        value = self._engine.read_value(namespace, key)
        if mark is None:
            self._follow_new_connection()
        elif value is not None:
            self._fill(name, value, mark, read_mark)
        return value

    def held_value(self, namespace: str, key: str) -> Value:
        """Return the newest value, expired or not, and never wait; raise NotHeldError if :meth:`read_value` has to."""
        glance = self._glance
        known = self._mark
        entry = self._entries.get((namespace, key))
        if entry is None or glance() != known:
            raise NotHeldError
        entry.used = True
        self._hits += 1
        return entry.value

    def _follow_new_connection(self) -> None:
        """Forget everything, and only then ask the mark of the connection that is open now.

        While none was open, the log may have begun anew, and its mark may look like an earlier one.
        """
        read_mark, glance = self._engine.marker(), self._engine.marker(waiting=False)
        with self._lock:
            self._forget_all(UNKNOWN)
            self._read_mark, self._glance = read_mark, glance

    def _fill(self, name: Name, value: Value, mark: bytes, read_mark: Callable[[], bytes | None]) -> None:
        """Keep a value that was read after *mark* was, unless somebody committed since."""
        size = size_of(name, value)
        if size > self._max_bytes:
            return
        # The engine is not asked under our lock: a commit takes the two in the other order.
        if mark != self._mark:
            if read_mark() != mark:
                return
        elif self._bytes + size > self._max_bytes and self._is_first_knock(hash(name)):
            return
        with self._lock:
            if read_mark is not self._read_mark:  # the log may have begun anew, and look as it did
                return
            if mark != self._mark:
                self._forget_all(mark)
            if name not in self._entries:
                self._entries[name] = _Entry(value, size)
                self._bytes += size
                if self._bytes > self._max_bytes:
                    self._make_room()

    def _is_first_knock(self, name: int) -> bool:
        """Return whether a name was not missed of late, and remember it; without the lock, as it is but a guess."""
        knocked = self._knocked
        if name in knocked:
            return False
        if len(knocked) > len(self._entries):
            self._knocked = knocked = set()
        knocked.add(name)
        return True

    def _make_room(self) -> None:
        while self._bytes > self._max_bytes and self._entries:
            name, entry = self._entries.popitem(last=False)
            if entry.used:
                entry.used = False
                self._entries[name] = entry
            else:
                self._bytes -= entry.size
                self._evictions += 1

    def committed(self, keys: Keys, before: bytes | None, after: bytes | None, *, alone: bool) -> None:
        """Forget what a commit of our own changed, and everything else if it was not the only one."""
        with self._lock:
            if alone and before == self._mark and keys is not None:
                for name in keys:
                    entry = self._entries.pop(name, None)
                    self._bytes -= entry.size if entry else 0
                self._mark = after or UNKNOWN
            elif after != self._mark or alone:
                self._forget_all(after or UNKNOWN)

    def _forget_all(self, mark: bytes) -> None:
        if self._entries:
            self._entries = OrderedDict()
            self._bytes = 0
            self._invalidations += 1
        self._mark = mark

    def forget_after_fork(self) -> None:
        """Begin anew in a child: a thread that is not there may have been in the middle of a change."""
        self._begin()

    def stats(self) -> LRUStats:
        """Return what it did in this process."""
        with self._lock:
            return LRUStats(
                self._hits, self._misses, len(self._entries), self._bytes, self._evictions, self._invalidations
            )


_all: WeakSet[LRU] = WeakSet()


def _after_fork_in_child() -> None:
    for lru in _all:
        lru.forget_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
