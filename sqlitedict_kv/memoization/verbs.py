"""Verbs of a memoized function that make calls: many at once, one that is fresh enough, one whose result is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sqlitedict_kv.concurrency.sansio import run
from sqlitedict_kv.memoization.failures import READ_FAILURES
from sqlitedict_kv.memoization.flow import Flow
from sqlitedict_kv.memoization.results import MISSING, Results
from sqlitedict_kv.validation import Duration, check_duration

Calls = list[tuple[Any, ...]]


def columns_of(columns: tuple[Iterable[Any], ...]) -> list[tuple[Any, ...]]:
    """Return the arguments of each call, from columns as those of :func:`map`; ValueError if one is shorter."""
    if not columns:
        raise TypeError("many takes the arguments of the calls, as map() does: f.many(users, days)")
    return list(zip(*columns, strict=True))


def look_up(flow: Flow, results: Results, calls: Calls, common: dict[str, Any]) -> list[Any]:
    """Return of each call the result that is kept, or MISSING; of equal calls only the first gets it: it is one object.

    What fails here fails again in the calls that are made for that.
    """
    if flow.mode == "off":
        return [MISSING] * len(calls)
    keys = [flow.keys.of(args, common) for args in calls]
    try:
        found = results.look_many(list(dict.fromkeys(keys)))
    except READ_FAILURES:
        found = {}
    results.counters.hits += len(found)
    return [found.pop(key, MISSING) for key in keys]


def add_verbs(wrapper: Any, flow: Flow, results: Results) -> None:
    """Give a function that is not asynchronous its verbs."""

    def many(*columns: Iterable[Any], **common: Any) -> list[Any]:
        calls = columns_of(columns)
        kept = look_up(flow, results, calls, common)
        return [wrapper(*args, **common) if had is MISSING else had for args, had in zip(calls, kept, strict=True)]

    def fresh(*, max_age: Duration) -> Callable[..., Any]:
        seconds = check_duration(max_age, "max_age")
        return lambda *args, **kwargs: run(flow.fresh(seconds, args, kwargs))

    wrapper.many, wrapper.fresh, wrapper.put = many, fresh, put_of(flow, results)


def put_of(flow: Flow, results: Results) -> Callable[..., None]:
    """Return the verb that keeps a result which was computed elsewhere."""

    def put(result: Any, /, *args: Any, **kwargs: Any) -> None:
        if flow.mode != "off":
            results.put(flow.keys.of(args, kwargs), result, args, kwargs)

    return put
