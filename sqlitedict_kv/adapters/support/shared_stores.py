"""One store per file or servers and process, for frameworks that make a backend for each thread or request."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlitedict_kv.aio import AsyncStore
from sqlitedict_kv.engines.address import names_servers
from sqlitedict_kv.options import DEFAULTS, MEMORY
from sqlitedict_kv.store import Store

OPTIONS = frozenset(DEFAULTS)  # those that Store has besides the path

Key = tuple[object, ...]


class _Shared(NamedTuple):
    store: Store
    file: tuple[int, int] | None  # which one the path named when it was opened; None for memory and servers


_stores: dict[Key, _Shared] = {}
_faces: dict[Store, AsyncStore] = {}


def shared_store(path: str | os.PathLike[str], options: Mapping[str, Any]) -> Store:
    """Return the store of a path, opened by the first call in this process; it is never closed.

    If the file was deleted or replaced since, as somebody does to empty a cache, a new one is opened, for the old one
    writes nothing more. Whoever has the old one keeps it.

    Args:
        path: the file, or ``":memory:"`` for memory that this process shares, or the address of servers.
        options: keyword arguments of :class:`Store`. Calls with other options get a store of their own, on the same
            file.
    """
    place = path if path == MEMORY or names_servers(path) else os.path.realpath(path)
    try:
        key = (place, frozenset(options.items()))
        shared = _stores.get(key)
    except TypeError:  # what cannot be hashed is no option that a store takes, and it says which
        return Store(path, **options)
    if shared is not None and shared.file == _file_at(place):
        return shared.store
    # No lock, which a fork might leave locked for ever: who comes second throws the own one away.
    opened = _Shared(Store(path, **options), _file_at(place))
    first = _stores.setdefault(key, opened)
    if first is shared:  # that of the file that is gone
        _stores[key] = opened
    elif first is not opened:
        opened.store.close()
        return first.store
    return opened.store


def _file_at(place: str | os.PathLike[str]) -> tuple[int, int] | None:
    """Return what tells the file at a place from every other one, None if there is none."""
    if names_servers(place):
        return None
    try:
        status = os.stat(place)
    except FileNotFoundError:  # as that of a store in memory
        return None
    return status.st_dev, status.st_ino


def shared_face(store: Store) -> AsyncStore:
    """Return the asynchronous face of a shared store, the same for all tasks and event loops."""
    return _faces.get(store) or _faces.setdefault(store, AsyncStore.over(store))


def close_shared_stores() -> None:
    """Close all of them, in tests say; a backend that is in use then raises StoreClosedError."""
    _faces.clear()
    while _stores:
        _stores.popitem()[1].store.close()
