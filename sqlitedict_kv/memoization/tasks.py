"""The calls of a memoized ``async def`` function.

A hit is read on the event loop, unless the store may only be awaited (see OffLoop); what may wait for the lock of
the store runs in a thread. A computation is a task of its own, so that a caller that is cancelled takes nothing from
the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from copy import deepcopy
from functools import partial, wraps
from typing import Any

from sqlitedict_kv.concurrency.cancellation import finished
from sqlitedict_kv.concurrency.lease import BACKOFF
from sqlitedict_kv.memoization.call_key import CallKeys
from sqlitedict_kv.memoization.results import MISSING, OffLoop, Results, Shared, shared
from sqlitedict_kv.memoization.single_flight import KEPT, Flight, SingleFlight

Obtain = Callable[[str], Awaitable[tuple[Any, Any]]]


def decorate(
    function: Callable[..., Any], keys: CallKeys, results: Results, flights: SingleFlight, *, soft: bool
) -> Any:
    """Return *function* with its results kept; *soft* is whether they are refreshed before they expire."""
    calls = Calls(function, keys, results, flights)
    key_of, counters, miss, off_loop = keys.of, results.counters, calls.miss, results.off_loop
    get: Callable[..., Any] = results.get if off_loop is None else off_loop.get
    peek: Callable[..., Any] = results.peek if off_loop is None else off_loop.get_with_meta

    @wraps(function)
    async def hard_wrapper(*args: Any, **kwargs: Any) -> Any:
        key = key_of(args, kwargs)
        value = get(key, MISSING)
        if off_loop is not None:
            value = await value
        if value is MISSING:
            return await miss(key, args, kwargs)
        counters.hits += 1
        return value

    @wraps(function)
    async def soft_wrapper(*args: Any, **kwargs: Any) -> Any:
        key = key_of(args, kwargs)
        entry = peek(key)
        if off_loop is not None:
            entry = await entry
        if entry is None:
            return await miss(key, args, kwargs)
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
        self._tasks: dict[Flight, asyncio.Task[Any]] = {}  # a loop holds its tasks by weak references only

    async def miss(self, key: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the result that this task, another one or another process computes."""
        self._results.refuse_recursion(key)
        self._results.counters.misses += 1
        while True:
            flight, first = self._flights.board(key)
            if first:
                return await self._ride(flight, self._launch(flight, lambda key: self._obtain(key, args, kwargs)))
            await self._ride(flight, _landing(flight))
            outcome = flight.result()
            if isinstance(outcome, Shared):
                return deepcopy(outcome.value)
            if outcome is not KEPT:
                self._results.counters.computed += 1
                return await self._function(*args, **kwargs)
            value = await self._ask(self._results.look, key)
            if value is not MISSING:
                return value

    async def refresh(self, /, *args: Any, **kwargs: Any) -> Any:
        """Compute a result anew and return it."""
        key = self._keys.of(args, kwargs)
        self._results.refuse_recursion(key)

        async def obtain(key: str) -> tuple[Any, Any]:
            lease = await self._leased(key, lambda: (self._results.leases.seize(key), MISSING))
            return await self._compute(key, lease[0], args, kwargs, self._results.give_up)

        flight = self._flights.start(key)
        return await self._ride(flight, self._launch(flight, obtain))

    async def _ride(self, flight: Flight, arrival: asyncio.Future[Any]) -> Any:
        """Wait for a flight; if all who wait are cancelled, its computation is, too."""
        try:
            return await asyncio.shield(arrival)
        except asyncio.CancelledError:
            task = self._tasks.get(flight)
            if self._flights.leave(flight) and task is not None:
                with suppress(RuntimeError):  # its loop is closed
                    task.get_loop().call_soon_threadsafe(task.cancel)
            raise

    def _launch(self, flight: Flight, obtain: Obtain) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(self._fly(flight, obtain))
        self._tasks[flight] = task

        def ended(task: asyncio.Task[Any]) -> None:
            self._tasks.pop(flight, None)
            # A task that was cancelled before it began has not landed.
            self._flights.close(flight)
            flight.land()
            if not task.cancelled():
                task.exception()  # whoever asked first may be gone; asyncio need not report it

        task.add_done_callback(ended)
        return task

    async def _fly(self, flight: Flight, obtain: Obtain) -> Any:
        """Compute for all who wait."""
        outcome: Any = KEPT
        error = None
        try:
            value, outcome = await obtain(flight.key)
        except Exception as raised:
            error = raised
            raise
        finally:  # also if this task is cancelled: then the others look, and one of them computes
            flight.land(shared(outcome, self._flights.close(flight)), error)
        return value

    async def _obtain(self, key: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        waits = BACKOFF.pauses()
        while True:
            lease, value = await self._leased(key, lambda: self._results.start(key))
            if value is not MISSING:
                return value, KEPT
            if lease is not None:
                return await self._compute(key, lease, args, kwargs, self._results.fail)
            while await self._ask(self._results.leases.is_busy, key):  # noqa: ASYNC110 - no event comes from others
                await asyncio.sleep(next(waits))

    async def _leased(self, key: str, take: Callable[[], tuple[int | None, Any]]) -> tuple[Any, Any]:
        """Take a lease in a thread; if this task is cancelled meanwhile, give it back."""
        taking = asyncio.ensure_future(self._apart(take))
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            with suppress(Exception):
                lease, _ = await taking
                if lease is not None:
                    await self._apart(self._results.leases.release, key, lease)
            raise

    async def _compute(
        self,
        key: str,
        lease: int,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        fail: Callable[[str, int, Exception], Any],
    ) -> tuple[Any, Any]:
        try:
            with self._results.computing(key, lease):
                value = await self._function(*args, **kwargs)
        except Exception as error:
            return Shared.twice(await self._apart(fail, key, lease, error))
        except BaseException:
            await self._apart(self._results.leases.release, key, lease)
            raise
        return value, await self._apart(self._results.finish, key, lease, value)

    def refresh_soon(self, key: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Compute a result anew in the background, unless somebody does."""
        if key in self._flights or (self._results.off_loop is None and self._results.leases.is_held(key)):
            return
        flight, first = self._flights.board(key)
        if not first:
            self._flights.leave(flight)
            return

        async def obtain(key: str) -> tuple[Any, Any]:
            with self._results.in_background(key):
                if self._results.off_loop is not None and await self._ask(self._results.leases.is_held, key):
                    return None, KEPT
                lease, _ = await self._leased(key, lambda: (self._results.start_refresh(key), MISSING))
                if lease is not None:
                    return await self._compute(key, lease, args, kwargs, self._results.fail_refresh)
            return None, KEPT

        self._launch(flight, obtain)

    async def _ask(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return what a function returns that reads a little."""
        off_loop = self._results.off_loop
        return function(*args) if off_loop is None else await off_loop.in_thread(partial(function, *args))

    async def _apart(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run a step that may block; being cancelled leaves it neither undone nor half done."""
        off_loop = self._results.off_loop
        call = partial(function, *args)
        running = asyncio.ensure_future(asyncio.to_thread(call) if off_loop is None else off_loop.in_thread(call))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            with suppress(Exception):
                await finished(running)
            raise


def let_await(wrapper: Any, verbs: Iterable[str], off_loop: OffLoop) -> None:
    """Make verbs of a decorated function, which may block, into ones that are awaited."""
    for name in verbs:
        setattr(wrapper, name, _awaited(getattr(wrapper, name), off_loop))


def _awaited(verb: Callable[..., Any], off_loop: OffLoop) -> Callable[..., Awaitable[Any]]:
    @wraps(verb)
    async def asynchronous(*args: Any, **kwargs: Any) -> Any:
        return await off_loop.in_thread(partial(verb, *args, **kwargs))

    return asynchronous


def _landing(flight: Flight) -> asyncio.Future[Any]:
    """Return a future of the running loop that ends as the flight does, which may land in another thread."""
    loop = asyncio.get_running_loop()
    landing = loop.create_future()

    def land() -> None:
        if not landing.done():
            landing.set_result(None)

    def listener() -> None:
        with suppress(RuntimeError):  # the loop that waited is closed
            loop.call_soon_threadsafe(land)

    flight.when_landed(listener)
    return landing
