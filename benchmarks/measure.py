"""Timing operations of several peers in turn, within one process."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median
from typing import Any

from peers import Peer
from workload import BLOB_BYTES, Call, Draw, Operation, entries, key_of, value_of

SECONDS_PER_ROUND = 0.5  # of one peer: one that is slow makes fewer calls
SECONDS_PER_OPERATION = 10.0  # of one peer: then it sits out, if it had its first rounds
LEAST_ROUNDS = 3

IMPORT = """
import time
start = time.perf_counter_ns()
{}
print(time.perf_counter_ns() - start)
"""


@dataclass
class Samples:
    """What was measured of one peer at one operation: a figure per round."""

    values: list[float] = field(default_factory=list)  # microseconds a call, or operations a second
    calls: int = 1  # of each round

    def median(self) -> float:
        """Return the middle one."""
        return median(self.values)

    def summary(self) -> dict[str, float]:
        """Return what the JSON file tells."""
        return {
            "median": self.median(),
            "mean": fmean(self.values),
            "lowest": min(self.values),
            "highest": max(self.values),
            "rounds": len(self.values),
            "calls_per_round": self.calls,
        }


def check(peer: Peer, count: int) -> None:
    """Raise AssertionError unless each verb of *peer* does what is going to be measured."""
    middle = count // 2
    assert peer.get(key_of(middle)) == value_of(middle), "get"
    assert peer.missing("absent") is None, "missing"
    wanted = [key_of(number) for number in range(0, count, count // 10)]
    assert peer.get_many(wanted) == {key: value_of(int(key[5:])) for key in wanted}, "get_many"
    peer.set_many({"check:1": value_of(1), "check:2": value_of(2)})
    assert peer.get("check:2") == value_of(2), "set_many"
    peer.set("check:1", value_of(3))
    assert peer.get("check:1") == value_of(3), "set"
    peer.set("check:3", bytes(BLOB_BYTES))
    assert peer.get_bytes("check:3") == bytes(BLOB_BYTES), "get_bytes"
    prefix = key_of(middle // 100 * 100)[:-2]
    page = list(peer.page(prefix) or ())
    assert len(page) == 100, "page"
    assert "page" in peer.notes or page == [f"{prefix}{number:02}" for number in range(100)], "page"
    peer.set("check:4", 41)
    assert peer.incr("check:4") == peer.get("check:4") == 42, "incr"
    for number in range(1, 5):
        peer.delete(f"check:{number}")
        assert peer.missing(f"check:{number}") is None, "delete"


def prepare(kinds: Sequence[type[Peer]], directory: Path, count: int, report: Callable[[str], None]) -> None:
    """Make a filled store of each kind below *directory*, and check its verbs."""
    for kind in kinds:
        place = directory / kind.name
        place.mkdir(parents=True)
        peer = kind(place)
        start = time.perf_counter()
        peer.fill(entries(count))
        seconds = time.perf_counter() - start
        try:
            check(peer, count)
        except AssertionError as error:
            raise SystemExit(f"{kind.name}: its {error} does not do what is to be measured") from error
        finally:
            peer.close()
        report(f"{kind.name}: {count:,} entries written in {seconds:.1f} s")


def operate(operation: Operation, peers: Sequence[Peer], count: int, rounds: int) -> dict[str, Samples]:
    """Run rounds of one operation, the peers one after the other in each of them.

    Each peer gets the same keys and values; who is first moves on from round to round.
    """
    samples = {peer.name: Samples() for peer in peers}
    spent = dict.fromkeys(samples, 0.0)
    gc.collect()
    for peer in peers:
        samples[peer.name].calls = _calls(operation, peer, count)
    for number in range(rounds):
        first = number % len(peers)
        for peer in (*peers[first:], *peers[:first]):
            if spent[peer.name] > SECONDS_PER_OPERATION and number >= LEAST_ROUNDS:
                continue
            start = time.perf_counter()
            own = samples[peer.name]
            own.values.append(_round(operation, peer, Draw(operation.slug, number, count), own.calls))
            spent[peer.name] += time.perf_counter() - start
    return samples


def _calls(operation: Operation, peer: Peer, count: int) -> int:
    """Return how many calls of a round take no longer than they may; this warms the peer up, too."""
    start = time.perf_counter()
    _round(operation, peer, Draw(operation.slug, -1, count), 1)
    each = time.perf_counter() - start  # with what is done before and after
    return max(1, min(operation.calls, int(SECONDS_PER_ROUND / each)))


def _round(operation: Operation, peer: Peer, draw: Draw, calls: int) -> float:
    """Return the microseconds that one call takes."""
    arguments = operation.arguments(draw, calls)
    if operation.before:
        operation.before(peer, arguments)
    elapsed = _timed(getattr(peer, operation.verb), arguments)
    if operation.after:
        operation.after(peer, arguments)
    return elapsed / len(arguments) / 1000


def _timed(verb: Callable[..., Any], arguments: list[Call]) -> int:
    """Return the nanoseconds that all these calls take; the same loop for one argument and for two."""
    gc.disable()  # as timeit does; a collection before each batch would empty the processor's caches
    try:
        if len(arguments[0]) == 1:
            singles = [argument for (argument,) in arguments]
            start = time.perf_counter_ns()
            for argument in singles:
                verb(argument)
            return time.perf_counter_ns() - start
        start = time.perf_counter_ns()
        for key, value in arguments:
            verb(key, value)
        return time.perf_counter_ns() - start
    finally:
        gc.enable()


def reopen(kinds: Sequence[type[Peer]], directory: Path, count: int, rounds: int) -> dict[str, Samples]:
    """Measure opening a closed store that has entries, and the first get from it."""
    samples = {kind.name: Samples() for kind in kinds}
    for number in range(-1, rounds):
        for kind in kinds:
            key = Draw("reopen", number, count).key()
            start = time.perf_counter_ns()
            peer = kind(directory / kind.name)
            peer.get(key)
            elapsed = time.perf_counter_ns() - start
            peer.close()
            if number >= 0:  # the one before imports the package
                samples[kind.name].values.append(elapsed / 1000)
    return samples


def import_times(kinds: Sequence[type[Peer]], rounds: int) -> dict[str, Samples]:
    """Measure the import of each peer's modules in new processes, from byte code, as of an installed package."""
    samples = {kind.name: Samples() for kind in kinds}
    with tempfile.TemporaryDirectory() as byte_code:
        environment = os.environ | {"PYTHONPYCACHEPREFIX": byte_code}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for number in range(-1, rounds):  # the run before the first writes the byte code
            for kind in kinds:
                code = IMPORT.format("\n".join(f"import {module}" for module in kind.modules))
                command = [sys.executable, "-c", code]
                run = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
                if number >= 0:
                    samples[kind.name].values.append(int(run.stdout) / 1000)
    return samples


def size_of(directory: Path) -> int:
    """Return the bytes on disk that the files below *directory* take."""
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            status = os.stat(os.path.join(folder, name))
            total += getattr(status, "st_blocks", status.st_size / 512) * 512
    return int(total)


def clear(directory: Path) -> None:
    """Remove all that was written."""
    shutil.rmtree(directory, ignore_errors=True)
