"""Settings of diskcache, checked and translated into options of a store."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sqlitedict_kv.adapters.support import check_int, check_number

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
COMPRESSION = "disk_compress_level"  # of JSONDisk

# In diskcache a table of SQL; here it lists the policies.
EVICTION_POLICY: Mapping[str, Mapping[str, None]] = MappingProxyType(
    {name: MappingProxyType({"init": None, "get": None, "cull": None}) for name in ("none", "least-recently-stored")}
)
UNKEPT_POLICIES = ("least-recently-used", "least-frequently-used")
FULL = 2  # of PRAGMA synchronous
EXTRA = 3


def check_settings(settings: Mapping[str, Any], *, compresses: bool) -> dict[str, Any]:
    """Return settings that a user gave.

    Raises:
        TypeError: the setting is unknown.
        ValueError: this store cannot do what it asks for.
    """
    return {name: check_setting(name, value, compresses=compresses) for name, value in settings.items()}


def check_setting(name: str, value: Any, *, compresses: bool) -> Any:
    """Return the value of one setting."""
    if name not in DEFAULT_SETTINGS and not (name == COMPRESSION and compresses):
        known = ", ".join(DEFAULT_SETTINGS)
        raise TypeError(f"unknown setting {name!r}; the settings are {known}")
    if name == "eviction_policy":
        return _policy(value)
    if name == "sqlite_journal_mode":
        if str(value).lower() != "wal":
            raise ValueError(f"sqlite_journal_mode must be 'wal', not {value!r}: the store needs its log")
        return value
    if name in ("statistics", "tag_index"):
        return int(bool(value))
    number = check_number(int(value) if isinstance(value, bool) else value, name)
    if name == "sqlite_synchronous":
        return check_int(number, name, lowest=0, highest=EXTRA)
    if name in ("size_limit", "cull_limit"):
        return check_int(int(number), name, lowest=0, highest=2**62)
    return number


def _policy(value: Any) -> str:
    if value in UNKEPT_POLICIES:
        raise ValueError(
            f"eviction_policy {value!r} cannot be kept: a read writes nothing here, so nobody knows what was used; "
            f"choose 'least-recently-stored' or 'none'"
        )
    if value not in EVICTION_POLICY:
        raise ValueError(f"eviction_policy must be one of {', '.join(map(repr, EVICTION_POLICY))}, not {value!r}")
    return str(value)


def limit_of(settings: Mapping[str, Any]) -> int | None:
    """Return the size at which writes evict, None if they do not."""
    evicts = settings["eviction_policy"] != "none" and settings["cull_limit"]
    return settings["size_limit"] if evicts else None


def durability_of(settings: Mapping[str, Any]) -> Any:
    """Return what an acknowledged write survives."""
    return "power" if settings["sqlite_synchronous"] >= FULL else "process"
