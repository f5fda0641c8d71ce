"""Damaged files: bits that flip, sectors and pages that are lost, swapped or cut off, in the file and in its log.

What is promised, and checked for every file:

- A read gives the value that was written, or raises a KVError that names the entry where it can, or finds nothing.
- If a read of a damaged database file raised or found nothing, ``check()`` reports it or raises.
- A log that is damaged gives the state of an earlier commit, one for all entries; where a checkpoint had copied the
  log before, each entry is as some commit left it. SQLite ends a log at the first frame that does not match, as after
  a power cut, so ``check()`` cannot know that there was more.

Not promised: names and counts of entries (an index that is damaged shows other names; reading them raises), versions
of a row whose version itself was raised by damage, a page as it was earlier (a write that a disk lost), and a file
that was cut to nothing, which is a new store.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from sqlitedict_kv import DamagedEntryError, DecodeError, KVError, Namespace, Store
from tests.faults.campaign import Campaign, Round
from tests.support.processes import Worker

PAGE = 4096
SECTOR = 512
ENTRIES = 100
COMMITS = 40
NOW = 1_700_000_000
MISSING, RAISED, WRONG = "missing", "raised", "wrong"  # no value is one of these words
CHECKSUMS_OFF = "checksum off"


class MisnamedError(Exception):
    """Stands for an error that names another entry."""


class Good(NamedTuple):
    """Files in order, and what is in them."""

    content: bytes  # of the database file
    log: bytes | None
    states: tuple[dict[str, object], ...]  # that reads may find, as a whole; of a file without a log just one
    mixed: bool = False  # whether each entry may be of another one of the states


def value(generator: random.Random) -> object:
    match generator.randrange(4):
        case 0:
            return generator.randbytes(generator.randrange(20, 400))
        case 1:
            return {"name": f"name {generator.random()}", "tags": list(range(generator.randrange(30)))}
        case 2:
            return f"text {generator.random()} " * generator.randrange(1, 12)
        case _:
            return generator.randbytes(6000)  # over several pages


def run(round_: Round) -> None:
    """Damage files, and read them through a store or a peer."""
    generator = random.Random(round_.seed)
    if round_.peer:
        good = [of_peer(round_.directory / "good", generator)]
        look = look_at_peer
    else:
        good = [closed_file(round_.directory / "good.db", generator, checksums=round_.sabotage != CHECKSUMS_OFF)]
        if not round_.sabotage:
            good += [good[0], *(with_a_log(round_, kind, generator) for kind in ("new", "restarted", "copied"))]
        look = look_at_store
    silent = 0
    for number in range(round_.size):
        files = good[number % len(good)]
        kind = generator.choice(list(KINDS))
        content, log = files.content, files.log
        # The log is what counts while there is one; the file below it has its own turns.
        if log is None:
            content = KINDS[kind](content, generator)
        else:
            log = KINDS[kind](log, generator)
        place = round_.directory / f"{number}"
        place.mkdir()
        (place / "cache.db").write_bytes(content)
        if log is not None:
            (place / "cache.db-wal").write_bytes(log)
        problem = look(place, files, round_, generator)
        if problem and round_.peer:
            silent += 1
        elif problem:
            round_.fail(f"{kind} in {'the file' if log is None else 'the log'} {number}: {problem}")
        shutil.rmtree(place)
        round_.count("damaged files")
        round_.count(f"of them: {kind}")
    if silent:
        round_.fail(f"{round_.peer}: {silent} of {round_.size} damaged files gave wrong values or silent misses")


# -- damage


def flip(content: bytes, generator: random.Random, times: int = 1) -> bytes:
    damaged = bytearray(content)
    for _ in range(times):
        damaged[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
    return bytes(damaged)


def overwrite(content: bytes, start: int, piece: bytes) -> bytes:
    return content[:start] + piece[: len(content) - start] + content[start + len(piece) :]


def sector(content: bytes, generator: random.Random, size: int = SECTOR) -> int:
    return generator.randrange(-(-len(content) // size)) * size


def swap(content: bytes, generator: random.Random) -> bytes:
    """As a disk does that writes to the wrong place: each page is whole in itself."""
    first, second = (sector(content, generator, PAGE) for _ in range(2))
    damaged = bytearray(content)
    damaged[first : first + PAGE], damaged[second : second + PAGE] = (
        content[second : second + PAGE],
        content[first : first + PAGE],
    )
    return bytes(damaged[: len(content)])


KINDS = {
    "a flipped bit": flip,
    "ten flipped bits": lambda content, generator: flip(content, generator, 10),
    "a sector of zeros": lambda content, generator: overwrite(content, sector(content, generator), bytes(SECTOR)),
    "a sector of ones": lambda content, generator: overwrite(content, sector(content, generator), b"\xff" * SECTOR),
    "a sector of garbage": lambda content, generator: overwrite(
        content, sector(content, generator), generator.randbytes(SECTOR)
    ),
    "a page of zeros": lambda content, generator: overwrite(content, sector(content, generator, PAGE), bytes(PAGE)),
    "some bytes of garbage": lambda content, generator: overwrite(
        content, generator.randrange(len(content)), generator.randbytes(generator.randrange(1, 40))
    ),
    "swapped pages": swap,
    "a file cut short": lambda content, generator: content[: generator.randrange(1, len(content))],
    "a file cut short by pages": lambda content, generator: content[: max(1, sector(content, generator, PAGE))],
}


# -- files to damage


def closed_file(path: Path, generator: random.Random, *, checksums: bool) -> Good:
    entries = {f"key {number}": value(generator) for number in range(ENTRIES)}
    with Store(path, clock=clock) as store:
        store.ns("n").set_many(entries)
        for key in list(entries)[::9]:
            store.ns("n").touch(key, 1e6)
        for key in list(entries)[::13]:
            store.ns("n").delete(key)
            del entries[key]
    if not checksums:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("UPDATE kv SET checksum = NULL")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return Good(path.read_bytes(), None, (entries,))


LOGGED = """
    import os, random, signal, sqlite3
    from tests.faults import damage

    path, kind, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
    generator = random.Random(seed)
    store = Store(path, clock=damage.clock)
    copies = {"new": (), "restarted": (20,), "copied": (20, 39)}[kind]
    for number, commit in enumerate(damage.commits(generator)):
        store.ns("n").set_many(commit)
        if number in copies:
            other = sqlite3.connect(path)
            assert other.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[0] == 0
            other.close()
    say("written")
    os.kill(os.getpid(), signal.SIGSTOP)
