"""Statistics and health of a store and of its namespaces, as their users see them."""

from __future__ import annotations

from typing import NamedTuple

from sqlitedict_kv.lru import LRUStats


class StoreStats(NamedTuple):
    """The figures of a store.

    Attributes:
        entries: how many entries can be read.
        expired: how many have expired and were not removed yet.
        namespaces: how many namespaces have entries.
        bytes_on_disk: the size of the database file, or of the memory that stands for it; of servers, the memory that
            they use, for whatever else they keep too.
        free_bytes: what of it is free, for new entries.
        engine_version: what keeps the entries, and its release: ``"SQLite 3.51.3"``.
        durability: ``"process"`` or ``"power"``; ``"servers"`` where servers decide it by how they are configured.
        hits: reads of this process that found something.
        misses: reads of this process that found nothing.
        evicted: entries that this process removed to keep max_bytes or max_entries.
        purged: expired entries that this process removed.
        lru: what the LRU in front did in this process; None if there is none.
        files: how many files there are with large values, those included that are about to be removed.
        file_bytes: the size of them all, which *bytes_on_disk* does not include.
        tags: how many tags entries have, each counted for each entry, those included that are about to be swept.
    """

    entries: int
    expired: int
    namespaces: int
    bytes_on_disk: int
    free_bytes: int
    engine_version: str
    durability: str
    hits: int
    misses: int
    evicted: int
    purged: int
    lru: LRUStats | None
    files: int = 0
    file_bytes: int = 0
    tags: int = 0

    def _repr_html_(self) -> str:
        from sqlitedict_kv.operations.showing import show_figures  # noqa: PLC0415 - for notebooks alone

        return show_figures("Store", self._asdict())


class Health(NamedTuple):
    """Whether a store works right now.

    Attributes:
        ok: whether it could be read and, unless it is read-only, locked for a write.
        problem: what was wrong, None if nothing was.
        seconds: how long it took.
        warnings: what is a danger though all works, such as servers that evict what the store needs.
    """

    ok: bool
    problem: str | None
    seconds: float
    warnings: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        from sqlitedict_kv.operations.showing import show_figures  # noqa: PLC0415 - for notebooks alone

        return show_figures("Health", self._asdict())


class NamespaceStats(NamedTuple):
    """The size of a namespace.

    Attributes:
        entries: how many entries can be read.
        expired: how many have expired and were not removed yet.
    """

    entries: int
    expired: int

    def _repr_html_(self) -> str:
        from sqlitedict_kv.operations.showing import show_figures  # noqa: PLC0415 - for notebooks alone

        return show_figures("Namespace", self._asdict())
