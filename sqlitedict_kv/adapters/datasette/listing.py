"""Listings of entries in bounded time: pages by key, the largest, sizes by namespace, memoized functions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlitedict_kv import Store
from sqlitedict_kv.memoization.inventory import FunctionResults, KeptCall, MemoizedResults
from sqlitedict_kv.operations.usage import EntrySummary, Survey, survey
from sqlitedict_kv.tools.summaries import walk_summaries

SECONDS = 1.0  # for what looks at many entries
PER_PAGE = 50
MOST_LARGEST = 50
MOST_NAMESPACES = 200
MOST_CALLS = 500

AGES = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1), "month": timedelta(days=30)}


class Wanted(NamedTuple):
    """What a listing is asked for.

    Attributes:
        prefix: the beginning of the keys.
        kind: the content type; empty is any.
        newer: a name of :data:`AGES`: written within that time.
        older: likewise: written before it.
        after: the key behind which the page begins.
    """

    prefix: str = ""
    kind: str = ""
    newer: str = ""
    older: str = ""
    after: str | None = None

    def fits(self, each: EntrySummary[Any], now: datetime) -> bool:
        """Return whether an entry is asked for, its prefix aside."""
        if self.kind and each.content_type != self.kind:
            return False
        if self.newer in AGES and each.updated_at < now - AGES[self.newer]:
            return False
        return self.older not in AGES or each.updated_at <= now - AGES[self.older]


class Listing(NamedTuple):
    """A page of entries.

    Attributes:
        entries: those that fit.
        after: the key behind which the next page begins; None is the end.
        looked_at: how many entries were looked at.
        complete: False where the time was over before the page was full.
    """

    entries: list[EntrySummary[str]]
    after: str | None
    looked_at: int
    complete: bool


def list_entries(store: Store, namespace: str, wanted: Wanted, seconds: float = SECONDS) -> Listing:
    """Return a page of the entries that are asked for, or as many of them as the time allows."""
    found: list[EntrySummary[str]] = []
    end, now, looked_at, last = time.monotonic() + seconds, _now(store), 0, None
    for each in walk_summaries(store, namespace, wanted.prefix, after=wanted.after):
        if len(found) == PER_PAGE:
            return Listing(found, last, looked_at, complete=True)
        if looked_at and time.monotonic() > end:
            return Listing(found, last, looked_at, complete=False)
        looked_at, last = looked_at + 1, each.key
        if wanted.fits(each, now):
            found.append(each)
    return Listing(found, None, looked_at, complete=True)


def survey_store(store: Store, names: list[str] | None, seconds: float = SECONDS, most: int = MOST_LARGEST) -> Survey:
    """Return sizes and the largest entries, "at least" where the time was over."""
    return survey(store._context, names, most=most, deadline=seconds, lenient=True)  # noqa: SLF001 - both by one walk


class Functions(NamedTuple):
    """Memoized functions, all of them if *complete*."""

    functions: list[FunctionResults]
    complete: bool


def list_memoized(store: Store, namespace: str, seconds: float = SECONDS) -> Functions:
    """Return the functions whose results a namespace keeps."""
    until = _Until(seconds)
    functions = list(_results(store, namespace, until))
    return Functions(functions, not until.over)


class Calls(NamedTuple):
    """Calls of a memoized function, all of them if *complete*."""

    calls: list[KeptCall]
    complete: bool


def list_calls(store: Store, namespace: str, function: str, version: str, seconds: float = SECONDS) -> Calls:
    """Return the first calls of a version of a function."""
    until, found = _Until(seconds), list[KeptCall]()
    for call in _results(store, namespace, until).calls(function=function):
        if call.version != version:
            continue
        if len(found) == MOST_CALLS:
            return Calls(found, complete=False)
        found.append(call)
    return Calls(found, not until.over)


class _Until:
    """An end of walks after some seconds."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self.over = False

    def cut(self, items: Iterator[Any]) -> Iterator[Any]:
        """Yield items until the time is over, at least one."""
        for item in items:
            yield item
            if time.monotonic() > self._end:
                self.over = True
                return


def _now(store: Store) -> datetime:
    return datetime.fromtimestamp(store.clock(), UTC)


def _results(store: Store, namespace: str, until: _Until) -> MemoizedResults:
    return MemoizedResults(store._context, namespace, until.cut)  # noqa: SLF001 - memoized(), which may end early
