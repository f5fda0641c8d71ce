"""What happens to servers, and what a store promises meanwhile: each on real servers, with processes that use them."""

import os
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest
from redis.crc import key_slot

from sqlitedict_kv import (
    AccessDeniedError,
    KVError,
    NotConfirmedError,
    OpenError,
    OutcomeUnknownError,
    Store,
    StoreFullError,
    UnreachableError,
)
from sqlitedict_kv.engines.valkey import namespaces
from sqlitedict_kv.engines.valkey.client.retry import Retry
from tests.conftest import redis_binary
from tests.engines.valkey.load import NAMESPACE, Load, giving_up, hurried
from tests.faults.crew import Crew
from tests.support.servers import HOST, certificates, until

SLOT = key_slot(b"{%s:0}" % NAMESPACE.encode())
ROUNDS = int(os.environ.get("FAULT_ROUNDS", "1"))  # of what is under load; a night has time for more


def failed_over(cluster, killed):
    """Wait until another node serves the slot of the namespace."""
    return until(lambda: (node := cluster.node_of_slot(SLOT)) is not killed and node, "a failover")


# -- the loss of a primary


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_nothing_confirmed_is_lost_or_done_twice_when_a_primary_is_killed_under_load(cluster, record, round_):
    options = {"timeout": 60, "confirm": 1}
    with Load(cluster.url, **options) as load:
        primary = cluster.node_of_slot(SLOT)
        primary.kill()
        failed_over(cluster, primary)
        primary.start()  # as whoever looks after servers does: only then are there two of them again
        cluster.wait_until_healthy()

    load.assert_nothing_was_lost_or_done_twice(cluster.url)
    record("outage in seconds", f"{load.outage:.2f}")
    record("calls without an outcome", dict(load.unknown))


def test_a_write_that_a_replica_has_is_not_repeated_when_its_answer_dies_with_the_primary(cluster):
    primary = cluster.node_of_slot(SLOT)
    replica = cluster.replica_of(primary)
    with Store(cluster.url, timeout=30) as store:
        ns = store.ns(NAMESPACE)
        before = ns.set("k", 1)
        primary.ask("WAIT", 1, 10_000)

        with Crew() as crew:  # nobody confirms that two replicas have it, so that the answer is held back
            hand = crew.start(set_once, cluster.url)
            assert hand.hear() == "begun"
            until(lambda: version_at(replica, "k") > before, "the write at the replica")
            version = version_at(replica, "k")
            primary.kill()
            assert hand.hear() == "NotConfirmedError"

        assert ns.get_with_meta("k").meta.version == version


def set_once(voice, url):
    with Store(url, timeout=8) as store:
        ns = store.ns(NAMESPACE)
        ns["known"] = 1
        store._engine._link.confirm = 2
        voice.say("begun")
        try:
            ns["k"] = 2
        except KVError as error:
            voice.say(type(error).__name__)


def version_at(node, key):
    client = node.client()
    client.execute_command("READONLY")
    return int.from_bytes(client.execute_command("GET", f"kv:d{{{NAMESPACE}:0}}{key}")[1:9])


def cut_off(primary, replica):
    """Let a replica get nothing any more of what its primary is told."""
    replica.pause()
    primary.ask("CLIENT", "KILL", "TYPE", "replica")  # else it would find it in its socket later


def test_what_no_replica_confirmed_may_be_lost_and_its_versions_are_not_given_again(cluster):
    primary = cluster.node_of_slot(SLOT)
    replica = cluster.replica_of(primary)
    with Store(cluster.url, timeout=30) as store:
        ns = store.ns(NAMESPACE)
        before = ns.set("k", "before")
        primary.ask("WAIT", 1, 10_000)

        cut_off(primary, replica)
        lost = [ns.set("k", number) for number in range(50)]  # acknowledged
        counted = [ns.incr("count") for _ in range(5)]
        primary.kill()
        replica.resume()
        failed_over(cluster, primary)

        assert ns.get_with_meta("k").meta.version == before
        assert ns["k"] == "before"
        assert counted == [1, 2, 3, 4, 5]
        assert "count" not in ns
        after = [ns.set("k", "after"), ns.set("k", "after"), ns.set("new", 1)]
        assert before < min(lost) < max(lost) < min(after)


