"""Removal of many entries: by condition, by expiry, and by age until a cache is under its size limit."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from sqlitedict_kv import Entry, Namespace
from sqlitedict_kv.adapters.diskcache.directory import CacheDirectory, OpenStore
from sqlitedict_kv.adapters.diskcache.entries import remove_version, seconds_of
from sqlitedict_kv.adapters.diskcache.errors import Timeout
from sqlitedict_kv.adapters.diskcache.walking import walk_names

CULLED_AT_ONCE = 64  # entries

Condition = Callable[[Entry[Any]], bool]


def remove_where(directory: CacheDirectory, condition: Condition, *, retry: bool) -> int:
    """Remove the entries for which a condition holds, one by one, and return how many.

    Raises:
        Timeout: others wrote for the whole timeout; its first argument is how many were removed.
    """
    removed = 0
    try:
        for text in walk_names(directory, by_age=False, reverse=False):
            removed += directory.on_entries(partial(_remove_if, condition, text), retry=retry)
    except Timeout:
        raise Timeout(removed) from None
    return removed


def _remove_if(condition: Condition, text: str, entries: Namespace) -> bool:
    entry: Entry[Any] | None = entries.get_with_meta(text)
    return entry is not None and condition(entry) and remove_version(entries, text, entry.meta.version)


def remove_expired(directory: CacheDirectory, now: float | None, *, retry: bool) -> int:
    """Remove the entries that have expired, by the Unix time *now* if it is given, and return how many."""
    removed = directory.on_entries(lambda entries: entries.purge_expired(), retry=retry)
    if now is None:
        return removed
    return removed + remove_where(
        directory, lambda entry: (seconds_of(entry.meta.expires_at) or math.inf) < now, retry=retry
    )


def cull(directory: CacheDirectory, *, retry: bool) -> int:
    """Remove what has expired, then the oldest entries until the cache is under its size limit; return how many."""
    removed = remove_expired(directory, None, retry=retry)
    if directory.settings["eviction_policy"] == "none":
        return removed
    try:
        while used_bytes(directory) > directory.settings["size_limit"]:
            page = directory.on_entries(lambda entries: entries.by_age(limit=CULLED_AT_ONCE), retry=retry)
            if not page.keys:
                break
            removed += directory.on_entries(partial(_remove_all, page.keys), retry=retry)
    except Timeout:
        raise Timeout(removed) from None
    return removed


def _remove_all(texts: tuple[str, ...], entries: Namespace) -> int:
    return entries.delete_many(texts)


def remove_all(entries: Namespace) -> int:
    """Remove every entry and return how many there were."""
    count = len(entries)
    entries.clear()
    return count


def used_bytes(directory: CacheDirectory) -> int:
    """Return the size of the file in bytes, without its free space."""

    def measure(opened: OpenStore) -> int:
        figures = opened.store.stats()
        return figures.bytes_on_disk - figures.free_bytes

    return directory.run(measure, retry=True)
