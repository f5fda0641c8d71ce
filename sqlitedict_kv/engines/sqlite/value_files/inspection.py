"""Inspection of the folder of value files, which changes nothing."""

from __future__ import annotations

from sqlitedict_kv.engines.sqlite.checksum import batches
from sqlitedict_kv.engines.sqlite.database import Database
from sqlitedict_kv.engines.sqlite.value_files import catalog
from sqlitedict_kv.engines.sqlite.value_files.folder import LOCK, STORE, ValueFolder
from sqlitedict_kv.errors import LocationError

NAMES_PER_LOOK = 256


def count_unknown(database: Database, folder: ValueFolder) -> int:
    """Return how many files are in the folder that the database does not know.

    They are of processes that are writing just now, or were killed; or somebody else has put them there.
    """
    try:
        with folder.opened() as opened:
            names = sorted(name for name in opened.names() if name not in (STORE, LOCK))
    except (OSError, LocationError):
        return 0
    if not database.run(catalog.has_files):
        return len(names)
    return sum(_count_unknown(database, batch) for batch in batches(names, NAMES_PER_LOOK))


def _count_unknown(database: Database, names: list[str]) -> int:
    return len(database.run(lambda cursor: catalog.unknown_of(cursor, names)))
