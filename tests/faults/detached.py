"""Files that another library, a raw open and close, a deletion or a replacement takes from under an open store.

Closing any descriptor of a file drops the POSIX locks that this process holds on it; the next process to close the
database then believes to be alone and removes the log. What is written to that log later is lost.
"""

from __future__ import annotations

import gc
import os
import random
from contextlib import closing

from sqlitedict_kv import Store, StoreDetachedError, StoreError
from sqlitedict_kv.engines.sqlite.connection import Connection
from tests.faults.campaign import Campaign, FaultError, Round, UnavailableError
from tests.faults.crew import Crew
from tests.support import accidents

try:
    import apsw
except ImportError:
    apsw = None

WRITES = {
    "set": lambda store: store.ns("n").set("k", "after"),
    "add": lambda store: store.ns("n").add("another", "after"),
    "delete": lambda store: store.ns("n").delete("k"),
    "incr": lambda store: store.ns("n").incr("counter"),
    "modify": lambda store: store.ns("n").modify("k", lambda _: "after"),
    "set_many": lambda store: store.ns("n").set_many({"k": "after", "l": "after"}),
    "long set_many": lambda store: store.ns("n").set_many({f"{number}": "after" for number in range(2100)}),
    "clear": lambda store: store.ns("n").clear(),
    "drop": lambda store: store.drop("n"),
    "sync": lambda store: store.sync(),
    "vacuum": lambda store: store.vacuum(),
}


def visit(path):
    """Read with another SQLite library in this process, which does not know of the first one's locks."""
    with closing(apsw.Connection(path)) as visitor:
        visitor.execute("SELECT count(*) FROM kv").fetchall()


ROBBERIES = {"raw open and close": accidents.lose_locks, "a second SQLite library": visit}
LOSSES = {
    "deleted file": accidents.delete,
    "deleted file and log": accidents.delete_all,
    "deleted log": accidents.delete_log,
    "replaced file": accidents.replace,
    "renamed file": accidents.rename,
}
ENDS = ("close", "forget", "exit", "kill")


def victim(voice, path, seed, accident, sabotage):  # noqa: C901 - one step after the other
    """Write, suffer the accident, and try to write again."""
    dice = random.Random(seed)
    if sabotage == "guard off":
        Connection.has_moved = lambda _: False
    store = Store(path, timeout=60)
    store.ns("n")["k"] = "before"
    store.ns("ours").set_many({f"{number}": "x" * dice.randrange(3000) for number in range(dice.randint(1, 60))})
    for number in range(dice.randint(0, 20)):
        store.ns("ours")[f"more {number}"] = number
    if dice.random() < 0.3:
        store.sync()
    voice.say(store.ns("ours").copy())
    voice.hear()
    (ROBBERIES | LOSSES).get(accident, lambda _: None)(path)
    voice.say("happened")
    verb = voice.hear()
    try:
        WRITES[verb](store)
    except StoreDetachedError:
        outcome = "detected"
    except Exception as error:
        outcome = repr(error)
    else:
        outcome = "acknowledged"
    try:
        store.ns("n")["k"] = "again"
    except StoreDetachedError:
        again = "detected"
    except StoreError as error:
        again = repr(error)
    else:
        again = "acknowledged"
    voice.say((outcome, again))
    end = voice.hear()
    if end == "close":
        store.close()
    elif end == "forget":
        del store
        gc.collect()
    voice.say("ended")
    if end == "kill":
        voice.hear()


def other(voice, path, seed):
    """Write from outside and close, which removes the log if nobody else seems to be there."""
    dice = random.Random(seed)
    with Store(path, timeout=60) as store:
        store.ns("theirs").set_many({f"{number}": "y" * dice.randrange(3000) for number in range(dice.randint(1, 40))})
        found = store.ns("theirs").copy()
        if dice.random() < 0.3:
            store.vacuum()
    voice.say(found)


def reader(voice, path):
    """Tell what is there for a process that has seen nothing."""
    with Store(path, timeout=60) as store:
        problems = store.check().problems
        voice.say((store.ns("ours").copy(), store.ns("theirs").copy(), problems))


def run(round_: Round) -> None:
    """Cause accidents, a few of them none at all, and see what the next write is told."""
    dice = random.Random(round_.seed)
    # An apsw that uses the SQLite of the system would be the same library.
    separate = apsw and apsw.using_amalgamation
    kinds = [kind for kind in ROBBERIES if separate or kind != "a second SQLite library"] + list(LOSSES)
    if os.name != "posix":
        raise UnavailableError("the locks of POSIX, and open files that can be removed, are not on this system")
    try:
        with Crew() as crew:
            for number in range(round_.size):
                # Each kind in turn, so that a small round has them all; one in nine tries is a false alarm's chance.
                turn = number % (len(kinds) + 1)
                accident = kinds[turn] if turn < len(kinds) else "none"
                _try(round_, crew, dice, number, accident)
                round_.count("accidents", accident != "none")
                round_.count(f"tries with {accident}")
            while round_.figures["accidents"] < round_.size:
                _try(round_, crew, dice, f"more {round_.figures['accidents']}", dice.choice(kinds))
                round_.count("accidents")
    except FaultError as fault:
        round_.fail(str(fault))


def _try(round_, crew, dice, number, accident):
    path = str(round_.directory / f"{number}.db")
    hand = crew.start(victim, path, dice.random(), accident, round_.sabotage)
    ours = hand.hear()
    theirs = {}
    if accident in ROBBERIES and dice.random() < 0.5:
        theirs = _theirs(crew, path, dice)  # while the locks are held: nothing is to be detected for it
    hand.say("let it happen")
    hand.hear()
    if accident in ROBBERIES or accident == "none":
        for _ in range(dice.randint(1, 3)):
            theirs |= _theirs(crew, path, dice)
    verb = dice.choice(list(WRITES))
    hand.say(verb)
    outcome, again = hand.hear()
    expected = "acknowledged" if accident == "none" else "detected"
    if (outcome, again) != (expected, expected):
        raise FaultError(f"{accident}: a {verb} was {outcome} and not {expected}, the next one {again}")
    end = dice.choice(ENDS)
    hand.say(end)
    hand.hear()
    if end == "kill":
        hand.kill()
    else:
        hand.finish()
    if accident in ROBBERIES or accident == "none":
        seeing = crew.start(reader, path)
        found_ours, found_theirs, problems = seeing.hear()
        seeing.finish()
        if problems or found_theirs != theirs or found_ours != ours:
            raise FaultError(f"{accident}, {verb}, {end}: what was acknowledged before is lost; {problems}")


def _theirs(crew, path, dice):
    hand = crew.start(other, path, dice.random())
    found = hand.hear()
    hand.finish()
    return found


CAMPAIGN = Campaign(
    name="split-log",
    promise="A file that was deleted, replaced, or robbed of its locks by a raw open and close or by a second SQLite "
    "library is detected before the next write is acknowledged, and what others wrote stays",
    unit="accidents",
    run=run,
    ci=48,
    nightly=2_000,
    release=10_000,
    twins=("guard off",),
    twin=8,
)
