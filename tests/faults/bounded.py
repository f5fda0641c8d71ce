"""Descriptors, memory, threads and the log stay bounded, while threads come and go and readers stop half-way."""

from __future__ import annotations

import gc
import json
import os
import random
import sqlite3
import threading
from itertools import islice
from unittest.mock import patch

from sqlitedict_kv import Store
from sqlitedict_kv.engines.sqlite.checkpoint import BACKLOG_PAGES
from sqlitedict_kv.engines.sqlite.connection import Connection
from tests.faults.campaign import Campaign, Round, UnavailableError

LEAK = "connections are not closed"
READER = "a reader that never ends"
CREW = 8
PAGE = 4096
DESCRIPTORS = 3 * CREW  # of the file, its log and its index: SQLite keeps them while a lock is held
LOG = 3 * BACKLOG_PAGES * PAGE
MEMORY = 48 * 2**20


def run(round_: Round) -> None:
    """Let threads come and go in a process of its own, which measures itself."""
    if not os.path.isdir("/proc/self/fd"):
        raise UnavailableError("this system does not tell which descriptors are open")
    from tests.support.processes import Worker  # noqa: PLC0415 - beside its only use

    code = "from tests.faults import bounded; say(bounded.work(*sys.argv[1:]))"
    path = round_.directory / "bounded.db"
    with Worker(code, path, round_.seed, round_.size, round_.sabotage or "") as worker:
        answer = json.loads(worker.hear())
    for what, number in answer["figures"].items():
        round_.count(what, number)
    if answer["problem"]:
        round_.fail(answer["problem"])


def work(path: str, seed: str, size: str, sabotage: str) -> str:
    generator = random.Random(int(seed))
    kept: list[object] = []
    closing = (
        patch.object(Connection, "sleep", lambda connection: kept.append(connection.raw)) if sabotage == LEAK else None
    )
    if closing:
        closing.start()
    store = Store(path, lru_bytes="1 MB")
    n = store.ns("n")
    n.set_many({f"key {number:04}": "x" * 800 for number in range(2000)})
    if sabotage == READER:
        reader = sqlite3.connect(path)
        kept.append(reader.execute("SELECT * FROM kv"))
        next(kept[-1])
    halves = [iterator for _ in range(5) for iterator in (iter(n), n.scan(), iter(n.items()))]
    for half in halves:
        next(half)
    base, started, early, problem = descriptors(path), 0, 0, None
    while started < int(size) and problem is None:
        crew = [threading.Thread(target=churn, args=(store, path, generator.getrandbits(32))) for _ in range(CREW)]
        for thread in crew:
            thread.start()
        for thread in crew:
            thread.join()
        started += CREW
        gc.collect()
        if started >= int(size) // 3:
            early = early or memory()
        problem = excess(path, base, early)
    if problem is None:
        halves.clear()
        store.close()
        gc.collect()
        if descriptors(path) or os.listdir(os.path.dirname(path)) != [os.path.basename(path)]:
            problem = "a closed store leaves descriptors or files"
    return json.dumps({"figures": {"threads": started}, "problem": problem})


def churn(store: Store, path: str, seed: int) -> None:
    """Do a little of everything, and leave some of it unfinished."""
    generator = random.Random(seed)
    n = store.ns("n")
    for _ in range(3):
        key = f"key {generator.randrange(2000):04}"
        n[key] = "y" * generator.randrange(2000)
        n.get(f"key {generator.randrange(2000):04}")
        list(islice(n.scan(key), 3))
        match generator.randrange(6):
            case 0:
                store.stats()
            case 1:
                store.ns("large")["k"] = bytes(400_000)
            case 2:
                Store(path).ns("n").get(key)  # and nobody closes it
            case 3:
                store.sync()
            case 4:
                n.set_many({f"key {number:04}": "z" * 500 for number in range(200)})
            case _:
                n.modify(key, str.upper)


def excess(path: str, base: int, early: int) -> str | None:
    """Return what has grown beyond its bound."""
    figures = {
        "descriptors": (descriptors(path), base + DESCRIPTORS),
        "bytes of the log": (os.stat(f"{path}-wal").st_size, LOG),
        "bytes of memory": (memory(), early + MEMORY if early else 2**62),
        "threads": (threading.active_count(), 1),
    }
    grown = [f"{number} {what}, {most} at most" for what, (number, most) in figures.items() if number > most]
    return ", ".join(grown) or None


def descriptors(path: str) -> int:
    count = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{name}").startswith(path)
        except FileNotFoundError:  # that of the directory itself
            continue
    return count


def memory() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


CAMPAIGN = Campaign(
    name="bounded",
    promise="Descriptors, memory, threads and the log stay bounded while threads come and go and readers stop half-way",
    unit="threads",
    run=run,
    ci=400,
    nightly=20_000,
    release=100_000,
    twins=(LEAK, READER),
)
