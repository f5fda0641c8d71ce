"""Topology of the servers: one server, the primary that sentinels name, or the owner of a slot in a cluster."""

from __future__ import annotations

import itertools
import math
import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sqlitedict_kv.concurrency.fork import forgets_after_fork
from sqlitedict_kv.engines.valkey.client.pool import Node, Nowhere
from sqlitedict_kv.engines.valkey.client.protocol import Endpoint, command
from sqlitedict_kv.engines.valkey.client.redis_py import LostError, Make, RedisError, ResponseError, Socket

SLOTS = 16384
# Seconds between two looks at the topology: a failover that hits hundreds of threads must not cost hundreds of them.
SHORTEST_INTERVAL = 0.05
LONGEST_LOOK = 0.5  # seconds that one server may take to describe the cluster
ASK_SLOTS = command([b"CLUSTER", b"SLOTS"])


class Topology(ABC):
    """The servers of a store; ``slots`` is read without a lock, and replaced as a whole."""

    clustered = False

    def __init__(self, make: Make, options: Mapping[str, object]) -> None:
        """Know how to connect to any server."""
        self.slots: list[Node] = [NOWHERE] * SLOTS
        self._make = make
        self._options = dict(options)
        self._nodes: dict[Endpoint, Node] = {}
        self._closed = False
        self._numbers = itertools.count(1)
        self.changes = 0  # another number as soon as anything in `slots` is another
        self.detours = 0  # another number before a call goes to a server that `slots` does not name for it
        self._begin()
        forgets_after_fork(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._looked = 0.0  # by time.monotonic(), when the last look ended

    @abstractmethod
    def locate(self, suspect: Node | None = None, within: float = math.inf) -> None:
        """Find the servers again; raise what the driver raises if no server tells where they are.

        After *within*, in seconds, no further one is asked.
        """

    def relocate(self, suspect: Node, since: float, within: float) -> None:
        """Find the servers again after *suspect* failed, unless that was done since then; do what can be done."""
        until = time.monotonic() + within
        if not self._lock.acquire(timeout=within):
            return
        try:
            if self._looked < since and time.monotonic() - self._looked > SHORTEST_INTERVAL:
                try:
                    self.locate(suspect, until - time.monotonic())
                except (RedisError, OSError):
                    pass  # the call goes on with what is known, until its time is up
                finally:
                    self._looked = time.monotonic()
        finally:
            self._lock.release()

    def node_at(self, host: str, port: int) -> Node:
        """Return the server at an address."""
        known = self._nodes.get((host, port))
        if known is None:
            known = self._nodes.setdefault((host, port), self._new_node(host, port))
            if self._closed:
                known.close()
        return known

    def _new_node(self, host: str, port: int) -> Node:
        return Node(self._make, {**self._options, "host": host, "port": port}, host, port)

    def moved(self, slot: int, node: Node) -> None:
        """Note that a slot is served elsewhere."""
        self.slots[slot] = node
        self.changes = next(self._numbers)

    def detour(self) -> None:
        """Note that a call goes elsewhere."""
        self.detours = next(self._numbers)

    def refresh(self) -> None:
        """Find the servers again; raise what the driver raises if no server tells where they are."""
        with self._lock:
            self.locate()
            self._looked = time.monotonic()

    def listener(self, endpoint: Endpoint) -> Socket:
        """Return a new connection by RESP3 to one of the servers."""
        for node in self.primaries():
            if (node.host, node.port) == endpoint:
                return node.listener()
        raise LostError("the server serves nothing any more")

    def endpoints(self) -> frozenset[Endpoint]:
        """Return the addresses of the servers that take writes, as far as is known."""
        return frozenset((node.host, node.port) for node in self.primaries() if node is not NOWHERE)

    def primaries(self) -> dict[Node, int]:
        """Return the servers that take writes, each with a slot that it serves."""
        found: dict[Node, int] = {}
        last: Node | None = None
        for slot, node in enumerate(self.slots):
            if node is not last:
                found.setdefault(node, slot)
                last = node
        return found

    def _keep(self, wanted: set[Endpoint]) -> None:
        """Forget servers that serve nothing any more."""
        for endpoint in set(self._nodes) - wanted:
            self._nodes.pop(endpoint).close()

    def close(self) -> None:
        """Close the connections that are free, and the others when they are given back."""
        self._closed = True
        for node in [*self._nodes.values(), *self.primaries()]:
            if node is not NOWHERE:
                node.close()

    def forget_after_fork(self) -> None:
        """Begin with another lock: a thread that is not in the child may hold this one."""
        self._begin()


class FixedTopology(Topology):
    """One server for everything."""

    def __init__(self, make: Make, options: Mapping[str, object], host: str, port: int) -> None:
        """Take a server whose *options* name it."""
        super().__init__(make, options)
        self.slots = [Node(make, options, host, port)] * SLOTS

    def locate(self, suspect: Node | None = None, within: float = math.inf) -> None:
        """Do nothing: the server is where it is."""


class SentinelTopology(Topology):
    """The primary that the sentinels name."""

    def __init__(self, make: Make, options: Mapping[str, object], discover: Callable[[], Endpoint]) -> None:
        """Take what asks the sentinels."""
        super().__init__(make, options)
        self._discover = discover

    def locate(self, suspect: Node | None = None, within: float = math.inf) -> None:
        """Ask the sentinels for the primary."""
        del suspect, within
        host, port = self._discover()
        self.slots = [self.node_at(host, int(port))] * SLOTS
        self.changes = next(self._numbers)
        self._keep({(host, int(port))})


class ClusterTopology(Topology):
    """The primaries of a cluster."""

    clustered = True

    def __init__(
        self,
        make: Make,
        options: Mapping[str, object],
        seeds: Sequence[Endpoint],
        remap: Callable[[Endpoint], Endpoint] | None = None,
    ) -> None:
        """Take servers that may be asked first, and what turns an address of the cluster's into one of ours."""
        super().__init__(make, options)
        self._seeds = list(seeds)
        self._remap = remap

    def node_at(self, host: str, port: int) -> Node:
        """Return the server that the cluster has at an address."""
        if self._remap is not None:
            host, port = self._remap((host, port))
        return super().node_at(host, port)

    def locate(self, suspect: Node | None = None, within: float = math.inf) -> None:
        """Ask one server after the other how the slots are served, the one that failed last."""
        until = time.monotonic() + within
        failure: Exception = LostError("no server of the cluster answers")
        for node in self._witnesses(suspect):
            try:
                ranges = _asked(node)
            except (RedisError, OSError) as error:
                failure = error
                if time.monotonic() > until:  # each that hangs takes as long as an attempt at a call
                    break
                continue
            if ranges:
                self._learn(ranges, node.host)
                return
            failure = LostError("the cluster serves no slots")
        raise failure

    def _witnesses(self, suspect: Node | None) -> Iterator[Node]:
        """Yield servers in a new order each time: one that was cut off would tell the same old story again."""
        known = list(self._nodes.values())
        random.shuffle(known)
        known.sort(key=lambda node: node is suspect)
        yield from known
        names = {(node.host, node.port) for node in known}
        for host, port in self._seeds:
            if (host, port) not in names:
                seed = self._new_node(host, port)
                try:
                    yield seed
                finally:
                    seed.close()

    def _learn(self, ranges: list[Any], asked: str) -> None:
        slots: list[Node] = [NOWHERE] * SLOTS
        kept: set[Endpoint] = set()
        for first, last, primary, *_ in ranges:
            host = (primary[0] or b"").decode()
            node = self.node_at(asked if host in ("", "?") else host, primary[1])
            kept.add((node.host, node.port))
            slots[first : last + 1] = [node] * (last + 1 - first)
        self.slots = slots
        self.changes = next(self._numbers)
        self._keep(kept)


def _asked(node: Node) -> list[Any]:
    """Return how a server says that the slots are served."""
    connection = node.take()
    try:
        connection.send_packed_command([ASK_SLOTS], check_health=False)
        if not connection.can_read(timeout=LONGEST_LOOK):
            raise LostError("a server of the cluster does not answer")
        ranges: list[Any] = connection.read_response(disable_decoding=True)
    except ResponseError:
        node.free.append(connection)
        raise
    except BaseException:
        connection.disconnect()
        raise
    node.free.append(connection)
    return ranges


NOWHERE = Nowhere()