"""


def commits(generator: random.Random) -> list[dict[str, object]]:
    return [
        {f"key {generator.randrange(ENTRIES // 2)}": value(generator) for _ in range(generator.randrange(1, 6))}
        for _ in range(COMMITS)
    ]


def with_a_log(round_: Round, kind: str, generator: random.Random) -> Good:
    """Return what a killed process leaves: a log that no checkpoint copied, one begun again, or one that was copied."""
    path, seed = round_.directory / f"{kind}.db", generator.getrandbits(32)
    with Worker(LOGGED, path, kind, seed) as worker:
        worker.hear()
        worker.kill()
    content, log = path.read_bytes(), Path(f"{path}-wal").read_bytes()
    states: list[dict[str, object]] = [{}]
    for commit in commits(random.Random(seed)):
        states.append(states[-1] | commit)
    if kind == "restarted":
        del states[:21]  # those before the checkpoint are in the file
    return Good(content, log, tuple(states), mixed=kind == "copied")


def clock() -> float:
    return float(NOW)


# -- reading


def look_at_store(place: Path, good: Good, round_: Round, generator: random.Random) -> str | None:
    """Return how a promise was broken, None if it was kept."""
    path = place / "cache.db"
    found: dict[str, object] = {}
    keys = list(dict.fromkeys(key for state in good.states for key in state))
    try:
        with Store(path, clock=clock) as store:
            lost = generator.random() < 0.3 and read_many(store.ns("n"), keys, good, generator)
            for key in keys:
                found[key] = read_one(store.ns("n"), key, round_)
    except KVError:
        lost = True
        round_.count("files that were refused")
    wrong = [key for key, value in found.items() if isinstance(value, MisnamedError)]
    if lost is WRONG or wrong:
        return f"an error names another entry than {wrong[0]!r}" if wrong else "a wrong value among many"
    problem = misread({key: value for key, value in found.items() if value is not RAISED}, good)
    if problem or good.log is not None:
        return problem
    missing = [key for key, value in found.items() if value is MISSING]
    round_.count("entries that were missing, as check() reports", len(missing))
    return unreported(path) if lost or missing or RAISED in found.values() else None


def read_one(n: Namespace, key: str, round_: Round) -> object:
    try:
        value = n[key]
    except KeyError:
        return MISSING
    except KVError as error:
        round_.count("reads that raised")
        named = repr(key) in str(error) or not isinstance(error, DamagedEntryError | DecodeError)
        return RAISED if named else MisnamedError()
    round_.count("values that were read")
    return value


def read_many(n: Namespace, keys: list[str], good: Good, generator: random.Random) -> object:
    """Read the whole at once; return whether it raised, or WRONG."""
    try:
        many = n.get_many(keys) if generator.random() < 0.5 else dict(n.items())
    except KVError:
        return True
    return WRONG if misread(many, good) else False


def misread(found: dict[str, object], good: Good) -> str | None:
    """Return which value cannot be, None if all of them can."""
    if good.mixed:
        for key, value in found.items():
            if not any(same(value, state.get(key, MISSING)) for state in good.states):
                return f"a value of {key!r} that was never written"
        return None
    possible = list(good.states)
    for key, value in found.items():
        if value is MISSING and good.log is None:
            continue  # if it is reported
        possible = [state for state in possible if same(value, state.get(key, MISSING))]
        if not possible:
            return f"a wrong value of {key!r}"
    return None


def same(ours: object, theirs: object) -> bool:
    return type(ours) is type(theirs) and ours == theirs


def unreported(path: Path) -> str | None:
    try:
        with Store(path, clock=clock) as store:
            report = store.check()
    except KVError:
        return None
    return None if report.problems and not report.ok else "an error or a miss that check() does not report"


# -- diskcache


def of_peer(directory: Path, generator: random.Random) -> Good:
    """The same entries in diskcache as it comes, but without eviction; all values are small enough for its database."""
    import diskcache  # noqa: PLC0415 - only where it was asked for

    entries = {f"key {number}": value(generator) for number in range(ENTRIES)}
    with diskcache.Cache(str(directory), eviction_policy="none") as cache:
        for key, item in entries.items():
            cache.set(key, item, expire=1e6 if key.endswith("9") else None)
        for key in list(entries)[::13]:
            del cache[key]
            del entries[key]
    return Good((directory / "cache.db").read_bytes(), None, (entries,))


def look_at_peer(place: Path, good: Good, round_: Round, generator: random.Random) -> str | None:
    """Judge diskcache more mildly: every exception at all is a report, and so is every warning of its check()."""
    import warnings  # noqa: PLC0415

    import diskcache  # noqa: PLC0415

    missing, problem = False, None
    try:
        with diskcache.Cache(str(place), eviction_policy="none") as cache:
            for key, expected in good.states[0].items():
                try:
                    got = cache.get(key, MISSING)
                except Exception:
                    round_.count("reads that raised")
                    continue
                if got is MISSING:
                    missing = True
                    round_.count("entries that were missing")
                elif same(got, expected):
                    round_.count("values that were read")
                else:
                    problem = "a wrong value"
                    round_.count("values that were wrong")
            if problem or not missing:
                return problem
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if cache.check():
                    return None
            round_.count("files with a miss that check() does not report")
            return "a miss that check() does not report"
    except Exception:
        round_.count("files that were refused")
    return problem


CAMPAIGN = Campaign(
    name="damage",
    promise="A damaged value is never returned: reads give what was written, or raise, or miss what check() reports",
    unit="damaged files",
    run=run,
    ci=400,
    nightly=10_000,
    release=50_000,
    twins=(CHECKSUMS_OFF,),
    twin=200,
    peers=("diskcache",),
)
