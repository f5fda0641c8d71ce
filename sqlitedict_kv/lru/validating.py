"""Validating LRU: it asks for the data version on each hit, and never serves a value older than the last commit.

An entry is served only while the engine's data version has not changed since the entry was read: not by a thread, not
by another process, not by the sqlite3 shell. Three rules keep that true:

1. The engine's data version is read before the row, and once more before the row is put in.
2. After a commit of our own, if nobody else committed meanwhile, only its keys are forgotten; else everything.
3. Entries go first and our copy of the data version changes after. A hit reads our copy first and the entry after, and
   asks the engine last.

By the third rule a hit takes no lock.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from sqlitedict_kv.concurrency.fork import forgets_after_fork
from sqlitedict_kv.engines.optional import DataVersionEngine
from sqlitedict_kv.engines.protocol import Keys, Value
from sqlitedict_kv.lru.clock import ClockCache
from sqlitedict_kv.lru.protocol import CachedValue, LRUStats, Name, NotHeldError, ValueCache, size_of

UNKNOWN = b""  # a data version that no engine gives


class ValidatingLRU:
    """Recently used values by namespace and key, as far as they are known to be current."""

    def __init__(
        self, engine: DataVersionEngine, max_bytes: int, make_cache: Callable[[int], ValueCache] = ClockCache
    ) -> None:
        """Stand in front of *engine*.

        Args:
            engine: the storage that is read.
            max_bytes: the most memory to use.
            make_cache: returns an empty cache of so many bytes, with its eviction policy.
        """
        self._engine = engine
        self._max_bytes = max_bytes
        self._make_cache = make_cache
        self._read_version = engine.data_version()
        self._glance = engine.data_version(waiting=False)
        self._begin()
        forgets_after_fork(self)
        engine.observe_commits(self)

    def _begin(self) -> None:
        self._lock = Lock()  # held while the entries or the data version change
        self._version = UNKNOWN
        self._cache = self._make_cache(self._max_bytes)
        self._held = self._cache.held
        self._hits = 0
        self._misses = 0
        self._invalidations = 0

    def read_value(self, namespace: str, key: str) -> Value | None:
        """Return the newest value, expired or not; as :meth:`Engine.read_value`, often from memory."""
        name = (namespace, key)
        read_version = self._read_version
        known = self._version
        entry = self._held(name)
        version = read_version()
        if entry is not None and version == known:
            entry.used = True
            self._hits += 1
            return entry.value
        self._misses += 1
        value = self._engine.read_value(namespace, key)
        if version is None:
            self._follow_new_connection()
        elif value is not None:
            self._fill(name, value, version, read_version)
        return value

    def held_value(self, namespace: str, key: str) -> Value:
        """Return the newest value, expired or not, and never wait; raise NotHeldError if :meth:`read_value` has to."""
        glance = self._glance
        known = self._version
        entry = self._held((namespace, key))
        if entry is None or glance() != known:
            raise NotHeldError
        entry.used = True
        self._hits += 1
        return entry.value

    def _follow_new_connection(self) -> None:
        """Forget everything, and only then ask for the data version of the connection that is open now.

        While none was open, the log may have begun again, and its data version may look like an earlier one.
        """
        read_version, glance = self._engine.data_version(), self._engine.data_version(waiting=False)
        with self._lock:
            self._forget_all(UNKNOWN)
            self._read_version, self._glance = read_version, glance

    def _fill(self, name: Name, value: Value, version: bytes, read_version: Callable[[], bytes | None]) -> None:
        """Keep a value that was read after *version* was, unless somebody committed since."""
        size = size_of(name, value)
        if size > self._max_bytes:
            return
        # The engine is not asked under our lock: a commit takes the two in the other order.
        if version != self._version:
            if read_version() != version:
                return
        elif not self._cache.admits(name, size):
            return
        with self._lock:
            if read_version is not self._read_version:  # the log may have begun again, and look as it did
                return
            if version != self._version:
                self._forget_all(version)
            self._cache.put(name, CachedValue(value, size))

    def notify_commit(self, keys: Keys, before: bytes | None, after: bytes | None, *, alone: bool) -> None:
        """Forget what a commit of our own changed, and everything else if it was not the only one."""
        with self._lock:
            if alone and before == self._version and keys is not None:
                for name in keys:
                    self._cache.drop(name)
                self._version = after or UNKNOWN
            elif after != self._version or alone:
                self._forget_all(after or UNKNOWN)

    def _forget_all(self, version: bytes) -> None:
        if self._cache.clear():
            self._invalidations += 1
        self._version = version

    def forget_after_fork(self) -> None:
        """Begin again in a child: a thread that is not there may have been in the middle of a change."""
        self._begin()

    def stats(self) -> LRUStats:
        """Return what it did in this process."""
        with self._lock:
            cache = self._cache
            return LRUStats(
                self._hits, self._misses, len(cache), cache.used_bytes, cache.evictions, self._invalidations
            )
