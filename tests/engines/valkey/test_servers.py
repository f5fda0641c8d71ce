"""The servers that the tests run on do what their names say, and none outlives its test."""

import signal
import socket
import subprocess
import sys

import pytest
import redis

from tests.conftest import redis_binary
from tests.support.servers import SLOTS, Server, until

pytestmark = pytest.mark.servers


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


def test_a_server_answers_and_is_gone_when_its_block_ends():
    with Server() as server:
        assert server.plain.ping()

    assert not answers(server.port)
    assert not server.directory.exists()


def test_a_killed_server_comes_back_empty_on_the_same_port(start_server):
    server = start_server()
    server.plain.set("k", 1)

    server.kill()
    with pytest.raises(redis.ConnectionError):
        server.client().ping()

    server.restart()
    assert server.client().get("k") is None


def test_a_paused_server_answers_nobody_until_it_is_resumed(start_server):
    server = start_server()
    client = server.client(socket_timeout=0.1)

    server.pause()
    with pytest.raises(redis.TimeoutError):
        client.ping()

    server.resume()
    assert server.client().ping()


def test_a_password_is_asked_for(start_server):
    server = start_server(password="a b@:/")

    assert redis.Redis.from_url(server.url.replace("valkey:", "redis:")).ping()
    with pytest.raises(redis.AuthenticationError):
        server.client(password="wrong").ping()


def test_tls_is_checked_against_the_authority_of_the_server(start_server):
    server = start_server(binary=redis_binary(), tls=True)

    assert redis.Redis.from_url(server.url).ping()
    with pytest.raises(redis.ConnectionError, match="certificate verify failed"):
        server.client(ssl_ca_certs=None).ping()


def test_no_server_outlives_tests_that_are_killed():
    code = "from tests.support.servers import Server; server = Server(); print(server.port, flush=True); input()"
    tests = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with tests:
        port = int(tests.stdout.readline())
        assert answers(port)
        tests.send_signal(signal.SIGKILL)

    until(lambda: not answers(port), "the end of the server")


def test_a_slot_moves_step_by_step(start_cluster):
    cluster = start_cluster()
    first, second, _ = cluster.primaries()
    with cluster.client() as client:
        keys = [f"{{06S}}{number}" for number in range(10)]
        slot = client.keyslot(keys[0])
        for key in keys:
            client.set(key, 1)
        source = cluster.node_of_slot(slot)
        target = second if source is first else first

        migration = cluster.migrate_slot(slot, target)
        migration.begin()
        assert migration.move(4) == 4
        assert cluster.node_of_slot(slot) is source
        assert target.ask("CLUSTER COUNTKEYSINSLOT", slot) == 4
        assert client.get(keys[0]) == client.get(keys[-1]) == b"1"  # redis-py follows ASK
        migration.run_on()

        assert cluster.node_of_slot(slot) is target
        assert source.ask("CLUSTER COUNTKEYSINSLOT", slot) == 0
        assert all(client.get(key) == b"1" for key in keys)


def test_a_replica_takes_the_place_of_a_killed_primary(start_cluster):
    cluster = start_cluster(node_timeout=1000)
    lost = cluster.primaries()[0]
    heir = cluster.replica_of(lost)
    assert sum(1 for slot in range(0, SLOTS, 1024) if cluster.node_of_slot(slot) is lost) > 4

    lost.kill()
    cluster.wait_until_healthy()

    assert heir in cluster.primaries()
    lost.restart()
    cluster.wait_until_healthy()
    assert lost in cluster.replicas()


def test_sentinels_make_the_replica_the_primary(start_replicated):
    replicated = start_replicated()
    primary, replica = replicated.primary(), replicated.replica()

    primary.kill()
    until(lambda: replicated.primary() is replica, "the promotion of the replica")


def test_shared_servers_are_started_when_they_are_asked_for(shared_valkey, shared_redis, shared_cluster):
    for server in (shared_valkey, shared_redis, *shared_cluster.nodes):
        assert server.plain.ping()
