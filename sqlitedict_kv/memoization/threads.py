"""The wrapper of a memoized function that is not ``async``, and the driver of its flow."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from functools import wraps
from typing import Any

from sqlitedict_kv.concurrency.owners import Carrier, FrameOwner, Owner, ThreadOwner
from sqlitedict_kv.concurrency.sansio import Invoke, Steps, run
from sqlitedict_kv.memoization.call_key import CallKeys
from sqlitedict_kv.memoization.call_path import CallPath, Fill, Read
from sqlitedict_kv.memoization.failures import READ_FAILURES
from sqlitedict_kv.memoization.flow import Flow
from sqlitedict_kv.memoization.many_calls import Batches
from sqlitedict_kv.memoization.quick_key import KeyOf
from sqlitedict_kv.memoization.results import MISSING, Results
from sqlitedict_kv.memoization.single_flight import Flight, SingleFlight
from sqlitedict_kv.memoization.verbs import add_verbs, put_of


def decorate(
    function: Callable[..., Any], keys: CallKeys, results: Results, flights: SingleFlight, *, soft: bool
) -> Any:
    """Return *function* with its results kept; *soft* is whether they are refreshed before they expire."""
    flow = Flow(function, keys, results, flights, Threads(results, flights))

    def refresh(*args: Any, **kwargs: Any) -> Any:
        return run(flow.refresh(args, kwargs))

    call, path = (_soft if soft else _hard)(flow, keys, results)
    wrapper: Any = wraps(function)(call)
    wrapper.refresh, wrapper._switched = refresh, path  # noqa: SLF001 - ours
    add_verbs(wrapper, flow, results)
    return wrapper


def decorate_batch(function: Callable[..., Any], keys: CallKeys, results: Results, flights: SingleFlight) -> Any:
    """Return a function that takes a list of items, with the result of each item kept."""
    driver = Threads(results, flights)
    flow = Flow(function, keys, results, flights, driver)
    batches = Batches(function, keys, results, flow, driver)

    @wraps(function)
    def batch_wrapper(*args: Any, **kwargs: Any) -> Any:
        return run(batches.call(args, kwargs))

    def refresh(*args: Any, **kwargs: Any) -> Any:
        return run(batches.call(args, kwargs, again=True))

    wrapper: Any = batch_wrapper
    wrapper.refresh, wrapper._switched, wrapper.put = refresh, flow, put_of(flow, results)  # noqa: SLF001 - ours
    return wrapper


def _hard(flow: Flow, keys: CallKeys, results: Results) -> tuple[Callable[..., Any], CallPath]:
    key_of, get, counters = keys.of, results.get, results.counters
    way = _way(flow, flow.bypass)

    def hard_wrapper(*args: Any, **kwargs: Any) -> Any:
        # The hit, flat: a key, a read.
        key = key_of(args, kwargs)
        try:
            value = get(key, MISSING)
        except READ_FAILURES as error:
            result = run(flow.recover(key, args, kwargs, error))
            path.rebind()  # to another store, if this one was closed and opened again
            return result
        if value is MISSING:
            finish, fill = way  # of one mode, whatever another thread does
            return finish(fill(key, args, kwargs))
        counters.hits += 1
        return value

    def bind(make_key: KeyOf, read: Read, fill: Fill) -> None:
        nonlocal key_of, get, way
        key_of, get, way = make_key, read, _way(flow, fill)

    path = CallPath(keys, flow, bind, read=lambda: results.get, nothing=lambda *_: MISSING, fill=flow.miss)
    return hard_wrapper, path


def _soft(flow: Flow, keys: CallKeys, results: Results) -> tuple[Callable[..., Any], CallPath]:
    key_of, peek, counters = keys.of, results.peek, results.counters
    way = _way(flow, flow.bypass)

    def soft_wrapper(*args: Any, **kwargs: Any) -> Any:
        key = key_of(args, kwargs)
        try:
            entry = peek(key)
        except READ_FAILURES as error:
            return run(flow.recover(key, args, kwargs, error))
        if entry is None:
            finish, fill = way  # of one mode, whatever another thread does
            return finish(fill(key, args, kwargs))
        counters.hits += 1
        if results.is_due(entry):
            flow.refresh_soon(key, args, kwargs)
        return entry.value

    def bind(make_key: KeyOf, read: Read, fill: Fill) -> None:
        nonlocal key_of, peek, way
        key_of, peek, way = make_key, read, _way(flow, fill)

    path = CallPath(keys, flow, bind, read=lambda: results.peek, nothing=lambda *_: None, fill=flow.miss)
    return soft_wrapper, path


def _way(flow: Flow, fill: Fill) -> tuple[Callable[[Any], Any], Fill]:
    """Return *fill*, which makes a call that found nothing, behind what makes its result of what it returns."""
    return (run if fill == flow.miss else _as_is), fill


def _as_is(result: Any) -> Any:
    return result


class Threads:
    """The driver of threads: the first caller computes in its own thread, the others block."""

    def __init__(self, results: Results, flights: SingleFlight) -> None:
        """Drive the flow of one function."""
        self._leases = results.leases
        self._flights = flights

    def launch(self, flight: Flight, steps: Steps[Any]) -> Steps[Any]:  # noqa: ARG002 - tasks need it
        """Compute here."""
        return steps

    def owner(self) -> Owner:
        """Return the call of :func:`run` that this thread is in."""
        return FrameOwner(run.__code__)

    def carrier(self) -> Carrier:
        """Return this thread."""
        return threading.current_thread()

    def arrival(self, flight: Flight) -> threading.Lock:
        """Return a lock that is released at the landing; an Event can be left locked by an interrupt."""
        landed = threading.Lock()
        landed.acquire()
        flight.when_landed(landed.release)
        return landed

    def wait(self, arrival: threading.Lock, seconds: float) -> Any:
        """Block for at most *seconds*."""
        return Invoke(arrival.acquire, (True, seconds))

    def leave(self, flight: Flight) -> None:
        """Wait no longer."""
        self._flights.leave(flight)

    def read(self, function: Callable[[], Any]) -> Any:
        """Read here."""
        return Invoke(function)

    def launch_in_background(self, flight: Flight, steps: Steps[Any]) -> None:
        """Compute in a thread that ends with the process; while another process does, or has failed, not at all."""
        if self._leases.is_held(flight.key):  # before a thread is started
            self._cancel(flight)
            return
        target = copy_context().run
        name = f"sqlitedict_kv refresh {flight.key}"
        try:
            thread = threading.Thread(target=target, args=(run, steps), name=name, daemon=True)
            flight.owner = ThreadOwner(thread)
            thread.start()
        except RuntimeError:  # the interpreter is about to end, or is an isolated one, without daemon threads
            self._cancel(flight)

    def _cancel(self, flight: Flight) -> None:
        self._flights.close(flight)
        flight.land()
