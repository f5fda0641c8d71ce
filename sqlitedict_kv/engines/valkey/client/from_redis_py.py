"""Settings taken from a client of redis-py that the user made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from sqlitedict_kv.engines.valkey.client.redis_py import (
    Connection,
    Make,
    Redis,
    RedisCluster,
    SentinelConnectionPool,
    SSLConnection,
    no_retry,
)
from sqlitedict_kv.engines.valkey.client.topology import ClusterTopology, FixedTopology, SentinelTopology, Topology
from sqlitedict_kv.errors import OpenError

# What a client tells its connections that is for its own pool, its own routing or its own way to repeat calls.
NOT_OURS = frozenset({"connection_pool", "retry_on_error", "retry_on_timeout", "redis_connect_func", "parser_class"})
NOT_OURS_PREFIXES = ("maint_", "oss_", "orig_", "cache")


def _nothing() -> None:
    pass


class ClientSettings(NamedTuple):
    """Where a target leads."""

    topology: Topology
    label: str
    release: Callable[[], None] = _nothing  # closes what this library made beside the topology
    sentinel: bool = False


def bounds(attempt: float) -> dict[str, Any]:
    """Return the options by which one attempt takes so many seconds at most, and is made once."""
    return {
        "socket_timeout": attempt,
        "socket_connect_timeout": attempt,
        "health_check_interval": 0,
        "retry": no_retry(),
    }


def from_client(client: object, attempt: float) -> ClientSettings:
    """Return topology that connect as a client does; its own connections are left alone.

    Raises:
        TypeError: it is not a client of redis-py, or an asynchronous one.
        OpenError: it is a client for replicas.
    """
    if isinstance(client, RedisCluster):
        return _from_cluster(client, attempt)
    if not isinstance(client, Redis):
        raise TypeError(
            f"a store is opened by a path, a URL, a redis.Redis or a redis.RedisCluster, not {type(client).__name__}"
        )
    pool: Any = client.connection_pool
    options = _options(pool.connection_kwargs, attempt)
    if isinstance(pool, SentinelConnectionPool):
        if not pool.is_master:
            raise OpenError("a client for replicas cannot write; take Sentinel.master_for(...)")
        service, sentinels = pool.service_name, pool.sentinel_manager
        make: Make = SSLConnection if issubclass(pool.connection_class, SSLConnection) else Connection
        topology = SentinelTopology(make, options, lambda: sentinels.discover_master(service))
        return ClientSettings(topology, f"valkey+sentinel://{service}", sentinel=True)
    path, host, port = options.get("path"), options.get("host", "localhost"), int(options.get("port", 6379))
    db = options.get("db") or 0
    label = f"unix://{path}?db={db}" if path else f"valkey://{host}:{port}/{db}"
    return ClientSettings(FixedTopology(pool.connection_class, options, path or host, port), label)


def _from_cluster(client: Any, attempt: float) -> ClientSettings:
    nodes = client.get_nodes()
    remap = getattr(client.nodes_manager, "address_remap", None)
    pool = client.get_redis_connection(nodes[0]).connection_pool
    options = _options(pool.connection_kwargs, attempt)
    seeds = [(str(node.host), int(node.port)) for node in nodes]
    label = "valkey+cluster://" + ",".join(sorted(f"{host}:{port}" for host, port in seeds))
    return ClientSettings(ClusterTopology(pool.connection_class, options, seeds, remap), label)


def _options(given: dict[str, Any], attempt: float) -> dict[str, Any]:
    """Return a client's options for connections, with our bounds unless its own are narrower.

    The protocol is that of the URLs, 2: a reply has one shape then, whatever the client asks for.
    """
    ours = bounds(attempt)
    for name in ("socket_timeout", "socket_connect_timeout"):
        if given.get(name):
            ours[name] = min(given[name], attempt)
    kept = {
        name: value for name, value in given.items() if name not in NOT_OURS and not name.startswith(NOT_OURS_PREFIXES)
    }
    return {**kept, **ours, "protocol": 2}
