"""Cancellation of tasks that wait for work which must not be left half done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, Protocol, TypeVar

from sqlitedict_kv.concurrency.fork import forgets_after_fork

T = TypeVar("T")

THREADS = 32  # that block for tasks at the same time


class InThread(Protocol):
    """A way from tasks to functions that may block."""

    def __call__(self, function: Callable[[], T]) -> Coroutine[Any, Any, T]:
        """Return what *function* returns."""


async def finished(work: Awaitable[T], undo: Callable[[T], Awaitable[object]] | None = None) -> T:
    """Return what *work* gives; a cancellation takes effect only when it has ended.

    Args:
        work: what is awaited.
        undo: takes the result that a cancelled caller does not get, and is awaited too. Without it a lock, for
            instance, would be taken and never released.
    """
    call = asyncio.ensure_future(work)
    cancelled = None
    while not call.done():
        try:
            await asyncio.wait([call])  # which, unlike an await of the call itself, never cancels it
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return call.result()
    if not call.cancelled() and call.exception() is None and undo is not None:
        await finished(undo(call.result()))
    raise cancelled


async def in_thread(function: Callable[[], T]) -> T:
    """Return what a function that blocks returns, from a thread, which cannot be cancelled; see :func:`finished`.

    The threads are the library's own: those of the event loop may all wait for the very task that calls this.
    """
    run = copy_context().run
    return await finished(asyncio.get_running_loop().run_in_executor(_pool.executor(), run, function))


class _Pool:
    """The threads that block for tasks, started when the first one does."""

    def __init__(self) -> None:
        self.forget_after_fork()
        forgets_after_fork(self)

    def forget_after_fork(self) -> None:
        """Start without threads."""
        self._executor: ThreadPoolExecutor | None = None

    def executor(self) -> ThreadPoolExecutor:
        """Return the threads; two loops that ask first at the same time may have one executor each."""
        if self._executor is None:
            self._executor = ThreadPoolExecutor(THREADS, "sqlitedict_kv calls")
        return self._executor


_pool = _Pool()
