"""Changes of entries, as they happen: what differs between two looks at a store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlitedict_kv.operations.optional import data_version
from sqlitedict_kv.operations.usage import EntrySummary
from sqlitedict_kv.store import Store
from sqlitedict_kv.tools.summaries import walk_summaries

LOOK_AT_MARK = 0.05  # seconds between two looks whether anybody has committed
INTERVAL = 1.0  # seconds between two looks at the entries, where nobody tells of commits

Look = dict[tuple[str, str], EntrySummary[str]]


class Changed(NamedTuple):
    """A change of an entry.

    Attributes:
        at: when it was noticed.
        kind: ``"created"``, ``"written"``, ``"touched"`` (it expires at another time), ``"removed"``, ``"expired"``.
        namespace: of the entry.
        key: of the entry.
        summary: what is known of it now; of one that is gone, what was known before.
    """

    at: datetime
    kind: str
    namespace: str
    key: str
    summary: EntrySummary[str]


def watch(
    store: Store,
    namespaces: Sequence[str] | None = None,
    prefix: str = "",
    interval: float = INTERVAL,
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[Changed | None]:
    """Yield the changes of entries from now on, without end; None first, when it has looked, and after each look.

    A file says in microseconds whether anybody has committed; servers are asked every *interval* seconds. After a
    commit the entries are compared with those of the look before: so an entry that is written twice in between is one
    change, and the summaries of all that is watched are held in memory.

    Args:
        store: the store.
        namespaces: their names; None is all, those to come included.
        prefix: only keys that begin with it.
        interval: seconds between two looks where nobody tells of commits.
        sleep: waits so many seconds.
    """
    moved = _Mark(store)
    moved()
    before = _look(store, namespaces, prefix)
    yield None
    while True:
        _wait(store, before, moved, interval, sleep)
        now = _look(store, namespaces, prefix)
        yield from compare(before, now, datetime.fromtimestamp(store.clock()).astimezone())
        before = now
        yield None


def compare(before: Look, now: Look, at: datetime) -> Iterator[Changed]:
    """Yield what differs between two looks, in the order of namespaces and keys."""
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name), now.get(name)
        if old is None:
            assert new is not None
            yield Changed(at, "created", *name, new)
        elif new is None:
            gone = old.expires_at is not None and old.expires_at <= at
            yield Changed(at, "expired" if gone else "removed", *name, old)
        elif new.version != old.version:
            yield Changed(at, "written", *name, new)
        elif new.expires_at != old.expires_at:
            yield Changed(at, "touched", *name, new)


def _look(store: Store, namespaces: Sequence[str] | None, prefix: str) -> Look:
    names = store.namespaces() if namespaces is None else namespaces
    return {(name, found.key): found for name in names for found in walk_summaries(store, name, prefix)}


class _Mark:
    """Whether anybody has committed since the last call; None where that is not known."""

    def __init__(self, store: Store) -> None:
        self._ask = data_version(store._engine)  # noqa: SLF001 - below the codecs
        self._last: object = None

    def __call__(self) -> bool | None:
        mark = None if self._ask is None else self._ask()
        moved = None if mark is None else mark != self._last
        self._last = mark
        return moved


def _wait(store: Store, before: Look, moved: _Mark, interval: float, sleep: Callable[[float], object]) -> None:
    """Wait until something may have changed: a commit, the end of an entry, or the interval where no mark tells."""
    ends = [found.expires_at.timestamp() for found in before.values() if found.expires_at is not None]
    next_end = min(ends, default=float("inf"))
    waited = 0.0
    while store.clock() < next_end:
        found = moved()
        if found or (found is None and waited >= interval):
            return
        step = LOOK_AT_MARK if found is not None else min(interval, LOOK_AT_MARK)
        sleep(step)
        waited += step
