"""Culling as Django specifies it, exact to the entry, for a cache that sets MAX_ENTRIES or CULL_FREQUENCY.

A write of a new key counts the live entries of the namespace first. Where there are MAX_ENTRIES or more, as many are
removed as the count divided by CULL_FREQUENCY gives, rounded down: those created longest ago; all of them if it is 0.
The count, the removal and the write are one step, for which writes of other threads and processes wait.

Django's cache in local memory does the same, except that it removes the least recently used entries, counts expired
entries too, and also culls when an existing key is written.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from django.core.cache.backends.base import InvalidCacheBackendError

from sqlitedict_kv import Namespace
from sqlitedict_kv.adapters.support import MEMORY, check_int, names_servers

DEFAULT_MAX_ENTRIES, DEFAULT_FREQUENCY = 300, 3  # Django's
KEYS_PER_PAGE = 10_000


class Limits(NamedTuple):
    """When a cache is culled, and how much of it.

    Attributes:
        max_entries: a new entry finds at most one less, as far as the frequency allows.
        frequency: one of so many entries is removed; 0: all are.
    """

    max_entries: int
    frequency: int


def limits_of(location: str | os.PathLike[str], options: dict[str, Any]) -> Limits | None:
    """Take the options of culling out of *options*, and leave a limit that is the store's under the store's name.

    Returns the limits; None where neither MAX_ENTRIES nor CULL_FREQUENCY is given, or the store evicts by itself.

    Raises:
        InvalidCacheBackendError: the options do not go together, or not with the location.
        TypeError, ValueError: one of them is not an int, or is too small.
    """
    asked = bool({"MAX_ENTRIES", "CULL_FREQUENCY"} & options.keys())
    if "MAX_ENTRIES" in options:
        if "max_entries" in options:
            raise InvalidCacheBackendError("OPTIONS must not have both MAX_ENTRIES and max_entries")
        options["max_entries"] = options.pop("MAX_ENTRIES")
    if not asked:
        return None
    if location == MEMORY or names_servers(location):
        if "CULL_FREQUENCY" not in options:  # the store does what it can with max_entries
            return None
        raise InvalidCacheBackendError(
            "OPTIONS must not have CULL_FREQUENCY where LOCATION is memory or servers, for the one step needs a file"
        )
    most = check_int(options.pop("max_entries", DEFAULT_MAX_ENTRIES), "MAX_ENTRIES", lowest=1)
    frequency = check_int(options.pop("CULL_FREQUENCY", DEFAULT_FREQUENCY), "CULL_FREQUENCY", lowest=0)
    return Limits(most, frequency)


def write(entries: Namespace, values: Mapping[str, Any], ttl: float | None, limits: Limits) -> None:
    """Write values one after the other, as Django's backends do, and cull before each new one that finds no room.

    Args:
        entries: those of the cache, in a block of :meth:`Store.exclusive`: one count then serves all the values.
        values: by key.
        ttl: seconds, None for forever.
        limits: of the cache.
    """
    room = limits.max_entries - len(entries)
    for key, value in values.items():
        if key not in entries:  # asked now, for it may have been culled for one before it
            if room <= 0:
                _cull(entries, limits.frequency)
                room = limits.max_entries - len(entries)
            room -= 1
        entries.set(key, value, ttl=ttl)


def _cull(entries: Namespace, frequency: int) -> None:
    if frequency == 0:
        entries.clear()
        return
    surplus = len(entries) // frequency
    # Fewer are found than were counted if some expire meanwhile.
    while surplus > 0 and (keys := entries.by_age(limit=min(surplus, KEYS_PER_PAGE)).keys):
        surplus -= entries.delete_many(keys)
