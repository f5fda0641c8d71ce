"""Which kinds of values come back as they were, here and from other libraries.

``python benchmarks/kinds.py`` writes and reads each kind of ``tests/kinds.py`` with sqlitedict_kv, joblib, diskcache,
cachier and shelve, compares value and types at every depth, and prints a table in Markdown; ``--all`` has a row for
each kind instead of one for each section. A library that is not installed has no column.
"""

from __future__ import annotations

import argparse
import shelve
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from sqlitedict_kv import Store
from tests import kinds
from tests.support.exact import assert_same

RoundTrip = Callable[[Any], Any]
EXACT, REFUSED, CHANGED = OUTCOMES = "exact", "refused", "changed"


def ours(directory: Path) -> RoundTrip:
    namespace = Store(directory / "kinds.db", types=kinds.allowed()).ns("kinds")

    def round_trip(value: Any) -> Any:
        namespace["k"] = value
        return namespace["k"]

    return round_trip


def joblib_(directory: Path) -> RoundTrip:
    import joblib

    def round_trip(value: Any) -> Any:
        joblib.dump(value, directory / "kinds.joblib")
        return joblib.load(directory / "kinds.joblib")

    return round_trip


def diskcache_(directory: Path) -> RoundTrip:
    import diskcache

    cache = diskcache.Cache(directory / "diskcache")

    def round_trip(value: Any) -> Any:
        cache["k"] = value
        return cache["k"]

    return round_trip


def cachier_(directory: Path) -> RoundTrip:
    import cachier

    def round_trip(value: Any) -> Any:
        @cachier.cachier(cache_dir=str(directory / "cachier"))
        def compute() -> Any:
            return value

        compute.clear_cache()
        compute()
        return compute()

    return round_trip


def shelve_(directory: Path) -> RoundTrip:
    def round_trip(value: Any) -> Any:
        with shelve.open(str(directory / "shelf")) as shelf:
            shelf["k"] = value
            return shelf["k"]

    return round_trip


PEERS: dict[str, Callable[[Path], RoundTrip]] = {
    "sqlitedict_kv": ours,
    "joblib": joblib_,
    "diskcache": diskcache_,
    "cachier": cachier_,
    "shelve": shelve_,
}


def outcome(round_trip: RoundTrip, make: Callable[[], Any]) -> str:
    """Return whether a value comes back as it was, as another one, or not at all."""
    value = make()
    try:
        got = round_trip(value)
    except Exception:
        return REFUSED
    try:
        assert_same(make(), got)
    except Exception:
        return CHANGED
    return EXACT


def peers(directory: Path) -> dict[str, RoundTrip]:
    found = {}
    for name, make in PEERS.items():
        try:
            found[name] = make(directory)
        except ImportError:
            continue
    return found


def table(directory: Path, *, every: bool) -> str:
    """Return the table: exact kinds of all, by section and peer; with the refused and the changed in the last row."""
    columns = peers(directory)
    lines = [f"| kind | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    totals: dict[str, Counter[str]] = {name: Counter() for name in columns}
    for section in kinds.SECTIONS:
        if kinds.missing(section):
            continue
        here: dict[str, Counter[str]] = {name: Counter() for name in columns}
        for sample in kinds.samples(section):
            found = {name: outcome(round_trip, sample.make) for name, round_trip in columns.items()}
            for name, result in found.items():
                here[name][result] += 1
            if every:
                lines.append(f"| {section}: {sample.name} | {' | '.join(found.values())} |")
        count = sum(here["sqlitedict_kv"].values())
        if not every:
            lines.append(f"| {section}, {count} | {' | '.join(str(here[name][EXACT]) for name in columns)} |")
        for name in columns:
            totals[name] += here[name]
    sums = [f"| **{one}** | {' | '.join(str(totals[name][one]) for name in columns)} |" for one in OUTCOMES]
    return "\n".join([*lines, *sums])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--all", action="store_true", help="a row for each kind")
    every = parser.parse_args().all
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as directory:
        print(table(Path(directory), every=every))


if __name__ == "__main__":
    main()
