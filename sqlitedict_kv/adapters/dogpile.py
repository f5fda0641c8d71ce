"""Backend for dogpile.cache, with locks that all processes share.

::

    region = make_region().configure(
        "sqlitedict_kv", expiration_time=3600, arguments={"path": "cache.db", "ttl": 86400}
    )
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from dogpile.cache.api import NO_VALUE, BytesBackend, CacheMutex

from sqlitedict_kv import DecodeError, LockLostError, Namespace
from sqlitedict_kv.adapters.support import (
    STORE_OPTIONS,
    check_bool,
    fitting_key,
    fitting_ttl,
    pack,
    shared_store,
    unpack,
)
from sqlitedict_kv.locks import Lease, Lock

NAMESPACE = "dogpile"
LOCK_TTL = 60.0  # seconds


def deserialize(body: bytes) -> Any:
    """Return the value of a payload; raise DecodeError if another serializer made it."""
    try:
        return unpack(body)
    except Exception as error:
        raise DecodeError(
            f"a cached value is not MessagePack ({type(error).__name__}); configure the region with the serializer and "
            f"deserializer that wrote it, or invalidate it"
        ) from None


class SQLiteBackend(BytesBackend):
    """Keeps the bytes of a region in one SQLite file.

    Unless the region has a serializer of its own, values are kept in exact MessagePack: built-in types come back as
    what they were, others are refused with a CodecError, and nothing is ever pickled.
    """

    serializer = staticmethod(pack)
    deserializer = staticmethod(deserialize)

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        """Open the file.

        Args:
            arguments: those that the region was configured with; unknown ones are ignored, as by other backends.

                - ``path``: the file, or the address of servers.
                - ``namespace``: which one of the file keeps the values, ``"dogpile"`` unless given; its locks are in
                  another one, with ``.locks``.
                - ``ttl``: seconds until a value leaves the file, whatever its region says; give more than the region's
                  ``expiration_time``, for a stale value is served while a new one is made. None is never.
                - ``distributed_lock``: whether one process at a time makes a value, the default, or one thread of each.
                - ``lock_ttl``: seconds after which that lock is free all the same, 60 unless given: longer than it
                  takes to make a value.
                - the options of :class:`sqlitedict_kv.Store`.

        Raises:
            TypeError, ValueError: an argument is not as described.
            OpenError: the path cannot be opened as a store.
        """
        if "path" not in arguments:
            raise TypeError("arguments must have the path of the cache's file: arguments={'path': ...}")
        options = {name: arguments[name] for name in STORE_OPTIONS & arguments.keys()}
        namespace = arguments.get("namespace", NAMESPACE)
        self._distributed = check_bool(arguments.get("distributed_lock", True), "distributed_lock")
        self._lock_ttl = arguments.get("lock_ttl", LOCK_TTL)
        store = shared_store(arguments["path"], options)
        self._entries = store.ns(namespace, ttl=fitting_ttl(arguments.get("ttl")))
        self._locks = store.ns(f"{namespace}.locks")
        Lock(self._locks, "checked", ttl=self._lock_ttl)  # refuses a bad lock_ttl now, and writes nothing

    def get_serialized(self, key: str) -> Any:
        """Return the bytes of a key, or NO_VALUE."""
        return self._entries.get(fitting_key(key), NO_VALUE)

    def get_serialized_multi(self, keys: Iterable[str]) -> list[Any]:
        """Return the bytes of the keys, NO_VALUE for each that is absent, as of one moment."""
        names = [fitting_key(key) for key in keys]
        found = self._entries.get_many(names)
        return [found.get(name, NO_VALUE) for name in names]

    def set_serialized(self, key: str, value: bytes) -> None:
        """Write the bytes of a key."""
        self._entries.set(fitting_key(key), value)

    def set_serialized_multi(self, mapping: Mapping[str, bytes]) -> None:
        """Write the bytes of many keys in one step."""
        self._entries.set_many({fitting_key(key): value for key, value in mapping.items()})

    def delete(self, key: str) -> None:
        """Remove a key if it is there."""
        self._entries.delete(fitting_key(key))

    def delete_multi(self, keys: Iterable[str]) -> None:
        """Remove those of the keys that are there, in one step."""
        self._entries.delete_many([fitting_key(key) for key in keys])

    def get_mutex(self, key: str) -> Mutex | None:
        """Return the lock under which the value of a key is made; None leaves it to dogpile, for this process alone."""
        return Mutex(self._locks, fitting_key(key), self._lock_ttl) if self._distributed else None

    def has_lock_timeout(self) -> bool:
        """Return whether a lock may end before its owner is done."""
        return self._distributed


class Mutex(CacheMutex):
    """A lock of all processes: a lease with the token of its owner, that any thread may release for it.

    dogpile acquires it in one thread and, where values are made in the background, releases it in another.
    """

    def __init__(self, namespace: Namespace, key: str, ttl: float) -> None:
        """Describe a lock; nothing is written before it is acquired."""
        self._lock = Lock(namespace, key, ttl=ttl)
        self._leases: list[tuple[threading.Thread, Lease]] = []  # the oldest first

    def acquire(self, wait: bool = True) -> bool:  # noqa: FBT001, FBT002 # as dogpile has it
        """Take the lock, waiting if *wait*, and return whether it is ours now."""
        acquired = self._lock.acquire(blocking=wait)
        if acquired:
            self._leases.append((threading.current_thread(), self._lock.lease))
        return acquired

    def release(self) -> None:
        """Release what this thread acquired last or, if it holds nothing, what was acquired first.

        If the lease has ended, that is logged: another process may have made the value too, which does no harm.
        """
        lease = self._pop_lease()
        try:
            lease.release()
        except LockLostError:
            logging.getLogger("sqlitedict_kv").warning(
                "the value of %r took longer to make than lock_ttl; others may have made it meanwhile", lease.key
            )

    def _pop_lease(self) -> Lease:
        thread = threading.current_thread()
        for position in range(len(self._leases) - 1, -1, -1):
            if self._leases[position][0] is thread:
                return self._leases.pop(position)[1]
        with suppress(IndexError):
            return self._leases.pop(0)[1]
        raise RuntimeError(f"the lock of {self._lock!r} is not held, so it cannot be released")

    def locked(self) -> bool:
        """Return whether an acquire would have to wait now."""
        return self._lock.locked()
