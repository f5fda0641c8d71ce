"""What it takes to move a million entries; `python benchmarks/copying.py [--entries N] [--bytes N] [ADDRESS ...]`.

A file is copied to another one. With addresses of servers, whose data may be lost, it is copied to the first, from
there to the next, and from the last one back into a file. Each copy runs in a process of its own, whose peak of memory
is printed beside that of a process that copies one entry.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sqlitedict_kv import Store, copy

FILLED_AT_ONCE = 10_000
COMPARED = 1000  # entries
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


def move(source: str, target: str, entries: int, shards: int) -> None:
    """Copy, compare some of the entries, and print what it took."""
    with Store(source) as old, Store(target) as new:
        theirs = new.ns(NAMESPACE, shards=shards)
        start, cpu = time.perf_counter(), time.process_time()
        copied = copy(old, new).copied
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        assert copied == entries
        for number in range(0, entries, max(1, entries // COMPARED)):
            ours, theirs_now = (n.get_with_meta(key_of(number)) for n in (old.ns(NAMESPACE), theirs))
            assert ours.value == theirs_now.value
            assert ours.meta.expires_at == theirs_now.meta.expires_at
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak": peak}))


def run(*arguments: object) -> str:
    """Run a step in a process of its own and return what it printed."""
    command = [sys.executable, __file__, "--step", *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    reads = argparse.ArgumentParser(description=__doc__)
    reads.add_argument("addresses", nargs="*", metavar="ADDRESS", help="of servers")
    reads.add_argument("--entries", type=int, default=1_000_000)
    reads.add_argument("--bytes", type=int, default=100, help="of a value")
    reads.add_argument("--shards", type=int, default=1, help="of the namespace on servers")
    options = reads.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        first, second, last, one, other = (str(Path(directory, f"{number}.db")) for number in range(5))
        run("fill", one, 1, options.bytes)
        idle = json.loads(run("move", one, other, 1, 1))["peak"]
        run("fill", first, options.entries, options.bytes)
        size = os.path.getsize(first) / 2**20
        print(f"{options.entries:,} entries of {options.bytes:,} bytes, {size:,.0f} MiB; idle process {idle:.0f} MiB\n")
        print("| from | to | seconds | of them our CPU | entries per second | peak, MiB |")
        print("|---|---|---:|---:|---:|---:|")
        chain = itertools.pairwise([first, *options.addresses, last]) if options.addresses else ()
        for source, target in [(first, second), *chain]:
            took = json.loads(run("move", source, target, options.entries, options.shards))
            print(
                f"| {kind_of(source)} | {kind_of(target)} | {took['seconds']:.1f} | {took['cpu']:.1f} "
                f"| {options.entries / took['seconds']:,.0f} | {took['peak']:.0f} |",
                flush=True,
            )


def kind_of(place: str) -> str:
    return place.partition("://")[0] if "://" in place else "SQLite"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        step, *places = sys.argv[2:]
        if step == "fill":
            fill(places[0], int(places[1]), int(places[2]))
        else:
            move(places[0], places[1], int(places[2]), int(places[3]))
    else:
        main()