def test_nothing_is_acknowledged_that_no_replica_confirmed(cluster):
    primary = cluster.node_of_slot(SLOT)
    replica = cluster.replica_of(primary)
    with Store(cluster.url, timeout=30, confirm=1) as sure, Store(cluster.url, timeout=2, confirm=1) as store:
        sure.ns(NAMESPACE)["k"] = "before"
        cut_off(primary, replica)

        ns = store.ns(NAMESPACE)
        for attempt in (
            lambda: ns.set("k", "lost"),
            lambda: ns.set_many({"k": "lost", "m": "lost"}),
            lambda: ns.delete("k"),
            lambda: ns.incr("count"),
        ):
            with pytest.raises(NotConfirmedError, match="0 of 1"):
                attempt()
        primary.kill()
        replica.resume()
        failed_over(cluster, primary)

        assert dict(sure.ns(NAMESPACE)) == {"k": "before"}
        primary.start()
        assert sure.ns(NAMESPACE).set("k", "after")


def test_a_store_goes_on_when_the_sentinels_choose_another_primary(start_replicated, record):
    servers = start_replicated()
    with Load(servers.url, timeout=60, confirm=1) as load:
        primary = servers.primary()
        primary.kill()
        until(lambda: servers.primary() is not primary, "a failover")
        servers.rejoin(primary)

    load.assert_nothing_was_lost_or_done_twice(servers.url)
    record("outage in seconds", f"{load.outage:.2f}")


def test_sentinels_may_choose_a_primary_that_came_back_empty(start_replicated):
    """What docs/servers.md warns of; if it fails because they no longer do, the page can lose a paragraph."""
    servers = start_replicated()
    with Store(servers.url, timeout=60, confirm=1) as store:
        store.ns(NAMESPACE)["k"] = "confirmed"
        first, second = servers.primary(), servers.replica()
        first.kill()
        until(lambda: servers.primary() is second, "a failover")

        first.start()
        until(lambda: _sees(servers, first), "the return of the first one")
        second.pause()
        until(lambda: servers.primary() is first, "another failover")
        second.resume()

        assert store.ns(NAMESPACE).get("k") is None


def _sees(servers, server):
    """Return whether each Sentinel calls a replica well."""
    told = [sentinel.ask("SENTINEL REPLICAS", servers.name)[0] for sentinel in servers.sentinels]
    return all(dict(zip(words[::2], words[1::2], strict=True))["flags"] == "slave" for words in told)


# -- servers that forget


def test_processes_do_not_notice_that_the_scripts_are_flushed(server):
    with Load(server.url, timeout=30) as load:
        for _ in range(200):
            server.ask("SCRIPT FLUSH")

    assert not load.unknown
    load.assert_nothing_was_lost_or_done_twice(server.url)


@pytest.mark.parametrize("accident", ["restart", "FLUSHALL"])
def test_a_server_that_lost_everything_is_empty_and_is_written_to_as_before(server, monkeypatch, accident):
    with Store(server.url) as store, Store(server.url) as other:
        ns = store.ns(NAMESPACE, shards=2)
        lost = ns.set_many({"a": 1, "b": 2, "c": 3})
        assert dict(other.ns(NAMESPACE)) == {"a": 1, "b": 2, "c": 3}

        if accident == "restart":
            server.restart()
        else:
            server.ask("FLUSHALL")
        assert ns.get("a") is None
        assert list(ns) == []
        assert len(ns) == 0
        assert not ns.delete("b")
        assert store.namespaces() == []

        versions = ns.set_many({"a": 4, "b": 5, "c": 6})
        assert min(versions.values()) > max(lost.values())
        assert other.ns(NAMESPACE).incr("c") == 7
        assert dict(ns) == dict(other.ns(NAMESPACE)) == {"a": 4, "b": 5, "c": 7}

        # It is registered anew with one of the next writes.
        monkeypatch.setattr(namespaces, "ASSERT_SECONDS", 0)
        ns["a"] = 8
        assert store.namespaces() == [NAMESPACE]
        with Store(server.url) as new:
            assert dict(new.ns(NAMESPACE)) == {"a": 8, "b": 5, "c": 7}


