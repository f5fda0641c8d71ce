"""What it takes to move a million entries; `python benchmarks/copying.py [--entries N] [--bytes N] [ADDRESS]`.

A file is copied to another one; with the address of a server whose data may be lost, to there and back as well. Each
copy runs in a process of its own, whose peak of memory is printed, beside that of one that copies nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from sqlitedict_kv import Store, copy

FILLED_AT_ONCE = 10_000
CHECKED = 1000  # entries
NAMESPACE = "moved"


def key_of(number: int) -> str:
    return f"key{number * 7919 % 10**9:09}"  # so that the order of the keys is not that of their creation


def fill(path: str, entries: int, size: int) -> None:
    """Make a store of so many values of so many bytes, one in ten with a deadline."""
    with Store(path) as store:
        moved = store.ns(NAMESPACE)
        for first in range(0, entries, FILLED_AT_ONCE):
            numbers = range(first, min(first + FILLED_AT_ONCE, entries))
            values = {key_of(number): f"{number:09}".encode().ljust(size, b".") for number in numbers}
            moved.set_many({key: values[key] for at, key in enumerate(values) if at % 10})
            moved.set_many({key: values[key] for at, key in enumerate(values) if at % 10 == 0}, ttl=10**6)


def move(source: str, target: str) -> None:
    """Copy, and print what it took."""
    pages = 0

    def count(*_: object) -> None:
        nonlocal pages
        pages += 1

    with Store(source) as old, Store(target) as new:
        start, cpu = time.perf_counter(), time.process_time()
        copied = copy(old, new, [NAMESPACE] if source != target else [], count).copied
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        step = max(1, copied // CHECKED)
        for key in old.ns(NAMESPACE).list(limit=copied or 1).keys[::step]:
            mine, theirs = old.ns(NAMESPACE).get_with_meta(key), new.ns(NAMESPACE).get_with_meta(key)
            assert mine.value == theirs.value
            assert mine.meta.expires_at == theirs.meta.expires_at
    print(json.dumps({"copied": copied, "seconds": seconds, "cpu": cpu, "peak_mb": peak, "pages": pages}))


def nothing() -> None:
    """Open two stores in memory, write something to each, and print the peak of memory."""
    with Store() as old, Store() as new:
        old.ns(NAMESPACE)["k"] = 1
        copy(old, new)
        print(json.dumps({"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def run(*arguments: object) -> str:
    """Run a step in a process of its own and return what it printed."""
    command = [sys.executable, __file__, "--step", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main() -> None:
    reads = argparse.ArgumentParser(description=__doc__)
    reads.add_argument("address", nargs="*", help="of a server, to which is copied too, and of another one")
    reads.add_argument("--entries", type=int, default=1_000_000)
    reads.add_argument("--bytes", type=int, default=100, help="of a value")
    options = reads.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        first, second, third = (str(Path(directory, name)) for name in ("first.db", "second.db", "third.db"))
        run("fill", first, options.entries, options.bytes)
        size = os.path.getsize(first) / 2**20
        idle = json.loads(run("nothing"))["peak_mb"]
        print(f"{options.entries:,} entries of {options.bytes:,} bytes, {size:,.0f} MiB; idle process {idle:.0f} MiB\n")
        print("| from | to | seconds | of this process's CPU | entries per second | peak, MiB |")
        print("|---|---|---:|---:|---:|---:|")
        places = [first, second] if not options.address else [first, second, *options.address, third]
        steps = [(first, place) for place in places[1:2]]
        if options.address:
            chain = [first, *options.address, third]
            steps += list(pairwise(chain))
        for source, target in steps:
            took = json.loads(run("move", source, target))
            assert took["copied"] == options.entries
            print(
                f"| {kind_of(source)} | {kind_of(target)} | {took['seconds']:.1f} | {took['cpu']:.1f} "
                f"| {took['copied'] / took['seconds']:,.0f} | {took['peak_mb']:.0f} |",
                flush=True,
            )


def kind_of(place: str) -> str:
    return place.split("://")[0] if "://" in place else "SQLite"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        step, *given = sys.argv[2:]
        if step == "fill":
            fill(given[0], int(given[1]), int(given[2]))
        elif step == "move":
            move(*given)
        else:
            nothing()
    else:
        main()
