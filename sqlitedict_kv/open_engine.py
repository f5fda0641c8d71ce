"""The opening of an engine, and of the LRU in front of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, cast

from sqlitedict_kv.engines.optional import DataVersionEngine, InvalidatingEngine
from sqlitedict_kv.engines.protocol import Engine
from sqlitedict_kv.errors import UnsupportedError
from sqlitedict_kv.lru import LRU, ClockCache, InvalidatedLRU, PolicyCache, ValidatingLRU, ValueCache
from sqlitedict_kv.options import Settings


class OpenEngine(NamedTuple):
    """An engine that is open, and the LRU in front of it if there is one."""

    engine: Engine
    lru: LRU | None


def open_engine(settings: Settings) -> OpenEngine:
    """Open what the options of a store describe; see :class:`sqlitedict_kv.Store` for what it raises."""
    make_cache = _cache_maker(settings)
    engine = settings.engine.open(settings.target, settings.engine_options)
    try:
        return OpenEngine(engine, None if settings.lru_bytes is None else _lru(engine, settings, make_cache))
    except BaseException:  # nobody else knows of its connections
        engine.close()
        raise


def _cache_maker(settings: Settings) -> Callable[[int], ValueCache]:
    """Return what makes the cache of an LRU; a policy that makes something else raises before anything is opened."""
    policy = settings.lru_policy
    if policy is None:
        return ClockCache
    assert settings.lru_bytes is not None
    PolicyCache(settings.lru_bytes, policy)
    return partial(PolicyCache, policy=policy)


def _lru(engine: Engine, settings: Settings, make_cache: Callable[[int], ValueCache]) -> LRU:
    """Return an LRU that is kept honest in the way that the engine has."""
    assert settings.lru_bytes is not None
    if hasattr(engine, "data_version"):
        return ValidatingLRU(cast("DataVersionEngine", engine), settings.lru_bytes, make_cache)
    if hasattr(engine, "subscribe"):
        staleness = settings.engine_options.get("lru_staleness")
        return InvalidatedLRU(cast("InvalidatingEngine", engine), settings.lru_bytes, staleness, make_cache=make_cache)
    raise UnsupportedError(f"lru_bytes is not for {engine.label}: its engine does not say when values change")
