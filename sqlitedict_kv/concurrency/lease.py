"""The right to compute a result, held by one process at a time for as long as it lives."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from sqlitedict_kv.concurrency.backoff import Backoff
from sqlitedict_kv.concurrency.fork import forgets_after_fork
from sqlitedict_kv.errors import ConflictError, KVError

BACKOFF = Backoff(0.002, 0.05, growth=1.5)  # between two looks at the lease of another
RENEWALS_PER_LEASE = 3
IDLE_SECONDS = 10.0  # how long the renewing thread stays when there is nothing to do


class LeaseSpace(Protocol):
    """What is used of the namespace that keeps the leases."""

    def __contains__(self, key: object, /) -> bool:
        """Return whether there is an entry."""

    def add(self, key: str, value: Any, *, ttl: float | None) -> int | None:
        """Write an entry if there is none, and return its version."""

    def set(self, key: str, value: Any, *, ttl: float | None) -> int:
        """Write an entry and return its version."""

    def cas_set(self, key: str, value: Any, version: int, *, ttl: float | None) -> int:
        """Write an entry if it is at a version."""

    def get_with_meta(self, key: str) -> Any:
        """Return an entry with its version, or None."""

    def delete(self, key: str, *, version: int) -> bool:
        """Remove an entry if it is at a version."""


class Leases:
    """The leases of a store: entries that expire, each with a token of its owner.

    A lease is known by the version of its entry. What its owner commits checks that version, so an owner that
    was stopped for longer than its lease changes nothing. While the owner works, a thread renews the lease.
    """

    def __init__(self, space: LeaseSpace, renew: Callable[[str, int, float], None], seconds: float) -> None:
        """Keep leases of *seconds* in *space*; *renew* extends one if it is at the version it is given."""
        self._space = space
        self._renew = renew
        self._seconds = seconds

    def take(self, key: str, *, after_failure: bool = True) -> int | None:
        """Return a new lease, None while somebody else has it; that of one who failed is free *after_failure*."""
        version = self._space.add(key, _token(), ttl=self._seconds)
        if version is not None or not after_failure:
            return version
        entry = self._space.get_with_meta(key)
        if entry is None or entry.value is not None:
            return None
        try:
            return self._space.cas_set(key, _token(), entry.meta.version, ttl=self._seconds)
        except ConflictError:
            return None

    def seize(self, key: str) -> int:
        """Return a new lease, whoever has one: what its owner computes is not new enough."""
        return self._space.set(key, _token(), ttl=self._seconds)

    def is_held(self, key: str) -> bool:
        """Return whether somebody has a lease, or has failed so recently that nobody should try in the background."""
        return key in self._space

    def is_busy(self, key: str) -> bool:
        """Return whether somebody has a lease and computes."""
        if key not in self._space:
            return False
        entry = self._space.get_with_meta(key)
        return entry is not None and entry.value is not None

    def release(self, key: str, version: int) -> None:
        """Give a lease back; one that another has by now stays as it is."""
        try:
            self._space.delete(key, version=version)
        except ConflictError:
            return

    def mark_failed(self, key: str, version: int) -> None:
        """Give a lease back, but let nobody try in the background before it would have ended."""
        try:
            self._space.cas_set(key, None, version, ttl=self._seconds)
        except ConflictError:
            return

    @contextmanager
    def kept(self, key: str, version: int) -> Iterator[None]:
        """Renew a lease for as long as the block takes."""
        every = self._seconds / RENEWALS_PER_LEASE
        ticket = KEEPER.hold(lambda: self._renew(key, version, self._seconds), every)
        try:
            yield
        finally:
            KEEPER.drop(ticket)


def _token() -> str:
    return f"{os.getpid()}-{os.urandom(8).hex()}"


class Keeper:
    """Calls things again and again from one thread, which is there only while it is needed."""

    def __init__(self) -> None:
        """Begin without a thread."""
        self.forget_after_fork()

    def forget_after_fork(self) -> None:
        """Begin anew: the thread of the parent is not here."""
        self._changed = threading.Condition()
        self._held: dict[object, tuple[float, float, Callable[[], None]]] = {}  # when next, how often, what
        self._thread: threading.Thread | None = None
        self._wakes_at = 0.0

    def hold(self, call: Callable[[], None], every: float) -> object:
        """Make *call* every so many seconds until it raises ConflictError or is dropped; return a ticket for that."""
        ticket, due = object(), time.monotonic() + every
        with self._changed:
            self._held[ticket] = (due, every, call)
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="sqlitedict_kv leases", daemon=True)
                with suppress(RuntimeError):  # the interpreter is about to end: too late to renew anything
                    thread.start()
                    self._thread = thread
            elif due < self._wakes_at:
                self._changed.notify()
        return ticket

    def drop(self, ticket: object) -> None:
        """Make a call no more."""
        with self._changed:
            self._held.pop(ticket, None)

    def _run(self) -> None:
        while True:
            with self._changed:
                now = time.monotonic()
                due = [(ticket, call) for ticket, (at, _, call) in self._held.items() if at <= now]
                if not due and not self._sleep(now):
                    self._thread = None
                    return
            for ticket, call in due:
                self._make(ticket, call)

    def _sleep(self, now: float) -> bool:
        """Wait for the next one that is due; return False if nothing came for long."""
        idle = not self._held
        self._wakes_at = now + IDLE_SECONDS if idle else min(at for at, _, _ in self._held.values())
        notified = self._changed.wait(self._wakes_at - now)
        return bool(self._held) or not idle or notified

    def _make(self, ticket: object, call: Callable[[], None]) -> None:
        try:
            call()
            again = True
        except ConflictError:  # the lease is another's: its owner will find out when it commits
            again = False
        except KVError:  # busy, or closed meanwhile; the lease ends by itself if this goes on
            again = True
        with self._changed:
            if ticket in self._held:
                _, every, _ = self._held.pop(ticket)
                if again:
                    self._held[ticket] = (time.monotonic() + every, every, call)


KEEPER = Keeper()
forgets_after_fork(KEEPER)
