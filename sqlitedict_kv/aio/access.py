"""The way from tasks to a store: who opens it, and in which threads its calls are made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock
from typing import Any, TypeVar

from sqlitedict_kv.aio.lane import Lane
from sqlitedict_kv.codecs import Codecs
from sqlitedict_kv.core import Core
from sqlitedict_kv.engine import Edit
from sqlitedict_kv.errors import StoreClosedError
from sqlitedict_kv.store import Store
from sqlitedict_kv.tasks import in_thread

T = TypeVar("T")


class Access:
    """A store that is open, and the threads that ask it for tasks.

    Reads have a thread of their own: they wait for no lock of the file, and should not wait behind who does.
    """

    def __init__(self, store: Store) -> None:
        """Ask *store*."""
        self.store = store
        self.core: Core = store._core  # noqa: SLF001 - this is its other face
        self.quick = self.core.at_once()
        self.readers = Lane("sqlitedict_kv reads")
        self.writers = Lane("sqlitedict_kv writes")

    async def read(self, function: Callable[..., T], *arguments: Any) -> T:
        """Return what a function returns that reads a little."""
        result: T = await self.readers.perform(partial(function, *arguments))
        return result

    async def commit(self, edits: Sequence[Edit]) -> list[int | None]:
        """Apply edits in order, all or none; see :meth:`Engine.commit`."""
        core = self.core
        versions: list[int | None] = await self.writers.perform(lambda: core.engine.commit(edits, core.now()))
        return versions

    async def write(self, function: Callable[..., T], *arguments: Any) -> T:
        """Return what a function returns that writes by itself, behind the commits that were asked for before."""
        result: T = await self.writers.perform(partial(function, *arguments))
        return result


class Door:
    """Lets everybody in to a store, which the first one who comes opens."""

    def __init__(self, store: Callable[[], Store], codecs: Codecs, label: str) -> None:
        """Get the store from *store*, called once in a thread; *codecs* are those that it will have."""
        self._store = store
        self._lock = Lock()
        self._closed = False
        self.codecs = codecs
        self.label = label
        self.access: Access | None = None

    @classmethod
    def to(cls, store: Store) -> Door:
        """Return the door to a store that is open."""
        access = Access(store)
        door = cls(lambda: store, access.core.codecs, access.core.engine.label)
        door.access = access
        return door

    async def enter(self) -> Access:
        """Return the access to the store."""
        access = self.access
        return access if access is not None else await in_thread(self._open)

    def _open(self) -> Access:
        with self._lock:
            if self._closed:
                raise StoreClosedError(f"the store at {self.label} is closed")
            if self.access is None:
                self.access = Access(self._store())
            return self.access

    async def close(self) -> None:
        """Close the store behind the writes that were asked for; one that was never opened is not made for that."""
        if self.access is None:
            await in_thread(self._shut)
        if self.access is not None:
            await self.access.write(self.access.store.close)

    def _shut(self) -> None:
        with self._lock:  # held by whoever opens it just now
            self._closed = self.access is None
