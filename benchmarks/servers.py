"""A store on servers beside plain redis-py; `python benchmarks/servers.py [ROUNDS]`.

What is compared does the same GET and SET, with orjson, on the same server of Valkey on the loopback: redis-py without
versions, order, checksums or exactly-once requests. Batches are run in turn within one process; figures are medians.
Then rates of several processes on 1, 3 and 6 servers, and the memory that an entry takes.
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import redis

sys.path.insert(0, str(Path(__file__).parents[1]))

from sqlitedict_kv import Store
from tests.support.servers import Cluster, Server

KEYS = 10_000
MANY = 1000
CALLS = 300  # of one round
PROCESSES = 4
SECONDS = 2.0  # of one rate
SIZED = 20_000  # entries whose memory is measured

Verbs = dict[str, Callable[[int], Any]]


def key_of(number: int) -> str:
    return f"user:{number:08}"


def value_of(number: int) -> dict[str, Any]:
    return {"id": number, "name": f"user {number}", "mail": f"user{number}@example.org", "tags": ["a", "b"], "on": True}


def ours(store: Store, name: str = "bench", shards: int | None = None) -> Verbs:
    """Return the verbs of a store, each of a number."""
    users = store.ns(name, shards=shards)

    def many(number: int) -> dict[str, Any]:
        return {key_of((number + step) % KEYS): value_of(number) for step in range(MANY)}

    return {
        "get": lambda number: users[key_of(number)],
        "set": lambda number: users.set(key_of(number), value_of(number)),
        "get_many of 1,000": lambda number: users.get_many([key_of((number + step) % KEYS) for step in range(MANY)]),
        "set_many of 1,000": lambda number: users.set_many(many(number)),
    }


def plain(client: Any) -> Verbs:
    """Return the same by redis-py alone; 1,000 are one MGET or a pipeline of SETs."""

    def get_many(number: int) -> dict[str, Any]:
        keys = [key_of((number + step) % KEYS) for step in range(MANY)]
        found = client.mget_nonatomic(keys) if isinstance(client, redis.RedisCluster) else client.mget(keys)
        return {key: orjson.loads(raw) for key, raw in zip(keys, found, strict=True) if raw is not None}

    def set_many(number: int) -> None:
        pipeline = client.pipeline(transaction=False)
        for step in range(MANY):
            pipeline.set(key_of((number + step) % KEYS), orjson.dumps(value_of(number)))
        pipeline.execute()

    return {
        "get": lambda number: orjson.loads(client.get(key_of(number))),
        "set": lambda number: client.set(key_of(number), orjson.dumps(value_of(number))),
        "get_many of 1,000": get_many,
        "set_many of 1,000": set_many,
    }


def with_mset(client: redis.Redis) -> Verbs:
    """Return the quickest way of redis-py to write 1,000: one MSET."""

    def set_many(number: int) -> None:
        client.mset({key_of((number + step) % KEYS): orjson.dumps(value_of(number)) for step in range(MANY)})

    return {"set_many of 1,000": set_many}


def compare(title: str, peers: dict[str, Verbs], rounds: int) -> None:
    """Print the medians of each verb of all peers, and how many times those of redis-py ours take."""
    first = next(iter(peers.values()))
    for verbs in reversed(peers.values()):  # whoever writes last is who reads
        for number in range(0, KEYS, MANY):
            verbs["set_many of 1,000"](number)
    print(f"\n{title}\n\n| us a call | {' | '.join(peers)} |\n|---|{'---:|' * len(peers)}")
    for verb in first:
        calls = CALLS if "many" not in verb else 3
        samples: dict[str, list[float]] = {name: [] for name in peers}
        for turn in range(rounds):
            names = list(peers)[turn % len(peers) :] + list(peers)[: turn % len(peers)]
            for name in names:
                call = peers[name].get(verb)
                if call is None:
                    continue
                start = time.perf_counter()
                for step in range(calls):
                    call((turn * 7919 + step * 104_729) % KEYS)
                samples[name].append((time.perf_counter() - start) / calls * 1e6)
        medians = {name: statistics.median(values) for name, values in samples.items() if values}
        own = medians["sqlitedict_kv"]
        cells = [
            f"{medians[name]:.0f}" + ("" if name == "sqlitedict_kv" else f" (ours: {own / medians[name]:.2f} times)")
            if name in medians
            else "-"
            for name in peers
        ]
        print(f"| {verb} | {' | '.join(cells)} |")


def work(target: str, shards: int | None, number: int, begin: Any, rates: Any, kind: str, seconds: float) -> None:
    """Set and get by turns for some seconds, and tell how many there were in a second."""
    if kind == "sqlitedict_kv":
        store = Store(target)
        verbs = ours(store, "crowd", shards)
    else:
        verbs = plain(redis.RedisCluster.from_url(target) if shards else redis.Redis.from_url(target))
    verbs["set"](number)
    begin.wait()
    end = time.perf_counter() + seconds
    calls = 0
    while time.perf_counter() < end:
        at = (calls * 104_729 + number * 7919) % KEYS
        verbs["set"](at)
        verbs["get"](at)
        calls += 2
    rates.put(calls / seconds)


def rate(target: str, shards: int | None, kind: str) -> float:
    """Return the sum of the rates of all processes."""
    context = multiprocessing.get_context("spawn")
    begin, rates = context.Barrier(PROCESSES), context.Queue()
    crew = [
        context.Process(target=work, args=(target, shards, number, begin, rates, kind, SECONDS))
        for number in range(PROCESSES)
    ]
    for process in crew:
        process.start()
    total = sum(rates.get(timeout=120) for _ in crew)
    for process in crew:
        process.join()
    return total


def crowds() -> None:
    """Print the rates of several processes on 1, 3 and 6 servers."""
    print(f"\n{PROCESSES} processes that set and get by turns, calls in a second, all together\n")
    print("| servers | shards | sqlitedict_kv | redis-py |\n|---:|---:|---:|---:|")
    with Server() as server:
        print_rates(1, 1, server.url, server.port, None)
    for count in (3, 6):
        with Cluster(primaries=count, replicas=0) as cluster:
            node = cluster.primaries()[0]
            print_rates(count, 16, cluster.url, node.port, 16)


def print_rates(count: int, shards: int, url: str, port: int, split: int | None) -> None:
    mine = rate(url, split, "sqlitedict_kv")
    theirs = rate(f"redis://127.0.0.1:{port}", split, "redis-py")
    print(f"| {count} | {shards} | {mine:,.0f} | {theirs:,.0f} |")


def sizes() -> None:
    """Print the memory that an entry with 100 bytes of value takes, over an empty store."""
    print(f"\nBytes of memory an entry of 100 bytes takes, key of 13 characters, among {SIZED:,}\n")
    print("| | bytes |\n|---|---:|")
    value = bytes(100)
    entries = {key_of(number): value for number in range(SIZED)}
    for title, options in {
        "plain SET of redis-py": None,
        "ordered=False": {"ordered": False},
        "as it is": {},
        "with a ttl": {"ttl": 3600},
    }.items():
        with Server() as server, server.client() as client:
            before = client.info("memory")["used_memory"]
            if options is None:
                client.mset(entries)
            else:
                with Store(server.url) as store:
                    users = store.ns("users", **options)
                    for number in range(0, SIZED, MANY):
                        users.set_many({key_of(at): value for at in range(number, number + MANY)})
            print(f"| {title} | {(client.info('memory')['used_memory'] - before) / SIZED:.0f} |")


def costs() -> None:
    """Print the processor time that a call takes of a server and of a client, which bounds what each can do."""
    print("\nProcessor time of a call, us\n\n| | server | client |\n|---|---:|---:|")
    with Server() as server, Store(server.url) as store, server.client() as client:
        peers = {"sqlitedict_kv": ours(store), "redis-py": plain(client)}
        for name, verbs in peers.items():
            for number in range(0, KEYS, MANY):
                verbs["set_many of 1,000"](number)
            for verb in ("get", "set"):
                before, mine = spent(client), time.process_time()
                for number in range(KEYS):
                    verbs[verb](number)
                mine = time.process_time() - mine
                print(f"| {verb}, {name} | {(spent(client) - before) / KEYS * 1e6:.1f} | {mine / KEYS * 1e6:.1f} |")


def spent(client: redis.Redis) -> float:
    """Return the seconds of processor time that a server has used."""
    facts = client.info("cpu")
    return facts["used_cpu_user"] + facts["used_cpu_sys"]


def main(rounds: int) -> None:
    with Server() as server, Store(server.url) as store, server.client() as client:
        print(f"{store.stats().engine_version}, redis-py {redis.__version__}, Python {sys.version.split()[0]}")
        peers = {"sqlitedict_kv": ours(store), "redis-py": plain(client), "redis-py, MSET": with_mset(client)}
        compare("One server", peers, rounds)
    with Cluster(replicas=0) as cluster, Store(cluster.url) as store:
        client = redis.RedisCluster(port=cluster.primaries()[0].port, host="127.0.0.1")
        compare(
            "A cluster of 3, shards=16", {"sqlitedict_kv": ours(store, shards=16), "redis-py": plain(client)}, rounds
        )
        client.close()
    costs()
    sizes()
    crowds()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
