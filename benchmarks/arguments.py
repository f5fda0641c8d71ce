"""Which kinds of values may be arguments of a memoized function, here and with joblib, cachier and diskcache.

Run it with ``python -m benchmarks.arguments`` in a clone, which has the list of kinds in ``tests/kinds.py``; libraries
that are not installed are left out. "same" is that an equal value, made again, finds the result.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlitedict_kv import Store
from tests import kinds

calls: Counter[str] = Counter()


def ours(directory: Path) -> Callable[[Any], Any]:
    @Store(directory / "ours.db").memoize(name="f")
    def f(value: Any) -> int:
        calls["sqlitedict_kv"] += 1
        return 1

    return f


def by_joblib(directory: Path) -> Callable[[Any], Any]:
    import joblib

    def f(value: Any) -> int:
        calls["joblib"] += 1
        return 1

    return joblib.Memory(directory / "joblib", verbose=0).cache(f)


def by_cachier(directory: Path) -> Callable[[Any], Any]:
    import cachier

    def f(value: Any) -> int:
        calls["cachier"] += 1
        return 1

    return cachier.cachier(cache_dir=directory / "cachier")(f)


def by_diskcache(directory: Path) -> Callable[[Any], Any]:
    import diskcache

    def f(value: Any) -> int:
        calls["diskcache"] += 1
        return 1

    return diskcache.Cache(directory / "diskcache").memoize()(f)


PEERS = {"sqlitedict_kv": ours, "joblib": by_joblib, "cachier": by_cachier, "diskcache": by_diskcache}


def outcome(peer: str, call: Callable[[Any], Any], make: Callable[[], Any]) -> str:
    """Return what a peer does with a kind of value."""
    before = calls[peer]
    try:
        call(make())
        call(make())
    except Exception as error:
        return type(error).__name__
    return "same" if calls[peer] - before <= 1 else "computed twice"


def main() -> None:
    warnings.simplefilter("ignore")
    with TemporaryDirectory() as name:
        peers = {}
        for peer, make in PEERS.items():
            try:
                peers[peer] = make(Path(name))
            except ImportError:
                continue
        totals: dict[str, Counter[str]] = {peer: Counter() for peer in peers}
        print(f"| kind | {' | '.join(peers)} |\n|---|{'---|' * len(peers)}")
        for section in kinds.SECTIONS:
            if kinds.missing(section):
                continue
            for sample in kinds.samples(section):
                outcomes = [outcome(peer, call, sample.make) for peer, call in peers.items()]
                for peer, what in zip(peers, outcomes, strict=True):
                    totals[peer][what] += 1
                print(f"| {sample.name} | {' | '.join(outcomes)} |")
        for peer, counts in totals.items():
            print(f"\n{peer}: {', '.join(f'{count} {what}' for what, count in counts.most_common())}")


if __name__ == "__main__":
    main()
