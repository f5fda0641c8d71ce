"""Entries of a cache: opened at the first use, with culling, and with entries that cannot be read as absent ones."""

from __future__ import annotations

import os
import pkgutil
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from django.core.cache.backends.base import InvalidCacheBackendError

from sqlitedict_kv import AsyncNamespace, CodecError, DecodeError, Namespace, UnsupportedError
from sqlitedict_kv.adapters.django import culling
from sqlitedict_kv.adapters.django.values import ALLOW_PICKLE, add_codecs, encode_early
from sqlitedict_kv.adapters.support import STORE_OPTIONS, SharedNamespace, check_bool, check_store_options

MISSING = object()

T = TypeVar("T")


def take_own_options(location: str | os.PathLike[str], options: dict[str, Any]) -> bool:
    """Leave the store's options in *options*, with our codecs, and return whether values may be pickled."""
    if not location:
        raise InvalidCacheBackendError("LOCATION must be the path of the cache's file")
    pickled = check_bool(options.pop(ALLOW_PICKLE, False), ALLOW_PICKLE)
    if unknown := options.keys() - STORE_OPTIONS:
        known = ", ".join(sorted(STORE_OPTIONS | {"MAX_ENTRIES", "CULL_FREQUENCY", "namespace", ALLOW_PICKLE}))
        raise InvalidCacheBackendError(f"OPTIONS has {', '.join(sorted(unknown))}, and may have {known}")
    if isinstance(options.get("types"), list | tuple):
        options["types"] = [_named(part) if isinstance(part, str) else part for part in options["types"]]
    add_codecs(options, pickled=pickled)
    return pickled


def _named(name: str) -> Any:
    """Return the class of a dotted name, as settings name what cannot be imported yet."""
    try:
        return pkgutil.resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InvalidCacheBackendError(f"OPTIONS['types'] has {name!r}, which cannot be imported ({error})") from error


def is_readable(entries: Namespace, name: str) -> bool:
    """Return whether there is an entry that can be read."""
    try:
        return entries.get(name, MISSING) is not MISSING
    except DecodeError:
        return False


class CacheEntries(SharedNamespace):
    """The namespace of a cache."""

    def __init__(
        self, location: str | os.PathLike[str], options: Mapping[str, Any], name: str, *, pickles: bool
    ) -> None:
        """Check the options of the store, and open nothing; *pickles* is whether the codecs write them."""
        self._codecs = check_store_options(location, options)
        self._pickles = pickles
        super().__init__(location, options, name)

    def run(self, call: Callable[[Namespace], T]) -> T:
        """Return what *call* does with the entries; an error names the option that would keep a value."""
        try:
            return super().run(call)
        except CodecError as error:
            raise self._with_advice(error) from None

    async def arun(self, call: Callable[[AsyncNamespace], Awaitable[T]]) -> T:
        """Await what *call* does with the entries; see :meth:`run`."""
        try:
            return await super().arun(call)
        except CodecError as error:
            raise self._with_advice(error) from None

    def _with_advice(self, error: CodecError) -> CodecError:
        """Return an error that names the option which would keep a value."""
        if self._pickles or isinstance(error, DecodeError):
            return error
        return CodecError(f"{error}; or, if need be, let it be pickled: see {ALLOW_PICKLE!r}")

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Await *call* in a thread, where the store may be used as it is."""
        return await self.awaited.in_thread(call)

    def replace_unreadable(self, name: str, value: Any, ttl: float | None) -> bool:
        """Write a value over an entry that cannot be read, in one step where there is a file; return whether it was so.

        Else a miss would stay one as long as the entry lives, for :meth:`add` would find it.
        """
        if self.run(lambda entries: is_readable(entries, name)):
            return False
        try:
            with self.store.exclusive() as held:
                entries = held.ns(self.entries.name)
                return not is_readable(entries, name) and entries.set(name, value, ttl=ttl) > 0
        except UnsupportedError:
            return self.run(lambda entries: entries.set(name, value, ttl=ttl)) > 0

    def write_culling(
        self, values: Mapping[str, Any], ttl: float | None, limits: culling.Limits, *, replace: bool = True
    ) -> bool:
        """Write values, or none if one of them cannot be kept, and cull for those that are new.

        With *replace* false nothing is written, and False is returned, if there is an entry by one of the names.
        """

        def write(_: Namespace) -> bool:
            # Encoded before the lock is taken: others wait for it, and a value may take long.
            encoded = {name: encode_early(self._codecs, value) for name, value in values.items()}
            with self.store.exclusive() as held:
                entries = held.ns(self.entries.name)
                if not replace and any(is_readable(entries, name) for name in values):
                    return False
                culling.write(entries, encoded, ttl, limits)
                return True

        return self.run(write)
