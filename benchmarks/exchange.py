"""What it takes to export and import a million entries; `python benchmarks/exchange.py [--entries N] [--bytes N]`.

The installed program writes a store to a file of lines and reads it into another store. The peak of memory of each run
is printed beside that of a run with one entry. `ls` of the same store is timed beside a Python that does nothing.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from sqlitedict_kv import Store

FILLED_AT_ONCE = 10_000
KINDS = ("json", "bytes")
PROGRAM = [sys.executable, "-m", "sqlitedict_kv"]
RUNS_OF_LS = 7


class Took(NamedTuple):
    seconds: float
    cpu: float  # seconds
    peak: float  # MiB


def key_of(number: int) -> str:
    return f"key{number * 7919 % 10**9:09}"  # so that the order of the keys is not that of their creation


def value_of(number: int, size: int, kind: str) -> object:
    text = f"{number:09}".ljust(size, ".")
    return text.encode() if kind == "bytes" else {"number": number, "text": text[: max(1, size - 30)]}


def fill(path: str, entries: int, size: int, kind: str) -> None:
    with Store(path) as store:
        entries_of = store.ns("moved")
        for first in range(0, entries, FILLED_AT_ONCE):
            numbers = range(first, min(first + FILLED_AT_ONCE, entries))
            entries_of.set_many({key_of(number): value_of(number, size, kind) for number in numbers})


def run(*arguments: str, output: str | None = None) -> Took:
    """Run the program and return what it took; what it prints goes to a file."""
    with open(output or os.devnull, "wb") as target:
        start = time.perf_counter()
        process = subprocess.Popen([*PROGRAM, *arguments], stdout=target, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
    assert status == 0, (arguments, status)
    return Took(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**10)


def measure(directory: str, entries: int, size: int, kind: str) -> tuple[Took, Took, str]:
    """Return what export and import took, and the path of the store."""
    first, second, lines = (str(Path(directory, f"{kind}-{entries}{ending}")) for ending in (".db", "-2.db", ".jsonl"))
    # In a process of its own: the peak of a child is at least that of the process that starts it.
    subprocess.run([sys.executable, __file__, "--fill", first, str(entries), str(size), kind], check=True)
    exported = run("export", first, output=lines)
    imported = run("import", second, lines)
    with Store(first, readonly=True) as old, Store(second, readonly=True) as new:
        for number in range(0, entries, max(1, entries // 1000)):
            assert old.ns("moved").get_with_meta(key_of(number)) == new.ns("moved").get_with_meta(key_of(number))
    return exported, imported, first


def startup() -> float:
    """Return the seconds that a Python takes that does nothing."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - start


def main() -> None:
    reads = argparse.ArgumentParser(description=__doc__)
    reads.add_argument("--entries", type=int, default=1_000_000)
    reads.add_argument("--bytes", type=int, default=100, help="of a value")
    options = reads.parse_args()
    print("| values | | seconds | of them CPU | entries per second | peak, MiB | with one entry |")
    print("|---|---|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as directory:
        for kind in KINDS:
            idle = measure(directory, 1, options.bytes, kind)
            *took, path = measure(directory, options.entries, options.bytes, kind)
            for name, many, one in zip(("export", "import"), took, idle, strict=False):
                rate = options.entries / many.seconds
                figures = f"{many.seconds:.1f} | {many.cpu:.1f} | {rate:,.0f} | {many.peak:.0f} | {one.peak:.0f}"
                print(f"| {kind} | {name} | {figures} |", flush=True)
        runs = [run("ls", path) for _ in range(RUNS_OF_LS)]
        ls, cpu = statistics.median(each.seconds for each in runs), statistics.median(each.cpu for each in runs)
        nothing = statistics.median(startup() for _ in range(RUNS_OF_LS))
        print(f"\nls: {ls * 1000:.0f} ms, {cpu * 1000:.0f} of CPU; a Python that does nothing: {nothing * 1000:.0f} ms")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--fill"]:
        fill(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
    else:
        main()
