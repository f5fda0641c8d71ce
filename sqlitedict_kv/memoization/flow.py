"""The flow of a call that is not a hit: one computation per key, in this process and among all of them.

It is sans-I/O (see :mod:`.concurrency.sansio`), so threads and tasks share it; what differs is in their drivers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any, Final, Protocol

from sqlitedict_kv.concurrency.backoff import Backoff
from sqlitedict_kv.concurrency.lease import BACKOFF, Lease
from sqlitedict_kv.concurrency.owners import Carrier, Owner
from sqlitedict_kv.concurrency.sansio import Blocking, Invoke, Pause, Steps
from sqlitedict_kv.concurrency.wait_graph import find_cycle, waiting
from sqlitedict_kv.errors import DamagedFileError, DecodeError, KVError, NotCachedError, ReadOnlyError, StoreClosedError
from sqlitedict_kv.memoization.call_key import CallKeys
from sqlitedict_kv.memoization.circular_calls import deadlock
from sqlitedict_kv.memoization.failures import STORAGE_FAILURES
from sqlitedict_kv.memoization.lease_wait import LeaseWait
from sqlitedict_kv.memoization.outcome import Shared, share
from sqlitedict_kv.memoization.process_note import ProcessNote
from sqlitedict_kv.memoization.results import MISSING, Results
from sqlitedict_kv.memoization.single_flight import KEPT, Flight, SingleFlight
from sqlitedict_kv.operations.memoize_modes import Mode

Args = tuple[Any, ...]
Kwargs = dict[str, Any]
Outcome = tuple[Any, Any]  # the result, and what those who wait get; see Results.finish
Computation = Callable[[str, Args, Kwargs], Steps[Outcome]]

WATCH = Backoff(0.05, 1.0)  # between two looks whether a wait can end
LONGEST_BLINK = 0.005  # seconds between two looks whether anything has changed
OFF_KEY: Final = "memoize is off"  # of a call that needs no key
FAILED: Final = object()  # instead of what a step in the store would give


class Driver(Protocol):
    """How threads, or tasks, run a flow."""

    def launch(self, flight: Flight, steps: Steps[Any]) -> Steps[Any]:
        """Run the computation of a flight for all who wait, and return its result."""

    def launch_in_background(self, flight: Flight, steps: Steps[Any]) -> None:
        """Run the computation of a flight that this caller does not wait for."""

    def owner(self) -> Owner:
        """Return this caller as the owner of a computation."""

    def carrier(self) -> Carrier:
        """Return the thread or the task that calls."""

    def arrival(self, flight: Flight) -> Any:
        """Return an event that happens when a flight has landed."""

    def wait(self, arrival: Any, seconds: float) -> Any:
        """Return a request to wait for an event, and to tell whether it has happened."""

    def leave(self, flight: Flight) -> None:
        """Wait no longer; if no caller does, the computation may be given up."""

    def read(self, function: Callable[[], Any]) -> Any:
        """Return a request for a call that reads a little."""


class Flow:
    """The misses and refreshes of one function.

    Attributes:
        keys: makes the keys of its calls.
        mode: on, off or only.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        keys: CallKeys,
        results: Results,
        flights: SingleFlight,
        driver: Driver,
    ) -> None:
        """Serve the calls of *function*."""
        self._function = function
        self.keys = keys
        self._results = results
        self._flights = flights
        self._driver = driver
        self.mode: Mode = "on"

    def bypass(self, key: str, args: Args, kwargs: Kwargs) -> Any:  # noqa: ARG002 - as other ways to a result
        """Call the function, whatever is kept."""
        return self._function(*args, **kwargs)

    def miss(self, key: str, args: Args, kwargs: Kwargs) -> Steps[Any]:
        """Return the result that this caller, another one or another process computes."""
        return (yield from self._find(key, args, kwargs, self._obtain))

    def recover(self, key: str, args: Args, kwargs: Kwargs, error: KVError) -> Steps[Any]:
        """Return the result although its look-up raised *error*, or raise that if the options say so."""
        look, computation = self._results.look_in_base, self._obtain
        if isinstance(error, StoreClosedError):
            if not self._results.move_to_open_store():
                raise error
            look = self._results.look_in_both
        else:
            self._results.failures.note_read(key, error)
            if not isinstance(error, DecodeError | DamagedFileError):
                computation = self._without_store
        value = yield from self._try(key, self._driver.read(partial(look, key)), MISSING)
        return value if value is not MISSING else (yield from self._find(key, args, kwargs, computation))

    def _find(self, key: str, args: Args, kwargs: Kwargs, computation: Computation) -> Steps[Any]:
        if key is OFF_KEY:  # the mode changed in the middle of the call
            return (yield Invoke(self._function, args, kwargs))
        self._results.counters.misses += 1
        if self.mode == "only":
            return (yield from self._find_kept(key))
        while True:
            flight, first = self._flights.board(key, self._driver.owner())
            if first:
                return (yield from self._launch(flight, computation(key, args, kwargs)))
            yield from self._ride(flight)
            outcome = flight.result()
            if isinstance(outcome, Shared):
                return deepcopy(outcome.value)
            if outcome is not KEPT:
                self._results.counters.computed += 1
                return (yield Invoke(self._function, args, kwargs))
            value = yield from self._try(key, self._driver.read(partial(self._results.look, key)))
            if value is FAILED:
                computation = self._without_store
            elif value is not MISSING:
                return value

    def _find_kept(self, key: str) -> Steps[Any]:
        """Return a result, or raise an exception, that is kept beside what a hit looks at."""
        value = yield from self._try(key, self._driver.read(partial(self._results.look, key)), MISSING)
        if value is MISSING:
            raise NotCachedError(key)
        return value

    def refresh(self, args: Args, kwargs: Kwargs) -> Steps[Any]:
        """Compute a result again and return it."""
        if self.mode == "off":
            return (yield Invoke(self._function, args, kwargs))
        key = self.keys.of(args, kwargs)
        if self.mode == "only":
            raise NotCachedError(key)
        under_way = self._flights.get(key)
        if under_way is not None:
            self._refuse_own(under_way, self._driver.carrier())
        flight = self._flights.start(key, self._driver.owner())
        return (yield from self._launch(flight, self._recompute(key, args, kwargs)))

    def fresh(self, seconds: float, args: Args, kwargs: Kwargs) -> Steps[Any]:
        """Return a result that is at most so old, computed again if there is none."""
        if self.mode == "off":
            return (yield Invoke(self._function, args, kwargs))
        key = self.keys.of(args, kwargs)
        recent = self._driver.read(partial(self._results.look_recent, key, seconds))
        value = yield from self._try(key, recent, MISSING)
        if value is not MISSING:
            self._results.counters.hits += 1
            return value
        if self.mode == "only":
            raise NotCachedError(key)
        return (yield from self._find(key, args, kwargs, self._recompute))

    def set_mode(self, mode: Mode) -> None:
        """Make the calls that begin from now on in another mode."""
        self.mode = mode

    def refresh_soon(self, key: str, args: Args, kwargs: Kwargs) -> None:
        """Compute a result again in the background, unless somebody does already."""
        if self.mode == "only":
            return
        under_way = self._flights.get(key)
        if under_way is not None and not self._end_if_left(under_way):
            return
        flight, first = self._flights.board(key, self._driver.owner())
        if first:
            steps = self._fly(flight, self._recompute_in_background(key, args, kwargs))
            self._driver.launch_in_background(flight, steps)
        else:
            self._flights.leave(flight)

    def _ride(self, flight: Flight) -> Steps[None]:
        """Wait until a flight has landed."""
        carrier = self._driver.carrier()
        self._refuse_own(flight, carrier)
        arrival = self._driver.arrival(flight)
        try:
            with waiting(carrier, flight):
                for seconds in WATCH.pauses():
                    if (yield self._driver.wait(arrival, seconds)) or flight.has_landed():
                        return
                    self._watch(flight, carrier)
        except BaseException:
            self._driver.leave(flight)
            raise

    def _watch(self, flight: Flight, carrier: Carrier) -> None:
        """Look whether the wait for a flight can end; if its owner is gone, let those who wait compute."""
        if not self._end_if_left(flight) and (cycle := find_cycle(carrier, flight)) is not None:
            raise deadlock(cycle)

    def _end_if_left(self, flight: Flight) -> bool:
        """Land a flight that an interrupt, or the end of a loop, has left under way; return whether it was one."""
        owner = flight.owner
        if owner is None or owner.is_alive():
            return False
        self._flights.close(flight)
        flight.land()
        return True

    def _refuse_own(self, flight: Flight, carrier: Carrier) -> None:
        """Raise at once if the very thread or task that computes is to wait."""
        owner = flight.owner
        if owner is not None and owner.carrier is carrier and owner.is_alive():
            raise deadlock([flight.key])

    def _launch(self, flight: Flight, computation: Steps[Outcome]) -> Steps[Any]:
        return self._driver.launch(flight, self._fly(flight, computation))

    def _fly(self, flight: Flight, computation: Steps[Outcome]) -> Steps[Any]:
        """Compute for all who wait."""
        outcome: Any = KEPT
        error = None
        try:
            value, outcome = yield from computation
        except Exception as raised:
            error = raised
            raise
        finally:  # also after an interrupt or a cancellation: then the others look, and one of them computes
            try:
                flight.land(share(outcome, self._flights.close(flight)), error)
            except BaseException:  # an interrupt that came right here
                self._flights.close(flight)
                flight.land()
                raise
        return value

    def _obtain(self, key: str, args: Args, kwargs: Kwargs) -> Steps[Outcome]:
        """Compute, or wait for the process that does."""
        start = Blocking(partial(self._results.start, key, self._driver.owner()), undo=_give_back)
        while True:
            lease, value = yield from self._try(key, start, (None, FAILED))
            if lease is not None:
                return (yield from self._compute(lease, args, kwargs, self._results.fail))
            if value is FAILED:
                return (yield from self._compute_unkept(args, kwargs))
            if value is not MISSING:
                return value, KEPT
            yield from self._await_holder(key)
            # Most often the result is there; to take a lease only to find that out costs two writes.
            value = yield from self._try(key, self._driver.read(partial(self._results.look, key)))
            if value is not MISSING and value is not FAILED:
                return value, KEPT

    def _await_holder(self, key: str) -> Steps[None]:
        """Wait while the owner of a lease computes, here or in another process."""
        wait = LeaseWait(self._results.leases, self._driver.carrier())
        try:
            yield from self._look_at_holder(key, wait)
        except GeneratorExit:  # nothing can be called any more; the notes end by themselves
            raise
        except BaseException:
            yield from self._withdraw(wait)
            raise
        yield from self._withdraw(wait)

    def _withdraw(self, notes: LeaseWait | ProcessNote) -> Steps[None]:
        if notes.is_written:
            yield Blocking(notes.withdraw)

    def _look_at_holder(self, key: str, wait: LeaseWait) -> Steps[None]:
        look = self._driver.read(partial(self._results.leases.holder, key))
        mark, pauses = self._results.change_mark(key), BACKOFF.pauses()
        watched_at = time.monotonic() + WATCH.shortest
        while True:
            seen = mark()
            holder = yield from self._try(key, look, None)
            if holder is None:
                return
            if wait.is_own(holder):
                raise deadlock([key])
            if time.monotonic() >= watched_at:
                watched_at = time.monotonic() + WATCH.longest
                if (cycle := (yield Blocking(partial(wait.cycle, key, holder)))) is not None:
                    raise deadlock(cycle)
            with wait.noted_here(holder):
                yield from self._pause(next(pauses), mark, seen)

    def _pause(self, seconds: float, mark: Callable[[], object], seen: object) -> Steps[None]:
        """Wait before the next look; where changes are seen, until there is one, but not for long."""
        blink = seconds if seen is None else min(seconds, LONGEST_BLINK)
        yield Pause(blink)
        until = time.monotonic() + WATCH.shortest
        while seen is not None and mark() == seen and time.monotonic() < until:
            yield Pause(blink)

    def _without_store(self, key: str, args: Args, kwargs: Kwargs) -> Steps[Outcome]:  # noqa: ARG002 - as _obtain
        return self._compute_unkept(args, kwargs)

    def _compute_unkept(self, args: Args, kwargs: Kwargs) -> Steps[Outcome]:
        """Compute without the store."""
        self._results.counters.computed += 1
        value = yield Invoke(self._function, args, kwargs)
        return value, Shared(value)

    def _recompute(self, key: str, args: Args, kwargs: Kwargs) -> Steps[Outcome]:
        owner = self._driver.owner()
        seize = Blocking(lambda: (self._results.leases.seize(key, owner), MISSING), undo=_give_back)
        lease, _ = yield from self._try(key, seize, (None, FAILED))
        if lease is None:
            return (yield from self._compute_unkept(args, kwargs))
        return (yield from self._compute(lease, args, kwargs, self._results.give_up))

    def _recompute_in_background(self, key: str, args: Args, kwargs: Kwargs) -> Steps[Outcome]:
        with self._results.in_background(key):
            if (yield self._driver.read(partial(self._results.leases.is_held, key))):
                return None, KEPT
            owner = self._driver.owner()
            lease, _ = yield Blocking(lambda: (self._results.start_refresh(key, owner), MISSING), undo=_give_back)
            if lease is not None:
                return (yield from self._compute(lease, args, kwargs, self._results.fail_refresh))
        return None, KEPT

    def _compute(
        self, lease: Lease, args: Args, kwargs: Kwargs, fail: Callable[[Lease, Exception], Any]
    ) -> Steps[Outcome]:
        try:
            self._results.counters.computed += 1
            value = yield from self._invoke(lease, args, kwargs)
        except Exception as error:
            stale = yield from self._try(lease.key, Blocking(partial(fail, lease, error)), FAILED, spared=error)
            if stale is FAILED:
                raise
            return Shared.twice(stale)
        except GeneratorExit:  # nothing can be called any more; the lease ends by itself
            raise
        except BaseException:
            yield Blocking(lease.give_back)
            raise
        finish = Blocking(partial(self._results.finish, lease, value, args, kwargs))
        return value, (yield from self._try(lease.key, finish, Shared(value)))

    def _invoke(self, lease: Lease, args: Args, kwargs: Kwargs) -> Steps[Any]:
        """Call the function, and let others know meanwhile that and how it goes on."""
        note = ProcessNote(lease, self._results.leases.seconds)
        try:
            lease.keep_renewing()
            note.keep()
            try:
                value = yield Invoke(self._function, args, kwargs)
            finally:
                lease.stop_renewing()
                note.stop()
        except GeneratorExit:  # nothing can be called any more; the note ends by itself
            raise
        except BaseException:
            yield from self._withdraw(note)
            raise
        yield from self._withdraw(note)
        return value

    def _try(self, key: str, request: Any, otherwise: Any = FAILED, *, spared: Exception | None = None) -> Steps[Any]:
        """Return what a step in the store gives, or *otherwise* if the storage fails and calls survive that.

        So they do in a store that is read-only. The error *spared* is not one of the storage, but the function's own.
        """
        try:
            return (yield request)
        except ReadOnlyError as error:
            if error is spared:
                raise
            return otherwise
        except STORAGE_FAILURES as error:
            if error is spared:
                raise
            self._results.failures.note_storage(key, error)
            return otherwise


def _give_back(taken: tuple[Lease | None, Any]) -> None:
    """Free what was taken for a caller that was cancelled meanwhile."""
    lease, _ = taken
    if lease is not None:
        lease.give_back()
