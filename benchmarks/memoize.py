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


def targets(hits: dict[str, float]) -> str:
    """Return what was to be reached and what was."""
    lines = ["| hit, times as fast as | wanted | reached | met |", "|---|---:|---:|---|"]
    for ours, peer, wanted in ((OURS, "diskcache", 3), (OURS_LRU, "diskcache", 10), (OURS_LRU, "joblib", 100)):
        if peer in hits:
            reached = hits[peer] / hits[ours]
            lines.append(f"| {ours}: {peer} | {wanted} | {reached:.3g} | {'yes' if reached >= wanted else '**no**'} |")
    return "\n".join(lines)


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
    print(table(rows))
    print()
    print(targets(rows["hit, two arguments by position"]))


if __name__ == "__main__":
    main()
