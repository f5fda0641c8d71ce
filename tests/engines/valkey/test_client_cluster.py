"""The link to a cluster, and to the primary that Sentinels name: slots that move, servers that die."""

import threading
import time
import uuid

import pytest
import redis
from redis.crc import key_slot
from redis.sentinel import Sentinel

from sqlitedict_kv.engines.valkey.client.connect import connect
from sqlitedict_kv.engines.valkey.client.protocol import Call, Script
from sqlitedict_kv.errors import AccessDeniedError, NotConfirmedError, OpenError, OutcomeUnknownError, UnreachableError
from tests.engines.valkey.load import hurried
from tests.support.servers import free_ports, until

ADD = Script.of("return redis.call('INCRBY', KEYS[1], ARGV[1])")
ONCE = Script.of(
    "if redis.call('SADD', KEYS[1], ARGV[1]) == 1 then redis.call('INCR', KEYS[2]) end "
    "redis.call('EXPIRE', KEYS[1], 100) return ARGV[1]"
)


@pytest.fixture
def link_to():
    links = []

    def open_one(target, timeout=30.0, confirm=0):
        links.append(connect(target, timeout=timeout, confirm=confirm))
        return links[-1]

    yield open_one
    for link in links:
        link.close()


@pytest.fixture
def base():
    return uuid.uuid4().hex


def read(*words):
    return Call(key_slot(words[1]), None, words, writes=False)


def write(*words):
    return Call(key_slot(words[1]), None, words, writes=True)


def add(key, number=1):
    return Call(key_slot(key), ADD, (b"1", key, b"%d" % number), writes=True)


def once(tag, number):
    word = b"%d" % number
    return Call(key_slot(tag), ONCE, (b"2", b"{%b}seen" % tag, b"{%b}count" % tag, word), writes=True)


def keys_of(base, count):
    return [f"{base}{number}".encode() for number in range(count)]


# -- a cluster


def test_calls_go_where_their_slot_is_served(shared_cluster, link_to, base):
    link = link_to(shared_cluster.url)
    keys = keys_of(base, 300)

    assert link.clustered
    assert link.many([write(b"SET", key, key) for key in keys]) == [b"OK"] * 300
    assert link.many([read(b"GET", key) for key in keys]) == keys
    assert [link.one(read(b"GET", key)) for key in keys] == keys
    assert link.many([add(key + b"n", 2) for key in keys]) == [2] * 300
    assert sum(link.on_every_server([b"DBSIZE"])) >= 600
    assert len(link.on_every_server([b"PING"])) == 3


def test_one_host_that_answers_is_enough(shared_cluster, link_to):
    (nobody,) = free_ports(1)
    link = link_to(f"valkey+cluster://127.0.0.1:{nobody},127.0.0.1:{shared_cluster.nodes[-1].port}")

    assert len(link.on_every_server([b"PING"])) == 3
    assert link.label == f"valkey+cluster://127.0.0.1:{nobody},127.0.0.1:{shared_cluster.nodes[-1].port}"


@pytest.mark.parametrize("options", [{}, {"decode_responses": True}, {"protocol": 3}])
def test_a_client_of_a_cluster_is_taken_and_left_as_it_is(shared_cluster, link_to, base, options):
    client = shared_cluster.client(**options)
    try:
        link = link_to(client)
        keys = keys_of(base, 50)
        link.many([write(b"SET", key, b"\xff") for key in keys])
        assert link.many([read(b"GET", key) for key in keys]) == [b"\xff"] * 50
        link.close()
        assert client.strlen(keys[0])
    finally:
        client.close()


def test_a_url_of_the_wrong_kind_says_which_to_use(shared_cluster, shared_valkey, link_to):
    with pytest.raises(OpenError, match="cluster://"):
        link_to(shared_cluster.nodes[0].url)
    with pytest.raises(OpenError, match="valkey://"):
        link_to(f"valkey+cluster://127.0.0.1:{shared_valkey.port}")
    with pytest.raises(OpenError, match="sentinel"):
        link_to(f"valkey+sentinel://127.0.0.1:{shared_valkey.port}/main")


def test_scripts_are_loaded_anew_everywhere(shared_cluster, link_to, base):
    link = link_to(shared_cluster.url)
    keys = keys_of(base, 200)
    link.many([add(key) for key in keys])
    for primary in shared_cluster.primaries():
        primary.ask("SCRIPT", "FLUSH")

    assert link.many([add(key) for key in keys]) == [2] * 200


