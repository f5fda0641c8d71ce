"""Migration of the entries of a directory of diskcache."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

from sqlitedict_kv import Store, StoreError
from sqlitedict_kv.adapters._compat.migration import (
    UNKEPT,
    Loads,
    Moved,
    Progress,
    Unpickle,
    choose_loads,
)
from sqlitedict_kv.adapters._compat.table_rows import Gap
from sqlitedict_kv.adapters.diskcache.cache import Cache
from sqlitedict_kv.adapters.diskcache.directory import FILE, ORIGINAL_FILE
from sqlitedict_kv.adapters.diskcache.disk import Disk, JSONDisk
from sqlitedict_kv.adapters.diskcache.fanout import FanoutCache
from sqlitedict_kv.adapters.diskcache.original import OriginalDirectory, Row, is_original, open_original
from sqlitedict_kv.adapters.diskcache.settings import check_setting

AT_ONCE = 200  # entries of a transaction
BELOW = ("cache", "deque", "index")  # directories that a FanoutCache makes
KEPT_SETTINGS = frozenset({"size_limit", "cull_limit", "statistics"})
KEPT_POLICIES = ("none", "least-recently-stored")


def move(
    directory: str | os.PathLike[str],
    target: str | os.PathLike[str] | Cache | FanoutCache,
    *,
    disk: type[Disk] | None = None,
    unpickle: Unpickle = False,
    progress: Progress | None = None,
) -> Moved:
    """Copy all entries of a directory of diskcache, in their order, with their tags and times of expiry.

    The directory stays as it is; do not write to it meanwhile. A second run continues where the first was
    interrupted: entries that the target has are left alone.

    Args:
        directory: that of a Cache, an Index, a Deque or a FanoutCache, with all that is below that one.
        target: a directory, which may be the same, or a cache that is open.
        disk: ``JSONDisk`` or ``Disk``, as the directory was opened with; None looks at the keys.
        unpickle: what to do with keys and values that are pickles, as diskcache makes them of tuples, dicts and
            whatever it has no column for. False skips them. ``"plain"`` reads those of plain data (None, bool, numbers,
            str, bytes, lists, tuples, dicts, sets, dates and times, Decimal, Fraction, UUID, paths, OrderedDict, deque,
            Counter) and skips the others; no code can run. True reads them all, **which runs whatever code they
            contain**; what no codec of the target keeps is skipped then.
        progress: called after each transaction with how many entries of a cache, a shard or what is below it were
            looked at, and how many it has, None if that cannot be told.

    Returns:
        what was moved, and what was not and why.

    Raises:
        ValueError: the directory is not one of diskcache, or is damaged.
    """
    source = Path(os.path.expandvars(os.path.expanduser(os.fspath(directory))))
    shards = sorted(path for path in source.glob("[0-9][0-9][0-9]") if is_original(path))
    if not shards and not is_original(source):
        raise ValueError(
            f"{source} is not a directory of diskcache: neither it nor a shard below it has a {ORIGINAL_FILE}"
        )
    migration = _Migration(disk, choose_loads(unpickle), progress)
    given = target if isinstance(target, Cache | FanoutCache) else None
    root = Path(target.directory if isinstance(target, Cache | FanoutCache) else os.fspath(target))
    migration.move(shards or [source], given, root, len(shards))
    for below in _below(source):
        migration.move([below], None, root / below.relative_to(source), 0)
    return migration.report


def _below(source: Path) -> Iterator[Path]:
    """Yield the directories of the caches, deques and indexes of a FanoutCache."""
    for kind in BELOW:
        for path in sorted((source / kind).rglob(ORIGINAL_FILE)):
            yield path.parent


class _Migration:
    """One run of :func:`move`: how pickles and JSON are read, and the report."""

    def __init__(self, disk: type[Disk] | None, loads: Loads | None, progress: Progress | None) -> None:
        """Read keys and values as *disk* wrote them, and pickles by *loads*."""
        self.report = Moved()
        self._progress = progress
        self._disk = disk
        self._loads = loads

    def move(self, parts: list[Path], given: Cache | FanoutCache | None, directory: Path, shards: int) -> None:
        """Copy directories of diskcache into *given*, or into a cache in *directory* with the settings of the first."""
        with ExitStack() as stack:
            cache = given
            for part in parts:
                with open_original(part) as found:
                    if found.damage is not None:
                        self.report.damaged.append(f"{part}: {found.damage}")
                    if cache is None:
                        cache = _open_target(found, directory, shards, self.report)
                        stack.callback(cache.close)
                    with cache.without_limit():
                        self._copy(found, cache, str(part))
            if given is None and cache is not None:
                _fit_limit(cache, self.report)

    def _copy(self, found: OriginalDirectory, cache: Cache | FanoutCache, place: str) -> None:
        as_json = found.looks_like_json() if self._disk is None else issubclass(self._disk, JSONDisk)
        rows, done = found.rows(), 0
        total = None if self._progress is None else found.count()
        while batch := list(islice(rows, AT_ONCE)):
            with cache.transact(retry=True):
                for row in batch:
                    if isinstance(row, Gap):
                        self.report.skip_gap(place, row)
                    else:
                        self._try_row(found, row, cache, place, as_json=as_json)
            done += len(batch)
            if self._progress is not None:
                self._progress(done, total)

    def _try_row(
        self, found: OriginalDirectory, row: Row, cache: Cache | FanoutCache, place: str, *, as_json: bool
    ) -> None:
        try:
            self._copy_row(found, row, cache, as_json=as_json)
        except StoreError:
            raise
        except UNKEPT as error:
            self.report.skip(place, row.key, error)

    def _copy_row(self, found: OriginalDirectory, row: Row, cache: Cache | FanoutCache, *, as_json: bool) -> None:
        expire = None if row.expire_time is None else row.expire_time - time.time()
        if expire is not None and expire <= 0:
            self.report.expired += 1
            return
        key = found.key(row, as_json=as_json, loads=self._loads)
        if key in cache:
            self.report.present += 1
            return
        value = found.value(row, as_json=as_json, loads=self._loads)
        cache.add(key, value, expire=expire, tag=row.tag, retry=True)
        self.report.moved += 1


def _open_target(found: OriginalDirectory, directory: Path, shards: int, report: Moved) -> Cache | FanoutCache:
    """Return a cache with the settings of the old one as far as they can be kept; one that exists keeps its own."""
    parts = [directory / f"{number:03d}" for number in range(shards)] or [directory]
    is_new = not any((part / FILE).exists() for part in parts)
    for part in parts:
        part.mkdir(mode=0o700, parents=True, exist_ok=True)
        Store(part / FILE).close()  # or a cache would refuse the directory, if it is the old one
    settings = _kept_settings(found, report) if is_new else {}
    if not shards:
        return Cache(directory, **settings)
    if "size_limit" in settings:
        settings["size_limit"] *= shards
    elif not is_new:  # that of a shard is stored
        settings["size_limit"] = Cache(parts[0]).size_limit * shards
    return FanoutCache(directory, shards, timeout=60, **settings)


def _kept_settings(found: OriginalDirectory, report: Moved) -> dict[str, Any]:
    """Return the settings of an old cache that a new one can keep, and note the others."""
    settings: dict[str, Any] = {}
    for name in KEPT_SETTINGS & found.settings.keys():
        try:
            settings[name] = check_setting(name, found.settings[name], takes=lambda _: False)
        except (TypeError, ValueError):
            report.note_unkept(f"{name} {found.settings[name]!r}: the default it is")
    policy = found.settings.get("eviction_policy")
    if policy in KEPT_POLICIES:
        settings["eviction_policy"] = policy
    elif policy is not None:
        report.note_unkept(f"eviction_policy {policy!r}: 'least-recently-stored' it is")
    return settings


def _fit_limit(cache: Cache | FanoutCache, report: Moved) -> None:
    """Raise the size limit if the next write would evict what was just moved: a store keeps a sixteenth of it free."""
    for shard in cache.shards if isinstance(cache, FanoutCache) else (cache,):
        limit, used = shard.size_limit, shard.volume()
        if limit - limit // 16 >= used or shard.reset("cull_limit") == 0 or shard.eviction_policy == "none":
            continue
        needed = used + used // 4
        report.note_unkept(
            f"size_limit {limit:,} of {shard.directory}: its entries take {used:,} bytes here, so it is {needed:,}"
        )
        shard.reset("size_limit", needed)
