"""Administration of a store: its figures and sizes, its health, and the care of its storage."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import NoReturn

from sqlitedict_kv import validation
from sqlitedict_kv.engines.protocol import CheckReport, Engine
from sqlitedict_kv.errors import KVError
from sqlitedict_kv.operations import optional
from sqlitedict_kv.operations.context import StoreContext
from sqlitedict_kv.operations.progress import Progress, ignore, report
from sqlitedict_kv.operations.removal import purge
from sqlitedict_kv.operations.statistics import Health, StoreStats
from sqlitedict_kv.operations.usage import EntrySummary, StoreUsage, survey
from sqlitedict_kv.options import MEMORY
from sqlitedict_kv.validation import check_int, check_namespace, check_optional_int, check_tag


class StoreAdministration:
    """The verbs of a store that concern it as a whole; :class:`Store` adds namespaces and transactions."""

    _context: StoreContext
    _engine: Engine

    def namespaces(self) -> list[str]:
        """Return the names of the namespaces that have entries, in order."""
        return self._engine.namespaces(self._context.now())

    def drop(self, name: str, *, progress: Progress | None = None) -> int:
        """Remove all entries of a namespace in bounded batches, and return how many there were.

        Others see it shrink meanwhile; :meth:`Namespace.clear` is one step.

        Args:
            name: that of the namespace.
            progress: True shows a bar, by tqdm or rich; a function gets (done, total).
        """
        checked = check_namespace(name)
        with report(progress, f"dropping {checked}") as tell:
            if tell is ignore:
                return self._engine.drop(checked, self._context.now())
            rows = optional.rows_of(self._engine, [checked])
            return self._engine.drop(checked, self._context.now(), lambda done: tell(done, rows))

    def forget_tag(self, tag: str) -> int:
        """Remove every entry with a tag, in all namespaces, and return how many there were.

        It goes in bounded batches, and others see the entries go meanwhile; one that is written while it goes may stay.
        What a memoized function computes meanwhile is kept: its tags are known only afterwards.

        Args:
            tag: one of those that ``set(..., tags=[...])`` or ``memoize(tags=...)`` gave.

        Raises:
            TypeError, ValueError, TooLargeError: it can be no tag.
            ReadOnlyError: the store was opened with ``readonly=True``.
            UnsupportedError: the engine keeps no tags, see :class:`Capabilities`.
        """
        checked = check_tag(tag)
        return optional.require_tagging(self._engine).forget_tag(checked, self._context.now())

    def purge_expired(self, limit: int | None = None, *, progress: Progress | None = None) -> int:
        """Remove entries that have expired, *limit* at most, and return how many.

        Writes remove them too, a few at a time; this is for a store that is seldom written.

        Args:
            limit: how many at most; None is all.
            progress: as for :meth:`drop`.
        """
        most = check_optional_int(limit, "limit", lowest=1)
        return purge(self._context, None, most, progress)

    def stats(self) -> StoreStats:
        """Return the figures of the store and of this process's use of it."""
        figures = self._engine.figures(self._context.now())
        return StoreStats(
            entries=figures.entries,
            expired=figures.expired,
            namespaces=figures.namespaces,
            bytes_on_disk=figures.bytes_on_disk,
            free_bytes=figures.free_bytes,
            engine_version=figures.library_version,
            durability=figures.durability,
            hits=self._context.counters.hits,
            misses=self._context.counters.misses,
            evicted=figures.evicted,
            purged=figures.purged,
            lru=None if self._context.lru is None else self._context.lru.stats(),
            files=figures.files,
            file_bytes=figures.file_bytes,
            tags=figures.tags,
        )

    def usage(self, *, deadline: float | None = None, progress: Progress | None = None) -> StoreUsage:
        """Return how many entries there are and what they take, by namespace and by type of value.

        It walks through all entries without reading their values: some seconds for a million.

        Args:
            deadline: seconds after which to stop; the numbers are then "at least", and ``complete`` is False.
            progress: True shows a bar, by tqdm or rich; a function gets (done, total).
        """
        return survey(self._context, None, deadline=deadline, progress=progress).store_usage()

    def largest(self, n: int = 10, *, progress: Progress | None = None) -> list[EntrySummary]:
        """Return the *n* entries with the largest values, the largest first; all are looked at, no value is read.

        Args:
            n: how many.
            progress: as for :meth:`usage`.
        """
        most = check_int(n, "n", lowest=1, highest=1_000_000)
        return survey(self._context, None, most=most, progress=progress).largest

    def _repr_html_(self) -> str:
        """Return the namespaces with their sizes, for a notebook; no value."""
        from sqlitedict_kv.operations.showing import show_store  # noqa: PLC0415 - for notebooks alone

        return show_store(self._context)

    def healthcheck(self) -> Health:
        """Return whether the store can be read and locked for a write now; it raises nothing of the library's own.

        Nothing is written, so a disk without space is not noticed.
        """
        start = time.perf_counter()
        try:
            warnings = tuple(optional.probe(self._engine, self._context.now()))
        except KVError as error:
            return Health(ok=False, problem=str(error), seconds=time.perf_counter() - start)
        return Health(ok=True, problem=None, seconds=time.perf_counter() - start, warnings=warnings)

    def check(self, *, progress: Progress | None = None) -> CheckReport:
        """Read the whole store and return what is damaged: pages, checksums, values that do not decode.

        Of values in files of their own the bytes are compared with their checksums.

        Args:
            progress: as for :meth:`drop`.
        """
        decode = self._context.codecs.decode
        with report(progress, "checking") as tell:
            if tell is ignore:
                return optional.check(self._engine, decode)
            rows = optional.rows_of(self._engine, self._engine.namespaces(optional.FOREVER))
            return optional.check(self._engine, decode, lambda done: tell(done, rows))

    def vacuum(self, *, progress: Progress | None = None) -> None:
        """Give free space back to the operating system; writes wait meanwhile.

        Args:
            progress: as for :meth:`drop`; what is done are steps of SQLite's, and how many there will be is not known.

        Raises:
            UnsupportedError: the store is on servers.
        """
        engine = optional.require_maintained(self._engine, "vacuum")
        with report(progress, "vacuum") as tell:
            engine.vacuum(None if tell is ignore else lambda done: tell(done, None))

    def backup(self, path: str | os.PathLike[str], *, link: bool = False, progress: Progress | None = None) -> None:
        """Write a consistent copy to a new file, while others read and write.

        Values in files of their own are copied into a folder beside it, whose name is *path* with ``-values`` behind.

        Args:
            path: that of the new file.
            link: give those files a second name in that folder instead of a copy, which takes no time and no space.
                The backup must be on the same file system then, and does not protect against damage on the disk.
            progress: as for :meth:`drop`; what is done are pages of the file.

        Raises:
            OpenError: something is at *path* already, or it cannot be written.
            DamagedEntryError: the file of a large value is missing, or not as long as it should be.
            UnsupportedError: the store is on servers, which have means of their own.
        """
        target = validation.check_path(path)
        if target == MEMORY:
            raise ValueError("path must be that of a file, for memory would be gone at once")
        engine = optional.require_maintained(self._engine, "backup")
        with report(progress, "backup") as tell:
            engine.backup(target, None if tell is ignore else tell, link=validation.check_bool(link, "link"))

    def merge(
        self, other: StoreAdministration, namespaces: Iterable[str] | None = None, *, progress: Progress | None = None
    ) -> int:
        """Take over those entries of another store that were written later than those here, and return how many.

        An entry keeps its value, its type, its expiry and the time when it was written, so merging again takes over
        nothing, and stores that are merged with each other end with the same entries. It gets a version greater than
        all that its key had here. What only this store has stays, also what the other one removed. A change of the
        expiry alone, by ``touch``, does not count as written.

        It goes by pages, each written in one step, in bounded time; what others write here meanwhile is compared too.
        If it is interrupted, call it again.

        Args:
            other: the store to read, of any kind.
            namespaces: their names; None is all that have entries.
            progress: as for :meth:`drop`; what is done are entries of *other* that were looked at.

        Raises:
            TypeError, ValueError: an argument is not as described, or both are the same store.
            UnsupportedError: a namespace of *other* was made with ``ordered=False``; nothing was written.
            DamagedEntryError: an entry is damaged, the error says which; delete or restore it, and go on.
            TooLargeError: an entry is larger than this store allows.
        """
        if not isinstance(other, StoreAdministration):
            raise TypeError(
                f"other must be a Store, not {type(other).__name__}; that of an AsyncStore is its sync_store"
            )
        from sqlitedict_kv.operations.merging import merge  # noqa: PLC0415 - for this verb alone

        return merge(self._context, other._context, namespaces, progress)

    def sync(self) -> None:
        """Make all that was acknowledged so far, by any process, survive a power cut."""
        optional.require_maintained(self._engine, "sync").sync()

    # -- a store is no mapping

    def __getitem__(self, name: str) -> NoReturn:
        """Raise TypeError: a store is no mapping, its namespaces are."""
        raise no_mapping(name)

    def __contains__(self, name: object) -> NoReturn:
        """Raise TypeError, likewise."""
        raise no_mapping(name)

    def __iter__(self) -> NoReturn:
        """Raise TypeError, likewise."""
        raise no_mapping("users")

    def __len__(self) -> NoReturn:
        """Raise TypeError, likewise."""
        raise no_mapping("users")

    def __bool__(self) -> bool:
        """Return True: it is a store."""
        return True


def no_mapping(name: object) -> TypeError:
    """Return the error for a store that is used as a mapping."""
    shown = repr(name) if isinstance(name, str) else '"users"'
    return TypeError(
        f"a store is not a mapping, its namespaces are: write store.ns({shown}); "
        f"store.namespaces() has their names, and store.stats() how many entries there are"
    )
