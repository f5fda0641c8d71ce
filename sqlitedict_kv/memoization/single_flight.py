"""One computation per key and process, shared by all threads and tasks that ask."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from sqlitedict_kv.concurrency.fork import forgets_after_fork
from sqlitedict_kv.concurrency.owners import Owner
from sqlitedict_kv.concurrency.shared_errors import copy_error


class _Kept:
    """The type of :data:`KEPT`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "KEPT"


KEPT: Final = _Kept()  # the outcome of a flight whose result was stored: each passenger reads its own copy


class Flight:
    """A computation that is under way.

    Attributes:
        key: what it is for.
        passengers: how many callers wait for it, the one that computes included.
        outcome: what they get once it has landed.
        error: what is raised for them instead.
        owner: what computes; None if it has landed.
    """

    __slots__ = ("_landed", "_listeners", "_lock", "error", "key", "outcome", "owner", "passengers")

    def __init__(self, key: str, lock: threading.Lock, owner: Owner | None = None) -> None:
        """Begin with one passenger; made by :class:`SingleFlight`."""
        self.key = key
        self.owner = owner
        self.passengers = 1
        self.outcome: Any = KEPT
        self.error: Exception | None = None
        self._lock = lock
        self._landed = False
        self._listeners: list[Callable[[], None]] = []

    def land(self, outcome: Any = KEPT, error: Exception | None = None) -> None:
        """Let all who wait go on; only the first call counts."""
        with self._lock:
            if self._landed:
                return
            self.outcome, self.error = outcome, error
            self._landed = True
            self.owner = None
            listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener()

    def has_landed(self) -> bool:
        """Return whether it has landed; an interrupt may keep its listeners from being called."""
        return self._landed

    def when_landed(self, listener: Callable[[], None]) -> None:
        """Call *listener* from the thread in which it lands; at once if it has."""
        with self._lock:
            if not self._landed:
                self._listeners.append(listener)
                return
        listener()

    def wait(self) -> Any:
        """Block until it has landed, and return its outcome or raise its error."""
        landed = threading.Event()
        self.when_landed(landed.set)
        landed.wait()
        return self.result()

    def result(self) -> Any:
        """Return the outcome, or raise the error, of a flight that has landed."""
        if self.error is not None:
            raise copy_error(self.error)
        return self.outcome


class SingleFlight:
    """The computations of this process that are under way, by key."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = threading.Lock()
        self._by_key: dict[str, Flight] = {}
        self._expected: dict[object, str] = {}  # the keys of callers on their way to a flight, by ticket
        forgets_after_fork(self)

    def __reduce__(self) -> tuple[type[SingleFlight], tuple[()]]:
        """Pickle as none: computations stay in their process."""
        return SingleFlight, ()

    def __contains__(self, key: str) -> bool:
        """Return whether a computation for *key* is under way; an answer of the moment."""
        return key in self._by_key

    def get(self, key: str) -> Flight | None:
        """Return the flight for *key*, None if there is none; an answer of the moment."""
        return self._by_key.get(key)

    def board(self, key: str, owner: Owner | None = None) -> tuple[Flight, bool]:
        """Return the flight for *key*, and whether it is a new one, which *owner* has to compute and to close."""
        with self._lock:
            flight = self._by_key.get(key)
            if flight is not None:
                flight.passengers += 1
                return flight, False
            flight = self._by_key[key] = Flight(key, self._lock, owner)
            return flight, True

    def start(self, key: str, owner: Owner | None = None) -> Flight:
        """Return a new flight even if there is one: what has begun before is not new enough."""
        with self._lock:
            flight = self._by_key[key] = Flight(key, self._lock, owner)
            return flight

    def expect(self, key: str) -> object:
        """Keep a computation for a caller that looks first, and boards if nothing is there; return its ticket."""
        ticket = object()
        self._expected[ticket] = key  # no lock: each hit of an AsyncStore comes here
        return ticket

    def expect_no_longer(self, ticket: object) -> Flight | None:
        """End :meth:`expect`; return a flight that was kept for this caller alone, and may be given up."""
        key = self._expected.pop(ticket, None)  # before the look: who leaves counts the passengers first, then looks
        if key is None or key not in self._by_key:
            return None
        with self._lock:
            flight = self._by_key.get(key)
            if flight is None or flight.passengers or self._expects(key):
                return None
            self._remove(flight)
            return flight

    def _expects(self, key: str) -> bool:
        return key in list(self._expected.values())

    def leave(self, flight: Flight) -> bool:
        """Take one passenger off; return whether none is left or expected, so that it may be given up."""
        with self._lock:
            flight.passengers -= 1
            if flight.passengers or self._expects(flight.key):
                return False
            self._remove(flight)
            return True

    def close(self, flight: Flight) -> int:
        """Let no further caller board, and return how many passengers there are."""
        with self._lock:
            self._remove(flight)
            return flight.passengers

    def forget(self, key: str | None = None) -> None:
        """Let later callers compute again, of all keys or one; those who wait get what they wait for."""
        with self._lock:
            if key is None:
                self._by_key.clear()
            else:
                self._by_key.pop(key, None)

    def _remove(self, flight: Flight) -> None:
        # Only this one: after forget, another may be under way for the same key.
        if self._by_key.get(flight.key) is flight:
            del self._by_key[flight.key]

    def forget_after_fork(self) -> None:
        """Forget the flights of the parent, whose threads are not here to land them."""
        self._lock = threading.Lock()
        self._by_key = {}
        self._expected = {}
