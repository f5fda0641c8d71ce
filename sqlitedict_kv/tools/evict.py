"""Eviction from a store in a file: ``sqlitedict_kv.tools.evict.evict(store, max_bytes="1 GB")``."""

from __future__ import annotations

from sqlitedict_kv.engines.sqlite import SQLiteEngine
from sqlitedict_kv.engines.sqlite.administration.eviction import evict_down_to
from sqlitedict_kv.errors import UnsupportedError
from sqlitedict_kv.store import Store
from sqlitedict_kv.validation import MIN_MAX_BYTES, check_optional_int, check_size


def evict(store: Store, *, max_entries: int | None = None, max_bytes: int | str | None = None) -> int:
    """Remove what has expired, then entries until a store is within limits; return how many were evicted.

    Of the entries created longest ago, those written longest ago go first, as from a store that was opened with these
    limits. The file gets smaller with ``vacuum()`` alone; its space is used again.

    Args:
        store: a store in a file, opened for writing.
        max_entries: how many entries may stay.
        max_bytes: how many bytes the pages in use may take, an int or text such as ``"1 GB"``.

    Raises:
        UnsupportedError: the store is on servers, which evict by themselves as they are configured.
        TypeError, ValueError: a limit is not as described, or none is given.
    """
    entries = check_optional_int(max_entries, "max_entries", lowest=1)
    size = check_size(max_bytes, "max_bytes", lowest=MIN_MAX_BYTES)
    if entries is None and size is None:
        raise ValueError("give max_entries or max_bytes")
    engine = store._engine  # noqa: SLF001 - administration of a file
    if not isinstance(engine, SQLiteEngine):
        raise UnsupportedError(f"evict() is for files; servers evict as maxmemory says (this store is {engine.label})")
    store.purge_expired()
    files = engine._files  # noqa: SLF001
    remove_files = None if files is None else files.reaper.reap
    return evict_down_to(engine._database, max_entries=entries, max_bytes=size, remove_files=remove_files)  # noqa: SLF001
