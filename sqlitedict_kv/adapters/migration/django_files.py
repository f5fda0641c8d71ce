"""Migration of a directory of Django's ``FileBasedCache``."""

from __future__ import annotations

import os
import pickle
import pickletools
import time
import zlib
from collections.abc import Iterable
from io import BytesIO
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
from sqlitedict_kv.adapters._compat.plain_pickle import plain_loads
from sqlitedict_kv.adapters.migration.hashed_keys import HashedKeys
from sqlitedict_kv.adapters.migration.old_entries import Moving, OldEntry, read_file

ENDING = ".djcache"
LARGEST = 512 * 2**20  # bytes of a value, decompressed
LONGEST_TIME = 100  # bytes of the pickle in front of it, which is None or a number


def move_django_files(
    directory: str | os.PathLike[str],
    namespace: Namespace[str, Any],
    *,
    keys: Iterable[str] = (),
    unpickle: Unpickle = "plain",
    progress: Progress | None = None,
) -> Moved:
    """Copy the entries whose keys are named, with their times of expiry, to where the adapter of Django finds them.

    Args:
        directory: the ``LOCATION`` of the cache; it stays as it is.
        namespace: where to, ``Store(path).ns("django")`` for the adapter; entries that are there stay.
        keys: as ``cache.make_key`` returns them, such as ``":1:user.7"`` where neither KEY_PREFIX nor VERSION is set.
            The files have hashes of them only, so an entry whose key is not named is skipped.
        unpickle: as for :func:`move_shelf`.
        progress: called with how many files were looked at, and how many there are.

    Raises:
        ValueError: there is no cache of Django in the directory.
    """
    loads, known = choose_loads(unpickle), HashedKeys(keys)
    files = sorted(Path(directory).glob(f"*{ENDING}"))
    if not files:
        raise ValueError(f"there is no cache of Django in {directory}: no file ends in {ENDING}")
    entries = (_entry(file, known, loads) for file in files)
    return Moving(namespace, os.fspath(directory), time.time).run(entries, len(files), progress)


def _entry(file: Path, keys: HashedKeys, loads: Loads | None) -> OldEntry:
    def load() -> tuple[str, Any, float | None]:
        key, content = keys.find(file.name.removesuffix(ENDING)), read_file(file)
        expires_at, size = _time_of(content)
        return key, load_pickle(_decompress(content[size:]), "value", loads), expires_at

    return OldEntry(file.name, load)


def _time_of(content: bytes) -> tuple[float | None, int]:
    """Return when an entry expires, and how many bytes the pickle of that takes."""
    stream = BytesIO(content[:LONGEST_TIME])
    try:
        for _ in pickletools.genops(stream):  # to its end
            pass
        expires_at = plain_loads(content[: stream.tell()])
    except (ValueError, pickle.UnpicklingError, EOFError):
        raise UnreadableError("its file does not begin with a time") from None
    if expires_at is not None and type(expires_at) not in (int, float):
        raise UnreadableError("its file does not begin with a time")
    return expires_at, stream.tell()


def _decompress(content: bytes) -> bytes:
    stream = zlib.decompressobj()
    try:
        pickled = stream.decompress(content, LARGEST)
    except zlib.error:
        raise UnreadableError("its file is damaged") from None
    if not stream.eof:
        raise UnreadableError(f"its file is cut off, or its value has more than {LARGEST:,} bytes")
    return pickled
