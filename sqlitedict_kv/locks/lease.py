"""A lease: an entry that says who holds a key, and until when."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar, runtime_checkable

from sqlitedict_kv.errors import ConflictError, LockLostError
from sqlitedict_kv.validation import checked_ttl

T = TypeVar("T")

JSON = "application/json"  # whatever the namespace's default is: tokens are text, and readable in the file


@runtime_checkable
class Entries(Protocol):
    """What locks need of a namespace."""

    @property
    def name(self) -> str:
        """The name of the namespace."""

    def __contains__(self, key: object, /) -> bool: ...

    def get_with_meta(self, key: str) -> Any:
        """Return the entry, or None."""

    def add(self, key: str, value: Any, *, ttl: float, content_type: str) -> int | None:
        """Write an entry if the key is absent; return its version."""

    def cas_set(self, key: str, value: Any, version: int, *, ttl: float, content_type: str) -> int:
        """Write an entry that is at *version*, or raise ConflictError; return the new version."""

    def delete(self, key: str, *, version: int) -> bool:
        """Remove an entry that is at *version*, or raise ConflictError."""


@runtime_checkable
class AsyncEntries(Protocol):
    """What locks need of the asynchronous face of a namespace."""

    @property
    def sync_namespace(self) -> Entries:
        """The same namespace, for calls that may block."""

    def in_thread(self, function: Callable[[], T]) -> Coroutine[Any, Any, T]:
        """Return what a function returns that may block."""


class InThread(Protocol):
    """Calls a function that may block, from a task."""

    def __call__(self, function: Callable[[], T]) -> Coroutine[Any, Any, T]:
        """Return what *function* returns."""


def checked_entries(namespace: object) -> tuple[Entries, InThread]:
    """Return a namespace for calls that may block, and how tasks make them; raise TypeError if it is none."""
    if isinstance(namespace, AsyncEntries):
        return namespace.sync_namespace, namespace.in_thread
    if not isinstance(namespace, Entries):
        raise TypeError(f"namespace must be a Namespace, as store.ns() returns it, not {type(namespace).__name__}")
    return namespace, _in_some_thread


async def _in_some_thread(function: Callable[[], T]) -> T:
    return await asyncio.to_thread(function)


def checked_lease_ttl(ttl: object) -> float:
    """Return the time to live of a lease in seconds; it has to end some day, so None is refused."""
    seconds = checked_ttl(ttl)
    if seconds is None:
        raise TypeError("ttl must be a number of seconds, not None: what a dead process held would never be free")
    return seconds


class Lease:
    """One acquisition of a lock, until it is released or ends; any thread may renew it.

    Attributes:
        key: the key of the entry.
        version: the version of the entry, larger than that of every earlier owner; renewing it raises it.
    """

    __slots__ = ("_namespace", "_token", "_ttl", "key", "version")

    def __init__(self, namespace: Entries, key: str, token: str, version: int, ttl: float) -> None:
        """Remember what :func:`take` wrote."""
        self._namespace = namespace
        self._token = token  # anew for each lease, so that it is never another's whatever happened to the file
        self._ttl = ttl
        self.key = key
        self.version = version

    def owned(self) -> bool:
        """Return whether the lease has not ended yet; it asks the store."""
        return self._current() is not None

    def renew(self, ttl: float | None = None) -> int:
        """Let the lease end *ttl* seconds from now and return its new version.

        Args:
            ttl: seconds; None is what it was taken with.

        Raises:
            LockLostError: it has ended already.
        """
        seconds = self._ttl if ttl is None else checked_lease_ttl(ttl)
        while (version := self._current()) is not None:
            try:
                written = self._namespace.cas_set(self.key, self._token, version, ttl=seconds, content_type=JSON)
            except ConflictError:
                continue  # another thread renewed it, or it is lost: look again
            self.version = max(self.version, written)
            return written
        raise LockLostError(self._namespace.name, self.key)

    def release(self) -> None:
        """Free the key.

        Raises:
            LockLostError: the lease has ended already; whatever is there now stays.
        """
        while (version := self._current()) is not None:
            try:
                self._namespace.delete(self.key, version=version)
            except ConflictError:
                continue  # as above
            return
        raise LockLostError(self._namespace.name, self.key)

    def _current(self) -> int | None:
        """Return the version of the entry if it is still ours."""
        entry = self._namespace.get_with_meta(self.key)
        return entry.meta.version if entry is not None and entry.value == self._token else None


def take(namespace: Entries, key: str, ttl: float) -> Lease | None:
    """Return a lease of *ttl* seconds, or None if somebody has the key."""
    if key in namespace:  # a read is cheaper than a write that is refused, above all for those who wait
        return None
    token = f"{os.getpid()}-{os.urandom(12).hex()}"
    version = namespace.add(key, token, ttl=ttl, content_type=JSON)
    return None if version is None else Lease(namespace, key, token, version, ttl)
