"""A namespace of a store, for tasks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Literal, TypeVar, overload

from sqlitedict_kv.aio.lazy import LazyNamespace, LazyStore
from sqlitedict_kv.aio.reader import AsyncNamespaceReader
from sqlitedict_kv.aio.streams import AsyncStream
from sqlitedict_kv.codecs.registry import Codecs
from sqlitedict_kv.concurrency.async_driver import drive
from sqlitedict_kv.concurrency.cancellation import in_thread
from sqlitedict_kv.engines.protocol import Edit
from sqlitedict_kv.memoization.decorator import AsyncDecorator, Memoize
from sqlitedict_kv.memoization.result_store import (
    OffLoop,
    ResultStore,
    declare_layouts,
    lease_namespace,
    note_namespace,
)
from sqlitedict_kv.memoization.result_writer import ResultWriter
from sqlitedict_kv.namespace import Namespace
from sqlitedict_kv.operations import optional
from sqlitedict_kv.operations.context import Defaults
from sqlitedict_kv.operations.editing import begin_edit, end_edit
from sqlitedict_kv.operations.file_copies import FileOrPath
from sqlitedict_kv.operations.prepare import collect
from sqlitedict_kv.operations.progress import Progress
from sqlitedict_kv.operations.read_modify_write import Verbs
from sqlitedict_kv.operations.type_variables import K, V
from sqlitedict_kv.validation import (
    DEFAULT,
    NO_TAGS,
    Default,
    Duration,
    check_number,
)

T = TypeVar("T")


class AsyncNamespace(AsyncNamespaceReader[K, V]):
    """The entries of one namespace for tasks; made by :meth:`AsyncStore.ns`.

    The verbs are those of :class:`Namespace`, awaited, with the same arguments, results and errors. What a dict has
    operators for has names here: :meth:`contains`, :meth:`count`, and :meth:`pop` or :meth:`delete` for ``del``.

    Values are encoded before the first await, so what a caller changes afterwards is not written. But a thread writes
    an array that goes into a file of its own from where it lies: do not change that before the call returns. A call
    that is cancelled before its turn does nothing; one that has begun ends, and only then the cancellation takes place.
    """

    __slots__ = ()

    @property
    def memoize(self) -> Memoize[AsyncDecorator]:
        """Keeps the results of ``async def`` functions in this namespace; see :attr:`AsyncStore.memoize`."""
        return Memoize(self._result_store, self._lazy.modes, self._name)

    def _result_store(self, ns: str | None) -> ResultStore:
        """Return where memoize keeps results: hits are awaited, other steps run in the thread of the writes."""
        if ns is not None:
            raise ValueError("ns is for AsyncStore.memoize; a namespace keeps the results itself")
        declare_layouts(self._lazy.declare, self._name, lease_namespace(self._name))
        return self._results_by((self._defaults.codecs or self._lazy.codecs).unchecked())

    def _results_by(self, codecs: Codecs) -> ResultStore:
        """Return where memoize keeps results that *codecs* encode."""
        lazy, defaults = self._lazy, self._defaults._replace(codecs=codecs)
        awaited: AsyncNamespace[Any, Any] = AsyncNamespace(lazy, self._name, defaults)
        return ResultStore(
            id(lazy),
            awaited.sync_namespace,
            LazyNamespace(lazy, lease_namespace(self._name), Defaults(None, None)),
            lambda: ResultWriter(lazy.open().context.with_codecs(codecs), self._name, lease_namespace(self._name)),
            lazy.clock,
            codecs,
            defaults.ttl,
            defaults.content_type,
            OffLoop(awaited.get, awaited.get_with_meta, self.in_thread),
            self._results_by,
            LazyNamespace(lazy, note_namespace(self._name), Defaults(None, None)),
            change_mark=lambda key: optional.change_mark(lazy.open().context.engine, lease_namespace(self._name), key),
            successor=lambda: self._results_at(lazy.newer(), codecs),
            enroll=lambda function: lazy.modes.enroll(function, self._name),
        )

    def _results_at(self, lazy: LazyStore | None, codecs: Codecs) -> ResultStore | None:
        """Return where memoize keeps results in the store of *lazy*, if that is one."""
        return None if lazy is None else AsyncNamespace(lazy, self._name, self._defaults)._results_by(codecs)  # noqa: SLF001 - its own

    async def set(
        self,
        key: K,
        value: V,
        *,
        ttl: Duration | None | Default = DEFAULT,
        content_type: str | None = None,
        tags: Iterable[str] = NO_TAGS,
    ) -> int:
        """Write a value, replacing all that was there, and return its version; see :meth:`Namespace.set`."""
        bound = self._bound or await self._bind()
        (version,) = await bound.store.commit([bound.edits.put(key, value, ttl, content_type, tags=tags)])
        assert version is not None
        return version

    @asynccontextmanager
    async def open(
        self,
        key: K,
        mode: Literal["rb", "wb"] = "rb",
        *,
        content_type: str | None = None,
        ttl: Duration | None | Default = DEFAULT,
        tags: Iterable[str] = NO_TAGS,
    ) -> AsyncIterator[AsyncStream]:
        """Give a value as a stream of bytes to an ``async with`` block; see :meth:`Namespace.open`."""
        await self._lazy.open_for_task()
        open_stream = partial(self.sync_namespace.open, key, mode, content_type=content_type, ttl=ttl, tags=tags)
        # A writer touches nothing yet, and one that a cancelled task never gets would be missed.
        stream = AsyncStream(open_stream() if mode == "wb" else await in_thread(open_stream))
        try:
            yield stream
        except BaseException:
            await stream.close(discard=True)
            raise
        await stream.close()

    async def set_file(
        self,
        key: K,
        source: FileOrPath,
        *,
        content_type: str | None = None,
        ttl: Duration | None | Default = DEFAULT,
        tags: Iterable[str] = NO_TAGS,
        progress: Progress | None = None,
    ) -> int:
        """Write what is in a file as a value, and return its version; see :meth:`Namespace.set_file`.

        A function that is given as *progress* is called in another thread.
        """
        space = self.sync_namespace
        return await in_thread(
            lambda: space.set_file(key, source, content_type=content_type, ttl=ttl, tags=tags, progress=progress)
        )

    async def get_file(self, key: K, target: FileOrPath, *, progress: Progress | None = None) -> int:
        """Write a value to a new file, and return how many bytes it has; see :meth:`Namespace.get_file`."""
        space = self.sync_namespace
        return await in_thread(lambda: space.get_file(key, target, progress=progress))

    async def add(
        self,
        key: K,
        value: V,
        *,
        ttl: Duration | None | Default = DEFAULT,
        content_type: str | None = None,
        tags: Iterable[str] = NO_TAGS,
    ) -> int | None:
        """Write a value if the key is absent; return its version, or None if something is there."""
        return await drive((await self._verbs()).add(key, value, ttl, content_type, tags))

    async def cas_set(
        self,
        key: K,
        value: V,
        version: int,
        *,
        ttl: Duration | None | Default = DEFAULT,
        content_type: str | None = None,
        tags: Iterable[str] = NO_TAGS,
    ) -> int:
        """Write a value if the entry is still at *version*, and return the new one; see :meth:`Namespace.cas_set`.

        Raises:
            ConflictError: the entry is at another version or is gone; nothing was changed.
        """
        bound = self._bound or await self._bind()
        (written,) = await bound.store.commit([bound.edits.put_at(key, value, version, ttl, content_type, tags)])
        assert written is not None
        return written

    async def set_many(
        self,
        mapping: Mapping[K, V],
        *,
        ttl: Duration | None | Default = DEFAULT,
        tags: Iterable[str] = NO_TAGS,
        progress: Progress | None = None,
    ) -> dict[K, int]:
        """Write all the values of a mapping, or none, and return their versions by key; see :meth:`Namespace.set_many`.

        With *progress*, values are encoded in the thread that writes, which calls the function too.
        """
        bound = self._bound or await self._bind()
        if progress is not None and progress is not False:
            namespace = bound.namespace
            return await bound.store.write(lambda: namespace.set_many(mapping, ttl=ttl, tags=tags, progress=progress))
        edits = await bound.store.write_files(bound.edits.put_many(mapping, ttl, tags=tags))
        context = bound.store.context
        versions: Any = await bound.store.write(lambda: context.engine.put_many(edits, context.now()))
        return dict(versions)

    async def update(self, other: Any = (), /, **entries: Any) -> None:
        """Write all that dict.update would write, in one step; *other* may be a namespace of either face."""
        if isinstance(other, AsyncNamespace):
            other = await other.copy()
        elif isinstance(other, Namespace):
            other = await in_thread(other.copy)
        written: dict[Any, Any] = collect(other, entries)
        await self.set_many(written)

    async def setdefault(self, key: K, default: Any = None) -> V:
        """Return the value of a key, or write *default* and return it if there is none, in one step."""
        return await drive((await self._verbs()).setdefault(key, default))

    async def incr(self, key: K, delta: float = 1, *, default: float | None = 0) -> int | float:
        """Add to a number and return the sum; see :meth:`Namespace.incr`."""
        bound = self._bound or await self._bind()
        edit, results = bound.edits.incr(key, delta, default)
        await bound.store.commit([edit])
        return results[-1]

    async def decr(self, key: K, delta: float = 1, *, default: float | None = 0) -> int | float:
        """Subtract from a number and return the difference; see :meth:`incr`."""
        return await self.incr(key, -check_number(delta, "delta"), default=default)

    async def modify(
        self,
        key: K,
        function: Callable[[V], V | Awaitable[V]],
        *,
        default: V | Default = DEFAULT,
        ttl: Duration | None | Default = DEFAULT,
    ) -> V:
        """Write what *function* makes of the value, and return it; see :meth:`Namespace.modify`.

        Args:
            key: the key.
            function: takes the value and returns the new one; ``async def`` or not, it runs on the loop.
            default: what it takes if there is no value; left out, that raises KeyError.
            ttl: seconds until the new value expires; left out, the old deadline stays.
        """
        return await drive((await self._verbs()).modify(key, function, default, ttl))

    @asynccontextmanager
    async def edit(self, key: K, default: V | Default = DEFAULT) -> AsyncIterator[V]:
        """Give the value to an ``async with`` block, and write it back at its end; see :meth:`Namespace.edit`.

        Raises:
            KeyError: there is no value, and no default.
            ConflictError: (at the end) somebody else wrote in between; what the block did is not kept.
        """
        verbs = await self._verbs()
        edited = await drive(begin_edit(verbs, key, default))
        yield edited.value
        await drive(end_edit(verbs, edited))

    async def touch(self, key: K, ttl: Duration | None) -> bool:
        """Let an entry expire *ttl* seconds from now, None is never; return whether it was there."""
        bound = self._bound or await self._bind()
        (version,) = await bound.store.commit([bound.edits.touch(key, ttl)])
        return version is not None

    @overload
    async def renew(self, key: K, ttl: Duration, default: None = None) -> V | None: ...

    @overload
    async def renew(self, key: K, ttl: Duration, default: T) -> V | T: ...

    async def renew(self, key: Any, ttl: Duration, default: Any = None) -> Any:
        """Return the value and, if it is to expire at all, move its deadline; see :meth:`Namespace.renew`."""
        return await drive((await self._verbs()).renew(key, ttl, default))

    # -- removing

    async def delete(self, key: K, *, version: int | None = None) -> bool:
        """Remove an entry and return whether it was there; see :meth:`Namespace.delete`."""
        bound = self._bound or await self._bind()
        (removed,) = await bound.store.commit([bound.edits.delete(key, version)])
        return removed is not None

    async def delete_many(self, keys: Iterable[K]) -> int:
        """Remove all these entries in one step and return how many were there."""
        bound = self._bound or await self._bind()
        edits: list[Edit] = [*bound.edits.delete_many(keys)]
        removed = await bound.store.commit(edits) if edits else []
        return sum(version is not None for version in removed)

    @overload
    async def pop(self, key: K) -> V: ...

    @overload
    async def pop(self, key: K, default: V) -> V: ...

    @overload
    async def pop(self, key: K, default: T) -> V | T: ...

    async def pop(self, key: Any, default: Any = DEFAULT) -> Any:
        """Remove an entry and return its value, in one step; without it, *default*, or KeyError."""
        return await drive((await self._verbs()).pop(key, default))

    async def popitem(self) -> tuple[K, V]:
        """Remove the last entry, by key, and return key and value; raise KeyError if there is none."""
        return await drive((await self._verbs()).popitem())

    async def clear(self) -> None:
        """Remove every entry in one step; :meth:`AsyncStore.drop` does it in bounded batches."""
        bound = self._bound or await self._bind()
        await bound.store.write(bound.namespace.clear)

    async def purge_expired(self, limit: int | None = None, *, progress: Progress | None = None) -> int:
        """Remove entries that have expired, *limit* at most, and return how many."""
        bound = self._bound or await self._bind()
        return await bound.store.write(lambda: bound.namespace.purge_expired(limit, progress=progress))

    async def _verbs(self) -> Verbs:
        bound = self._bound or await self._bind()
        store, context, name = bound.store, bound.context, self._name
        return Verbs(
            context,
            name,
            bound.edits,
            lambda key: store.read(context.read, name, key),
            lambda: store.read(context.last, name),
            store.commit,
            store.write_files,
        )
