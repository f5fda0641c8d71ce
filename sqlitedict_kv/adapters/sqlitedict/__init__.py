"""sqlitedict's API on top of a store.

Change ``import sqlitedict`` to ``from sqlitedict_kv.adapters import sqlitedict``. docs/migrate/sqlitedict.md lists
the differences. :func:`move` takes over the tables of an old file.
"""

from typing import Any

from sqlitedict_kv.adapters._compat.migration import Moved, Skipped
from sqlitedict_kv.adapters.sqlitedict.coders import decode, decode_key, encode, encode_key, identity
from sqlitedict_kv.adapters.sqlitedict.move import move
from sqlitedict_kv.adapters.sqlitedict.table import SqliteDict


def open(*args: Any, **kwargs: Any) -> SqliteDict:
    """Return a :class:`SqliteDict`; the arguments are the same."""
    return SqliteDict(*args, **kwargs)


__all__ = [
    "Moved",
    "Skipped",
    "SqliteDict",
    "decode",
    "decode_key",
    "encode",
    "encode_key",
    "identity",
    "move",
    "open",
]
