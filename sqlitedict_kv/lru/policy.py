"""A cache of cachetools as the eviction policy of an LRU."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlitedict_kv.lru.protocol import CachedValue, Name

if TYPE_CHECKING:
    from cachetools import Cache

Policy: TypeAlias = "Callable[..., Cache[Any, Any]]"


class PolicyCache:
    """Entries by name in a cache of cachetools; its lock makes each call safe, a hit too."""

    __slots__ = ("_cache", "_lock", "evictions", "max_bytes")

    def __init__(self, max_bytes: int, policy: Policy) -> None:
        """Begin with the empty cache that ``policy(maxsize=max_bytes, getsizeof=...)`` returns.

        Raises:
            TypeError: it returns something else.
        """
        from cachetools import Cache  # noqa: PLC0415 - only for stores with a policy

        cache = policy(maxsize=max_bytes, getsizeof=_size_of_entry)
        if not isinstance(cache, Cache):
            raise TypeError(f"lru_policy must return a cachetools.Cache, not {type(cache).__name__}")
        self.max_bytes = max_bytes
        self.evictions = 0
        self._cache: Cache[Name, CachedValue] = cache
        self._lock = Lock()

    def __len__(self) -> int:
        with self._lock:
            return len(self._cache)

    @property
    def used_bytes(self) -> int:
        """How many bytes its entries take."""
        with self._lock:
            return int(self._cache.currsize)

    def held(self, name: Name) -> CachedValue | None:
        """Return the entry of a name, and let the policy count the hit."""
        with self._lock:
            return self._cache.get(name)

    def admits(self, name: Name, size: int) -> bool:  # noqa: ARG002 - as ValueCache has it
        """Return True: the policy alone decides what is evicted."""
        return True

    def put(self, name: Name, entry: CachedValue) -> None:
        """Hold an entry in the place of what was there, and let the policy evict others for it."""
        with self._lock:
            cache = self._cache
            cache.pop(name, None)
            before = len(cache)
            if entry.size <= cache.maxsize:  # a policy may take less than it was given
                cache[name] = entry
                self.evictions += before + 1 - len(cache)

    def drop(self, name: Name) -> None:
        """Remove an entry, if it is there."""
        with self._lock:
            self._cache.pop(name, None)

    def clear(self) -> bool:
        """Remove every entry; return whether there were any."""
        with self._lock:
            if not len(self._cache):
                return False
            self._cache.clear()
            return True


def _size_of_entry(entry: CachedValue) -> int:
    return entry.size
