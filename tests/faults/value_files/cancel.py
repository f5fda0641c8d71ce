"""Tasks that are cancelled while large values are written to files and read from them.

Each of them has made its step or not when its call ends, as of small values; besides, no file and no descriptor stays
behind, and no read gives a byte that was not written.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tests.faults.campaign import Campaign, Round
from tests.faults.cancel import CAMPAIGN as OF_SMALL_VALUES
from tests.faults.cancel import Crowd, run_crowds
from tests.faults.value_files.values import FILES_ABOVE, WrongValueError, body_of, leftovers, name_of

LENGTHS = (1000, 70_000, 120_000, 300_000)
SPARE_DESCRIPTORS = 24  # of connections, event loop and threads, which come and go


def open_descriptors() -> int:
    """Return how many descriptors this process has, 0 where that is not known."""
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


class LargeCrowd(Crowd):
    """Tasks that write and read large values, each under a key of its own and some under keys of all."""

    descriptors: int | None = None  # after the first crowd

    def verbs(self) -> list[Callable[[str], Awaitable[Any]]]:
        """Return what the tasks do."""
        return [
            self._set, self._many, self._block, self._modify, self._pop, self._incr, self._refused, self._transfer,
            self._read, self._read_shared, self._shared, self._shared,
        ]  # fmt: skip

    async def work(self, path: Path) -> None:
        """Run one crowd, and look at the files that it left behind, too."""
        await super().work(path)
        await self.store.vacuum()
        if problem := leftovers(path):
            self.round.fail(f"when all tasks have ended and all is collected: {problem}")
        if not (report := await self.store.check()).ok:
            self.round.fail(f"check() says {report.problems}")
        count = open_descriptors()
        self.descriptors = self.descriptors or count
        if count > self.descriptors + SPARE_DESCRIPTORS:
            self.round.fail(f"{count} descriptors are open, and {self.descriptors} were after the first crowd")

    def _value(self) -> bytes:
        return body_of(self.choose.randrange(2**40), self.choose.choice(LENGTHS))

    async def _set(self, key: str) -> None:
        await self.users.set(key, self._value())
        await self.users.set(key, self._value())

    async def _many(self, key: str) -> None:
        await self.users.set_many({key: self._value(), f"{key}x": self._value()})
        await self.users.delete_many([f"{key}x"])

    async def _block(self, key: str) -> None:
        async with self.store.atomic() as tx:
            tx.ns("users").set(key, self._value())
            await self.users.get(key)
            tx.ns("users").set(f"{key}x", self._value())
            tx.ns("users").delete(f"{key}x")

    async def _modify(self, key: str) -> None:
        await self.users.modify(key, lambda value: self._value(), default=b"")
        await self.users.modify(key, lambda value: self._value() if self._is_whole(value) else None)

    async def _pop(self, key: str) -> None:
        await self.users.add(key, self._value())
        value = await self.users.pop(key)
        self._is_whole(value)

    async def _refused(self, key: str) -> None:
        version = await self.users.set(key, self._value())
        await self.users.cas_set(key, self._value(), version + 1)

    async def _shared(self, key: str) -> None:
        await self.store.ns("shared").set(f"k{self.choose.randrange(3)}", self._value())

    async def _read_shared(self, key: str) -> None:
        value = await self.store.ns("shared").get(f"k{self.choose.randrange(3)}")
        if value is not None:
            self._is_whole(value)
        async for _, entry in self.store.ns("shared").scan():
            self._is_whole(entry.value)

    def _is_whole(self, value: bytes) -> bool:
        try:
            name_of(value)
        except WrongValueError as error:
            self.round.fail(f"a task read {error}")
        return True


def run(round_: Round) -> None:
    """Cancel `round_.size` tasks, crowd by crowd."""
    run_crowds(round_, LargeCrowd, files_above=FILES_ABOVE)


CAMPAIGN = Campaign(
    name="files-cancel",
    promise="A cancelled await of a large value leaves no file, no descriptor and no open transaction, and nothing "
    "that happens afterwards",
    unit="cancellations",
    run=run,
    ci=500,
    nightly=10_000,
    release=50_000,
    twins=OF_SMALL_VALUES.twins,
    twin=400,
)
