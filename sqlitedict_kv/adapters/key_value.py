"""Store of py-key-value, and so of FastMCP: each collection is a namespace."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, SupportsFloat

from key_value.aio.errors import DeserializationError, InvalidTTLError, SerializationError

from sqlitedict_kv import CodecError, Entry, TooLargeError
from sqlitedict_kv.adapters.support import HASHED, JSON, MAX_NAMESPACE_BYTES, check_namespace, fitting_key, fitting_ttl
from sqlitedict_kv.aio import AsyncNamespace, AsyncStore

KEYS_PER_PAGE = 1000


class SQLiteStore:
    """Implements py-key-value's protocols on a store: keys and values, enumeration, culling, destruction.

    Values are mappings of str to what ``json.dumps`` takes, and come back as they were: a tuple stays a tuple.
    Nothing is pickled. Keys and collections may be of any length and hold any character.
    """

    def __init__(
        self, store: AsyncStore, *, default_collection: str = "default_collection", prefix: str = "collections/"
    ) -> None:
        """Keep collections in *store*, which remains its owner's to close.

        Args:
            store: where to keep them.
            default_collection: the collection that a call without one means.
            prefix: what the names of their namespaces begin with. :meth:`destroy` and :meth:`collections` know of no
                other namespaces; two of these stores with prefixes of which neither begins with the other are apart.
        """
        self._store = store
        self._default_collection = default_collection
        self._prefix = check_namespace(prefix, "prefix")
        self._room = MAX_NAMESPACE_BYTES - len(self._prefix.encode())
        if self._room < len(fitting_key(HASHED)):
            raise ValueError(f"prefix is too long, it leaves no room for a name: {prefix!r}")

    # -- keys and values

    async def get(self, key: str, *, collection: str | None = None) -> dict[str, Any] | None:
        """Return the value of a key, None if it is absent."""
        place = self._place(collection)
        (name,) = _names([key])
        stored = await place.view.get(name)
        return None if stored is None else place.value(name, stored)

    async def get_many(self, keys: Sequence[str], *, collection: str | None = None) -> list[dict[str, Any] | None]:
        """Return the values of keys, None for each that has none, as of one moment."""
        place = self._place(collection)
        names = _names(keys)
        found = await place.view.get_many(names)
        return [place.value(name, found[name]) if name in found else None for name in names]

    async def ttl(self, key: str, *, collection: str | None = None) -> tuple[dict[str, Any] | None, float | None]:
        """Return the value of a key and the seconds it has to live, None for forever; (None, None) if absent."""
        (found,) = await self.ttl_many([key], collection=collection)
        return found

    async def ttl_many(
        self, keys: Sequence[str], *, collection: str | None = None
    ) -> list[tuple[dict[str, Any] | None, float | None]]:
        """Return what :meth:`ttl` does for each of the keys, as of one moment."""
        place = self._place(collection)
        names = _names(keys)
        found = await place.view.get_many_with_meta(names)
        now = self._store.clock()
        return [
            (place.value(name, found[name].value), _seconds_left(found[name], now)) if name in found else (None, None)
            for name in names
        ]

    async def put(
        self,
        key: str,
        value: Mapping[str, Any],
        *,
        collection: str | None = None,
        ttl: SupportsFloat | None = None,
    ) -> None:
        """Write a value.

        Args:
            key: the key.
            value: what to keep, a mapping with str keys.
            collection: the collection, None for the default one.
            ttl: seconds until it expires, None is never.

        Raises:
            TypeError: the value is not a mapping, or not all its keys are str.
            SerializationError: it holds something that JSON has no form for, or is too large.
            InvalidTTLError: the ttl is not a number above 0.
        """
        await self.put_many([key], [value], collection=collection, ttl=ttl)

    async def put_many(
        self,
        keys: Sequence[str],
        values: Sequence[Mapping[str, Any]],
        *,
        collection: str | None = None,
        ttl: SupportsFloat | None = None,
    ) -> None:
        """Write a value for each key, all or none; see :meth:`put`.

        Raises:
            ValueError: there are not as many values as keys.
        """
        names, documents = _names(keys), [_document(value) for value in values]
        if len(names) != len(documents):
            raise ValueError(f"put_many needs a value for each key, and got {len(documents)} for {len(names)}")
        seconds = _check_ttl(ttl)
        place = self._place(collection)
        entries = {
            name: place.wrapped(name, key, document) for name, key, document in zip(names, keys, documents, strict=True)
        }
        try:
            try:
                await _write(place.view, entries, seconds)
            except CodecError:
                _demand_json(entries)
                await _write(self._store.ns(place.view.name), entries, seconds)
        except (CodecError, TooLargeError) as error:
            raise SerializationError(str(error)) from error

    async def delete(self, key: str, *, collection: str | None = None) -> bool:
        """Remove a key and return whether it was there."""
        return await self.delete_many([key], collection=collection) == 1

    async def delete_many(self, keys: Sequence[str], *, collection: str | None = None) -> int:
        """Remove keys in one step and return how many were there."""
        return await self._place(collection).view.delete_many(_names(keys))

    # -- enumeration, culling, destruction

    async def keys(self, collection: str | None = None, *, limit: int | None = None) -> list[str]:
        """Return the keys of a collection, *limit* at most."""
        place = self._place(collection)
        names: list[str] = []
        cursor = None
        while limit is None or len(names) < limit:
            room = KEYS_PER_PAGE if limit is None else min(KEYS_PER_PAGE, limit - len(names))
            page = await place.view.list(limit=room, cursor=cursor)
            names += page.keys
            cursor = page.cursor
            if cursor is None:
                break
        hashed = await place.view.get_many([name for name in names if name.startswith(HASHED)])
        found = ((name, hashed.get(name)) for name in names if name in hashed or not name.startswith(HASHED))
        return [name if stored is None else place.key(name, stored) for name, stored in found]

    async def collections(self, *, limit: int | None = None) -> list[str]:
        """Return the names of the collections that have keys, *limit* at most."""
        names: list[str] = []
        for namespace in await self._namespaces():
            if limit is not None and len(names) >= limit:
                break
            name: str | None = namespace.removeprefix(self._prefix)
            if namespace.startswith(self._prefix + HASHED):
                name = await self._name_within(namespace)
            if name is not None:
                names.append(name)
        return names

    async def cull(self) -> None:
        """Remove the entries that have expired, which are absent already, from the file."""
        await self._store.purge_expired()

    async def destroy_collection(self, collection: str) -> bool:
        """Remove a collection and return whether it had keys."""
        return await self._store.drop(self._namespace(collection)) > 0

    async def destroy(self) -> bool:
        """Remove all collections; other namespaces of the store stay."""
        for namespace in await self._namespaces():
            await self._store.drop(namespace)
        return True

    # -- names

    def _place(self, collection: str | None) -> _Place:
        name = collection or self._default_collection
        namespace = self._namespace(name)
        return _Place(self._store.ns(namespace, content_type=JSON), name, hashed=namespace != self._prefix + name)

    def _namespace(self, collection: str) -> str:
        if not isinstance(collection, str):
            raise TypeError(f"collection must be a str, not {type(collection).__name__}")
        return self._prefix + fitting_key(collection, self._room)

    async def _namespaces(self) -> list[str]:
        return [name for name in await self._store.namespaces() if name.startswith(self._prefix)]

    async def _name_within(self, namespace: str) -> str | None:
        """Return the name of a collection whose namespace is a hash; None if it is empty by now."""
        view = self._store.ns(namespace)
        first = await view.list(limit=1)
        for document in (await view.get_many(first.keys)).values():
            name: str = json.loads(document[0])
            return name
        return None


class _Place:
    """A collection; where a name had to be hashed, the value is in a list with the names themselves, as JSON."""

    def __init__(self, view: AsyncNamespace, collection: str, *, hashed: bool) -> None:
        self.view = view
        self._collection = collection
        self._hashed = hashed

    def wraps(self, name: str) -> bool:
        """Whether the entry of this name is a list of collection, key and value."""
        return self._hashed or name.startswith(HASHED)

    def wrapped(self, name: str, key: str, document: dict[str, Any]) -> Any:
        """Return what to store for a value."""
        return [json.dumps(self._collection), json.dumps(key), document] if self.wraps(name) else document

    def key(self, name: str, stored: Any) -> str:
        """Return the key from what is stored under its hash."""
        self.value(name, stored)
        key: str = json.loads(stored[1])
        return key

    def value(self, name: str, stored: Any) -> dict[str, Any]:
        """Return the value from what is stored."""
        match stored:
            case [_, _, dict(document)] if self.wraps(name):
                return document
            case dict() if not self.wraps(name):
                return stored
        raise DeserializationError(f"the entry {name!r} of {self._collection!r} was not written by this adapter")


def _names(keys: Sequence[str]) -> list[str]:
    """Return the names of the entries of keys."""
    if isinstance(keys, str | bytes):
        raise TypeError(f"keys must be a sequence of str, not {type(keys).__name__}")
    for key in keys:
        if not isinstance(key, str):
            raise TypeError(f"key must be a str, not {type(key).__name__}")
    return [fitting_key(key) for key in keys]


def _document(value: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"value must be a mapping, not {type(value).__name__}")
    if not all(isinstance(name, str) for name in value):
        raise TypeError("value must have only str as keys")
    return dict(value)


def _check_ttl(ttl: SupportsFloat | None) -> float | None:
    if ttl is None:
        return None
    if isinstance(ttl, bool) or not isinstance(ttl, SupportsFloat):
        raise InvalidTTLError(ttl, {"type": type(ttl).__name__})
    seconds = float(ttl)
    if not seconds > 0:  # NaN too
        raise InvalidTTLError(ttl)
    return fitting_ttl(seconds)


def _seconds_left(entry: Entry[Any], now: float) -> float | None:
    return None if entry.meta.expires_at is None else max(0.0, entry.meta.expires_at.timestamp() - now)


async def _write(view: AsyncNamespace, entries: dict[str, Any], seconds: float | None) -> None:
    if len(entries) == 1:  # in one commit with others that write at the same time
        for name, document in entries.items():
            await view.set(name, document, ttl=seconds)
    else:
        await view.set_many(entries, ttl=seconds)


def _demand_json(entries: dict[str, Any]) -> None:
    """Refuse what the other stores refuse. What they take and JSON would change, such as a tuple, is kept as it is."""
    try:
        json.dumps(list(entries.values()))
    except (TypeError, ValueError, RecursionError) as error:
        raise SerializationError(f"JSON has no form for this value: {error}") from error
