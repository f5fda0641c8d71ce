"""A namespace for tasks whose keys are of a declared type."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from sqlitedict_kv.aio.lazy import LazyStore
from sqlitedict_kv.aio.namespace import AsyncNamespace
from sqlitedict_kv.codecs.key_types import KeyType, key_type_of
from sqlitedict_kv.memoization.result_store import ResultStore
from sqlitedict_kv.namespace import KeyedNamespace, Namespace
from sqlitedict_kv.namespace.keyed import decode_key_of, naming
from sqlitedict_kv.operations.context import Defaults, Entry
from sqlitedict_kv.operations.pagination import Page
from sqlitedict_kv.operations.progress import Progress
from sqlitedict_kv.operations.type_variables import K, V
from sqlitedict_kv.operations.usage import EntrySummary
from sqlitedict_kv.validation import DEFAULT, NO_TAGS, Default, Duration, check_mapping


def make_async_namespace(lazy: LazyStore, name: str, defaults: Defaults, keys: Any) -> AsyncNamespace[Any, Any]:
    """Return a view for tasks; *name* and *defaults* are checked already, *keys* is the declared type of keys."""
    key_type = key_type_of(keys)
    if key_type is None:
        return AsyncNamespace(lazy, name, defaults)
    return AsyncKeyedNamespace(lazy, name, defaults, key_type)


class AsyncKeyedNamespace(AsyncNamespace[K, V]):
    """A namespace with ``keys=``: each verb turns keys into their text on the way in, and back on the way out."""

    __slots__ = ("_key_type",)

    def __init__(self, lazy: LazyStore, name: str, defaults: Defaults, key_type: KeyType) -> None:
        """Make a view; the arguments but *key_type* are those of :class:`AsyncNamespace`."""
        super().__init__(lazy, name, defaults)
        self._key_type = key_type

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as other namespaces do, with the type of the keys."""
        make, arguments = super().__reduce__()
        return make, (*arguments, self._key_type)

    @property
    def sync_namespace(self) -> Namespace[Any, Any]:
        """The same namespace for code that may block; it opens the store."""
        return KeyedNamespace(self._lazy.open().context, self._name, self._defaults, self._key_type)

    def _result_store(self, ns: str | None) -> ResultStore:
        plain: AsyncNamespace = AsyncNamespace(self._lazy, self._name, self._defaults)
        return plain._result_store(ns)  # noqa: SLF001 - of another object

    def _text(self, key: object) -> Any:
        return self._key_type.encode(key)

    def _key(self, text: Any) -> Any:
        return decode_key_of(self._key_type, self._name, text)

    # -- reading

    async def get(self, key: Any, default: Any = None, *, content_type: str | None = None, mapped: bool = False) -> Any:
        """Return the value, or *default* if there is none; see :meth:`Namespace.get`."""
        return await super().get(self._text(key), default, content_type=content_type, mapped=mapped)

    async def get_with_meta(self, key: Any, default: Any = None) -> Any:
        """Return an :class:`Entry`, or *default* if there is none."""
        return await super().get_with_meta(self._text(key), default)

    async def get_many(self, keys: Iterable[K]) -> dict[K, V]:
        """Return the values of those keys that have one, as of one moment."""
        asked: Any = self._key_type.encode_many(keys)
        return {asked[text]: value for text, value in (await super().get_many(asked)).items()}

    async def get_many_with_meta(self, keys: Iterable[K]) -> dict[K, Entry[V]]:
        """Return the entries of those keys that have one, values with versions and times, as of one moment."""
        asked: Any = self._key_type.encode_many(keys)
        return {asked[text]: entry for text, entry in (await super().get_many_with_meta(asked)).items()}

    async def contains(self, key: object) -> bool:
        """Return whether there is an entry; it counts as no read. A key of another type is not there."""
        text = self._key_type.encode_or_none(key)
        return text is not None and await super().contains(text)

    async def largest(self, n: int = 10, *, progress: Progress | None = None) -> list[EntrySummary[K]]:
        """Return the *n* entries with the largest values, the largest first; see :meth:`Namespace.largest`."""
        return [each._replace(key=self._key(each.key)) for each in await super().largest(n, progress=progress)]

    # -- writing

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
        return await super().set(self._text(key), value, ttl=ttl, content_type=content_type, tags=tags)

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
        return await super().add(self._text(key), value, ttl=ttl, content_type=content_type, tags=tags)

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
        """Write a value if the entry is still at *version*, and return the new one; see :meth:`Namespace.cas_set`."""
        with naming(key, text := self._text(key)):
            return await super().cas_set(text, value, version, ttl=ttl, content_type=content_type, tags=tags)

    async def set_many(
        self,
        mapping: Mapping[K, V],
        *,
        ttl: Duration | None | Default = DEFAULT,
        tags: Iterable[str] = NO_TAGS,
        progress: Progress | None = None,
    ) -> dict[K, int]:
        """Write all the values of a mapping, or none, and return their versions by key."""
        given = check_mapping(mapping, "mapping")
        texts: Any = self._key_type.encode_many(given)
        values: Any = {text: given[key] for text, key in texts.items()}
        versions = await super().set_many(values, ttl=ttl, tags=tags, progress=progress)
        return {key: versions[text] for text, key in texts.items()}

    async def setdefault(self, key: K, default: Any = None) -> V:
        """Return the value of a key, or write *default* and return it if there is none, in one step."""
        return await super().setdefault(self._text(key), default)

    async def incr(self, key: K, delta: float = 1, *, default: float | None = 0) -> int | float:
        """Add to a number and return the sum; see :meth:`Namespace.incr`."""
        with naming(key, text := self._text(key)):
            return await super().incr(text, delta, default=default)

    async def modify(
        self,
        key: K,
        function: Callable[[V], V | Awaitable[V]],
        *,
        default: V | Default = DEFAULT,
        ttl: Duration | None | Default = DEFAULT,
    ) -> V:
        """Write what *function* makes of the value, and return it; see :meth:`AsyncNamespace.modify`."""
        with naming(key, text := self._text(key)):
            return await super().modify(text, function, default=default, ttl=ttl)

    @asynccontextmanager
    async def edit(self, key: K, default: V | Default = DEFAULT) -> AsyncIterator[V]:
        """Give the value to an ``async with`` block, and write it back at its end; see :meth:`Namespace.edit`."""
        with naming(key, text := self._text(key)):
            async with super().edit(text, default) as value:
                yield value

    async def touch(self, key: K, ttl: Duration | None) -> bool:
        """Let an entry expire *ttl* seconds from now, None is never; return whether it was there."""
        return await super().touch(self._text(key), ttl)

    async def renew(self, key: Any, ttl: Duration, default: Any = None) -> Any:
        """Return the value and, if it is to expire at all, move its deadline; see :meth:`Namespace.renew`."""
        return await super().renew(self._text(key), ttl, default)

    # -- removing

    async def delete(self, key: K, *, version: int | None = None) -> bool:
        """Remove an entry and return whether it was there; see :meth:`Namespace.delete`."""
        with naming(key, text := self._text(key)):
            return await super().delete(text, version=version)

    async def delete_many(self, keys: Iterable[K]) -> int:
        """Remove all these entries in one step and return how many were there."""
        texts: Any = self._key_type.encode_many(keys)
        return await super().delete_many(texts)

    async def pop(self, key: Any, default: Any = DEFAULT) -> Any:
        """Remove an entry and return its value, in one step; without it, *default*, or KeyError."""
        with naming(key, text := self._text(key)):
            return await super().pop(text, default)

    async def popitem(self) -> tuple[K, V]:
        """Remove the last entry, by key, and return key and value; raise KeyError if there is none."""
        text, value = await super().popitem()
        return self._key(text), value

    # -- walking

    async def keys(self, *, reverse: bool = False) -> AsyncIterator[K]:
        """Yield the keys in order, or from the last to the first."""
        async for text in super().keys(reverse=reverse):
            yield self._key(text)

    async def items(self, *, reverse: bool = False) -> AsyncIterator[tuple[K, V]]:
        """Yield keys and values, in the order of the keys."""
        async for text, value in super().items(reverse=reverse):
            yield self._key(text), value

    async def scan(
        self, prefix: K | str = "", *, start: K | None = None, stop: K | None = None, reverse: bool = False
    ) -> AsyncIterator[tuple[K, Entry[V]]]:
        """Yield keys and their entries, in order, by pages; the arguments are those of :meth:`Namespace.list`."""
        first, begin, end = self._key_type.encode_bounds(prefix, start, stop)
        async for text, entry in super().scan(first, start=begin, stop=end, reverse=reverse):
            yield self._key(text), entry

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
        first, begin, end = self._key_type.encode_bounds(prefix, start, stop)
        page = await super().list(first, start=begin, stop=end, limit=limit, cursor=cursor, reverse=reverse)
        return Page(tuple(map(self._key, page.keys)), page.cursor)

    async def by_age(self, *, limit: int = 100, cursor: str | None = None, reverse: bool = False) -> Page[K]:
        """Return a page of the keys in the order of creation; see :meth:`Namespace.by_age`."""
        page = await super().by_age(limit=limit, cursor=cursor, reverse=reverse)
        return Page(tuple(map(self._key, page.keys)), page.cursor)
