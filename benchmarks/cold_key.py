"""A cold key that many ask for at once; `python benchmarks/cold_key.py [ROUNDS]`.

In each round 8 processes of 8 threads call a memoized function with the same new argument. One of them computes. The
result is the moment at which the function returned, so each caller can tell how long it waited after that: for the
result to be written, for its own process to notice, and for its thread to read it. On a file, and on a server of Valkey
on the loopback.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from sqlitedict_kv import Store
from tests.support.servers import Server

PROCESSES = 8
THREADS = 8
COMPUTATION = 0.3  # seconds
READY_SECONDS = 120.0


def ask(address: str, rounds: int, barrier: Any, pipe: Any) -> None:
    """Call the function from all threads of this process, a new argument each round; send what they got, and when."""
    with Store(address) as store:

        @store.memoize()
        def returned_at(number: int) -> float:
            time.sleep(COMPUTATION)
            return time.monotonic()

        got: list[tuple[int, float, float]] = []

        def call() -> None:
            for number in range(rounds):
                barrier.wait(READY_SECONDS)
                value = returned_at(number)
                got.append((number, value, time.monotonic()))

        threads = [threading.Thread(target=call) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    pipe.send(got)


def waits(address: str, rounds: int) -> tuple[list[float], int]:
    """Return how long each caller waited once the function had returned, in seconds, and how often it was called."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(PROCESSES * THREADS)
    crew = []
    for _ in range(PROCESSES):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=ask, args=(address, rounds, barrier, theirs), daemon=True)
        process.start()
        theirs.close()
        crew.append((process, ours))
    got = []
    for process, pipe in crew:
        got += pipe.recv()
        process.join()
    return sorted(at - value for _, value, at in got), len({(number, value) for number, value, _ in got})


def measure(title: str, address: str, rounds: int) -> None:
    """Print one row."""
    times, computed = waits(address, rounds)
    p50, p99, longest = (times[int(len(times) * share)] * 1e3 for share in (0.5, 0.99, 0.9999))
    print(f"| {title} | {computed} of {rounds} | {p50:.1f} | {p99:.1f} | {longest:.1f} |", flush=True)


def main(rounds: int) -> None:
    print(f"{PROCESSES} processes of {THREADS} threads ask for a key that takes {COMPUTATION} s\n")
    print("| store | computed | ms after it is there, median | 99 of 100 | longest |\n|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as directory:
        measure("a file", str(Path(directory) / "results.db"), rounds)
    with Server() as server:
        measure("a server", server.url, rounds)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
