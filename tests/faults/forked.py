"""Forks beside busy threads, in the middle of transactions, and of children that close what they inherited."""

from __future__ import annotations

import gc
import os
import random
import signal
import sys
import threading
import time
import warnings
from contextlib import suppress

from sqlitedict_kv import ForkedStoreError, Store
from sqlitedict_kv.engines.sqlite import fork_safety
from sqlitedict_kv.engines.sqlite.connection import Connection
from sqlitedict_kv.engines.sqlite.database import Database
from tests.faults.campaign import Campaign, FaultError, Round, UnavailableError
from tests.faults.crew import Crew
from tests.faults.value_files.values import leftovers, name_of, open_store, value_of

THREADS = 3
BATCH = 40  # forks between two looks from outside
HANG = 60.0  # seconds until a child that does not end counts as hanging
TWIN_HANG = 3.0  # likewise where it is known to hang
PEER_HANG = 20.0  # of a peer, whose hanging children are counted
REST = 3.0  # seconds until the threads of the parent rest, for a child that only starves beside them
LENGTHS = (70_000, 16, 120_000)  # of large values, by their number
LONG = 400  # entries of a transaction that a fork is likely to meet


class Ours:
    """A store that is shared with children."""

    refusals = (ForkedStoreError,)

    def __init__(self, path):
        self.store = Store(path, timeout=60)
        self.ns = self.store.ns("n")

    def put(self, key, value):
        self.ns[key] = value

    def put_many(self, values):
        self.ns.set_many(values)

    def get(self, key):
        return self.ns.get(key)

    def close(self):
        self.store.close()

    def contents(self):
        """Return the entries, and what a check of the whole file finds."""
        return self.ns.copy(), self.store.check().problems


class Large(Ours):
    """A store whose values are in files, but some; each of them is an array, bytes or both that name their number."""

    def __init__(self, path):
        self.store = open_store(path, timeout=60)
        self.ns = self.store.ns("n")

    def put(self, key, value):
        super().put(key, value_of(value, LENGTHS[value % len(LENGTHS)]))

    def put_many(self, values):
        """Write only the first and the last to files: 400 of them would take long."""
        ends = (next(iter(values)), next(reversed(values)))
        super().put_many({key: value_of(value, LENGTHS[-1] if key in ends else 16) for key, value in values.items()})

    def get(self, key):
        value = super().get(key)
        return None if value is None else name_of(value)[0]

    def contents(self):
        """Return the entries, and what a check of the whole file, and of the folder, finds."""
        return {key: name_of(value)[0] for key, value in self.ns.items()}, self.store.check().problems


