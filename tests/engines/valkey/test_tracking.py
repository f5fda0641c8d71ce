"""What servers tell a memory: in which order, what it proves, and what becomes of it when anything breaks."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from contextlib import ExitStack, closing

import pytest
import redis

from sqlitedict_kv.engines.valkey.client.connect import connect
from sqlitedict_kv.engines.valkey.client.redis_py import LostError
from sqlitedict_kv.engines.valkey.keyspace import Keyspace, name_of, space_of, tracked_prefixes
from sqlitedict_kv.engines.valkey.tracking.feed import REFUSED_PAUSE, Tracking
from sqlitedict_kv.engines.valkey.tracking.listener import PATIENCE, Listener, RefusedError
from sqlitedict_kv.engines.valkey.tracking.resp3 import Reader
from tests.conftest import redis_binary, valkey_binary
from tests.support.processes import forked
from tests.support.servers import until

PREFIXES = tracked_prefixes("kv")
KEY = b"kv:d{n:0}k"

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


class Clock:
    """A monotonic clock that stands still until it is moved."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Notes:
    """A memory that notes what it is told."""

    def __init__(self, clock):
        self.clock = clock
        self.told = []
        self.until = 0.0

    def begin(self):
        self.told.append("begin")

    def forget(self, keys):
        self.told.append(None if keys is None else sorted(keys))

    def extend(self, until):
        self.until = until

    def end(self):
        self.told.append("end")
        self.until = 0.0

    @property
    def is_serving(self):
        return self.clock() < self.until

    def news(self):
        """Return what it was told since it was asked last."""
        told, self.told = self.told, []
        return told


@pytest.fixture(params=["valkey", "redis"])
def binary(request):
    return valkey_binary() if request.param == "valkey" else redis_binary()


@pytest.fixture
def server(start_server, binary):
    return start_server(binary=binary)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def notes(clock):
    return Notes(clock)


@pytest.fixture
def track(notes):
    """Make a Tracking without a thread, whose steps the test takes."""
    with ExitStack() as stack:

        def make(url, staleness=1.0):
            link = stack.enter_context(closing(connect(url, timeout=20)))
            return stack.enter_context(closing(Tracking(link, "kv", notes, staleness)))

        yield make


@pytest.fixture
def listener(server, clock):
    """A listener alone, to which the server tells of what changes."""
    with closing(connect(server.url, timeout=5)) as link:
        (endpoint,) = link.endpoints()
        with closing(Listener(link.listener(endpoint), clock, clustered=False)) as listener:
            listener.begin(PREFIXES, b"kv:tracking")
            yield listener


def steps_until(tracking, condition, what="what the test waits for"):
    """Take steps until the answer is true."""

    def step():
        tracking.step()
        return condition()

    until(step, what)


def proven(tracking, notes):
    """Take steps until all that was acknowledged up to now is known to have been told."""
    notes.clock.now += 0.5
    now = notes.clock.now
    steps_until(tracking, lambda: notes.until >= now + 1.0, "a proof")


# -- the order on which everything rests

