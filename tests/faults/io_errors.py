"""I/O errors: one call to the operating system fails, once or from then on, while a store is opened and used.

Whatever fails, the caller gets an error of the library, nothing is half done, and afterwards the file is whole, opens
again and holds what was acknowledged.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random

from sqlitedict_kv import KVError, Store, StoreBusyError, StoreFullError, StoreIOError
from sqlitedict_kv.engines.sqlite import SQLiteEngine, database
from tests.faults.campaign import Campaign, Round
from tests.faults.power_cuts import hasten, is_at_work
from tests.faults.syscalls import EVERYTHING, HALF, arm, calls, disarm, fired, lines_of, watched
from tests.faults.workload import WEIGHTS, Content, Step, after, content_of, do, states_of, steps_of

STEPS = 10  # of an injection
OLD_STEPS = 30  # that the file has behind it
INJECTIONS = 500  # of a process: a store that stops keeps its descriptors until the end
TIMEOUT = 0.02  # seconds to wait for a lock that never comes

# What fails, and as what.
FAULTS = (
    ("read", errno.EIO),
    ("write", errno.EIO),
    ("write", errno.ENOSPC),
    ("write", HALF * errno.EIO),
    ("write", HALF * errno.ENOSPC),
    ("write", errno.EDQUOT),
    ("sync", errno.EIO),
    ("sync", errno.ENOSPC),
    ("dirsync", errno.EIO),
    ("truncate", errno.EIO),
    ("truncate", errno.ENOSPC),
    ("map", errno.ENOMEM),
    ("lock", errno.EIO),
    ("lock", errno.ENOLCK),
    ("lock", errno.EAGAIN),
    ("open", errno.EIO),
    ("open", errno.EMFILE),
    ("open", errno.EACCES),
    ("unlink", errno.EIO),
    ("stat", errno.EIO),
    ("rename", errno.EIO),
)
STARTS = ("new", "closed", "killed")  # no file; a closed one; one whose log was left by a process that was killed
DEAD = EVERYTHING - {"lock", "map"}  # what fails on a disk that is gone
OFTEN = WEIGHTS | {"sync": 8, "vacuum": 4, "reopen": 6, "backup": 4, "clear": 5, "read": 15, "check": 3, "stats": 3}


class BrokenPromiseError(Exception):
    """Says which promise did not hold."""


def break_store(sabotage: str) -> None:
    """Break the store of this process in one way, or not at all."""
    match sabotage:
        case "goes on after an I/O error":
            database.stops = lambda error: False
        case "no transaction":
            database.in_transaction = lambda cursor, work: work(cursor)
        case "a failed write is acknowledged":
            whole = SQLiteEngine.put

            def put(self, *arguments):
                try:
                    return whole(self, *arguments)
                except (StoreIOError, StoreFullError):
                    return 1

            SQLiteEngine.put = put


# -- in the process whose calls fail


def work(directory: str, seed: str, count: str, sabotage: str) -> None:
    """Inject a number of faults, print the problems, and what each file must hold."""
    import resource  # not everywhere, as the recorder of calls

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    hasten()
    random = Random(int(seed))
    templates = Templates(Path(directory) / "templates")
    break_store(sabotage)
    counts: dict[object, dict[str, int]] = {}
    for number in range(int(count)):
        injection = Injection(random, Path(directory) / str(number), templates)
        try:
            injection.run(counts)
        except BrokenPromiseError as problem:
            say(json.dumps({"problem": f"{injection}: {problem}"}))
        finally:
            disarm()
        say(json.dumps({"directory": str(number), "allowed": [sorted(state) for state in injection.allowed]}))
        say(json.dumps({"figures": injection.figures}))


def say(line: str) -> None:
    """Tell the process that judges."""
    os.write(1, f"{line}\n".encode())


class Templates:
    """Files with which an injection begins, and their content."""

    def __init__(self, directory: Path) -> None:
        """Make them."""
        directory.mkdir()
        steps = steps_of(1, OLD_STEPS, {"set": 1, "atomic": 1, "delete": 1})
        self.content = states_of(steps)[-1]
        path = directory / "store.db"
        with Store(path) as store:
            for step in steps[:20]:
                do(store, step)
        self.closed = {"store.db": path.read_bytes()}
        with Store(path) as store:
            for step in steps[20:]:
                do(store, step)
            # A copy, whose descriptors are closed while no connection of ours writes.
            self.killed = {name: (directory / name).read_bytes() for name in ("store.db", "store.db-wal")}
        self.closed = {"store.db": path.read_bytes()}

    def begin(self, start: str, directory: Path) -> Content:
        """Fill a directory and return the content of its store."""
        files = {"new": {}, "closed": self.closed, "killed": self.killed}[start]
        for name, content in files.items():
            (directory / name).write_bytes(content)
        return self.content if files else frozenset()


class Injection:
    """One fault in the middle of a few steps."""

    def __init__(self, random: Random, directory: Path, templates: Templates) -> None:
        """Choose what fails."""
        self._random = random
        self._directory = directory
        self._path = directory / "store.db"
        self._templates = templates
        self.start = random.choice(STARTS)
        self.durability = random.choice(("process", "power"))
        self.operation, self.code = random.choice(FAULTS)
        self.lasts = random.choice(("once", "for ever", "the disk is gone"))
        if self.operation == "lock":  # for ever it is no error to SQLite but somebody else, for whom it waits 10 s
            self.lasts = "once"
        self.opening = random.random() < 0.4  # whether the fault may come while the store is opened
        self.seed = random.randrange(12)  # few, so that their calls are counted once
        self.steps = [
            (verb, [(ns, key, number + 1000, size) for ns, key, number, size in writes])
            for verb, writes in steps_of(self.seed, STEPS, OFTEN)
        ]
        self.number = 0
        self.allowed: list[Content] = []
        self.figures: Counter[str] = Counter()

    def __str__(self) -> str:
        """Say what failed."""
        return (
            f"call {self.number} to {self.operation} with {self.code}, {self.lasts}, from {self.start}, "
            f"{'opening, ' if self.opening else ''}{self.durability}, steps {self.seed}"
        )

    def run(self, counts: dict[object, dict[str, int]]) -> None:
        """Use a store, one call of which fails, and raise BrokenPromiseError if it does not cope."""
        kind = (self.start, self.durability, self.opening, self.seed)
        if kind not in counts:
            self._directory.mkdir()
            self.allowed = [self._templates.begin(self.start, self._directory)]
            self._use()
            counts[kind] = calls()
            disarm()
            shutil.rmtree(self._directory)
        # Such a call may never be made there: then nothing fails, and nothing is counted.
        self.number = self._random.randint(1, max(1, counts[kind][self.operation]))
        self._directory.mkdir()
        self.allowed = [self._templates.begin(self.start, self._directory)]
        self._use()
        if fired():
            self.figures["injections"] += 1
            self.figures[f"{self.operation} failed"] += 1
        disarm()
        if self._random.random() < 0.5:
            self._reopen()

    def _arm(self) -> None:
        later = {"once": frozenset(), "for ever": {self.operation}, "the disk is gone": DEAD}[self.lasts]
        arm({self.operation}, self.number, self.code, later)

    def _open(self) -> Store:
        return Store(self._path, durability=self.durability, timeout=TIMEOUT)

    def _use(self) -> None:
        store = None
        if self.opening:
            self._arm()
        try:
            store = self._open()
        except KVError as error:
            self._expect_fault(error)
            return
        except Exception as error:
            raise BrokenPromiseError(f"opening raised {error!r}") from error
        if not self.opening:
            self._arm()
        try:
            for step in self.steps:
                store = self._take(store, step)
                if store is None:
                    return
        finally:
            if store is not None:
                store.close()

    def _take(self, store: Store, step: Step) -> Store | None:
        """Take one step; return the store, or None if there is none to go on with."""
        verb = step[0]
        failed_before = fired()
        try:
            store = self._do(store, step)
        except KVError as error:
            self._expect_fault(error)
            self.figures[f"raised {type(error).__name__}"] += 1
            if not isinstance(error, StoreFullError | StoreBusyError):  # these say that nothing was written
                self.allowed += [after(state, step) for state in self.allowed]
            # What is opened again was closed before; of a closed store each call says so.
            if isinstance(error, StoreIOError) and verb != "reopen" and is_at_work(store):
                raise BrokenPromiseError(f"after {error!r} of {verb} the store took another call") from error
            if verb == "reopen":
                return None
        except BrokenPromiseError:
            raise
        except Exception as error:
            raise BrokenPromiseError(f"{verb} raised {error!r}") from error
        else:
            self.allowed = [after(state, step) for state in self.allowed]
        unheard = verb in ("reopen", "backup")
        if self.operation == "sync" and fired() > failed_before and not unheard and is_at_work(store):
            raise BrokenPromiseError(f"after a failed sync in {verb} the store took another call")
        self.allowed = list(dict.fromkeys(self.allowed))
        return store

    def _do(self, store: Store, step: Step) -> Store:
        verb, ((_, _, number, _), *_) = step
        match verb:
            case "reopen":
                store.close()
                return self._open()
            case "backup":
                copy = self._directory / f"backup-{number}.db"
                store.backup(copy)
                self._read_copy(copy)
            case "read":
                self._compare(content_of(store), "a reader")
            case "check":
                report = store.check()
                if not report.ok and not self._reads_fail():
                    raise BrokenPromiseError(f"check() says {report.problems}")
            case "stats":
                store.stats()
            case _:
                do(store, step)
        return store

    def _reads_fail(self) -> bool:
        """Whether a read may have failed, which SQLite reports as damage if the system says EIO."""
        return fired() > 0 and (self.operation == "read" or self.lasts == "the disk is gone")

    def _read_copy(self, copy: Path) -> None:
        """Look into a copy that is said to be whole, unless the fault hits that look."""
        with suppress(KVError), Store(copy, readonly=True) as store:
            self._compare(content_of(store), "a backup")

    def _compare(self, found: Content, who: str) -> None:
        """Raise BrokenPromiseError unless what is found is allowed.

        It settles nothing: a commit that failed at its sync lies in the log, unseen by those who share its index, until
        the next write takes its place or the next recovery finds it.
        """
        if found not in self.allowed:
            raise BrokenPromiseError(f"{who} found {difference(found, self.allowed[0])}")

    def _expect_fault(self, error: KVError) -> None:
        if not fired():
            raise BrokenPromiseError(f"nothing had failed, and yet {error!r}") from error

    def _reopen(self) -> None:
        try:
            with self._open() as store:
                self._compare(content_of(store), "a reader")
                report = store.check()
                store.ns("a")["k1"] = [0, ""]
                self.allowed = [content_of(store)]
        except Exception as error:
            if isinstance(error, BrokenPromiseError):
                raise
            raise BrokenPromiseError(f"opening it again raised {error!r}") from error
        if not report.ok:
            raise BrokenPromiseError(f"damaged afterwards: {report.problems}")


def difference(found: Content, expected: Content) -> str:
    """Say in what a content is not the expected one."""
    return f"{sorted(found - expected)[:5]} instead of {sorted(expected - found)[:5]}"


# -- in the process that judges


def run(round_: Round) -> None:
    """Inject faults in processes of their own, and open every file afterwards in another one."""
    random = Random(round_.seed)
    while (left := round_.size - round_.figures["injections"]) > 0:
        directory = round_.directory / "injections"
        directory.mkdir()
        code = "from tests.faults.io_errors import work; work(*sys.argv[1:]); say('end')"
        # Not every fault that is planned happens.
        arguments = (directory, random.randrange(2**30), min(INJECTIONS, left + left // 4 + 10), round_.sabotage)
        with watched(code, *arguments, directory=directory) as worker:
            lines = [json.loads(line) for line in lines_of(worker)]
        for line in lines:
            if "problem" in line:
                round_.fail(line["problem"])
            if "directory" in line:
                _judge(round_, directory / line["directory"], line["allowed"])
            for what, number in line.get("figures", {}).items():
                round_.count(what, number)
        shutil.rmtree(directory)


def _judge(round_: Round, directory: Path, allowed: list[list[list[list[object]]]]) -> None:
    states = [frozenset(((ns, key), (number, length)) for (ns, key), (number, length) in state) for state in allowed]
    try:
        with Store(directory / "store.db") as store:
            found, report = content_of(store), store.check()
    except KVError as error:
        round_.fail(f"a file cannot be opened after an I/O error: {error!r}")
    if not report.ok:
        round_.fail(f"damaged after an I/O error: {report.problems}")
    if found not in states:
        round_.fail(f"after an I/O error there was {difference(found, states[0])}")
    round_.count("files opened again")


CAMPAIGN = Campaign(
    name="io-errors",
    promise=(
        "A call to the operating system that fails, once or for ever, is an error of the library's own: nothing is "
        "half done, the store stops when it must, and the file opens again with all that was acknowledged."
    ),
    unit="injections",
    run=run,
    ci=800,
    nightly=20_000,
    release=50_000,
    twins=("goes on after an I/O error", "no transaction", "a failed write is acknowledged"),
    twin=100,
)
