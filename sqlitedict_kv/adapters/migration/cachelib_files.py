"""Migration of a directory of cachelib's ``FileSystemCache``, which Flask-Caching and Flask-Session use too."""

from __future__ import annotations

import os
import re
import struct
import time
from collections.abc import Iterable
from hashlib import md5, sha256
from pathlib import Path
from typing import Any

from sqlitedict_kv import Namespace
from sqlitedict_kv.adapters._compat.migration import (
    Loads,
    Moved,
    Progress,
    Unpickle,
    UnreadableError,
    choose_loads,
    load_pickle,
)
from sqlitedict_kv.adapters.migration.hashed_keys import HashedKeys
from sqlitedict_kv.adapters.migration.old_entries import Moving, OldEntry, read_file

NAME = re.compile(r"[0-9a-f]{32}|[0-9a-f]{64}")
COUNTER = b"__wz_cache_count"  # the key under which it counts its files
COUNTERS = tuple(make(COUNTER, usedforsecurity=False).hexdigest() for make in (md5, sha256))
TIME = struct.Struct("I")  # when it expires, 0 is never


def move_cachelib_files(
    directory: str | os.PathLike[str],
    namespace: Namespace[str, Any],
    *,
    keys: Iterable[str] = (),
    unpickle: Unpickle = "plain",
    progress: Progress | None = None,
) -> Moved:
    """Copy the entries whose keys are named, with their times of expiry, to where the adapter of cachelib finds them.

    Args:
        directory: that of the cache; it stays as it is.
        namespace: where to, ``Store(path).ns("cachelib")`` for the adapter; entries that are there stay.
        keys: those that the program uses. The files have hashes of them only, so an entry whose key is not named is
            skipped.
        unpickle: as for :func:`move_shelf`.
        progress: called with how many files were looked at, and how many there are.

    Raises:
        ValueError: there is no cache of cachelib in the directory.
    """
    loads, known = choose_loads(unpickle), HashedKeys(keys)
    files = files_of(Path(directory))
    if not files:
        raise ValueError(f"there is no cache of cachelib in {directory}")
    entries = (_entry(file, known, loads) for file in files if file.name not in COUNTERS)
    return Moving(namespace, os.fspath(directory), time.time).run(entries, len(files), progress)


def files_of(directory: Path) -> list[Path]:
    """Return the files of a cache, in order."""
    if not directory.is_dir():
        return []
    return sorted(path for path in directory.iterdir() if NAME.fullmatch(path.name))


def _entry(file: Path, keys: HashedKeys, loads: Loads | None) -> OldEntry:
    def load() -> tuple[str, Any, float | None]:
        key, content = keys.find(file.name), read_file(file)
        if len(content) < TIME.size:
            raise UnreadableError("its file is cut off")
        (expires_at,) = TIME.unpack_from(content)
        return key, load_pickle(content[TIME.size :], "value", loads), float(expires_at) if expires_at else None

    return OldEntry(file.name, load)
