"""The WAL-reset bug of SQLite: checkpoints of several processes while others write.

Before 3.51.3 (and 3.50.7 and 3.44.6), a checkpointer that is held up in one of a few instructions while a writer
begins the log afresh loses what was written (https://www.sqlite.org/wal.html#walresetbug). So the checkpointers here
are held up thousands of times a second, the files are in memory where syncs take no time, and each writer reads back
what it was acknowledged before it writes a key again: the next write of a page would hide what was lost of it.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import tempfile
import time
from pathlib import Path

from sqlitedict_kv import Store
from tests.faults.campaign import Campaign, FaultError, Round, UnavailableError
from tests.faults.crew import Crew, first_failure
from tests.faults.slowness import POSSIBLE, hold_up

WRITERS = 2
CHECKPOINTERS = 3
KEYS = 40  # of each writer: some 20 pages
SIZES = (1, 1, 2, 4, 12)  # keys that a transaction writes: a log that is shorter than the last one shows most
PAUSE = 0.0001  # seconds between two transactions, in which the log is copied whole, so that the next one resets it
EVERY = 300  # microseconds between two hold-ups
MEMORY = "/dev/shm"


def has_the_bug(version: tuple[int, ...]) -> bool:
    """Return whether a release of SQLite loses data when a checkpoint meets a reset of the log."""
    if version >= (3, 51, 3) or version < (3, 7, 0):
        return False
    return not ((3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45))


def writer(voice, path, number, seed):
    """Read back and write, until told to stop; say how often, and what must be there."""
    dice = random.Random(seed)
    acknowledged = {}
    steps = 0
    with Store(path, timeout=60) as store:
        ns = store.ns("n")
        voice.say("ready")
        voice.hear()
        while not voice.is_spoken_to():
            for _ in range(20):
                time.sleep(PAUSE)
                keys = [f"{number}:{key}" for key in dice.sample(range(KEYS), dice.choice(SIZES))]
                found = {key: value[0] for key, value in ns.get_many(keys).items()}
                wanted = {key: acknowledged[key] for key in keys if key in acknowledged}
                lost = {key: (step, found.get(key)) for key, step in wanted.items() if found.get(key) != step}
                if lost or len(found) != len(wanted):
                    raise FaultError(
                        f"what was acknowledged is lost: {lost} (acknowledged, found), after {steps} steps"
                    )
                steps += 1
                ns.set_many(dict.fromkeys(keys, [steps, "x" * 1300]))
                acknowledged |= dict.fromkeys(keys, steps)
    voice.say((steps, acknowledged))


def checkpointer(voice, path, bare):
    """Make one checkpoint after the other, ours or bare ones, and say now and then how many."""
    with Store(path, timeout=60) as store:
        raw = sqlite3.connect(path, timeout=0, isolation_level=None) if bare else None
        voice.say("ready")
        voice.hear()
        hold_up(EVERY)
        done = told = 0
        while not voice.is_spoken_to():
            if raw is None:
                done += store._engine._maintenance.checkpoint()  # as a write does when enough was written
            else:
                raw.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                done += 1
            if time.monotonic() > told + 0.1:
                told = time.monotonic()
                voice.say(done)
        voice.hear()
        if raw:
            raw.close()
    voice.say((done,))


def run(round_: Round) -> None:
    """Write and make checkpoints until there were enough of them."""
    bare = round_.sabotage == "bare checkpoints"
    if bare and not has_the_bug(sqlite3.sqlite_version_info):
        raise UnavailableError(f"SQLite {sqlite3.sqlite_version} has no WAL-reset bug")
    if bare and not POSSIBLE:
        raise UnavailableError("to hold up a process often enough takes the timers of Linux")
    place = Path(tempfile.mkdtemp(dir=MEMORY)) if os.path.isdir(MEMORY) else round_.directory
    try:
        _run(round_, str(place / "store.db"), bare=bare)
    except FaultError as fault:
        round_.fail(str(fault))
    finally:
        if place != round_.directory:
            shutil.rmtree(place)


def _run(round_, path, *, bare):
    with Crew() as crew:
        writers = [crew.start(writer, path, number, f"{round_.seed} {number}") for number in range(WRITERS)]
        checkpointers = [crew.start(checkpointer, path, bare) for _ in range(CHECKPOINTERS)]
        for hand in (*writers, *checkpointers):
            hand.hear()
        for hand in (*writers, *checkpointers):
            hand.say("go")
        made = [0] * CHECKPOINTERS
        while sum(made) < round_.size:
            first_failure(writers, 0.001)
            for number, hand in enumerate(checkpointers):
                made[number] = hand.hear()
        for hand in (*writers, *checkpointers):
            hand.say("stop")
        acknowledged, commits = {}, 0
        for hand in writers:
            steps, last = hand.hear()
            commits += steps
            acknowledged |= last
        for number, hand in enumerate(checkpointers):
            while not isinstance(said := hand.hear(), tuple):
                pass
            made[number] = said[0]
    with Store(path) as store:
        found = {key: value[0] for key, value in store.ns("n").items()}
        problems = store.check().problems
    if problems or found != acknowledged:
        raise FaultError(f"acknowledged writes are lost, or the file is damaged: {problems}")
    round_.count("checkpoints", sum(made))
    round_.count("commits", commits)


CAMPAIGN = Campaign(
    name="wal-reset",
    promise="No write is lost to SQLite's WAL-reset bug, on any release, however many processes make checkpoints",
    unit="checkpoints",
    run=run,
    ci=2_000,
    nightly=500_000,
    release=5_000_000,
    twins=("bare checkpoints",),
    twin=10_000_000,  # it ends with the first fault, mostly within seconds
)
