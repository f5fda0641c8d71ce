"""Many calls at once: what is kept is looked up in one step, and a function that takes a list computes the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from sqlitedict_kv.concurrency.lease import Lease
from sqlitedict_kv.concurrency.owners import Owner
from sqlitedict_kv.concurrency.sansio import Blocking, Invoke, Steps
from sqlitedict_kv.errors import NotCachedError
from sqlitedict_kv.memoization.call_key import CallKeys
from sqlitedict_kv.memoization.flow import Driver, Flow
from sqlitedict_kv.memoization.results import Results

Args = tuple[Any, ...]
Kwargs = dict[str, Any]
Common = tuple[Args, Kwargs]  # what the function is given beside the items


class Batches:
    """The calls of a function that takes a list of items, each of which has a result of its own."""

    def __init__(
        self, function: Callable[..., Any], keys: CallKeys, results: Results, flow: Flow, driver: Driver
    ) -> None:
        """Serve the calls of *function*."""
        self._function = function
        self._keys = keys
        self._results = results
        self._flow = flow
        self._driver = driver
        self._attempt, self._await_holder = flow._try, flow._await_holder  # noqa: SLF001 - a second kind of flow

    def call(self, args: Args, kwargs: Kwargs, *, again: bool = False) -> Steps[list[Any]]:
        """Return the results of the items, which are the first argument, in their order; *again* computes all."""
        if not args or isinstance(args[0], str | bytes | Mapping) or not isinstance(args[0], Iterable):
            raise TypeError(f"{self._keys.name} takes a list of items as its first argument, by position")
        asked, rest = list(args[0]), args[1:]
        common = rest, kwargs
        if self._flow.mode == "off":
            return (yield from self._invoke(asked, common))
        keys = [self._keys.of((item, *rest), kwargs) for item in asked]
        by_key = dict(zip(keys, asked, strict=True))
        found = yield from self._find(by_key, common, again=again)
        return [found[key] for key in keys]

    def _find(self, by_key: dict[str, Any], common: Common, *, again: bool) -> Steps[dict[str, Any]]:
        found: dict[str, Any] = {} if again else (yield from self._look(list(by_key)))
        self._results.counters.hits += len(found)
        self._results.counters.misses += len(by_key) - len(found)
        while missing := [key for key in by_key if key not in found]:
            if self._flow.mode == "only":
                raise NotCachedError(missing[0])
            take = Blocking(partial(self._take, missing, self._driver.owner(), again=again), undo=_give_back)
            leases: list[Lease] | None = yield from self._attempt(missing[0], take, None)
            if leases is None:  # the storage fails
                found |= yield from self._compute({key: by_key[key] for key in missing}, [], common)
            elif leases:
                # Look again, leases in hand: since then, their last owners may have written and gone.
                came = {} if again else (yield from self._look([lease.key for lease in leases]))
                wanted = {lease.key: by_key[lease.key] for lease in leases if lease.key not in came}
                found |= came | (yield from self._compute(wanted, leases, common))
            else:  # other calls compute all that is missing
                yield from self._await_holder(missing[0])
                found |= yield from self._look(missing)
        return found

    def _look(self, keys: list[str]) -> Steps[dict[str, Any]]:
        if not keys:
            return {}
        found: dict[str, Any] | None = yield from self._attempt(
            keys[0], self._driver.read(partial(self._results.look_many, keys)), None
        )
        return found or {}

    def _take(self, keys: list[str], owner: Owner, *, again: bool) -> list[Lease]:
        """Take what leases are free, without waiting: who waits holds none, so nobody waits in a circle."""
        take = self._results.leases.seize if again else self._results.leases.take
        return [lease for key in keys if (lease := take(key, owner=owner)) is not None]

    def _compute(self, by_key: dict[str, Any], leases: list[Lease], common: Common) -> Steps[dict[str, Any]]:
        try:
            for lease in leases:
                lease.keep_renewing()
            values = (yield from self._invoke(list(by_key.values()), common)) if by_key else []
        except GeneratorExit:  # nothing can be called any more; the leases end by themselves
            raise
        except BaseException:
            yield Blocking(partial(_give_back, leases))
            raise
        results = dict(zip(by_key, values, strict=True))
        if leases:
            rest, kwargs = common
            calls = {key: ((item, *rest), kwargs) for key, item in by_key.items()}
            finish = Blocking(partial(self._results.finish_many, leases, results, calls))
            yield from self._attempt(leases[0].key, finish)
        return results

    def _invoke(self, items: list[Any], common: Common) -> Steps[list[Any]]:
        self._results.counters.computed += 1
        rest, kwargs = common
        values = yield Invoke(self._function, ([*items], *rest), kwargs)  # it may change what it is given
        name = self._keys.name
        if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
            raise TypeError(f"{name} must return a list with a result for each item, not {type(values).__name__}")
        values = list(values)
        if len(values) != len(items):
            raise ValueError(f"{name} got {len(items)} items and returned {len(values)} results")
        return values


def _give_back(leases: list[Lease]) -> None:
    for lease in leases:
        lease.give_back()
