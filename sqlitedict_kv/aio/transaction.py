"""Checks and edits of a task that are committed together, or not at all."""

from __future__ import annotations

from types import TracebackType

from sqlitedict_kv.aio.lazy import LazyStore
from sqlitedict_kv.transaction import Transaction


class AsyncTransaction:
    """Gives an ``async with`` block a :class:`Transaction` that records, and commits it; see AsyncStore.atomic."""

    def __init__(self, lazy: LazyStore) -> None:
        """Record for the store of *lazy*."""
        self._lazy = lazy
        self._transaction: Transaction | None = None

    async def __aenter__(self) -> Transaction:
        """Begin to record."""
        if self._transaction is None:
            self._transaction = Transaction((await self._lazy.open_for_task()).deferring)
        return self._transaction.__enter__()  # a second time it raises

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Commit, unless the block raised.

        Raises:
            ConflictError: an entry is not at the version that was demanded; nothing was changed.
            KeyError: an entry that ``del`` was to remove is absent; nothing was changed.
        """
        assert self._transaction is not None
        edits = self._transaction.end(broken=kind is not None)
        if edits is not None:
            opened = await self._lazy.open_for_task()
            with self._transaction.naming():
                versions = await opened.commit(edits) if edits else []
            self._transaction.finish(versions)
