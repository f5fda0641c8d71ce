"""Kill -9 of several processes that write, overwrite, remove, read and collect large values.

Half of them make files without a name and link them, the others change the name of a file. Every value that is read is
compared byte for byte, whoever wrote it. When all are dead, each has what it was acknowledged last, and once all is
collected the folder, the rows and the list of files agree.
"""

from __future__ import annotations

import random
import signal
import time

from sqlitedict_kv import DamagedEntryError, KVError
from tests.faults.campaign import Campaign, FaultError, Round
from tests.faults.crew import Acks, Crew, noted, signal_at_once
from tests.faults.value_files.sabotage import break_files, choose_way, hasten_files
from tests.faults.value_files.values import SIZES, WrongValueError, content_of, leftovers, name_of, open_store, value_of

PROCESSES = 5
KEYS = 8  # that all write
MASS = 0.2  # of the kills come to all processes at once
PATIENCE = 60.0  # seconds that a call may wait for the others
STEPS = 1_000_000  # of a process, at most
VERBS = {
    "own": 20, "set": 20, "read": 25, "delete": 8, "small": 6, "many": 5, "expire": 5, "scan": 3, "clear": 1,
    "collect": 2, "sync": 1,
}  # fmt: skip


def work(voice, path, worker, seed, sabotage):
    """Use the store until killed."""
    dice = random.Random(seed)
    hasten_files()
    break_files(sabotage)
    choose_way("nameless" if worker % 2 else "renamed")
    acks = Acks(f"{path}.acks {worker}")
    with open_store(path, timeout=PATIENCE, durability=dice.choice(("process", "power"))) as store:
        voice.say("ready")
        for step in range(STEPS):
            (verb,) = dice.choices(list(VERBS), list(VERBS.values()))
            number = worker * STEPS + step
            try:
                _take(store, verb, dice, worker, number)
            except DamagedEntryError as error:
                raise FaultError(f"{verb} found a damaged value: {error}") from error
            except WrongValueError as error:
                raise FaultError(f"{verb} found a wrong value: {error}") from error
            if verb == "own":
                acks.note(str(number))


def _take(store, verb, dice, worker, number):  # noqa: C901 - one verb after the other
    shared, own = store.ns("shared"), store.ns("own")
    key, length = f"k{dice.randrange(KEYS)}", dice.choice(SIZES)
    match verb:
        case "own":
            own[f"{worker}"] = value_of(number, length)
            if name_of(own[f"{worker}"]) != (number, length):
                raise FaultError("a process does not find what it has just written")
        case "set":
            shared[key] = value_of(number, length)
        case "small":
            shared[key] = value_of(number, 16)
        case "many":
            shared.set_many({f"k{place}": value_of(number, length) for place in range(0, KEYS, 3)})
        case "expire":
            shared.set(key, value_of(number, length), ttl=0.001)
            store.purge_expired()
        case "delete":
            shared.delete(key)
        case "clear":
            shared.clear()
        case "collect":
            store.vacuum()
        case "sync":
            store.sync()
        case "scan":
            for value in shared.values():
                name_of(value)
        case _:
            value = shared.get(key)
            if value is not None:
                name_of(value)


def verify(round_, path, workers):
    """Compare what is there with what was acknowledged to *workers*, all of which are dead."""
    try:
        with open_store(path, timeout=PATIENCE) as store:
            content = content_of(store)
            if problems := store.check().problems:
                raise FaultError(f"the store is damaged: {problems}")
            store.vacuum()
    except (KVError, WrongValueError) as error:
        raise FaultError(f"a look at what is left raised {error!r}") from error
    for worker in workers:
        lines = noted(f"{path}.acks {worker}")
        found = content.get(("own", str(worker)), (-1, 0))
        if lines and found[0] < int(lines[-1]):
            raise FaultError(f"process {worker} was acknowledged {lines[-1]}, and there is {found}")
        round_.count("acknowledged values compared", len(lines))
    if problem := leftovers(path):
        raise FaultError(f"when all was collected: {problem}")
    round_.count("verifications")


def run(round_: Round) -> None:
    """Kill processes, start others in their place, and compare each time that all are dead."""
    dice = random.Random(round_.seed)
    path = str(round_.directory / "store.db")
    with open_store(path) as store:
        store.ns("own")["first"] = value_of(0, SIZES[-1])
    kills = started = 0
    try:
        while kills < round_.size:
            with Crew() as crew:

                def start(crew=crew):
                    nonlocal started
                    started += 1
                    return crew.start(work, path, started, f"{round_.seed} {started}", round_.sabotage)

                first = started
                hands = [start() for _ in range(PROCESSES)]
                for hand in hands:
                    hand.hear()
                while dice.random() > MASS and kills + PROCESSES < round_.size:
                    time.sleep(dice.random() * 0.1)
                    hands.pop(dice.randrange(PROCESSES)).kill()
                    kills += 1
                    hands.append(start())
                    hands[-1].hear()
                    _expect_silence(hands)
                time.sleep(dice.random() * 0.2)
                _expect_silence(hands)
                signal_at_once(hands, signal.SIGKILL)
                for hand in hands:
                    hand.kill()
                kills += PROCESSES
            verify(round_, path, range(first + 1, started + 1))
        round_.count("kills", kills)
    except FaultError as fault:
        round_.fail(str(fault))


def _expect_silence(hands):
    """Raise FaultError if a process has something to say, which can only be a fault."""
    for hand in hands:
        if hand.end.poll(0):
            raise FaultError(f"a process said {hand.hear()}")


CAMPAIGN = Campaign(
    name="files-kill-9",
    promise="A large value that was acknowledged survives kill -9 of any process, no read ever gives a byte that was "
    "not written, and no file stays behind",
    unit="kills",
    run=run,
    ci=40,
    nightly=2_000,
    release=20_000,
    twins=("published before it is written", "removed before the commit"),
    twin=200,
)
