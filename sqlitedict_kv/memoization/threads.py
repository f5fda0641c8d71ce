"""The calls of a memoized function that is not ``async``."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from copy import deepcopy
from functools import wraps
from typing import Any

from sqlitedict_kv.concurrency.lease import BACKOFF
from sqlitedict_kv.memoization.call_key import CallKeys
from sqlitedict_kv.memoization.results import MISSING, Results, Shared, shared
from sqlitedict_kv.memoization.single_flight import KEPT, Flight, SingleFlight

Obtain = Callable[[str], tuple[Any, Any]]  # takes the key; returns the result, and the outcome for those who wait


def decorate(
    function: Callable[..., Any], keys: CallKeys, results: Results, flights: SingleFlight, *, soft: bool
) -> Any:
    """Return *function* with its results kept; *soft* is whether they are refreshed before they expire."""
    calls = Calls(function, keys, results, flights)
    key_of, get, counters, miss = keys.of, results.get, results.counters, calls.miss

    @wraps(function)
    def hard_wrapper(*args: Any, **kwargs: Any) -> Any:
        # The hit, flat: a key, a read.
        key = key_of(args, kwargs)
        value = get(key, MISSING)
        if value is MISSING:
            return miss(key, args, kwargs)
        counters.hits += 1
        return value

    @wraps(function)
    def soft_wrapper(*args: Any, **kwargs: Any) -> Any:
        key = key_of(args, kwargs)
        entry = results.peek(key)
        if entry is None:
            return miss(key, args, kwargs)
        counters.hits += 1
        if results.is_due(entry):
            calls.refresh_soon(key, args, kwargs)
        return entry.value

    wrapper: Any = soft_wrapper if soft else hard_wrapper
    wrapper.refresh = calls.refresh
    return wrapper


class Calls:
    """What happens when a call is no hit."""

    def __init__(self, function: Callable[..., Any], keys: CallKeys, results: Results, flights: SingleFlight) -> None:
        """Serve the calls of one function."""
        self._function = function
        self._keys = keys
        self._results = results
        self._flights = flights

    def miss(self, key: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the result that this thread, another one or another process computes."""
        self._results.refuse_recursion(key)
        self._results.counters.misses += 1
        while True:
            flight, first = self._flights.board(key)
            if first:
                return self._fly(flight, lambda key: self._obtain(key, args, kwargs))
            outcome = flight.wait()
            if isinstance(outcome, Shared):
                return deepcopy(outcome.value)
            if outcome is not KEPT:
                self._results.counters.computed += 1
                return self._function(*args, **kwargs)
            value = self._results.look(key)
            if value is not MISSING:
                return value

    def refresh(self, /, *args: Any, **kwargs: Any) -> Any:
        """Compute a result anew and return it."""
        key = self._keys.of(args, kwargs)
        self._results.refuse_recursion(key)

        def obtain(key: str) -> tuple[Any, Any]:
            return self._compute(key, self._results.leases.seize(key), args, kwargs, self._results.give_up)

        return self._fly(self._flights.start(key), obtain)

    def _fly(self, flight: Flight, obtain: Obtain) -> Any:
        """Compute for all who wait."""
        outcome: Any = KEPT
        error = None
        try:
            value, outcome = obtain(flight.key)
        except Exception as raised:
            error = raised
            raise
        finally:  # also if this thread is interrupted: then the others look, and one of them computes
            flight.land(shared(outcome, self._flights.close(flight)), error)
        return value

    def _obtain(self, key: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        waits = BACKOFF.pauses()
        while True:
            lease, value = self._results.start(key)
            if value is not MISSING:
                return value, KEPT
            if lease is not None:
                return self._compute(key, lease, args, kwargs, self._results.fail)
            while self._results.leases.is_busy(key):
                time.sleep(next(waits))

    def _compute(
        self,
        key: str,
        lease: int,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        fail: Callable[[str, int, Exception], Any],
    ) -> tuple[Any, Any]:
        try:
            with self._results.computing(key, lease):
                value = self._function(*args, **kwargs)
        except Exception as error:
            return Shared.twice(fail(key, lease, error))
        except BaseException:
            self._results.leases.release(key, lease)
            raise
        return value, self._results.finish(key, lease, value)

    def refresh_soon(self, key: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Compute a result anew in the background, unless somebody does."""
        if key in self._flights or self._results.leases.is_held(key):
            return
        flight, first = self._flights.board(key)
        if not first:
            self._flights.leave(flight)
            return
        run = copy_context().run
        name = f"sqlitedict_kv refresh {key}"
        thread = threading.Thread(target=run, args=(self._refresh, flight, args, kwargs), name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is about to end
            self._flights.close(flight)
            flight.land()

    def _refresh(self, flight: Flight, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        def obtain(key: str) -> tuple[Any, Any]:
            with self._results.in_background(key):
                lease = self._results.start_refresh(key)
                if lease is not None:
                    return self._compute(key, lease, args, kwargs, self._results.fail_refresh)
            return None, KEPT

        self._fly(flight, obtain)
