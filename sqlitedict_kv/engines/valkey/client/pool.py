"""Connection pool of one server."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from sqlitedict_kv.concurrency.fork import forgets_after_fork
from sqlitedict_kv.engines.valkey.client.redis_py import LostError, Make, Socket


class Node:
    """One server; a connection belongs to the one thread that took it until that gives it back.

    redis-py's own pool would add a third to a GET, and counts connections that broke as open ones.
    """

    def __init__(self, make: Make, options: Mapping[str, object], host: str, port: int) -> None:
        """Know how to connect; nothing is connected before it is needed."""
        self.host = host
        self.port = port
        self.free: deque[Socket] = deque()
        self._make = make
        self._options = dict(options)
        forgets_after_fork(self)

    def __repr__(self) -> str:
        return f"<Node {self.host}:{self.port}>"

    def listener(self) -> Socket:
        """Return a new connection that speaks RESP3 and is not pooled; raise what redis-py raises."""
        return _connected(self._make(**{**self._options, "protocol": 3}))

    def take(self) -> Socket:
        """Return a connection that is free, or a new one; raise what redis-py raises if none can be made."""
        try:
            return self.free.pop()
        except IndexError:
            return _connected(self._make(**self._options))

    def drop(self) -> None:
        """Close the connections that are free, as they are likely to be as dead as one that was."""
        _disconnect_all(self.free)

    def close(self) -> None:
        """Close the connections that are free, and every other one when it is given back."""
        free, self.free = self.free, deque(maxlen=0)
        _disconnect_all(free)

    def forget_after_fork(self) -> None:
        """Leave the sockets to the parent: two processes would read each other's replies."""
        self.free = deque(maxlen=self.free.maxlen)


def _disconnect_all(free: deque[Socket]) -> None:
    while free:  # one by one: others may take some meanwhile, or give one back
        try:
            free.pop().disconnect()
        except IndexError:
            break


def _connected(connection: Socket) -> Socket:
    try:
        connection.connect()
    except BaseException:
        connection.disconnect()
        raise
    return connection


class Nowhere(Node):
    """What serves a slot that no server serves."""

    def __init__(self) -> None:
        """Have no address."""
        super().__init__(_unmade, {}, "", 0)


def _unmade() -> Socket:
    raise LostError("no server of the cluster serves this slot")