WRITES = {
    "set": lambda c: c.set(KEY, 1),
    "script": lambda c: c.eval("redis.call('SET', KEYS[1], 1) redis.call('DEL', KEYS[1])", 1, KEY),
    "transaction": lambda c: c.pipeline(transaction=True).set("other", 1).set(KEY, 1).execute(),
    "pipeline": lambda c: c.pipeline(transaction=False).set(KEY, 1).get(KEY).execute(),
    "rename": lambda c: c.pipeline(transaction=False).set("other", 1).rename("other", KEY).execute(),
    "restore": lambda c: c.pipeline(transaction=False).set("other", 1).copy("other", KEY, replace=True).execute(),
    "expiry": lambda c: c.pipeline(transaction=False).set(KEY, 1).pexpire(KEY, 0).execute(),
    "unlink": lambda c: c.pipeline(transaction=False).set(KEY, 1).unlink(KEY).execute(),
    "wait": lambda c: c.pipeline(transaction=False).set(KEY, 1).wait(0, 1).execute(),
    "flush": lambda c: c.pipeline(transaction=False).set(KEY, 1).flushdb().execute(),
    "flush all": lambda c: c.pipeline(transaction=False).set(KEY, 1).flushall(asynchronous=True).execute(),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_server_tells_of_a_write_before_it_answers_a_question_that_was_sent_later(server, clock, listener, name):
    client = server.client()
    for number in range(100):
        WRITES[name](client)
        clock.now += 1
        told = answered(listener)
        assert any(keys is None or KEY in keys for keys in told), number


def answered(listener):
    """Ask, and return what is told until the answer comes."""
    told = []
    listener.ask()

    def heard():
        told.extend(listener.heard())
        return listener.proven == listener.asked

    until(heard, "the answer")
    return told


def test_writes_of_many_clients_at_once_are_told_before_the_answer_too(server, clock, listener):
    """Some of them share a turn of the server's loop with the question."""
    written, stop, failures = dict.fromkeys(range(3), 0), threading.Event(), []

    def write(number):
        client = server.client()
        try:
            while not stop.is_set():
                client.set(b"kv:d{n:0}%d" % number, 1)
                written[number] += 1
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in written]
    for thread in threads:
        thread.start()
    told = dict.fromkeys(written, 0)
    for _ in range(300):
        acknowledged = dict(written)
        clock.now += 1
        for key in (key for keys in answered(listener) for key in keys):
            told[int(key.partition(b"}")[2])] += 1
        # A turn of the loop tells of a key once; each client waits for its answer, so each write is a turn.
        assert all(told[number] >= acknowledged[number] for number in told)
    stop.set()
    for thread in threads:
        thread.join(20)
    assert not failures
    assert min(told.values()) > 50


def test_an_error_in_the_place_of_the_answer_proves_nothing(server, clock, notes, track):
    """A server that is busy with a script answers others before it tells what they changed."""
    server.ask("CONFIG", "SET", "busy-reply-threshold", 1)
    tracking = track(server.url)
    tracking.step()
    assert notes.is_serving
    script = threading.Thread(target=lambda: pytest.raises(redis.RedisError, server.client().eval, "while 1 do end", 0))
    script.start()
    try:
        other = server.client()

        def is_busy():
            try:
                other.ping()
            except redis.ResponseError as error:
                return "BUSY" in str(error)
            return False

        until(is_busy, "a busy server")
        before = notes.until
        clock.now += 0.5
        (listener,) = tracking._listeners
        steps_until(tracking, lambda: listener.asked == clock.now and not listener._waits, "the answer")
        assert notes.until == before
    finally:
        server.client().script_kill()
        script.join(20)
    proven(tracking, notes)
    assert notes.is_serving


# -- what is told, and for how long that is good


def test_it_tells_of_the_keys_that_changed_and_of_no_others(server, notes, track):
    tracking = track(server.url)
    tracking.step()
    assert notes.news() == ["begin"]
    names = [("n", "k"), ("n", "é }{"), ("a{b}%c", "k"), ("m", ""), ("m.leases", "k"), ("n:1", "x:0}y")]
    keys = {}
    for name in names:
        beside = "m" if name[0] == "m.leases" else None
        shard = space_of("kv", name[0], Keyspace(3, ordered=True, beside=beside)).shard_of(name[1].encode())
        keys[shard.entries + name[1].encode()] = name
    for key in (*keys, b"kv:i{n:0}", b"kv:n", b"other", b"kw:d{n:0}k", b"kv:s{n:0}k", b"kv:d{n:0}\xff"):
        server.plain.set(key, 1)
    proven(tracking, notes)
    assert sorted(name for names in notes.news() for name in names) == sorted(names)


@pytest.mark.parametrize("family", ["n", "a{b}%c", "%7B", ":", "a:1", "é"])
@pytest.mark.parametrize("leases", ["", ".leases"])
def test_a_name_comes_back_from_its_key(family, leases):
    space = space_of("kv", family + leases, Keyspace(2, ordered=True, beside=family if leases else None))
    for key in ("k", "", "}", "{x}", "ключ", "a:b"):
        name = space.shard_of(key.encode()).entries + key.encode()
        assert name_of(PREFIXES, name) == (family + leases, key)
    for other in (space.shards[0].order, space.shards[0].sessions, b"kv:n", b"x", b""):
        assert name_of(PREFIXES, other) is None


