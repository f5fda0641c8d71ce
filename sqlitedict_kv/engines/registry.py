"""The engines that a store can open: the built-in ones, and those that other distributions add."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeAlias

from sqlitedict_kv.engines.address import scheme_of
from sqlitedict_kv.engines.spec import EngineSpec
from sqlitedict_kv.engines.sqlite.spec import SPEC as SQLITE

if TYPE_CHECKING:
    from redis import Redis, RedisCluster

    Client: TypeAlias = Redis | RedisCluster

FILES = SQLITE  # the engine of a path
GROUP = "sqlitedict_kv.engines"  # of entry points

_BY_SCHEME: dict[str, EngineSpec] = {}  # those that were asked for


def specs_with_addresses() -> tuple[EngineSpec, ...]:
    """Return the built-in engines of addresses."""
    from sqlitedict_kv.engines.valkey.spec import SPEC  # noqa: PLC0415 - a store in a file needs nothing of servers

    return (SPEC,)


def engine_of_scheme(scheme: str) -> EngineSpec | None:
    """Return the engine of a scheme, None if there is none.

    Raises:
        TypeError: the entry point of that name leads to something else.
    """
    if scheme not in _BY_SCHEME:
        built_in = next((spec for spec in specs_with_addresses() if scheme in spec.schemes), None)
        found = built_in or _find_installed(scheme)
        if found is None:
            return None
        _BY_SCHEME[scheme] = found
    return _BY_SCHEME[scheme]


def _find_installed(scheme: str) -> EngineSpec | None:
    """Return the engine that an entry point names."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - only for a scheme that is not built in

    for entry in entry_points(group=GROUP, name=scheme):
        spec = entry.load()
        if not isinstance(spec, EngineSpec):
            raise TypeError(f"the entry point {scheme} = {entry.value} must name an EngineSpec, not a {type(spec)}")
        return spec
    return None


def engine_of(target: object) -> EngineSpec | None:
    """Return the engine of an address or a client object; None for anything else, such as a path."""
    if isinstance(target, str):
        scheme = scheme_of(target)
        return None if scheme is None else engine_of_scheme(scheme)
    if isinstance(target, os.PathLike):
        return None
    return next((spec for spec in specs_with_addresses() if spec.recognizes(target)), None)


def is_address(text: str) -> bool:
    """Return whether a text is the address of an engine, as far as its scheme tells, and not a path."""
    return engine_of(text) is not None


def names_servers(thing: object) -> bool:
    """Return whether something is an address or a client object, and not a path."""
    return engine_of(thing) is not None
