"""A request that comes twice is executed once and answered twice."""

import os
import threading

import pytest

from sqlitedict_kv import ConflictError, OutcomeUnknownError, Store
from sqlitedict_kv.engines.protocol import Put
from sqlitedict_kv.engines.valkey import idempotency
from sqlitedict_kv.engines.valkey.client.connect import connect
from sqlitedict_kv.engines.valkey.keyspace import Keyspace, space_of
from sqlitedict_kv.engines.valkey.script_calls import clear_call, commit_call, put_call, remove_call
from tests.engines.valkey.load import hurried
from tests.engines.valkey.lossy import Lossy

NOW = 1_700_000_000_000


@pytest.fixture
def lossy(shared_valkey):
    with Lossy(shared_valkey.port) as way:
        yield way


@pytest.fixture
def users(lossy, request):
    with Store(f"valkey://127.0.0.1:{lossy.port}?prefix={request.node.name[:60]}", timeout=20) as store:
        users = store.ns("users")
        users["warm"] = 1
        users.incr("warm")  # from here on the scripts are loaded, and a connection is there
        yield users


def test_add_says_that_it_added_though_its_first_answer_was_lost(users, lossy):
    lossy.lose_replies = 1
    version = users.add("ada", 1)
    assert version is not None
    assert users.get_with_meta("ada").meta.version == version
    assert lossy.lose_replies == 0


def test_a_compare_and_set_whose_answer_was_lost_is_no_conflict_with_itself(users, lossy):
    first = users.set("ada", 1)
    lossy.lose_replies = 1
    second = users.cas_set("ada", 2, first)
    assert users.get_with_meta("ada").meta.version == second
    with pytest.raises(ConflictError):
        users.cas_set("ada", 3, first)


def test_sums_are_exact_though_answers_are_lost(users, lossy):
    users["n"] = 0
    for _ in range(20):
        lossy.lose_replies = 1
        users.incr("n")
    assert users["n"] == 20


def test_a_removal_whose_answer_was_lost_says_that_something_was_there(users, lossy):
    users.update({"a": 1, "b": 2, "c": 3})
    lossy.lose_replies = 1
    assert users.delete("a")
    lossy.lose_replies = 1
    assert users.delete_many(["a", "b"]) == 1
    lossy.lose_replies = 1
    assert users.pop("c") == 3


def test_all_of_a_transaction_is_done_once(users, lossy, request):
    with Store(f"valkey://127.0.0.1:{lossy.port}?prefix={request.node.name[:60]}") as store:
        store.ns("a").incr("n")
        lossy.lose_replies = 1
        with store.atomic() as tx:
            tx.ns("a").incr("n")
            tx.ns("b").add("new", 1)
        assert store.ns("a")["n"] == 2


def test_a_plain_write_is_not_repeated_over_the_write_of_another(users, lossy, shared_valkey, request):
    """The first attempt is done and its answer lost; before the second one comes, somebody else writes."""
    with Store(f"{shared_valkey.url}?prefix={request.node.name[:60]}") as other:
        wrote = threading.Event()

        def write_between():
            while other.ns("users").get("ada") != "ours":
                pass
            other.ns("users")["ada"] = "theirs"
            wrote.set()

        thread = threading.Thread(target=write_between)
        thread.start()
        # Each answer of the server is lost until the other one has written.
        lossy.lose_replies = 10**6
        release = threading.Thread(target=lambda: (wrote.wait(30), setattr(lossy, "lose_replies", 0)))
        release.start()
        users["ada"] = "ours"
        thread.join()
        release.join()
        assert users["ada"] == "theirs"


def test_a_write_that_nobody_answers_is_of_unknown_outcome(lossy, request):
    with Store(f"valkey://127.0.0.1:{lossy.port}?prefix={request.node.name[:60]}") as store:
        users = store.ns("users")
        users["ada"] = 1
        lossy.lose_replies = 10**6
        with hurried(store), pytest.raises(OutcomeUnknownError, match="read before you write again"):
            users["ada"] = 2
        lossy.lose_replies = 0
        assert users["ada"] in (1, 2)
        users["ada"] = 3
        assert users["ada"] == 3


