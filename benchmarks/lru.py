"""What a read through the LRU costs, against one without and diskcache's; `python benchmarks/lru.py [ROUNDS]`."""

from __future__ import annotations

import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diskcache

from sqlitedict_kv import Store

CALLS = 200  # of a batch
DICT = {"name": "Ada Lovelace", "email": "ada@example.org", "age": 36, "tags": ["math", "engine"], "score": 9.75}
KEYS = [f"key{number:06}" for number in range(1000)]


def reads(directory: Path) -> dict[str, Callable[[], Any]]:
    """Return the reads to be timed, each on a file with a thousand small dicts."""
    path = directory / "store.db"
    plain, warm, full = Store(path), Store(path, lru_bytes="64 MB"), Store(path, lru_bytes=1000)
    values = dict.fromkeys(KEYS, DICT) | {"bytes": b"x" * 100, "str": "x" * 100}
    plain.ns("n").set_many(values)
    cache = diskcache.Cache(str(directory / "diskcache"))
    for key, value in values.items():
        cache[key] = value
    for key in values:
        warm.ns("n").get(key)
    keys = itertools.cycle(KEYS)
    twice = itertools.cycle([key for key in KEYS for _ in range(2)])
    without, hit, miss = plain.ns("n").get, warm.ns("n").get, full.ns("n").get
    return {
        "diskcache, a dict": lambda: cache.get(next(keys)),
        "diskcache, bytes": lambda: cache.get("bytes"),
        "diskcache, str": lambda: cache.get("str"),
        "no LRU, a dict": lambda: without(next(keys)),
        "LRU hit, a dict": lambda: hit(next(keys)),
        "LRU hit, bytes": lambda: hit("bytes"),
        "LRU hit, str": lambda: hit("str"),
        "full LRU, a miss, a dict": lambda: miss(next(keys)),
        "no LRU, each key twice": lambda: without(next(twice)),
        "full LRU, each key twice, a miss each time": lambda: miss(next(twice)),
    }


def main(rounds: int) -> None:
    """Time all of them in turn, and print medians and ratios."""
    with tempfile.TemporaryDirectory() as directory:
        timed: dict[str, list[float]] = {}
        verbs = reads(Path(directory))
        for _ in range(rounds):
            for name, read in verbs.items():
                start = time.perf_counter()
                for _ in range(CALLS):
                    read()
                timed.setdefault(name, []).append((time.perf_counter() - start) / CALLS * 1e6)
    medians = {name: statistics.median(times) for name, times in timed.items()}
    print("| read | us, median |\n|---|---:|")
    for name, median in medians.items():
        print(f"| {name} | {median:.2f} |")
    print("\n| ratio | |\n|---|---:|")
    for kind in ("a dict", "bytes", "str"):
        times = medians[f"diskcache, {kind}"] / medians[f"LRU hit, {kind}"]
        print(f"| LRU hit, {kind}: times as fast as diskcache | {times:.1f} |")
    times = medians["full LRU, a miss, a dict"] / medians["no LRU, a dict"]
    print(f"| a miss of a full LRU: times a read without LRU | {times:.2f} |")
    times = medians["full LRU, each key twice, a miss each time"] / medians["no LRU, each key twice"]
    print(f"| misses of a full LRU of which every second one evicts, the most there can be: likewise | {times:.2f} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
