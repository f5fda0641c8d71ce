"""Calls on the files of large values that fail, once or from then on, and disks on which there is no room for them.

Whatever fails, the caller gets an error of the library, nothing is half done, and afterwards every value that was
acknowledged is there, and nothing else.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections import Counter
from contextlib import nullcontext, suppress
from pathlib import Path
from random import Random

from sqlitedict_kv import KVError, Store, StoreBusyError, StoreFullError, StoreIOError
from tests.faults.campaign import Campaign, Round
from tests.faults.full_disk import small_disk, take_all_space
from tests.faults.power_cuts import hasten
from tests.faults.syscalls import HALF, PATHS, arm, disarm, fired, lines_of, watched
from tests.faults.value_files.sabotage import break_files, choose_way, hasten_files
from tests.faults.value_files.values import (
    SIZES,
    WrongValueError,
    content_of,
    leftovers,
    names_in,
    open_store,
    value_of,
)
from tests.faults.workload import Key, after, do, steps_of
from tests.support.processes import Worker

FAULTS = (
    ("read", errno.EIO),
    ("write", errno.EIO),
    ("write", errno.ENOSPC),
    ("write", errno.EDQUOT),
    ("write", HALF * errno.EIO),
    ("write", HALF * errno.ENOSPC),
    ("sync", errno.EIO),
    ("dirsync", errno.EIO),
    ("open", errno.EIO),
    ("open", errno.EMFILE),
    ("open", errno.EACCES),
    ("link", errno.EIO),
    ("link", errno.ENOSPC),
    ("rename", errno.EIO),
    ("unlink", errno.EIO),
    ("stat", errno.EIO),
    ("mkdir", errno.ENOSPC),
    ("lock", errno.ENOLCK),
    ("list", errno.EIO),
)
STEPS = 8
KEYS = 4
INJECTIONS = 200  # of a process
WEIGHTS = {"set": 30, "set_many": 8, "atomic": 10, "delete": 10, "sync": 8, "vacuum": 8, "clear": 3, "read": 15}
DISK_KIB = 4_000
REFUSALS = 15  # of a disk

Held = dict[Key, tuple[int, int]]


class BrokenPromiseError(Exception):
    """Says which promise did not hold."""


def say(line: object) -> None:
    """Tell the process that judges."""
    os.write(1, f"{json.dumps(line)}\n".encode())


# -- calls that fail


def work(directory: str, seed: str, count: str, sabotage: str) -> None:
    """Inject a number of faults, and print what did not hold."""
    hasten()
    hasten_files()
    break_files(sabotage)
    random = Random(int(seed))
    figures: Counter[str] = Counter()
    for number in range(int(count)):
        injection = Injection(random, Path(directory) / f"{number}.db")
        try:
            injection.run(figures)
        except BrokenPromiseError as problem:
            say({"problem": f"{injection}: {problem}"})
        finally:
            disarm()
    say({"figures": figures})


class Injection:
    """One fault in the middle of a few steps."""

    def __init__(self, random: Random, path: Path) -> None:
        self._path = path
        self.operation, self.code = random.choice(FAULTS)
        self.number = random.randint(1, random.choice((2, 5, 15)))
        self.goes_on = random.random() < 0.4
        self.way = random.choice(("nameless", "renamed"))
        self.durability = random.choice(("process", "power"))
        self.seed = random.randrange(2**30)
        self.first = random.randrange(2)  # the step from which calls count
        self.allowed: list[Held] = [{}]

    def __str__(self) -> str:
        lasts = "from then on" if self.goes_on else "once"
        return (
            f"call {self.number} to {self.operation} with {self.code}, {lasts}, {self.way}, {self.durability}, "
            f"steps {self.seed}"
        )

    def run(self, figures: Counter[str]) -> None:
        """Use a store, one of whose calls on files fails, and raise BrokenPromiseError if it does not cope."""
        choose_way(self.way)
        steps = steps_of(self.seed, STEPS, WEIGHTS, SIZES, KEYS)
        with open_store(self._path, durability=self.durability) as store:
            for number, step in enumerate(steps):
                if number == self.first:
                    later = {self.operation} if self.goes_on else set()
                    arm({self.operation}, self.number, self.code, later, "*-values*")
                self._take(store, step, figures)
            figures["injections"] += fired() > 0
            figures[f"{self.operation} failed"] += fired() > 0
            has_stopped = fired() and self.operation in ("sync", "dirsync")
            disarm()
            with suppress(StoreIOError) if has_stopped else nullcontext():
                self._compare(content_of(store), "when calls work again")
        with open_store(self._path) as store:
            self._compare(content_of(store), "after it was opened again")
            store.vacuum()
            if problems := store.check().problems:
                raise BrokenPromiseError(f"check() says {problems}")
        if problem := leftovers(self._path):
            raise BrokenPromiseError(f"when all was collected: {problem}")

    def _take(self, store: Store, step, figures: Counter[str]) -> None:
        verb = step[0]
        try:
            if verb == "read":
                self._compare(content_of(store), "a reader")
            else:
                do(store, step, value_of)
        except KVError as error:
            if not fired():
                raise BrokenPromiseError(f"nothing had failed, and yet {error!r}") from error
            figures[f"raised {type(error).__name__}"] += 1
            if not isinstance(error, StoreFullError | StoreBusyError):
                self.allowed += [self._after(held, step) for held in self.allowed]
        except WrongValueError as error:
            raise BrokenPromiseError(f"{verb}: {error}") from error
        except BrokenPromiseError:
            raise
        except Exception as error:
            raise BrokenPromiseError(f"{verb} raised {error!r}") from error
        else:
            self.allowed = [self._after(held, step) for held in self.allowed]

    def _after(self, held: Held, step) -> Held:
        return dict(after(frozenset(held.items()), step))

    def _compare(self, found: Held, who: str) -> None:
        if found not in self.allowed:
            raise BrokenPromiseError(f"{who}: {sorted(found.items())} instead of {sorted(self.allowed[0].items())}")


# -- full disks


def fill(directory: str, seed: str, sabotage: str) -> None:
    """Fill the disk, write large values on it, make room, and print what did not hold."""
    hasten()
    hasten_files()
    break_files(sabotage)
    random = Random(int(seed))
    choose_way(random.choice(("nameless", "renamed")))
    ballast, path = Path(directory) / "ballast", Path(directory) / "store.db"
    figures: Counter[str] = Counter({"refusals": 0})
    try:
        with open_store(path, durability=random.choice(("process", "power"))) as store:
            ns = store.ns("n")
            held = {f"k{number}": (number, 70_000) for number in range(KEYS)}
            ns.set_many({key: value_of(*name) for key, name in held.items()})
            store.sync()
            take_all_space(ballast, leave=random.choice((4096, 30_000, 100_000, 300_000)))
            number = KEYS
            while figures["refusals"] < REFUSALS:
                number += 1
                key, name = f"k{random.randrange(KEYS)}", (number, random.choice(SIZES[2:]))
                try:
                    ns[key] = value_of(*name)
                except StoreFullError:
                    figures["refusals"] += 1
                else:
                    held[key] = name
                _expect(store, held, "on a full disk")
            ballast.unlink()
            ns["k0"] = value_of(number + 1, 70_000)
            held["k0"] = (number + 1, 70_000)
            _expect(store, held, "with room again")
            store.vacuum()
            if len(names_in(path)) != len(held):
                raise BrokenPromiseError(f"{len(names_in(path))} files for {len(held)} values")
    except (KVError, WrongValueError, BrokenPromiseError) as error:
        say({"problem": repr(error)})
    say({"figures": figures})


def _expect(store: Store, held: dict[str, tuple[int, int]], when: str) -> None:
    found = {key: name for (_, key), name in content_of(store).items()}
    if found != held:
        raise BrokenPromiseError(f"{when}: {found} instead of {held}")


# -- in the process that judges


def run_errors(round_: Round) -> None:
    """Inject faults in processes of their own."""
    random = Random(round_.seed)
    while (left := round_.size - round_.figures["injections"]) > 0:
        directory = round_.directory / "injections"
        directory.mkdir()
        code = "from tests.faults.value_files.errors import work; work(*sys.argv[1:]); say('end')"
        arguments = (directory, random.randrange(2**30), min(INJECTIONS, 2 * left + 10), round_.sabotage)
        with watched(code, *arguments, directory=directory) as worker:
            _hear(round_, lines_of(worker))
        shutil.rmtree(directory)


def run_full(round_: Round) -> None:
    """Fill small disks in processes of their own."""
    random = Random(round_.seed)
    code = "from tests.faults.value_files.errors import fill; fill(*sys.argv[1:]); say('end')"
    while round_.figures["refusals"] < round_.size:
        disk = round_.directory / "disk"
        arguments = (disk, random.randrange(2**30), round_.sabotage)
        with small_disk(disk, DISK_KIB), Worker(code, *arguments, variables=PATHS, measured=False) as worker:
            _hear(round_, lines_of(worker))
        round_.count("disks")


def _hear(round_: Round, lines: list[str]) -> None:
    for line in map(json.loads, lines):
        if "problem" in line:
            round_.fail(line["problem"])
        for what, number in line.get("figures", {}).items():
            round_.count(what, number)


CAMPAIGNS = (
    Campaign(
        name="files-io-errors",
        promise="A call on the file of a large value that fails, once or from then on, is an error of the library's "
        "own; nothing is half done, and nothing that was acknowledged is lost",
        unit="injections",
        run=run_errors,
        ci=80,
        nightly=5_000,
        release=20_000,
        twins=("a failed write is overlooked",),
        twin=200,
    ),
    Campaign(
        name="files-full-disk",
        promise="A large value for which there is no room is refused and changes nothing, and leaves no file",
        unit="refusals",
        run=run_full,
        ci=30,
        nightly=1_000,
        release=10_000,
        twins=("a failed write is overlooked",),
    ),
)
