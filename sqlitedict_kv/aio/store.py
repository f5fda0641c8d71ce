"""A store for tasks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack, overload

from sqlitedict_kv.aio.keyed import make_async_namespace
from sqlitedict_kv.aio.lazy import LazyStore
from sqlitedict_kv.aio.namespace import AsyncNamespace
from sqlitedict_kv.aio.transaction import AsyncTransaction
from sqlitedict_kv.concurrency.cancellation import in_thread
from sqlitedict_kv.engines.layout import check_layout
from sqlitedict_kv.engines.protocol import Capabilities, CheckReport
from sqlitedict_kv.memoization.decorator import AsyncDecorator, Memoize
from sqlitedict_kv.memoization.result_store import ResultStore
from sqlitedict_kv.operations.context import Defaults
from sqlitedict_kv.operations.progress import Progress
from sqlitedict_kv.operations.statistics import Health, StoreStats
from sqlitedict_kv.operations.type_variables import K, T
from sqlitedict_kv.operations.usage import EntrySummary, StoreUsage
from sqlitedict_kv.operations.view_options import LayoutOptions
from sqlitedict_kv.options import MEMORY, StoreOptions, check_options, with_store_options
from sqlitedict_kv.store import Store
from sqlitedict_kv.validation import Duration, check_namespace, check_tag

if TYPE_CHECKING:
    import builtins

    from sqlitedict_kv.aio.memoized import AsyncMemoizedResults
    from sqlitedict_kv.engines.registry import Client


@with_store_options
class AsyncStore:
    """A :class:`Store` whose verbs are awaited.

    Nothing that waits for a lock, a commit or a checkpoint runs on the event loop. Any number of tasks, event loops,
    threads and processes may use it at the same time.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | Client = MEMORY,
        **options: Unpack[StoreOptions],
    ) -> None:
        """Describe a store; ``async with`` opens it, and so does the first verb that is awaited.

        Args:
            path: as for :class:`Store`; a client object is a synchronous one here too.
            **options: those of :class:`StoreOptions`.

        Raises:
            TypeError, ValueError: an argument is not as described, or unknown.
            UnsupportedError: an option is not for this kind of store.
            OpenError: (when it is opened) the path cannot be opened as a store; its subclasses say why.
        """
        settings = check_options(path, options, type(self).__name__)
        self._lazy = LazyStore.of(settings)

    @classmethod
    def over(cls, store: Store) -> Self:
        """Return the asynchronous face of a store that is open; both may be used at the same time."""
        if not isinstance(store, Store):
            raise TypeError(f"store must be a Store, not {type(store).__name__}")
        return cls._around(LazyStore.over(store))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as address and options; a store in memory, or with a password in its address, raises TypeError."""
        return type(self)._around, (self._lazy,)  # noqa: SLF001 - its own

    @classmethod
    def _around(cls, lazy: LazyStore) -> Self:
        face = cls.__new__(cls)
        face._lazy = lazy  # noqa: SLF001 - a third way to make one
        return face

    @property
    def sync_store(self) -> Store:
        """The store itself, for code that may block; it is opened for that if it was not yet."""
        return self._lazy.open().store

    @property
    def clock(self) -> Callable[[], float]:
        """The clock that decides what has expired; it returns the Unix time in seconds."""
        return self._lazy.clock

    async def capabilities(self) -> Capabilities:
        """Return what this kind of store can do; what it cannot raises UnsupportedError."""
        return (await self._lazy.open_for_task()).store.capabilities

    @overload
    def ns(self, name: str, **options: Unpack[LayoutOptions]) -> AsyncNamespace: ...
    @overload
    def ns(self, name: str, *, type: builtins.type[T], **options: Unpack[LayoutOptions]) -> AsyncNamespace[str, T]: ...
    @overload
    def ns(self, name: str, *, type: Any, **options: Unpack[LayoutOptions]) -> AsyncNamespace[str, Any]: ...
    @overload
    def ns(self, name: str, *, keys: builtins.type[K], **options: Unpack[LayoutOptions]) -> AsyncNamespace[K]: ...
    @overload
    def ns(
        self, name: str, *, keys: builtins.type[K], type: builtins.type[T], **options: Unpack[LayoutOptions]
    ) -> AsyncNamespace[K, T]: ...
    @overload
    def ns(
        self, name: str, *, keys: Any = str, type: Any = None, **options: Unpack[LayoutOptions]
    ) -> AsyncNamespace[Any, Any]: ...
    def ns(
        self,
        name: str,
        *,
        keys: Any = str,
        type: Any = None,  # noqa: A002 - so it reads in a call
        ttl: Duration | None = None,
        content_type: str | None = None,
        mapped: bool = False,
        shards: int | None = None,
        ordered: bool | None = None,
    ) -> AsyncNamespace[Any, Any]:
        """Return a namespace; the arguments are those of :meth:`Store.ns`."""
        layout = check_layout(shards, ordered)
        defaults = Defaults.of(self._lazy.codecs, ttl, content_type, type, mapped)
        namespace = make_async_namespace(self._lazy, check_namespace(name), defaults, keys)
        if layout is not None:
            self._lazy.declare(namespace.name, layout)
        return namespace

    async def namespaces(self) -> list[str]:
        """Return the names of the namespaces that have entries, in order."""
        return await self._apart(Store.namespaces)

    def atomic(self) -> AsyncTransaction:
        """Return an ``async with`` block that records checks and edits, and commits all of them or none.

        Nothing is sent before the block ends, so other things may be awaited in it.
        """
        return AsyncTransaction(self._lazy)

    @property
    def memoize(self) -> Memoize[AsyncDecorator]:
        """Keeps the results of ``async def`` functions: ``@store.memoize(ttl=60)``; see :class:`Memoize`.

        What the decorated function has beside itself is awaited too: ``await report.forget("2026-11-23")``.
        """
        return Memoize(self._result_store, self._lazy.modes)

    def memoized(self, namespace: str = "memoize") -> AsyncMemoizedResults:
        """Return what is kept of functions; its verbs are awaited. See :meth:`Store.memoized`."""
        from sqlitedict_kv.aio.memoized import AsyncMemoizedResults  # noqa: PLC0415 - for people, not for programs

        return AsyncMemoizedResults(self._lazy, check_namespace(namespace, "namespace"))

    def _result_store(self, ns: str | None) -> ResultStore:
        return self.ns("memoize" if ns is None else ns)._result_store(None)  # noqa: SLF001 - a view of this store

    async def drop(self, name: str, *, progress: Progress | None = None) -> int:
        """Remove all entries of a namespace in bounded batches, and return how many there were.

        A function that is given as *progress*, here and below, is called in another thread.
        """
        return await self._apart(lambda store: store.drop(name, progress=progress))

    async def forget_tag(self, tag: str) -> int:
        """Remove every entry with a tag, and return how many there were; see :meth:`Store.forget_tag`."""
        checked = check_tag(tag)
        return await self._apart(lambda store: store.forget_tag(checked))

    async def purge_expired(self, limit: int | None = None, *, progress: Progress | None = None) -> int:
        """Remove entries that have expired, *limit* at most, and return how many."""
        return await self._apart(lambda store: store.purge_expired(limit, progress=progress))

    async def stats(self) -> StoreStats:
        """Return the figures of the store and of this process's use of it."""
        return await self._apart(Store.stats)

    async def usage(self, *, deadline: float | None = None, progress: Progress | None = None) -> StoreUsage:
        """Return how many entries there are and what they take; see :meth:`Store.usage`."""
        return await self._apart(lambda store: store.usage(deadline=deadline, progress=progress))

    async def largest(self, n: int = 10, *, progress: Progress | None = None) -> list[EntrySummary]:
        """Return the *n* entries with the largest values, the largest first; see :meth:`Store.largest`."""
        return await self._apart(lambda store: store.largest(n, progress=progress))

    async def healthcheck(self) -> Health:
        """Return whether the store can be read and locked for a write now; see :meth:`Store.healthcheck`."""
        return await self._apart(Store.healthcheck)

    async def check(self, *, progress: Progress | None = None) -> CheckReport:
        """Read the whole store and return what is damaged: pages, checksums, values that do not decode."""
        return await self._apart(lambda store: store.check(progress=progress))

    async def vacuum(self, *, progress: Progress | None = None) -> None:
        """Give free space back to the operating system; writes wait meanwhile."""
        await self._apart(lambda store: store.vacuum(progress=progress))

    async def backup(self, path: str | os.PathLike[str], *, progress: Progress | None = None) -> None:
        """Write a consistent copy to a new file, while others read and write; see :meth:`Store.backup`."""
        await self._apart(lambda store: store.backup(path, progress=progress))

    async def merge(
        self,
        other: AsyncStore | Store,
        namespaces: Iterable[str] | None = None,
        *,
        progress: Progress | None = None,
    ) -> int:
        """Take over those entries of another store that are newer, and return how many; see :meth:`Store.merge`."""
        source = await other._apart(_itself) if isinstance(other, AsyncStore) else other  # noqa: SLF001 - its own
        return await self._apart(lambda store: store.merge(source, namespaces, progress=progress))

    async def sync(self) -> None:
        """Make all that was acknowledged so far, by any process, survive a power cut."""
        await self._apart(Store.sync)

    async def close(self) -> None:
        """Close the store when the writes that were asked for have ended; later calls raise StoreClosedError."""
        await self._lazy.close()

    async def _apart(self, function: Callable[[Store], T]) -> T:
        """Return what takes long, from a thread of its own."""
        opened = await self._lazy.open_for_task()
        return await in_thread(lambda: function(opened.store))

    async def __aenter__(self) -> Self:
        """Open the store and return it."""
        await self._lazy.open_for_task()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the store."""
        await self.close()

    def __repr__(self) -> str:
        """Return the path, or the address without its password."""
        return f"<AsyncStore {self._lazy.label!r}>"


def _itself(store: Store) -> Store:
    return store
