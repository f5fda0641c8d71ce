"""Power cuts of stores whose large values are in files.

With durability "power" a row is there only with its whole file. With "process" the same holds for all that is older
than the last sync; a younger value may raise. No read ever gives a value that was not written.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from threading import Thread

from sqlitedict_kv import KVError, OpenError, Store, StoreNotFoundError
from tests.faults.campaign import Campaign, Round
from tests.faults.disk import Found, lay_out
from tests.faults.power_cuts import YOUNG, Judge, Promise, hasten, run_records, sync
from tests.faults.syscalls import Event, lines_of, note, read_trace, watched
from tests.faults.value_files.sabotage import break_files, hasten_files
from tests.faults.value_files.values import (
    DAMAGED,
    SIZES,
    WrongValueError,
    content_of,
    is_in_file,
    leftovers,
    open_store,
    value_of,
)
from tests.faults.workload import NAMESPACES, Key, Step, do, states_of, steps_of

KEYS = 6  # of a namespace
SHORT, LONG = 12, 60  # steps of a record
SHARED = 12  # transactions of one of the threads that write together
WEIGHTS = {
    "set": 40,
    "set_many": 6,
    "atomic": 15,
    "delete": 12,
    "clear": 2,
    "sync": 6,
    "vacuum": 2,
    "reopen": 3,
    "backup": 3,
}

State = dict[Key, tuple[int, int]]


# -- what is done to the store


def work_alone(path: str, durability: str, seed: str, count: str, sabotage: str) -> None:
    """Take every step of one writer."""
    _begin(sabotage)
    store = open_store(path, durability=durability)
    note("open")
    for number, step in enumerate(_steps(int(seed), int(count)), 1):
        note(f"begin {number}")
        store = _take(store, step, path, durability)
        note(f"ack {number}")
    store.close()


def _begin(sabotage: str) -> None:
    hasten()
    hasten_files()
    break_files(sabotage)


def _steps(seed: int, count: int) -> list[Step]:
    return steps_of(seed, count, WEIGHTS, SIZES, KEYS)


def _take(store: Store, step: Step, path: str, durability: str) -> Store:
    verb, ((_, _, number, _), *_) = step
    if verb == "reopen":
        store.close()
        return open_store(path, durability=durability)
    if verb == "backup":
        with suppress(OpenError):
            store.backup(f"{os.path.dirname(path)}/backup-{number}.db")
            note(f"copied {number}")
    elif verb == "sync":
        sync(store, str(number))
    else:
        do(store, step, value_of)
    return store


def work_with_others(path: str, durability: str, writers: str, count: str, sabotage: str) -> None:
    """Make transactions that say their place in the order of all, in one thread per writer."""
    _begin(sabotage)
    with open_store(path, durability=durability) as store:
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
            transaction.ns("order")["last"] = value_of(name, SIZES[0])
            for namespace, key, length in _shared_writes(name):
                transaction.ns(namespace)[key] = value_of(name, length)
        note(f"ack {name} {transaction.versions['order', 'last']}")
        if number % 5 == 0:
            sync(store, str(name))


def _shared_writes(name: int) -> list[tuple[str, str, int]]:
    random = Random(name)
    return [
        (random.choice(NAMESPACES), f"k{key}", random.choice(SIZES))
        for key in random.sample(range(KEYS), random.randint(1, 3))
    ]


# -- records


@dataclass
class Record:
    """What was recorded, and the states that the store went through."""

    events: list[Event]
    states: list[State]
    places: dict[int, int]  # of transactions, in the order of their commits


def record_one(round_: Round, seed: int, count: int, durability: str) -> Record:
    """Record one process."""
    events = _recorded(round_, "work_alone", f"alone-{seed}", [(durability, seed, count)])
    states = [dict(state) for state in states_of(_steps(seed, count))]
    return Record(events, states, {number: number for number in range(1, count + 1)})


def record_many(round_: Round, seed: int, durability: str) -> Record:
    """Record three processes, one of them with two threads."""
    first = seed % 1000 * 10
    writers = (f"{first + 1},{first + 2}", f"{first + 3}", f"{first + 4}")
    events = _recorded(
        round_, "work_with_others", f"together-{seed}", [(durability, writer, SHARED) for writer in writers]
    )
    acks = [event.text.split() for event in events if event.kind == "note" and event.text.startswith("ack ")]
    places = {int(name): int(place) for _, name, place in acks}
    order = sorted(places, key=places.__getitem__)
    if sorted(places.values()) != list(range(1, len(order) + 1)):
        round_.fail("processes that wrote one after the other gave one version twice")
    states: list[State] = [{}]
    for name in order:
        written = {(namespace, key): (name, length) for namespace, key, length in _shared_writes(name)}
        states.append(states[-1] | {("order", "last"): (name, SIZES[0])} | written)
    return Record(events, states, places)


def _recorded(round_: Round, work: str, name: str, arguments: list[tuple[object, ...]]) -> list[Event]:
    directory = round_.directory / name
    directory.mkdir()
    trace = directory.with_suffix(".trace")
    code = f"from tests.faults.value_files.power_cuts import {work}; {work}(*sys.argv[1:]); say('end')"
    path = directory / "store.db"
    workers = [watched(code, path, *own, round_.sabotage, directory=directory, trace=trace) for own in arguments]
    for worker in workers:
        with worker:
            lines_of(worker)
    events = list(read_trace(trace))
    shutil.rmtree(directory)
    trace.unlink()
    return events


# -- power cuts


def judge(round_: Round, found: Found, record: Record, promise: Promise, directory: Path, *, thorough: bool) -> None:
    """Open what is left and raise FaultError unless it is what was promised."""
    lay_out(found, directory)
    path = directory / "store.db"
    try:
        if promise.opened and promise.acknowledged < YOUNG:
            Store(path, readonly=True).close()
        with open_store(path) as store:
            content = content_of(store)
            store.ns("later")["k"] = value_of(1, 70_000)
            if content_of(store).pop(("later", "k"), None) != (1, 70_000):
                round_.fail("a value that was written afterwards is not there")
            _judge_check(round_, store, content)
            if thorough:
                store.vacuum()
    except StoreNotFoundError as error:
        round_.fail(f"the schema of a young file is gone: {error}")
    except WrongValueError as error:
        round_.fail(f"a wrong value: {error}")
    except KVError as error:
        round_.fail(f"corrupt: {error!r}")
    if thorough and DAMAGED not in content.values() and (problem := leftovers(path)):
        round_.fail(f"after a power cut, when all was collected: {problem}")
    _judge_content(round_, content, record, promise)
    if missing := set(promise.copies) - set(found):
        round_.fail(f"{sorted(missing)} are gone: backups that were whole")
    for name in sorted(promise.copies):
        _judge_copy(round_, directory / name, record, promise)


def _judge_check(round_: Round, store: Store, content: State) -> None:
    damaged = sum(held == DAMAGED for held in content.values())
    report = store.check()
    if bool(damaged) == report.ok:
        round_.fail(f"{damaged} entries raise, and check() says {report.problems}")


def _judge_content(round_: Round, content: State, record: Record, promise: Promise) -> None:
    """Find the latest state that is what was found, apart from young values that raise."""
    content.pop(("later", "k"), None)
    damaged = {key for key, held in content.items() if held == DAMAGED}
    older = None
    for place in range(len(record.states) - 1, -1, -1):
        state = record.states[place]
        if place not in promise or not _is_like(content, state, damaged):
            continue
        raising = [record.places[state[key][0]] for key in damaged]
        if promise.durability == "process" and all(written > promise.durable for written in raising):
            break
        if not damaged:
            break
        older = min(raising)
    else:
        if older is not None:
            round_.fail(f"the value of transaction {older} raises, and {promise.durable} must be there")
        round_.fail("what is left was never the state of the store: a hole, or half a transaction")
    if place < promise.durable:
        round_.fail(f"{promise.durable - place} transactions that must survive were lost")
    round_.count("states with a young value that raises", bool(damaged))
    round_.count("young values that raise", len(damaged))
    round_.count("states with a lost suffix", place < promise.acknowledged)


def _is_like(content: State, state: State, damaged: set[Key]) -> bool:
    if content.keys() != state.keys():
        return False
    return all(is_in_file(state[key][1]) if key in damaged else held == state[key] for key, held in content.items())


def _judge_copy(round_: Round, path: Path, record: Record, promise: Promise) -> None:
    try:
        with Store(path, readonly=True) as store:
            found = content_of(store)
    except (KVError, WrongValueError) as error:
        round_.fail(f"a backup is damaged: {error!r}")
    if found not in record.states[promise.copies[path.name] :]:
        round_.fail("a backup is not what the store was")
    round_.count("backups read")


def run(round_: Round, durability: str) -> None:
    """Make records of one and of many processes, and cut the power in each of them."""

    def make_record(number: int, seed: int) -> Record:
        if number % 2:
            return record_many(round_, seed, durability)
        return record_one(round_, seed, SHORT if number % 4 else LONG, durability)

    def judge_in(directory: Path, random: Random) -> Judge:
        return lambda files, record, promise: judge(
            round_, files, record, promise, directory, thorough=random.random() < 0.3
        )

    run_records(round_, durability, make_record, judge_in)


def run_power(round_: Round) -> None:
    """Cut the power of stores that promise to lose nothing."""
    run(round_, "power")


def run_process(round_: Round) -> None:
    """Cut the power of stores whose youngest values may raise."""
    run(round_, "process")


CAMPAIGNS = (
    Campaign(
        name="files-power",
        promise=(
            'With durability="power" a power cut loses no large value that was acknowledged; no row is without its '
            "whole file"
        ),
        unit="crash states",
        run=run_power,
        ci=250,
        nightly=10_000,
        release=50_000,
        twins=("a file is not synced", "the folder is not synced", "a disk that lies"),
        twin=250,
    ),
    Campaign(
        name="files-process",
        promise=(
            'With durability="process" a power cut leaves every large value that is older than the last sync; a '
            "younger one may raise, and is never a wrong one"
        ),
        unit="crash states",
        run=run_process,
        ci=250,
        nightly=10_000,
        release=50_000,
        twins=("removed at once", "removed without a sync of the files", "a disk that lies"),
        twin=250,
    ),
)
