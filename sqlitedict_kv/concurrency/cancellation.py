"""Awaiting what must not be left half done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def finished(work: Awaitable[T], undo: Callable[[T], Awaitable[object]] | None = None) -> T:
    """Return what *work* gives; a cancellation takes effect only when it has ended.

    Args:
        work: what is awaited.
        undo: takes what a cancelled caller will not get, and is awaited too: else, say, a lock would be taken that
            nobody releases.
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


async def in_thread(function: Callable[[], T], undo: Callable[[T], object] | None = None) -> T:
    """Return what a function that blocks returns, from a thread, which cannot be cancelled; see :func:`finished`."""
    if undo is None:
        return await finished(asyncio.to_thread(function))
    return await finished(asyncio.to_thread(function), lambda result: asyncio.to_thread(undo, result))
