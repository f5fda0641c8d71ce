"""The way from tasks to a store: who opens it, and in which threads its calls are made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from threading import Lock
from typing import Any, NamedTuple, TypeVar, cast

from sqlitedict_kv.aio.worker import EDITS_PER_GROUP, Worker, WorkerCall
from sqlitedict_kv.codecs.registry import Codecs
from sqlitedict_kv.concurrency.cancellation import in_thread
from sqlitedict_kv.concurrency.fork import forgets_after_fork
from sqlitedict_kv.engines.protocol import Edit, Engine, Value
from sqlitedict_kv.errors import StoreClosedError
from sqlitedict_kv.operations.context import StoreContext
from sqlitedict_kv.store import Store
from sqlitedict_kv.validation import Layout

T = TypeVar("T")


class Access:
    """A store that is open, and the threads that ask it for tasks.

    Reads have a thread of their own: they wait for no lock of the file, and should not wait behind who does.
    """

    def __init__(self, store: Store) -> None:
        """Ask *store*."""
        self.store = store
        self.core: StoreContext = store._context  # noqa: SLF001 - this is its other face
        self.quick = self.core.at_once()
        self.readers = Worker("sqlitedict_kv reads", self.core)
        self.writers = Worker("sqlitedict_kv writes", self.core)

    async def read(self, function: Callable[..., T], *arguments: Any) -> T:
        """Return what a function returns that reads a little."""
        result: T = await self.readers.perform(partial(function, *arguments))
        return result

    def commit(self, edits: Sequence[Edit]) -> Awaitable[list[int | None]]:
        """Apply edits in order, all or none; see :meth:`Engine.commit`."""
        if len(edits) <= EDITS_PER_GROUP:
            return self.writers.answer_to(WorkerCall(None, edits))
        context = self.core
        return self.write(lambda: context.engine.commit(edits, context.now()))

    async def write(self, function: Callable[..., T], *arguments: Any) -> T:
        """Return what a function returns that writes by itself, behind the commits that were asked for before."""
        result: T = await self.writers.perform(partial(function, *arguments))
        return result

    async def close(self) -> None:
        """Close the store behind the commits that were asked for before."""
        try:
            await self.write(self.store.close)
        finally:
            self.readers.leave()
            self.writers.leave()


class LateEngine:
    """Stands for the engine of a store that its first call opens, for callers that may block."""

    def __init__(self, door: LazyStore) -> None:
        """Be the engine of the store behind *door*."""
        self._door = door
        self.label = door.label

    def read_value(self, namespace: str, key: str) -> Value | None:
        """Read as the engine does; here by name, for a StoreContext takes hold of this verb before anything is open."""
        return self._door.open().core.engine.read_value(namespace, key)

    def __getattr__(self, name: str) -> Any:
        """Return the verb of the engine itself."""
        return getattr(self._door.open().core.engine, name)


class Late(NamedTuple):
    """What is known of a store before it is open; see :class:`StoreContext`."""

    label: str
    codecs: Codecs
    clock: Callable[[], float]
    max_value_bytes: int


class LazyStore:
    """Lets everybody in to a store, which the first one who comes opens."""

    def __init__(self, store: Callable[[], Store], settings: Late) -> None:
        """Get the store from *store*, called once in a thread; *settings* are those that it will have."""
        self._store = store
        self.forget_after_fork()
        forgets_after_fork(self)
        self._closed = False
        self._layouts: dict[str, Layout] = {}  # of namespaces, asked for before anything was open
        self.codecs = settings.codecs
        self.label = settings.label
        self.access: Access | None = None
        # The store for whoever may block, open or not.
        engine = cast("Engine", LateEngine(self))
        self.late_core = StoreContext(engine, settings.codecs, settings.clock, settings.max_value_bytes)

    def forget_after_fork(self) -> None:
        """Let callers in: whoever was opening the store is not in the child."""
        self._lock = Lock()
        self._layouts_lock = Lock()  # held for moments only, by callers that may not wait for the store to open

    @classmethod
    def to(cls, store: Store) -> LazyStore:
        """Return the door to a store that is open."""
        access = Access(store)
        context = access.core
        door = cls(lambda: store, Late(context.engine.label, context.codecs, context.clock, context.max_value_bytes))
        door.access = access
        return door

    async def enter(self) -> Access:
        """Return the access to the store."""
        access = self.access
        return access if access is not None else await in_thread(self.open)

    def open(self) -> Access:
        """Return the access to the store; it may block."""
        with self._lock:
            if self._closed:
                raise StoreClosedError(f"the store at {self.label} is closed")
            if self.access is None:
                access = Access(self._store())
                with self._layouts_lock:  # so that each layout is known before anybody uses its namespace
                    for name, layout in self._layouts.items():
                        access.core.engine.declare(name, layout.shards, ordered=layout.ordered)
                    self.access = access
            return self.access

    def declare(self, name: str, layout: Layout) -> None:
        """Note how a namespace is to be made, without waiting; see :meth:`Engine.declare`."""
        with self._layouts_lock:
            if self.access is None:
                self._layouts[name] = layout
            else:
                self.access.core.engine.declare(name, layout.shards, ordered=layout.ordered)

    async def close(self) -> None:
        """Close the store behind the writes that were asked for; one that was never opened is not made for that."""
        if self.access is None:
            await in_thread(self._shut)
        if self.access is not None:
            await self.access.close()

    def _shut(self) -> None:
        with self._lock:  # held by whoever opens it just now
            self._closed = self.access is None
