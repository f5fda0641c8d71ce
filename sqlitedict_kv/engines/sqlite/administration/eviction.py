"""Eviction down to limits, now and all of it; ordinary writes of a store with limits do it a little at a time."""

from __future__ import annotations

from sqlitedict_kv.engines.sqlite.database import Database
from sqlitedict_kv.engines.sqlite.maintenance import COUNT_ALL, USED_BYTES, Maintenance

ROWS_AT_ONCE = 500


def evict_down_to(database: Database, *, max_entries: int | None, max_bytes: int | None) -> int:
    """Evict entries until there are no more than these; of those created longest ago the ones written longest ago.

    Bytes are those of the pages in use. The newest entry stays in any case. Return how many entries went.
    """
    database.require_writable()
    maintenance = Maintenance(database, max_bytes=None, max_entries=None)
    if max_entries is not None:
        while (surplus := _ask(database, COUNT_ALL) - max_entries) > 0:
            if not maintenance._evict(min(surplus, ROWS_AT_ONCE)):  # noqa: SLF001 - its own rounds evict less at once
                break
    if max_bytes is not None:
        while (surplus := _ask(database, USED_BYTES) - max_bytes) > 0:
            if not maintenance._evict(ROWS_AT_ONCE, surplus):  # noqa: SLF001 - likewise
                break
    return maintenance.evicted


def _ask(database: Database, statement: str) -> int:
    (figure,) = database.run(lambda cursor: cursor.execute(statement).fetchone())
    return int(figure)
