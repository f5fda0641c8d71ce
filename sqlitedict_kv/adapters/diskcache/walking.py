"""Iteration over the keys of a cache, by pages, without a lock between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from sqlitedict_kv import Namespace, Page
from sqlitedict_kv.adapters._compat.key_encoding import is_hash
from sqlitedict_kv.adapters.diskcache.directory import CacheDirectory
from sqlitedict_kv.adapters.diskcache.values import item_of

KEYS_PER_PAGE = 100


def walk_names(directory: CacheDirectory, *, by_age: bool, reverse: bool) -> Iterator[str]:
    """Return an iterator of the names of all keys; the first page is read at once."""

    def read_page(cursor: str | None) -> Page:
        def list_names(entries: Namespace) -> Page:
            listing = entries.by_age if by_age else entries.list
            return listing(limit=KEYS_PER_PAGE, cursor=cursor, reverse=reverse)

        return directory.on_entries(list_names)

    first = read_page(None)

    def walk() -> Iterator[str]:
        current = first
        yield from current.keys
        while current.cursor is not None:
            current = read_page(current.cursor)
            yield from current.keys

    return walk()


def walk_keys(directory: CacheDirectory, key_of: Callable[[str], Any], *, by_age: bool, reverse: bool) -> Iterator[Any]:
    """Return an iterator of all keys, which *key_of* makes of their texts; the first page is read at once."""
    return _keys_of(directory, key_of, walk_names(directory, by_age=by_age, reverse=reverse))


def _keys_of(directory: CacheDirectory, key_of: Callable[[str], Any], names: Iterator[str]) -> Iterator[Any]:
    for text in names:
        if not is_hash(text):
            yield key_of(text)
            continue
        item = item_of(directory.on_entries(partial(_read, text)))
        if item.key is not None:  # else it was removed meanwhile
            yield key_of(item.key)


def _read(text: str, entries: Namespace) -> Any:
    return entries.get(text)
