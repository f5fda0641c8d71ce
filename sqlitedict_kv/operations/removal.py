"""Removal of expired entries, in parts where somebody watches."""

from __future__ import annotations

from sqlitedict_kv.operations.context import StoreContext
from sqlitedict_kv.operations.progress import Progress, ignore, report

ENTRIES_PER_STEP = 10_000


def purge(context: StoreContext, namespace: str | None, limit: int | None, progress: Progress | None) -> int:
    """Remove expired entries of a namespace, None is of all, *limit* at most, and return how many."""
    engine, now = context.engine, context.now()
    with report(progress, "purging") as tell:
        if tell is ignore:
            return engine.purge_expired(namespace, limit, now)
        expired = engine.figures(now).expired if namespace is None else engine.count(namespace, now)[1]
        total = expired if limit is None else min(expired, limit)
        done = 0
        while done < total:
            removed = engine.purge_expired(namespace, min(ENTRIES_PER_STEP, total - done), now)
            if not removed:
                break
            done += removed
            tell(done, total)
        return done
