"""Kind of a file or a directory that another library made."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, get_args

from sqlitedict_kv.adapters._compat.migration import open_unchanged
from sqlitedict_kv.adapters.diskcache.original import is_original
from sqlitedict_kv.adapters.migration import cachelib_files, django_files, joblib_memory, shelf
from sqlitedict_kv.adapters.sqlitedict.move import ORIGINAL_TABLES

Kind = Literal["diskcache", "sqlitedict", "shelve", "joblib", "cachelib", "django"]
KINDS: tuple[Kind, ...] = get_args(Kind)


def detect_kind(path: str | os.PathLike[str]) -> Kind | None:
    """Return which library made a file or a directory, None if that cannot be seen."""
    place = Path(path)
    return _of_directory(place) if place.is_dir() else _of_file(place)


def _of_directory(directory: Path) -> Kind | None:
    if is_original(directory) or any(map(is_original, directory.glob("[0-9][0-9][0-9]"))):
        return "diskcache"
    if next(directory.glob(f"*{django_files.ENDING}"), None) is not None:
        return "django"
    if cachelib_files.files_of(directory):
        return "cachelib"
    return None if joblib_memory.root_of(directory) is None else "joblib"


def _of_file(path: Path) -> Kind | None:
    if path.is_file() and _has_tables_of_sqlitedict(path):
        return "sqlitedict"
    if path.is_file() and shelf.is_sqlite_shelf(path):
        return "shelve"
    return None if shelf.name_of_shelf(path) is None else "shelve"


def _has_tables_of_sqlitedict(path: Path) -> bool:
    try:
        with open_unchanged(path) as connection:
            return connection.execute(ORIGINAL_TABLES).fetchone() is not None
    except ValueError:
        return False
