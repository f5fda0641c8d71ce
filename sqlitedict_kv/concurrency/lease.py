"""Leases: entries that say who holds a key, and until when."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, Protocol, runtime_checkable

from sqlitedict_kv.concurrency.backoff import Backoff
from sqlitedict_kv.concurrency.renewal import KEEPER
from sqlitedict_kv.errors import ConflictError, KVError, LockLostError

BACKOFF = Backoff(0.002, 0.05, growth=1.5)  # between two looks at the lease of another
RENEWALS_PER_LEASE = 3
JSON = "application/json"  # whatever the namespace's default is: tokens are text, and readable in the file


Duration = float | timedelta | str  # what the verbs of a namespace take as ttl


@runtime_checkable
class LeaseSpace(Protocol):
    """The part of a namespace that leases use."""

    @property
    def name(self) -> str:
        """The name of the namespace."""

    def __contains__(self, key: object, /) -> bool: ...

    def get_with_meta(self, key: str) -> Any:
        """Return an entry with its version, or None."""

    def add(self, key: str, value: Any, *, ttl: Duration, content_type: str) -> int | None:
        """Write an entry if the key is absent; return its version."""

    def set(self, key: str, value: Any, *, ttl: Duration, content_type: str) -> int:
        """Write an entry and return its version."""

    def cas_set(self, key: str, value: Any, version: int, *, ttl: Duration, content_type: str) -> int:
        """Write an entry that is at *version*, or raise ConflictError; return the new version."""

    def delete(self, key: str, *, version: int) -> bool:
        """Remove an entry that is at *version*, or raise ConflictError."""


class Leases:
    """The leases of one namespace."""

    __slots__ = ("extend", "seconds", "space")

    def __init__(
        self, space: LeaseSpace, seconds: float, extend: Callable[[str, int, Duration], None] | None = None
    ) -> None:
        """Keep leases of *seconds* in *space*.

        Args:
            space: the namespace.
            seconds: how long a lease lasts unless it is renewed.
            extend: moves the deadline of the entry with a key and a version, which stays; or raises ConflictError.
                None: to renew is to write the entry again, with a higher version.
        """
        self.space = space
        self.seconds = seconds
        self.extend = extend

    def take(self, key: str, *, after_failure: bool = True) -> Lease | None:
        """Return a new lease, None while another owner has one; that of a failed owner is free *after_failure*."""
        token = _new_token()
        version = self.space.add(key, token, ttl=self.seconds, content_type=JSON)
        if version is None and after_failure:
            entry = self.space.get_with_meta(key)
            if entry is None or entry.value is not None:
                return None
            with suppress(ConflictError):
                version = self.space.cas_set(key, token, entry.meta.version, ttl=self.seconds, content_type=JSON)
        return None if version is None else Lease(self, key, token, version)

    def seize(self, key: str) -> Lease:
        """Return a new lease, also if another owner has one: what that one computes is not new enough."""
        token = _new_token()
        return Lease(self, key, token, self.space.set(key, token, ttl=self.seconds, content_type=JSON))

    def is_held(self, key: str) -> bool:
        """Return whether there is a lease, or one that was marked as failed and has not ended."""
        return key in self.space

    def is_busy(self, key: str) -> bool:
        """Return whether there is a lease whose owner is at work."""
        if key not in self.space:
            return False
        entry = self.space.get_with_meta(key)
        return entry is not None and entry.value is not None


class Lease:
    """One acquisition of a key, until it is released or ends; any thread may renew it.

    Attributes:
        key: the key of the entry.
        version: the version of the entry, larger than that of every earlier owner. To renew a lock raises it.
    """

    __slots__ = ("_leases", "_space", "_ticket", "_token", "key", "version")

    def __init__(self, leases: Leases, key: str, token: str, version: int) -> None:
        """Describe what :class:`Leases` wrote."""
        self._leases = leases
        self._space = leases.space
        self._token = token  # a new one for each lease, so that it is never another's whatever happened to the file
        self._ticket: object = None
        self.key = key
        self.version = version

    def owned(self) -> bool:
        """Return whether the lease has not ended yet; it asks the store."""
        return self._current() is not None

    def renew(self, ttl: Duration | None = None) -> int:
        """Let the lease end *ttl* seconds from now and return its version.

        Args:
            ttl: seconds, a timedelta or a text such as ``"1 min"``; None is what it was taken with.

        Raises:
            LockLostError: it has ended already.
        """
        seconds = self._leases.seconds if ttl is None else ttl
        while (version := self._current()) is not None:
            try:
                written = self._write(version, seconds)
            except ConflictError:
                continue  # another thread renewed it, or it is lost: look again
            self.version = max(self.version, written)
            return written
        raise LockLostError(self._space.name, self.key)

    def _write(self, version: int, seconds: Duration) -> int:
        extend = self._leases.extend
        if extend is None:
            return self._space.cas_set(self.key, self._token, version, ttl=seconds, content_type=JSON)
        extend(self.key, version, seconds)
        return version

    def release(self) -> None:
        """Free the key.

        Raises:
            LockLostError: the lease has ended already; what is there now stays.
        """
        self.stop_renewing()
        while (version := self._current()) is not None:
            try:
                self._space.delete(self.key, version=version)
            except ConflictError:
                continue  # as above
            return
        raise LockLostError(self._space.name, self.key)

    def give_back(self) -> None:
        """Free the key if that can be done; if not, the lease ends by itself."""
        with suppress(KVError):
            self.release()

    def mark_failed(self) -> None:
        """Give the lease back, but keep others from work in the background before it would have ended."""
        self.stop_renewing()
        with suppress(ConflictError):
            self._space.cas_set(self.key, None, self.version, ttl=self._leases.seconds, content_type=JSON)

    def keep_renewing(self, wanted: Callable[[], bool] = lambda: True) -> None:
        """Renew it from a background thread, whenever *wanted* returns True, until that is stopped."""
        self._ticket = KEEPER.hold(self.renew, self._leases.seconds / RENEWALS_PER_LEASE, wanted)

    def stop_renewing(self) -> None:
        """End what :meth:`keep_renewing` began."""
        if self._ticket is not None:
            KEEPER.drop(self._ticket)
            self._ticket = None

    @contextmanager
    def kept(self, wanted: Callable[[], bool] = lambda: True) -> Iterator[None]:
        """Renew the lease for as long as the block takes."""
        self.keep_renewing(wanted)
        try:
            yield
        finally:
            self.stop_renewing()

    def _current(self) -> int | None:
        """Return the version of the entry if it is still ours."""
        entry = self._space.get_with_meta(self.key)
        return entry.meta.version if entry is not None and entry.value == self._token else None


def _new_token() -> str:
    return f"{os.getpid()}-{os.urandom(12).hex()}"
