"""Checks of arguments and limits of the store, for adapters to use as the store does."""

from __future__ import annotations

from sqlitedict_kv.engines.registry import is_address, names_servers
from sqlitedict_kv.options import MEMORY
from sqlitedict_kv.validation import (
    MAX_KEY_BYTES,
    MAX_NAMESPACE_BYTES,
    MAX_TTL,
    MIN_MAX_BYTES,
    Duration,
    duration_seconds,
)
from sqlitedict_kv.validation import checked_bool as check_bool
from sqlitedict_kv.validation import checked_int as check_int
from sqlitedict_kv.validation import checked_namespace as check_namespace
from sqlitedict_kv.validation import checked_number as check_number

__all__ = [
    "MAX_KEY_BYTES",
    "MAX_NAMESPACE_BYTES",
    "MAX_TTL",
    "MEMORY",
    "MIN_MAX_BYTES",
    "Duration",
    "check_bool",
    "check_int",
    "check_namespace",
    "check_number",
    "duration_seconds",
    "is_address",
    "names_servers",
]
