"""Stores shared by all of a process, one per path, for frameworks that make a backend for each thread or request."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlitedict_kv import Store
from sqlitedict_kv.adapters.support.arguments import MEMORY, names_servers
from sqlitedict_kv.aio import AsyncStore
from sqlitedict_kv.options import DEFAULTS

STORE_OPTIONS = frozenset(DEFAULTS)  # all that Store takes besides the path

Key = tuple[object, ...]


class _Shared(NamedTuple):
    store: Store
    file: tuple[int, int] | None  # which one the path named when it was opened; None for memory and servers


_stores: dict[Key, _Shared] = {}
_async_stores: dict[Store, AsyncStore] = {}


def shared_store(path: str | os.PathLike[str], options: Mapping[str, Any]) -> Store:
    """Return the store of a path, opened by the first call in this process; it is never closed.

    If the file was deleted or replaced since, perhaps to empty a cache, a new store is opened, because the old one
    can no longer write. Callers that hold the old store keep it.

    Args:
        path: the file, or ``":memory:"`` for memory that this process shares, or the address of servers.
        options: keyword arguments of :class:`Store`. Calls with other options get a store of their own, on the same
            file.
    """
    place = path if path == MEMORY or names_servers(path) else os.path.realpath(path)
    try:
        key = (place, frozenset(options.items()))
        shared = _stores.get(key)
    except TypeError:  # no option of a store is unhashable; the store's own error names it
        return Store(path, **options)
    if shared is not None and shared.file == file_at(place):
        return shared.store
    # No lock: a fork could leave it locked forever. The thread that comes second closes its own store.
    opened = _Shared(Store(path, **options), file_at(place))
    first = _stores.setdefault(key, opened)
    if first is shared:  # its file is gone
        _stores[key] = opened
        _async_stores.pop(first.store, None)
    elif first is not opened:
        opened.store.close()
        return first.store
    return opened.store


def file_at(place: str | os.PathLike[str]) -> tuple[int, int] | None:
    """Return the identity of the file at a place; None if there is no file."""
    if names_servers(place):
        return None
    try:
        status = os.stat(place)
    except FileNotFoundError:  # a store in memory, for example
        return None
    return status.st_dev, status.st_ino


def shared_async_store(store: Store) -> AsyncStore:
    """Return the asynchronous face of a shared store, one for all tasks and event loops."""
    return _async_stores.get(store) or _async_stores.setdefault(store, AsyncStore.over(store))


def close_shared_stores() -> None:
    """Close all shared stores, between tests for example; a backend that still uses one raises StoreClosedError."""
    _async_stores.clear()
    while _stores:
        _stores.popitem()[1].store.close()
