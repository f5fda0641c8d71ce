"""Large values beside other libraries; `python benchmarks/large_values.py [--quick] [--dir DIRECTORY]`.

Arrays of 64 kB to 300 MB, a nested dict of a hundred arrays, and a frame: set, get and mapped, in turn within one
process; the peak of memory, each in a process of its own; and how long another process waits that writes small
entries while 300 MB are set. All of it is printed as Markdown, with what is wanted beside what was reached.
"""

from __future__ import annotations

import argparse
import gc
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from large_peers import BY_NAME, KEEPERS, Keeper, Ours, installed

MEGABYTE = 10**6
SIZES = (64_000, 256_000, MEGABYTE, 10 * MEGABYTE, 50 * MEGABYTE, 300 * MEGABYTE)
ROUNDS = {64_000: 41, 256_000: 31, MEGABYTE: 31, 10 * MEGABYTE: 15, 50 * MEGABYTE: 9, 300 * MEGABYTE: 5}
QUICK_SIZES, QUICK_ROUNDS = (64_000, MEGABYTE), 3
OTHERS = 50 * MEGABYTE  # bytes of the dict of arrays and of the frame
VERBS = ("set", "get", "mapped, first", "mapped")
OURS, NPY, SYNCED, JOBLIB, FEATHER = (
    "sqlitedict_kv",
    "np.save, np.load",
    "np.save, synced, replaced",
    "joblib",
    "feather",
)
POWER = 'sqlitedict_kv, "power"'
STALLED_SETS = 3
LONG_WAIT = 0.02  # seconds


class Figure(NamedTuple):
    """The least of several rounds, in milliseconds."""

    wall: float
    cpu: float


Figures = dict[str, dict[str, Figure]]  # by verb and name


# -- values


