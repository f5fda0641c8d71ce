"""Tags: what they cost writes with and without them, and forget_tag beside the bare statements.

python benchmarks/tags.py [--entries 10000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlitedict_kv import Store

VALUE = "x" * 200
BARE = (
    """DELETE FROM kv WHERE rowid IN (
        SELECT kv.rowid FROM kv_tag AS t CROSS JOIN kv ON kv.ns = t.ns AND kv.key = t.key AND kv.version = t.version
        WHERE t.tag = ?)""",
    "DELETE FROM kv_tag WHERE tag = ?",
)
CALLS = 2000


def forget(path: Path, entries: int) -> float:
    """Return the seconds of forget_tag."""
    with Store(path) as store:
        store.ns("n").get("k000000")
        start = time.process_time()
        assert store.forget_tag("t") == entries
        return time.process_time() - start


def forget_bare(path: Path, entries: int) -> float:
    """Return the seconds of the two statements in one transaction."""
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("PRAGMA synchronous = NORMAL")
        raw.execute("SELECT value FROM kv WHERE ns = 'n' LIMIT 1").fetchone()
        start = time.process_time()
        raw.execute("BEGIN IMMEDIATE")
        removed = [raw.execute(statement, ("t",)).rowcount for statement in BARE]
        raw.execute("COMMIT")
        seconds = time.process_time() - start
    assert removed[0] == entries
    return seconds


def of_a_call(call: Callable[[str], object]) -> float:
    """Return the seconds of one call."""
    keys = [f"k{number:06}" for number in range(CALLS)]
    start = time.process_time()
    for key in keys:
        call(key)
    return (time.process_time() - start) / CALLS


def in_directory(work: Callable[[Path], float]) -> float:
    """Return what *work* does with a path of its own."""
    directory = Path(tempfile.mkdtemp())
    try:
        return work(directory / "a.db")
    finally:
        shutil.rmtree(directory)


def forgetting(measure: Callable[[Path, int], float], entries: int, tags: list[str]) -> Callable[[Path], float]:
    """Return what fills a store, and measures."""

    def work(path: Path) -> float:
        with Store(path) as store:
            store.ns("n").set_many({f"k{number:06}": VALUE for number in range(entries)}, tags=tags)
        return measure(path, entries)

    return work


def writing(tags: list[str] | None, *, table: bool) -> Callable[[Path], float]:
    """Return what measures a set with *tags*, in a store that has a *table* of tags or not."""

    def work(path: Path) -> float:
        with Store(path) as store:
            ns = store.ns("n")
            if table:
                ns.set("first", 1, tags=["t"])
            ns.set_many({f"k{number:06}": VALUE for number in range(CALLS)})
            if tags is None:
                return of_a_call(lambda key: ns.set(key, VALUE))
            return of_a_call(lambda key: ns.set(key, VALUE, tags=tags))

    return work


def main() -> None:
    """Print the least of several rounds, in seconds of the processor: nothing here waits for a disk."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    rows = {
        "set": writing(None, table=False),
        "set, others have tags": writing(None, table=True),
        "set, 1 tag": writing(["t"], table=True),
        "set, 3 tags": writing(["t", "u", "v"], table=True),
    }
    for names in (["t"], ["t", "u", "v"]):
        of = f"{chosen.entries:,} entries, tags of each: {len(names)}"
        rows[f"forget_tag of {of}"] = forgetting(forget, chosen.entries, names)
        rows[f"bare statements, {of}"] = forgetting(forget_bare, chosen.entries, names)
    best = dict.fromkeys(rows, float("inf"))
    for _ in range(chosen.rounds):
        for name, work in rows.items():
            best[name] = min(best[name], in_directory(work))
    for name, seconds in best.items():
        print(f"{name:55}{seconds * 1e6:12,.1f} us" if seconds < 0.001 else f"{name:55}{seconds * 1e3:12,.1f} ms")


if __name__ == "__main__":
    main()
