"""Inventory of the results of functions, for tasks."""

from __future__ import annotations

from typing import Unpack

from sqlitedict_kv.aio.lazy import LazyStore
from sqlitedict_kv.concurrency.cancellation import in_thread
from sqlitedict_kv.memoization.inventory import CallFilter, FunctionResults, KeptCall, MemoizedResults


class AsyncMemoizedResults:
    """A :class:`MemoizedResults` whose verbs are awaited."""

    def __init__(self, lazy: LazyStore, namespace: str) -> None:
        """Look at a namespace of results, which is checked already."""
        self._lazy = lazy
        self._namespace = namespace

    async def _open(self) -> MemoizedResults:
        return MemoizedResults((await self._lazy.open_for_task()).context, self._namespace)

    async def functions(self) -> list[FunctionResults]:
        """Return what is kept of functions, of each version and each body, in the order of their names."""
        results = await self._open()
        return await in_thread(lambda: list(results))

    async def calls(self, **chosen: Unpack[CallFilter]) -> list[KeptCall]:
        """Return what is kept of calls that fit all that is given; see :meth:`MemoizedResults.calls`."""
        results = await self._open()
        return await in_thread(lambda: list(results.calls(**chosen)))

    async def forget(self, **chosen: Unpack[CallFilter]) -> int:
        """Remove what is kept of calls that fit all that is given; see :meth:`MemoizedResults.forget`."""
        results = await self._open()
        return await in_thread(lambda: results.forget(**chosen))