@pytest.mark.parametrize("command", ["FLUSHALL", "FLUSHDB"])
def test_a_flush_makes_it_forget_everything(server, notes, track, command):
    tracking = track(server.url)
    tracking.step()
    notes.news()
    server.plain.set("unrelated", 1)
    server.ask(command)
    proven(tracking, notes)
    assert None in notes.news()


def test_a_very_long_message_is_read_in_parts(server, notes, track):
    tracking = track(server.url)
    tracking.step()
    notes.news()
    server.plain.mset({b"kv:d{n:0}%0500d" % number: b"" for number in range(5000)})
    proven(tracking, notes)
    assert len({name for names in notes.news() for name in names}) == 5000


def test_hits_end_when_the_server_hangs_and_begin_again_when_it_goes_on(server, clock, notes, track):
    tracking = track(server.url)
    tracking.step()
    server.pause()
    try:
        clock.now += 0.9
        for _ in range(20):
            tracking.step()
        assert notes.is_serving
        clock.now += 0.1
        for _ in range(20):
            tracking.step()
        assert not notes.is_serving
    finally:
        server.resume()
    # The answer to an old question does not count from when it came.
    steps_until(tracking, lambda: not tracking._listeners[0]._waits, "the answer")
    assert notes.until == pytest.approx(clock.now - 0.1 + 1.0)
    proven(tracking, notes)
    assert notes.is_serving
    assert "end" not in notes.news()


def test_client_pause_of_writes_does_not_end_hits_and_of_all_does(server, clock, notes, track):
    tracking = track(server.url)
    tracking.step()
    server.ask("CLIENT", "PAUSE", 20_000, "WRITE")
    proven(tracking, notes)
    server.ask("CLIENT", "PAUSE", 20_000, "ALL")
    clock.now += 1.0
    for _ in range(20):
        tracking.step()
    assert not notes.is_serving


def test_an_answer_counts_from_when_its_question_was_sent(server, clock, notes, track):
    tracking = track(server.url)
    tracking.step()
    asked = clock.now
    clock.now += 0.5
    tracking.step()  # asks
    clock.now += 0.4  # until the answer is read
    steps_until(tracking, lambda: notes.until > asked + 1.0, "the answer")
    assert notes.until == pytest.approx(asked + 0.5 + 1.0)


def test_a_server_that_never_answers_is_a_lost_one(server, clock, notes, track):
    tracking = track(server.url)
    tracking.step()
    server.pause()
    try:
        clock.now += 0.5
        tracking.step()
        clock.now += PATIENCE + 0.1
        tracking.step()
        assert notes.news() == ["begin", "end"]
    finally:
        server.resume()
    steps_until(tracking, lambda: notes.is_serving)
    assert notes.news() == ["begin"]


# -- what is lost


def test_a_connection_that_is_killed_makes_it_forget_everything_and_begin_anew(server, notes, track):
    tracking = track(server.url)
    tracking.step()
    server.ask("CLIENT", "KILL", "TYPE", "pubsub")
    steps_until(tracking, lambda: "end" in notes.told)
    assert not notes.is_serving
    steps_until(tracking, lambda: notes.is_serving)
    assert notes.news() == ["begin", "end", "begin"]
    server.plain.set(KEY, 1)
    proven(tracking, notes)
    assert notes.news() == [[("n", "k")]]


def test_a_server_that_was_killed_makes_it_forget_and_it_comes_back(server, notes, track):
    tracking = track(server.url)
    tracking.step()
    server.kill()
    steps_until(tracking, lambda: "end" in notes.told)
    assert not notes.is_serving
    assert tracking.problem
    server.start()
    steps_until(tracking, lambda: notes.is_serving)
    assert notes.news()[-1] == "begin"
    assert tracking.problem is None


def test_who_sleeps_is_cut_off_before_the_server_collects_too_much(server, notes, track):
    server.ask("CONFIG", "SET", "client-output-buffer-limit", "pubsub 100kb 0 0")
    tracking = track(server.url)
    tracking.step()
    client = server.client()
    for _ in range(200):
        client.mset({b"kv:d{n:0}%0500d" % number: b"" for number in range(100)})
    steps_until(tracking, lambda: "end" in notes.told)
    steps_until(tracking, lambda: notes.is_serving)


