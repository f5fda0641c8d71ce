"""A slot moves to another server under load: answers are right or wait, key by key or all at once."""

import pytest
from redis.crc import key_slot

from sqlitedict_kv import Store, UnreachableError
from tests.conftest import redis_binary, servers, valkey_binary
from tests.engines.valkey.conftest import mend
from tests.engines.valkey.load import NAMESPACE, Load, giving_up
from tests.support.servers import HOST, until

SLOT = key_slot(b"{%s:0}" % NAMESPACE.encode())
KEYS = [f"k{number}" for number in range(6)]


@pytest.fixture(scope="module", params=["valkey", "redis"])
def _either(request):
    binary = valkey_binary() if request.param == "valkey" else redis_binary()
    with servers().Cluster(binary, replicas=0) as cluster:
        yield cluster


@pytest.fixture
def either(_either):
    mend(_either)
    return _either


def begun(cluster):
    """Begin to move the slot of the namespace to another primary."""
    source = cluster.node_of_slot(SLOT)
    move = cluster.migrate_slot(SLOT, next(node for node in cluster.primaries() if node is not source))
    move.begin()
    return move


def move_keys(move, *kinds):
    """Move those keys of the slot that are of some kinds, or some entries."""
    names = move.source.ask("CLUSTER GETKEYSINSLOT", SLOT, 1000)
    chosen = [name for name in names if name[3] in kinds or name.rpartition("}")[2] in kinds]
    move.source.ask("MIGRATE", HOST, move.to.port, "", 0, 10_000, "KEYS", *chosen)
    return set(names) - set(chosen), set(chosen)


@pytest.mark.parametrize("ttl", [None, 3600], ids=["lasting", "expiring"])
@pytest.mark.parametrize("kinds", ["", "i", "ix", "ixcs", "d", "c", "s", "x", ("k1", "k2"), "dixcs"], ids="".join)
def test_what_is_read_and_written_while_a_slot_moves_key_by_key_is_right_or_waits(either, kinds, ttl):
    with Store(either.url) as store:
        ns = store.ns(NAMESPACE)
        model = {key: f"value of {key}" for key in KEYS}
        for key, value in model.items():
            ns.set(key, value, ttl=3600 if key == "k0" else ttl)
        move = begun(either)
        if kinds:
            move_keys(move, *kinds)

        for key in KEYS:  # single reads never wait
            assert ns[key] == model[key]
        assert ns.get("absent") is None
        with giving_up():
            waits_or_is_right(lambda: ns.get_many([*KEYS, "absent"]), model)
            waits_or_is_right(lambda: list(ns), KEYS)
            waits_or_is_right(lambda: len(ns), len(KEYS))
            waits_or_is_right(lambda: {key: entry.value for key, entry in ns.scan()}, model)

            if waits_or_is_right(lambda: ns.delete_many(["k0", "k3"]), 2):
                del model["k0"], model["k3"]
            if waits_or_is_right(lambda: ns.set("k1", 1) > 0, True):
                model["k1"] = 1
            if waits_or_is_right(lambda: ns.add("new", 1) is not None, True):
                model["new"] = 1
            if waits_or_is_right(lambda: len(ns.set_many({"k1": 2, "k4": 2})), 2):
                model |= {"k1": 2, "k4": 2}

        move.run_on()
        assert {key: entry.value for key, entry in ns.scan()} == model
        assert {key: ns[key] for key in model} == ns.get_many([*KEYS, "new"]) == model
        assert len(ns) == len(model)
        ns.clear()
        assert names_of_entries(move.to) == []


