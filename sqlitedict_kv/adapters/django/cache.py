"""Cache backend of Django on a namespace of a store."""

# ruff: noqa: ASYNC109 - timeout is Django's word for what a store calls ttl

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache, InvalidCacheBackendError

from sqlitedict_kv import ConflictError, Entry, Store, TransactionNamespace
from sqlitedict_kv.adapters.django import culling
from sqlitedict_kv.adapters.django.values import ALLOW_PICKLE, codecs
from sqlitedict_kv.adapters.support import (
    STORE_OPTIONS,
    check_bool,
    fitting_key,
    fitting_ttl,
    shared_async_store,
    shared_store,
)

NAMESPACE = "django"


class SQLiteCache(BaseCache):
    """A cache in one SQLite file that all threads and processes of a site share.

    ``LOCATION`` is the path of the file, or the address of servers as :class:`sqlitedict_kv.Store` takes it: they
    evict as they are configured, and have neither of the limits below. ``OPTIONS`` are those of the store, and:

    - ``MAX_ENTRIES``: Django's name for ``max_entries``. There is no limit unless one of the two is given. Each
      write evicts a few entries that are over it, which costs almost nothing and keeps the limit approximately.
    - ``CULL_FREQUENCY``: cull exactly, as Django's own backends do: a write of a new key counts the entries first, and
      where there are MAX_ENTRIES (left out, 300), 1/CULL_FREQUENCY of them are removed, or all if it is 0. Such a write
      takes ten times as long as another, more with each entry that there is to count; writes of others wait for it,
      and an LRU begins anew. It needs a file. See :mod:`sqlitedict_kv.adapters.django.culling`.
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
        self._clock = options.get("clock", time.time)
        limits = culling.limits_of(location, options)
        self._culls = limits is not None
        if limits is not None:
            self._max_entries, self._cull_frequency = limits  # Django's own names, which its tests change
        self._store = _open(location, options)
        self._entries = self._store.ns(self._namespace)
        self._awaited = shared_async_store(self._store).ns(self._namespace)

    @property
    def store(self) -> Store:
        """The store, for what Django's interface does not have."""
        return self._store

    def _key(self, key: Any, version: int | None) -> str:
        return fitting_key(self.make_and_validate_key(key, version=version))

    def _ttl(self, timeout: Any) -> float | None:
        """Return seconds, None for forever; 0 or less has passed already."""
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
        elif self._culls and name not in self._entries:
            self._write_culling({name: value}, ttl)
        else:
            self._entries.set(name, value, ttl=ttl)

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Write a value if there is none, in one step, and return whether that was so."""
        name, ttl = self._key(key, version), self._ttl(timeout)
        if _gone(ttl):
            return name not in self._entries
        if self._culls:
            return name not in self._entries and self._write_culling({name: value}, ttl, replace=False)
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
            TypeError: its value is not a number.
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
        old, new, after = self._move(key, delta, version)
        while True:
            entry = self._entries.get_with_meta(old)
            ttl = self._left(key, entry)
            with suppress(ConflictError):  # it was written meanwhile: read it again
                with self._store.atomic() as tx:
                    _record_move(tx.ns(self._namespace), old, new, entry, ttl)
                return after

    def _move(self, key: Any, delta: int, version: int | None) -> tuple[str, str, int]:
        """Return the key as it is, as it will be, and the version that it will have."""
        before = self.version if version is None else version
        after = before + delta
        return self._key(key, before), self._key(key, after), after

    def _left(self, key: Any, entry: Entry[Any] | None) -> float | None:
        """Return the seconds that an entry has left, None for forever; raise ValueError if it is absent."""
        if entry is None:
            raise _not_found(key)
        if entry.meta.expires_at is None:
            return None
        ttl: float = entry.meta.expires_at.timestamp() - self._clock()
        if _gone(ttl):
            raise _not_found(key)
        return ttl

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
            self._write_many(entries, ttl)
        return []

    def delete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        """Remove all these entries in one step."""
        self._entries.delete_many([self._key(key, version) for key in keys])

    def clear(self) -> None:
        """Remove every entry of the namespace in one step, whatever its prefix and version."""
        self._entries.clear()

    def _write_many(self, entries: Mapping[str, Any], ttl: float | None) -> None:
        if self._culls and any(name not in self._entries for name in entries):
            self._write_culling(entries, ttl)
        else:
            self._entries.set_many(entries, ttl=ttl)

    def _write_culling(self, values: Mapping[str, Any], ttl: float | None, *, replace: bool = True) -> bool:
        """Write values, or none if one of them cannot be kept, and cull for those that are new.

        With *replace* false nothing is written, and False is returned, if there is an entry by one of the names.
        """
        with self._store.exclusive() as held:
            entries = held.ns(self._namespace)
            if not replace and any(name in entries for name in values):
                return False
            culling.write(entries, values, ttl, culling.Limits(self._max_entries, self._cull_frequency))
            return True

    # -- asynchronous: the same, without the thread that Django shares among all tasks

    async def aget(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """Return what :meth:`get` does; what the LRU holds without leaving the event loop."""
        return await self._awaited.get(self._key(key, version), default)

    async def aset(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        """Write a value as :meth:`set` does; of a cache that culls, it is encoded in a thread, so leave it as it is."""
        name, ttl = self._key(key, version), self._ttl(timeout)
        if _gone(ttl):
            await self._awaited.delete(name)
        elif self._culls and not await self._awaited.contains(name):
            await self._awaited.in_thread(partial(self._write_culling, {name: value}, ttl))
        else:
            await self._awaited.set(name, value, ttl=ttl)

    async def aadd(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Write a value if there is none; see :meth:`add`."""
        name, ttl = self._key(key, version), self._ttl(timeout)
        if _gone(ttl):
            return not await self._awaited.contains(name)
        if self._culls:
            if await self._awaited.contains(name):
                return False
            return await self._awaited.in_thread(partial(self._write_culling, {name: value}, ttl, replace=False))
        return await self._awaited.add(name, value, ttl=ttl) is not None

    async def atouch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Let an entry end *timeout* seconds from now; see :meth:`touch`."""
        name, ttl = self._key(key, version), self._ttl(timeout)
        return await (self._awaited.delete(name) if _gone(ttl) else self._awaited.touch(name, ttl))

    async def adelete(self, key: Any, version: int | None = None) -> bool:
        """Remove an entry and return whether it was there."""
        return await self._awaited.delete(self._key(key, version))

    async def ahas_key(self, key: Any, version: int | None = None) -> bool:
        """Return whether there is an entry, without reading its value."""
        return await self._awaited.contains(self._key(key, version))

    async def aincr(self, key: Any, delta: float = 1, version: int | None = None) -> int | float:
        """Add to a number in one step; see :meth:`incr`."""
        try:
            return await self._awaited.incr(self._key(key, version), delta, default=None)
        except KeyError:
            raise _not_found(key) from None

    async def aincr_version(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Move an entry to another version in one step; see :meth:`incr_version`."""
        old, new, after = self._move(key, delta, version)
        while True:
            entry = await self._awaited.get_with_meta(old)
            ttl = self._left(key, entry)
            with suppress(ConflictError):  # as above
                async with shared_async_store(self._store).atomic() as tx:
                    _record_move(tx.ns(self._namespace), old, new, entry, ttl)
                return after

    async def aget_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        """Return the values of those keys that have one; see :meth:`get_many`."""
        names = {key: self._key(key, version) for key in keys}
        found = await self._awaited.get_many(names.values())
        return {key: found[name] for key, name in names.items() if name in found}

    async def aset_many(
        self, data: Mapping[Any, Any], timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> list[Any]:
        """Write all the values, or none; see :meth:`set_many`."""
        entries, ttl = {self._key(key, version): value for key, value in data.items()}, self._ttl(timeout)
        if _gone(ttl):
            await self._awaited.delete_many(entries)
        elif self._culls:
            await self._awaited.in_thread(partial(self._write_many, entries, ttl))
        else:
            await self._awaited.set_many(entries, ttl=ttl)
        return []

    async def adelete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        """Remove all these entries in one step."""
        await self._awaited.delete_many([self._key(key, version) for key in keys])

    async def aclear(self) -> None:
        """Remove every entry of the namespace; see :meth:`clear`."""
        await self._awaited.clear()


def _open(location: str | os.PathLike[str], options: dict[str, Any]) -> Store:
    """Return the store for a LOCATION and the OPTIONS that are not the cache's own."""
    if not location:
        raise InvalidCacheBackendError("LOCATION must be the path of the cache's file")
    pickled = check_bool(options.pop(ALLOW_PICKLE, False), ALLOW_PICKLE)
    if unknown := options.keys() - STORE_OPTIONS:
        known = ", ".join(sorted(STORE_OPTIONS | {"MAX_ENTRIES", "CULL_FREQUENCY", "namespace", ALLOW_PICKLE}))
        raise InvalidCacheBackendError(f"OPTIONS has {', '.join(sorted(unknown))}, and may have {known}")
    options["codecs"] = (*options.get("codecs", ()), *codecs(pickled=pickled))
    return shared_store(location, options)


def _record_move(
    entries: TransactionNamespace, old: str, new: str, entry: Entry[Any] | None, ttl: float | None
) -> None:
    """Move an entry to another key, unless it was written meanwhile."""
    assert entry is not None  # _left has raised
    entries.check(old, entry.meta.version)
    entries.delete(old)
    entries.set(new, entry.value, ttl=ttl)


def _gone(ttl: float | None) -> bool:
    return ttl is not None and ttl <= 0


def _not_found(key: Any) -> ValueError:
    return ValueError(f"Key '{key}' not found")
