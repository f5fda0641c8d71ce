"""The first opening of a new file by many processes at the same instant."""

from __future__ import annotations

import random
import time

from sqlitedict_kv import Store
from sqlitedict_kv.engines.sqlite import opening
from tests.faults.campaign import Campaign, FaultError, Round, UnavailableError
from tests.faults.crew import Crew

PROCESSES = 32
NOTICE = 0.02  # seconds before the instant at which all of them open


def open_ours(path, number):
    """Open the file, write and close it."""
    with Store(path, timeout=60) as store:
        store.ns("n")[str(number)] = number


def open_diskcache(path, number):
    """Open the directory, write and close it; 60 s is the timeout that diskcache has by itself."""
    from diskcache import Cache

    with Cache(path, timeout=60) as cache:
        cache[str(number)] = number


def read_ours(path):
    """Return what is there after a check of the whole file."""
    with Store(path) as store:
        problems = store.check().problems
        if problems:
            raise FaultError(f"the file is damaged: {problems}")
        return store.ns("n").copy()


def read_diskcache(path):
    """Return what is there."""
    from diskcache import Cache

    with Cache(path) as cache:
        return {key: cache[key] for key in cache.iterkeys()}


PEERS = {None: (open_ours, read_ours), "diskcache": (open_diskcache, read_diskcache)}


def work(voice, number, peer, sabotage):
    """Open one file after the other, each at the instant that is said."""
    if sabotage == "no second attempt":
        opening.patiently = lambda attempt, _: attempt()
    open_it = PEERS[peer][0]
    if peer:
        __import__(peer)
    voice.say("ready")
    while True:
        path, instant = voice.hear()
        while time.monotonic() < instant:
            pass
        try:
            open_it(path, number)
        except Exception as error:
            voice.say(repr(error))
        else:
            voice.say(None)


def run(round_: Round) -> None:
    """Let all processes open one new file after the other."""
    if round_.peer:
        try:
            import diskcache  # noqa: F401
        except ImportError as error:
            raise UnavailableError("diskcache is not installed") from error
    dice = random.Random(round_.seed)
    done = 0
    try:
        with Crew() as crew:
            hands = [crew.start(work, number, round_.peer, round_.sabotage) for number in range(PROCESSES)]
            for hand in hands:
                hand.hear()
            while done < round_.size:
                directory = round_.directory / f"new {done}"
                if dice.random() < 0.5:  # else they have to make it as well
                    directory.mkdir()
                path = str(directory / "store.db")
                instant = time.monotonic() + NOTICE
                for hand in hands:
                    hand.say((path, instant))
                failures = [failure for failure in [hand.hear() for hand in hands] if failure]
                if failures:
                    round_.count("failed opens", len(failures))
                    raise FaultError(f"{len(failures)} of {PROCESSES} could not open a new file: {failures[0]}")
                found = PEERS[round_.peer][1](path)
                if found != {str(number): number for number in range(PROCESSES)}:
                    raise FaultError(f"{PROCESSES - len(found)} of {PROCESSES} first writes are lost")
                done += PROCESSES
                round_.count("opens", PROCESSES)
                round_.count("new files")
    except FaultError as fault:
        round_.fail(str(fault))


CAMPAIGN = Campaign(
    name="open-race",
    promise=f"A new file can be opened and written by {PROCESSES} processes at the same instant",
    unit="opens",
    run=run,
    ci=640,
    nightly=10_000,
    release=50_000,
    twins=("no second attempt",),
    twin=1_600,
    peers=("diskcache",),
)
