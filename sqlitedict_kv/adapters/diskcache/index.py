"""Mapping in a directory, in the order of insertion, that evicts nothing: diskcache's ``Index``."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, MutableMapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Self, TypeVar

from sqlitedict_kv.adapters.diskcache.cache import Cache
from sqlitedict_kv.adapters.diskcache.values import ENOVAL

T = TypeVar("T")


class Index(MutableMapping[Any, Any]):
    """A mapping that remembers the order in which keys were inserted."""

    __hash__: ClassVar[None]  # type: ignore[assignment] # as every mapping that changes

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Open the index of a directory, the first argument if that is a str or bytes, and update it with the rest.

        Without a directory, or with None, it is a new temporary one.
        """
        directory, rest = None, args
        if args and (args[0] is None or isinstance(args[0], bytes | str)):
            directory, rest = args[0], args[1:]
        if isinstance(directory, bytes):
            directory = directory.decode()
        self._cache = Cache(directory, eviction_policy="none")
        self.update(*rest, **kwargs)

    @classmethod
    def fromcache(cls, cache: Cache, *args: Any, **kwargs: Any) -> Self:
        """Return an index of the entries of *cache*, updated with the other arguments."""
        index = cls.__new__(cls)
        index._cache = cache  # noqa: SLF001 - of the object that this makes
        index.update(*args, **kwargs)
        return index

    @property
    def cache(self) -> Cache:
        """The cache that holds the entries."""
        return self._cache

    @property
    def directory(self) -> str:
        """The directory."""
        return self._cache.directory

    def __getitem__(self, key: Any) -> Any:
        """Return the value; raise KeyError if there is none."""
        return self._cache[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        """Write a value."""
        self._cache[key] = value

    def __delitem__(self, key: Any) -> None:
        """Remove an entry; raise KeyError if there is none."""
        del self._cache[key]

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """Return the value of a key, or write *default* and return it if there is none."""
        while True:
            found = self._cache.get(key, ENOVAL, retry=True)
            if found is not ENOVAL:
                return found
            self._cache.add(key, default, retry=True)

    def peekitem(self, last: bool = True) -> tuple[Any, Any]:
        """Return the key and value that were inserted last, or first; raise KeyError if there is none."""
        pair: tuple[Any, Any] = self._cache.peekitem(last, retry=True)
        return pair

    def pop(self, key: Any, default: Any = ENOVAL) -> Any:
        """Remove an entry and return its value; without it, *default*, or KeyError."""
        value = self._cache.pop(key, default, retry=True)
        if value is ENOVAL:
            raise KeyError(key)
        return value

    def popitem(self, last: bool = True) -> tuple[Any, Any]:
        """Remove the entry that was inserted last, or first, and return it; raise KeyError if there is none."""
        while True:
            key, _ = self.peekitem(last)
            value = self._cache.pop(key, ENOVAL, retry=True)
            if value is not ENOVAL:
                return key, value

    def push(self, value: Any, prefix: str | None = None, side: str = "back") -> Any:
        """Add a value to a queue and return its key; see :meth:`Cache.push`."""
        return self._cache.push(value, prefix, side, retry=True)

    def pull(self, prefix: str | None = None, default: Any = (None, None), side: str = "front") -> Any:
        """Remove the entry at one end of a queue and return it; see :meth:`Cache.pull`."""
        return self._cache.pull(prefix, default, side, retry=True)

    def clear(self) -> None:
        """Remove every entry."""
        self._cache.clear(retry=True)

    def __iter__(self) -> Iterator[Any]:
        """Return an iterator of the keys in the order of insertion."""
        return iter(self._cache)

    def __reversed__(self) -> Iterator[Any]:
        """Return an iterator of the keys in the opposite order."""
        return reversed(self._cache)

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self._cache)

    def __eq__(self, other: object) -> bool:
        """Compare with a mapping, in order with an index or an OrderedDict."""
        if not isinstance(other, MutableMapping):
            return NotImplemented
        if isinstance(other, Index | OrderedDict):
            return list(self.items()) == list(other.items())
        return len(self) == len(other) and all(other.get(key, ENOVAL) == value for key, value in self.items())

    def memoize(
        self, name: str | None = None, typed: bool = False, ignore: Collection[int | str] = ()
    ) -> Callable[[Callable[..., T]], Callable[..., T]]:
        """Return a decorator that keeps the results of a function; see :meth:`Cache.memoize`."""
        return self._cache.memoize(name, typed, ignore=ignore)

    def transact(self) -> AbstractContextManager[None]:
        """Return a context manager in whose block this thread alone writes."""
        return self._cache.transact(retry=True)

    def __getstate__(self) -> Cache:
        """Return what opens the same index elsewhere."""
        return self._cache

    def __setstate__(self, state: Cache) -> None:
        """Open the same index."""
        self._cache = state

    def __repr__(self) -> str:
        """Return the directory."""
        return f"{type(self).__name__}({self.directory!r})"