def test_a_slot_on_its_way_is_followed_step_by_step(shared_cluster, link_to, base):
    link = link_to(shared_cluster.url)
    tag = base.encode()
    keys = [b"{%b}%d" % (tag, number) for number in range(40)]
    link.many([add(key) for key in keys])
    slot = key_slot(tag)
    source = shared_cluster.node_of_slot(slot)
    to = next(node for node in shared_cluster.primaries() if node is not source)
    move = shared_cluster.migrate_slot(slot, to)

    move.begin()
    assert link.many([add(key) for key in keys]) == [2] * 40
    assert link.one(add(b"{%b}new" % tag)) == 1  # it is made at the new place
    move.move(20)
    assert link.many([add(key) for key in keys]) == [3] * 40
    assert [link.one(read(b"GET", key)) for key in keys] == [b"3"] * 40
    move.run_on()
    assert link.many([add(key) for key in keys]) == [4] * 40
    assert link.one(add(b"{%b}new" % tag)) == 2

    shared_cluster.migrate_slot(slot, source).run()
    assert [link.one(add(key)) for key in keys] == [5] * 40


def test_keys_of_one_call_that_are_at_two_places_are_waited_for(shared_cluster, link_to, base):
    link = link_to(shared_cluster.url)
    tag = base.encode()
    one, two = b"{%b}one" % tag, b"{%b}two" % tag
    link.one(write(b"MSET", one, b"1", two, b"2"))
    slot = key_slot(tag)
    source = shared_cluster.node_of_slot(slot)
    move = shared_cluster.migrate_slot(slot, next(node for node in shared_cluster.primaries() if node is not source))
    move.begin()
    move.move(1)
    timer = threading.Timer(0.3, move.run_on)
    timer.start()
    try:
        assert link.one(read(b"MGET", one, two)) == [b"1", b"2"]
    finally:
        timer.join()
    shared_cluster.migrate_slot(slot, source).run()


def test_writes_are_done_once_while_a_primary_is_killed(start_cluster, link_to):
    cluster = start_cluster()
    link = link_to(cluster.url, timeout=60, confirm=1)
    tags = [b"a", b"b", b"c", b"d", b"e", b"f"]
    done = dict.fromkeys(tags, 0)
    stop = threading.Event()
    failures = []

    def work(tag):
        try:
            while not stop.is_set():
                link.one(once(tag, done[tag]))
                done[tag] += 1
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(tag,)) for tag in tags]
    for thread in threads:
        thread.start()
    victim = cluster.primaries()[0]
    victim.kill()
    until(lambda: victim not in cluster.primaries(), "a failover")
    victim.start()  # a replica now, without which nothing is confirmed
    assert link.many([once(tag, -1) for tag in tags]) == [b"-1"] * 6
    stop.set()
    for thread in threads:
        thread.join()
    cluster.wait_until_healthy()
    link.refresh()  # a redirection tells of one slot: until all are looked up, the old primary may stand beside the new

    assert not failures
    assert link.on_every_server([b"PING"]) == [b"PONG"] * 3
    for tag in tags:
        assert int(link.one(read(b"GET", b"{%b}count" % tag))) == done[tag] + 1


def test_an_interrupt_while_one_server_is_read_leaves_no_reply_of_another(shared_cluster, link_to, base, monkeypatch):
    link = link_to(shared_cluster.url)
    keys = keys_of(base, 30)
    link.many([write(b"SET", key, key) for key in keys])
    original, replies = redis.Connection.read_response, []

    def interrupted(connection, *args, **options):
        replies.append(original(connection, *args, **options))
        if len(replies) == 5:
            raise KeyboardInterrupt
        return replies[-1]

    with monkeypatch.context() as patched:
        patched.setattr(redis.Connection, "read_response", interrupted)
        with pytest.raises(KeyboardInterrupt):
            link.many([read(b"STRLEN", key) for key in keys])

    assert link.many([read(b"GET", key) for key in keys]) == keys


