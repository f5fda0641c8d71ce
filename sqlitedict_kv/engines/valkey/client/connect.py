"""Links to the servers that a URL or a client of redis-py names."""

from __future__ import annotations

import os
from typing import Any

from sqlitedict_kv.engines.valkey.client.client import ServerClient
from sqlitedict_kv.engines.valkey.client.from_redis_py import ClientSettings, bounds, from_client
from sqlitedict_kv.engines.valkey.client.handshake import greet
from sqlitedict_kv.engines.valkey.client.protocol import Link
from sqlitedict_kv.engines.valkey.client.redis_py import (
    Connection,
    Sentinel,
    SSLConnection,
    UnixDomainSocketConnection,
)
from sqlitedict_kv.engines.valkey.client.topology import ClusterTopology, FixedTopology, SentinelTopology
from sqlitedict_kv.engines.valkey.client.url import Address, parse_url
from sqlitedict_kv.errors import OpenError

CLIENT_NAME = "sqlitedict_kv"
ATTEMPTS = 4  # that fit into a call's time if no server answers
SHORTEST_ATTEMPT = 0.1  # seconds
TLS_FILES = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")


def connect(target: object, *, timeout: float, confirm: int = 0) -> Link:
    """Return a link to the servers of a URL or of a client; they were reached once.

    Args:
        target: a URL, as ``valkey://user:password@host:6379/0``, or a ``redis.Redis`` or ``redis.RedisCluster``, which
            stays the caller's and is not closed.
        timeout: seconds that a call may take, with all its attempts.
        confirm: replicas that must have a write before it counts as done.

    Raises:
        ValueError: the URL is not valid.
        TypeError: neither a URL nor such a client.
        OpenError: a server answered that it is not what the URL says.
        AccessDeniedError: it refuses the user, or the password.
        UnreachableError: no server answered for the whole timeout.
    """
    attempt = max(timeout / ATTEMPTS, SHORTEST_ATTEMPT)
    found = _from_address(parse_url(target), attempt) if isinstance(target, str) else from_client(target, attempt)
    link = ServerClient(
        found.topology, found.label, timeout=timeout, attempt=attempt, confirm=confirm, release=found.release
    )
    try:
        greet(link, found.topology, timeout, sentinel=found.sentinel)
    except BaseException:
        link.close()
        raise
    return link


def _from_address(address: Address, attempt: float) -> ClientSettings:
    """Return what a URL leads to."""
    given = dict(address.options)
    for name in TLS_FILES:
        if name in given and not os.path.exists(str(given[name])):
            raise OpenError(f"{address.label}: the file of {name} does not exist")
    watch = {name: given.pop(f"sentinel_{name}", None) for name in ("username", "password")}
    options: dict[str, Any] = {"client_name": CLIENT_NAME, **given, **bounds(attempt), "protocol": 2, "db": address.db}
    options |= {"username": address.username, "password": address.password}
    if address.path:
        return ClientSettings(
            FixedTopology(UnixDomainSocketConnection, {**options, "path": address.path}, address.path, 0),
            address.label,
        )
    make = SSLConnection if address.tls else Connection
    if address.mode == "cluster":
        return ClientSettings(ClusterTopology(make, options, address.hosts), address.label)
    if address.mode == "sentinel":
        tls = {name: value for name, value in given.items() if name.startswith("ssl_")}
        asked = {**bounds(attempt), **tls, **watch, "protocol": 2, "ssl": address.tls}
        sentinels = Sentinel(address.hosts, sentinel_kwargs=asked)
        topology = SentinelTopology(make, options, lambda: sentinels.discover_master(address.service))

        def release() -> None:
            for client in sentinels.sentinels:
                client.close()

        return ClientSettings(topology, address.label, release, sentinel=True)
    ((host, port),) = address.hosts
    return ClientSettings(FixedTopology(make, {**options, "host": host, "port": port}, host, port), address.label)
