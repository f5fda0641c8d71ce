"""A store: any number of namespaces, in one file or on servers."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack, overload
from weakref import WeakValueDictionary

from sqlitedict_kv.engines.layout import check_layout
from sqlitedict_kv.engines.protocol import Capabilities
from sqlitedict_kv.exclusive import Exclusive, exclusively
from sqlitedict_kv.memoization.decorator import Decorator, Memoize
from sqlitedict_kv.memoization.result_store import ResultStore
from sqlitedict_kv.namespace import Namespace, make_namespace
from sqlitedict_kv.open_engine import open_engine
from sqlitedict_kv.operations import optional
from sqlitedict_kv.operations.administration import StoreAdministration
from sqlitedict_kv.operations.context import Defaults, Origin, StoreContext, note_newest
from sqlitedict_kv.operations.type_variables import K, T
from sqlitedict_kv.operations.view_options import LayoutOptions
from sqlitedict_kv.options import MEMORY, Settings, StoreOptions, address_to_pickle, check_options, with_store_options
from sqlitedict_kv.transaction import Transaction
from sqlitedict_kv.validation import (
    Duration,
    check_namespace,
)

if TYPE_CHECKING:
    import builtins

    from sqlitedict_kv.engines.optional import Quarantine
    from sqlitedict_kv.engines.registry import Client
    from sqlitedict_kv.memoization.inventory import MemoizedResults


# Contexts that were opened by unpickling, by address and options.
UNPICKLED: WeakValueDictionary[tuple[str, str], StoreContext] = WeakValueDictionary()


@with_store_options
class Store(StoreAdministration):
    """A persistent, versioned, namespaced dict in one SQLite file, or on servers of Valkey or Redis.

    Any number of threads and processes may use the same file or servers at the same time. A store works on both
    sides of a fork, and as a context manager it closes itself. :attr:`capabilities` says what a kind of store cannot
    do.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | Client = MEMORY,
        **options: Unpack[StoreOptions],
    ) -> None:
        """Open a file, made if there is none, or private memory, or connect to servers.

        Args:
            path: the file; ``":memory:"``, the default, is memory that this object alone uses. Or the address of
                servers, ``"valkey://host:6379/0"``: ``valkeys://`` is with TLS, ``redis://`` and ``rediss://`` are the
                same, ``unix://`` is a socket; ``valkey+cluster://host1,host2,host3`` is a cluster, and
                ``valkey+sentinel://host1,host2/service`` asks Sentinels. Behind a question mark it may carry *confirm*,
                *lru_bytes*, *lru_staleness*, *prefix* and *timeout*: ``"valkey://host?confirm=1"``. Or a
                ``redis.Redis`` or ``redis.RedisCluster`` of your own, which is not closed.
            **options: those of :class:`StoreOptions`.

        Raises:
            TypeError, ValueError: an argument is not as described, or unknown.
            UnsupportedError: an option is not for this kind of store; nothing was touched.
            OpenError: the path cannot be opened as a store; its subclasses say why.
            UnreachableError: no server answered for the whole timeout.
            ImportError: servers need redis-py, which is not installed.
        """
        self._open(check_options(path, options, type(self).__name__))

    @classmethod
    def _of(cls, settings: Settings) -> Self:
        """Open a store by options that are checked already."""
        store = cls.__new__(cls)
        store._open(settings)  # noqa: SLF001 - a second way to make one
        return store

    def _open(self, settings: Settings) -> None:
        engine, lru = open_engine(settings)
        stage = optional.staging(engine, settings.codecs, settings.max_file_bytes)
        self._share(StoreContext(engine, settings.codecs, settings.clock, settings.max_value_bytes, lru, stage))
        address, obstacle = address_to_pickle(settings)
        self._context.origin = Origin(Store._context_at, address, settings.given, obstacle)
        if address is not None:
            note_newest(address, self._context)

    @staticmethod
    def _context_at(address: str, options: StoreOptions) -> StoreContext:
        """Return the context of a store that was pickled, which this process opens once as long as it is used."""
        name = address, repr(sorted(options.items()))
        context = UNPICKLED.get(name)
        if context is None:
            context = UNPICKLED[name] = Store(address, **options)._context  # noqa: SLF001 - its own
        return context

    @classmethod
    def _at(cls, address: str, options: StoreOptions) -> Self:
        """Return a store that was pickled."""
        store = cls.__new__(cls)
        store._share(cls._context_at(address, options))  # noqa: SLF001 - a third way to make one
        return store

    def _share(self, context: StoreContext) -> None:
        self._context, self._engine = context, context.engine
        self._result_stores: dict[str, ResultStore] = {}

    @property
    def quarantined(self) -> Quarantine | None:
        """How a damaged file was replaced when this store was opened; None if it was not."""
        return optional.quarantine_of(self._engine)

    @property
    def clock(self) -> Callable[[], float]:
        """The clock that decides what has expired; it returns the Unix time in seconds."""
        return self._context.clock

    @property
    def capabilities(self) -> Capabilities:
        """What this kind of store can do; what it cannot raises UnsupportedError."""
        return self._engine.capabilities

    @overload
    def ns(self, name: str, **options: Unpack[LayoutOptions]) -> Namespace: ...
    @overload
    def ns(self, name: str, *, type: builtins.type[T], **options: Unpack[LayoutOptions]) -> Namespace[str, T]: ...
    @overload
    def ns(self, name: str, *, type: Any, **options: Unpack[LayoutOptions]) -> Namespace[str, Any]: ...
    @overload
    def ns(self, name: str, *, keys: builtins.type[K], **options: Unpack[LayoutOptions]) -> Namespace[K]: ...
    @overload
    def ns(
        self, name: str, *, keys: builtins.type[K], type: builtins.type[T], **options: Unpack[LayoutOptions]
    ) -> Namespace[K, T]: ...
    @overload
    def ns(
        self, name: str, *, keys: Any = str, type: Any = None, **options: Unpack[LayoutOptions]
    ) -> Namespace[Any, Any]: ...
    def ns(
        self,
        name: str,
        *,
        keys: Any = str,
        type: Any = None,  # noqa: A002 - so it reads in a call
        ttl: Duration | None = None,
        content_type: str | None = None,
        mapped: bool = False,
        shards: int | None = None,
        ordered: bool | None = None,
    ) -> Namespace[Any, Any]:
        """Return a namespace as a mapping; it exists as soon as it has an entry.

        Args:
            name: 1 to 255 bytes of UTF-8.
            keys: the type of the keys: ``int``, ``float``, ``bytes``, ``bool``, ``date``, ``datetime``, ``time``,
                ``UUID``, a tuple of such as ``tuple[str, int]``, a union, or ``object`` for all of these and what
                MessagePack keeps. Keys are in their own order. In the file, and for a namespace without ``keys``, a
                key is the text that :mod:`sqlitedict_kv.codecs.key_encoding` describes.
            type: the type of the values, such as ``User``, ``list[User]`` or ``User | None``; the classes that it and
                the fields of its classes name are allowed, and values of other types are refused on writing and on
                reading. None is any value that the store keeps.
            ttl: seconds, a timedelta, or text such as ``"30 min"``, until an entry expires where a write does not say;
                None is never.
            content_type: how values are encoded where a write does not say; None is what fits each.
            mapped: map values in files of their own instead of reading them, as ``get(mapped=True)`` does.
            shards: how many parts of a cluster keep it, 1 to 1024, from its first entry on, forever; None is as it is
                there, and 1 for a new one. A file keeps it whole.
            ordered: whether its keys are listed in order on servers, likewise; None is as it is there, and True for a
                new one. False takes less memory, and its keys cannot be listed. A file always lists them.

        Raises:
            TypeError: keys of the type *keys* cannot be kept.
            LayoutError: (when it is used) it was made with other *shards*, or other than *ordered*.
        """
        defaults = Defaults.of(self._context.codecs, ttl, content_type, type, mapped)
        checked, layout = check_namespace(name), check_layout(shards, ordered)
        if layout is not None:
            optional.declare(self._engine, checked, layout)
        return make_namespace(self._context, checked, defaults, keys)

    def atomic(self) -> Transaction:
        """Return a context manager that records checks and edits, and commits all of them or none."""
        return Transaction(self._context)

    def exclusive(self) -> AbstractContextManager[Exclusive]:
        """Return a context manager that holds the write lock, for code that must read, decide and write alone.

        Others read meanwhile, and see all of the block's writes at its end, or none if it raises; their writes wait.
        Prefer :meth:`atomic`, which lets nobody wait, wherever the code can begin again after a ConflictError. Use
        what the block is given: writes through the store itself would wait for it. Do not fork in it.

        Raises:
            StoreBusyError: others held the lock for the whole timeout.
            UnsupportedError: the store is in memory or on servers.
            RuntimeError: this thread is in such a block.
        """
        return exclusively(self._context)

    @property
    def memoize(self) -> Memoize[Decorator]:
        """Keeps the results of functions: ``@store.memoize(ttl=60)``; see :class:`Memoize`."""
        return Memoize(self._result_store, self._context.modes)

    def memoized(self, namespace: str = "memoize") -> MemoizedResults:
        """Return what is kept of functions: iterate it, or ask for ``calls(...)``, or ``forget(function="app.f")``."""
        from sqlitedict_kv.memoization.inventory import MemoizedResults  # noqa: PLC0415 - for people, not for programs

        return MemoizedResults(self._context, check_namespace(namespace, "namespace"))

    def _result_store(self, ns: str | None) -> ResultStore:
        name = "memoize" if ns is None else check_namespace(ns, "ns")
        place = self._result_stores.get(name)
        if place is None:
            place = self._result_stores[name] = self.ns(name)._result_store(None)  # noqa: SLF001 - a view of this store
        return place

    def close(self) -> None:
        """Close the file, or the connections; later calls raise StoreClosedError. Closing twice is fine."""
        self._engine.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as address and options; a store in memory, or with a password in its address, raises TypeError."""
        assert self._context.origin is not None
        return type(self)._at, self._context.origin.arguments()  # noqa: SLF001 - its own

    def __enter__(self) -> Self:
        """Return the store itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the store."""
        self.close()

    def __repr__(self) -> str:
        """Return the path, or the address without its password."""
        return f"<Store {self._engine.label!r}>"
