"""Eviction down to limits, now and all of it; ordinary writes of a store with limits do it a little at a time."""

from __future__ import annotations

from collections.abc import Callable

from sqlitedict_kv.engines.sqlite.database import Database
from sqlitedict_kv.engines.sqlite.limits import Limits, used_bytes
from sqlitedict_kv.engines.sqlite.maintenance import COUNT_ALL

ROWS_AT_ONCE = 500


def evict_down_to(
    database: Database,
    *,
    max_entries: int | None,
    max_bytes: int | None,
    remove_files: Callable[[], None] | None = None,
) -> int:
    """Evict entries until there are no more than these; of those created longest ago the ones written longest ago.

    Bytes are those of the pages in use and of values in files; *remove_files* removes files that nothing refers to. The
    newest entry stays in any case. Return how many entries went.
    """
    database.require_writable()
    limits = Limits(database, max_bytes=None, max_entries=None)
    if max_entries is not None:
        while (surplus := _count(database) - max_entries) > 0:
            if not limits.evict(min(surplus, ROWS_AT_ONCE)):
                break
    if max_bytes is not None:
        while (surplus := _live_bytes(database) - max_bytes) > 0:
            if not limits.evict(ROWS_AT_ONCE, surplus):
                break
    if limits.evicted and remove_files is not None:
        remove_files()
    return limits.evicted


def _count(database: Database) -> int:
    (count,) = database.run(lambda cursor: cursor.execute(COUNT_ALL).fetchone())
    return int(count)


def _live_bytes(database: Database) -> int:
    used, dead = database.run(used_bytes)
    return used - dead
