"""The wrapper of a memoized ``async def`` function, and the driver of its flow.

A hit is read on the event loop, unless the store may only be awaited (see OffLoop); what may wait for the lock of
the store runs in a thread. A computation is a task of its own, so that a caller that is cancelled takes nothing from
the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from functools import partial, wraps
from typing import Any

from sqlitedict_kv.concurrency.async_driver import drive, event
from sqlitedict_kv.concurrency.cancellation import in_thread
from sqlitedict_kv.concurrency.owners import Owner, TaskOwner
from sqlitedict_kv.concurrency.sansio import Blocking, Invoke, Steps
from sqlitedict_kv.memoization.async_verbs import add_verbs
from sqlitedict_kv.memoization.base_results import BaseResults
from sqlitedict_kv.memoization.call_key import CallKeys
from sqlitedict_kv.memoization.call_path import CallPath, Fill
from sqlitedict_kv.memoization.failures import READ_FAILURES
from sqlitedict_kv.memoization.flow import Flow
from sqlitedict_kv.memoization.many_calls import Batches
from sqlitedict_kv.memoization.results import MISSING, Results
from sqlitedict_kv.memoization.single_flight import Flight, SingleFlight
from sqlitedict_kv.memoization.verbs import put_of

Call = Callable[..., Awaitable[Any]]
ReadLater = Callable[[str], Awaitable[Any]]


def decorate(
    function: Callable[..., Any], keys: CallKeys, results: Results, flights: SingleFlight, *, soft: bool
) -> Any:
    """Return *function* with its results kept; *soft* is whether they are refreshed before they expire."""
    driver = Tasks(flights, results)
    flow = Flow(function, keys, results, flights, driver)

    async def refresh(*args: Any, **kwargs: Any) -> Any:
        return await drive(flow.refresh(args, kwargs), driver.offload)

    make = (_soft if soft else _hard) if results.off_loop is None else partial(_off_loop, soft=soft)
    call, path = make(flow, driver, keys, results)
    wrapper: Any = wraps(function)(call)
    wrapper.refresh, wrapper._switched = refresh, path  # noqa: SLF001 - ours
    add_verbs(wrapper, flow, results, driver.offload)
    return wrapper


def decorate_batch(function: Callable[..., Any], keys: CallKeys, results: Results, flights: SingleFlight) -> Any:
    """Return a function that takes a list of items, with the result of each item kept."""
    driver = Tasks(flights, results)
    flow = Flow(function, keys, results, flights, driver)
    batches = Batches(function, keys, results, flow, driver)

    @wraps(function)
    async def batch_wrapper(*args: Any, **kwargs: Any) -> Any:
        return await drive(batches.call(args, kwargs), driver.offload)

    async def refresh(*args: Any, **kwargs: Any) -> Any:
        return await drive(batches.call(args, kwargs, again=True), driver.offload)

    wrapper: Any = batch_wrapper
    wrapper.refresh, wrapper._switched, wrapper.put = refresh, flow, put_of(flow, results)  # noqa: SLF001 - ours
    return wrapper


def _hard(flow: Flow, driver: Tasks, keys: CallKeys, results: Results) -> tuple[Call, CallPath]:
    key_of, counters, offload, get = keys.of, results.counters, driver.offload, results.get
    fill = flow.bypass

    async def hard_wrapper(*args: Any, **kwargs: Any) -> Any:
        key = key_of(args, kwargs)
        try:
            value = get(key, MISSING)
        except READ_FAILURES as error:
            result = await drive(flow.recover(key, args, kwargs, error), offload)
            path.rebind()  # to another store, if this one was closed and opened again
            return result
        if value is MISSING:
            return await fill(key, args, kwargs)
        counters.hits += 1
        return value

    def bind(*steps: Any) -> None:
        nonlocal key_of, get, fill
        key_of, get, fill = steps

    fly = _fill(flow, driver)
    path = CallPath(keys, flow, bind, read=lambda: results.get, nothing=lambda *_: MISSING, fill=fly)
    return hard_wrapper, path


def _soft(flow: Flow, driver: Tasks, keys: CallKeys, results: Results) -> tuple[Call, CallPath]:
    key_of, counters, offload, peek = keys.of, results.counters, driver.offload, results.peek
    fill = flow.bypass

    async def soft_wrapper(*args: Any, **kwargs: Any) -> Any:
        key = key_of(args, kwargs)
        try:
            entry = peek(key)
        except READ_FAILURES as error:
            return await drive(flow.recover(key, args, kwargs, error), offload)
        if entry is None:
            return await fill(key, args, kwargs)
        counters.hits += 1
        if results.is_due(entry):
            flow.refresh_soon(key, args, kwargs)
        return entry.value

    def bind(*steps: Any) -> None:
        nonlocal key_of, peek, fill
        key_of, peek, fill = steps

    return soft_wrapper, CallPath(
        keys, flow, bind, read=lambda: results.peek, nothing=lambda _: None, fill=_fill(flow, driver)
    )


def _off_loop(flow: Flow, driver: Tasks, keys: CallKeys, results: Results, *, soft: bool) -> tuple[Call, CallPath]:
    key_of, counters, expect = keys.of, results.counters, driver.flights.expect
    missing = None if soft else MISSING
    read, fill = _reader(results, soft=soft), flow.bypass

    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        key = key_of(args, kwargs)
        ticket = expect(key)  # until it boards or has its result, nothing is given up that it would begin again
        try:
            try:
                found = await read(key)
            except READ_FAILURES as error:
                result = await drive(flow.recover(key, args, kwargs, error), driver.offload)
                path.rebind()  # to another store, if this one was closed and opened again
                return result
            if found is missing:
                return await fill(key, args, kwargs)
        finally:
            driver.expect_no_longer(ticket)
        counters.hits += 1
        if not soft:
            return found
        if results.is_due(found):
            flow.refresh_soon(key, args, kwargs)
        return found.value

    async def nothing(_: str) -> Any:
        return missing

    def bind(*steps: Any) -> None:
        nonlocal key_of, read, fill
        key_of, read, fill = steps

    path = CallPath(
        keys, flow, bind, read=lambda: _reader(results, soft=soft), nothing=nothing, fill=_fill(flow, driver)
    )
    return wrapper, path


def _fill(flow: Flow, driver: Tasks) -> Fill:
    """Return what makes a call that found nothing."""
    miss, offload = flow.miss, driver.offload
    return lambda key, args, kwargs: drive(miss(key, args, kwargs), offload)


def _reader(results: Results, *, soft: bool) -> ReadLater:
    """Return what awaits an entry, or a value."""
    off_loop = results.off_loop
    assert off_loop is not None
    get = off_loop.get
    read = off_loop.get_with_meta if soft else lambda key: get(key, MISSING)
    return read if results.base is None else _through_base(read, results.base, soft=soft)


def _through_base(read: ReadLater, base: BaseResults, *, soft: bool) -> ReadLater:
    """Return what awaits an entry, or a value, and looks into the base if there is none."""
    missing, find = (None, base.find_entry) if soft else (MISSING, base.find)
    way = in_thread if base.off_loop is None else base.off_loop.in_thread

    async def read_both(key: str) -> Any:
        found = await read(key)
        return await way(partial(find, key)) if found is missing else found

    return read_both


class Tasks:
    """The driver of tasks: each computation is a task of its own, and all callers await it."""

    def __init__(self, flights: SingleFlight, results: Results) -> None:
        """Drive the flow of one function."""
        self.flights = flights
        self._results = results
        self._tasks: dict[Flight, asyncio.Task[Any]] = {}  # a loop holds its tasks by weak references only

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without tasks, which stay in their process."""
        return {**self.__dict__, "_tasks": {}}

    def offload(self, function: Callable[[], Any]) -> Coroutine[Any, Any, Any]:
        """Return what a function returns that may block."""
        off_loop = self._results.off_loop
        return in_thread(function) if off_loop is None else off_loop.in_thread(function)

    def launch(self, flight: Flight, steps: Steps[Any]) -> Steps[Any]:
        """Compute in a task, and wait for it."""
        return (yield self._ride(flight, self._start(flight, steps)))

    def launch_in_background(self, flight: Flight, steps: Steps[Any]) -> None:
        """Compute in a task."""
        self._start(flight, steps)

    def owner(self) -> Owner:
        """Return this task."""
        return TaskOwner(self.carrier())

    def carrier(self) -> asyncio.Task[Any]:
        """Return this task."""
        task = asyncio.current_task()
        assert task is not None  # a coroutine that is awaited is awaited by a task
        return task

    def arrival(self, flight: Flight) -> asyncio.Future[None]:
        """Return a future for this task."""
        return event(flight.when_landed)

    def wait(self, arrival: asyncio.Future[None], seconds: float) -> Any:
        """Await for at most *seconds*."""
        return _happened(arrival, seconds)

    def leave(self, flight: Flight) -> None:
        """Wait no longer; if all callers are cancelled and none is on its way, so is the computation."""
        if self.flights.leave(flight):
            self._give_up(flight)

    def expect_no_longer(self, ticket: object) -> None:
        """Note that a caller has got its result or was cancelled."""
        flight = self.flights.expect_no_longer(ticket)
        if flight is not None:
            self._give_up(flight)

    def _give_up(self, flight: Flight) -> None:
        task = self._tasks.get(flight)
        if task is not None:
            with suppress(RuntimeError):  # its loop is closed
                task.get_loop().call_soon_threadsafe(task.cancel)

    def read(self, function: Callable[[], Any]) -> Any:
        """Read on the loop, if that is allowed."""
        return Invoke(function) if self._results.off_loop is None else Blocking(function)

    async def _ride(self, flight: Flight, computation: asyncio.Task[Any]) -> Any:
        """Wait for a computation that goes on if this caller is cancelled and another waits."""
        try:
            return await asyncio.shield(computation)
        except asyncio.CancelledError:
            self.leave(flight)
            raise

    def _start(self, flight: Flight, steps: Steps[Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(drive(steps, self.offload))
        self._tasks[flight] = task
        flight.owner = TaskOwner(task)

        def ended(task: asyncio.Task[Any]) -> None:
            self._tasks.pop(flight, None)
            # A task that was cancelled before it began has not landed.
            self.flights.close(flight)
            flight.land()
            if not task.cancelled():
                task.exception()  # the caller that asked first may be gone; asyncio need not report it

        task.add_done_callback(ended)
        return task


async def _happened(arrival: asyncio.Future[None], seconds: float) -> bool:
    done, _ = await asyncio.wait([arrival], timeout=seconds)
    return bool(done)


def let_await(wrapper: Any, verbs: Iterable[str], results: Results) -> None:
    """Make verbs of a decorated function, which may block, into ones that are awaited."""
    for name in verbs:
        setattr(wrapper, name, _awaited(getattr(wrapper, name), results))


def _awaited(verb: Callable[..., Any], results: Results) -> Callable[..., Awaitable[Any]]:
    @wraps(verb)
    async def asynchronous(*args: Any, **kwargs: Any) -> Any:
        off_loop = results.off_loop
        assert off_loop is not None
        return await off_loop.in_thread(partial(verb, *args, **kwargs))

    return asynchronous
