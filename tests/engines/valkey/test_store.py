"""Stores on real servers, as a user opens them."""

import asyncio
import itertools
import re
from pathlib import Path

import pytest
import redis

from sqlitedict_kv import (
    AsyncStore,
    LayoutError,
    Store,
    StoreClosedError,
    TooLargeError,
    UnreachableError,
    UnsupportedError,
    copy,
)

_numbers = itertools.count()


@pytest.fixture
def prefix():
    """What the keys of one test begin with, on servers that tests share."""
    return f"test_store:{next(_numbers)}"


@pytest.fixture(params=["valkey", "redis"])
def server(request):
    return request.getfixturevalue(f"shared_{request.param}")


def test_an_address_and_a_client_open_the_same_store(server, prefix):
    client = server.client()
    with Store(server.url, prefix=prefix) as store:
        store.ns("users")["ada"] = {"name": "Ada"}
        assert store.stats().engine_version.split()[0].lower() in server.binary
        assert store.stats().durability == "servers"
    with Store(client, prefix=prefix) as store:
        assert store.ns("users").copy() == {"ada": {"name": "Ada"}}
    assert client.ping(), "the user's client was closed"


def test_tasks_share_a_store_on_servers(server, prefix):
    async def main():
        store = AsyncStore(f"{server.url}?prefix={prefix}")
        users = store.ns("users", shards=3)
        await asyncio.gather(*(users.incr("n") for _ in range(50)))
        assert await users.get("n") == 50
        assert (await store.capabilities()).ordered
        assert (await store.healthcheck()).ok
        await store.close()
        with pytest.raises(StoreClosedError):
            await users.get("n")

    asyncio.run(main())
    with Store(server.url, prefix=prefix) as store, pytest.raises(LayoutError, match="shards"):
        store.ns("users", shards=4)["n"]


def test_what_servers_cannot_do_is_said_by_capabilities_and_by_the_error(server, prefix, tmp_path):
    with Store(server.url, prefix=prefix) as store:
        able = store.capabilities
        for name, verb in {
            "by_age": lambda: store.ns("n").by_age(),
            "exclusive": lambda: store.exclusive().__enter__(),
            "backup": lambda: store.backup(tmp_path / "copy.db"),
        }.items():
            assert not getattr(able, name)
            with pytest.raises(UnsupportedError):
                verb()
        with pytest.raises(UnsupportedError):
            store.vacuum()
    assert list(tmp_path.iterdir()) == []


def test_a_cluster_says_that_a_step_is_within_one_shard(shared_cluster, prefix):
    with Store(shared_cluster.url, prefix=prefix) as store:
        assert not store.capabilities.atomic_across_namespaces
        users = store.ns("users", shards=8)
        users.update({str(number): number for number in range(100)})
        assert list(users) == sorted(map(str, range(100)))
    client = redis.RedisCluster.from_url(f"redis://127.0.0.1:{shared_cluster.nodes[0].port}")
    with client, Store(client, prefix=prefix) as store:
        assert store.ns("users")["7"] == 7


@pytest.mark.parametrize("kind", ["address", "client"])
def test_a_server_that_nobody_reaches_is_an_error_of_its_own_when_a_store_is_opened(start_server, kind):
    server = start_server(password="s3cret")
    target = server.url if kind == "address" else server.client()
    server.kill()
    with pytest.raises(UnreachableError) as caught:
        Store(target, timeout=0.2)
    assert "s3cret" not in str(caught.value)
    assert str(server.port) in str(caught.value)


def test_the_rights_that_the_docs_name_are_enough(start_server):
    page = (Path(__file__).parents[3] / "docs" / "servers.md").read_text(encoding="utf-8")
    (rights,) = re.findall(r"^```text\n(~kv:.*?)^```$", page, re.MULTILINE | re.DOTALL)
    server = start_server()
    server.ask("ACL", "SETUSER", "app", "on", ">s3cret", "resetchannels", *rights.split())
    with Store(f"valkey://app:s3cret@127.0.0.1:{server.port}", lru_bytes="1 MB") as store:
        users, pages = store.ns("users"), store.ns("pages", ordered=False)
        users.update({f"k{number}": number for number in range(10)})
        users.set("k1", 2, ttl=60)
        users.set_many({"t1": 1, "t2": 2}, ttl=60)
        users.touch("k1", None)
        users.touch("k2", 60)
        assert users.incr("k1") == users["k1"] == 3
        assert users.cas_set("k3", 3, users.get_with_meta("k3").meta.version)
        assert users.get_many(["k4", "k5"]) == {"k4": 4, "k5": 5}
        assert users.list("k", reverse=True).keys[0] == "k9"
        assert len(users.copy()) == len(users) == 12
        assert users.pop("k9") == 9
        assert users.delete_many(["k7", "k8"]) == 2
        pages["a"] = 1
        assert store.namespaces() == ["pages", "users"]
        assert store.check().ok
        assert store.purge_expired() == 0
        assert store.healthcheck()[:2] == (True, None)
        assert store.healthcheck().warnings == ()

        @store.memoize(ttl=60)
        def double(number):
            return 2 * number

        assert double(2) == double(2) == 4
        users.clear()
        assert store.drop("pages") == 1
        assert store.stats().lru is not None


def test_a_healthcheck_warns_of_what_may_lose_data(start_server):
    server = start_server("--maxmemory", "100mb", "--maxmemory-policy", "volatile-ttl")
    with Store(server.url) as store:
        assert store.healthcheck()[:2] == (True, None)
        (warning,) = store.healthcheck().warnings
        assert "volatile-ttl" in warning
        store.ns("n")["k"] = 1
    with Store(f"{server.url}?confirm=1", readonly=True) as store:
        assert any("confirm=1 asks for more" in warning for warning in store.healthcheck().warnings)
    with Store(f"{server.url}?confirm=1&timeout=3") as store:
        health = store.healthcheck()
        assert not health.ok
        assert "0 of 1 replicas" in health.problem


def test_servers_keep_no_values_in_files(server, prefix, tmp_path):
    with pytest.raises(UnsupportedError, match="files_above is not for .*servers keep values up to their own limit"):
        Store(server.url, prefix=prefix, files_above="1 MiB")
    with Store(server.url, prefix=prefix) as store:
        assert not store._engine.capabilities.files


def test_a_value_in_a_file_is_copied_to_a_server_whole_or_refused_as_too_large(server, prefix, tmp_path):
    with (
        Store(tmp_path / "app.db", files_above="64 KiB") as source,
        Store(server.url, prefix=prefix, max_value_bytes=200_000) as target,
    ):
        source.ns("n").set_many({"a": b"x" * 100_000, "b": 1})
        assert source.stats().files == 1
        assert copy(source, target).copied == 2
        assert dict(target.ns("n")) == {"a": b"x" * 100_000, "b": 1}

        source.ns("n")["c"] = b"x" * 200_001
        with pytest.raises(TooLargeError, match="the entry 'c' in namespace 'n' takes 200001 bytes.*allows 200000"):
            copy(source, target)
        assert "c" not in target.ns("n")
        assert target.ns("n")["a"] == b"x" * 100_000
