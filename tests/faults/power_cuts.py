"""Power cuts: a store works and is recorded, and what a disk may have kept of it at any moment is opened.

The state of the store after each transaction is known, so what is found must be one of these states: not older than
what was promised, not newer than what was asked for, and with no hole.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from threading import Thread
from typing import Any

from sqlitedict_kv import KVError, OpenError, Store, StoreIOError, StoreNotFoundError
from sqlitedict_kv.engines.sqlite import checkpoint, database, opening
from tests.faults.campaign import Campaign, Round
from tests.faults.disk import Disk, Found, lay_out
from tests.faults.syscalls import Event, arm, fired, lines_of, note, read_trace, watched
from tests.faults.workload import NAMESPACES, SIZES, Content, Key, Step, content_of, do, states_of, steps_of, value_of

CHECKPOINT_PAGES = 20
LOG_BYTES = 60_000  # that are kept of an empty log
STATES = 250  # of a record
UNHEARD = ("reopen", "backup")  # SQLite hides what fails while it closes; a bad copy is no reason to stop
YOUNG = 30  # transactions until which a lost schema is looked for

END = Event("note", False, 0, 0, "end", b"")  # of a record


# -- what is done to the store


def work_alone(path: str, durability: str, seed: str, count: str, sabotage: str, failing: str) -> None:
    """Take every step of one writer, or until the sync of that number has failed; 0 is none."""
    hasten()
    break_store(sabotage)
    store = Store(path, durability=durability)
    note("open")
    if int(failing):
        arm({"sync"}, int(failing), errno.EIO, set())
    for number, step in enumerate(steps_of(int(seed), int(count)), 1):
        note(f"begin {number}")
        try:
            store = _take(store, step, path, durability)
        except StoreIOError:
            if not fired():
                raise
        else:
            note(f"ack {number}")
        if fired():
            if step[0] not in UNHEARD:
                note("went on" if is_at_work(store) else "stopped")
            return
    store.close()


def _take(store: Store, step: Step, path: str, durability: str) -> Store:
    """Take a step and return the store to go on with."""
    verb, ((_, _, number, _), *_) = step
    if verb == "reopen":
        store.close()
        return store if fired() else Store(path, durability=durability)
    if verb == "backup":
        with suppress(OpenError):
            store.backup(f"{os.path.dirname(path)}/backup-{number}.db")
            note(f"copied {number}")
    elif verb == "sync":
        sync(store, str(number))
    else:
        do(store, step)
    return store


def is_at_work(store: Store) -> bool:
    """Return whether a store still takes a call."""
    answers = 0
    for call in (lambda: store.ns("a").get("k1"), lambda: store.ns("a").set("k1", 1), store.sync, store.stats):
        try:
            call()
        except StoreIOError:
            continue
        except KVError:  # of the call itself
            pass
        answers += 1
    return bool(answers)


def work_with_others(path: str, durability: str, writers: str, count: str, sabotage: str) -> None:
    """Make transactions that say their place in the order of all, in one thread per writer."""
    hasten()
    break_store(sabotage)
    with Store(path, durability=durability) as store:
        note("open")
        threads = [Thread(target=_write, args=(store, int(writer), int(count))) for writer in writers.split(",")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _write(store: Store, writer: int, count: int) -> None:
    for number in range(1, count + 1):
        name = writer * 10_000 + number
        note(f"begin {name}")
        with store.atomic() as transaction:
            transaction.ns("order")["last"] = value_of(name, 0)
            for namespace, key, length in shared_writes(name):
                transaction.ns(namespace)[key] = value_of(name, length)
        note(f"ack {name} {transaction.versions['order', 'last']}")
        if number % 10 == 0:
            sync(store, str(name))


def sync(store: Store, name: str) -> None:
    """Sync, and note between which calls."""
    note(f"sync {name}")
    store.sync()
    note(f"synced {name}")


def shared_writes(name: int) -> list[tuple[str, str, int]]:
    """Return namespace, key and length of what the transaction of that name writes."""
    random = Random(name)
    return [
        (random.choice(NAMESPACES), f"k{key}", random.choice(SIZES))
        for key in random.sample(range(20), random.randint(1, 4))
    ]


def hasten() -> None:
    """Let a short record have many checkpoints, and logs that are cut to size."""
    checkpoint.BACKLOG_PAGES = CHECKPOINT_PAGES
    kept = str(opening.WAL_KEPT_BYTES)
    opening.PRAGMAS = tuple(pragma.replace(kept, str(LOG_BYTES)) for pragma in opening.PRAGMAS)


def break_store(sabotage: str) -> None:
    """Break the store of this process in one way, or not at all."""
    match sabotage:
        case "synchronous=OFF":
            opening.SYNCHRONOUS = dict.fromkeys(opening.SYNCHRONOUS, "PRAGMA synchronous = OFF")
        case "the schema is not synced":
            whole = opening.Opener._migrate

            def migrate(self, raw):
                kept, opening.SYNCHRONOUS = opening.SYNCHRONOUS, {"power": opening.SYNCHRONOUS["process"]}
                try:
                    whole(self, raw)
                finally:
                    opening.SYNCHRONOUS = kept

            opening.Opener._migrate = migrate
        case "sync() does nothing":
            Store.sync = lambda self: None
        case "goes on after a failed sync":
            database.stops = lambda error: False


# -- records


@dataclass
class Record:
    """What was recorded, and the states that the store went through."""

    events: list[Event]
    states: list[Content]
    places: dict[int, int]  # of transactions, in the order of their commits

    def __post_init__(self) -> None:
        """Index the states."""
        self.found_at: dict[Content, list[int]] = {}
        for place, state in enumerate(self.states):
            self.found_at.setdefault(state, []).append(place)


def record_one(round_: Round, seed: int, count: int, durability: str, failing: int = 0) -> Record:
    """Record one process; the sync of the number *failing* fails."""
    directory = round_.directory / f"alone-{seed}"
    directory.mkdir()
    trace = directory.with_suffix(".trace")
    code = "from tests.faults.power_cuts import work_alone; work_alone(*sys.argv[1:]); say('end')"
    arguments = (directory / "store.db", durability, seed, count, round_.sabotage, failing)
    with watched(code, *arguments, directory=directory, trace=trace) as worker:
        lines_of(worker)
    record = Record(list(read_trace(trace)), states_of(steps_of(seed, count)), {n: n for n in range(1, count + 1)})
    return _tidied(record, directory, trace)


def record_many(round_: Round, seed: int, count: int, durability: str) -> Record:
    """Record three processes, one of them with two threads."""
    directory = round_.directory / f"together-{seed}"
    directory.mkdir()
    trace = directory.with_suffix(".trace")
    code = "from tests.faults.power_cuts import work_with_others; work_with_others(*sys.argv[1:]); say('end')"
    first = seed % 1000 * 10
    workers = [
        watched(
            code, directory / "store.db", durability, writers, count, round_.sabotage, directory=directory, trace=trace
        )
        for writers in (f"{first + 1},{first + 2}", f"{first + 3}", f"{first + 4}")
    ]
    for worker in workers:
        with worker:
            lines_of(worker)
    events = list(read_trace(trace))
    acks = [event.text.split() for event in events if event.text.startswith("ack ")]
    places = {int(name): int(place) for _, name, place in acks}
    order = sorted(places, key=places.__getitem__)
    if sorted(places.values()) != list(range(1, len(order) + 1)):
        round_.fail("processes that wrote one after the other gave one version twice")
    now: dict[Key, tuple[int, int]] = {}
    states = [frozenset(now.items())]
    for name in order:
        now["order", "last"] = (name, 0)
        now |= {(namespace, key): (name, length) for namespace, key, length in shared_writes(name)}
        states.append(frozenset(now.items()))
    return _tidied(Record(events, states, places), directory, trace)


def _tidied(record: Record, directory: Path, trace: Path) -> Record:
    shutil.rmtree(directory)
    trace.unlink()
    return record


# -- power cuts


@dataclass
class Promise:
    """What must be found if the power goes now."""

    durability: str
    opened: bool = False  # whether a store was handed out, so that there must be a schema
    acknowledged: int = 0  # the place of the last transaction of which all before are acknowledged too
    durable: int = 0  # the place of the last one that must be there
    begun: set[int] = field(default_factory=set)
    copies: dict[str, int] = field(default_factory=dict)  # names of backups, and the place from which they may be
    _synced_from: dict[str, int] = field(default_factory=dict)  # by the name of the call

    def __contains__(self, place: int) -> bool:
        """Whether all transactions up to a place had begun."""
        return place <= len(self.begun)

    def hear(self, event: Event, places: dict[int, int]) -> None:
        """Go on to what holds after a note."""
        word, *numbers = event.text.split()
        match word:
            case "open":
                self.opened = True
            case "begin":
                self.begun.add(places[int(numbers[0])])
            case "ack":
                self.acknowledged = max(self.acknowledged, places[int(numbers[0])])
                if self.durability == "power":
                    self.durable = self.acknowledged
            case "sync":
                self._synced_from[numbers[0]] = self.acknowledged
            case "synced":
                self.durable = max(self.durable, self._synced_from[numbers[0]])
            case "copied":
                self.copies[f"backup-{numbers[0]}.db"] = self.acknowledged


@contextmanager
def fast_directory() -> Iterator[Path]:
    """Give a directory in memory where there is one, for states that live a millisecond."""
    memory = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        yield Path(name)


def judge(round_: Round, files: Found, record: Record, promise: Promise, directory: Path) -> None:
    """Open what is left and raise FaultError unless it is what was promised."""
    lay_out(files, directory)
    allowed = [place for place in record.found_at.get(_found(round_, promise, directory), ()) if place in promise]
    if not allowed:
        round_.fail("what is left was never the state of the store: a hole, or half a transaction")
    if allowed[-1] < promise.durable:
        round_.fail(f"{promise.durable - allowed[-1]} transactions that must survive were lost")
    if allowed[-1] < promise.acknowledged:
        round_.count("states with a lost suffix")
        lost = promise.acknowledged - allowed[-1]
        round_.figures["longest lost suffix"] = max(round_.figures["longest lost suffix"], lost)
    if missing := set(promise.copies) - set(files):
        round_.fail(f"{sorted(missing)} are gone: backups that were whole")
    for name in sorted(promise.copies):
        _judge_copy(round_, directory / name, record, promise)


def _found(round_: Round, promise: Promise, directory: Path) -> Content:
    path = directory / "store.db"
    try:
        if promise.opened and promise.acknowledged < YOUNG:
            Store(path, readonly=True).close()
        with Store(path) as store:
            found = content_of(store)
            report = store.check()
            store.ns("later")["k"] = [0, ""]
    except StoreNotFoundError as error:
        round_.fail(f"the schema of a young file is gone: {error}")
    except KVError as error:
        round_.fail(f"corrupt: {error!r}")
    if not report.ok:
        round_.fail(f"corrupt: {report.problems}")
    return found


def _judge_copy(round_: Round, path: Path, record: Record, promise: Promise) -> None:
    try:
        with Store(path, readonly=True) as store:
            found = content_of(store)
    except KVError as error:
        round_.fail(f"a backup is damaged: {error!r}")
    if not any(place >= promise.copies[path.name] for place in record.found_at.get(found, ())):
        round_.fail("a backup is not what the store was")
    round_.count("backups read")


def cut(
    round_: Round, record: Any, states: int, random: Random, durability: str, judge_files: Judge, first: int = 0
) -> None:
    """Cut the power at random moments of a record, from its event *first* on, and judge what is left each time."""
    disk = Disk(random, lies=round_.sabotage == "a disk that lies")
    promise = Promise(durability)
    moments = sorted(random.randrange(first, len(record.events) + 1) for _ in range(states))
    for number, event in enumerate([*record.events, END]):
        while moments and moments[0] == number:
            moments.pop(0)
            judge_files(disk.after(random), record, promise)
            round_.count("crash states")
        if event.kind == "note":
            promise.hear(event, record.places)
        else:
            disk.apply(event)


Judge = Callable[[Any, Any, Promise], None]  # of what is on the disk, the record, and what was promised


def run_records(
    round_: Round, durability: str, make_record: Callable[[int, int], Any], judge_in: Callable[[Path, Random], Judge]
) -> None:
    """Cut the power in records until there are enough crash states.

    Args:
        round_: says how many.
        durability: of the stores.
        make_record: takes the number of a record and a seed.
        judge_in: takes a directory to lay files out in, and returns what judges them.
    """
    random = Random(round_.seed)
    left = round_.size
    number = 0
    with fast_directory() as directory:
        while left:
            seed = random.randrange(2**30)
            states = min(left, STATES)
            record = make_record(number, seed)
            round_.count("records")
            round_.count("calls recorded", sum(event.kind != "note" for event in record.events))
            cut(round_, record, states, random, durability, judge_in(directory, random))
            left -= states
            number += 1


def run(round_: Round, durability: str) -> None:
    """Make records of one and of many processes, and cut the power in each of them."""

    def make_record(number: int, seed: int) -> Record:
        if number % 2:
            return record_many(round_, seed, 40, durability)
        return record_one(round_, seed, 15 if number % 4 == 0 else 200, durability)

    run_records(round_, durability, make_record, lambda directory, _: judge_in(round_, directory))


def judge_in(round_: Round, directory: Path) -> Judge:
    """Return what judges the files of a crash, laid out in a directory."""
    return lambda files, record, promise: judge(round_, files, record, promise, directory)


def run_failed_syncs(round_: Round) -> None:
    """Fail one sync, which loses for ever what it was to make safe, and cut the power afterwards."""
    random = Random(round_.seed)
    left = round_.size
    with fast_directory() as directory:
        while left:
            durability = random.choice(("power", "process"))
            record = record_one(round_, random.randrange(2**30), 120, durability, random.randint(1, 40))
            words = [event.text for event in record.events if event.kind == "note"]
            if "went on" in words:
                round_.fail("a store took another call after a sync had failed")
            round_.count("records")
            round_.count("stores that stopped", "stopped" in words)
            states = min(left, STATES // 5)
            failed = next((number for number, event in enumerate(record.events) if event.failed), 0)
            cut(round_, record, states, random, durability, judge_in(round_, directory), failed)
            left -= states


def run_power(round_: Round) -> None:
    """Cut the power of stores that promise to lose nothing."""
    run(round_, "power")


def run_process(round_: Round) -> None:
    """Cut the power of stores that may lose the last transactions."""
    run(round_, "process")


CAMPAIGNS = (
    Campaign(
        name="power-cuts-power",
        promise='With durability="power" a power cut loses nothing that was acknowledged, and damages nothing.',
        unit="crash states",
        run=run_power,
        ci=1_500,
        nightly=25_000,
        release=100_000,
        twins=("synchronous=OFF", "a disk that lies"),
        twin=500,
    ),
    Campaign(
        name="power-cuts-process",
        promise=(
            'With durability="process" a power cut damages nothing and loses at most the last transactions, in order; '
            "never the tables of a young file, nor what was acknowledged before sync()."
        ),
        unit="crash states",
        run=run_process,
        ci=1_500,
        nightly=25_000,
        release=100_000,
        twins=("synchronous=OFF", "a disk that lies", "the schema is not synced", "sync() does nothing"),
        twin=500,
    ),
    Campaign(
        name="failed-syncs",
        promise=(
            "After a sync that failed the store takes no more calls, and a power cut that follows does no more harm "
            "than any other, though the system has dropped what it did not write."
        ),
        unit="crash states",
        run=run_failed_syncs,
        ci=500,
        nightly=10_000,
        release=50_000,
        twins=("goes on after a failed sync",),
        twin=250,
    ),
)
