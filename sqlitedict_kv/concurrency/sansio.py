"""Sans-I/O flows: logic with calls in its middle, written once for threads and for tasks.

A flow is a generator. It yields a request, one of the classes below, and a driver carries it out: :func:`run` for
threads, which block, and ``drive`` for tasks, which await. The driver sends the result back, or throws what was
raised. Anything else that a flow yields is a result already, or where the callee is asynchronous an awaitable of it.

User code runs in the frame of the driver, so the frames of a flow do not count against the recursion limit.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Mapping
from types import GeneratorType
from typing import Any, NamedTuple, NoReturn, TypeVar, cast

T = TypeVar("T")

Steps = Generator[Any, Any, T]


class Blocking(NamedTuple):
    """A request for a call that may block; for a task it is made in a thread.

    Attributes:
        function: what is called.
        undo: takes the result if the task was cancelled meanwhile, and may block too.
    """

    function: Callable[[], Any]
    undo: Callable[[Any], object] | None = None


class Invoke(NamedTuple):
    """A request for a call of a user's function, ``async def`` or not, in the context of the caller."""

    function: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = {}


class Pause(NamedTuple):
    """A request to wait."""

    seconds: float


class Until(NamedTuple):
    """A request to wait for an event of another thread or task.

    Attributes:
        subscribe: takes a function that is called, in any thread, when the event happens or has happened.
    """

    subscribe: Callable[[Callable[[], None]], None]


def run(steps: Steps[T], sleep: Callable[[float], object] = time.sleep) -> T:
    """Return what a flow returns, blocking where it waits.

    An interrupt is thrown into the flow, wherever it comes, so that the flow can clean up.
    """
    result: Any = None
    error: BaseException | None = None
    try:
        while True:
            try:
                request = steps.send(result) if error is None else steps.throw(error)
                result = error = None
                if type(request) is Invoke:
                    result = request.function(*request.args, **request.kwargs)
                else:
                    result = _carry_out(request, sleep)
            except StopIteration as end:
                if has_ended(steps):
                    value: T = end.value
                    return value
                error = end  # user code raised it
            except BaseException as raised:
                if has_ended(steps):
                    raise_what(raised)
                error = raised
    finally:
        del error  # it refers to this frame


def has_ended(steps: Steps[Any]) -> bool:
    """Return whether a flow has returned or raised."""
    return cast("GeneratorType[Any, Any, Any]", steps).gi_frame is None


def raise_what(error: BaseException) -> NoReturn:
    """Raise what a flow raised; a StopIteration of user code comes out of a generator as a RuntimeError."""
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, StopIteration):
        raise error.__cause__
    raise error


def _carry_out(request: Any, sleep: Callable[[float], object]) -> Any:
    if type(request) is Blocking:
        return request.function()
    if type(request) is Pause:
        return sleep(request.seconds)
    if type(request) is Until:
        event = threading.Event()
        request.subscribe(event.set)
        return event.wait()
    return request
