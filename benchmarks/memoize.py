"""What a call of a memoized function costs, here and with the peers, in one run.

Run it with ``python benchmarks/memoize.py``; the peers that are not installed are left out. All peers are asked in
turn in every round, and the figures are medians over the rounds.
"""

from __future__ import annotations

import argparse
import functools
import gc
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from sqlitedict_kv import Store

OURS, OURS_LRU = "sqlitedict_kv", "sqlitedict_kv, lru_bytes='64 MB'"
KEYS = 200  # the hot set; the peers keep more than that
SECONDS_PER_ROUND = 0.05
COLD_CALLS = 50


def report(name: str, number: int, *, extended: bool = False) -> dict[str, Any]:
    """Return a dict that is about 100 bytes of JSON."""
    return {"name": name, "number": number, "email": f"{name}@example.org", "tags": ["a", "b"], "active": not extended}


Call = Callable[..., Any]


def decorated(directory: Path) -> dict[str, Call]:
    """Return the function as each peer decorates it."""
    peers: dict[str, Call] = {
        OURS: Store(directory / "ours.db").memoize(ttl=3600)(report),
        OURS_LRU: Store(directory / "lru.db", lru_bytes="64 MB").memoize(ttl=3600)(report),
    }
    try:
        import diskcache

        peers["diskcache"] = diskcache.Cache(directory / "diskcache").memoize(expire=3600, typed=True)(report)
    except ImportError:
        pass
    try:
        import joblib

        peers["joblib"] = joblib.Memory(directory / "joblib", verbose=0).cache(report)
    except ImportError:
        pass
    import cachetools

    cache: Any = cachetools.LRUCache(100_000)
    peers["cachetools, in memory"] = cachetools.cached(cache, key=cachetools.keys.typedkey)(report)
    peers["functools, in memory"] = functools.lru_cache(100_000, typed=True)(report)
    return peers


def hit(call: Call, number: int) -> None:
    call(f"user{number % KEYS}", number % KEYS)


def hit_keyword(call: Call, number: int) -> None:
    call(f"user{number % KEYS}", number=number % KEYS, extended=False)


fresh = iter(range(10**9))


def cold(call: Call, _: int) -> None:
    number = next(fresh)
    call(f"new{number}", number)


def nothing(call: Call, number: int) -> None:
    """Make the arguments and call nothing: what the loop costs."""
    (f"user{number % KEYS}", number % KEYS)


def timed(work: Callable[[Call, int], None], call: Call, calls: int) -> float:
    """Return the microseconds of one call."""
    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter_ns()
        for number in range(calls):
            work(call, number)
        return (time.perf_counter_ns() - start) / calls / 1000
    finally:
        gc.enable()


def measure(work: Callable[[Call, int], None], peers: dict[str, Call], rounds: int, most: int) -> dict[str, float]:
    """Return the median of each peer, without what the loop costs."""
    calls = {}
    for name, call in peers.items():
        timed(work, call, min(KEYS, most))  # everything is there, and warm
        calls[name] = max(1, min(most, int(SECONDS_PER_ROUND * 1e6 / timed(work, call, min(KEYS, most)))))
    samples: dict[str, list[float]] = {name: [] for name in peers}
    overhead = []
    names = list(peers)
    for number in range(rounds):
        overhead.append(timed(nothing, report, 10_000))
        for name in names[number % len(names) :] + names[: number % len(names)]:
            samples[name].append(timed(work, peers[name], calls[name]))
    return {name: max(0.0, median(values) - median(overhead)) for name, values in samples.items()}


def table(rows: dict[str, dict[str, float]]) -> str:
    """Return Markdown: microseconds, and in brackets how many times those of ours without an LRU."""
    names = list(next(iter(rows.values())))
    lines = [f"| us | {' | '.join(names)} |", f"|---|{'---:|' * len(names)}"]
    for title, figures in rows.items():
        cells = [f"{figures[name]:.3g} ({figures[name] / figures[OURS]:.2g})" for name in names]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def targets(rows: dict[str, dict[str, float]], directory: Path) -> str:
    """Return what was to be reached and what was."""
    hits, first = rows["hit, two arguments by position"], rows["first call"]
    lines = ["| | wanted | reached | met |", "|---|---:|---:|---|"]
    for ours, peer, wanted in ((OURS, "diskcache", 4), (OURS_LRU, "diskcache", 15), (OURS_LRU, "joblib", 100)):
        if peer in hits:
            reached = hits[peer] / hits[ours]
            met = "yes" if reached >= wanted else "**no**"
            lines.append(f"| hit, times as fast as: {ours}: {peer} | at least {wanted} | {reached:.3g} | {met} |")
    most = [
        ("closures, us a hit", 0.2, closures(directory)),
        ("decorating 100 functions, ms", 10, decoration(directory)),
    ]
    if "diskcache" in first:
        most.insert(0, ("first call, times diskcache's", 1.2, first[OURS] / first["diskcache"]))
    for title, limit, reached in most:
        lines.append(f"| {title} | at most {limit} | {reached:.3g} | {'yes' if reached <= limit else '**no**'} |")
    return "\n".join(lines)


def decoration(directory: Path) -> float:
    """Return the milliseconds that it takes to decorate 100 functions, of a few attempts the least."""
    namespace: dict[str, Any] = {"__name__": "generated"}
    exec("\n".join(f"def f{number}(a, b={number}, *, c=None): ..." for number in range(100)), namespace)
    functions = [namespace[f"f{number}"] for number in range(100)]
    times = []
    for attempt in range(7):
        store = Store(directory / f"decorated{attempt}.db")
        start = time.perf_counter_ns()
        for function in functions:
            store.memoize(ttl=60)(function)
        times.append((time.perf_counter_ns() - start) / 1e6)
        store.close()
    return min(times)


def closures(directory: Path) -> float:
    """Return the microseconds that two closures add to a hit through the LRU, by the minima of many attempts."""
    store = Store(directory / "closures.db", lru_bytes="8 MB")
    first, second = 1, 2

    def plain(x: int) -> list[int]:
        return [x]

    def closing(x: int) -> list[int]:
        return [x, first, second]

    calls = [store.memoize(name=function.__name__, code=False)(function) for function in (plain, closing)]
    times = [[timed(lambda call, _: call(1), call, 2000) for call in calls] for _ in range(60)]
    return max(0.0, min(closed for _, closed in times[1:]) - min(open_ for open_, _ in times[1:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=31, help="rounds per row, %(default)s if not given")
    rounds = parser.parse_args().rounds
    with TemporaryDirectory() as directory:
        peers = decorated(Path(directory))
        expected = report("check", 1)
        for name, call in peers.items():
            assert call("check", 1) == call("check", 1) == expected, name
        rows = {
            "hit, two arguments by position": measure(hit, peers, rounds, 20_000),
            "hit, by keyword": measure(hit_keyword, peers, rounds, 20_000),
            "first call": measure(cold, peers, max(3, rounds // 3), COLD_CALLS),
        }
        reached = targets(rows, Path(directory))
    print(table(rows))
    print()
    print(reached)


if __name__ == "__main__":
    main()