# -- servers that do not answer


def test_a_server_that_hangs_for_less_than_the_timeout_costs_only_time(server, monkeypatch):
    missed, plain = threading.Event(), Retry.after

    def watched(retry, *arguments):
        missed.set()
        plain(retry, *arguments)

    with Store(server.url, timeout=4) as store, ThreadPoolExecutor(1) as pool:
        ns = store.ns(NAMESPACE)
        ns.add("early", 1)  # which brings the script
        monkeypatch.setattr(Retry, "after", watched)
        server.pause()
        answer = pool.submit(ns.add, "new", 1)
        assert missed.wait(60)  # the first request is at the server, which has not read it, and another one is tried
        server.resume()

        assert answer.result() == ns.get_with_meta("new").meta.version


def test_a_server_that_hangs_for_longer_is_an_error_and_a_late_request_is_executed_once(server):
    with Store(server.url) as store:
        ns = store.ns(NAMESPACE)
        ns["count"] = 1
        ns.add("early", 1)  # which brings the script
        server.pause()
        with hurried(store), pytest.raises(OutcomeUnknownError, match="read before you write again"):
            ns.add("late", 1)
        with hurried(store), pytest.raises(UnreachableError):
            ns.get("count")
        # There is no connection to send it by.
        with hurried(store), pytest.raises(UnreachableError, match="nothing was written"):
            ns.set("count", 2)
        with hurried(store):
            health = store.healthcheck()
        assert not health.ok
        assert "no server answered" in health.problem
        server.resume()

        until(lambda: "late" in ns, "the request that was sent before the server hung")
        assert ns.incr("count") == 2
        assert ns.incr("late") == 2
        assert store.healthcheck().ok


@pytest.mark.parametrize("verb", ["set", "incr", "modify"])
def test_a_primary_that_became_a_replica_takes_no_writes_until_it_is_one_again(server, verb):
    with Store(server.url) as store:
        ns = store.ns(NAMESPACE)
        ns["k"] = 1
        write = {
            "set": lambda: ns.set("k", 2),
            "incr": lambda: ns.incr("k"),
            "modify": lambda: ns.modify("k", lambda old: old + 1),
        }[verb]
        server.ask("REPLICAOF", HOST, 1)

        with giving_up(), pytest.raises(UnreachableError, match="nothing was written"):
            write()
        assert ns["k"] == 1

        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(write)
            server.ask("REPLICAOF", "NO", "ONE")
            writing.result()
        assert ns["k"] == 2


# -- servers that refuse


SECRET = "a secret@/:?"


def everything_of(error):
    """Return all that a log would show of an error."""
    return "".join(traceback.format_exception(error)) + repr(error)


def test_a_wrong_password_is_refused_and_shown_nowhere(start_server):
    server = start_server(password="the right one")
    url = f"valkey://:{quote(SECRET, safe='')}@{HOST}:{server.port}/0"

    for wrong in (url, f"valkey://{HOST}:{server.port}/0", url.replace("://", "://somebody")):
        with pytest.raises(AccessDeniedError) as caught:
            Store(wrong)
        assert str(server.port) in str(caught.value)
        assert SECRET not in everything_of(caught.value)
        assert quote(SECRET, safe="") not in everything_of(caught.value)

    with Store(server.url) as store:
        store.ns(NAMESPACE)["k"] = 1
        assert "right" not in repr(store)
        server.ask("CONFIG SET", "requirepass", SECRET)
        server.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        with pytest.raises(AccessDeniedError) as caught:
            store.ns(NAMESPACE).get("k")
        assert "right" not in str(caught.value)


ENOUGH = ("~kv:*", "+@read", "+@write", "+@scripting", "+@connection", "+info", "+time", "-@dangerous", "+info")


