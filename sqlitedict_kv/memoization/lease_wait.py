"""Waits of a computation for another process or its computation, written beside the leases, so that a cycle is seen."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

from sqlitedict_kv.concurrency.lease import JSON, Lease, Leases, lease_held_here, leases_held_here
from sqlitedict_kv.concurrency.owners import Carrier
from sqlitedict_kv.concurrency.process_waits import is_awaited
from sqlitedict_kv.concurrency.wait_graph import find_cycle, waiting
from sqlitedict_kv.errors import KVError

WAIT_MARK = "?"  # before the key of a call: the lease that its computation waits for
PROCESS_MARK = "&"  # likewise: the processes that it waits for
MOST_HOPS = 100


class LeaseWait:
    """One wait for the lease of another owner.

    If that is another process, notes are written: the owner of the lease with this token waits for the lease with that
    token, which is at that key.

    """

    def __init__(self, leases: Leases, carrier: Carrier) -> None:
        """Note what the computations of this process wait for that *carrier* has to go on with."""
        self._leases = leases
        self._carrier = carrier
        self._noted_of: list[Lease] = []

    @property
    def is_written(self) -> bool:
        """Whether there are notes."""
        return bool(self._noted_of)

    def is_own(self, token: str) -> bool:
        """Return whether the very thread or task that waits is the owner of the lease."""
        lease = lease_held_here(token)
        return lease is not None and lease.owner is not None and lease.owner.carrier is self._carrier

    def noted_here(self, token: str) -> AbstractContextManager[None]:
        """Return a block in which this process knows of the wait, if the owner is one of its own."""
        lease = lease_held_here(token)
        return nullcontext() if lease is None else waiting(self._carrier, lease)

    def cycle(self, key: str, token: str) -> list[str] | None:
        """Return the keys of the cycle that the wait for a lease closes, None if there is none."""
        lease = lease_held_here(token)
        if lease is not None:
            return find_cycle(self._carrier, lease)
        mine = self._dependents()
        with suppress(KVError):  # the next time, then
            for dependent in mine:
                self._note(dependent, key, token)
            return self._follow(key, token, mine)
        return None

    def withdraw(self) -> None:
        """Remove the notes."""
        for lease in self._noted_of:
            with suppress(KVError):  # it ends by itself
                lease.space.delete_many([WAIT_MARK + lease.key])
        self._noted_of = []

    def _dependents(self) -> list[Lease]:
        """Return the computations of this process that cannot go on before this wait ends."""
        return [
            lease
            for lease in leases_held_here()
            if (lease.owner is not None and lease.owner.carrier is self._carrier)
            or find_cycle(self._carrier, lease) is not None
        ]

    def _note(self, lease: Lease, key: str, token: str) -> None:
        note = [lease.token, token, key]
        lease.space.set(WAIT_MARK + lease.key, note, ttl=self._leases.seconds, content_type=JSON)
        if lease not in self._noted_of:
            self._noted_of.append(lease)

    def _follow(self, key: str, token: str, mine: Collection[Lease]) -> list[str] | None:
        """Go from lease to lease along the notes."""
        tokens, keys = {lease.token for lease in mine}, [key]
        for _ in range(MOST_HOPS):
            processes = self._noted(PROCESS_MARK, key, token)
            if processes is not None and is_awaited(processes[0], self._carrier):
                return [*keys, *(lease.key for lease in mine)]
            note = self._noted(WAIT_MARK, key, token)
            if note is None:
                return None
            token, key = note
            if token in tokens:
                return [*keys, key]
            keys.append(key)
        return None

    def _noted(self, mark: str, key: str, token: str) -> list[Any] | None:
        """Return what a note says, None if there is none of the owner with this token."""
        entry = self._leases.space.get_with_meta(mark + key)
        note: Any = None if entry is None else entry.value
        return note[1:] if isinstance(note, list) and note[:1] == [token] else None
