"""Waits of a computation for one of another process, written beside the leases, so that a cycle is seen."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

from sqlitedict_kv.concurrency.lease import JSON, Lease, Leases, lease_held_here, leases_held_here
from sqlitedict_kv.concurrency.owners import Carrier
from sqlitedict_kv.concurrency.wait_graph import find_cycle, waiting
from sqlitedict_kv.errors import KVError

WAIT_MARK = "?"  # before the key of a call: the lease that its computation waits for
MOST_HOPS = 100


class LeaseWait:
    """One wait for the lease of another owner.

    If that is another process, notes are written: the owner of the lease with this token waits for the lease with that
    token, which is at that key.

    Attributes:
        noted: the leases of this process whose waits are written down.
    """

    def __init__(self, leases: Leases, carrier: Carrier) -> None:
        """Note what the computations of this process wait for that *carrier* has to go on with."""
        self._leases = leases
        self._carrier = carrier
        self.noted: list[Lease] = []

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
            return self._follow(key, token, {dependent.token for dependent in mine})
        return None

    def withdraw(self) -> None:
        """Remove the notes."""
        for lease in self.noted:
            with suppress(KVError):  # it ends by itself
                lease.space.delete_many([WAIT_MARK + lease.key])
        self.noted = []

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
        if lease not in self.noted:
            self.noted.append(lease)

    def _follow(self, key: str, token: str, mine: Iterable[str]) -> list[str] | None:
        """Go from lease to lease along the notes."""
        keys = [key]
        for _ in range(MOST_HOPS):
            entry = self._leases.space.get_with_meta(WAIT_MARK + key)
            note: Any = None if entry is None else entry.value
            if not isinstance(note, list) or note[0] != token:
                return None
            _, token, key = note
            if token in mine:
                return [*keys, key]
            keys.append(key)
        return None
