"""Locks and semaphores of threads, tasks and processes."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self
from weakref import WeakKeyDictionary

from sqlitedict_kv.concurrency.async_driver import drive
from sqlitedict_kv.concurrency.fork import forgets_after_fork
from sqlitedict_kv.concurrency.lease import Lease, Leases, LeaseSpace
from sqlitedict_kv.concurrency.sansio import Blocking, Pause, Steps, run
from sqlitedict_kv.errors import KVError, LockLostError
from sqlitedict_kv.locks.backoff import check_patience, deadline_of
from sqlitedict_kv.locks.faces import AwaitedSpace, check_lease_ttl, check_space
from sqlitedict_kv.validation import Duration, check_callable, check_int, check_key

MAX_SLOTS = 10_000  # each is an entry, and a full semaphore is asked for all of them

Owner = threading.Thread | asyncio.Task[Any]


def current_owner() -> Owner:
    """Return the task that runs, or where there is none the thread."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop runs in this thread
        task = None
    return task or threading.current_thread()


class Semaphore:
    """Lets *value* owners in at a time; an owner that dies or stays for longer than *ttl* seconds is out.

    Each owner takes one of the slots ``key#0``, ``key#1``, ...; all processes must give the same *value*.
    Nobody is served in order.
    """

    def __init__(
        self,
        namespace: LeaseSpace | AwaitedSpace,
        key: str,
        value: int,
        *,
        ttl: Duration = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Describe a semaphore; nothing is written before it is acquired.

        Args:
            namespace: the namespace that keeps it, a Namespace or an AsyncNamespace.
            key: its key there.
            value: how many owners it lets in.
            ttl: seconds, a timedelta, or text such as ``"30 min"``, after which an owner is out, unless it renews.
            clock: returns seconds that only grow, by which timeouts are measured; leases end by the store's.

        Raises:
            TypeError, ValueError: an argument is not as described.
        """
        self._namespace, self.in_thread = check_space(namespace)
        self._key = check_key(key)
        self._slots = self._keys(check_int(value, "value", lowest=1, highest=MAX_SLOTS))
        self._ttl = check_lease_ttl(ttl)
        self._kind = Leases(self._namespace, self._ttl)
        self._clock: Callable[[], float] = check_callable(clock, "clock")
        # The leases of each owner, as often as it acquired them, the last one last. Weak, for a thread or task
        # may end without releasing; and by the object, for the number of a thread is used again.
        self._leases: WeakKeyDictionary[Owner, list[Lease]] = WeakKeyDictionary()
        forgets_after_fork(self)

    def _keys(self, value: int) -> tuple[str, ...]:
        """Return the keys of the slots."""
        check_key(f"{self._key}#{value - 1}")
        return tuple(f"{self._key}#{slot}" for slot in range(value))

    def forget_after_fork(self) -> None:
        """Hold nothing in a child: the leases are the parent's."""
        self._leases = WeakKeyDictionary()

    def __getstate__(self) -> dict[str, Any]:
        """Pickle as what it was made with; what is held stays with its owner."""
        return {name: value for name, value in self.__dict__.items() if name != "_leases"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Hold nothing."""
        self.__dict__.update(state)
        self.forget_after_fork()
        forgets_after_fork(self)

    # -- to acquire

    def acquire(self, *, timeout: float | None = None, blocking: bool = True) -> bool:
        """Take it, waiting while others have it; return whether it is ours now.

        Args:
            timeout: seconds to wait; None is as long as it takes.
            blocking: whether to wait at all.

        Raises:
            StoreBusyError: others held the lock of the whole file for the store's own timeout.
        """
        return run(self.acquiring(check_patience(timeout, blocking)))

    async def acquire_async(  # as threading has it, False being no error
        self,
        *,
        timeout: float | None = None,  # noqa: ASYNC109
        blocking: bool = True,
    ) -> bool:
        """Take it as :meth:`acquire` does, for the task that runs; a cancelled wait leaves nothing behind."""
        return await drive(self.acquiring(check_patience(timeout, blocking)), self.in_thread)

    def acquiring(self, patience: float | None) -> Steps[bool]:
        """Take it within *patience* seconds and return whether it is ours; the flow of acquire."""
        held = self._held()
        lease = (yield Blocking(lambda: self._again(held, patience))) if held else None
        if lease is None:
            for pause in deadline_of(patience, self._clock).attempts():
                if pause:
                    yield Pause(pause)
                if (lease := (yield Blocking(self._take, undo=_give_back))) is not None:
                    break
        return self._keep(held, lease)

    def _again(self, held: list[Lease], patience: float | None) -> Lease | None:  # noqa: ARG002 # it has no rule
        """Return what an owner gets that has a lease already; None: it asks for one as everybody does."""
        return None

    def _take(self) -> Lease | None:
        """Return a lease of a free slot; who comes begins anywhere, so that not all want the same one."""
        first = random.randrange(len(self._slots))  # noqa: S311 # no secret
        for key in self._slots[first:] + self._slots[:first]:
            # A read is cheaper than a write that is refused, above all for those who wait.
            if key not in self._namespace and (lease := self._kind.take(key, after_failure=False)) is not None:
                return lease
        return None

    def _keep(self, held: list[Lease], lease: Lease | None) -> bool:
        """Note that the owner of *held* has a lease (again)."""
        if lease is None:
            return False
        if lease not in held:
            # With more leases than there are slots the first ones must have ended. An owner that never
            # releases, and trusts the ttl, would collect them forever.
            del held[: max(0, len(held) + 1 - len(self._slots))]
        held.append(lease)
        return True

    # -- to release

    def release(self) -> None:
        """Free what this thread or task acquired last.

        Raises:
            RuntimeError: it has acquired nothing.
            LockLostError: the lease had ended; what others have taken since stays theirs.
        """
        run(self.releasing())

    async def release_async(self) -> None:
        """Free it as :meth:`release` does; a cancellation takes effect when that is done."""
        await drive(self.releasing(), self.in_thread)

    def releasing(self) -> Steps[None]:
        """Free what was acquired last; the flow of release."""
        lease = self._let_go()
        if lease is not None:
            yield Blocking(lease.release)

    def _let_go(self) -> Lease | None:
        """Forget the last acquisition and return the lease that is to be released, if it was its only one."""
        held = self._mine()
        lease = held.pop()
        return None if lease in held else lease

    # -- while it is ours

    def renew(self, ttl: Duration | None = None) -> int:
        """Let all that this thread or task holds end *ttl* seconds from now, and return :attr:`version`.

        Args:
            ttl: seconds; None is what it was made with.

        Raises:
            RuntimeError: nothing is held.
            LockLostError: a lease had ended.
        """
        return run(self._renewing(ttl))

    async def renew_async(self, ttl: Duration | None = None) -> int:
        """Renew it as :meth:`renew` does."""
        return await drive(self._renewing(ttl), self.in_thread)

    def _renewing(self, ttl: Duration | None) -> Steps[int]:
        seconds = self._ttl if ttl is None else check_lease_ttl(ttl)
        leases = dict.fromkeys(self._mine())
        versions: list[int] = yield Blocking(lambda: [lease.renew(seconds) for lease in leases])
        return versions[-1]

    def owned(self) -> bool:
        """Return whether this thread or task holds it and nothing of it has ended; it asks the store."""
        held = self._held()
        return bool(held) and all(lease.owned() for lease in dict.fromkeys(held))

    def locked(self) -> bool:
        """Return whether the next owner would have to wait."""
        return all(key in self._namespace for key in self._slots)

    @property
    def lease(self) -> Lease:
        """What this thread or task acquired last, to be renewed from elsewhere; RuntimeError if nothing."""
        return self._mine()[-1]

    @property
    def version(self) -> int:
        """The fencing token: the version of that lease, larger than those of all owners before."""
        return self.lease.version

    def _held(self) -> list[Lease]:
        """Return the leases of this thread or task."""
        return self._leases.setdefault(current_owner(), [])

    def _mine(self) -> list[Lease]:
        """Return the leases of this thread or task, of which there must be one."""
        held = self._held()
        if not held:
            raise RuntimeError(f"{self!r} is not held by this thread or task, and only who acquired it may do this")
        return held

    # -- as a context manager

    def __enter__(self) -> Self:
        """Wait until it is ours."""
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Release it; that it was lost is an error, or a note on the one that ended the block."""
        try:
            self.release()
        except LockLostError as lost:
            report(lost, error)

    async def __aenter__(self) -> Self:
        """Wait until it is ours."""
        await self.acquire_async()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Release it, as ``with`` does."""
        try:
            await self.release_async()
        except LockLostError as lost:
            report(lost, error)

    def __repr__(self) -> str:
        """Return the key and the namespace."""
        return f"<{type(self).__name__} {self._key!r} in namespace {self._namespace.name!r}>"


class Lock(Semaphore):
    """Lets one owner in at a time; it is free again when its owner releases it, or *ttl* seconds later.

    An owner that would wait for itself gets a RuntimeError instead; see :class:`RLock`.
    """

    def __init__(
        self,
        namespace: LeaseSpace | AwaitedSpace,
        key: str,
        *,
        ttl: Duration = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Describe a lock; the arguments are those of :class:`Semaphore`, and the entry is at *key* itself."""
        super().__init__(namespace, key, 1, ttl=ttl, clock=clock)

    def _keys(self, value: int) -> tuple[str, ...]:  # noqa: ARG002 # one
        return (self._key,)

    def _again(self, held: list[Lease], patience: float | None) -> Lease | None:
        if held and patience != 0 and held[-1].owned():
            raise RuntimeError(
                f"{self!r} is held by this thread or task already, which would wait for itself; use RLock"
            )
        return None


class RLock(Lock):
    """A lock that its owner may acquire again, and has to release as often.

    Only the first acquisition takes a lease and only the last release ends it.
    """

    def _again(self, held: list[Lease], patience: float | None) -> Lease | None:  # noqa: ARG002 # it never waits
        """Return the same lease once more.

        Raises:
            LockLostError: it has ended, so the block that is under way is alone no longer.
        """
        if held and not held[-1].owned():
            raise LockLostError(self._namespace.name, self._key)
        return held[-1] if held else None


def _give_back(lease: Lease | None) -> None:
    """Release what was taken for somebody who waits no longer."""
    if lease is not None:
        with suppress(KVError):  # it ends by itself
            lease.release()


def report(lost: LockLostError, error: BaseException | None) -> None:
    """Raise, or where another error is on its way add to that one: it must not be hidden."""
    if error is None:
        raise lost
    error.add_note(str(lost))
