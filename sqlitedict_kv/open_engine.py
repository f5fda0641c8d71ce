"""The choice of the engine of a store, by what it is opened with."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from sqlitedict_kv.engines.protocol import Engine
from sqlitedict_kv.engines.sqlite import SQLiteEngine
from sqlitedict_kv.lru import LRU, ClockCache, InvalidatedLRU, PolicyCache, ValidatingLRU, ValueCache
from sqlitedict_kv.options import MEMORY, Settings

if TYPE_CHECKING:
    from sqlitedict_kv.engines.sqlite.recovery.quarantine import Quarantine
    from sqlitedict_kv.engines.valkey.engine import ValkeyEngine


class Opened(NamedTuple):
    """What was opened.

    Attributes:
        engine: the storage.
        lru: what stands in front of it; None if nothing does.
        durability: what an acknowledged write survives, in a word; see :class:`sqlitedict_kv.StoreStats`.
        quarantined: what was done with a damaged file; None if nothing was.
    """

    engine: Engine
    lru: LRU | None
    durability: str
    quarantined: Quarantine | None


def opened(settings: Settings) -> Opened:
    """Open what the options of a store describe; see :class:`sqlitedict_kv.Store` for what it raises."""
    max_bytes, make_cache = settings.lru_bytes, _cache_maker(settings)
    if settings.served:
        servers = _servers(settings)
        try:
            tracked = (
                None
                if max_bytes is None
                else InvalidatedLRU(servers, max_bytes, settings.lru_staleness, make_cache=make_cache)
            )
        except BaseException:  # nobody else knows of the connections
            servers.close()
            raise
        return Opened(servers, tracked, "servers", None)
    file = _file(settings)
    if file.quarantined is not None:
        _warn(file.label, file.quarantined)
    marked = None if max_bytes is None else ValidatingLRU(file, max_bytes, make_cache)
    return Opened(file, marked, settings.durability, file.quarantined)


def _cache_maker(settings: Settings) -> Callable[[int], ValueCache]:
    """Return what makes the cache of an LRU; a policy that makes something else raises before anything is opened."""
    policy = settings.lru_policy
    if policy is None:
        return ClockCache
    assert settings.lru_bytes is not None
    PolicyCache(settings.lru_bytes, policy)
    return partial(PolicyCache, policy=policy)


def _file(settings: Settings) -> SQLiteEngine:
    assert isinstance(settings.target, str)
    return SQLiteEngine(
        None if settings.target == MEMORY else settings.target,
        readonly=settings.readonly,
        durability=settings.durability,
        timeout=settings.timeout,
        max_bytes=settings.max_bytes,
        max_entries=settings.max_entries,
        allow_unsafe_filesystem=settings.allow_unsafe_filesystem,
        on_corrupt=settings.on_corrupt,
    )


def _servers(settings: Settings) -> ValkeyEngine:
    # Imported here alone: whoever keeps a file needs no redis-py, nor the time to import it.
    from sqlitedict_kv.engines.valkey.client.connect import connect  # noqa: PLC0415
    from sqlitedict_kv.engines.valkey.engine import ValkeyEngine  # noqa: PLC0415

    link = connect(settings.target, timeout=settings.timeout, confirm=settings.confirm)
    return ValkeyEngine(link, prefix=settings.prefix, readonly=settings.readonly)


def _warn(label: str, done: Quarantine) -> None:
    import logging  # noqa: PLC0415 - rarely needed, and a tenth of the time to import us

    logging.getLogger("sqlitedict_kv").warning(
        "%s was damaged; it lies at %s now. %d entries were saved, %s%d were lost",
        label,
        done.path,
        done.salvaged,
        "" if done.complete else "at least ",
        done.lost,
    )