def test_a_server_that_speaks_no_resp3_tells_nothing(start_server, binary, notes, track):
    """As many proxies do not."""
    tracking = track(start_server("--rename-command", "HELLO", "", binary=binary).url)
    _, seconds = tracking.step()
    assert seconds == REFUSED_PAUSE
    assert "HELLO" in tracking.problem
    assert "begin" not in notes.told


def test_a_user_who_may_not_listen_is_told_nothing(server, notes, track):
    server.ask("ACL", "SETUSER", "ada", "on", "nopass", "~*", "+@all", "-client|tracking")
    tracking = track(server.url.replace("://", "://ada:x@"))
    _, seconds = tracking.step()
    assert seconds == REFUSED_PAUSE
    assert tracking.problem
    assert "begin" not in notes.told
    assert not notes.is_serving
    server.ask("ACL", "SETUSER", "ada", "+@all")
    tracking.step()
    assert notes.is_serving


def test_a_user_who_may_not_subscribe_is_told_all_the_same(server, notes, track):
    server.ask("ACL", "SETUSER", "ada", "on", "nopass", "~*", "+@all", "resetchannels")
    tracking = track(server.url.replace("://", "://ada:x@"))
    tracking.step()
    assert notes.is_serving


def test_what_is_no_resp_ends_it(server, clock, notes, track):
    tracking = track(server.url)
    tracking.step()

    class Babble:
        def feed(self, data):
            return Reader().feed(b"*x\r\n")

    tracking._listeners[0]._reader = Babble()
    clock.now += 0.5
    steps_until(tracking, lambda: "end" in notes.told)


# -- threads and forks


def test_a_thread_listens_until_it_is_closed(server, notes, track):
    tracking = track(server.url)
    tracking.start()
    assert notes.is_serving
    server.plain.set(KEY, 1)
    until(lambda: [("n", "k")] in notes.told, "the news")
    thread = tracking._thread
    tracking.close()
    assert notes.told[-1] == "end"
    thread.join(20)
    assert not thread.is_alive()
    tracking.wake()
    assert tracking._thread is thread


def test_a_thread_that_waits_to_try_it_again_ends_when_it_is_closed(start_server, binary, track):
    tracking = track(start_server("--rename-command", "HELLO", "", binary=binary).url)
    tracking.start()
    thread = tracking._thread
    tracking.close()
    thread.join(20)
    assert not thread.is_alive()


def test_it_listens_by_tls_too(start_server, notes, track):
    server = start_server(binary=redis_binary(), tls=True)
    tracking = track(server.url)
    tracking.step()
    assert notes.is_serving
    notes.news()
    server.plain.mset({b"kv:d{n:0}%0500d" % number: b"" for number in range(1000)})
    proven(tracking, notes)
    assert len({name for names in notes.news() for name in names}) == 1000


def test_it_listens_by_a_unix_socket_too(start_server, binary, notes, track, tmp_path):
    server = start_server("--unixsocket", str(tmp_path / "s"), binary=binary)
    tracking = track(f"unix://{tmp_path / 's'}")
    tracking.step()
    notes.news()
    server.plain.set(KEY, 1)
    proven(tracking, notes)
    assert notes.news() == [[("n", "k")]]


def test_a_thread_ends_when_nobody_has_its_tracking_any_more(server, clock):
    link = connect(server.url, timeout=5)
    tracking = Tracking(link, "kv", Notes(clock), 1.0)
    tracking.start()
    thread, gone = tracking._thread, weakref.ref(tracking)
    del tracking
    until(lambda: gc.collect() and False or gone() is None, "its end")
    thread.join(20)
    assert not thread.is_alive()
    link.close()


@needs_fork
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_listens_on_connections_of_its_own_and_the_parent_goes_on(server, notes, track):
    tracking = track(server.url)
    tracking.start()

    def child():
        notes.until = 0.0
        notes.told.clear()
        tracking.wake()
        until(lambda: "begin" in notes.told, "the child listens")
        server.client().set(KEY, 1)
        until(lambda: [("n", "k")] in notes.told, "the child is told")
        tracking.close()

    assert forked(child) == 0
    until(lambda: [("n", "k")] in notes.told, "the parent is told")
    server.plain.set(b"kv:d{n:0}later", 1)
    until(lambda: [("n", "later")] in notes.told, "the parent is told of what came later")
    assert notes.told.count("begin") == 1
    assert "end" not in notes.told


