"""Caches, deques and indexes by name, in directories below that of a ``FanoutCache``."""

from __future__ import annotations

import os
from typing import Any

from sqlitedict_kv.adapters.diskcache.cache import Cache
from sqlitedict_kv.adapters.diskcache.deque import Deque
from sqlitedict_kv.adapters.diskcache.disk import Disk
from sqlitedict_kv.adapters.diskcache.index import Index


class NamedCaches:
    """Opens each of them once, and closes them together."""

    def __init__(self, directory: str, disk: type[Disk], options: dict[str, Any]) -> None:
        """Open them below *directory*, with a disk and options that they share."""
        self._directory = directory
        self._disk = disk
        self._options = options
        self._caches: dict[str, Cache] = {}
        self._deques: dict[str, Deque] = {}
        self._indexes: dict[str, Index] = {}

    def cache(self, name: str, timeout: float, disk: type[Disk], settings: dict[str, Any]) -> Cache:
        """Return the cache of a name."""
        if name not in self._caches:
            self._caches[name] = Cache(self._path("cache", name), timeout, disk, **self._options, **settings)
        return self._caches[name]

    def deque(self, name: str, maxlen: int | None) -> Deque:
        """Return the deque of a name."""
        if name not in self._deques:
            self._deques[name] = Deque.fromcache(self._unlimited("deque", name), maxlen=maxlen)
        return self._deques[name]

    def index(self, name: str) -> Index:
        """Return the index of a name."""
        if name not in self._indexes:
            self._indexes[name] = Index.fromcache(self._unlimited("index", name))
        return self._indexes[name]

    def close(self) -> None:
        """Close all of them; the next call opens them again."""
        for cache in self._caches.values():
            cache.close()
        for deque in self._deques.values():
            deque.cache.close()
        for index in self._indexes.values():
            index.cache.close()
        self._caches.clear()
        self._deques.clear()
        self._indexes.clear()

    def _unlimited(self, kind: str, name: str) -> Cache:
        return Cache(self._path(kind, name), disk=self._disk, eviction_policy="none", **self._options)

    def _path(self, kind: str, name: str) -> str:
        return os.path.join(self._directory, kind, *name.split("/"))
