"""What the LRU in front of servers gives and costs; `python benchmarks/lru_servers.py [ROUNDS]`.

On one server of Valkey on the loopback: a hit beside a read of the server; how soon another store knows of a write;
what it costs to listen while nobody writes, and while others write as fast as they can.
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from sqlitedict_kv import Store
from tests.support.servers import Server

CALLS = 200  # of a batch
KEYS = 1000
DICT = {"name": "Ada Lovelace", "email": "ada@example.org", "age": 36, "tags": ["math", "engine"], "score": 9.75}
SECONDS = 3.0  # of one rate


def per_call(read: Callable[[int], Any], rounds: int) -> float:
    """Return the median of microseconds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        for number in range(CALLS):
            read(number)
        times.append((time.perf_counter() - start) / CALLS * 1e6)
    return statistics.median(times)


def reads(url: str, rounds: int) -> None:
    """Print what a read costs with an LRU and without."""
    with Store(url) as plain, Store(url, lru_bytes="64 MB") as cached, Store(url, lru_bytes=1000) as full:
        plain.ns("n").set_many({str(number): DICT for number in range(KEYS)})
        time.sleep(0.5)
        for store in (cached, full):
            for number in range(CALLS):
                store.ns("n").get(str(number))
        without, hit, miss = (store.ns("n").get for store in (plain, cached, full))
        print("| read of a small dict | us, median |\n|---|---:|")
        print(f"| no LRU | {per_call(lambda number: without(str(number)), rounds):.2f} |")
        print(f"| a hit | {per_call(lambda number: hit(str(number)), rounds):.2f} |")
        # Those of a full LRU that are asked for once each time: none of them is let in.
        print(f"| a miss | {per_call(lambda number: miss(str(number)), rounds):.2f} |")


def knowing(url: str) -> None:
    """Print how long after its acknowledgement a write of another store is known."""
    with Store(url) as writer, Store(url, lru_bytes="1 MB") as reader:
        lru: Any = reader._context.lru
        writer.ns("n")["k"] = 0
        told, moments = threading.Event(), [0.0]
        forget = lru.forget

        def noting(keys: Any) -> None:
            forget(keys)
            moments[0] = time.perf_counter()
            told.set()

        lru.forget = noting
        times = []
        for number in range(500):
            told.clear()
            writer.ns("n")["k"] = number
            acknowledged = time.perf_counter()
            told.wait(5)
            times.append(max(0.0, moments[0] - acknowledged) * 1e6)
        times.sort()
        print(f"\n| a write is known after its acknowledgement | {times[250]:.0f} us, median |")
        print(f"| | {times[495]:.0f} us, 99 of 100 |")


def write(url: str, stop: Event, count: Any) -> None:
    """Write until told to stop."""
    with Store(url) as store:
        n = store.ns("n")
        batch = {f"w{number}": number for number in range(100)}
        while not stop.is_set():
            n.set_many(batch)
            count.value += len(batch)


def listening(url: str) -> None:
    """Print the share of a processor that listening takes."""
    context = multiprocessing.get_context("spawn")
    with Store(url, lru_bytes="1 MB") as store:
        store.ns("n")["k"] = 1
        time.sleep(0.5)

        def share() -> float:
            cpu, start = time.process_time(), time.perf_counter()
            time.sleep(SECONDS)
            return (time.process_time() - cpu) / (time.perf_counter() - start) * 100

        print("\n| listening | % of one processor |\n|---|---:|")
        print(f"| while nobody writes | {share():.2f} |")
        stop, count = context.Event(), context.Value("q", 0)
        writer = context.Process(target=write, args=(url, stop, count))
        writer.start()
        while not count.value:
            time.sleep(0.01)
        before, start = count.value, time.perf_counter()
        taken = share()
        rate = (count.value - before) / (time.perf_counter() - start)
        stop.set()
        writer.join()
        print(f"| while others write {rate:,.0f} entries a second | {taken:.1f} |")
        print(f"| that is, for an entry | {taken / 100 / rate * 1e6:.2f} us |")


def main(rounds: int) -> None:
    """Print all of it."""
    with Server() as server:
        reads(server.url, rounds)
        knowing(server.url)
        listening(server.url)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
