"""The engine on servers as a store opens it: by an address, or by a client of redis-py."""

from __future__ import annotations

import re
import sys
from typing import Any

from sqlitedict_kv import validation
from sqlitedict_kv.engines.protocol import Engine
from sqlitedict_kv.engines.spec import EngineSpec, Options
from sqlitedict_kv.engines.valkey.schemes import SCHEMES

DRIVERS = ("redis", "valkey")  # packages of client objects

PREFIX_FORM = re.compile(r"[A-Za-z0-9_.:-]{1,64}")  # no brace: what is in braces decides where a cluster keeps a key
MAX_CONFIRM = 100  # replicas
LONGEST_TIMEOUT = 600.0  # seconds; SESSION_SECONDS of the servers' scripts is no less

LIMIT_OF_SERVERS = "servers limit memory by maxmemory and maxmemory-policy; give entries a ttl"


def open_servers(target: object, options: Options) -> Engine:
    """Connect to the servers of an address or of a client object."""
    # Imported here, so that a store in a file needs no redis-py, nor the time to import it.
    from sqlitedict_kv.engines.valkey.client.connect import connect  # noqa: PLC0415
    from sqlitedict_kv.engines.valkey.engine import ValkeyEngine  # noqa: PLC0415

    link = connect(target, timeout=options["timeout"], confirm=options["confirm"])
    return ValkeyEngine(link, prefix=options["prefix"], readonly=options["readonly"])


def label_of(target: object) -> str:
    """Return what may be shown of servers; raise ValueError for an address that is not well-formed."""
    if not isinstance(target, str):
        return f"<{type(target).__name__}>"
    from sqlitedict_kv.engines.valkey.client.url import parse_url  # noqa: PLC0415 - likewise

    return parse_url(target).label


def is_client(thing: object) -> bool:
    """Return whether something is a client object, or claims to be one: making one imports its package."""
    return type(thing).__module__.partition(".")[0] in DRIVERS or _is_redis_client(thing)


def _is_redis_client(thing: object) -> bool:
    redis = sys.modules.get("redis")
    return redis is not None and isinstance(thing, (redis.Redis, redis.RedisCluster))


def check_options(target: object, options: Options) -> None:
    """Raise TypeError for a client of another kind, ValueError for a timeout that is too long."""
    if not isinstance(target, str) and not _is_redis_client(target):
        kind = type(target)
        raise TypeError(
            f"path must be the address of servers, a redis.Redis or a redis.RedisCluster, "
            f"not a {kind.__module__}.{kind.__qualname__}; an AsyncStore takes those too"
        )
    if options["timeout"] > LONGEST_TIMEOUT:
        raise ValueError(
            f"timeout must be at most {LONGEST_TIMEOUT:.0f} seconds on servers, which remember for so long what they "
            f"executed"
        )


def _check_prefix(prefix: Any) -> str:
    if not isinstance(prefix, str):
        raise TypeError(f"prefix must be a str, not {type(prefix).__name__}")
    if not PREFIX_FORM.fullmatch(prefix):
        raise ValueError("prefix must be 1 to 64 of the characters A-Z a-z 0-9 _ . : -")
    return str.__str__(prefix)


def _check_staleness(seconds: Any) -> float | None:
    """Return a number of seconds of more than 0, or None."""
    if seconds is None:
        return None
    number = validation.check_number(seconds, "lru_staleness")
    if not 0 < number <= validation.MAX_TTL:
        raise ValueError(
            f"lru_staleness must be more than 0 and at most {validation.MAX_TTL:.0f} seconds, "
            f"not {validation.show_number(number)}; None serves no stale value"
        )
    return float(number)


SPEC = EngineSpec(
    name="servers",
    schemes=SCHEMES,
    options={
        "readonly": lambda value: validation.check_bool(value, "readonly"),
        "timeout": validation.check_timeout,
        "prefix": _check_prefix,
        "confirm": lambda value: validation.check_int(value, "confirm", lowest=0, highest=MAX_CONFIRM),
        "lru_staleness": _check_staleness,
    },
    open=open_servers,
    address_options={"confirm": int, "lru_bytes": str, "lru_staleness": float, "prefix": str, "timeout": float},
    refusals={
        "durability": "servers do as they are configured, by appendonly and appendfsync; confirm=1 lets a write wait "
        "for a replica",
        "max_bytes": LIMIT_OF_SERVERS,
        "max_entries": LIMIT_OF_SERVERS,
        "allow_unsafe_filesystem": "servers have no file here; leave it out",
        "files_above": "servers keep values up to their own limit; leave it out",
        "on_corrupt": "servers have no file here to put aside; leave it out",
    },
    label=label_of,
    check=check_options,
    recognizes=is_client,
)
