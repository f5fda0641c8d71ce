"""The driver of sans-I/O flows for tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from inspect import isawaitable
from typing import Any, TypeVar

from sqlitedict_kv.concurrency.cancellation import InThread, finished, in_thread
from sqlitedict_kv.concurrency.sansio import Blocking, Invoke, Pause, Steps, Until, has_ended

T = TypeVar("T")


async def drive(steps: Steps[T], offload: InThread = in_thread) -> T:
    """Return what a flow returns, awaiting where it waits; a cancellation is thrown into it as any error.

    Args:
        steps: the flow.
        offload: runs what may block. A call that has begun ends before the cancellation takes effect.
    """
    result: Any = None
    error: BaseException | None = None
    try:
        while True:
            try:
                request = steps.send(result) if error is None else steps.throw(error)
                result = error = None
                awaitable = _begin(request, offload)
                result = await awaitable if isawaitable(awaitable) else awaitable
            except StopIteration as end:
                if has_ended(steps):
                    value: T = end.value
                    return value
                error = end  # user code raised it
            except GeneratorExit:  # the loop is gone: nothing can be awaited any more
                steps.close()
                raise
            except BaseException as raised:
                if has_ended(steps):
                    raise
                error = raised
    finally:
        del error  # it refers to this frame


def _begin(request: Any, offload: InThread) -> Any:
    kind = type(request)
    if kind is Invoke:
        return request.function(*request.args, **request.kwargs)
    if kind is Blocking:
        undo = request.undo
        return finished(
            offload(request.function), None if undo is None else lambda result: offload(lambda: undo(result))
        )
    if kind is Pause:
        return asyncio.sleep(request.seconds)
    if kind is Until:
        return event(request.subscribe)
    return request


def event(subscribe: Callable[[Callable[[], None]], None]) -> asyncio.Future[None]:
    """Return a future of the running loop that ends when the event happens, in whatever thread."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def end() -> None:
        if not future.done():
            future.set_result(None)

    def listener() -> None:
        with suppress(RuntimeError):  # the loop that waited is closed
            loop.call_soon_threadsafe(end)

    subscribe(listener)
    return future