def test_a_part_of_a_cluster_that_is_gone_does_not_stop_the_rest(start_cluster, link_to):
    cluster = start_cluster("--cluster-require-full-coverage", "no", replicas=0)
    link = link_to(cluster.url)
    keys = keys_of("k", 60)
    link.many([write(b"SET", key, key) for key in keys])
    dead, *_ = cluster.primaries()
    lost = [key for key in keys if cluster.node_of_slot(key_slot(key)) is dead]
    dead.kill()

    assert link.many([read(b"GET", key) for key in keys if key not in lost]) == [key for key in keys if key not in lost]
    with hurried(link), pytest.raises(UnreachableError):
        link.one(read(b"GET", lost[0]))
    with hurried(link), pytest.raises((UnreachableError, OutcomeUnknownError)):
        link.many([write(b"SET", key, b"v") for key in keys])
    assert link.many([read(b"STRLEN", key) for key in keys if key not in lost])


def test_the_topology_is_not_asked_for_once_per_thread(start_cluster, link_to):
    cluster = start_cluster(replicas=0)
    link = link_to(cluster.url)
    key = keys_of("k", 1)[0]
    owner = cluster.node_of_slot(key_slot(key))
    others = [node for node in cluster.nodes if node is not owner]
    for node in others:
        node.ask("CONFIG", "RESETSTAT")
    owner.kill()

    def work():
        with pytest.raises((UnreachableError, OutcomeUnknownError)):
            link.one(read(b"GET", key))

    threads = [threading.Thread(target=work) for _ in range(30)]
    begun = time.monotonic()
    with hurried(link, 1.0):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    seconds = time.monotonic() - begun

    asked = sum(
        int(node.plain.info("commandstats").get("cmdstat_cluster|slots", {}).get("calls", 0)) for node in others
    )
    assert 1 <= asked <= 20 + 20 * seconds  # one in 50 ms, and some for the checks of the test's own


def test_a_password_of_a_cluster(start_cluster, link_to):
    cluster = start_cluster(replicas=0, password="p@ss")
    assert len(link_to(cluster.url).on_every_server([b"PING"])) == 3

    with pytest.raises(AccessDeniedError):
        link_to(cluster.url.replace("p%40ss", "wrong"))


def test_too_few_replicas_of_one_primary_are_named_after_all_writes(start_cluster, link_to):
    cluster = start_cluster(replicas=0)
    link = link_to(cluster.url, timeout=3, confirm=1)
    keys = keys_of("k", 30)

    with pytest.raises(NotConfirmedError):
        link.many([write(b"SET", key, key) for key in keys])
    assert link.many([read(b"GET", key) for key in keys]) == keys


# -- Sentinels


@pytest.mark.parametrize("by_client", [False, True])
def test_a_new_primary_is_found_after_a_failover(start_replicated, link_to, by_client):
    group = start_replicated(password="s3cret")
    if by_client:
        watch = Sentinel([("127.0.0.1", sentinel.port) for sentinel in group.sentinels])
        link = link_to(watch.master_for(group.name, password="s3cret"), timeout=60)
    else:
        link = link_to(group.url, timeout=60)
    assert not link.clustered
    assert link_to(group.url, confirm=1).one(once(b"t", 1)) == b"1"

    primary = group.primary()
    primary.kill()
    assert [link.one(once(b"t", number)) for number in (1, 2, 3)] == [b"1", b"2", b"3"]
    assert link.many([read(b"GET", b"{t}count")] * 2) == [b"3"] * 2
    assert group.primary() is not primary


def test_a_primary_that_was_made_a_replica_is_left(start_replicated, link_to):
    group = start_replicated()
    link = link_to(group.url, timeout=60)
    link.one(once(b"t", 1))
    primary = group.primary()

    group.sentinels[0].ask("SENTINEL", "FAILOVER", group.name)
    until(lambda: group.primary() is not primary and primary.plain.info("replication")["role"] == "slave", "a failover")

    assert link.one(once(b"t", 2)) == b"2"
    assert group.primary().plain.get("{t}count") == b"2"


def test_a_service_that_no_sentinel_knows_is_unreachable(start_replicated, link_to):
    group = start_replicated()

    with pytest.raises(UnreachableError, match="other"):
        link_to(group.url.replace("/main", "/other"), timeout=0.5)
    with pytest.raises(OpenError, match="sentinel://"):
        link_to(f"valkey://127.0.0.1:{group.sentinels[0].port}")