def make_value(kind: str, size: int) -> Any:
    """Return a value of about so many bytes, which nothing can compress."""
    random = np.random.default_rng(size)
    if kind == "array":
        return random.random(size // 8)
    if kind == "arrays":
        layers = [{"weights": random.random(size // 800), "name": f"layer {number}"} for number in range(100)]
        return {"epoch": 7, "layers": layers}
    import pandas as pd

    rows = size // 57
    texts = np.array(["alpha", "beta", "gamma", "delta"])[random.integers(0, 4, rows)]
    return pd.DataFrame({**{f"c{number}": random.random(rows) for number in range(6)}, "text": texts})


def is_same(kind: str, one: Any, other: Any) -> bool:
    """Return whether two values are equal."""
    if kind == "array":
        return np.array_equal(one, other)
    if kind == "frame":
        return bool(one.equals(other))
    pairs = zip(one["layers"], other["layers"], strict=True)
    return all(np.array_equal(mine["weights"], theirs["weights"]) for mine, theirs in pairs)


def touch(value: Any) -> None:
    """Read a number of a mapped value, so that it is one."""
    if isinstance(value, dict):
        value = value["layers"][0]["weights"]
    float(value[0] if isinstance(value, np.ndarray) else value.iloc[0, 0])


# -- times


def measure(kind: str, size: int, rounds: int, directory: Path) -> Figures:
    """Return the least times of each library at each verb; in each round they take turns."""
    value = make_value(kind, size)
    keepers = []
    for number, keeper in enumerate(installed(kind)):
        place = directory / f"{kind}-{size}-{number}"
        place.mkdir()
        keepers.append(keeper(place))
    figures: Figures = {verb: {} for verb in VERBS}
    for keeper in keepers:
        keeper.set(value)
        assert is_same(kind, value, keeper.get()), f"{keeper.name} returned something else"
    for number in range(rounds):
        first = number % len(keepers)
        for keeper in (*keepers[first:], *keepers[:first]):
            _round(keeper, value, figures)
    for keeper in keepers:
        keeper.close()
    return figures


def _round(keeper: Keeper, value: Any, figures: Figures) -> None:
    calls: list[tuple[str, Callable[[], Any]]] = [("set", lambda: keeper.set(value)), ("get", keeper.get)]
    mapped = keeper.mapped
    if mapped is not None:
        calls += [("mapped, first", lambda: touch(mapped())), ("mapped", lambda: touch(mapped()))]
    for verb, call in calls:
        gc.collect()
        wall, cpu = time.perf_counter(), time.process_time()
        kept = call()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        del kept
        before = figures[verb].get(keeper.name, Figure(float("inf"), float("inf")))
        figures[verb][keeper.name] = Figure(min(before.wall, wall * 1000), min(before.cpu, cpu * 1000))


# -- memory


def peak_of(name: str, kind: str, size: int, directory: Path) -> dict[str, float]:
    """Return the megabytes that set and get take beside what was there before, in a process of its own."""
    step = [sys.executable, __file__, "--memory", name, kind, str(size), str(directory)]
    found = subprocess.run(step, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    return dict(zip(("set", "get"), map(float, found), strict=True))


def print_peaks(name: str, kind: str, size: int, directory: Path) -> None:
    """Print the peaks of memory of a set and of a get."""
    keeper = BY_NAME[name](directory)
    keeper.set(make_value(kind, 100_000))
    keeper.get()  # imports
    print(_growth(partial(keeper.set, make_value(kind, size))), _growth(keeper.get))
    keeper.close()


def _growth(call: Callable[[], Any]) -> float:
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins again
    before = _status("VmRSS")
    kept = call()
    after = _status("VmHWM")
    del kept
    return (after - before) * 1024 / MEGABYTE


def _status(field: str) -> int:
    """Return a field of this process's state, in KiB."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    raise LookupError(field)


# -- stalls


def stall(keeper: type[Ours], size: int, directory: Path) -> tuple[float, float]:
    """Return the longest wait of another process's small writes during some large sets, and that without any, in s."""
    directory.mkdir()
    value, ours = make_value("array", size), keeper(directory)
    ours.set(value)
    step = [sys.executable, __file__, "--small", keeper.name, str(directory)]
    waits = []
    for sets in (0, STALLED_SETS):
        with subprocess.Popen(step, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout is not None
            other.stdout.readline()  # it writes
            for _ in range(sets):
                ours.set(value)
            if not sets:
                time.sleep(1)
            waits.append(float(other.communicate("stop\n")[0].split()[-1]))
    ours.close()
    return waits[1], waits[0]


def write_small(name: str, directory: Path) -> None:
    """Write small entries until something is said, then print the longest wait."""
    import threading

    keeper = BY_NAME[name](directory)
    entries = keeper._store.ns("small")  # type: ignore[attr-defined]
    entries["k"] = 0
    said = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), said.set()), daemon=True).start()
    print("writing", flush=True)
    longest, number = 0.0, 0
    while not said.is_set():
        start = time.perf_counter()
        entries["k"] = number = number + 1
        longest = max(longest, time.perf_counter() - start)
    print(longest)
    keeper.close()


# -- the document


def shown_size(size: int) -> str:
    """Return a size as people say it."""
    return f"{size // MEGABYTE} MB" if size >= MEGABYTE else f"{size // 1000} kB"


def number(value: float) -> str:
    """Return three digits of a number."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(verb: str, columns: Sequence[str], found: Sequence[Figures]) -> str:
    """Return the figures of one verb."""
    names = [keeper.name for keeper in KEEPERS if any(keeper.name in figures[verb] for figures in found)]
    lines = [f"| {verb}, ms (CPU) | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
    for name in names:
        cells = [figures[verb].get(name) for figures in found]
        texts = ["-" if cell is None else f"{number(cell.wall)} ({number(cell.cpu)})" for cell in cells]
        lines.append(f"| {name} | {' | '.join(texts)} |")
    return "\n".join(lines)


class Goal(NamedTuple):
    """A ratio or a figure that is wanted."""

    what: str
    wanted: float
    reached: float | None  # None: not in this release, or not measured


def ratio(figures: Figures, verb: str, other: str, *, base: str | None = None) -> float | None:
    """Return how many times the CPU time of another library ours takes; waits for the disk would be chance."""
    one, two = figures[verb].get(OURS), figures[base or verb].get(other)
    return None if one is None or two is None else one.cpu / two.cpu


def goals_of_arrays(size: int, figures: Figures) -> list[Goal]:
    """Return the goals of one array."""
    at, mapped = shown_size(size), figures["mapped"].get(OURS)
    synced = figures["set"][POWER].wall / figures["set"][SYNCED].wall
    first = ratio(figures, "mapped, first", NPY, base="get")
    return [
        Goal(f"set, {at}: times np.save (CPU)", 1.4, ratio(figures, "set", NPY)),
        Goal(f"set, power, {at}: times np.save, synced, replaced", 1.2, synced),
        Goal(f"get, {at}: times np.load (CPU)", 1.2, ratio(figures, "get", NPY)),
        Goal(f"mapped, {at}: ms", 1.0, mapped and mapped.wall),
        Goal(f"mapped, {at}, the first time: times np.load (CPU)", 0.4, first),
    ]


def goals_of_others(several: Figures, frame: Figures) -> list[Goal]:
    """Return the goals of several arrays in a value, and of a frame."""
    mapped = several["mapped"].get(OURS)
    return [
        Goal("100 arrays, set: times joblib (CPU)", 1.2, ratio(several, "set", JOBLIB)),
        Goal("100 arrays, get: times joblib (CPU)", 1.0, ratio(several, "get", JOBLIB)),
        Goal("100 arrays, mapped: ms", 2.0, mapped and mapped.wall),
        Goal("frame, set: times feather (CPU)", 2.0, ratio(frame, "set", FEATHER)),
        Goal("frame, get: times feather (CPU)", 1.2, ratio(frame, "get", FEATHER)),
    ]


def goal_table(goals: Sequence[Goal]) -> str:
    """Return what is wanted beside what was reached."""
    lines = ["| goal | wanted | reached | met |", "|---|---:|---:|---|"]
    for what, wanted, reached in goals:
        met = "not in this release" if reached is None else "yes" if reached <= wanted else "**no**"
        lines.append(f"| {what} | ≤ {wanted:g} | {'-' if reached is None else number(reached)} | {met} |")
    return "\n".join(lines)


def measure_memory(size: int, directory: Path) -> list[Goal]:
    """Print peaks of memory and return their goals."""
    goals = []
    print(f"| beside the value, {shown_size(size)}, MB | set an array | get it | set a frame | get it |")
    print("|---|---:|---:|---:|---:|")
    for at, keeper in enumerate(KEEPERS):
        if keeper.lacks() is not None:
            continue
        cells = []
        for kind in ("array", "frame"):
            place = directory / f"memory-{kind}-{at}"
            place.mkdir()
            peaks = peak_of(keeper.name, kind, size, place) if kind in keeper.kinds else None
            cells += ["-", "-"] if peaks is None else [number(peaks["set"]), number(peaks["get"] - size / MEGABYTE)]
            if keeper is Ours and peaks is not None:
                spare = 16 if kind == "array" else size / MEGABYTE / 10
                goals.append(Goal(f"peak of a set of {kind}, {shown_size(size)}: MB beside it", spare, peaks["set"]))
                beside = peaks["get"] - size / MEGABYTE
                goals.append(Goal(f"peak of a get of {kind}, {shown_size(size)}: MB beside it", spare, beside))
        print(f"| {keeper.name} | {' | '.join(cells)} |", flush=True)
    return goals


def measure_stalls(size: int, directory: Path) -> list[Goal]:
    """Print how long small writes of another process wait, and return the goals."""
    goals = []
    print(f"\n| longest wait of a small write, ms | during {STALLED_SETS} sets of {shown_size(size)} | without any |")
    print("|---|---:|---:|")
    for at, keeper in enumerate(KEEPERS):
        if not issubclass(keeper, Ours) or keeper.lacks() is not None:
            continue
        longest, idle = stall(keeper, size, directory / f"stall-{at}")
        print(f"| {keeper.name} | {number(longest * 1000)} | {number(idle * 1000)} |", flush=True)
        wanted = {OURS: 20.0, POWER: 50.0}.get(keeper.name)
        if wanted is not None:
            goals.append(Goal(f"wait of a small write, {keeper.name}: ms", wanted, longest * 1000))
    return goals


def run(sizes: Sequence[int], others: int, rounds: Callable[[int], int], directory: Path) -> None:
    """Measure everything and print it."""
    lacking = [f"{keeper.name} ({keeper.lacks()})" for keeper in KEEPERS if keeper.lacks()]
    print(f"CPython {platform.python_version()}, numpy {np.__version__}, {platform.system()} {platform.machine()}\n")
    if lacking:
        print(f"- not run: {', '.join(lacking)}\n")
    arrays = [measure("array", size, rounds(size), directory) for size in sizes]
    several, frame = ({verb: {} for verb in VERBS} for _ in range(2))
    several = measure("arrays", others, rounds(others), directory)
    with suppress(ImportError):
        frame = measure("frame", others, rounds(others), directory)
    columns = [*map(shown_size, sizes), f"100 arrays, {shown_size(others)}", f"a frame, {shown_size(others)}"]
    for verb in VERBS:
        print(table(verb, columns, [*arrays, several, frame]), end="\n\n", flush=True)
    goals = [
        goal for size, figures in zip(sizes[-2:], arrays[-2:], strict=True) for goal in goals_of_arrays(size, figures)
    ]
    goals += goals_of_others(several, frame)
    if Path("/proc/self/clear_refs").exists():
        goals += measure_memory(sizes[-1], directory)
    goals += measure_stalls(sizes[-1], directory)
    print(f"\n{goal_table(goals)}")


def main() -> None:
    reads = argparse.ArgumentParser(description=__doc__)
    reads.add_argument("--quick", action="store_true", help="small sizes and few rounds")
    reads.add_argument("--dir", type=Path, help="where the values are written; default: the system's temporary files")
    options = reads.parse_args()
    with tempfile.TemporaryDirectory(dir=options.dir) as directory:
        if options.quick:
            run(QUICK_SIZES, MEGABYTE, lambda _: QUICK_ROUNDS, Path(directory))
        else:
            run(SIZES, OTHERS, ROUNDS.__getitem__, Path(directory))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--memory"]:
        print_peaks(sys.argv[2], sys.argv[3], int(sys.argv[4]), Path(sys.argv[5]))
    elif sys.argv[1:2] == ["--small"]:
        write_small(sys.argv[2], Path(sys.argv[3]))
    else:
        main()
