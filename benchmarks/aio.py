"""What writes of an asyncio program cost, alone and at once, against peers; `python benchmarks/aio.py [ROUNDS]`.

Every peer makes each write durable against the kill of the process, in WAL mode, before its await returns: so a write
is one commit of its own, unless the peer itself puts several that are awaited at once into one.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiosqlite
import diskcache

from sqlitedict_kv import AsyncStore, Store

AT_ONCE = 1000  # tasks
ALONE = 100  # calls, one after the other
DICT = {"name": "Ada Lovelace", "email": "ada@example.org", "age": 36, "tags": ["math", "engine"], "score": 9.75}

Write = Callable[[str], Awaitable[Any]]

UPSERT = "INSERT INTO kv (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"


async def connected(path: Path, **options: Any) -> aiosqlite.Connection:
    """Return a connection of aiosqlite to a new file."""
    connection = await aiosqlite.connect(path, **options)
    await connection.execute("PRAGMA journal_mode = WAL")
    await connection.execute("PRAGMA synchronous = NORMAL")
    await connection.execute("CREATE TABLE kv (key TEXT PRIMARY KEY, value BLOB NOT NULL)")
    await connection.commit()
    return connection


class Peers:
    """The stores of one run."""

    def __init__(self, directory: Path) -> None:
        """Make them below *directory*."""
        self._directory = directory

    async def open(self) -> None:
        """Open all of them."""
        self.ours = AsyncStore(self._directory / "ours.db", lru_bytes="64 MB")
        self._plain = Store(self._directory / "plain.db")
        self._raw = await connected(self._directory / "aiosqlite.db", isolation_level=None)
        self._usual = await connected(self._directory / "usual.db")
        self._cache = diskcache.Cache(str(self._directory / "diskcache"))

    async def close(self) -> None:
        """Close all of them."""
        await self.ours.close()
        self._plain.close()
        await self._raw.close()
        await self._usual.close()
        self._cache.close()

    def writes(self) -> dict[str, Write]:
        """Return how each of them writes the dict under a key."""
        ours, plain, raw, cache = self.ours.ns("n"), self._plain.ns("n"), self._raw, self._cache
        usual = self._usual

        async def with_aiosqlite(key: str) -> None:
            await raw.execute(UPSERT, (key, json.dumps(DICT)))  # a statement is a commit, in autocommit mode

        async def and_commit(key: str) -> None:  # as most programs have it; at once they commit for each other
            await usual.execute(UPSERT, (key, json.dumps(DICT)))
            await usual.commit()

        return {
            "AsyncStore": lambda key: ours.set(key, DICT),
            "Store, asyncio.to_thread": lambda key: asyncio.to_thread(plain.set, key, DICT),
            "aiosqlite, autocommit": with_aiosqlite,
            "aiosqlite, execute and commit": and_commit,
            "diskcache, asyncio.to_thread": lambda key: asyncio.to_thread(cache.set, key, DICT),
        }

    def reads(self) -> dict[str, Write]:
        """Return how each of them reads the dict under a key."""
        ours, plain, raw, cache = self.ours.ns("n"), self._plain.ns("n"), self._raw, self._cache

        async def with_aiosqlite(key: str) -> Any:
            async with raw.execute("SELECT value FROM kv WHERE key = ?", (key,)) as cursor:
                row = await cursor.fetchone()
            return None if row is None else json.loads(row[0])

        return {
            "AsyncStore": ours.get,
            "Store, asyncio.to_thread": lambda key: asyncio.to_thread(plain.get, key),
            "aiosqlite, autocommit": with_aiosqlite,
            "aiosqlite, execute and commit": with_aiosqlite,
            "diskcache, asyncio.to_thread": lambda key: asyncio.to_thread(cache.get, key),
        }


async def at_once(call: Write) -> float:
    """Return the microseconds a call takes among a thousand at once."""
    start = time.perf_counter()
    await asyncio.gather(*(call(f"key{number:06}") for number in range(AT_ONCE)))
    return (time.perf_counter() - start) / AT_ONCE * 1e6


async def alone(call: Write) -> float:
    """Return the microseconds a call takes alone, the median of some."""
    times = []
    for number in range(ALONE):
        start = time.perf_counter()
        await call(f"key{number:06}")
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


async def measure(directory: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Return the medians by operation and peer; in each round all peers have their turn."""
    peers = Peers(directory)
    await peers.open()
    timed: dict[str, dict[str, list[float]]] = {}
    operations = {
        "1,000 sets at once": (at_once, peers.writes()),
        "a lone set": (alone, peers.writes()),
        "1,000 gets at once": (at_once, peers.reads()),
        "a lone get": (alone, peers.reads()),
    }
    try:
        for name, (_, calls) in operations.items():
            for peer, call in calls.items():
                if name.endswith("gets at once") and await call("key000007") != DICT:
                    raise SystemExit(f"{peer}: does not do what is to be measured")
                await call("key000007")
                timed.setdefault(name, {})[peer] = []
        for _ in range(rounds):
            for name, (measured, calls) in operations.items():
                for peer, call in calls.items():
                    timed[name][peer].append(await measured(call))
    finally:
        await peers.close()
    return {name: {peer: statistics.median(times) for peer, times in row.items()} for name, row in timed.items()}


def main(rounds: int) -> None:
    """Time all of them in turn, and print medians and ratios."""
    with tempfile.TemporaryDirectory() as directory:
        medians = asyncio.run(measure(Path(directory), rounds))
    peers = list(next(iter(medians.values())))
    print("| us a call, median (times ours) |", " | ".join(peers), "|\n|---|" + "---:|" * len(peers))
    for name, row in medians.items():
        cells = (f"{row[peer]:.1f} ({row[peer] / row['AsyncStore']:.1f})" for peer in peers)
        print(f"| {name} |", " | ".join(cells), "|")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
