"""A namespace of a store that tasks read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar, overload

from sqlitedict_kv.aio.large_values import codecs_that_do_not_block
from sqlitedict_kv.aio.lazy import LazyNamespace, LazyStore, OpenStore, unpickle_view
from sqlitedict_kv.codecs.file_reference import FILE
from sqlitedict_kv.concurrency.cancellation import in_thread
from sqlitedict_kv.engines.protocol import KeyRange
from sqlitedict_kv.engines.record import Record
from sqlitedict_kv.errors import EntryGoneError
from sqlitedict_kv.lru import NotHeldError
from sqlitedict_kv.namespace import Namespace
from sqlitedict_kv.operations.context import Defaults, Entry
from sqlitedict_kv.operations.pagination import Page, check_bounds
from sqlitedict_kv.operations.prepare import Edits
from sqlitedict_kv.operations.progress import Progress
from sqlitedict_kv.operations.statistics import NamespaceStats
from sqlitedict_kv.operations.type_variables import K, V
from sqlitedict_kv.operations.usage import EntrySummary, Usage
from sqlitedict_kv.validation import (
    check_bool,
    check_keys,
    check_namespace,
)

T = TypeVar("T")


class _Bound:
    """The parts of a namespace that need the open store."""

    __slots__ = ("context", "edits", "in_memory", "namespace", "quick", "store")

    def __init__(self, store: OpenStore, name: str, defaults: Defaults) -> None:
        self.context = context = defaults.apply(store.context)
        self.store = store
        self.edits = Edits(store.deferring, name, defaults)
        self.namespace: Namespace[Any, Any] = Namespace(context, name, defaults)
        # Reads by it are served from memory, or raise NotHeldError.
        at_once = defaults._replace(codecs=codecs_that_do_not_block(context))
        self.in_memory = None if context.lru is None else Namespace(context, name, at_once, context.lru.held_value)
        # What it finds in a file it leaves to a thread that may take long, so that other reads do not wait.
        self.quick = Namespace(context, name, at_once)


class AsyncNamespaceReader(Generic[K, V]):
    """What reads and walks through the entries of one namespace for tasks; :class:`AsyncNamespace` writes them too."""

    __slots__ = ("_bound", "_defaults", "_lazy", "_name")

    def __init__(self, lazy: LazyStore, name: str, defaults: Defaults) -> None:
        """Make a view of the store of *lazy*; *defaults* are checked already."""
        self._lazy = lazy
        self._name = check_namespace(name)
        self._defaults = defaults
        self._bound: _Bound | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the store's address and options, with the name and the defaults."""
        return unpickle_view, (type(self), self._lazy, self._name, self._defaults.as_arguments())

    @property
    def name(self) -> str:
        """The name of the namespace."""
        return self._name

    @property
    def sync_namespace(self) -> Namespace[Any, Any]:
        """The same namespace for code that may block, such as code in a thread; its first call opens the store."""
        return LazyNamespace(self._lazy, self._name, self._defaults)

    async def in_thread(self, function: Callable[[], T]) -> T:
        """Return what *function* returns, which blocks and uses the store: it runs in the thread of its writes.

        If the caller is cancelled before its turn it is not called, and else it ends first.
        """
        return await (await self._lazy.open_for_task()).write(function)

    async def _bind(self) -> _Bound:
        bound = self._bound = _Bound(await self._lazy.open_for_task(), self._name, self._defaults)
        return bound

    @overload
    async def get(
        self, key: K, default: None = None, *, content_type: str | None = None, mapped: bool = False
    ) -> V | None: ...

    @overload
    async def get(self, key: K, default: V, *, content_type: str | None = None, mapped: bool = False) -> V: ...

    @overload
    async def get(self, key: K, default: T, *, content_type: str | None = None, mapped: bool = False) -> V | T: ...

    async def get(self, key: Any, default: Any = None, *, content_type: str | None = None, mapped: bool = False) -> Any:
        """Return the value, or *default* if there is none; see :meth:`Namespace.get`.

        What the LRU holds is returned at once, without a thread.
        """
        bound = self._bound or await self._bind()
        if bound.in_memory is not None and content_type is None and not mapped:
            try:
                return bound.in_memory.get(key, default)
            except NotHeldError:
                pass
        try:
            return await bound.store.read(
                lambda: bound.quick.get(key, default, content_type=content_type, mapped=mapped)
            )
        except NotHeldError:
            return await in_thread(lambda: bound.namespace.get(key, default, content_type=content_type, mapped=mapped))

    @overload
    async def get_with_meta(self, key: K, default: None = None) -> Entry[V] | None: ...

    @overload
    async def get_with_meta(self, key: K, default: T) -> Entry[V] | T: ...

    async def get_with_meta(self, key: Any, default: Any = None) -> Any:
        """Return an :class:`Entry`, or *default* if there is none."""
        bound = self._bound or await self._bind()
        try:
            return await bound.store.read(bound.quick.get_with_meta, key, default)
        except NotHeldError:
            return await in_thread(lambda: bound.namespace.get_with_meta(key, default))

    async def get_many(self, keys: Iterable[K]) -> dict[K, V]:
        """Return the values of those keys that have one, as of one moment."""
        bound = self._bound or await self._bind()
        return await bound.store.read(
            bound.namespace.get_many, check_keys(keys)
        )  # looked through here, not in a thread

    async def get_many_with_meta(self, keys: Iterable[K]) -> dict[K, Entry[V]]:
        """Return the entries of those keys that have one, values with versions and times, as of one moment."""
        bound = self._bound or await self._bind()
        return await bound.store.read(bound.namespace.get_many_with_meta, check_keys(keys))  # likewise

    async def contains(self, key: object) -> bool:
        """Return whether there is an entry; it counts as no read."""
        bound = self._bound or await self._bind()
        if bound.in_memory is not None:
            try:
                return key in bound.in_memory
            except NotHeldError:
                pass
        return await bound.store.read(bound.namespace.__contains__, key)

    async def count(self) -> int:
        """Return the number of entries."""
        bound = self._bound or await self._bind()
        return await bound.store.read(bound.namespace.__len__)

    async def stats(self) -> NamespaceStats:
        """Return how many entries there are."""
        bound = self._bound or await self._bind()
        return await bound.store.read(bound.namespace.stats)

    async def usage(self, *, deadline: float | None = None, progress: Progress | None = None) -> Usage:
        """Return how many entries there are and what they take, by type of value; see :meth:`Namespace.usage`.

        A function that is given as *progress* is called in another thread.
        """
        bound = self._bound or await self._bind()
        return await in_thread(lambda: bound.namespace.usage(deadline=deadline, progress=progress))

    async def largest(self, n: int = 10, *, progress: Progress | None = None) -> list[EntrySummary[K]]:
        """Return the *n* entries with the largest values, the largest first; see :meth:`Namespace.largest`."""
        bound = self._bound or await self._bind()
        return await in_thread(lambda: bound.namespace.largest(n, progress=progress))

    # -- walking

    def __aiter__(self) -> AsyncIterator[K]:
        """Yield the keys in order, by pages: others may write meanwhile."""
        return self.keys()

    async def keys(self, *, reverse: bool = False) -> AsyncIterator[K]:
        """Yield the keys in order, or from the last to the first."""
        span = KeyRange(self._name, reverse=check_bool(reverse, "reverse"))
        bound = self._bound or await self._bind()
        pages = bound.store.context.key_pages(span)
        while page := await bound.store.read(next, pages, None):
            for key in page:
                yield key

    async def values(self, *, reverse: bool = False) -> AsyncIterator[V]:
        """Yield the values, in the order of their keys."""
        async for key, record in self._all_records(reverse=reverse):
            with suppress(EntryGoneError):
                yield await self._value(key, record)

    async def items(self, *, reverse: bool = False) -> AsyncIterator[tuple[K, V]]:
        """Yield keys and values, in the order of the keys."""
        async for key, record in self._all_records(reverse=reverse):
            with suppress(EntryGoneError):
                yield key, await self._value(key, record)

    async def scan(
        self, prefix: K | str = "", *, start: K | None = None, stop: K | None = None, reverse: bool = False
    ) -> AsyncIterator[tuple[K, Entry[V]]]:
        """Yield keys and their entries, in order, by pages; the arguments are those of :meth:`Namespace.list`."""
        bounds, backwards = check_bounds(prefix, start, stop), check_bool(reverse, "reverse")
        context = (self._bound or await self._bind()).context
        pages = context.pages_within(self._name, bounds, reverse=backwards)
        async for key, record in self._records(pages):
            with suppress(EntryGoneError):
                if record.content_type == FILE:
                    yield key, await in_thread(partial(context.entry, self._name, key, record))
                else:
                    yield key, context.entry(self._name, key, record)

    async def _all_records(self, *, reverse: bool) -> AsyncIterator[tuple[Any, Record]]:
        span = KeyRange(self._name, reverse=check_bool(reverse, "reverse"))
        bound = self._bound or await self._bind()
        async for item in self._records(bound.store.context.pages(span)):
            yield item

    async def _records(self, pages: Iterator[list[tuple[str, Record]]]) -> AsyncIterator[tuple[Any, Record]]:
        bound = self._bound or await self._bind()
        while page := await bound.store.read(next, pages, None):
            for item in page:
                yield item

    async def _value(self, key: Any, record: Record) -> Any:
        codecs = self._defaults.codecs or self._lazy.codecs
        decode = partial(codecs.decode, self._name, key, record.body, record.content_type)
        return await in_thread(decode) if record.content_type == FILE else decode()

    async def list(
        self,
        prefix: K | str = "",
        *,
        start: K | None = None,
        stop: K | None = None,
        limit: int = 100,
        cursor: str | None = None,
        reverse: bool = False,
    ) -> Page[K]:
        """Return a page of the keys that begin with *prefix*, in order; see :meth:`Namespace.list`."""
        bound = self._bound or await self._bind()
        return await bound.store.read(
            lambda: bound.namespace.list(prefix, start=start, stop=stop, limit=limit, cursor=cursor, reverse=reverse)
        )

    async def by_age(self, *, limit: int = 100, cursor: str | None = None, reverse: bool = False) -> Page[K]:
        """Return a page of the keys in the order of creation; see :meth:`Namespace.by_age`."""
        bound = self._bound or await self._bind()
        return await bound.store.read(lambda: bound.namespace.by_age(limit=limit, cursor=cursor, reverse=reverse))

    async def copy(self) -> dict[K, V]:
        """Return a plain dict of what is there."""
        return {key: value async for key, value in self.items()}

    def __repr__(self) -> str:
        """Return the name and the file; nothing is asked."""
        return f"<AsyncNamespace {self._name!r} of {self._lazy.label!r}>"
