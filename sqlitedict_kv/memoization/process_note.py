"""The note of which processes a computation waits for, kept beside its lease while it does."""

from __future__ import annotations

import time
from contextlib import suppress

from sqlitedict_kv.concurrency.lease import JSON, RENEWALS_PER_LEASE, Lease
from sqlitedict_kv.concurrency.owners import Owner
from sqlitedict_kv.concurrency.process_waits import awaited_processes
from sqlitedict_kv.concurrency.renewal import KEEPER
from sqlitedict_kv.errors import KVError
from sqlitedict_kv.memoization.lease_wait import PROCESS_MARK

EVERY = 1.0  # seconds between two looks; most computations are over before the first one


class ProcessNote:
    """What a computation waits for besides the computations of this process.

    A process that the owner of a lease waits for, and that wants the very result, reads it there. Nobody else can
    tell: the child does not see the stacks of its parent, and the parent stands still.

    Attributes:
        is_written: whether there is one in the store.
    """

    def __init__(self, lease: Lease, seconds: float) -> None:
        """Keep a note beside *lease*, which lasts *seconds*."""
        self._lease = lease
        self._seconds = seconds
        self._names: list[str] = []
        self._due = 0.0  # of time.monotonic(); when the note has to be written again
        self._ticket: object = None
        self.is_written = False

    def keep(self) -> None:
        """Look again and again from a background thread, until that is stopped."""
        owner = self._lease.owner
        if owner is not None:
            self._ticket = KEEPER.hold(lambda: self._look(owner), EVERY, owner.is_alive)

    def stop(self) -> None:
        """Look no longer; a note that was written is there until it is withdrawn, or ends."""
        KEEPER.drop(self._ticket)

    def _look(self, owner: Owner) -> None:
        names = awaited_processes(owner.carrier)
        if names and (names != self._names or time.monotonic() >= self._due):
            self.is_written = True
            note = [self._lease.token, names]
            self._lease.space.set(PROCESS_MARK + self._lease.key, note, ttl=self._seconds, content_type=JSON)
            self._due = time.monotonic() + self._seconds / RENEWALS_PER_LEASE
        elif self._names and not names:
            self.withdraw()
        self._names = names

    def withdraw(self) -> None:
        """Remove the note."""
        with suppress(KVError):  # it ends by itself
            self._lease.space.delete_many([PROCESS_MARK + self._lease.key])
        self.is_written = False
