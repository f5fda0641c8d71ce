"""Leases: entries that say who holds a key, and until when."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any, Protocol, runtime_checkable
from weakref import WeakValueDictionary

from sqlitedict_kv.concurrency.backoff import Backoff
from sqlitedict_kv.concurrency.fork import forgets_after_fork
from sqlitedict_kv.concurrency.owners import Owner
from sqlitedict_kv.concurrency.process_identity import identity, is_gone
from sqlitedict_kv.concurrency.renewal import KEEPER
from sqlitedict_kv.errors import ConflictError, KVError, LockLostError, NotConfirmedError, OutcomeUnknownError

BACKOFF = Backoff(0.002, 0.02, growth=1.5)  # between two looks at the lease of another
RENEWALS_PER_LEASE = 3
UNSURE = (NotConfirmedError, OutcomeUnknownError)  # a lease may be there all the same, and others wait for it
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

    def delete_many(self, keys: Iterable[str]) -> int:
        """Remove entries and return how many there were."""


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

    def take(self, key: str, *, after_failure: bool = True, owner: Owner | None = None) -> Lease | None:
        """Return a new lease, None while another owner has one.

        That of an owner that failed, or that is gone, is free *after_failure*. One of this process is gone if *owner*
        is, even if an interrupt keeps this call from returning; None is one that is never taken for gone.
        """
        lease = Lease(self, key, owner)
        try:
            version = self._acquire(lease, after_failure=after_failure)
        except UNSURE:
            lease.give_back()
            raise
        return None if version is None else lease.begin(version)

    def _acquire(self, lease: Lease, *, after_failure: bool) -> int | None:
        key = lease.key
        version = self.space.add(key, lease.token, ttl=self.seconds, content_type=JSON)
        if version is None and after_failure:
            entry = self.space.get_with_meta(key)
            if entry is None or (entry.value is not None and not is_abandoned(entry.value)):
                return None
            with suppress(ConflictError):
                version = self.space.cas_set(key, lease.token, entry.meta.version, ttl=self.seconds, content_type=JSON)
        return version

    def seize(self, key: str, owner: Owner | None = None) -> Lease:
        """Return a new lease, also if another owner has one: what that one computes is not new enough."""
        lease = Lease(self, key, owner)
        try:
            return lease.begin(self.space.set(key, lease.token, ttl=self.seconds, content_type=JSON))
        except UNSURE:
            lease.give_back()
            raise

    def is_held(self, key: str) -> bool:
        """Return whether there is a lease, or one that was marked as failed and has not ended."""
        return key in self.space

    def holder(self, key: str) -> str | None:
        """Return the token of the owner that is at work, None if there is none."""
        if key not in self.space:
            return None
        entry = self.space.get_with_meta(key)
        return None if entry is None or entry.value is None or is_abandoned(entry.value) else entry.value


class Lease:
    """One acquisition of a key, until it is released or ends; any thread may renew it.

    Attributes:
        space: the namespace of the entry.
        key: the key of the entry.
        token: the value of the entry, which no other lease has.
        version: the version of the entry, larger than that of every earlier owner. To renew a lock raises it.
        owner: what has it; None if that is not known.
    """

    __slots__ = ("__weakref__", "_leases", "_ticket", "key", "owner", "space", "token", "version")

    def __init__(self, leases: Leases, key: str, owner: Owner | None) -> None:
        """Describe what :class:`Leases` is about to write.

        It is known in this process before it is in the store, where it may stay if an interrupt comes.
        """
        self._leases = leases
        self.space = leases.space
        self.token = _new_token()  # so that it is never another's, whatever happened to the file
        self._ticket: object = None
        self.owner = owner
        self.key = key
        self.version = 0
        _held.by_token[self.token] = self

    def begin(self, version: int) -> Lease:
        """Note the version with which it was written, and return it."""
        self.version = version
        return self

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
        raise LockLostError(self.space.name, self.key)

    def _write(self, version: int, seconds: Duration) -> int:
        extend = self._leases.extend
        if extend is None:
            return self.space.cas_set(self.key, self.token, version, ttl=seconds, content_type=JSON)
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
                self.space.delete(self.key, version=version)
            except ConflictError:
                continue  # as above
            return
        raise LockLostError(self.space.name, self.key)

    def give_back(self) -> None:
        """Free the key if that can be done; if not, the lease ends by itself."""
        with suppress(KVError):
            self.release()

    def mark_failed(self) -> None:
        """Give the lease back, but keep others from work in the background before it would have ended."""
        self.stop_renewing()
        with suppress(ConflictError):
            self.space.cas_set(self.key, None, self.version, ttl=self._leases.seconds, content_type=JSON)

    def keep_renewing(self) -> None:
        """Renew it from a background thread while its owner is alive, until that is stopped."""
        self._ticket = KEEPER.hold(self.renew, self._leases.seconds / RENEWALS_PER_LEASE, self._is_wanted)

    @property
    def is_renewed(self) -> bool:
        """Whether it is kept from ending."""
        return self._ticket is not None

    def stop_renewing(self) -> None:
        """End what :meth:`keep_renewing` began."""
        if self._ticket is not None:
            KEEPER.drop(self._ticket)
            self._ticket = None

    def _is_wanted(self) -> bool:
        return self.owner is None or self.owner.is_alive()

    def _current(self) -> int | None:
        """Return the version of the entry if it is still ours."""
        entry = self.space.get_with_meta(self.key)
        return entry.meta.version if entry is not None and entry.value == self.token else None


class _Held:
    """The leases of this process, by token, while anything refers to them."""

    def __init__(self) -> None:
        self.forget_after_fork()
        forgets_after_fork(self)

    def forget_after_fork(self) -> None:
        """Hold none: the leases are the parent's."""
        self.by_token: WeakValueDictionary[str, Lease] = WeakValueDictionary()
        self.mark = os.urandom(4).hex()  # in each token: another interpreter in this process has leases of its own


_held = _Held()


def leases_held_here() -> list[Lease]:
    """Return the leases that this process renews, not those that it asked for in vain or is done with."""
    return [lease for lease in list(_held.by_token.values()) if lease.is_renewed]


def lease_held_here(token: str) -> Lease | None:
    """Return the lease with a token, if it is of this process."""
    return _held.by_token.get(token)


def is_abandoned(token: str) -> bool:
    """Return whether the owner of a lease is known to be gone: its process, or in this process its thread or task."""
    lease = _held.by_token.get(token)
    if lease is None:
        # One of ours that nothing refers to any more was left behind by an interrupt.
        return token.startswith(_beginning()) or is_gone(token.rpartition("-")[0])
    return lease.owner is not None and not lease.owner.is_alive()


def _beginning() -> str:
    """Return how the tokens of this process begin."""
    return f"{identity()}-{_held.mark}"


def _new_token() -> str:
    return f"{_beginning()}{os.urandom(12).hex()}"
