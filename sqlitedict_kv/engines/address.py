"""The forms of what names servers, known without the library that speaks to them."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from redis import Redis, RedisCluster

    Client: TypeAlias = Redis | RedisCluster

TCP = ("valkey", "valkeys", "redis", "rediss")  # those with an s at the end use TLS
SCHEMES = (*TCP, "unix", *(f"{name}+{kind}" for kind in ("cluster", "sentinel") for name in TCP))

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")  # two letters at least: C:// is a drive of Windows


def scheme_of(text: str) -> str | None:
    """Return the scheme of a URL in small letters, None for what is none."""
    match = SCHEME.match(text)
    return match[1].lower() if match else None


def is_address(text: str) -> bool:
    """Return whether a text is the address of servers, as far as its scheme tells."""
    return scheme_of(text) in SCHEMES


def is_client(thing: object) -> bool:
    """Return whether something is a client object of redis-py; who has made one has imported that."""
    redis = sys.modules.get("redis")
    return redis is not None and isinstance(thing, (redis.Redis, redis.RedisCluster))


def names_servers(thing: object) -> bool:
    """Return whether something is an address of servers or a client object, and not a path."""
    return is_address(thing) if isinstance(thing, str) else is_client(thing)


def parted(address: str, names: Collection[str]) -> tuple[str, dict[str, str]]:
    """Return an address without those of its options that have one of *names*, and these.

    >>> parted("valkey://one?db=2&confirm=1", ["confirm"])
    ('valkey://one?db=2', {'confirm': '1'})
    """
    from urllib.parse import unquote  # noqa: PLC0415 - only for servers, and a tenth of the time to import us

    place, mark, query = address.partition("?")
    told: dict[str, str] = {}
    others = []
    for option in query.split("&") if mark else ():
        name, _, value = option.partition("=")
        if name in names and name not in told:
            told[name] = unquote(value)
        else:
            others.append(option)
    return place + (f"?{'&'.join(others)}" if others else ""), told
