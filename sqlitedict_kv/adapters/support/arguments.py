"""Checks of arguments and limits of the store, for adapters to use as the store does."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, cast

from sqlitedict_kv.codecs.registry import Codecs
from sqlitedict_kv.engines.registry import is_address, names_servers
from sqlitedict_kv.options import MEMORY, StoreOptions, check_options
from sqlitedict_kv.validation import (
    MAX_KEY_BYTES,
    MAX_NAMESPACE_BYTES,
    MAX_TTL,
    MIN_MAX_BYTES,
    Duration,
    check_bool,
    check_int,
    check_namespace,
    check_number,
    duration_seconds,
)

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
    "check_store_options",
    "duration_seconds",
    "is_address",
    "names_servers",
]


def check_store_options(path: str | os.PathLike[str], options: Mapping[str, Any]) -> Codecs:
    """Check the options of a store as :class:`Store` does, open nothing, and return the codecs that it would have.

    Raises:
        TypeError, ValueError: one of them is not as it should be, or is not for this kind of store.
    """
    return check_options(path, cast("StoreOptions", dict(options))).codecs
