"""Processes that are killed, or stopped for a while, just before any of their calls on files.

One process takes a step at a time in children that it forks, and looks after each at what is left. A child that is
killed has made its step or not. Beside one that is stopped, another child reads, writes, removes and collects; when
the first goes on, its step must be made, and nothing may be lost.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

from sqlitedict_kv import KVError, Store, StoreBusyError
from tests.faults.campaign import Campaign, Round
from tests.faults.power_cuts import hasten
from tests.faults.syscalls import SIGNALLED, arm, disarm, lines_of, watched
from tests.faults.value_files.sabotage import break_files, choose_way, hasten_files
from tests.faults.value_files.values import (
    NAME,
    SIZES,
    WrongValueError,
    content_of,
    leftovers,
    names_in,
    open_store,
    size_in,
    value_of,
)
from tests.faults.workload import Key, Step, after, do, steps_of

HANG = 120.0  # seconds until a child that does not end is a failure
TIMEOUT = 60.0  # seconds that a call waits for others
BESIDE_TIMEOUT = 0.02  # likewise beside a process that is stopped, and may hold the lock
KEYS = 6
STEPS = 250  # of one store
CALLS = frozenset({"open", "write", "sync", "dirsync", "link", "rename", "unlink", "mkdir", "lock", "stat", "list"})
# Whose calls count. SQLite itself gives up on a process that is stopped while it opens or closes the log.
PATTERN = "*-values*"
PATTERNS = {"SIGKILL": ("*-values*", "*-values*", "*"), "SIGSTOP": ("*-values*", "*-values*", "*-wal")}
DISTANCES = (4, 12, 40, 120)  # calls, at most, until the signal
WEIGHTS = {"set": 30, "set_many": 8, "atomic": 12, "delete": 15, "clear": 3, "sync": 4, "vacuum": 6, "backup": 4}
OTHER = "beside"  # the namespace of whoever works beside a process that is stopped

Held = dict[Key, tuple[int, int]]


class BrokenPromiseError(Exception):
    """Says which promise did not hold."""


# -- in the process that forks


def work(path: str, seed: str, count: str, signal_name: str, sabotage: str) -> None:
    """Take steps in children that get a signal, and print what did not hold."""
    hasten()
    hasten_files()
    break_files(sabotage)
    trial = Trial(path, Random(int(seed)), signal_name, int(count))

    def take_steps() -> None:
        while trial.figures["tries"] < int(count):
            trial.take_a_step()

    _report(trial, take_steps)


def work_at_every_call(path: str, signal_name: str, way: str, durability: str) -> None:
    """Take each kind of step until no call is left that did not get the signal, and print what did not hold."""
    hasten()
    hasten_files()
    trial = Trial(path, Random(1), signal_name, 0)
    trial.collects = 1.0

    def take_steps() -> None:
        numbers = itertools.count(1)
        for verb in ("set", "vacuum", "backup"):
            for number in itertools.count(1):
                step: Step = ("set", [("a", "k0", next(numbers), 120_000)])
                if verb != "set":
                    trial.attempt(step, 0, PATTERN, durability, way)
                    step = (verb, step[1])
                if not trial.attempt(step, number, PATTERN, durability, way):
                    trial.figures[verb] = number - 1
                    break

    _report(trial, take_steps)


def _report(trial: Trial, take_steps: Callable[[], None]) -> None:
    try:
        take_steps()
    except BrokenPromiseError as problem:
        _say({"problem": f"{trial.doing}: {problem}"})
    finally:
        trial.end()
    _say({"figures": trial.figures})


def _say(line: object) -> None:
    os.write(1, f"{json.dumps(line)}\n".encode())


class Trial:
    """One store, its content, and the steps that are taken."""

    def __init__(self, path: str, random: Random, signal_name: str, count: int) -> None:
        self.doing = "opening"
        self.figures: Counter[str] = Counter({"tries": 0})
        self.collects = 0.25  # how often, of the looks
        self._path = path
        self._random = random
        self._signal = signal.Signals[signal_name]
        self._content: Held = {}
        self._steps = iter(steps_of(random.randrange(2**30), 20 * count + STEPS, WEIGHTS, SIZES, KEYS))
        self._children: set[int] = set()
        open_store(path).close()

    def take_a_step(self) -> None:
        """Take one step in a child that gets the signal on the way, if it gets that far."""
        step = next(self._steps)
        choose = self._random
        number = choose.randint(1, choose.choice(DISTANCES))
        pattern = choose.choice(PATTERNS[self._signal.name])
        durability = choose.choice(("process", "power"))
        way = choose.choice(("nameless", "renamed"))
        self.attempt(step, number, pattern, durability, way)

    def attempt(self, step: Step, number: int, pattern: str, durability: str, way: str) -> bool:
        """Take a step in a child that gets the signal before a call, 0 is none; return whether it got that far."""
        self.doing = f"{self._signal.name} before call {number} on {pattern} in {step[0]}, {durability}, {way}"

        def child() -> None:
            choose_way(way)
            arm(CALLS, number, SIGNALLED + self._signal, frozenset(), pattern)
            with open_store(self._path, durability=durability, timeout=TIMEOUT) as store:
                _take(store, step, self._path)
            disarm()

        if step[0] == "backup":
            _remove_copy(self._path)
        pid = self._fork(child)
        _, status = self._wait(pid, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            self._go_on_beside(pid, step)
        elif os.WIFSIGNALED(status):
            self.figures["tries"] += 1
            self._look(step, must_be_made=False)
        else:
            self._expect_success(status)
            self._look(step, must_be_made=True)
            return False
        return True

    def _go_on_beside(self, pid: int, step: Step) -> None:
        self.figures["tries"] += 1
        beside = self._fork(lambda: _work_beside(self._path, self._content, step, self._random.random()))
        self._expect_success(self._wait(beside, 0)[1])
        os.kill(pid, signal.SIGCONT)
        self._expect_success(self._wait(pid, 0)[1])
        self._look(step, must_be_made=True)

    def _look(self, step: Step, *, must_be_made: bool) -> None:
        """Raise BrokenPromiseError unless the store holds what it must."""
        collects = self._random.random() < self.collects
        made = dict(after(frozenset(self._content.items()), step))
        try:
            with open_store(self._path, timeout=TIMEOUT) as store:
                found = content_of(store)
                if collects:
                    store.vacuum()
                    if problems := store.check().problems:
                        raise BrokenPromiseError(f"check() says {problems}")
        except (KVError, WrongValueError) as error:
            raise BrokenPromiseError(f"a look afterwards raised {error!r}") from error
        mine = {key: held for key, held in found.items() if key[0] != OTHER}
        if mine != made and (must_be_made or mine != self._content):
            raise BrokenPromiseError(f"there is {_difference(mine, made)}")
        self.figures["steps that were made"] += mine == made
        self._content = mine
        if collects and (problem := leftovers(self._path)):
            raise BrokenPromiseError(f"when all was collected: {problem}")
        self.figures["looks at all files"] += collects

    # -- children

    def _fork(self, work: Callable[[], None]) -> int:
        child = os.fork()
        if child:
            self._children.add(child)
            return child
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            _say({"problem": f"{self.doing}: {traceback.format_exc()}"})
        finally:
            os._exit(code)

    def _wait(self, pid: int, options: int) -> tuple[int, int]:
        deadline = time.monotonic() + HANG
        while time.monotonic() < deadline:
            found, status = os.waitpid(pid, options | os.WNOHANG)
            if found:
                if not os.WIFSTOPPED(status):
                    self._children.discard(pid)
                return found, status
            time.sleep(0.001)
        raise BrokenPromiseError("a process hangs")

    def _expect_success(self, status: int) -> None:
        if status:
            raise BrokenPromiseError(f"a child ended with {os.waitstatus_to_exitcode(status)}")

    def end(self) -> None:
        """Leave no child behind."""
        for child in self._children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _take(store: Store, step: Step, path: str) -> None:
    if step[0] == "backup":
        store.backup(f"{path}.copy")
    else:
        do(store, step, value_of)


def _remove_copy(path: str) -> None:
    """Remove a backup, or what is left of one whose process was killed."""
    copy = Path(f"{path}.copy")
    for left in copy.parent.glob(f"{copy.name}*"):
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink()


def _work_beside(path: str, content: Held, step: Step, chance: float) -> None:
    """Read all, write, remove and collect beside a process that is stopped in the middle of a step."""
    with suppress(StoreBusyError), open_store(path, timeout=BESIDE_TIMEOUT) as store:
        if unwritten := [name for name in names_in(path) if NAME.fullmatch(name) and size_in(path, name) == 0]:
            raise BrokenPromiseError(f"beside a process that is stopped, {unwritten} have names and no content")
        found = {key: held for key, held in content_of(store).items() if key[0] != OTHER}
        if found != content and found != dict(after(frozenset(content.items()), step)):
            raise BrokenPromiseError(f"beside a process that is stopped there is {_difference(found, content)}")
        ns = store.ns(OTHER)
        for number in range(3):
            with suppress(StoreBusyError):
                ns[f"k{number}"] = value_of(number, 70_000 if chance < 0.5 else 100)
        with suppress(StoreBusyError):
            del ns["k1"]
        with suppress(StoreBusyError):
            store.vacuum()
        with suppress(StoreBusyError):
            if problems := store.check().problems:
                raise BrokenPromiseError(f"beside a process that is stopped, check() says {problems}")


def _difference(found: Held, expected: Held) -> str:
    more = {key: held for key, held in found.items() if expected.get(key) != held}
    less = {key: held for key, held in expected.items() if found.get(key) != held}
    return f"{sorted(more.items())[:5]} instead of {sorted(less.items())[:5]}"


# -- in the process that judges


def run(round_: Round, signal_name: str) -> None:
    """Work on one store after the other."""
    random = Random(round_.seed)
    number = 0
    while (left := round_.size - round_.figures[round_.campaign.unit]) > 0:
        number += 1
        directory = round_.directory / str(number)
        directory.mkdir()
        code = "from tests.faults.value_files.each_call import work; work(*sys.argv[1:]); say('end')"
        arguments = (directory / "store.db", random.randrange(2**30), min(STEPS, left), signal_name, round_.sabotage)
        with watched(code, *arguments, directory=directory) as worker:
            lines = [json.loads(line) for line in lines_of(worker)]
        for line in lines:
            if "problem" in line:
                round_.fail(line["problem"])
        for what, count in lines[-1]["figures"].items():
            round_.count(round_.campaign.unit if what == "tries" else what, count)
        shutil.rmtree(directory)


def run_kills(round_: Round) -> None:
    """Kill processes at their calls."""
    run(round_, "SIGKILL")


def run_stops(round_: Round) -> None:
    """Stop processes at their calls, while others work."""
    run(round_, "SIGSTOP")


CAMPAIGNS = (
    Campaign(
        name="files-killed-at-a-call",
        promise="A process that is killed before any call on a large value's file has made its step or not; nothing "
        "else is lost, and what is left behind is collected",
        unit="kills",
        run=run_kills,
        ci=60,
        nightly=5_000,
        release=50_000,
        twins=("published before it is written", "removed before the commit"),
        twin=200,
    ),
    Campaign(
        name="files-stopped-at-a-call",
        promise="A process that is stopped before any call on a large value's file, and goes on after others have "
        "removed and collected, has lost nothing",
        unit="stops",
        run=run_stops,
        ci=30,
        nightly=2_000,
        release=50_000,
        twins=("collected without the lock",),
        twin=400,
    ),
)
