"""Logic with calls in its middle, written once for callers that block and for callers that await.

It is a generator that yields what each call returned: the result itself where the callee blocks, an awaitable
where it does not. Whoever runs it sends the result back, or throws what was raised.
"""

from __future__ import annotations

from collections.abc import Generator
from inspect import isawaitable
from typing import Any, TypeVar

T = TypeVar("T")

Steps = Generator[Any, Any, T]


def run(steps: Steps[T]) -> T:
    """Return what *steps* return whose calls block."""
    result = None
    while True:
        try:
            result = steps.send(result)
        except StopIteration as end:
            value: T = end.value
            return value


async def drive(steps: Steps[T]) -> T:
    """Return what *steps* return whose calls are awaited; a cancellation is thrown into them as any error."""
    result: Any = None
    error: BaseException | None = None
    while True:
        try:
            result = steps.send(result) if error is None else steps.throw(error)
        except StopIteration as end:
            value: T = end.value
            return value
        error = None
        if isawaitable(result):
            try:
                result = await result
            except BaseException as raised:
                error = raised
