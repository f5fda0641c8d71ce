"""A namespace of a store whose keys are of a declared type: the store keeps their text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlitedict_kv.codecs.key_types import KeyType
from sqlitedict_kv.engines.protocol import Value
from sqlitedict_kv.errors import ConflictError, DecodeError
from sqlitedict_kv.namespace.namespace import Namespace
from sqlitedict_kv.operations.context import Defaults, Entry, StoreContext
from sqlitedict_kv.operations.pagination import Page
from sqlitedict_kv.operations.progress import Progress
from sqlitedict_kv.operations.type_variables import K, V
from sqlitedict_kv.validation import DEFAULT, NO_TAGS, Default, Duration, check_mapping


class KeyedNamespace(Namespace[K, V]):
    """A namespace with ``keys=``: each verb turns keys into their text on the way in, and back on the way out."""

    __slots__ = ("_key_type",)

    def __init__(
        self,
        context: StoreContext,
        name: str,
        defaults: Defaults,
        key_type: KeyType,
        read_value: Callable[[str, str], Value | None] | None = None,
    ) -> None:
        """Make a view; the arguments but *key_type* are those of :class:`Namespace`."""
        super().__init__(context, name, defaults, read_value)
        self._key_type = key_type

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as other namespaces do, with the type of the keys."""
        make, arguments = super().__reduce__()
        return make, (*arguments, self._key_type)

    def _text(self, key: object) -> Any:
        return self._key_type.encode(key)

    def _key(self, text: Any) -> Any:
        return decode_key_of(self._key_type, self._name, text)

    # -- reading

    def get(self, key: Any, default: Any = None, *, content_type: str | None = None, mapped: bool = False) -> Any:
        """Return the value, or *default* if there is none; see :meth:`Namespace.get`."""
        return super().get(self._text(key), default, content_type=content_type, mapped=mapped)

    def get_with_meta(self, key: Any, default: Any = None) -> Any:
        """Return an :class:`Entry`, or *default* if there is none."""
        return super().get_with_meta(self._text(key), default)

    def get_many(self, keys: Iterable[K]) -> dict[K, V]:
        """Return the values of those keys that have one, as of one moment."""
        asked: Any = self._key_type.encode_many(keys)
        return {asked[text]: value for text, value in super().get_many(asked).items()}

    def get_many_with_meta(self, keys: Iterable[K]) -> dict[K, Entry[V]]:
        """Return the entries of those keys that have one, values with versions and times, as of one moment."""
        asked: Any = self._key_type.encode_many(keys)
        return {asked[text]: entry for text, entry in super().get_many_with_meta(asked).items()}

    def __contains__(self, key: object) -> bool:
        """Return whether there is an entry; it counts as no read. As in a dict, a key of another type is not there."""
        text = self._key_type.encode_or_none(key)
        return text is not None and super().__contains__(text)

    # -- writing

    def set(
        self,
        key: K,
        value: V,
        *,
        ttl: Duration | None | Default = DEFAULT,
        content_type: str | None = None,
        tags: Iterable[str] = NO_TAGS,
    ) -> int:
        """Write a value, replacing all that was there, and return its version; see :meth:`Namespace.set`."""
        return super().set(self._text(key), value, ttl=ttl, content_type=content_type, tags=tags)

    def add(
        self,
        key: K,
        value: V,
        *,
        ttl: Duration | None | Default = DEFAULT,
        content_type: str | None = None,
        tags: Iterable[str] = NO_TAGS,
    ) -> int | None:
        """Write a value if the key is absent; return its version, or None if something is there."""
        return super().add(self._text(key), value, ttl=ttl, content_type=content_type, tags=tags)

    def cas_set(
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
            return super().cas_set(text, value, version, ttl=ttl, content_type=content_type, tags=tags)

    def set_many(
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
        versions = super().set_many(values, ttl=ttl, tags=tags, progress=progress)
        return {key: versions[text] for text, key in texts.items()}

    def setdefault(self, key: K, default: Any = None) -> V:
        """Return the value of a key, or write *default* and return it if there is none, in one step."""
        return super().setdefault(self._text(key), default)

    def incr(self, key: K, delta: float = 1, *, default: float | None = 0) -> int | float:
        """Add to a number and return the sum; see :meth:`Namespace.incr`."""
        with naming(key, text := self._text(key)):
            return super().incr(text, delta, default=default)

    def modify(
        self,
        key: K,
        function: Callable[[V], V],
        *,
        default: V | Default = DEFAULT,
        ttl: Duration | None | Default = DEFAULT,
    ) -> V:
        """Write what *function* makes of the value, and return it; see :meth:`Namespace.modify`."""
        with naming(key, text := self._text(key)):
            return super().modify(text, function, default=default, ttl=ttl)

    @contextmanager
    def edit(self, key: K, default: V | Default = DEFAULT) -> Iterator[V]:
        """Give the value to a ``with`` block, and write it back at its end; see :meth:`Namespace.edit`."""
        with naming(key, text := self._text(key)), super().edit(text, default) as value:
            yield value

    def touch(self, key: K, ttl: Duration | None) -> bool:
        """Let an entry expire *ttl* seconds from now, None is never; return whether it was there."""
        return super().touch(self._text(key), ttl)

    def renew(self, key: Any, ttl: Duration, default: Any = None) -> Any:
        """Return the value and, if it is to expire at all, let it expire *ttl* seconds from now, in one step."""
        return super().renew(self._text(key), ttl, default)

    # -- removing

    def delete(self, key: K, *, version: int | None = None) -> bool:
        """Remove an entry and return whether it was there; see :meth:`Namespace.delete`."""
        with naming(key, text := self._text(key)):
            return super().delete(text, version=version)

    def delete_many(self, keys: Iterable[K]) -> int:
        """Remove all these entries in one step and return how many were there."""
        texts: Any = self._key_type.encode_many(keys)
        return super().delete_many(texts)

    def pop(self, key: Any, default: Any = DEFAULT) -> Any:
        """Remove an entry and return its value, in one step; without it, *default*, or KeyError."""
        with naming(key, text := self._text(key)):
            return super().pop(text, default)

    def popitem(self) -> tuple[K, V]:
        """Remove the last entry, by key, and return key and value; raise KeyError if there is none."""
        text, value = super().popitem()
        return self._key(text), value

    # -- walking

    def _walk_keys(self, *, reverse: bool) -> Iterator[Any]:
        return map(self._key, super()._walk_keys(reverse=reverse))

    def walk(self, *, reverse: bool = False) -> Iterator[tuple[Any, Any]]:
        """Yield keys and values in the order of the keys, as ``items()`` does."""
        return ((self._key(text), value) for text, value in super().walk(reverse=reverse))

    def list(
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
        page = super().list(first, start=begin, stop=end, limit=limit, cursor=cursor, reverse=reverse)
        return Page(tuple(map(self._key, page.keys)), page.cursor)

    def by_age(self, *, limit: int = 100, cursor: str | None = None, reverse: bool = False) -> Page[K]:
        """Return a page of the keys in the order in which their entries were created; see :meth:`Namespace.by_age`."""
        page = super().by_age(limit=limit, cursor=cursor, reverse=reverse)
        return Page(tuple(map(self._key, page.keys)), page.cursor)

    def scan(
        self, prefix: K | str = "", *, start: K | None = None, stop: K | None = None, reverse: bool = False
    ) -> Iterator[tuple[K, Entry[V]]]:
        """Yield keys and their entries, in order, by pages; the arguments are those of :meth:`list`."""
        first, begin, end = self._key_type.encode_bounds(prefix, start, stop)
        entries = super().scan(first, start=begin, stop=end, reverse=reverse)
        return ((self._key(text), entry) for text, entry in entries)


def decode_key_of(key_type: KeyType, namespace: str, text: str) -> Any:
    """Return the key of an entry.

    Raises:
        DecodeError: its text stands for no key of the declared type.
    """
    try:
        return key_type.decode(text)
    except ValueError as error:
        raise DecodeError(
            f"the key {text!r} in namespace {namespace!r} is not one of keys={key_type.name}: {error}; "
            f"a namespace without keys= shows it and can delete it"
        ) from None


@contextmanager
def naming(key: object, text: str) -> Iterator[None]:
    """Let errors of the block name *key* as its caller does, not by its text."""
    try:
        yield
    except KeyError as error:
        if error.args != (text,):
            raise
        raise KeyError(key) from None
    except ConflictError as error:
        if error.key != text:
            raise
        raise ConflictError(error.namespace, key, expected=error.expected, actual=error.actual) from None
