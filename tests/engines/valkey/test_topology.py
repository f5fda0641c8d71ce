"""Where the servers are is found out in bounded time, and given up by many threads at once."""

from collections import deque
from types import SimpleNamespace

import pytest
from redis.exceptions import TimeoutError as SlowError

from sqlitedict_kv.engines.valkey.client import topology
from sqlitedict_kv.engines.valkey.client.pool import Node
from sqlitedict_kv.engines.valkey.client.topology import ClusterTopology


def test_no_further_server_is_asked_when_the_time_is_up(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(topology, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def hanging(**_):
        now[0] += 1
        raise SlowError("nobody answers")

    found = ClusterTopology(hanging, {}, [("one", port) for port in range(1, 31)])
    with pytest.raises(SlowError):
        found.locate(within=2.5)
    assert now[0] == 3


def test_a_connection_may_be_given_back_while_a_server_is_closed():
    node = Node(None, {}, "one", 1)
    closed = []

    class Connection:
        def disconnect(self):
            closed.append(self)
            if len(closed) == 1:
                free.append(Connection())  # by another thread, which has looked up where to give it back

    free = node.free
    free.extend([Connection(), Connection()])
    node.close()
    assert len(closed) == 3
    assert node.free == deque()
