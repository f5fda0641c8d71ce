"""Django's cache interface on a namespace of a store."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache, InvalidCacheBackendError

from sqlitedict_kv.adapters.django.values import ALLOW_PICKLE, codecs
from sqlitedict_kv.adapters.limits import fitting_key, fitting_ttl
from sqlitedict_kv.adapters.stores import OPTIONS, shared_store
from sqlitedict_kv.arguments import checked_bool
from sqlitedict_kv.errors import ConflictError
from sqlitedict_kv.store import Store

NAMESPACE = "django"


class SQLiteCache(BaseCache):
    """A cache in one SQLite file that all threads and processes of a site share.

    ``LOCATION`` is the path of the file. ``OPTIONS`` are those of :class:`sqlitedict_kv.Store`, and:

    - ``MAX_ENTRIES``: Django's name for ``max_entries``. There is no limit unless one of the two is given.
    - ``namespace``: which one of the file keeps the cache, ``"django"`` unless it is given; caches of the same file
      and namespace are the same cache, apart from KEY_PREFIX and VERSION.
    - ``allow_pickle_signed_with_secret_key``: see :mod:`sqlitedict_kv.adapters.django.values`.

    All instances of one process share one store per file, so :meth:`close`, which Django calls after each request,
    does nothing.
    """

    def __init__(self, location: str | os.PathLike[str], params: Mapping[str, Any]) -> None:
        """Open the file; Django calls this once per thread and alias.

        Raises:
            InvalidCacheBackendError: an option is unknown, or LOCATION is missing.
            TypeError, ValueError: the value of an option is wrong.
            OpenError: there can be no store at LOCATION.
        """
        super().__init__(params)
        options = dict(params.get("OPTIONS") or {})
        self._namespace = options.pop("namespace", NAMESPACE)
        self._store = _open(location, options)
        self._entries = self._store.ns(self._namespace)

    @property
    def store(self) -> Store:
        """The store, for what Django's interface does not have."""
        return self._store

    def _key(self, key: Any, version: int | None) -> str:
        return fitting_key(self.make_and_validate_key(key, version=version))

    def _ttl(self, timeout: Any) -> float | None:
        """Return seconds, None for ever; what is not positive is gone at once."""
        seconds: float | None = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        return fitting_ttl(seconds)

    # -- one key

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """Return the value, or *default*; a stored None is a value."""
        return self._entries.get(self._key(key, version), default)

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        """Write a value; a *timeout* of 0 or less removes what is there."""
        name, ttl = self._key(key, version), self._ttl(timeout)
        if _gone(ttl):
            self._entries.delete(name)
        else:
            self._entries.set(name, value, ttl=ttl)

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Write a value if there is none, in one step, and return whether that was so."""
        name, ttl = self._key(key, version), self._ttl(timeout)
        if _gone(ttl):
            return name not in self._entries
        return self._entries.add(name, value, ttl=ttl) is not None

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Let an entry end *timeout* seconds from now and return whether it is there."""
        name, ttl = self._key(key, version), self._ttl(timeout)
        return self._entries.delete(name) if _gone(ttl) else self._entries.touch(name, ttl)

    def delete(self, key: Any, version: int | None = None) -> bool:
        """Remove an entry and return whether it was there."""
        return self._entries.delete(self._key(key, version))

    def has_key(self, key: Any, version: int | None = None) -> bool:
        """Return whether there is an entry, without reading its value."""
        return self._key(key, version) in self._entries

    def incr(self, key: Any, delta: float = 1, version: int | None = None) -> int | float:
        """Add to a number in one step and return the sum; its timeout stays.

        Raises:
            ValueError: there is no entry.
            TypeError: it is no number.
        """
        try:
            return self._entries.incr(self._key(key, version), delta, default=None)
        except KeyError:
            raise _not_found(key) from None

    def incr_version(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Move an entry to another version in one step, with its timeout, and return that version.

        Raises:
            ValueError: there is no entry.
        """
        before = self.version if version is None else version
        after: int = before + delta
        old, new = self._key(key, before), self._key(key, after)
        while True:
            entry = self._entries.get_with_meta(old)
            ttl = None if entry is None else _left(entry.meta.expires_at)
            if entry is None or _gone(ttl):
                raise _not_found(key)
            with suppress(ConflictError):  # somebody wrote it meanwhile: look again
                with self._store.atomic() as tx:
                    entries = tx.ns(self._namespace)
                    entries.check(old, entry.meta.version)
                    entries.delete(old)
                    entries.set(new, entry.value, ttl=ttl)
                return after

    # -- many keys

    def get_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        """Return the values of those keys that have one, as of one moment."""
        names = {key: self._key(key, version) for key in keys}
        found = self._entries.get_many(names.values())
        return {key: found[name] for key, name in names.items() if name in found}

    def set_many(
        self, data: Mapping[Any, Any], timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> list[Any]:
        """Write all the values or, if one cannot be kept, none; return the keys that failed, so an empty list."""
        entries, ttl = {self._key(key, version): value for key, value in data.items()}, self._ttl(timeout)
        if _gone(ttl):
            self._entries.delete_many(entries)
        else:
            self._entries.set_many(entries, ttl=ttl)
        return []

    def delete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        """Remove all these entries in one step."""
        self._entries.delete_many([self._key(key, version) for key in keys])

    def clear(self) -> None:
        """Remove every entry of the namespace in one step, whatever its prefix and version."""
        self._entries.clear()

    # -- in tasks

    async def aget(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """Return what :meth:`get` does."""
        return await asyncio.to_thread(self.get, key, default, version)


def _open(location: str | os.PathLike[str], options: dict[str, Any]) -> Store:
    """Return the store for a LOCATION and the OPTIONS that are not the cache's own."""
    if not location:
        raise InvalidCacheBackendError("LOCATION must be the path of the cache's file")
    pickled = checked_bool(options.pop(ALLOW_PICKLE, False), ALLOW_PICKLE)
    if "MAX_ENTRIES" in options:
        if "max_entries" in options:
            raise InvalidCacheBackendError(
                "OPTIONS must have MAX_ENTRIES or max_entries, which mean the same, not both"
            )
        options["max_entries"] = options.pop("MAX_ENTRIES")
    if "CULL_FREQUENCY" in options:
        raise InvalidCacheBackendError(
            "OPTIONS must not have CULL_FREQUENCY: what is over MAX_ENTRIES is evicted a little with each write"
        )
    if unknown := options.keys() - OPTIONS:
        known = ", ".join(sorted(OPTIONS | {"MAX_ENTRIES", "namespace", ALLOW_PICKLE}))
        raise InvalidCacheBackendError(f"OPTIONS has {', '.join(sorted(unknown))}, and may have {known}")
    options["codecs"] = (*options.get("codecs", ()), *codecs(pickled=pickled))
    return shared_store(location, options)


def _gone(ttl: float | None) -> bool:
    return ttl is not None and ttl <= 0


def _left(expires_at: datetime | None) -> float | None:
    """Return the seconds until then."""
    return None if expires_at is None else (expires_at - datetime.now(UTC)).total_seconds()


def _not_found(key: Any) -> ValueError:
    return ValueError(f"Key '{key}' not found")
