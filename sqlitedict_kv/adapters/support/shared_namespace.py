"""Namespace of a shared store, opened at its first use, and again after its file was deleted or replaced."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from sqlitedict_kv import AsyncNamespace, Namespace, Store, StoreDetachedError
from sqlitedict_kv.adapters.support.shared_stores import file_at, shared_async_store, shared_store

T = TypeVar("T")


class SharedNamespace:
    """A namespace of :func:`shared_store` for a backend that lives long: somebody may delete its file meanwhile.

    Nothing is opened before it is used.
    """

    def __init__(
        self, path: str | os.PathLike[str], options: Mapping[str, Any], name: str, *, ttl: float | None = None
    ) -> None:
        """Describe it.

        Args:
            path: as for :func:`shared_store`.
            options: as for :func:`shared_store`.
            name: the name of the namespace.
            ttl: seconds that an entry lives where a write does not say; None is forever.
        """
        self._path = path
        self._options = options
        self._name = name
        self._ttl = ttl
        self._file: tuple[int, int] | None = None
        self._store: Store | None = None
        self._entries: Namespace | None = None
        self._awaited: AsyncNamespace | None = None

    @property
    def store(self) -> Store:
        """The store, opened if need be."""
        return self._store or self.open()

    @property
    def entries(self) -> Namespace:
        """The namespace; an error that its file is gone is the caller's to handle."""
        if self._entries is None:
            self.open()
        assert self._entries is not None
        return self._entries

    @property
    def awaited(self) -> AsyncNamespace:
        """The asynchronous face of the namespace."""
        if self._awaited is None:
            self._awaited = shared_async_store(self.store).ns(self._name, ttl=self._ttl)
        return self._awaited

    def open(self) -> Store:
        """Open the store, again if its file was deleted or replaced, and return it."""
        store = shared_store(self._path, self._options)
        self._file = file_at(self._path)
        self._awaited = None
        self._entries = store.ns(self._name, ttl=self._ttl)
        self._store = store
        return store

    def refresh(self) -> None:
        """Open the store again at the next use if its file was deleted or replaced.

        Writes notice that by themselves. Reads go on in the deleted file, so call this from time to time, after each
        request for example; it takes as long as ``os.stat``.
        """
        if self._store is not None and file_at(self._path) != self._file:
            self._store = self._entries = self._awaited = None

    def run(self, call: Callable[[Namespace], T]) -> T:
        """Return what *call* does with the namespace; call it again if the file was deleted or replaced."""
        try:
            return call(self.entries)
        except StoreDetachedError:
            self.open()
        return call(self.entries)

    async def arun(self, call: Callable[[AsyncNamespace], Awaitable[T]]) -> T:
        """Await what *call* does with the asynchronous face; call it again if the file was deleted or replaced."""
        try:
            return await call(self.awaited)
        except StoreDetachedError:
            self.open()
        return await call(self.awaited)
