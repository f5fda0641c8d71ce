"""An eviction policy of cachetools decides what the LRU keeps, and nothing of what the LRU promises changes."""

import threading
from functools import partial

import cachetools
import pytest

from sqlitedict_kv import AsyncStore
from sqlitedict_kv.lru import ENTRY_OVERHEAD, InvalidatedLRU, NotHeldError, PolicyCache
from tests.support.processes import run

POLICIES = {
    "LRU": cachetools.LRUCache,
    "LFU": cachetools.LFUCache,
    "FIFO": cachetools.FIFOCache,
    "RR": cachetools.RRCache,
    "TTL": partial(cachetools.TTLCache, ttl=3600),
    "TLRU": partial(cachetools.TLRUCache, ttu=lambda _name, _entry, now: now + 3600),
}
BODY = b"x" * 1000
SIZE = len(BODY) + len("n") + len("k0") + ENTRY_OVERHEAD  # of one entry of these tests
ROOM = 4 * SIZE + SIZE // 2  # for four of them


@pytest.fixture(params=POLICIES)
def policy(request):
    return POLICIES[request.param]


@pytest.fixture(params=["file", "memory"])
def open_with(request, make_store, path):
    """Open stores whose LRU holds four of the entries of a test."""
    place = path if request.param == "file" else ":memory:"
    return lambda policy: make_store(place, lru_bytes=ROOM, lru_policy=policy)


def held(store, *keys):
    """Return which of the keys the LRU holds, without a hit that a policy would count."""
    return [key for key in keys if ("n", key) in store._context.lru._cache._cache]


def test_it_serves_what_was_read_and_never_what_was_overwritten(open_with, policy, path):
    store = open_with(policy)
    ns = store.ns("n")
    ns["k0"] = BODY
    assert ns["k0"] == ns["k0"] == BODY
    assert store.stats().lru.hits == 1
    ns["k0"] = b"new"
    assert ns["k0"] == ns["k0"] == b"new"
    del ns["k0"]
    assert "k0" not in ns


def test_it_stays_within_its_bytes_and_counts_evictions(open_with, policy):
    store = open_with(policy)
    ns = store.ns("n")
    ns.update({f"k{number}": BODY for number in range(8)})
    for number in range(8):
        assert ns[f"k{number}"] == BODY
    lru = store.stats().lru
    assert lru.entries == 4
    assert lru.bytes == 4 * SIZE <= ROOM
    assert lru.evictions == 4
    ns["large"] = BODY * 10
    assert ns["large"] == ns["large"]  # larger than all of it: read each time, and nothing goes for it
    assert store.stats().lru.entries in (0, 4)


def test_the_policy_decides_what_is_evicted(open_with):
    used = {}
    for name in ("LRU", "LFU", "FIFO"):
        store = open_with(POLICIES[name])
        ns = store.ns("n")
        ns.update({f"k{number}": BODY for number in range(5)})
        for key in ("k0", "k1", "k2", "k3", "k0", "k0", "k1", "k2", "k3"):
            assert ns[key] == BODY
        ns["k4"]
        used[name] = held(store, *(f"k{number}" for number in range(5)))
    assert used["FIFO"] == ["k1", "k2", "k3", "k4"]  # the one that came first went
    assert used["LRU"] == ["k1", "k2", "k3", "k4"]  # k0 was used longest ago
    assert "k0" in used["LFU"]  # and most often
    assert len(used["LFU"]) == 4


def test_a_ttl_of_the_policy_lets_entries_go(open_with):
    now = [0.0]
    store = open_with(partial(cachetools.TTLCache, ttl=60, timer=lambda: now[0]))
    ns = store.ns("n")
    ns["k0"] = BODY
    ns["k0"], ns["k0"]
    assert store.stats().lru.hits == 1
    now[0] = 61.0
    assert ns["k0"] == BODY
    assert store.stats().lru.hits == 1


def test_another_store_is_never_behind(make_store, path, policy):
    one, other = (make_store(path, lru_bytes="1 MB", lru_policy=policy) for _ in range(2))
    for number in range(20):
        other.ns("n")["k"] = number
        assert one.ns("n")["k"] == one.ns("n")["k"] == number


def test_threads_share_it(open_with, policy):
    store = open_with(policy)
    ns = store.ns("n")
    ns.update({f"k{number}": number for number in range(20)})
    failures = []

    def work(seed):
        try:
            for step in range(400):
                number = (seed * 7 + step * 13) % 20
                assert ns[f"k{number}"] == number
                if step % 50 == 0:
                    ns[f"k{number}"] = number
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert store.stats().lru.bytes <= ROOM


class _Telling:
    """An engine that tells of changes: it reads from a dict, and is its own feed."""

    detours = 0

    def __init__(self):
        self.values = {("n", f"k{number}"): (BODY, "application/octet-stream", None, None) for number in range(8)}

    def read_value(self, namespace, key):
        return self.values.get((namespace, key))

    def subscribe(self, memory, staleness):
        self.memory = memory
        return self

    def wake(self):
        pass


def test_the_lru_in_front_of_servers_takes_it_too(policy):
    engine = _Telling()
    lru = InvalidatedLRU(engine, ROOM, make_cache=partial(PolicyCache, policy=policy), clock=lambda: 1.0)
    lru.begin()
    lru.extend(2.0)
    for number in range(8):
        assert lru.read_value("n", f"k{number}")[0] == BODY
    stats = lru.stats()
    assert (stats.entries, stats.evictions, stats.bytes) == (4, 4, 4 * SIZE)
    lru.read_value("n", "k7")
    lru.forget([("n", "k7")])
    with pytest.raises(NotHeldError):
        lru.held_value("n", "k7")


# -- what is refused


@pytest.mark.parametrize("kind", ["Store", "AsyncStore"])
def test_it_needs_lru_bytes(make_store, kind):
    with pytest.raises(ValueError, match="lru_policy needs lru_bytes"):
        make_store(lru_policy=cachetools.LRUCache) if kind == "Store" else AsyncStore(lru_policy=cachetools.LRUCache)


def test_what_cannot_be_called_is_refused(make_store):
    with pytest.raises(TypeError, match="lru_policy must be callable"):
        make_store(lru_bytes="1 MB", lru_policy="LRU")


def test_what_returns_no_cache_is_refused_before_a_file_is_made(make_store, path):
    with pytest.raises(TypeError, match=r"must return a cachetools\.Cache, not dict"):
        make_store(path, lru_bytes="1 MB", lru_policy=lambda maxsize, getsizeof: {})
    assert not path.exists()


def test_without_a_policy_cachetools_is_not_imported():
    program = """
        from sqlitedict_kv import Store
        with Store(lru_bytes="1 MB") as store:
            store.ns("n")["k"] = 1
        say("cachetools" in sys.modules)
    """
    assert run(program) == ["False"]