@pytest.mark.parametrize(
    ("rules", "may_read", "may_write"),
    [
        (ENOUGH, True, True),
        ((*ENOUGH, "-evalsha", "-eval"), True, False),
        (("~kv:*", "+@read", "+@connection"), True, False),
        (("~kv:*", "+@read", "+@write", "+@connection", "+info"), True, False),
        (("~other:*", "+@all"), False, False),
    ],
    ids=["enough", "no scripts", "only reads", "no EVALSHA", "other keys"],
)
def test_a_user_may_do_what_the_server_lets_them(server, rules, may_read, may_write):
    with Store(server.url) as store:
        store.ns(NAMESPACE)["k"] = 1
    server.ask("ACL", "SETUSER", "ada", "reset", "on", f">{SECRET}", *rules)

    with Store(f"valkey://ada:{quote(SECRET, safe='')}@{HOST}:{server.port}/0") as store:
        ns = store.ns(NAMESPACE)
        calls = {
            may_read: [lambda: ns.get("k"), lambda: ns.get_many(["k", "l"])],
            may_write: [
                lambda: ns.set("k", 2),
                lambda: ns.incr("k"),
                lambda: ns.set_many({"k": 4, "l": 5}),
                lambda: dict(ns.scan()),
                ns.clear,
            ],
        }
        for call in calls.get(True, ()):
            call()
        for call in calls.get(False, ()):
            with pytest.raises(AccessDeniedError) as caught:
                call()
            assert SECRET not in everything_of(caught.value)
    with Store(server.url) as store:
        assert dict(store.ns(NAMESPACE)) == ({} if may_write else {"k": 1})


def test_a_full_server_refuses_what_needs_memory_and_changes_nothing(server):
    with Store(server.url) as store:
        ns = store.ns(NAMESPACE)
        ns.set_many({"a": 1, "b": 2, "c": 3})
        before = {key: entry.meta for key, entry in ns.scan()}
        server.ask("CONFIG SET", "maxmemory", "1", "maxmemory-policy", "noeviction")

        for call in (
            lambda: ns.set("a", 9),
            lambda: ns.set_many({"a": 9, "new": 9}),
            lambda: ns.incr("a"),
            lambda: ns.add("new", 9),
            lambda: ns.cas_set("a", 9, before["a"].version),
            lambda: ns.touch("a", 60),
            lambda: store.ns("another").set("k", 1),
        ):
            with pytest.raises(StoreFullError):
                call()
        assert {key: entry.meta for key, entry in ns.scan()} == before
        assert dict(ns) == {"a": 1, "b": 2, "c": 3}

        assert ns.delete("b")  # who is full must be able to make room
        assert ns.delete_many(["c", "d"]) == 1
        server.ask("CONFIG SET", "maxmemory", "0")
        assert ns.incr("a") == 2
        assert dict(ns) == {"a": 2}


def test_a_server_that_evicts_what_it_likes_is_a_danger_that_the_health_check_names(server):
    with Store(server.url) as store:
        assert store.healthcheck().warnings == ()
        server.ask("CONFIG SET", "maxmemory-policy", "allkeys-lru")

        health = store.healthcheck()
        assert health.ok
        assert "allkeys-lru" in health.warnings[0]


# -- TLS


def test_a_store_speaks_tls_only_with_servers_that_it_trusts(start_server, tmp_path):
    both = ("--bind", f"{HOST} 127.0.0.2")
    server = start_server(*both, binary=redis_binary(), tls=True)

    with Store(server.url) as store:
        ns = store.ns(NAMESPACE)
        assert ns.incr("count") == 1
        ns["large"] = b"x" * 3_000_000
        assert ns["large"] == b"x" * 3_000_000
        assert store.healthcheck().ok

    other = certificates(tmp_path)
    for url in (
        server.url.replace(str(server.ca), str(other)),  # another authority
        server.url.partition("?")[0],  # those of the system
        server.url.replace(HOST, "127.0.0.2"),  # the certificate is for another host
    ):
        with pytest.raises(OpenError, match="TLS failed, nothing was sent"):
            Store(url)
    with pytest.raises((OpenError, UnreachableError)):
        Store(server.url.partition("?")[0].replace("rediss:", "redis:"), timeout=0.5)
