"""Settings of diskcache, checked and translated into options of a store."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from sqlitedict_kv.adapters.support import MIN_MAX_BYTES, check_int, check_number

Takes = Callable[[str], bool]  # whether a disk takes a setting besides those that all take

DEFAULT_SETTINGS = {
    "statistics": 0,
    "tag_index": 0,
    "eviction_policy": "least-recently-stored",
    "size_limit": 2**30,
    "cull_limit": 10,
    "sqlite_auto_vacuum": 1,
    "sqlite_cache_size": 2**13,
    "sqlite_journal_mode": "wal",
    "sqlite_mmap_size": 2**26,
    "sqlite_synchronous": 1,
    "disk_min_file_size": 2**15,
    "disk_pickle_protocol": pickle.HIGHEST_PROTOCOL,
}
LEVELS = range(10)  # of disk_compress_level

# In diskcache a table of SQL; here it lists the policies. A read writes nothing to the store, so the two policies that
# count reads evict as "least-recently-stored" does, which comes nearest.
POLICIES = ("none", "least-recently-stored", "least-recently-used", "least-frequently-used")
EVICTION_POLICY: Mapping[str, Mapping[str, None]] = MappingProxyType(
    {name: MappingProxyType({"init": None, "get": None, "cull": None}) for name in POLICIES}
)
LARGEST_LIMIT = 2**62
FULL = 2  # of PRAGMA synchronous
EXTRA = 3


def check_settings(settings: Mapping[str, Any], *, takes: Takes) -> dict[str, Any]:
    """Return settings that a user gave.

    Raises:
        TypeError: the setting is unknown.
        ValueError: this store cannot do what it asks for.
    """
    return {name: check_setting(name, value, takes=takes) for name, value in settings.items()}


def check_setting(name: str, value: Any, *, takes: Takes) -> Any:
    """Return the value of one setting."""
    if name not in DEFAULT_SETTINGS and not takes(name):
        known = ", ".join(DEFAULT_SETTINGS)
        raise TypeError(f"unknown setting {name!r}; the settings are {known}")
    check: Callable[[str, Any], Any] = CHECKS.get(name, _number if name in DEFAULT_SETTINGS else _anything)
    return check(name, value)


def _number(name: str, value: Any) -> int | float:
    return check_number(int(value) if isinstance(value, bool) else value, name)


def _anything(_name: str, value: Any) -> Any:
    return value


def _level(name: str, value: Any) -> Any:
    if value not in LEVELS:
        raise ValueError(f"{name} must be from 0 to 9, not {value!r}")
    return value


def _flag(_name: str, value: Any) -> int:
    return int(bool(value))


def _cull_limit(name: str, value: Any) -> int:
    return check_int(int(_number(name, value)), name, lowest=0, highest=LARGEST_LIMIT)


def _synchronous(name: str, value: Any) -> int:
    return check_int(_number(name, value), name, lowest=0, highest=EXTRA)


def _journal_mode(name: str, value: Any) -> Any:
    if str(value).lower() != "wal":
        raise ValueError(f"{name} must be 'wal', not {value!r}: the store needs its log")
    return value


def _size_limit(name: str, value: Any) -> int | float:
    """Return a number of bytes, or infinity for no limit."""
    if value == math.inf:
        return math.inf
    return check_int(int(_number(name, value)), name, lowest=0, highest=LARGEST_LIMIT)


def _policy(name: str, value: Any) -> str:
    if value not in EVICTION_POLICY:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, EVICTION_POLICY))}, not {value!r}")
    return str(value)


CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "eviction_policy": _policy,
    "size_limit": _size_limit,
    "cull_limit": _cull_limit,
    "statistics": _flag,
    "tag_index": _flag,
    "sqlite_journal_mode": _journal_mode,
    "sqlite_synchronous": _synchronous,
    "disk_compress_level": _level,
}


def limit_of(settings: Mapping[str, Any]) -> int | None:
    """Return the size in bytes at which writes evict, None if they do not.

    A store has a smallest limit, below which its empty file would be; smaller limits are rounded up to it.
    """
    evicts = settings["eviction_policy"] != "none" and settings["cull_limit"]
    limit = settings["size_limit"]
    return max(int(limit), MIN_MAX_BYTES) if evicts and limit != math.inf else None


def share_of(size_limit: Any, shards: int) -> Any:
    """Return the size limit of each of several shards."""
    checked = _size_limit("size_limit", size_limit)
    return checked if checked == math.inf else int(checked) // shards


def durability_of(settings: Mapping[str, Any]) -> Any:
    """Return what an acknowledged write survives."""
    return "power" if settings["sqlite_synchronous"] >= FULL else "process"
