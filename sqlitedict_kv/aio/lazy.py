"""A store that its first use opens, and the threads that make its calls for tasks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from threading import Lock
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from sqlitedict_kv.aio.large_values import E, UnwrittenBody, defer, is_unwritten, write_files
from sqlitedict_kv.aio.worker import EDITS_PER_GROUP, Worker, WorkerCall
from sqlitedict_kv.codecs.registry import Codecs
from sqlitedict_kv.concurrency.cancellation import in_thread
from sqlitedict_kv.concurrency.fork import forgets_after_fork
from sqlitedict_kv.engines.protocol import Edit, Layout, Put
from sqlitedict_kv.errors import StoreClosedError
from sqlitedict_kv.namespace import Namespace, NamespaceReader
from sqlitedict_kv.operations import optional
from sqlitedict_kv.operations.context import Defaults, Origin, StoreContext
from sqlitedict_kv.operations.memoize_modes import Modes
from sqlitedict_kv.options import Settings, StoreOptions, address_to_pickle, check_options
from sqlitedict_kv.store import Store

T = TypeVar("T")


class OpenStore:
    """A store that is open, and its threads.

    Reads have a thread of their own: they need no lock of the file, and should not wait behind writes that do.
    """

    def __init__(self, store: Store) -> None:
        """Make the calls of *store*."""
        self.store = store
        self.context: StoreContext = store._context  # noqa: SLF001 - this is its other face
        self.keeps_files = self.context.stage is not None
        self.deferring = self.context.with_stage(defer)  # what makes edits that a thread has yet to write files for
        self.readers = Worker("sqlitedict_kv reads", self.context)
        self.writers = Worker("sqlitedict_kv writes", self.context)

    async def read(self, function: Callable[..., T], *arguments: Any) -> T:
        """Return what a function returns that reads a little."""
        result: T = await self.readers.call(partial(function, *arguments))
        return result

    def commit(self, edits: Sequence[Edit]) -> Awaitable[list[int | None]]:
        """Apply edits in order, all or none; see :meth:`Engine.commit`."""
        if self.keeps_files:
            for edit in edits:
                if type(edit) is Put and type(edit.body) is UnwrittenBody:
                    return self._write_and_commit(edits)
        if len(edits) <= EDITS_PER_GROUP:
            return self.writers.submit(WorkerCall(None, edits))
        context = self.context
        return self.write(lambda: context.engine.commit(edits, context.now()))

    async def _write_and_commit(self, edits: Sequence[Edit]) -> list[int | None]:
        return await self.commit(await self.write_files(edits))

    async def write_files(self, edits: Sequence[E]) -> Sequence[E]:
        """Return edits whose large values are in files, written by a thread of their own: other writes go on."""
        if not any(map(is_unwritten, edits)):
            return edits
        return await in_thread(lambda: write_files(self.context, edits))

    async def write(self, function: Callable[..., T], *arguments: Any) -> T:
        """Return what a function returns that writes by itself, behind the commits that were asked for before."""
        result: T = await self.writers.call(partial(function, *arguments))
        return result

    async def close(self) -> None:
        """Close the store behind the commits that were asked for before."""
        try:
            await self.write(self.store.close)
        finally:
            self.readers.stop()
            self.writers.stop()


class LazyStore:
    """A store that is opened by its first use, in a thread.

    Attributes:
        label: its path, or its address without the password.
        codecs: its codecs.
        clock: returns the Unix time in seconds.
        opened: the open store; None before it is open.
        origin: by which it is pickled.
        modes: those of memoized functions.
    """

    def __init__(self, make_store: Callable[[], Store], label: str, codecs: Codecs, clock: Callable[[], float]) -> None:
        """Get the store from *make_store*, called once; the others are what it will have."""
        self._make_store = make_store
        self.forget_after_fork()
        forgets_after_fork(self)
        self._closed = False
        self._layouts: dict[str, Layout] = {}  # of namespaces, asked for before the store was open
        self.origin: Origin | None = None
        self.modes = Modes()
        self.label = label
        self.codecs = codecs
        self.clock = clock
        self.opened: OpenStore | None = None

    def forget_after_fork(self) -> None:
        """Release the locks: the thread that opened the store is not in the child."""
        self._lock = Lock()
        self._layouts_lock = Lock()  # held for moments only, by callers that may not wait for the store to open

    @classmethod
    def over(cls, store: Store) -> LazyStore:
        """Return one for a store that is open."""
        opened = OpenStore(store)
        context = opened.context
        lazy = cls(lambda: store, context.engine.label, context.codecs, context.clock)
        lazy.opened, lazy.origin, lazy.modes = opened, context.origin, context.modes
        return lazy

    @classmethod
    def of(cls, settings: Settings, prepare: Callable[[], object] = bool) -> LazyStore:
        """Return one for checked arguments of a store; *prepare* is called before it is opened."""

        def make_store() -> Store:
            prepare()
            return Store._of(settings)  # noqa: SLF001 - its other face

        lazy = cls(make_store, settings.label, settings.codecs, settings.clock)
        address, obstacle = address_to_pickle(settings)
        lazy.origin = Origin(Store._context_at, address, settings.given, obstacle)  # noqa: SLF001 - likewise
        if address is not None:
            NEWEST_LAZY[address] = lazy
        return lazy

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the address and the options of the store; raise TypeError where that is not possible."""
        if self.origin is None:
            raise TypeError(f"a view of {self.label} cannot be pickled, for what it is part of cannot be")
        return lazy_at, self.origin.arguments()

    def newer(self) -> LazyStore | None:
        """Return a store that was made later at the same address, None if there is none."""
        newest = None if self.origin is None or self.origin.path is None else NEWEST_LAZY.get(self.origin.path)
        return None if newest is self else newest

    async def open_for_task(self) -> OpenStore:
        """Return the open store."""
        opened = self.opened
        return opened if opened is not None else await in_thread(self.open)

    def open(self) -> OpenStore:
        """Return the open store; it may block."""
        with self._lock:
            if self._closed:
                raise StoreClosedError(f"the store at {self.label} is closed")
            if self.opened is None:
                opened = OpenStore(self._make_store())
                opened.context.modes = self.modes
                with self._layouts_lock:  # so that each layout is known before its namespace is used
                    for name, layout in self._layouts.items():
                        optional.declare(opened.context.engine, name, layout)
                    self.opened = opened
            return self.opened

    def declare(self, name: str, layout: Layout) -> None:
        """Note how a namespace is to be made, without waiting; see :class:`LayoutEngine`."""
        with self._layouts_lock:
            if self.opened is None:
                self._layouts[name] = layout
            else:
                optional.declare(self.opened.context.engine, name, layout)

    async def close(self) -> None:
        """Close the store behind the writes that were asked for; one that was never opened is not made for that."""
        for name in [name for name, lazy in UNPICKLED.items() if lazy is self]:
            UNPICKLED.pop(name, None)
        if self.opened is None:
            await in_thread(self._shut)
        if self.opened is not None:
            await self.opened.close()

    def _shut(self) -> None:
        with self._lock:  # another thread may open it just now
            self._closed = self.opened is None


