"""Cache backend of Django on a namespace of a store."""

# ruff: noqa: ASYNC109 - timeout is Django's word for what a store calls ttl

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache

from sqlitedict_kv import ConflictError, DecodeError, Entry, Namespace, Store, TransactionNamespace
from sqlitedict_kv.adapters.django import culling
from sqlitedict_kv.adapters.django.entries import MISSING, CacheEntries, is_readable, take_own_options
from sqlitedict_kv.adapters.support import fitting_key, fitting_ttl, shared_async_store

NAMESPACE = "django"


class SQLiteCache(BaseCache):
    """A cache in one SQLite file that all threads and processes of a site share.

    ``LOCATION`` is the path of the file, or the address of servers as :class:`sqlitedict_kv.Store` takes it: they
    evict as they are configured, and have neither of the limits below. ``OPTIONS`` are those of the store, and:

    - ``MAX_ENTRIES`` and ``CULL_FREQUENCY``: cull exactly, as Django's own backends do: a write of a new key counts the
      entries first, and where there are MAX_ENTRIES (left out, 300), 1/CULL_FREQUENCY of them (left out, a third) are
      removed, or all if it is 0. Such a write takes ten times as long as another, more with each entry that there is to
      count; writes of others wait for it, and an LRU begins again. It needs a file; memory with MAX_ENTRIES alone
      evicts as with ``max_entries``. See :mod:`sqlitedict_kv.adapters.django.culling`.
    - ``max_entries``: the limit of the store. Each write evicts a few entries that are over it, which costs almost
      nothing and keeps the limit approximately. Without one of these options there is no limit.
    - ``namespace``: which one of the file keeps the cache, ``"django"`` unless it is given; caches of the same file
      and namespace are the same cache, apart from KEY_PREFIX and VERSION.
    - ``types``: that of the store; classes may be given by their dotted names, ``"shop.models.Order.Status"``.
    - ``allow_pickle_signed_with_secret_key``: see :mod:`sqlitedict_kv.adapters.django.values`.

    All instances of one process share one store per file, so :meth:`close`, which Django calls after each request,
    only looks whether the file is still there. It is opened at its first use, and again if somebody has deleted it. An
    entry that cannot be read here is a miss: a pickle that a SECRET_KEY of the past has signed, for example. A damaged
    one is an error.
    """

    def __init__(self, location: str | os.PathLike[str], params: Mapping[str, Any]) -> None:
        """Check the options; Django calls this once per thread and alias, and for its system checks.

        Raises:
            InvalidCacheBackendError: an option is unknown, or LOCATION is missing.
            TypeError, ValueError: the value of an option is wrong.
        """
        super().__init__(params)
        options = dict(params.get("OPTIONS") or {})
        self._namespace = options.pop("namespace", NAMESPACE)
        self._clock = options.get("clock", lambda: time.time())  # noqa: PLW0108 - looked up at the call
        limits = culling.limits_of(location, options)
        self._culls = limits is not None
        if limits is not None:
            self._max_entries, self._cull_frequency = limits  # Django's own names, which its tests change
        pickles = take_own_options(location, options)
        self._shared = CacheEntries(location, options, self._namespace, pickles=pickles)

    @property
    def store(self) -> Store:
        """The store, for what Django's interface does not have."""
        return self._shared.store

    def close(self, **_kwargs: Any) -> None:
        """Look whether the file was deleted or replaced; Django calls this after each request."""
        self._shared.refresh()

    @property
    def _entries(self) -> Namespace:
        return self._shared.entries

    def _limits(self) -> culling.Limits:
        return culling.Limits(self._max_entries, self._cull_frequency)

    def _key(self, key: Any, version: int | None) -> str:
        return fitting_key(self.make_and_validate_key(key, version=version))

    def _ttl(self, timeout: Any) -> float | None:
        """Return seconds, None for forever; 0 or less has passed already."""
        seconds: float | None = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        return fitting_ttl(seconds)

    # -- one key

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """Return the value, or *default*; a stored None is a value."""
        name = self._key(key, version)
        try:
            return self._shared.run(lambda entries: entries.get(name, default))
        except DecodeError:
            return default

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        """Write a value; a *timeout* of 0 or less removes what is there."""
        name, ttl = self._key(key, version), self._ttl(timeout)
        if _gone(ttl):
            self._shared.run(lambda entries: entries.delete(name))
        elif self._culls and self._shared.run(lambda entries: name not in entries):
            self._shared.write_culling({name: value}, ttl, self._limits())
        else:
            self._shared.run(lambda entries: entries.set(name, value, ttl=ttl))

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Write a value if there is none, in one step, and return whether that was so."""
        name, ttl = self._key(key, version), self._ttl(timeout)
        if _gone(ttl):
            return self._shared.run(lambda entries: not is_readable(entries, name))
        if self._culls:
            absent = self._shared.run(lambda entries: not is_readable(entries, name))
            return absent and self._shared.write_culling({name: value}, ttl, self._limits(), replace=False)
        added = self._shared.run(lambda entries: entries.add(name, value, ttl=ttl)) is not None
        return added or self._shared.replace_unreadable(name, value, ttl)

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Let an entry end *timeout* seconds from now and return whether it is there."""
        name, ttl = self._key(key, version), self._ttl(timeout)
        return self._shared.run(lambda entries: entries.delete(name) if _gone(ttl) else entries.touch(name, ttl))

    def delete(self, key: Any, version: int | None = None) -> bool:
        """Remove an entry and return whether it was there."""
        name = self._key(key, version)
        return self._shared.run(lambda entries: entries.delete(name))

    def has_key(self, key: Any, version: int | None = None) -> bool:
        """Return whether there is an entry, without reading its value."""
        name = self._key(key, version)
        return self._shared.run(lambda entries: name in entries)

    def incr(self, key: Any, delta: float = 1, version: int | None = None) -> int | float:
        """Add to a number in one step and return the sum; its timeout stays.

        Raises:
            ValueError: there is no entry.
            TypeError: its value is not a number.
        """
        name = self._key(key, version)
        try:
            return self._shared.run(lambda entries: entries.incr(name, delta, default=None))
        except (KeyError, DecodeError):
            raise _not_found(key) from None

    def incr_version(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Move an entry to another version in one step, with its timeout, and return that version.

        Raises:
            ValueError: there is no entry.
        """
        old, new, after = self._move(key, delta, version)
        while True:
            try:
                entry = self._shared.run(lambda entries: entries.get_with_meta(old))
            except DecodeError:
                raise _not_found(key) from None
            ttl = self._left(key, entry)
            with suppress(ConflictError):  # it was written meanwhile: read it again
                with self.store.atomic() as tx:
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
        try:
            found = self._shared.run(lambda entries: entries.get_many(names.values()))
        except DecodeError:  # of one of them: the others are found one by one
            each = {key: self.get(key, MISSING, version) for key in names}
            return {key: value for key, value in each.items() if value is not MISSING}
        return {key: found[name] for key, name in names.items() if name in found}

    def set_many(
        self, data: Mapping[Any, Any], timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> list[Any]:
        """Write all the values or, if one cannot be kept, none; return the keys that failed, so an empty list."""
        entries, ttl = {self._key(key, version): value for key, value in data.items()}, self._ttl(timeout)
        if _gone(ttl):
            self._shared.run(lambda namespace: namespace.delete_many(entries))
        else:
            self._write_many(entries, ttl)
        return []

    def delete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        """Remove all these entries in one step."""
        names = [self._key(key, version) for key in keys]
        self._shared.run(lambda entries: entries.delete_many(names))

    def clear(self) -> None:
        """Remove every entry of the namespace in one step, whatever its prefix and version."""
        self._shared.run(lambda entries: entries.clear())

    def _write_many(self, entries: Mapping[str, Any], ttl: float | None) -> None:
        if self._culls and self._shared.run(lambda namespace: any(name not in namespace for name in entries)):
            self._shared.write_culling(entries, ttl, self._limits())
        else:
            self._shared.run(lambda namespace: namespace.set_many(entries, ttl=ttl))

    # -- asynchronous: the same, without the thread that Django shares among all tasks

    async def aget(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """Return what :meth:`get` does; what the LRU holds without leaving the event loop."""
        name = self._key(key, version)
        try:
            return await self._shared.arun(lambda entries: entries.get(name, default))
        except DecodeError:
            return default

    async def aset(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        """Write a value as :meth:`set` does; of a cache that culls, it is encoded in a thread, so leave it as it is."""
        name, ttl = self._key(key, version), self._ttl(timeout)
        if _gone(ttl):
            await self._shared.arun(lambda entries: entries.delete(name))
        elif self._culls:
            await self._shared.in_thread(partial(self.set, key, value, timeout, version))
        else:
            await self._shared.arun(lambda entries: entries.set(name, value, ttl=ttl))

    async def aadd(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Write a value if there is none; see :meth:`add`."""
        name, ttl = self._key(key, version), self._ttl(timeout)
        if self._culls or _gone(ttl):
            return await self._shared.in_thread(partial(self.add, key, value, timeout, version))
        if await self._shared.arun(lambda entries: entries.add(name, value, ttl=ttl)) is not None:
            return True
        return await self._shared.in_thread(partial(self._shared.replace_unreadable, name, value, ttl))

    async def atouch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Let an entry end *timeout* seconds from now; see :meth:`touch`."""
        name, ttl = self._key(key, version), self._ttl(timeout)
        return await self._shared.arun(lambda entries: entries.delete(name) if _gone(ttl) else entries.touch(name, ttl))

    async def adelete(self, key: Any, version: int | None = None) -> bool:
        """Remove an entry and return whether it was there."""
        name = self._key(key, version)
        return await self._shared.arun(lambda entries: entries.delete(name))

    async def ahas_key(self, key: Any, version: int | None = None) -> bool:
        """Return whether there is an entry, without reading its value."""
        name = self._key(key, version)
        return await self._shared.arun(lambda entries: entries.contains(name))

    async def aincr(self, key: Any, delta: float = 1, version: int | None = None) -> int | float:
        """Add to a number in one step; see :meth:`incr`."""
        name = self._key(key, version)
        try:
            return await self._shared.arun(lambda entries: entries.incr(name, delta, default=None))
        except (KeyError, DecodeError):
            raise _not_found(key) from None

    async def aincr_version(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Move an entry to another version in one step; see :meth:`incr_version`."""
        old, new, after = self._move(key, delta, version)
        while True:
            try:
                entry = await self._shared.arun(lambda entries: entries.get_with_meta(old))
            except DecodeError:
                raise _not_found(key) from None
            ttl = self._left(key, entry)
            with suppress(ConflictError):  # as above
                async with shared_async_store(self.store).atomic() as tx:
                    _record_move(tx.ns(self._namespace), old, new, entry, ttl)
                return after

    async def aget_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        """Return the values of those keys that have one; see :meth:`get_many`."""
        names = {key: self._key(key, version) for key in keys}
        try:
            found = await self._shared.arun(lambda entries: entries.get_many(names.values()))
        except DecodeError:  # as above
            each = {key: await self.aget(key, MISSING, version) for key in names}
            return {key: value for key, value in each.items() if value is not MISSING}
        return {key: found[name] for key, name in names.items() if name in found}

    async def aset_many(
        self, data: Mapping[Any, Any], timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> list[Any]:
        """Write all the values, or none; see :meth:`set_many`."""
        entries, ttl = {self._key(key, version): value for key, value in data.items()}, self._ttl(timeout)
        if _gone(ttl):
            await self._shared.arun(lambda namespace: namespace.delete_many(entries))
        elif self._culls:
            await self._shared.in_thread(partial(self._write_many, entries, ttl))
        else:
            await self._shared.arun(lambda namespace: namespace.set_many(entries, ttl=ttl))
        return []

    async def adelete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        """Remove all these entries in one step."""
        names = [self._key(key, version) for key in keys]
        await self._shared.arun(lambda entries: entries.delete_many(names))

    async def aclear(self) -> None:
        """Remove every entry of the namespace; see :meth:`clear`."""
        await self._shared.arun(lambda entries: entries.clear())


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
