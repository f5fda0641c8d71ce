"""Many threads on one store object."""

from __future__ import annotations

import random
import sys
import threading

from sqlitedict_kv import Store
from sqlitedict_kv.engines.sqlite.connection import Connection
from tests.faults.campaign import Campaign, FaultError, Round
from tests.faults.crew import Crew

THREADS = 8
KEYS = 40
SHARE = 5_000  # operations between two looks at the whole
SWITCH = 1e-6  # seconds that a thread runs before another one may


class NoLock:
    """Keeps nobody out."""

    def acquire(self, *_, **__):
        return True

    def release(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def value_of(key, step):
    """Return a value that says whose it is, of one of many lengths."""
    return [key, step, f"{key}-" * (int(key) * 7 % 50)]


class Crowd:
    """The threads."""

    def __init__(self, store, seed, operations):
        self.ns = store.ns("n")
        self.problems = []
        self.done = [0] * THREADS
        self.share = operations // THREADS
        self.start = threading.Barrier(THREADS)
        crew = [
            threading.Thread(target=self._work, args=(number, f"{seed} {number}"), daemon=True)
            for number in range(THREADS)
        ]
        for thread in crew:
            thread.start()
        for thread in crew:
            thread.join()

    def _work(self, number, seed):  # noqa: C901 - a mix of verbs
        dice = random.Random(seed)
        mine = {}
        last = {}
        try:
            self.start.wait()
            counted = self.ns.get(f"counter {number}", 0)
            while self.done[number] < self.share and not self.problems:
                key = str(dice.randrange(KEYS))
                step = self.done[number]
                match dice.randrange(8):
                    case 0:
                        version = self.ns.set(key, value_of(key, step))
                        if version <= last.get(key, 0):
                            raise FaultError(f"{key} was given version {version} after {last[key]}")
                        last[key] = version
                    case 1:
                        pair = (key, str((int(key) + 1) % KEYS))
                        self.ns.set_many({other: value_of(other, step) for other in pair})
                    case 2:
                        for other, value in self.ns.get_many([str(other) for other in range(KEYS)]).items():
                            self._compare(other, value)
                    case 3:
                        own = f"own {number} {key}"
                        found = self.ns.get(own)
                        if own in mine and found != mine[own]:
                            raise FaultError(f"a thread read {found} where it had written {mine[own]}")
                        self.ns[own] = mine[own] = step
                    case 4:
                        counted += 1
                        found = self.ns.incr(f"counter {number}")
                        if found != counted:
                            raise FaultError(f"a counter of one thread went to {found} and not to {counted}")
                    case 5 if step % 16 == 5:
                        for other, value in self.ns.items():
                            if other.isdigit():
                                self._compare(other, value)
                    case _:
                        self._compare(key, self.ns.get(key))
                self.done[number] += 1
        except BaseException as error:
            self.problems.append(repr(error))

    def _compare(self, key, value):
        if value is not None and value != value_of(key, value[1]):
            raise FaultError(f"a thread that asked for {key} was given {str(value)[:80]}")


def host(voice, path, seed, size, sabotage):
    """Let the threads work, again and again."""
    sys.setswitchinterval(SWITCH)
    if sabotage == "lock off":
        init = Connection.__init__

        def unlocked(self, location):
            init(self, location)
            self.lock = NoLock()

        Connection.__init__ = unlocked
    done = 0
    with Store(path) as store:
        while done < size:
            crowd = Crowd(store, f"{seed} {done}", min(SHARE, size - done) + THREADS)
            if crowd.problems:
                raise FaultError(crowd.problems[0])
            done += sum(crowd.done)
            voice.say(sum(crowd.done))
        problems = store.check().problems
    if problems:
        raise FaultError(f"the file is damaged: {problems}")
    voice.say(0)


def run(round_: Round) -> None:
    """Let threads work on a file, or in memory, in a process of their own: it may crash."""
    dice = random.Random(round_.seed)
    path = str(round_.directory / "store.db") if round_.sabotage or dice.random() < 0.8 else ":memory:"
    try:
        with Crew() as crew:
            hand = crew.start(host, path, round_.seed, round_.size, round_.sabotage)
            while done := hand.hear():
                round_.count("operations", done)
            hand.finish()
    except FaultError as fault:
        round_.fail(str(fault))


CAMPAIGN = Campaign(
    name="threads",
    promise="Threads that share a store never get the rows, versions or counts of each other",
    unit="operations",
    run=run,
    ci=10_000,
    nightly=5_000_000,
    release=50_000_000,
    twins=("lock off",),
)
