"""Cache of cachelib on a namespace of a store; Flask-Session takes it as it is.

>>> from sqlitedict_kv.adapters.cachelib import SQLiteCache
>>> cache = SQLiteCache(":memory:")
>>> cache.set("answer", 42, timeout=60)
True
>>> cache.get("answer")
42
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from cachelib.base import BaseCache

from sqlitedict_kv import Codec, CodecError, DecodeError
from sqlitedict_kv.adapters.support import MARKUP_CODEC, STORE_OPTIONS, SharedNamespace, fitting_key, fitting_ttl

NAMESPACE = "cachelib"
SERIALIZED = "application/x-cachelib-serialized"


class Serialized(NamedTuple):
    """Bytes that a serializer of cachelib made of a value."""

    serializer: str  # the name of its class: no other one may read the bytes
    body: bytes


SERIALIZED_CODEC = Codec(
    SERIALIZED,
    lambda value: value.serializer.encode() + b"\0" + value.body,
    lambda body: Serialized(body[: body.index(b"\0")].decode(), body[body.index(b"\0") + 1 :]),
    (Serialized,),
)


class SQLiteCache(BaseCache):
    """A cache in one SQLite file that all threads and processes share.

    If somebody deletes the file, the next write opens a new one.

    Attributes:
        serializer: a serializer of cachelib that encodes all values but ints, or None, the default, for the codecs of
            the store, which keep built-in types exactly and never pickle. cachelib's SimpleSerializer is pickle, so
            with it anyone who can write to the file can run code in this process.
    """

    serializer: Any = None

    def __init__(
        self,
        path: str | os.PathLike[str],
        default_timeout: int | timedelta = 300,
        ignore_delete_many_errors: bool = True,  # noqa: FBT001, FBT002 # as cachelib has it
        *,
        namespace: str = NAMESPACE,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Open the file, which all caches of this process share.

        Args:
            path: the file, or the address of servers.
            default_timeout: seconds that an entry lives if a write does not say; 0 is forever.
            ignore_delete_many_errors: taken as cachelib passes it; here, none can occur.
            namespace: which one of the file keeps the cache.
            options: keyword arguments of :class:`sqlitedict_kv.Store`, such as ``max_bytes`` and ``lru_bytes``.

        Raises:
            TypeError, ValueError: an argument is not as described.
            OpenError: the path cannot be opened as a store.
        """
        super().__init__(default_timeout)  # releases before 0.16 take no more
        self.ignore_delete_many_errors = ignore_delete_many_errors
        chosen = dict(options or {})
        if unknown := chosen.keys() - STORE_OPTIONS:
            raise TypeError(
                f"options has {', '.join(sorted(unknown))}, and may have {', '.join(sorted(STORE_OPTIONS))}"
            )
        # Markup first: a codec of the user for any object replaces it.
        chosen["codecs"] = (MARKUP_CODEC, *chosen.get("codecs", ()), SERIALIZED_CODEC)
        if _gone(default := self._ttl(None)):
            raise ValueError(f"default_timeout must be 0, which is forever, or more, not {default_timeout}")
        self._entries = SharedNamespace(path, chosen, namespace, ttl=default)
        self._entries.open()

    def _ttl(self, timeout: float | timedelta | None) -> float | None:
        """Return seconds, None for forever; a negative time has passed already."""
        seconds = self._normalize_timeout(timeout)  # releases before 0.17 leave the rest to us
        if isinstance(seconds, timedelta):
            seconds = seconds.total_seconds()
        if not isinstance(seconds, int | float):
            raise TypeError(f"timeout must be a number of seconds or a timedelta, not {type(seconds).__name__}")
        return fitting_ttl(seconds) if seconds else None

    # -- one key

    def get(self, key: str) -> Any:
        """Return the value, or None."""
        name = fitting_key(key)
        return self._loaded(self._entries.run(lambda entries: entries.get(name)))

    def set(self, key: str, value: Any, timeout: float | timedelta | None = None) -> bool:
        """Write a value and return True; a negative *timeout* removes what is there."""
        name, ttl = fitting_key(key), self._ttl(timeout)
        if _gone(ttl):
            self._entries.run(lambda entries: entries.delete(name))
        else:
            dumped = self._dumped(value)
            self._entries.run(lambda entries: entries.set(name, dumped, ttl=ttl))
        return True

    def add(self, key: str, value: Any, timeout: float | timedelta | None = None) -> bool:
        """Write a value if there is none, in one step, and return whether that was so."""
        name, ttl = fitting_key(key), self._ttl(timeout)
        if _gone(ttl):
            return self._entries.run(lambda entries: name not in entries)
        dumped = self._dumped(value)
        return self._entries.run(lambda entries: entries.add(name, dumped, ttl=ttl)) is not None

    def delete(self, key: str) -> bool:
        """Remove an entry and return whether it was there."""
        name = fitting_key(key)
        return self._entries.run(lambda entries: entries.delete(name))

    def has(self, key: str) -> bool:
        """Return whether there is an entry, without reading its value; a stored None is one."""
        name = fitting_key(key)
        return self._entries.run(lambda entries: name in entries)

    def inc(self, key: str, delta: int = 1) -> int | float:
        """Add to a number in one step and return the sum; nothing, and None, count as 0.

        The timeout of an entry stays; a new one gets the default.

        Raises:
            TypeError: the value is not a number.
        """
        name = fitting_key(key)
        try:
            return self._entries.run(lambda entries: entries.incr(name, delta))
        except TypeError:  # a bool, None, or serialized: added up in Python
            return self._inc_any(name, delta)

    def _inc_any(self, name: str, delta: int) -> int | float:
        sums: list[int | float] = []

        def change(value: Any) -> Any:
            sums.append((self._loaded(value) or 0) + delta)
            return self._dumped(sums[-1])

        self._entries.run(lambda entries: entries.modify(name, change, default=0))
        return sums[-1]

    def dec(self, key: str, delta: int = 1) -> int | float:
        """Subtract from a number; see :meth:`inc`."""
        return self.inc(key, -delta)

    # -- many keys

    def get_many(self, *keys: str) -> list[Any]:
        """Return the values of the keys, None for each that is absent, as of one moment."""
        names = [fitting_key(key) for key in keys]
        found = self._entries.run(lambda entries: entries.get_many(names))
        return [self._loaded(found.get(name)) for name in names]

    def set_many(self, mapping: Mapping[str, Any], timeout: float | timedelta | None = None) -> list[str]:
        """Write all the values or, if one cannot be kept, none; return their keys."""
        entries = {fitting_key(key): self._dumped(value) for key, value in mapping.items()}
        if _gone(ttl := self._ttl(timeout)):
            self._entries.run(lambda namespace: namespace.delete_many(entries))
        else:
            self._entries.run(lambda namespace: namespace.set_many(entries, ttl=ttl))
        return list(mapping)

    def delete_many(self, *keys: str) -> list[str]:
        """Remove all these entries in one step; return the keys; absent ones count as deleted."""
        names = [fitting_key(key) for key in keys]
        self._entries.run(lambda entries: entries.delete_many(names))
        return list(keys)

    def clear(self) -> bool:
        """Remove every entry of the namespace in one step and return True."""
        self._entries.run(lambda entries: entries.clear())
        return True

    # -- serializers

    def _dumped(self, value: Any) -> Any:
        """Return what is stored for a value; an int as it is, so that it can be counted in one step."""
        if self.serializer is None or type(value) is int:
            return value
        body = self.serializer.dumps(value)
        if body is None:  # it has logged why
            raise CodecError(f"{self._serializer_name()} cannot keep this {type(value).__name__}")
        return Serialized(self._serializer_name(), body.encode() if isinstance(body, str) else body)

    def _loaded(self, value: Any) -> Any:
        if type(value) is not Serialized:
            return value
        if value.serializer != self._serializer_name():
            raise DecodeError(
                f"an entry was written with the serializer {value.serializer}, and this cache reads with "
                f"{self._serializer_name()}; use the same one, or clear the cache"
            )
        return self.serializer.loads(value.body)

    def _serializer_name(self) -> str:
        return type(self.serializer).__name__


def _gone(ttl: float | None) -> bool:
    return ttl is not None and ttl < 0
