"""The options of a store, checked before anything is touched."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from sqlitedict_kv import arguments
from sqlitedict_kv.arguments import checked_optional_int
from sqlitedict_kv.codecs import Codec, Codecs

MEMORY = ":memory:"


class Settings(NamedTuple):
    """The options of :class:`sqlitedict_kv.Store`, where the sizes are numbers of bytes."""

    path: str
    readonly: bool
    durability: Literal["process", "power"]
    timeout: float  # seconds
    max_bytes: int | None
    max_entries: int | None
    max_value_bytes: int
    lru_bytes: int | None
    codecs: Codecs
    clock: Callable[[], float]
    allow_unsafe_filesystem: bool
    on_corrupt: Literal["raise", "quarantine"]


def checked_settings(
    path: str | os.PathLike[str],
    *,
    readonly: bool,
    durability: Literal["process", "power"],
    timeout: float,
    max_bytes: int | str | None,
    max_entries: int | None,
    max_value_bytes: int | str,
    lru_bytes: int | str | None,
    codecs: Sequence[Codec],
    clock: Callable[[], float],
    allow_unsafe_filesystem: bool,
    on_corrupt: Literal["raise", "quarantine"],
) -> Settings:
    """Return the options of a store; raise TypeError or ValueError for one that is not as described there."""
    location = arguments.checked_path(path)
    checked_readonly = arguments.checked_bool(readonly, "readonly")
    if checked_readonly and location == MEMORY:
        raise ValueError("readonly=True needs the path of a file; memory would stay empty")
    arguments.checked_choice(on_corrupt, "on_corrupt", ("raise", "quarantine"))
    if checked_readonly and on_corrupt == "quarantine":
        raise ValueError("on_corrupt='quarantine' needs to write; open without readonly=True")
    largest = arguments.checked_size(max_value_bytes, "max_value_bytes", lowest=1)
    limit = arguments.checked_size(max_bytes, "max_bytes", lowest=arguments.MIN_MAX_BYTES)
    if largest is None:
        raise TypeError("max_value_bytes must be a number of bytes, not None")
    if largest > arguments.MAX_VALUE_BYTES:
        raise ValueError(f"max_value_bytes must be at most {arguments.MAX_VALUE_BYTES}, not {largest}")
    return Settings(
        path=location,
        readonly=checked_readonly,
        lru_bytes=arguments.checked_size(lru_bytes, "lru_bytes", lowest=1),
        durability=arguments.checked_choice(durability, "durability", ("process", "power")),
        codecs=Codecs(arguments.checked_codecs(codecs)),
        clock=arguments.checked_callable(clock, "clock"),
        timeout=arguments.checked_timeout(timeout),
        max_bytes=limit,
        max_entries=checked_optional_int(max_entries, "max_entries", lowest=1),
        max_value_bytes=min(largest, limit // 2) if limit else largest,
        allow_unsafe_filesystem=arguments.checked_bool(allow_unsafe_filesystem, "allow_unsafe_filesystem"),
        on_corrupt=on_corrupt,
    )
