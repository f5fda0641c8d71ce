"""Several processes at work on one store for a fixed time."""

from __future__ import annotations

import multiprocessing
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

from peers import BY_NAME, Peer
from workload import VALUES, key_of, value_of

READY_SECONDS = 120.0


@dataclass
class Crowd:
    """What processes did together, a figure per round."""

    rates: list[float] = field(default_factory=list)  # operations a second, of all processes
    waits: list[int] = field(default_factory=list)  # nanoseconds, one for each write
    failed: int = 0  # writes and reads that raised


def run_crowds(
    kinds: Sequence[type[Peer]],
    directory: Path,
    *,
    count: int,
    processes: int,
    writes: float,
    seconds: float,
    rounds: int,
) -> dict[str, Crowd]:
    """Let *processes* work on each kind's store in turn; *writes* is the share of their calls that write."""
    crowds = {kind.name: Crowd() for kind in kinds}
    for number in range(rounds):
        for kind in kinds:
            _run(kind, directory, crowds[kind.name], (count, writes, seconds, processes, number))
    return crowds


def _run(kind: type[Peer], directory: Path, result: Crowd, task: tuple[int, float, float, int, int]) -> None:
    count, writes, seconds, processes, number = task
    context = multiprocessing.get_context("spawn")  # everywhere, and no peer is inherited open
    barrier = context.Barrier(processes)
    workers, pipes = [], []
    for position in range(processes):
        ours, theirs = context.Pipe(duplex=False)
        arguments = (kind.name, str(directory / kind.name), count, writes, seconds, number * 100 + position)
        worker = context.Process(target=_work, args=(*arguments, barrier, theirs), daemon=True)
        worker.start()
        theirs.close()
        workers.append(worker)
        pipes.append(ours)
    rate = 0.0
    for pipe in pipes:
        try:
            done, elapsed, failed, waits = pipe.recv()
        except EOFError:
            raise SystemExit(f"{kind.name}: a process at work on it died") from None
        rate += done / elapsed
        result.failed += failed
        result.waits.extend(array("q", waits))
    for worker in workers:
        worker.join()
    result.rates.append(rate)


def _work(
    name: str, directory: str, count: int, writes: float, seconds: float, seed: int, barrier: Any, pipe: Connection
) -> None:
    """Work until the time is up, and send how much was done."""
    random = Random(seed)
    # Drawn beforehand, so that the peer is measured and not the dice; a walk in strides goes all over the keys.
    keys = [key_of(random.randrange(count)) for _ in range(min(count, 20_000))]
    is_write = [random.random() < writes for _ in range(10_007)]  # a prime, so that keys and calls do not go in step
    values = [value_of(random.randrange(10**6)) for _ in range(VALUES)]
    peer = BY_NAME[name](Path(directory))
    get, put, clock = peer.get, peer.set, time.perf_counter_ns
    waits = array("q")
    done = failed = turn = 0
    get(keys[0])
    put(keys[0], values[0])
    barrier.wait(READY_SECONDS)
    start = now = clock()
    end = start + int(seconds * 1e9)
    while now < end:
        key = keys[turn % len(keys)]
        begun = clock()
        try:
            if is_write[turn % len(is_write)]:
                put(key, values[turn % VALUES])
                now = clock()
                waits.append(now - begun)
            else:
                get(key)
                now = clock()
            done += 1
        except Exception:  # a peer that gives up while others hold the lock: counted, and told
            now = clock()
            failed += 1
        turn += 1
    pipe.send((done, (now - start) / 1e9, failed, waits.tobytes()))
    pipe.close()
    peer.close()
