"""The read-through LRU in front of servers: never older than a bound, and usually a fraction of a millisecond.

Nobody can ask a server for less than the price of a read whether something changed, so it is the servers that tell.
What they tell comes a little later than the change, hence the promise: no hit gives what was overwritten, by a write
that was acknowledged, more than *staleness* seconds before the hit began. What this process writes itself is seen by
all of its threads as soon as the verb returns. Five rules keep that true:

1. A read leaves a note where those who forget look, before the server is asked. Its value is held only if the note
   is still there afterwards: a change that was told meanwhile took it away. So a store in which others are busy does
   not keep this process from holding what they do not touch.
2. Whenever it begins or ceases to be told, all entries go, and all reads that are on their way.
3. The feed moves the time until which hits are served only after it passed on all that was acknowledged up to
   *staleness* seconds before that time. A hit reads that time first, the entry after, and the clock last.
4. What was read from a server that the feed may not listen to is not held.
5. Who ends a read takes away the note for all who read the same key, and an entry that has another value.

By the third rule a hit takes no lock. By the fifth this process never goes back: once a read gave a value, none that
begins later gives an older one. If nobody tells, the bound can be kept in another way, at the price that every hit
may be as old as it allows: an entry is served for that long after its read began.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from threading import Lock

from sqlitedict_kv.concurrency.fork import forgets_after_fork
from sqlitedict_kv.engines.optional import Feed, InvalidatingEngine
from sqlitedict_kv.engines.protocol import Keys, Value
from sqlitedict_kv.lru.clock import ClockCache
from sqlitedict_kv.lru.protocol import CachedValue, LRUStats, Name, NotHeldError, ValueCache, size_of

STALENESS = 1.0  # seconds
# A clock that goes on while the machine sleeps, where there is one: time.monotonic() stands still on Linux.
MONOTONIC: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)


class InvalidatedLRU:
    """Recently used values by namespace and key, as far as they are known to be no older than a bound."""

    def __init__(
        self,
        engine: InvalidatingEngine,
        max_bytes: int,
        staleness: float | None = None,
        *,
        make_cache: Callable[[int], ValueCache] = ClockCache,
        clock: Callable[[], float] = MONOTONIC,
    ) -> None:
        """Stand in front of *engine*.

        Args:
            engine: what is read, and tells of changes.
            max_bytes: the memory that it takes at most.
            staleness: the bound, in seconds, which is then kept by time alone where nobody tells of changes; None is
                :data:`STALENESS` where somebody does, and else nothing is held.
            make_cache: returns an empty cache of so many bytes, with its eviction policy.
            clock: a monotonic clock, in seconds.
        """
        self._engine = engine
        self._max_bytes = max_bytes
        self._make_cache = make_cache
        self._lifetime = staleness  # of an entry, while nobody tells
        self.clock = clock
        self._begin()
        forgets_after_fork(self)
        self._feed: Feed = engine.subscribe(self, STALENESS if staleness is None else staleness)

    def _begin(self) -> None:
        self._lock = Lock()  # held while the entries or the reads under way change
        self._cache = self._make_cache(self._max_bytes)
        self._held = self._cache.held
        self._hits = 0
        self._misses = 0
        self._invalidations = 0
        self._listen(told=False)

    def _listen(self, *, told: bool) -> None:
        self._until = 0.0  # until when all that it holds may be served
        self._told = told
        # What is being read, and will be held. A new dict each time: who put something into the old one knows
        # nothing of what happened in between.
        self._reading: dict[Name, object] | None = {} if told or self._lifetime is not None else None
        if self._cache.clear():
            self._invalidations += 1

    # -- reading

    def read_value(self, namespace: str, key: str) -> Value | None:
        """Return a value that was the newest within the bound, expired or not; often from memory."""
        name = (namespace, key)
        until = self._until
        entry = self._held(name)
        if entry is not None:
            now = self.clock()
            if now < until or now < entry.until:
                entry.used = True
                self._hits += 1
                return entry.value
        self._misses += 1
        if not self._told:
            self._feed.wake()
        reading = self._reading
        if reading is None:
            return self._engine.read_value(namespace, key)
        return self._read(name, reading)

    def held_value(self, namespace: str, key: str) -> Value:
        """Return what :meth:`read_value` would from memory; raise NotHeldError if it would have to ask a server."""
        until = self._until
        entry = self._held((namespace, key))
        if entry is None:
            raise NotHeldError
        now = self.clock()
        if now >= until and now >= entry.until:
            raise NotHeldError
        entry.used = True
        self._hits += 1
        return entry.value

    def _read(self, name: Name, reading: dict[Name, object]) -> Value | None:
        """Read a value, and hold it if nobody took the note of it out of *reading* meanwhile."""
        until = 0.0 if self._told or self._lifetime is None else self.clock() + self._lifetime
        detours = self._feed.detours
        note = reading.setdefault(name, object())  # one for all who read it now
        try:
            value = self._engine.read_value(*name)
        except BaseException:
            reading.pop(name, None)
            raise
        cache = self._cache
        size = 0 if value is None else size_of(name, value)
        is_welcome = value is not None and size <= cache.max_bytes and cache.admits(name, size)
        with self._lock:
            # The first to be done ends it for all: one of the others may have read an older value.
            is_current = reading.pop(name, None) is note and reading is self._reading
            if value is not None and is_welcome and is_current and self._feed.detours == detours:
                cache.put(name, CachedValue(value, size, until))
            else:
                held = cache.held(name)
                if held is not None and held.value != value:  # an older one, or a newer one; as good as none
                    cache.drop(name)
        return value

    # -- what it is told

    def begin(self) -> None:
        """Forget everything; from now on it is told of each change that anybody makes, until :meth:`end`."""
        with self._lock:
            self._listen(told=True)

    def forget(self, keys: Keys) -> None:
        """Forget what may have changed, and what of it is being read right now; None is everything."""
        with self._lock:
            if keys is None:
                self._forget_all()
                return
            reading, cache = self._reading, self._cache
            for name in keys:
                cache.drop(name)
                if reading:
                    reading.pop(name, None)

    def _forget_all(self) -> None:
        until = self._until
        self._listen(told=self._told)
        self._until = until

    def extend(self, until: float) -> None:
        """Serve what it holds until then, by the monotonic clock."""
        with self._lock:
            if self._told:
                self._until = until

    def end(self) -> None:
        """Forget everything; nobody tells what others change."""
        with self._lock:
            if self._told:
                self._listen(told=False)

    def forget_after_fork(self) -> None:
        """Begin again in a child: nobody tells it anything yet."""
        self._begin()

    def stats(self) -> LRUStats:
        """Return what it did in this process."""
        with self._lock:
            cache = self._cache
            return LRUStats(
                self._hits, self._misses, len(cache), cache.used_bytes, cache.evictions, self._invalidations
            )
