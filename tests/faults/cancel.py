"""Tasks that are cancelled at any point of any verb of the asynchronous face."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from reprlib import repr  # noqa: A004 - values may be large
from typing import Any

from sqlitedict_kv import AsyncStore, ConflictError, KVError, Store
from sqlitedict_kv.aio.lazy import OpenStore
from sqlitedict_kv.aio.worker import Worker, WorkerCall
from sqlitedict_kv.engines.sqlite.mutations import apply
from tests.faults.campaign import Campaign, Round

TASKS = 60  # at once
ACCOUNTS = 8
BALANCE = 100
PATIENCE = 60.0  # seconds for one crowd of tasks; longer is a hang
LONGEST_DELAY = 0.004  # seconds before a cancellation

UNBROKEN: dict[str, Any] = {"commit": OpenStore.commit, "withdraw": Worker._withdraw}


def run(round_: Round) -> None:
    """Cancel `round_.size` tasks, crowd by crowd."""
    run_crowds(round_, Crowd)


def run_crowds(round_: Round, crowd_of: type[Crowd], **options: Any) -> None:
    """Let crowds of one class work on a store with *options*, until so many tasks were cancelled."""
    _break(round_.sabotage)
    try:
        asyncio.run(_campaign(round_, crowd_of, options))
    finally:
        _break(None)


async def _campaign(round_: Round, crowd_of: type[Crowd], options: dict[str, Any]) -> None:
    choose = random.Random(round_.seed)
    path = round_.directory / "store.db"
    # What waits for the lock is cancelled there, too; what the twin leaves locked must not take a minute to be seen.
    async with AsyncStore(path, lru_bytes="1 MB", timeout=5.0, **options) as store:
        accounts = store.ns("accounts")
        await accounts.set_many({f"a{number}": BALANCE for number in range(ACCOUNTS)})
        crowd = crowd_of(round_, store, choose)
        while round_.figures[CAMPAIGN.unit] < round_.size:
            try:
                await asyncio.wait_for(crowd.work(path), PATIENCE)
            except TimeoutError:
                round_.fail(f"a crowd of tasks did not end in {PATIENCE} s")
            except (KVError, sqlite3.Error) as error:
                round_.fail(f"a verb raised {type(error).__name__}: {error}")


class Crowd:
    """Tasks of every kind, most of which are cancelled; each writes one key that is its own."""

    def __init__(self, round_: Round, store: AsyncStore, choose: random.Random) -> None:
        """Draw from *choose*."""
        self.round = round_
        self.store = store
        self.choose = choose
        self.users = store.ns("users")
        self.accounts = store.ns("accounts")
        self.begun = self.acknowledged = self.cancelled = 0  # increments of the counter
        self.number = 0

    def verbs(self) -> list[Callable[[str], Awaitable[Any]]]:
        """Return what the tasks do."""
        return [
            self._set, self._many, self._block, self._modify, self._pop, self._incr, self._incr, self._transfer,
            self._read,
        ]  # fmt: skip

    async def work(self, path: Path) -> None:
        """Run one crowd and look at what it left behind."""
        verbs = self.verbs()
        tasks = []
        for _ in range(TASKS):
            self.number += 1
            key = f"k{self.number}"
            tasks.append(asyncio.create_task(self._watched(key, self.choose.choice(verbs))))
        blocker = asyncio.create_task(self._hold_the_lock(path)) if self.choose.random() < 0.3 else None
        entries = await asyncio.gather(*tasks, return_exceptions=True)  # the store stays open until all have ended
        if blocker is not None:
            await blocker
        for entry in entries:
            if isinstance(entry, BaseException):
                raise entry
        seen = dict(entry for entry in entries if not isinstance(entry, BaseException))
        await self._look(path, seen)

    async def _watched(self, key: str, verb: Callable[[str], Awaitable[Any]]) -> tuple[str, Any]:
        """Make a call and perhaps cancel it; return the key with what it held when the call had ended."""
        task = asyncio.ensure_future(verb(key))
        kind = self.choose.random()
        turns, delay = self.choose.randrange(8), self.choose.random() * LONGEST_DELAY
        if kind < 0.45:
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
        elif kind < 0.9:
            await asyncio.sleep(delay)
            task.cancel()
            if self.choose.random() < 0.3:
                await asyncio.sleep(0)
                task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            self.round.count(CAMPAIGN.unit)
        except ConflictError:
            self.round.count("conflicts")
        # The store itself, and so neither the LRU nor a thread: nothing that was cancelled may happen after this.
        entry = self.store.sync_store.ns("users").get_with_meta(key)
        return key, None if entry is None else (entry.value, entry.meta.version)

    async def _look(self, path: Path, seen: dict[str, Any]) -> None:
        with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
            try:
                other.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                self.round.fail("all tasks have ended, and a transaction is open")
            other.execute("ROLLBACK")
        with Store(path) as fresh:
            for key, before in seen.items():
                entry = fresh.ns("users").get_with_meta(key)
                now = None if entry is None else (entry.value, entry.meta.version)
                if now != before:
                    self.round.fail(f"{key} was {repr(before)} when its call had ended, and is {repr(now)} now")
                if await self.users.get(key) != (None if now is None else now[0]):
                    self.round.fail(f"the LRU holds another value of {key} than the file")
            balances = fresh.ns("accounts").copy()
            total = fresh.ns("users").get("counter", 0)
        if sum(balances.values()) != ACCOUNTS * BALANCE:
            self.round.fail(f"a transfer was made by half: {balances}")
        if not self.acknowledged <= total <= self.acknowledged + self.cancelled:
            self.round.fail(f"{self.acknowledged} increments acknowledged, {self.cancelled} cancelled, sum {total}")
        await self.users.delete_many(seen)

    async def _hold_the_lock(self, path: Path) -> None:
        with closing(sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)) as other:
            await asyncio.to_thread(self._begin, other)
            await asyncio.sleep(LONGEST_DELAY)
            other.execute("ROLLBACK")

    def _begin(self, other: sqlite3.Connection) -> None:
        other.execute("BEGIN IMMEDIATE")

    # -- the verbs

    async def _set(self, key: str) -> None:
        await self.users.set(key, {"n": 1})
        await self.users.set(key, {"n": 2})

    async def _many(self, key: str) -> None:
        await self.users.set_many({key: 1, f"{key}x": 1})
        await self.users.delete_many([f"{key}x"])

    async def _block(self, key: str) -> None:
        async with self.store.atomic() as tx:
            tx.ns("users").set(key, 1)
            await self.users.get(key)
            tx.ns("users").set(f"{key}x", 1)
            tx.ns("users").delete(f"{key}x")

    async def _modify(self, key: str) -> None:
        async def slowly(value: int) -> int:
            await asyncio.sleep(0)
            return value + 1

        await self.users.modify(key, slowly, default=0)
        await self.users.get(key)
        await self.users.modify(key, slowly)

    async def _pop(self, key: str) -> None:
        await self.users.add(key, 1)
        await self.users.pop(key)

    async def _incr(self, key: str) -> None:
        try:
            await self.users.incr("counter")
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        self.acknowledged += 1

    async def _transfer(self, key: str) -> None:
        giver, taker = self.choose.sample(range(ACCOUNTS), 2)
        source, target = await self.accounts.get_with_meta(f"a{giver}"), await self.accounts.get_with_meta(f"a{taker}")
        async with self.store.atomic() as tx:
            edits = tx.ns("accounts")
            edits.check(f"a{giver}", source.meta.version)
            edits.check(f"a{taker}", target.meta.version)
            edits.set(f"a{giver}", source.value - 1)
            await asyncio.sleep(0)
            edits.set(f"a{taker}", target.value + 1)

    async def _read(self, key: str) -> None:
        async for _ in self.users.scan("k"):
            await self.users.get("counter")
        await self.users.list()


# -- twins


def _break(sabotage: str | None) -> None:
    """Let every store of this process work as it should, or break it."""
    OpenStore.commit = UNBROKEN["commit"]  # type: ignore[method-assign]
    Worker._withdraw = UNBROKEN["withdraw"]  # type: ignore[method-assign]
    if sabotage == "await inside of a transaction":
        OpenStore.commit = _commit_in_two_calls  # type: ignore[method-assign]
    elif sabotage == "a cancelled caller does not wait":
        Worker._withdraw = _let_go  # type: ignore[method-assign]


async def _commit_in_two_calls(store: OpenStore, edits: Any) -> list[int | None]:
    """Commit as a wrapper of a connection does that makes one call for each statement."""
    engine: Any = store.context.engine
    database = engine._database
    main = database.main

    def end() -> list[int | None]:
        with main.lock:
            try:
                versions = [apply(main.cursor, edit, store.context.now()) for edit in edits]
                main.cursor.execute("COMMIT")
            except BaseException:
                main.cursor.execute("ROLLBACK")
                raise
        return versions

    await store.write(lambda: database.run(lambda cursor: cursor.execute("BEGIN IMMEDIATE").fetchall()))
    return await store.write(end)


def _let_go(worker: Worker, call: WorkerCall) -> bool:
    """Raise the cancellation at once, whatever the thread does."""
    return True


CAMPAIGN = Campaign(
    name="cancel",
    promise="a cancelled await leaves no open transaction and no stale LRU, and nothing that happens afterwards",
    unit="cancellations",
    run=run,
    ci=500,
    nightly=20_000,
    release=100_000,
    twins=("await inside of a transaction", "a cancelled caller does not wait"),
)
