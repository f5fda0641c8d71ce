"""The link to one server: replies, errors, and what happens when the server or the way to it fails."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import uuid

import pytest
import redis
import redis.asyncio

from sqlitedict_kv.engines.valkey.client.connect import connect
from sqlitedict_kv.engines.valkey.client.protocol import Call, Script, command, sendable
from sqlitedict_kv.errors import (
    AccessDeniedError,
    CorruptStoreError,
    KVError,
    NotConfirmedError,
    OpenError,
    OutcomeUnknownError,
    StoreClosedError,
    StoreError,
    StoreFullError,
    UnreachableError,
)
from tests.conftest import redis_binary
from tests.engines.valkey.load import hurried
from tests.engines.valkey.lossy import Lossy
from tests.support.servers import free_ports

ONCE = Script.of("if redis.call('SADD', KEYS[1], ARGV[1]) == 1 then redis.call('INCR', KEYS[2]) end return ARGV[1]")
ADD = Script.of("return redis.call('INCRBY', KEYS[1], ARGV[1])")


@pytest.fixture
def key():
    return uuid.uuid4().hex.encode()


@pytest.fixture
def link_to():
    links = []

    def open_one(target, timeout=10.0, confirm=0):
        links.append(connect(target, timeout=timeout, confirm=confirm))
        return links[-1]

    yield open_one
    for link in links:
        link.close()


@pytest.fixture(params=["shared_valkey", "shared_redis"])
def server(request):
    return request.getfixturevalue(request.param)


def read(*words):
    return Call(0, None, words, writes=False)


def write(*words):
    return Call(0, None, words, writes=True)


def url_of(port):
    return f"valkey://127.0.0.1:{port}"


def test_replies_are_bytes_ints_lists_and_none(server, link_to, key):
    link = link_to(server.url)

    assert link.one(write(b"SET", key, b"\xff\r\n")) == b"OK"
    assert link.one(read(b"GET", key)) == b"\xff\r\n"
    assert link.one(read(b"STRLEN", key)) == 3
    assert link.one(read(b"MGET", key, b"no" + key)) == [b"\xff\r\n", None]
    assert link.label == f"{server.scheme}://127.0.0.1:{server.port}"
    assert not link.clustered


def test_a_script_is_sent_with_its_source_where_the_server_lost_it(server, link_to, key):
    link = link_to(server.url)
    call = Call(0, ADD, (b"1", key, b"2"), writes=True)

    assert link.one(call) == 2
    server.ask("SCRIPT", "FLUSH")
    assert link.one(call) == 4
    server.ask("SCRIPT", "FLUSH")
    assert link.many([call] * 5) == [6, 8, 10, 12, 14]


def test_many_replies_are_in_order(server, link_to, key):
    link = link_to(server.url)

    link.many([write(b"RPUSH", key, b"%d" % number) for number in range(2000)])

    assert link.many([read(b"LINDEX", key, b"%d" % number) for number in range(2000)]) == [
        b"%d" % number for number in range(2000)
    ]
    assert link.many([]) == []
    assert link.on_every_server([b"LLEN", key]) == [2000]


def test_an_error_among_many_is_raised_and_leaves_the_connection_in_step(server, link_to, key):
    link = link_to(server.url)
    link.one(write(b"SET", key, b"text"))

    with pytest.raises(CorruptStoreError):
        link.many([read(b"STRLEN", key), read(b"LLEN", key), read(b"STRLEN", key)])

    assert link.one(read(b"ECHO", b"a")) == b"a"


def test_large_values_come_and_go(server, link_to, key):
    link = link_to(server.url)
    value = os.urandom(1 << 20) * 40

    link.one(write(b"SET", key, value))
    assert link.one(read(b"GET", key)) == value
    link.many([write(b"SET", key, b"small"), write(b"APPEND", key, value), write(b"STRLEN", key)])
    assert link.one(read(b"GET", key)) == b"small" + value
    link.one(write(b"DEL", key))


def test_what_is_sent_is_in_slices_that_make_up_the_messages():
    messages = [b"a" * 10, b"b" * (3 << 20), b"c", b"d" * ((1 << 20) - 1), b"e"]
    chunks = sendable(messages)

    assert b"".join(chunks) == b"".join(messages)
    assert max(map(len, chunks)) <= 1 << 20


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ((b"LPUSH", b"KEY", b"x"), CorruptStoreError),
        ((b"NONSENSE", b"hidden-value"), StoreError),
        ((b"INCR", b"KEY"), StoreError),
        ((b"EVAL", b"error('x')", b"0"), StoreError),
        ((b"EVAL", b"return redis.call('LPUSH', KEYS[1], 'x')", b"1", b"KEY"), CorruptStoreError),
    ],
)
def test_an_error_of_the_server_becomes_ours_with_its_cause_and_no_value(server, link_to, key, words, kind):
    link = link_to(server.url)
    link.one(write(b"SET", key, b"text"))

    with pytest.raises(kind) as raised:
        link.one(write(*(key if word == b"KEY" else word for word in words)))

    assert isinstance(raised.value.__cause__, redis.ResponseError)
    assert "hidden-value" not in str(raised.value)
    assert link.one(read(b"GET", key)) == b"text"


def test_a_full_server_is_a_full_store(start_server, link_to):
    server = start_server("--maxmemory-policy", "noeviction")
    link = link_to(server.url)
    server.ask("CONFIG", "SET", "maxmemory", "1000")

    with pytest.raises(StoreFullError):
        link.one(write(b"SET", b"k", b"v"))
    with pytest.raises(StoreFullError):
        link.one(Call(0, Script.of("return redis.call('SET', KEYS[1], ARGV[1])"), (b"1", b"k", b"v"), writes=True))
    assert link.one(read(b"GET", b"k")) is None


def test_a_closed_link_says_so_and_may_be_closed_again(server, link_to):
    link = link_to(server.url)
    link.close()
    link.close()

    for call in (
        lambda: link.one(read(b"PING")),
        lambda: link.many([read(b"PING")]),
        lambda: link.on_every_server([b"PING"]),
    ):
        with pytest.raises(StoreClosedError):
            call()


# -- who may, and where


def test_passwords_are_given_and_never_shown(start_server, link_to):
    server = start_server(password="p@ss/w:rd")
    assert link_to(server.url).one(read(b"PING")) == b"PONG"

    for url in (f"valkey://:wrong-secret@127.0.0.1:{server.port}", f"valkey://127.0.0.1:{server.port}"):
        with pytest.raises(AccessDeniedError) as raised:
            link_to(url)
        assert "secret" not in str(raised.value)


def test_a_user_who_may_not_write_is_denied_the_write(start_server, link_to):
    server = start_server()
    server.ask("ACL", "SETUSER", "reader", "on", ">pw", "~*", "+get", "+@connection", "+info")
    link = link_to(f"valkey://reader:pw@127.0.0.1:{server.port}")

    assert link.one(read(b"GET", b"k")) is None
    with pytest.raises(AccessDeniedError):
        link.one(write(b"SET", b"k", b"v"))


def test_a_user_who_may_not_ask_for_info_is_let_in(start_server, link_to):
    server = start_server()
    server.ask("ACL", "SETUSER", "reader", "on", ">pw", "~*", "+get", "+@connection")

    assert link_to(f"valkey://reader:pw@127.0.0.1:{server.port}").one(read(b"GET", b"k")) is None


def test_tls_is_verified(request, start_server, link_to):
    server = start_server(binary=redis_binary(), tls=True)
    assert link_to(server.url).one(read(b"PING")) == b"PONG"

    for query in ("", f"?ssl_ca_certs={__file__}"):
        with pytest.raises(OpenError):
            link_to(f"rediss://127.0.0.1:{server.port}{query}")
    with pytest.raises(OpenError, match="the file of ssl_ca_certs does not exist"):
        link_to(f"rediss://127.0.0.1:{server.port}?ssl_ca_certs=/none")
    link = link_to(f"rediss://127.0.0.1:{server.port}?ssl_cert_reqs=none")
    value = os.urandom(5 << 20)
    link.one(write(b"SET", b"k", value))
    assert link.one(read(b"GET", b"k")) == value


def test_tls_to_a_server_without_it_is_no_open_server(server, link_to):
    with pytest.raises((OpenError, UnreachableError)):
        link_to(f"rediss://127.0.0.1:{server.port}", timeout=0.5)


def test_a_socket_of_the_file_system(start_server, link_to):
    server = start_server("--unixsocket", "sock")
    link = link_to(f"unix://{server.directory}/sock?db=3")

    link.one(write(b"SET", b"k", b"v"))
    assert server.client(db=3).get("k") == b"v"


def test_a_database_is_chosen_and_the_client_has_our_name(server, link_to, key):
    link = link_to(f"{server.scheme}://127.0.0.1:{server.port}/5")

    link.one(write(b"SET", key, b"v"))
    assert server.client(db=5).get(key) == b"v"
    assert b"name=sqlitedict_kv" in link.one(read(b"CLIENT", b"INFO"))


def test_a_replica_is_refused(start_server, link_to):
    primary = start_server()
    replica = start_server("--replicaof", f"127.0.0.1 {primary.port}")

    with pytest.raises(OpenError, match=str(primary.port)):
        link_to(replica.url)


def test_nobody_there_is_unreachable(link_to):
    (port,) = free_ports(1)
    with pytest.raises(UnreachableError, match="refused"):
        link_to(url_of(port), timeout=0.2)


# -- clients that the user made


@pytest.mark.parametrize(
    "options", [{}, {"decode_responses": True}, {"protocol": 3}, {"max_connections": 1}, {"db": 2}]
)
def test_a_client_is_taken_and_left_as_it_is(server, link_to, key, options):
    client = server.client(**options)
    link = link_to(client)

    link.one(write(b"SET", key, b"\xff"))
    assert link.one(read(b"GET", key)) == b"\xff"
    assert link.one(read(b"CONFIG", b"GET", b"port")) == [b"port", b"%d" % server.port]
    link.close()
    assert client.ping()
    assert client.exists(key)


@pytest.mark.parametrize("target", [None, 1, b"redis://h", object()])
def test_what_is_no_client_is_refused(target, link_to):
    with pytest.raises(TypeError):
        link_to(target)


def test_an_asynchronous_client_is_refused(link_to):
    with pytest.raises(TypeError):
        link_to(redis.asyncio.Redis())


# -- what fails


def test_a_lost_reply_of_a_write_is_asked_for_with_the_same_bytes(shared_valkey, link_to, key):
    with Lossy(shared_valkey.port) as way:
        link = link_to(url_of(way.port))
        for number in range(20):
            way.lose_replies = number % 3
            assert link.one(Call(0, ONCE, (b"2", key, key + b"n", b"%d" % number), writes=True)) == b"%d" % number

    assert shared_valkey.plain.get(key + b"n") == b"20"


def test_lost_replies_of_many_are_asked_for_again(shared_valkey, link_to, key):
    calls = [Call(0, ONCE, (b"2", key, key + b"n", b"%d" % number), writes=True) for number in range(500)]
    with Lossy(shared_valkey.port) as way:
        link = link_to(url_of(way.port))
        link.one(calls[0])
        for lost in (1, 2, 3):
            way.lose_replies = lost
            assert link.many(calls) == [b"%d" % number for number in range(500)]

    assert shared_valkey.plain.get(key + b"n") == b"500"


def test_connections_that_ended_while_they_were_idle_are_not_noticed(shared_valkey, link_to):
    with Lossy(shared_valkey.port) as way:
        link = link_to(url_of(way.port))
        barrier = threading.Barrier(5)

        def work():
            barrier.wait()
            for _ in range(20):
                link.one(read(b"PING"))

        threads = [threading.Thread(target=work) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        way.cut()
        assert link.one(read(b"PING")) == b"PONG"


def test_a_server_that_hangs_leaves_the_outcome_of_a_write_unknown(start_server, link_to):
    server = start_server()
    link = link_to(server.url)
    server.pause()
    try:
        with hurried(link), pytest.raises(UnreachableError):
            link.one(read(b"GET", b"k"))
        with hurried(link), pytest.raises(UnreachableError):
            link.many([read(b"GET", b"k")] * 2)
    finally:
        server.resume()
    assert link.one(read(b"GET", b"k")) is None
    server.pause()
    try:
        with hurried(link), pytest.raises(OutcomeUnknownError) as raised:
            link.one(write(b"SET", b"k", b"hidden"))
        with hurried(link), pytest.raises((OutcomeUnknownError, UnreachableError)):
            link.many([write(b"SET", b"k", b"hidden")] * 2)
    finally:
        server.resume()
    assert isinstance(raised.value.__cause__, redis.TimeoutError)
    assert "hidden" not in str(raised.value)


def test_a_killed_server_leaves_nothing_written_once_nobody_answers(start_server, link_to):
    server = start_server()
    link = link_to(server.url)
    server.kill()

    with hurried(link), pytest.raises(KVError):  # the first connection was open, so nobody knows of it
        link.one(write(b"SET", b"k", b"v"))
    with hurried(link), pytest.raises(UnreachableError, match="nothing was written"):
        link.one(write(b"SET", b"k", b"v"))
    server.start()
    assert link.one(write(b"SET", b"k", b"v")) == b"OK"


def test_a_server_that_comes_back_in_time_is_waited_for(start_server, link_to):
    server = start_server()
    link = link_to(server.url, timeout=30)
    server.kill()
    timer = threading.Timer(0.3, server.start)
    timer.start()
    try:
        assert link.many([write(b"INCR", b"k")] * 3) == [1, 2, 3]
    finally:
        timer.join()


def test_a_script_that_runs_for_long_is_waited_for(start_server, link_to):
    server = start_server("--lua-time-limit", "10")
    link = link_to(server.url, timeout=30)
    other = server.client(socket_timeout=60)

    def busy():
        with contextlib.suppress(redis.RedisError):
            other.eval("while true do end", 0)

    thread = threading.Thread(target=busy)
    thread.start()
    killer = threading.Timer(0.3, lambda: server.client().script_kill())
    killer.start()
    assert link.one(write(b"INCR", b"k")) == 1
    thread.join()
    killer.join()


# -- replicas that confirm


def test_a_write_that_no_replica_confirms_says_so(start_server, link_to):
    server = start_server()
    link = link_to(server.url, timeout=3, confirm=1)

    with pytest.raises(NotConfirmedError, match="0 of 1"):
        link.one(write(b"SET", b"k", b"v"))
    with pytest.raises(NotConfirmedError):
        link.many([write(b"INCR", b"n")] * 3)
    assert link.one(read(b"MGET", b"k", b"n")) == [b"v", b"3"]


def test_a_write_that_a_replica_confirms_is_done(start_server, link_to):
    primary = start_server()
    replica = start_server("--replicaof", f"127.0.0.1 {primary.port}")
    link = link_to(primary.url, timeout=20, confirm=1)

    assert link.one(Call(0, ADD, (b"1", b"k", b"2"), writes=True)) == 2
    assert replica.client().get("k") == b"2"
    assert link.many([Call(0, ADD, (b"1", b"k", b"1"), writes=True)] * 3) == [3, 4, 5]
    assert replica.client().get("k") == b"5"


def test_a_replica_that_hangs_does_not_confirm(start_server, link_to):
    primary = start_server()
    replica = start_server("--replicaof", f"127.0.0.1 {primary.port}")
    link_to(primary.url, timeout=20, confirm=1).one(write(b"SET", b"k", b"v"))
    link = link_to(primary.url, timeout=3, confirm=1)

    replica.pause()
    try:
        with pytest.raises(NotConfirmedError):
            link.one(write(b"SET", b"k", b"w"))
    finally:
        replica.resume()


# -- threads, interrupts and forks


def test_threads_get_their_own_replies(server, link_to):
    link = link_to(server.url)
    wrong = []

    def work(number):
        for turn in range(200):
            word = b"%d-%d" % (number, turn)
            if link.one(read(b"ECHO", word)) != word or link.many([read(b"ECHO", word)] * 3) != [word] * 3:
                wrong.append(word)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="no such signal")
@pytest.mark.parametrize("verb", ["one", "many"])
def test_an_interrupt_between_request_and_reply_leaves_no_reply_behind(start_server, link_to, verb):
    server = start_server()
    link = link_to(server.url, timeout=30)
    call = link.one if verb == "one" else lambda call: link.many([call, call])[0]
    assert link.one(read(b"ECHO", b"first")) == b"first"

    class InterruptError(BaseException):
        pass

    def interrupt(*_):
        raise InterruptError

    before = signal.signal(signal.SIGUSR1, interrupt)
    server.pause()
    try:
        timer = threading.Timer(0.2, lambda: signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1))
        timer.start()
        with pytest.raises(InterruptError):
            call(read(b"ECHO", b"interrupted"))
        timer.join()
    finally:
        server.resume()
        signal.signal(signal.SIGUSR1, before)

    for number in range(5):
        assert link.one(read(b"ECHO", b"%d" % number)) == b"%d" % number


@pytest.mark.parametrize("verb", ["one", "many"])
@pytest.mark.parametrize("where", ["send_packed_command", "read_response"])
def test_an_interrupt_at_any_place_leaves_no_reply_behind(shared_valkey, link_to, monkeypatch, verb, where):
    class InterruptError(BaseException):
        pass

    def interrupted(connection, *args, **options):
        if where == "send_packed_command":
            original(connection, *args, **options)
        raise InterruptError

    link = link_to(shared_valkey.url)
    call = link.one if verb == "one" else lambda call: link.many([call, call])[0]
    call(read(b"PING"))
    with monkeypatch.context() as patched:
        original = getattr(redis.Connection, where)
        patched.setattr(redis.Connection, where, interrupted)
        with pytest.raises(InterruptError):
            call(read(b"ECHO", b"interrupted"))

    for number in range(3):
        assert call(read(b"ECHO", b"%d" % number)) == b"%d" % number


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_connections_of_its_own(server, link_to):
    link = link_to(server.url)
    ours = link.one(read(b"CLIENT", b"ID"))

    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            theirs = [link.one(read(b"CLIENT", b"ID")), *link.many([read(b"CLIENT", b"ID")])]
            os.write(writer, repr(theirs).encode())
            link.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        theirs = eval(pipe.read())

    assert ours not in theirs
    assert link.one(read(b"CLIENT", b"ID")) == ours  # its socket is as it was


def test_a_command_is_packed():
    assert command([b"GET", b"", b"\r\n"]) == b"*3\r\n$3\r\nGET\r\n$0\r\n\r\n$2\r\n\r\n\r\n"


def test_without_redis_py_the_error_names_the_extra():
    code = (
        "import sys; sys.modules['redis'] = None\n"
        "from sqlitedict_kv.engines.registry import is_address; assert is_address('redis://h')\n"
        "try:\n    import sqlitedict_kv.engines.valkey.client.connect\n"
        "except ImportError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'pip install "sqlitedict-kv[valkey]"' in done.stdout
