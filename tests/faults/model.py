"""Sequences of calls against a model, and single-line breakages of the library, each of which must be noticed.

Everything runs in processes of its own, so that a library that is broken on purpose is nobody else's.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import NamedTuple

from tests.faults.campaign import Campaign, Round

STEPS = 50
CAUGHT = 3  # exit code
PACKAGE = "sqlitedict_kv"
ROOT = Path(__file__).resolve().parents[2]


class Mutant(NamedTuple):
    """A line of the library, and what stands there in a library that is broken."""

    old: str
    new: str


MUTANTS = {
    "an entry lives a millisecond too long": Mutant("self.expires_at > now", "self.expires_at >= now"),
    "a listing shows an entry a millisecond too long": Mutant("expires_at > ?) ORDER BY", "expires_at >= ?) ORDER BY"),
    "a count is a millisecond late": Mutant("WHERE expires_at <= ? AND +ns = ?)", "WHERE expires_at < ? AND +ns = ?)"),
    "a time to live is rounded down": Mutant("max(math.ceil(", "max(math.floor("),
    "a write keeps the old deadline": Mutant(
        "expires_at = excluded.expires_at, updated_at", "expires_at = kv.expires_at, updated_at"
    ),
    "touch revives what has expired": Mutant("record is None or not record.is_live(now)", "record is None"),
    "touch changes the version": Mutant("SET expires_at = ?, checksum", "SET version = 9, expires_at = ?, checksum"),
    "a version is used again after a delete": Mutant("cursor.execute(RAISE_FLOOR, (namespace, version))", "pass"),
    "a version is used again after a clear": Mutant("cursor.execute(RAISE_FLOOR, (namespace, highest))", "pass"),
    "a version is used again after a sweep": Mutant("cursor.execute(RAISE_FLOOR, floor)", "pass"),
    "a floor is lowered": Mutant(" WHERE excluded.version > kv_floor.version", ""),
    "the floor is taken for every namespace": Mutant("FROM kv_floor WHERE ns = ?", "FROM kv_floor WHERE ns <> ?"),
    "a clear takes the neighbour's entries": Mutant("DELETE FROM kv WHERE ns = ?", "DELETE FROM kv WHERE ns >= ?"),
    "compare-and-set passes where nothing is": Mutant("(actual or 0) != expected", "(actual or expected) != expected"),
    "a delete at a version takes any version": Mutant("(version or 0) != edit.expected", "False"),
    "a page skips keys": Mutant('span.after + "\\0"', 'span.after + "a"'),
    "a page begins with the last key of the one before": Mutant("low = span.after +", "low = span.after #"),
    "a prefix finds nothing": Mutant("ord(stem[-1]) + 1", "ord(stem[-1])"),
    "tuples come back as lists": Mutant('"tuple", list, tuple', '"tuple", list, list'),
    "the memory in front is stale": Mutant("for name in keys:", "for name in list(keys)[1:]:"),
}  # fmt: skip


def run(round_: Round) -> None:
    """Run sequences of calls in three processes, on memory and on files, without and with the LRU."""
    generator = random.Random(round_.seed)
    shares = {kind: (round_.size + place) // len(KINDS) for place, kind in enumerate(KINDS)}
    started = {kind: start(kind, generator.getrandbits(31), share, round_.sabotage) for kind, share in shares.items()}
    everybody = list(started.values())
    try:
        if round_.sabotage:  # whoever notices first
            while all(worker.poll() in (None, 0) for worker in started.values()):
                if all(worker.poll() == 0 for worker in started.values()):
                    return
                time.sleep(0.02)
            started = {kind: worker for kind, worker in started.items() if worker.poll()}
        for kind, worker in started.items():
            out, problem = worker.communicate(timeout=7200)
            if worker.returncode == CAUGHT:
                round_.fail(f"the model and the store disagree ({kind}): {problem[-2500:]}")
            if worker.returncode:
                raise RuntimeError(f"the worker failed ({worker.returncode}): {problem}")
            for what, number in json.loads(out).items():
                round_.count(what, number)
    finally:
        for worker in everybody:
            worker.kill()
            worker.communicate()


def start(kind: str, seed: int, runs: int, mutant: str | None) -> subprocess.Popen[str]:
    from tests.support.processes import environment  # noqa: PLC0415 - it imports the library, which a worker breaks first

    paths = os.pathsep.join([str(ROOT), environment()["PYTHONPATH"]])
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.model", kind, str(seed), str(runs), mutant or ""],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(measured=not mutant) | {"PYTHONPATH": paths},
    )


# -- in the worker


class _Breaking(SourceFileLoader):
    """Loads a module with one line replaced, without a look at compiled files."""

    def __init__(self, name: str, path: str, mutant: Mutant) -> None:
        super().__init__(name, path)
        self._mutant = mutant

    def get_code(self, fullname: str) -> CodeType:
        source = self.get_data(self.path).decode()
        if self._mutant.old in source:
            broken_in.append(fullname)
        return compile(source.replace(self._mutant.old, self._mutant.new), self.path, "exec", dont_inherit=True)


class _Finder:
    """Finds the modules of the library, to break them."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name.partition(".")[0] != PACKAGE:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Breaking(name, spec.loader.path, self._mutant)
        return spec


broken_in: list[str] = []
KINDS = ("memory", "file", "file and LRU")


def work(kind: str, seed: int, runs: int, mutant: str) -> int:
    """Search for a sequence that shows a difference; return CAUGHT if there is one."""
    if mutant:
        sys.meta_path.insert(0, _Finder(MUTANTS[mutant]))
    from hypothesis import Phase, stateful  # noqa: PLC0415
    from hypothesis import seed as seeded  # noqa: PLC0415
    from hypothesis import settings as settings_of  # noqa: PLC0415

    from sqlitedict_kv import Store  # noqa: PLC0415
    from tests.unit import test_model  # noqa: PLC0415 - it imports the library

    if mutant and not broken_in:
        raise LookupError(f"{MUTANTS[mutant].old!r} is nowhere in the library any more: give the mutant a new line")
    figures = {"runs": 0, "calls": 0}

    class Counted(test_model.Model):
        on_file = kind != "memory"

        def __init__(self) -> None:
            super().__init__()
            figures["runs"] += 1

        def opened(self) -> Store:
            options = {"lru_bytes": 4000} if "LRU" in kind else {}
            return Store(self.path if self.on_file else ":memory:", clock=self.clock, **options)

        def check_invariants(self, *arguments: object, **options: object) -> None:  # once for each call
            figures["calls"] += 1
            super().check_invariants(*arguments, **options)

    settings = settings_of(
        test_model.SETTINGS,
        max_examples=max(1, runs),
        stateful_step_count=STEPS,
        database=None,
        # To find the shortest sequence takes long, and of a mutant nobody wants to know.
        phases=(Phase.generate,) if mutant else (Phase.generate, Phase.shrink),
    )
    try:
        seeded(seed)(stateful.get_state_machine_test(Counted, settings=settings))()
    except Exception as error:
        sys.stderr.write("\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())]))
        return CAUGHT
    sys.stdout.write(json.dumps(figures))
    return 0


CAMPAIGN = Campaign(
    name="model",
    promise="Any sequence of calls does what a dict with versions and deadlines would do, also through the LRU",
    unit="runs",
    run=run,
    ci=90,
    nightly=5_000,
    release=100_000,
    twins=tuple(MUTANTS),
    twin=600,
)

if __name__ == "__main__":
    sys.exit(work(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
