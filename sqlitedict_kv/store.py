"""A store: one file with any number of namespaces."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Literal, NamedTuple, Self

from sqlitedict_kv import arguments
from sqlitedict_kv.arguments import checked_content_type, checked_namespace, checked_optional_int, checked_ttl
from sqlitedict_kv.codecs import Codec
from sqlitedict_kv.core import Core, Defaults
from sqlitedict_kv.engine import CheckReport
from sqlitedict_kv.engines.sqlite import SQLiteEngine
from sqlitedict_kv.errors import KVError
from sqlitedict_kv.exclusive import Exclusive, exclusively
from sqlitedict_kv.lru import LRUStats, MarkedLRU
from sqlitedict_kv.memoize import Decorator, Memoize
from sqlitedict_kv.namespace import Namespace
from sqlitedict_kv.results import Place
from sqlitedict_kv.settings import MEMORY, Settings, checked_settings
from sqlitedict_kv.transaction import Transaction

if TYPE_CHECKING:
    from sqlitedict_kv.engines.sqlite.quarantine import Quarantine


class StoreStats(NamedTuple):
    """The figures of a store.

    Attributes:
        entries: how many entries can be read.
        expired: how many have expired and were not removed yet.
        namespaces: how many namespaces have entries.
        bytes_on_disk: the size of the database file, or of the memory that stands for it.
        free_bytes: what of it is free, for new entries.
        sqlite_version: the release of SQLite at work.
        durability: ``"process"`` or ``"power"``.
        hits: reads of this process that found something.
        misses: reads of this process that found nothing.
        evicted: entries that this process removed to keep max_bytes or max_entries.
        purged: expired entries that this process removed.
        lru: what the LRU in front did in this process; None if there is none.
    """

    entries: int
    expired: int
    namespaces: int
    bytes_on_disk: int
    free_bytes: int
    sqlite_version: str
    durability: str
    hits: int
    misses: int
    evicted: int
    purged: int
    lru: LRUStats | None


class Health(NamedTuple):
    """Whether a store works right now.

    Attributes:
        ok: whether it could be read and, unless it is read-only, locked for a write.
        problem: what was wrong, None if nothing was.
        seconds: how long it took.
    """

    ok: bool
    problem: str | None
    seconds: float


class Store:
    """A persistent, versioned, namespaced dict in one SQLite file.

    Any number of threads and processes may use the same file at the same time. A store works on both
    sides of a fork, and as a context manager it closes itself.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] = MEMORY,
        *,
        readonly: bool = False,
        durability: Literal["process", "power"] = "process",
        timeout: float = 10.0,
        max_bytes: int | str | None = None,
        max_entries: int | None = None,
        max_value_bytes: int | str = arguments.MAX_VALUE_BYTES,
        lru_bytes: int | str | None = None,
        codecs: Sequence[Codec] = (),
        clock: Callable[[], float] = time.time,
        allow_unsafe_filesystem: bool = False,
        on_corrupt: Literal["raise", "quarantine"] = "raise",
    ) -> None:
        """Open a file, made if there is none, or private memory.

        Args:
            path: the file; ``":memory:"``, the default, is memory that this object alone uses.
            readonly: open an existing file and refuse every write; it may lie on a read-only medium.
            durability: what an acknowledged write survives: ``"process"``, the kill of any process; a power
                cut may take the last commits, in order, and never corrupts. ``"power"``: a power cut too.
            timeout: seconds to wait while others hold the lock.
            max_bytes: the size of the file at which entries are evicted, of those created longest ago the ones
                written longest ago; an int or text such as ``"1 GB"``; None is no limit.
            max_entries: likewise, the number of entries.
            max_value_bytes: the size of the largest encoded value.
            lru_bytes: memory for values that were read before, never older than the last commit of anybody; None is
                none.
            codecs: further codecs, asked before the built-in ones.
            clock: returns the Unix time in seconds.
            allow_unsafe_filesystem: open a file on a network or virtual file system all the same.
            on_corrupt: what to do with a damaged file, as long as nobody else has it open: ``"raise"``, nothing;
                ``"quarantine"``, put it aside and go on with a new one, in which is every entry that can be read and
                matches its checksum. :attr:`quarantined` and a warning say what was done. All pages are looked at for
                that, so it takes longer to open a large file.

        Raises:
            TypeError, ValueError: an argument is not as described.
            OpenError: the path cannot be opened as a store; its subclasses say why.
        """
        self._open(
            checked_settings(
                path,
                readonly=readonly,
                durability=durability,
                timeout=timeout,
                max_bytes=max_bytes,
                max_entries=max_entries,
                max_value_bytes=max_value_bytes,
                lru_bytes=lru_bytes,
                codecs=codecs,
                clock=clock,
                allow_unsafe_filesystem=allow_unsafe_filesystem,
                on_corrupt=on_corrupt,
            )
        )

    @classmethod
    def _of(cls, settings: Settings) -> Self:
        """Open a store by options that are checked already."""
        store = cls.__new__(cls)
        store._open(settings)  # noqa: SLF001 - a second way to make one
        return store

    def _open(self, settings: Settings) -> None:
        engine = SQLiteEngine(
            None if settings.path == MEMORY else settings.path,
            readonly=settings.readonly,
            durability=settings.durability,
            timeout=settings.timeout,
            max_bytes=settings.max_bytes,
            max_entries=settings.max_entries,
            allow_unsafe_filesystem=settings.allow_unsafe_filesystem,
            on_corrupt=settings.on_corrupt,
        )
        if engine.quarantined is not None:
            _warn(engine.label, engine.quarantined)
        self._durability = settings.durability
        self._engine = engine
        lru = None if settings.lru_bytes is None else MarkedLRU(engine, settings.lru_bytes)
        self._core = Core(engine, settings.codecs, settings.clock, settings.max_value_bytes, lru)

    @property
    def quarantined(self) -> Quarantine | None:
        """What was done with a damaged file when this store was opened; None if nothing was."""
        return self._engine.quarantined

    @property
    def clock(self) -> Callable[[], float]:
        """The clock that decides what has expired; it returns the Unix time in seconds."""
        return self._core.clock

    def ns(self, name: str, *, ttl: float | None = None, content_type: str | None = None) -> Namespace:
        """Return a namespace as a mapping; it exists as soon as it has an entry.

        Args:
            name: 1 to 255 bytes of UTF-8.
            ttl: seconds until an entry expires where a write does not say; None is never.
            content_type: how values are encoded where a write does not say; None is what fits each.
        """
        defaults = Defaults(checked_ttl(ttl), checked_content_type(content_type, self._core.codecs))
        return Namespace(self._core, checked_namespace(name), defaults)

    def namespaces(self) -> list[str]:
        """Return the names of the namespaces that have entries, in order."""
        return self._engine.namespaces(self._core.now())

    def atomic(self) -> Transaction:
        """Return a context manager that records checks and edits, and commits all of them or none."""
        return Transaction(self._core)

    def exclusive(self) -> AbstractContextManager[Exclusive]:
        """Return a context manager that holds the write lock, for code that must read, decide and write alone.

        Others read meanwhile, and see all of the block's writes at its end, or none if it raises; their writes wait.
        Prefer :meth:`atomic`, which lets nobody wait, wherever the code can begin again after a ConflictError. Use
        what the block is given: writes through the store itself would wait for it. Do not fork in it.

        Raises:
            StoreBusyError: others held the lock for the whole timeout.
            ValueError: the store is in memory.
            RuntimeError: this thread is in such a block.
        """
        return exclusively(self._core)

    @property
    def memoize(self) -> Memoize[Decorator]:
        """Keeps the results of functions: ``@store.memoize(ttl=60)``; see :class:`Memoize`."""
        return Memoize(self._place)

    def _place(self, ns: str | None) -> Place:
        name = "memoize" if ns is None else checked_namespace(ns, "ns")
        leases = self.ns(checked_namespace(f"{name}.leases", "ns with .leases"))
        return Place(self._core, self.ns(name), leases, self.atomic, self._core.clock)

    def drop(self, name: str) -> int:
        """Remove all entries of a namespace in bounded batches, and return how many there were.

        Others see it shrink meanwhile; :meth:`Namespace.clear` is one step.
        """
        return self._engine.drop(checked_namespace(name), self._core.now())

    def purge_expired(self, limit: int | None = None) -> int:
        """Remove entries that have expired, *limit* at most, and return how many.

        Writes remove them too, a few at a time; this is for a store that is seldom written.
        """
        most = checked_optional_int(limit, "limit", lowest=1)
        return self._engine.purge_expired(None, most, self._core.now())

    def stats(self) -> StoreStats:
        """Return the figures of the store and of this process's use of it."""
        figures = self._engine.figures(self._core.now())
        return StoreStats(
            entries=figures.entries,
            expired=figures.expired,
            namespaces=figures.namespaces,
            bytes_on_disk=figures.bytes_on_disk,
            free_bytes=figures.free_bytes,
            sqlite_version=figures.library_version,
            durability=self._durability,
            hits=self._core.counters.hits,
            misses=self._core.counters.misses,
            evicted=figures.evicted,
            purged=figures.purged,
            lru=None if self._core.lru is None else self._core.lru.stats(),
        )

    def healthcheck(self) -> Health:
        """Return whether the store can be read and locked for a write now; it raises nothing of the library's own.

        Nothing is written, so a disk without space is not noticed.
        """
        start = time.perf_counter()
        try:
            self._engine.probe()
        except KVError as error:
            return Health(ok=False, problem=str(error), seconds=time.perf_counter() - start)
        return Health(ok=True, problem=None, seconds=time.perf_counter() - start)

    def check(self) -> CheckReport:
        """Read the whole file and return what is damaged: pages, checksums, values that do not decode."""
        return self._engine.check(self._core.codecs.decode)

    def vacuum(self) -> None:
        """Give free space back to the operating system; writes wait meanwhile."""
        self._engine.vacuum()

    def backup(self, path: str | os.PathLike[str]) -> None:
        """Write a consistent copy to a new file, while others read and write.

        Raises:
            OpenError: something is at *path* already, or it cannot be written.
        """
        target = arguments.checked_path(path)
        if target == MEMORY:
            raise ValueError("path must be that of a file, for memory would be gone at once")
        self._engine.backup(target)

    def sync(self) -> None:
        """Make all that was acknowledged so far, by any process, survive a power cut."""
        self._engine.sync()

    def close(self) -> None:
        """Close the file; later calls raise StoreClosedError. Closing twice is fine."""
        self._engine.close()

    def __enter__(self) -> Self:
        """Return the store itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the store."""
        self.close()

    def __repr__(self) -> str:
        """Return the path."""
        return f"<Store {self._engine.label!r}>"


def _warn(label: str, done: Quarantine) -> None:
    import logging  # noqa: PLC0415 - rarely needed, and a tenth of the time to import us

    logging.getLogger("sqlitedict_kv").warning(
        "%s was damaged; it lies at %s now. %d entries were saved, %s%d were lost",
        label,
        done.path,
        done.salvaged,
        "" if done.complete else "at least ",
        done.lost,
    )
