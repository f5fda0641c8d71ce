"""The verbs of a memoized ``async def`` function that make calls; see :mod:`.verbs`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

from sqlitedict_kv.concurrency.async_driver import drive
from sqlitedict_kv.concurrency.cancellation import InThread
from sqlitedict_kv.memoization.flow import Flow
from sqlitedict_kv.memoization.results import MISSING, Results
from sqlitedict_kv.memoization.verbs import columns_of, look_up, put_of
from sqlitedict_kv.validation import Duration, check_duration


def add_verbs(wrapper: Any, flow: Flow, results: Results, offload: InThread) -> None:
    """Give an asynchronous function its verbs, all of them awaited but ``put`` where the store is not."""

    async def many(*columns: Iterable[Any], **common: Any) -> list[Any]:
        calls = columns_of(columns)
        look = partial(look_up, flow, results, calls, common)
        kept = look() if results.off_loop is None or flow.mode == "off" else await offload(look)
        made = [wrapper(*args, **common) for args, had in zip(calls, kept, strict=True) if had is MISSING]
        rest = iter(await asyncio.gather(*made))
        return [next(rest) if had is MISSING else had for had in kept]

    def fresh(*, max_age: Duration) -> Callable[..., Awaitable[Any]]:
        seconds = check_duration(max_age, "max_age")
        return lambda *args, **kwargs: drive(flow.fresh(seconds, args, kwargs), offload)

    wrapper.many, wrapper.fresh, wrapper.put = many, fresh, put_of(flow, results)