class Diskcache:
    """A diskcache.Cache as it comes, which closes what it inherited at its first use in a child."""

    refusals = ()

    def __init__(self, path):
        from diskcache import Cache

        self.cache = Cache(path, timeout=60)

    def put(self, key, value):
        self.cache[key] = value

    def put_many(self, values):
        with self.cache.transact():
            for key, value in values.items():
                self.cache[key] = value

    def get(self, key):
        return self.cache.get(key)

    def close(self):
        self.cache.close()

    def contents(self):
        return {key: self.cache[key] for key in self.cache.iterkeys()}, [str(each.message) for each in self._check()]

    def _check(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self.cache.check()


KINDS = {None: Ours, "large": Large, "diskcache": Diskcache}
PEERS = ("diskcache",)


def break_it(sabotage):
    """Take away one of the three cures."""
    if sabotage == "gate off":
        fork_safety.enroll = lambda _: None  # so that nobody is told of a fork
    elif sabotage == "handles left open":
        before = Database.before_fork

        def before_fork(self, deadline):
            sleep = Connection.sleep
            Connection.sleep = lambda connection: None if connection is self.main else sleep(connection)
            try:
                before(self, deadline)
            finally:
                Connection.sleep = sleep

        Database.before_fork = before_fork


def visitor(voice, path, kind):
    """Open, read and close whenever asked: a closing that sees no locks removes the log."""
    while True:
        voice.hear()
        thing = KINDS[kind](path)
        found = thing.contents()
        thing.close()
        voice.say(found)


class Busy:
    """Threads that write all the time, and know what they were acknowledged."""

    def __init__(self, thing):
        self.thing = thing
        self.acknowledged = {}
        self.problems = []
        self.stop = threading.Event()
        self.going = threading.Event()
        self.going.set()
        self.rests = 0
        self.crew = [threading.Thread(target=self._work, args=(number,), daemon=True) for number in range(THREADS)]
        for thread in self.crew:
            thread.start()

    def _work(self, number):
        step = 0
        try:
            while not self.stop.is_set():
                self.going.wait()
                step += 1
                key = f"{number}:{step % 20}"
                if step % 50 == 0:
                    values = {f"long {number}:{entry}": step for entry in range(LONG)}
                    self.thing.put_many(values)
                    self.acknowledged |= {f"long {number}:0": step, f"long {number}:{LONG - 1}": step}
                    continue
                self.thing.put(key, step)
                self.acknowledged[key] = step
                found = self.thing.get(key)
                if found != step:
                    raise FaultError(f"a thread read {found} where it had written {step}")
        except BaseException as error:
            self.problems.append(repr(error))

    def end(self):
        """Stop the threads."""
        self.stop.set()
        for thread in self.crew:
            thread.join(HANG)


def host(voice, path, kind, seed, sabotage):
    """Be the parent: fork, look after the children, and say after each batch what must be there."""
    warnings.simplefilter("ignore", DeprecationWarning)  # since 3.12, of forks beside threads
    break_it(sabotage)
    sys.setswitchinterval(1e-4)
    dice = random.Random(seed)
    thing, peer = KINDS[kind](path), kind in PEERS
    patience = fork_safety.PATIENCE
    hang = TWIN_HANG if sabotage else PEER_HANG if peer else HANG
    total = 0
    children = {}
    while count := voice.hear():
        busy = Busy(thing)
        told = {
            "beside threads": 0,
            "in a transaction": 0,
            "with inherited handles": 0,
            "refused": 0,
            "hung": 0,
            "starved": 0,
        }
        for _ in range(count):
            total += 1
            form = dice.choice(["beside threads", "in a transaction", "with inherited handles"])
            fork_safety.PATIENCE = 0.0 if form == "in a transaction" else patience
            time.sleep(dice.random() * 0.002)
            code = _forked(thing, form, total, hang, busy)
            told[form] += 1
            if code == REFUSED and form == "in a transaction":
                told["refused"] += 1
            elif code == DONE:
                children |= {} if form == "with inherited handles" else {f"child {total}": total}
            elif code == HUNG and peer:
                told["hung"] += 1
            elif code == HUNG:
                raise FaultError(f"a child forked {form} hangs")
            else:
                raise FaultError(f"a child forked {form} ended with {code}")
            if busy.problems:
                raise FaultError(f"after a fork {form}, the parent: {busy.problems}")
        busy.end()
        if busy.problems:
            raise FaultError(f"the parent: {busy.problems}")
        total += 1
        thing = _outlived(thing, path, kind, total, hang)
        children |= {f"early {total}": total, f"late {total}": total, f"reopened {total}": total}
        told["outlived by the child"] = 1
        told["starved"] = busy.rests - told["hung"]
        voice.say((busy.acknowledged | children, told))
    thing.close()


DONE, FAILED, REFUSED, HUNG = 0, 1, 2, 99


def _forked(thing, form, number, hang, busy):
    child = os.fork()
    if child == 0:
        code = FAILED
        try:
            code = _child(thing, form, number)
        except BaseException as error:
            os.write(2, f"child {number}, forked {form}: {error!r}\n".encode())
        finally:
            os._exit(code)
    return _exit_code(child, hang, busy)


def _outlived(thing, path, kind, number, hang):
    """Fork, close and open again while the child goes on; return what is open now.

    A child that held no locks of its own would lose the log to the parent's closing.
    """
    from_child, to_parent = os.pipe()
    from_parent, to_child = os.pipe()
    child = os.fork()
    if child == 0:
        code = FAILED
        try:
            thing.put(f"early {number}", number)
            os.write(to_parent, b".")
            os.read(from_parent, 1)
            thing.put(f"late {number}", number)
            code = DONE if thing.get(f"early {number}") == number else FAILED
        except BaseException as error:
            os.write(2, f"child {number}, who outlives its parent's store: {error!r}\n".encode())
        finally:
            os._exit(code)
    os.close(to_parent)
    os.read(from_child, 1)  # or nothing, if the child is dead
    thing.close()
    thing = KINDS[kind](path)
    thing.put(f"reopened {number}", number)
    os.write(to_child, b".")
    for end in (from_child, from_parent, to_child):
        os.close(end)
    code = _exit_code(child, hang)
    if code != DONE:
        how = "hangs" if code == HUNG else f"ended with {code}"
        raise FaultError(f"a child whose parent closed and opened the store {how}")
    return thing


def _exit_code(child, hang, busy=None):
    """Wait for a child; one that is not done in time may only starve, so the threads rest before it counts as hung."""
    deadline = time.monotonic() + (hang if busy is None else REST)
    pause = 0.0005
    try:
        while True:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > deadline:
                if busy is None or not busy.going.is_set():
                    os.kill(child, signal.SIGKILL)
                    os.waitpid(child, 0)
                    return HUNG
                busy.going.clear()
                busy.rests += 1
                deadline = time.monotonic() + hang
            time.sleep(pause)
            pause = min(0.02, 2 * pause)
    finally:
        if busy is not None:
            busy.going.set()


def _child(thing, form, number):
    if form == "with inherited handles":
        if number % 2:
            thing.close()
        else:
            thing.__dict__.clear()
        gc.collect()
        return DONE
    try:
        thing.put(f"child {number}", number)
        found = thing.get(f"child {number}")
    except thing.refusals:
        with suppress(*thing.refusals):
            thing.get("0:0")
        thing.close()
        gc.collect()
        return REFUSED
    return DONE if found == number else FAILED


def run(round_: Round) -> None:
    """Fork in batches, and compare after each what another process finds with what was acknowledged."""
    if round_.peer:
        try:
            import diskcache  # noqa: F401
        except ImportError as error:
            raise UnavailableError("diskcache is not installed") from error
    run_kind(round_, round_.peer)


def run_large(round_: Round) -> None:
    """Do the same with large values, and look in the end at what is in their folder."""
    run_kind(round_, "large")
    path = round_.directory / "store.db"
    with open_store(path) as store:
        store.vacuum()
    if problem := leftovers(path):
        round_.fail(f"when all processes have ended and all is collected: {problem}")


def run_kind(round_: Round, kind: str | None) -> None:
    """Fork a process that uses one kind of store."""
    path = str(round_.directory / "store.db")
    done = 0
    try:
        with Crew() as crew:
            seeing = crew.start(visitor, path, kind)
            parent = crew.start(host, path, kind, round_.seed, round_.sabotage)
            while done < round_.size:
                count = max(2, min(BATCH, round_.size - done))
                parent.say(count - 1)  # and one that outlives
                acknowledged, told = parent.hear((count + 2) * HANG)
                seeing.say("look")
                found, problems = seeing.hear()
                lost = {key: value for key, value in acknowledged.items() if found.get(key) != value}
                if lost or problems:
                    raise FaultError(f"{len(lost)} acknowledged writes are lost: {list(lost)[:5]}; {problems}")
                done += count
                round_.count("forks", count)
                round_.count("acknowledged writes compared", len(acknowledged))
                for what, times in told.items():
                    round_.count(what if what in ("refused", "hung", "starved") else f"forks {what}", times)
            parent.say(0)
            parent.finish()
            seeing.say("look")
            found, problems = seeing.hear()
            if problems or any(found.get(key) != value for key, value in acknowledged.items()):
                raise FaultError(f"after the end of the parent, acknowledged writes are lost; {problems}")
            if round_.figures["hung"]:
                raise FaultError(f"{round_.figures['hung']} of {done} children hang")
    except FaultError as fault:
        round_.fail(str(fault))


CAMPAIGN = Campaign(
    name="fork",
    promise="A fork beside threads that are inside the store hangs nobody; a child never harms its parent, whatever it "
    "does with what it inherited; one born in the middle of a transaction is refused or works",
    unit="forks",
    run=run,
    ci=80,
    nightly=2_000,
    release=20_000,
    twins=("gate off", "handles left open"),
    twin=80,
    peers=("diskcache",),
)

CAMPAIGN_OF_FILES = Campaign(
    name="files-fork",
    promise="A fork beside threads that write and read large values hangs nobody; neither side harms the files of the "
    "other, and none stays behind",
    unit="forks",
    run=run_large,
    ci=40,
    nightly=2_000,
    release=20_000,
    twins=("gate off", "handles left open"),
    twin=120,
)
