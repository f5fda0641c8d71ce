"""Migration of the entries of a directory of diskcache."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from sqlitedict_kv import CodecError, Store, StoreError, TooLargeError
from sqlitedict_kv.adapters._compat.migration import Loads, Moved, Unpickle, UnreadableError, choose_loads
from sqlitedict_kv.adapters.diskcache.cache import Cache
from sqlitedict_kv.adapters.diskcache.directory import FILE
from sqlitedict_kv.adapters.diskcache.disk import Disk, JSONDisk
from sqlitedict_kv.adapters.diskcache.fanout import FanoutCache
from sqlitedict_kv.adapters.diskcache.original import OriginalDirectory, Row, is_original, open_original
from sqlitedict_kv.adapters.diskcache.settings import EVICTION_POLICY

AT_ONCE = 200  # entries of a transaction
BELOW = ("cache", "deque", "index")  # directories that a FanoutCache makes


def move(
    directory: str | os.PathLike[str],
    target: str | os.PathLike[str] | Cache | FanoutCache,
    *,
    disk: type[Disk] | None = None,
    unpickle: Unpickle = False,
) -> Moved:
    """Copy all entries of a directory of diskcache, in their order, with their tags and times of expiry.

    The directory stays as it is; do not write to it meanwhile. A second run continues where the first was
    interrupted: entries that the target has are left alone.

    Args:
        directory: that of a Cache, an Index, a Deque or a FanoutCache, with all that is below that one.
        target: a directory, which may be the same, or a cache that is open.
        disk: ``JSONDisk`` or ``Disk``, as the directory was open_original with; None looks at the keys.
        unpickle: what to do with keys and values that are pickles, as diskcache makes them of tuples, dicts and
            whatever it has no column for. False skips them. ``"plain"`` reads those of plain data (None, bool, numbers,
            str, bytes, lists, tuples, dicts, sets) and skips those that would import or call anything. True reads them
            all, **which runs whatever code they contain**; what no codec of the target keeps is skipped then.

    Returns:
        what was moved, and what was not and why.

    Raises:
        ValueError: the directory is not one of diskcache, or is damaged.
    """
    source = Path(os.path.expandvars(os.path.expanduser(os.fspath(directory))))
    shards = sorted(path for path in source.glob("[0-9][0-9][0-9]") if is_original(path))
    if not shards and not is_original(source):
        raise ValueError(f"{source} is not a directory of diskcache: neither it nor a shard below it has a cache.db")
    loads = choose_loads(unpickle)
    report = Moved()
    given = None if isinstance(target, Cache | FanoutCache) else Path(os.fspath(target))
    for part in shards or [source]:
        with open_original(part) as found:
            as_json = found.looks_like_json() if disk is None else issubclass(disk, JSONDisk)
            cache = target if given is None else _made(found, given, len(shards), report)
            try:
                _copy(found, cache, report, str(part), as_json=as_json, loads=loads)
            finally:
                if given is not None:
                    cache.close()  # type: ignore[union-attr] # made above
    root = given or Path(target.directory)  # type: ignore[union-attr] # a cache
    for below in _below(source):
        with open_original(below) as found:
            as_json = found.looks_like_json() if disk is None else issubclass(disk, JSONDisk)
            with _made(found, root / below.relative_to(source), 0, report) as cache:
                _copy(found, cache, report, str(below), as_json=as_json, loads=loads)
    return report


def _below(source: Path) -> Iterator[Path]:
    """Yield the directories of the caches, deques and indexes of a FanoutCache."""
    for kind in BELOW:
        for path in sorted((source / kind).rglob("cache.db")):
            yield path.parent


def _made(found: OriginalDirectory, directory: Path, shards: int, report: Moved) -> Cache | FanoutCache:
    """Return a cache with the settings of the old one, as far as they can be kept."""
    policy, limit = found.settings.get("eviction_policy"), found.settings.get("size_limit")
    settings: dict[str, Any] = {}
    if policy in EVICTION_POLICY:
        settings["eviction_policy"] = policy
    elif policy is not None:
        note = f"eviction_policy {policy!r}: 'least-recently-stored' it is"
        if note not in report.unkept:
            report.unkept.append(note)
    if isinstance(limit, int | float):
        settings["size_limit"] = int(limit) * max(shards, 1)
    for part in [directory / f"{number:03d}" for number in range(shards)] or [directory]:
        part.mkdir(mode=0o700, parents=True, exist_ok=True)
        Store(part / FILE).close()  # or a cache would refuse the directory, if it is the old one
    if shards:
        return FanoutCache(directory, shards, timeout=60, **settings)
    return Cache(directory, **settings)


def _copy(
    found: OriginalDirectory, cache: Any, report: Moved, directory: str, *, as_json: bool, loads: Loads | None
) -> None:
    rows = found.rows()
    while batch := list(islice(rows, AT_ONCE)):
        with cache.transact(retry=True):
            for row in batch:
                try:
                    _copy_row(found, row, cache, report, as_json=as_json, loads=loads)
                except StoreError:
                    raise
                except (UnreadableError, CodecError, TooLargeError, TypeError, ValueError) as error:
                    report.skip(directory, row.key, error)


def _copy_row(
    found: OriginalDirectory, row: Row, cache: Any, report: Moved, *, as_json: bool, loads: Loads | None
) -> None:
    expire = None if row.expire_time is None else row.expire_time - time.time()
    if expire is not None and expire <= 0:
        report.expired += 1
        return
    key = found.key(row, as_json=as_json, loads=loads)
    if key in cache:
        report.present += 1
        return
    value = found.value(row, as_json=as_json, loads=loads)
    cache.add(key, value, expire=expire, tag=row.tag, retry=True)
    report.moved += 1