@needs_fork
def test_a_child_leaves_the_selector_of_the_parent_as_it_is(server, track, notes):
    """On Linux both have the same one: what is taken out on one side is out on the other."""
    tracking = track(server.url)
    tracking.step()

    def child():
        tracking.step()
        tracking.close()

    assert forked(child) == 0
    server.plain.set(KEY, 1)
    assert tracking._selector.select(20)
    assert tracking._listeners[0].fileno() in tracking._selector.get_map()


# -- clusters


@pytest.fixture
def cluster(start_cluster):
    return start_cluster()


def is_told(tracking, notes, cluster, key=KEY):
    """Return whether a write of another client is told."""
    notes.news()
    with closing(cluster.client()) as client:
        client.set(key, 1)
    proven(tracking, notes)
    return [("n", "k")] in notes.news()


def test_all_primaries_of_a_cluster_are_listened_to_and_one_that_is_silent_ends_hits(cluster, clock, notes, track):
    tracking = track(cluster.url)
    tracking.step()
    with closing(cluster.client()) as client:
        for number in range(30):
            client.set(b"kv:d{%d:0}k" % number, 1)
    proven(tracking, notes)
    told = [name for names in notes.news()[1:] for name in names]
    assert sorted(told) == sorted((str(number), "k") for number in range(30))
    silent = cluster.primaries()[1]
    silent.pause()
    try:
        clock.now += 1.0
        for _ in range(20):
            tracking.step()
        assert not notes.is_serving
    finally:
        silent.resume()
    cluster.wait_until_healthy()
    steps_until(tracking, lambda: notes.is_serving)


def test_a_replica_that_becomes_a_primary_is_listened_to(cluster, clock, notes, track):
    tracking = track(cluster.url)
    tracking.step()
    old = cluster.node_of_slot(redis.crc.key_slot(KEY))
    notes.news()
    old.kill()
    steps_until(tracking, lambda: "end" in notes.told)
    assert not notes.is_serving
    cluster.wait_until_healthy()
    assert cluster.node_of_slot(redis.crc.key_slot(KEY)) is not old
    steps_until(tracking, lambda: notes.is_serving)
    assert is_told(tracking, notes, cluster)


def test_a_failover_by_hand_ends_hits_though_no_connection_breaks(cluster, clock, notes, track):
    tracking = track(cluster.url)
    tracking.step()
    old = cluster.node_of_slot(redis.crc.key_slot(KEY))
    notes.news()
    replica = cluster.replica_of(old)
    replica.ask("CLUSTER", "FAILOVER")
    until(lambda: replica.plain.info("replication")["role"] == "master", "the failover")
    clock.now += 0.5
    asked = clock.now
    steps_until(tracking, lambda: "end" in notes.told or notes.until >= asked + 1.0)
    assert notes.news()[0] == "end"
    cluster.wait_until_healthy()
    steps_until(tracking, lambda: notes.is_serving)
    assert is_told(tracking, notes, cluster)


def test_a_primary_that_is_cut_off_from_the_others_ends_hits(cluster, clock, notes, track):
    """It goes on to answer; it is its own view of the cluster, and that of the others, by which one knows."""
    tracking = track(cluster.url)
    tracking.step()
    alone, *others = cluster.primaries()
    for node in cluster.nodes:
        if node is not alone:
            node.pause()
    try:
        until(lambda: "cluster_state:fail" in alone.ask("CLUSTER", "INFO"), "the view of the one")
        (listener,) = [each for each in tracking._listeners if each._socket.getpeername()[1] == alone.port]
        clock.now += 0.5
        steps_until(tracking, lambda: listener.asked == clock.now and not listener._waits)
        assert listener.proven < clock.now
    finally:
        for node in cluster.nodes:
            node.resume()
    cluster.wait_until_healthy()
    steps_until(tracking, lambda: notes.is_serving)