@pytest.mark.parametrize("verb", ["clear", "drop", "purge", "several deletes"])
@pytest.mark.parametrize("kinds", ["i", "ix", "ixcs", "x", ("k1", "k2")], ids="".join)
def test_a_removal_while_a_slot_moves_key_by_key_is_whole_or_waits(either, clock, kinds, verb):
    with Store(either.url, clock=clock) as store:
        ns = store.ns(NAMESPACE)
        for key in KEYS:
            ns.set(key, 1, ttl=10 if key < "k3" else None)
        ns.set_many(dict.fromkeys(KEYS[4:], 1), ttl=20)
        if verb == "purge":
            clock.advance(15)
        move = begun(either)
        move_keys(move, *kinds)
        remove = {
            "clear": ns.clear,
            "drop": lambda: store.drop(NAMESPACE),
            "purge": store.purge_expired,
            "several deletes": lambda: ns.delete_many(KEYS),
        }[verb]

        with giving_up(), pytest.raises(UnreachableError, match="TRYAGAIN|Multiple keys"):
            remove()

        move.run_on()
        left = KEYS[3:] if verb == "purge" else KEYS
        assert {key: entry.value for key, entry in ns.scan()} == dict.fromkeys(left, 1)
        remove()
        assert len(names_of_entries(move.to)) == len(ns) == (3 if verb == "purge" else 0)


def test_an_unordered_namespace_is_dropped_wherever_its_slot_is(either):
    with Store(either.url) as store:
        ns = store.ns(NAMESPACE, ordered=False)
        ns.set_many(dict.fromkeys(KEYS, 1))
        move = begun(either)
        move_keys(move, "k1", "k2")
        with giving_up(), pytest.raises(UnreachableError, match="TRYAGAIN|Multiple keys"):
            store.drop(NAMESPACE)
        move.run_on()

        store.drop(NAMESPACE)
        assert names_of_entries(move.to) == []

    with Store(either.url) as store:  # which learns where the slot is before it moves
        ns = store.ns(NAMESPACE)
        ns.set_many(dict.fromkeys(KEYS, 1))
        begun(either).run_on()
        assert store.drop(NAMESPACE) == len(KEYS)
        assert names_of_entries(either.node_of_slot(SLOT)) == []


def waits_or_is_right(call, wanted):
    """Return whether the call was answered, and then as it must be."""
    try:
        answer = call()
    except UnreachableError as error:
        assert "nothing was written" in str(error) or "see whether" in str(error)
        return False
    assert answer == wanted
    return True


def names_of_entries(node):
    return [name for name in node.ask("CLUSTER GETKEYSINSLOT", SLOT, 1000) if name[3] == "d"]


LASTING = {f"last{number}": number for number in range(20)}


def fill(url):
    with Store(url) as store:
        store.ns(NAMESPACE).set_many(LASTING)


def test_processes_go_on_while_a_slot_moves_key_by_key_there_and_back(cluster, record):
    fill(cluster.url)
    with Load(cluster.url, writers=2, readers=1, lasting=LASTING, timeout=60) as load:
        for _ in range(2):
            move = begun(cluster)
            while move.move(7):
                pass
            move.finish()

    assert load.wrong == []
    assert not load.unknown
    load.assert_nothing_was_lost_or_done_twice(cluster.url)
    record("longest wait in seconds", f"{load.outage:.2f}")


def test_processes_go_on_while_a_slot_moves_all_at_once_there_and_back(cluster, record):
    fill(cluster.url)
    if "MIGRATESLOTS" not in commands_of(cluster):
        pytest.skip("this server moves slots key by key only")
    with Load(cluster.url, writers=2, readers=1, lasting=LASTING, timeout=60) as load:
        for _ in range(2):
            source = cluster.node_of_slot(SLOT)
            to = next(node for node in cluster.primaries() if node is not source)
            source.ask("CLUSTER MIGRATESLOTS", "SLOTSRANGE", SLOT, SLOT, "NODE", to.ask("CLUSTER MYID"))
            until(lambda to=to: cluster.node_of_slot(SLOT) is to, "the move of a slot")
            cluster.wait_until_healthy()

    assert load.wrong == []
    assert not load.unknown
    load.assert_nothing_was_lost_or_done_twice(cluster.url)
    record("longest wait in seconds", f"{load.outage:.2f}")


def commands_of(cluster):
    return " ".join(cluster.nodes[0].ask("CLUSTER HELP"))