# The newest of each address that can be pickled, and those that came out of a pickle, as long as they are used.
NEWEST_LAZY: WeakValueDictionary[str, LazyStore] = WeakValueDictionary()
UNPICKLED: WeakValueDictionary[tuple[str, str], LazyStore] = WeakValueDictionary()


def lazy_at(address: str, options: StoreOptions) -> LazyStore:
    """Return a store that was pickled, which this process opens once as long as it is used."""
    name = address, repr(sorted(options.items()))
    lazy = UNPICKLED.get(name)
    if lazy is None:
        lazy = UNPICKLED[name] = LazyStore.of(check_options(address, options, "AsyncStore"))
    return lazy


def unpickle_view(cls: Any, lazy: LazyStore, name: str, defaults: tuple[Any, Any, Any], *more: Any) -> Any:
    """Return a view that was pickled; *more* are further arguments of its class."""
    return cls(lazy, name, Defaults.of(lazy.codecs, *defaults), *more)


class LazyNamespace(Namespace):
    """A namespace for code that may block; its first use opens the store.

    Until then its slots are empty, so that an open one costs nothing more than any namespace.
    """

    __slots__ = ("_lazy",)

    def __init__(self, lazy: LazyStore, name: str, defaults: Defaults) -> None:
        """Make a view of the store of *lazy*; the name is checked already."""
        self._lazy = lazy
        self._name = name
        self._defaults = defaults

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the store's address and options, with the name and the defaults."""
        return unpickle_view, (type(self), self._lazy, self._name, self._defaults.as_arguments())

    def __getattr__(self, slot: str) -> Any:
        """Fill the slots, of which one is empty."""
        if slot not in Namespace.__slots__ and slot not in NamespaceReader.__slots__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {slot!r}", name=slot, obj=self)
        Namespace.__init__(self, self._lazy.open().context, self._name, self._defaults)
        return getattr(self, slot)
