"""Servers that the tests of a module break one after the other, and a place for what they measure."""

import os
from contextlib import suppress
from pathlib import Path

import pytest
import redis

from tests.conftest import servers, valkey_binary


def mend(cluster):
    """Start what was killed, end moves of slots that are open, wait until all is well, and remove all data."""
    for node in cluster.nodes:
        if node.is_running:
            node.resume()
        else:
            node.start()
    cluster.end_migrations()
    cluster.wait_until_healthy()
    for primary in cluster.primaries():
        primary.ask("FLUSHALL")


@pytest.fixture(scope="module")
def _module_cluster():
    with servers().Cluster(valkey_binary()) as cluster:
        yield cluster


@pytest.fixture
def cluster(_module_cluster):
    """A cluster of three primaries and their replicas, empty; the test may kill, pause and move."""
    mend(_module_cluster)
    return _module_cluster


@pytest.fixture(scope="module")
def _module_server():
    with servers().Server(valkey_binary()) as server:
        yield server


@pytest.fixture
def server(_module_server):
    """A server, empty; the test may kill, pause and configure it."""
    server = _module_server
    if server.is_running:
        server.resume()
        server.ask("FLUSHALL")
    else:
        server.start()
    yield server
    if server.is_running:
        server.resume()
        with suppress(redis.RedisError):
            server.ask("REPLICAOF", "NO", "ONE")
            server.ask("CONFIG SET", "maxmemory", "0", "maxmemory-policy", "noeviction")


@pytest.fixture
def record(request):
    """Print a figure, and add it to the file that FAULT_FIGURES names."""

    def note(what, figure):
        line = f"{request.node.name}: {what} {figure}"
        print(line)  # noqa: T201 - pytest -s shows it
        if path := os.environ.get("FAULT_FIGURES"):
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")

    return note
