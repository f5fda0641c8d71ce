"""One store per file and process, for frameworks that make a backend for each thread or request."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from sqlitedict_kv.aio import AsyncStore
from sqlitedict_kv.settings import MEMORY
from sqlitedict_kv.store import Store

OPTIONS = frozenset(Store.__init__.__kwdefaults__ or ())  # those that Store has besides the path

Key = tuple[object, ...]

_stores: dict[Key, Store] = {}
_faces: dict[Store, AsyncStore] = {}


def shared_store(path: str | os.PathLike[str], options: Mapping[str, Any]) -> Store:
    """Return the store of a path, opened by the first call in this process; it is never closed.

    Args:
        path: the file, or ``":memory:"`` for memory that this process shares.
        options: keyword arguments of :class:`Store`. Calls with other options get a store of their own, on the same
            file.
    """
    place = path if path == MEMORY else os.path.realpath(path)
    try:
        key = (place, frozenset(options.items()))
        store = _stores.get(key)
    except TypeError:  # what cannot be hashed is no option that a store takes, and it says which
        return Store(path, **options)
    if store is not None:
        return store
    # No lock, which a fork might leave locked for ever: who comes second throws the own one away.
    opened = Store(path, **options)
    store = _stores.setdefault(key, opened)
    if store is not opened:
        opened.close()
    return store


def shared_face(store: Store) -> AsyncStore:
    """Return the asynchronous face of a shared store, the same for all tasks and event loops."""
    return _faces.get(store) or _faces.setdefault(store, AsyncStore.over(store))


def close_shared_stores() -> None:
    """Close all of them, in tests say; a backend that is in use then raises StoreClosedError."""
    _faces.clear()
    while _stores:
        _stores.popitem()[1].close()
