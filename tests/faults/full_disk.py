"""A full disk: a small file system fills up under a store, stays full for a while, and gets room again."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

from sqlitedict_kv import KVError, Store, StoreFullError
from sqlitedict_kv.engines.sqlite import checkpoint, limits
from tests.faults.campaign import Campaign, Round, UnavailableError
from tests.faults.io_errors import BrokenPromiseError, break_store, difference, say
from tests.faults.syscalls import PATHS, lines_of
from tests.faults.workload import Content, Step, after, content_of, do, steps_of
from tests.support.processes import Worker

DISK_KIB = 3_000  # too small for what is written
WRITES = 40  # of a disk that is full; about half of them need room
WEIGHTS = {"set": 10, "set_many": 4, "atomic": 4, "delete": 6, "clear": 1, "sync": 2}
CHECKPOINT_PAGES = 100

# With a limit the file system has room for the file, and for the log until its checkpoint.
LIMIT_KIB = 2_000
LOG_KIB = 4 * (checkpoint.BACKLOG_PAGES + 500)
WRITTEN_BYTES = 20_000_000


def break_more(sabotage: str) -> None:
    """Break the store of this process in one way, or not at all."""
    break_store(sabotage)
    if sabotage == "nothing is evicted":
        limits.Limits._evict_bytes = lambda self, limit, size: None


def fill(directory: str, seed: str, sabotage: str) -> None:
    """Fill the disk, use a store on it, make room, and print what did not hold."""
    break_more(sabotage)
    random = Random(int(seed))
    checkpoint.BACKLOG_PAGES = CHECKPOINT_PAGES
    ballast = Path(directory) / "ballast"
    path = Path(directory) / "store.db"
    figures: Counter[str] = Counter()
    try:
        with Store(path, durability=random.choice(("process", "power"))) as store:
            steps = steps_of(int(seed), 200 + WRITES, WEIGHTS)
            content: Content = frozenset()
            for step in steps[: random.randint(5, 200)]:
                do(store, step)
                content = after(content, step)
            take_all_space(ballast, leave=random.choice((0, 4096, 20_000, 100_000)))
            for step in steps[200:]:
                content = _try(store, step, content, figures)
            os.unlink(ballast)
            _compare(store, content, "with room again there was")
            last = ("set", steps[-1][1][:1])
            do(store, last)
            content = after(content, last)
        with Store(path) as store:
            _compare(store, content, "after it was opened again there was")
            report = store.check()
            if not report.ok:
                raise BrokenPromiseError(f"damaged: {report.problems}")
    except BrokenPromiseError as problem:
        say(json.dumps({"problem": str(problem)}))
    except KVError as error:
        say(json.dumps({"problem": f"where nothing may fail there was {error!r}"}))
    say(json.dumps({"figures": figures}))


def take_all_space(ballast: Path, leave: int) -> None:
    """Write until nothing fits any more, and give back a little."""
    with ballast.open("wb", buffering=0) as file:
        for size in (65_536, 4096):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))
        file.truncate(max(0, file.tell() - leave))


def _try(store: Store, step: Step, content: Content, figures: Counter[str]) -> Content:
    """Take a step that may be refused; return the content after it."""
    verb = step[0]
    try:
        do(store, step)
    except StoreFullError as error:
        if not isinstance(error, OSError):
            raise BrokenPromiseError("StoreFullError is no OSError") from error
        figures["refusals"] += 1
        figures[f"{verb} refused"] += 1
    except Exception as error:
        raise BrokenPromiseError(f"{verb} on a full disk raised {error!r}") from error
    else:
        figures["writes that still fitted"] += 1
        content = after(content, step)
    _compare(store, content, f"after {verb} on a full disk there was")
    return content


def _compare(store: Store, content: Content, what: str) -> None:
    found = content_of(store)
    if found != content:
        raise BrokenPromiseError(f"{what} {difference(found, content)}")


def evict(directory: str, seed: str, sabotage: str) -> None:
    """Write ten times what fits into a store with a limit, whose disk must never fill."""
    break_more(sabotage)
    random = Random(int(seed))
    written = 0
    try:
        with Store(Path(directory) / "store.db", max_bytes=LIMIT_KIB * 1024) as store:
            ns = store.ns("n")
            while written < WRITTEN_BYTES:
                size = random.choice((100, 1000, 10_000, 50_000))
                ns[f"k{random.randrange(100_000)}"] = bytes(size)
                written += size
            if store.stats().bytes_on_disk > LIMIT_KIB * 1024:
                say(json.dumps({"problem": f"the file has {store.stats().bytes_on_disk} bytes"}))
            evicted = store.stats().evicted
        say(json.dumps({"figures": {"evicted": evicted}}))
    except StoreFullError as error:
        say(json.dumps({"problem": f"a store with a limit filled its disk after {written} bytes: {error}"}))


@contextmanager
def small_disk(directory: Path, kib: int) -> Iterator[None]:
    """Mount a file system of that size."""
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(directory)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise UnavailableError(f"a small file system cannot be mounted: {error}") from error
    if done.returncode:
        raise UnavailableError(f"a small file system cannot be mounted, which needs root: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)
        directory.rmdir()


def run(round_: Round) -> None:
    """Fill small disks in processes of their own."""
    random = Random(round_.seed)
    _one(round_, "evict", LIMIT_KIB + LOG_KIB, random.randrange(2**30))
    while round_.figures["refusals"] < round_.size:
        _one(round_, "fill", DISK_KIB, random.randrange(2**30))


def _one(round_: Round, work: str, kib: int, seed: int) -> None:
    disk = round_.directory / "disk"
    code = f"from tests.faults.full_disk import {work}; {work}(*sys.argv[1:]); say('end')"
    with small_disk(disk, kib), Worker(code, disk, seed, round_.sabotage, variables=PATHS, measured=False) as worker:
        lines = [json.loads(line) for line in lines_of(worker)]
    round_.count("disks")
    for line in lines:
        if "problem" in line:
            round_.fail(f"{work} {seed}: {line['problem']}")
        for what, number in line["figures"].items():
            round_.count(what, number)


CAMPAIGN = Campaign(
    name="full-disk",
    promise=(
        "A write for which there is no room is refused and loses nothing, reads go on, the store works again as soon "
        "as there is room, and one with max_bytes never fills the disk that it was measured for."
    ),
    unit="refusals",
    run=run,
    ci=150,
    nightly=5_000,
    release=20_000,
    twins=("a failed write is acknowledged", "no transaction", "nothing is evicted"),
)
