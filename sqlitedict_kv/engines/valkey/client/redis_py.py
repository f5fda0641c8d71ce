"""Connections of redis-py, which is imported here and nowhere else."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any, Protocol

try:
    import redis
except ModuleNotFoundError as error:
    raise ImportError(
        'a store on Valkey or Redis needs redis-py: pip install "sqlitedict-kv[valkey]"', name="redis"
    ) from error
from redis import Redis, RedisCluster
from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.crc import key_slot
from redis.exceptions import (
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    NoPermissionError,
    RedisClusterException,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import TimeoutError as SlowError
from redis.retry import Retry
from redis.sentinel import Sentinel as _Sentinel
from redis.sentinel import SentinelConnectionPool

__all__ = [
    "DRIVER_ERRORS",
    "AuthenticationError",
    "AuthenticationWrongNumberOfArgsError",
    "Connection",
    "LostError",
    "Make",
    "NoPermissionError",
    "Redis",
    "RedisCluster",
    "RedisClusterException",
    "RedisError",
    "ResponseError",
    "SSLConnection",
    "Sentinel",
    "SentinelConnectionPool",
    "SlowError",
    "Socket",
    "UnixDomainSocketConnection",
    "key_slot",
    "no_retry",
    "redis",
    "socket_of",
]


class Socket(Protocol):
    """The part of a connection of redis-py that carries commands."""

    def connect(self) -> None:
        """Connect and authenticate."""
        ...

    def disconnect(self) -> None:
        """Close the socket."""
        ...

    def send_packed_command(self, command: Sequence[bytes | memoryview], check_health: bool = ...) -> None:  # noqa: FBT001
        """Send bytes."""
        ...

    def read_response(self, disable_decoding: bool = ...) -> Any:  # noqa: FBT001
        """Read one reply, or raise it where it is an error."""
        ...

    def can_read(self, timeout: float = ...) -> bool:
        """Wait until something can be read; return whether it can."""
        ...


# What a call may raise. RedisClusterException is not among them: it comes from redis-py's own routing.
DRIVER_ERRORS = (RedisError, OSError)
Make = Callable[..., Socket]
# redis-py has no types there
Sentinel: Any = _Sentinel


def socket_of(connection: Socket) -> socket.socket:
    """Return the socket of a connection, for a reader of our own: redis-py's waits for the end of each message."""
    found: socket.socket | None = getattr(connection, "_sock", None)
    if found is None:
        raise LostError("the connection was closed")
    return found


def no_retry() -> Retry:
    """Return redis-py's setting for one attempt: this library retries, as it knows what may be repeated."""
    return Retry(NoBackoff(), 0)
