"""A namespace of a store, for tasks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar

from sqlitedict_kv.aio.lazy import LazyNamespace, LazyStore, OpenStore
from sqlitedict_kv.concurrency.async_driver import drive
from sqlitedict_kv.concurrency.cancellation import in_thread
from sqlitedict_kv.engines.protocol import Edit, KeyRange
from sqlitedict_kv.engines.record import Record
from sqlitedict_kv.lru import NotHeldError
from sqlitedict_kv.memoization.decorator import AsyncDecorator, Memoize
from sqlitedict_kv.memoization.result_store import OffLoop, ResultStore, declare_layouts, lease_namespace
from sqlitedict_kv.namespace import Namespace, NamespaceStats
from sqlitedict_kv.operations.context import Defaults, Entry
from sqlitedict_kv.operations.pagination import Page
from sqlitedict_kv.operations.prepare import Edits, collected
from sqlitedict_kv.operations.read_modify_write import Verbs
from sqlitedict_kv.transaction import Transaction
from sqlitedict_kv.validation import (
    DEFAULT,
    Default,
    Duration,
    checked_bool,
    checked_content_type,
    checked_keys,
    checked_namespace,
    checked_number,
    checked_prefix,
    checked_ttl,
)

T = TypeVar("T")


class _Bound:
    """The parts of a namespace that need the open store."""

    __slots__ = ("edits", "in_memory", "namespace", "store")

    def __init__(self, store: OpenStore, name: str, defaults: Defaults) -> None:
        context = store.context
        self.store = store
        self.edits = Edits(context, name, defaults)
        self.namespace = Namespace(context, name, defaults)
        # Reads by it are served from memory, or raise NotHeldError.
        self.in_memory = None if context.lru is None else Namespace(context, name, defaults, context.lru.held_value)


class AsyncNamespace:
    """The entries of one namespace for tasks; made by :meth:`AsyncStore.ns`.

    The verbs are those of :class:`Namespace`, awaited, with the same arguments, results and errors. What a dict has
    operators for has names here: :meth:`contains`, :meth:`count`, and :meth:`pop` or :meth:`delete` for ``del``.

    Values are encoded before the first await, so what a caller changes afterwards is not written. A call that is
    cancelled before its turn does nothing; one that has begun ends, and only then is the cancellation passed on.
    """

    __slots__ = ("_bound", "_defaults", "_lazy", "_name")

    def __init__(self, lazy: LazyStore, name: str, ttl: Duration | None, content_type: str | None) -> None:
        """Make a view of the store of *lazy*; the arguments are those of :meth:`AsyncStore.ns`."""
        self._lazy = lazy
        self._name = checked_namespace(name)
        self._defaults = Defaults(checked_ttl(ttl), checked_content_type(content_type, lazy.codecs))
        self._bound: _Bound | None = None

    @property
    def name(self) -> str:
        """The name of the namespace."""
        return self._name

    @property
    def sync_namespace(self) -> Namespace:
        """The same namespace for code that may block, such as code in a thread; its first call opens the store."""
        return LazyNamespace(self._lazy, self._name, self._defaults)

    async def in_thread(self, function: Callable[[], T]) -> T:
        """Return what *function* returns, which blocks and uses the store: it runs in the thread of its writes.

        If the caller is cancelled before its turn it is not called, and else it ends first.
        """
        return await (await self._lazy.open_for_task()).write(function)

    @property
    def memoize(self) -> Memoize[AsyncDecorator]:
        """Keeps the results of ``async def`` functions in this namespace; see :attr:`AsyncStore.memoize`."""

        def place(ns: str | None) -> ResultStore:
            if ns is not None:
                raise ValueError("ns is for AsyncStore.memoize; a namespace keeps the results itself")
            return result_store_of(self._lazy, self, self._defaults)

        return Memoize(place)

    async def _bind(self) -> _Bound:
        bound = self._bound = _Bound(await self._lazy.open_for_task(), self._name, self._defaults)
        return bound

    # -- reading

    async def get(self, key: str, default: Any = None, *, content_type: str | None = None) -> Any:
        """Return the value, or *default* if there is none; see :meth:`Namespace.get`.

        What the LRU holds is returned at once, without a thread.
        """
        bound = self._bound or await self._bind()
        if bound.in_memory is not None and content_type is None:
            try:
                return bound.in_memory.get(key, default)
            except NotHeldError:
                pass
        return await bound.store.read(lambda: bound.namespace.get(key, default, content_type=content_type))

    async def get_with_meta(self, key: str, default: Any = None) -> Any:
        """Return an :class:`Entry`, or *default* if there is none."""
        bound = self._bound or await self._bind()
        return await bound.store.read(bound.namespace.get_with_meta, key, default)

    async def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """Return the values of those keys that have one, as of one moment."""
        bound = self._bound or await self._bind()
        return await bound.store.read(
            bound.namespace.get_many, checked_keys(keys)
        )  # looked through here, not in a thread

    async def get_many_with_meta(self, keys: Iterable[str]) -> dict[str, Entry[Any]]:
        """Return the entries of those keys that have one, values with versions and times, as of one moment."""
        bound = self._bound or await self._bind()
        return await bound.store.read(bound.namespace.get_many_with_meta, checked_keys(keys))  # likewise

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

    # -- writing

    async def set(
        self, key: str, value: Any, *, ttl: Duration | None | Default = DEFAULT, content_type: str | None = None
    ) -> int:
        """Write a value, replacing all that was there, and return its version; see :meth:`Namespace.set`."""
        bound = self._bound or await self._bind()
        (version,) = await bound.store.commit([bound.edits.put(key, value, ttl, content_type)])
        assert version is not None
        return version

    async def add(
        self, key: str, value: Any, *, ttl: Duration | None | Default = DEFAULT, content_type: str | None = None
    ) -> int | None:
        """Write a value if the key is absent; return its version, or None if something is there."""
        return await drive((await self._verbs()).add(key, value, ttl, content_type))

    async def cas_set(
        self,
        key: str,
        value: Any,
        version: int,
        *,
        ttl: Duration | None | Default = DEFAULT,
        content_type: str | None = None,
    ) -> int:
        """Write a value if the entry is still at *version*, and return the new one; see :meth:`Namespace.cas_set`.

        Raises:
            ConflictError: the entry is at another version or is gone; nothing was changed.
        """
        bound = self._bound or await self._bind()
        (written,) = await bound.store.commit([bound.edits.put_at(key, value, version, ttl, content_type)])
        assert written is not None
        return written

    async def set_many(self, mapping: Mapping[str, Any], *, ttl: Duration | None | Default = DEFAULT) -> dict[str, int]:
        """Write all the values of a mapping, or none, and return their versions by key."""
        bound = self._bound or await self._bind()
        edits = bound.edits.put_many(mapping, ttl)
        context = bound.store.context
        return await bound.store.write(lambda: context.engine.put_many(edits, context.now()))

    async def update(self, other: Any = (), /, **entries: Any) -> None:
        """Write all that dict.update would write, in one step; *other* may be a namespace of either face."""
        if isinstance(other, AsyncNamespace):
            other = await other.copy()
        elif isinstance(other, Namespace):
            other = await in_thread(other.copy)
        await self.set_many(collected(other, entries))

    async def setdefault(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, or write *default* and return it if there is none, in one step."""
        return await drive((await self._verbs()).setdefault(key, default))

    async def incr(self, key: str, delta: float = 1, *, default: float | None = 0) -> int | float:
        """Add to a number and return the sum; see :meth:`Namespace.incr`."""
        bound = self._bound or await self._bind()
        edit, results = bound.edits.incr(key, delta, default)
        await bound.store.commit([edit])
        return results[-1]

    async def decr(self, key: str, delta: float = 1, *, default: float | None = 0) -> int | float:
        """Subtract from a number and return the difference; see :meth:`incr`."""
        return await self.incr(key, -checked_number(delta, "delta"), default=default)

    async def modify(
        self,
        key: str,
        function: Callable[[Any], Any | Awaitable[Any]],
        *,
        default: Any = DEFAULT,
        ttl: Duration | None | Default = DEFAULT,
    ) -> Any:
        """Write what *function* makes of the value, and return it; see :meth:`Namespace.modify`.

        Args:
            key: the key.
            function: takes the value and returns the new one; ``async def`` or not, it runs on the loop.
            default: what it takes if there is no value; left out, that raises KeyError.
            ttl: seconds until the new value expires; left out, the old deadline stays.
        """
        return await drive((await self._verbs()).modify(key, function, default, ttl))

    async def touch(self, key: str, ttl: Duration | None) -> bool:
        """Let an entry expire *ttl* seconds from now, None is never; return whether it was there."""
        bound = self._bound or await self._bind()
        (version,) = await bound.store.commit([bound.edits.touch(key, ttl)])
        return version is not None

    async def renew(self, key: str, ttl: Duration, default: Any = None) -> Any:
        """Return the value and, if it is to expire at all, move its deadline; see :meth:`Namespace.renew`."""
        return await drive((await self._verbs()).renew(key, ttl, default))

    # -- removing

    async def delete(self, key: str, *, version: int | None = None) -> bool:
        """Remove an entry and return whether it was there; see :meth:`Namespace.delete`."""
        bound = self._bound or await self._bind()
        (removed,) = await bound.store.commit([bound.edits.delete(key, version)])
        return removed is not None

    async def delete_many(self, keys: Iterable[str]) -> int:
        """Remove all these entries in one step and return how many were there."""
        bound = self._bound or await self._bind()
        edits: list[Edit] = [*bound.edits.delete_many(keys)]
        removed = await bound.store.commit(edits) if edits else []
        return sum(version is not None for version in removed)

    async def pop(self, key: str, default: Any = DEFAULT) -> Any:
        """Remove an entry and return its value, in one step; without it, *default*, or KeyError."""
        return await drive((await self._verbs()).pop(key, default))

    async def popitem(self) -> tuple[str, Any]:
        """Remove the last entry, by key, and return key and value; raise KeyError if there is none."""
        return await drive((await self._verbs()).popitem())

    async def clear(self) -> None:
        """Remove every entry in one step; :meth:`AsyncStore.drop` does it in bounded batches."""
        bound = self._bound or await self._bind()
        await bound.store.write(bound.namespace.clear)

    async def purge_expired(self, limit: int | None = None) -> int:
        """Remove entries that have expired, *limit* at most, and return how many."""
        bound = self._bound or await self._bind()
        return await bound.store.write(bound.namespace.purge_expired, limit)

    async def _verbs(self) -> Verbs:
        bound = self._bound or await self._bind()
        store, context, name = bound.store, bound.store.context, self._name
        return Verbs(
            context,
            name,
            bound.edits,
            lambda key: store.read(context.read, name, key),
            lambda: store.read(context.last, name),
            store.commit,
        )

    # -- walking

    def __aiter__(self) -> AsyncIterator[str]:
        """Yield the keys in order, by pages: others may write meanwhile."""
        return self.keys()

    async def keys(self, *, reverse: bool = False) -> AsyncIterator[str]:
        """Yield the keys in order, or from the last to the first."""
        span = KeyRange(self._name, reverse=checked_bool(reverse, "reverse"))
        bound = self._bound or await self._bind()
        pages = bound.store.context.key_pages(span)
        while page := await bound.store.read(next, pages, None):
            for key in page:
                yield key

    async def values(self, *, reverse: bool = False) -> AsyncIterator[Any]:
        """Yield the values, in the order of their keys."""
        async for key, record in self._records(KeyRange(self._name, reverse=checked_bool(reverse, "reverse"))):
            yield self._value(key, record)

    async def items(self, *, reverse: bool = False) -> AsyncIterator[tuple[str, Any]]:
        """Yield keys and values, in the order of the keys."""
        async for key, record in self._records(KeyRange(self._name, reverse=checked_bool(reverse, "reverse"))):
            yield key, self._value(key, record)

    async def scan(self, prefix: str = "", *, reverse: bool = False) -> AsyncIterator[tuple[str, Entry[Any]]]:
        """Yield keys that begin with *prefix* and their entries, in order, by pages."""
        span = KeyRange(self._name, checked_prefix(prefix), None, checked_bool(reverse, "reverse"))
        context = (self._bound or await self._bind()).store.context
        async for key, record in self._records(span):
            yield key, context.entry(self._name, key, record)

    async def _records(self, span: KeyRange) -> AsyncIterator[tuple[str, Record]]:
        bound = self._bound or await self._bind()
        pages = bound.store.context.pages(span)
        while page := await bound.store.read(next, pages, None):
            for item in page:
                yield item

    def _value(self, key: str, record: Record) -> Any:
        return self._lazy.codecs.decode(self._name, key, record.body, record.content_type)

    async def list(
        self, prefix: str = "", *, limit: int = 100, cursor: str | None = None, reverse: bool = False
    ) -> Page:
        """Return a page of the keys that begin with *prefix*, in order; see :meth:`Namespace.list`."""
        bound = self._bound or await self._bind()
        return await bound.store.read(lambda: bound.namespace.list(prefix, limit=limit, cursor=cursor, reverse=reverse))

    async def by_age(self, *, limit: int = 100, cursor: str | None = None, reverse: bool = False) -> Page:
        """Return a page of the keys in the order of creation; see :meth:`Namespace.by_age`."""
        bound = self._bound or await self._bind()
        return await bound.store.read(lambda: bound.namespace.by_age(limit=limit, cursor=cursor, reverse=reverse))

    async def copy(self) -> dict[str, Any]:
        """Return a plain dict of what is there."""
        return {key: value async for key, value in self.items()}

    def __repr__(self) -> str:
        """Return the name and the file; nothing is asked."""
        return f"<AsyncNamespace {self._name!r} of {self._lazy.label!r}>"


def result_store_of(lazy: LazyStore, results: AsyncNamespace, defaults: Defaults) -> ResultStore:
    """Return where memoize keeps results: hits are awaited, and the other steps run in the thread of the writes."""
    leases = lease_namespace(results.name)
    declare_layouts(lazy.declare, results.name, leases)
    return ResultStore(
        lazy,
        results.sync_namespace,
        LazyNamespace(lazy, leases, Defaults(None, None)),
        lambda: Transaction(lazy.open().context),
        lazy.clock,
        lazy.codecs,
        defaults.ttl,
        defaults.content_type,
        OffLoop(results.get, results.get_with_meta, results.in_thread),
    )
