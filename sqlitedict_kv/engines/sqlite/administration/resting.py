"""Rest of a store that nobody uses: it holds no descriptor and no lock until its next call."""

from __future__ import annotations

from sqlitedict_kv.engines.sqlite.database import Database


def rest(database: Database) -> None:
    """Close the connection, as before a fork; the next call opens it again. Nothing happens while one is under way."""
    if database.in_memory or not database.main.lock.acquire(blocking=False):
        return
    try:
        database.main.sleep()
    finally:
        database.main.lock.release()
