"""What diskcache's API costs on top of a store, against diskcache itself; `python benchmarks/leaving.py [ROUNDS]`."""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import diskcache

from sqlitedict_kv.adapters import diskcache as adapter

CALLS = 100  # of a batch
DICT = {"name": "Ada Lovelace", "email": "ada@example.org", "age": 36, "tags": ["math", "engine"], "score": 9.75}
KEYS = [f"key{number:06}" for number in range(1000)]


def verbs(module: ModuleType, directory: Path, **options: Any) -> dict[str, Callable[[], Any]]:
    """Return the calls to be timed, on a cache with a thousand small dicts."""
    cache = module.Cache(str(directory / "cache"), **options)
    fanout = module.FanoutCache(str(directory / "fanout"), shards=4, timeout=60, **options)
    deque = module.Deque(directory=str(directory / "deque"))
    for key in KEYS:
        cache[key] = fanout[key] = DICT
    cache[("a", 1)] = cache["text"] = "x" * 100
    keys, numbers = itertools.cycle(KEYS), itertools.count()
    square = cache.memoize()(_square)
    square(7)

    def transact() -> None:
        with cache.transact():
            cache["a"] = 1
            cache["b"] = 2

    return {
        "get, a dict": lambda: cache.get(next(keys)),
        "get, a str": lambda: cache.get("text"),
        "get, a tuple as key": lambda: cache.get(("a", 1)),
        "get, absent": lambda: cache.get("nobody"),
        "set, existing": lambda: cache.set(next(keys), DICT),
        "set, new": lambda: cache.set(next(numbers), DICT),
        "set with expire and tag": lambda: cache.set("tagged", DICT, expire=60, tag="t"),
        "add and delete": lambda: (cache.add("added", 1), cache.delete("added")),
        "incr": lambda: cache.incr("count"),
        "memoize, a hit": lambda: square(7),
        "push and pull": lambda: (cache.push("x", prefix="q"), cache.pull(prefix="q")),
        "append and popleft of a Deque": lambda: (deque.append(1), deque.popleft()),
        "two sets in transact()": transact,
        "FanoutCache: get": lambda: fanout.get(next(keys)),
        "FanoutCache: set": lambda: fanout.set(next(keys), DICT),
    }


def _square(number: int) -> int:
    return number * number


def main(rounds: int) -> None:
    """Time all of them in turn, and print the quickest and ratios."""
    with tempfile.TemporaryDirectory() as directory:
        contenders = {
            "diskcache": verbs(diskcache, Path(directory, "theirs")),
            "adapter": verbs(adapter, Path(directory, "ours")),
            "adapter, LRU": verbs(adapter, Path(directory, "lru"), lru_bytes=64 * 10**6),
        }
        timed: dict[tuple[str, str], list[float]] = {}
        for _ in range(rounds):
            for name in contenders["diskcache"]:
                for contender, calls in contenders.items():
                    start = time.perf_counter()
                    for _ in range(CALLS):
                        calls[name]()
                    timed.setdefault((name, contender), []).append((time.perf_counter() - start) / CALLS * 1e6)
    print("| call | diskcache, us | adapter, us | with an LRU, us | times as fast | with an LRU |")
    print("|---|---:|---:|---:|---:|---:|")
    for name in contenders["diskcache"]:
        # The quickest batch of each: what others do on the machine makes batches slower, never quicker.
        theirs, ours, cached = (min(timed[name, contender]) for contender in contenders)
        print(f"| {name} | {theirs:.1f} | {ours:.1f} | {cached:.1f} | {theirs / ours:.2f} | {theirs / cached:.2f} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