# -- the scripts themselves


@pytest.fixture
def link(shared_valkey):
    link = connect(shared_valkey.url, timeout=10)
    yield link
    link.close()


@pytest.fixture
def space(request):
    return space_of(request.node.name[:60], "ns", Keyspace(1, ordered=True))


def put(key, body=b"1"):
    return Put("ns", key, body, "application/json", None)


def commit(space, edits, number):
    return commit_call(edits, lambda _: space, (b"me", idempotency.NUMBER.pack(number)), NOW)


def test_a_request_that_was_overtaken_by_its_repetition_changes_nothing(link, space):
    """A server that was paused may execute an attempt that the client has given up long after its repetition."""
    first = commit(space, [put("k")], 1)
    (version,) = link.one(first)
    (second,) = link.one(commit(space, [put("k", b"2")], 2))
    assert second > version
    assert link.one(first) == [second], "the answer of the last request; nobody waits for it"
    entry = link.one(first._replace(script=None, parts=(b"GET", space.shards[0].entries + b"k")))
    assert entry.endswith(b"2")


def test_every_script_that_writes_answers_again(link, space):
    shard = space.shards[0]

    def me(number):
        return b"me", idempotency.NUMBER.pack(number)

    calls = [
        put_call(space, shard, [put("a"), put("b"), put("c")], me(1), 0, NOW),
        commit(space, [put("d"), put("e", b"5")], 2),
        remove_call(shard, me(3), 2, NOW, expired=False),
        clear_call(shard, me(4)),
    ]
    for call in calls:
        answer = link.one(call)
        dump = link.one(call._replace(script=None, parts=(b"ZRANGE", shard.order, b"0", b"-1")))
        assert link.one(call) == answer
        assert link.one(call._replace(script=None, parts=(b"ZRANGE", shard.order, b"0", b"-1"))) == dump


def test_a_refusal_is_not_recorded_so_that_a_repetition_looks_again(link, space):
    guarded = commit(space, [put("k")._replace(expected=0)], 2)
    link.one(commit(space, [put("k")], 1))
    assert link.one(guarded)[0] == b"CONFLICT"
    other = put_call(space, space.shards[0], [put("other")], (b"you", idempotency.NUMBER.pack(1)), 0, NOW)
    assert link.one(other)
    assert link.one(guarded)[0] == b"CONFLICT"


def test_a_write_in_the_middle_of_another_one_of_the_same_thread_is_a_request_of_its_own(shared_valkey, request):
    """The handler of a signal may come at any place, and a finalizer too."""
    with Store(f"{shared_valkey.url}?prefix={request.node.name[:60]}") as store:
        users = store.ns("users")
        users["warm"] = 1
        link = store._engine._link
        one, inner = link.one, []

        def interrupted(call):
            if call.writes and not inner:
                inner.append("begun")
                inner.append(users.incr("inner"))
            return one(call)

        link.one = interrupted
        version = users.set("outer", 1)
        assert inner == ["begun", 1]
        assert users.copy() == {"inner": 1, "outer": 1, "warm": 1}
        assert users.get_with_meta("outer").meta.version == version


def test_requests_that_are_made_at_once_have_sessions_of_their_own():
    sessions = idempotency.RequestSessions()
    with sessions.take() as first, sessions.take() as second:
        assert first.name != second.name
        assert first.next() == (first.name, idempotency.NUMBER.pack(1))
    with sessions.take() as third:
        assert third in (first, second)
    assert len(sessions._free) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
def test_a_forked_child_has_sessions_of_its_own():
    sessions = idempotency.RequestSessions()
    with sessions.take() as taken:
        mine = taken.name
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(write, sessions.take().name)
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(read, 100) not in (mine, b"")
    os.close(read)
    os.close(write)
