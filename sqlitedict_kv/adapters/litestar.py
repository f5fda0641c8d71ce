"""Store of Litestar: sessions, cached responses and rate limits, each in a namespace."""

from __future__ import annotations

from datetime import timedelta

from litestar.stores.base import NamespacedStore

from sqlitedict_kv.adapters.support import BYTES, MAX_TTL, fitting_key, fitting_ttl
from sqlitedict_kv.aio import AsyncStore

SEPARATOR = "/"


class SQLiteStore(NamespacedStore):
    """Implements Litestar's Store on a namespace; it may be used before the application starts and after it ends."""

    def __init__(self, store: AsyncStore, namespace: str = "litestar") -> None:
        """Keep values in a namespace of *store*, which remains its owner's to close."""
        self._store = store
        self._entries = store.ns(namespace, content_type=BYTES)
        self.namespace = namespace

    def with_namespace(self, namespace: str) -> SQLiteStore:
        """Return a store of its own, whose values go when :meth:`delete_all` of this one is called."""
        if not namespace:
            raise ValueError("namespace must not be empty")
        escaped = namespace.replace("%", "%25").replace(SEPARATOR, "%2F")  # one segment, never mistaken for two
        return type(self)(self._store, self.namespace + SEPARATOR + escaped)

    async def set(self, key: str, value: str | bytes, expires_in: int | timedelta | None = None) -> None:
        """Write a value.

        Args:
            key: the key.
            value: bytes, or a str that is kept as its UTF-8.
            expires_in: seconds until it expires; None and 0 are never, and a negative time has expired already.
        """
        body = value.encode() if isinstance(value, str) else value
        seconds = _seconds(expires_in)
        if seconds is not None and seconds < 0:
            await self.delete(key)
        else:
            await self._entries.set(fitting_key(key), body, ttl=fitting_ttl(seconds))

    async def get(self, key: str, renew_for: int | timedelta | None = None) -> bytes | None:
        """Return the value of a key, None if it is absent.

        Args:
            key: the key.
            renew_for: seconds for which it lives from now on, if it was to expire at all; in one step with the read.
        """
        seconds = _seconds(renew_for)
        found: bytes | None
        if seconds is None:
            found = await self._entries.get(fitting_key(key))
        else:
            found = await self._entries.renew(fitting_key(key), min(seconds, MAX_TTL))
        return found

    async def delete(self, key: str) -> None:
        """Remove a key, if it is there."""
        await self._entries.delete(fitting_key(key))

    async def delete_all(self) -> None:
        """Remove all values of this store and of those made of it by :meth:`with_namespace`."""
        for name in await self._store.namespaces():
            if name == self.namespace or name.startswith(self.namespace + SEPARATOR):
                await self._store.ns(name).clear()

    async def exists(self, key: str) -> bool:
        """Return whether there is a value."""
        return await self._entries.contains(fitting_key(key))

    async def expires_in(self, key: str) -> int | None:
        """Return in how many whole seconds a value expires, -1 for never; None if it is absent."""
        entry = await self._entries.get_with_meta(fitting_key(key))
        if entry is None:
            return None
        if entry.meta.expires_at is None:
            return -1  # as all of Litestar's stores do, whatever their documentation says
        return int(max(0.0, entry.meta.expires_at.timestamp() - self._store.clock()))


def _seconds(duration: int | timedelta | None) -> float | None:
    """Return seconds; None and 0 become None."""
    if isinstance(duration, timedelta):
        return duration.total_seconds() or None
    return duration or None