def test_a_slot_that_moves_is_told_of_by_whoever_has_it(cluster, clock, notes, track):
    tracking = track(cluster.url)
    tracking.step()
    slot = redis.crc.key_slot(KEY)
    source = cluster.node_of_slot(slot)
    to = next(node for node in cluster.primaries() if node is not source)
    assert is_told(tracking, notes, cluster)
    migration = cluster.migrate_slot(slot, to)
    migration.begin()
    assert is_told(tracking, notes, cluster)
    while migration.move():
        pass
    proven(tracking, notes)
    assert [("n", "k")] in notes.news()  # it left the source
    assert is_told(tracking, notes, cluster)  # an ASK leads there
    migration.finish()
    steps_until(tracking, lambda: notes.is_serving)
    assert is_told(tracking, notes, cluster)


def test_a_call_that_goes_elsewhere_is_counted_before_it_is_made(cluster):
    slot = redis.crc.key_slot(KEY)
    with closing(connect(cluster.url, timeout=5)) as link:
        from sqlitedict_kv.engines.valkey.client.protocol import Call

        get = Call(slot, None, (b"GET", KEY), writes=False)
        link.one(get)
        before = link.detours, link.changes
        source = cluster.node_of_slot(slot)
        to = next(node for node in cluster.primaries() if node is not source)
        migration = cluster.migrate_slot(slot, to)
        migration.begin()
        link.one(get)  # ASK
        assert link.detours != before[0]
        assert link.changes == before[1]
        migration.run_on()
        asked = link.detours
        link.one(get)  # MOVED
        assert link.detours != asked
        assert link.changes != before[1]
        settled = link.detours, link.changes
        link.one(get)
        assert (link.detours, link.changes) == settled


def test_primaries_that_this_process_learns_of_by_its_calls_end_hits(cluster, clock, notes, track):
    """As when Sentinels name another server, and the old one goes on to answer."""
    tracking = track(cluster.url)
    tracking.step()
    notes.news()
    link = tracking._link
    link._topology.moved(7, link._topology.node_at("127.0.0.1", cluster.replicas()[0].port))
    tracking.step()
    assert notes.news()[0] == "end"
    steps_until(tracking, lambda: notes.is_serving)


def test_a_topology_that_changes_while_it_begins_is_not_taken(cluster, notes, track):
    tracking = track(cluster.url)
    link = tracking._link
    refresh, calls = link.refresh, []

    def refreshed():
        refresh()
        calls.append(1)
        if len(calls) == 2:
            link._topology.moved(7, link._topology.node_at("127.0.0.1", cluster.replicas()[0].port))

    link.refresh = refreshed
    tracking.step()
    assert "begin" not in notes.told
    tracking.step()
    assert notes.is_serving


# -- the messages

STREAM = (
    b"+OK\r\n>2\r\n$10\r\ninvalidate\r\n*2\r\n$3\r\na\r\n\r\n$0\r\n\r\n>2\r\n$10\r\ninvalidate\r\n_\r\n$-1\r\n*-1\r\n"
    b"-ERR no\r\n!5\r\nERR x\r\n=7\r\ntxt:a:b\r\n%1\r\n+k\r\n:1\r\n*0\r\n*1\r\n*1\r\n*0\r\n#t\r\n,1.5\r\n"
)
MESSAGES = [
    ("+", b"OK"),
    (">", [b"invalidate", [b"a\r\n", b""]]),
    (">", [b"invalidate", None]),
    ("$", None),
    ("*", None),
    ("-", b"ERR no"),
    ("!", b"ERR x"),
    ("=", b"txt:a:b"),
    ("%", [b"k", b"1"]),
    ("*", []),
    ("*", [[[]]]),
    ("#", b"t"),
    (",", b"1.5"),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
def test_messages_are_read_however_they_are_cut(size):
    reader = Reader()
    found = []
    for start in range(0, len(STREAM), size):
        found += reader.feed(STREAM[start : start + size])
    assert [(chr(message.kind), message.value) for message in found] == MESSAGES


def test_a_connection_that_was_closed_is_no_listener(server, clock):
    with closing(connect(server.url, timeout=5)) as link:
        (endpoint,) = link.endpoints()
        connection = link.listener(endpoint)
        connection.disconnect()
        with pytest.raises(LostError):
            Listener(connection, clock, clustered=False)
        with pytest.raises(RefusedError):
            listener = Listener(link.listener(endpoint), clock, clustered=True)
            with closing(listener):
                listener.begin(PREFIXES, b"kv:tracking")
