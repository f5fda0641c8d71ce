"""Limits of one function: its oldest entries go, those of others stay, and no limit is exceeded by more than 1/16."""

import asyncio
import multiprocessing
from itertools import count
from uuid import uuid4

import pytest

from sqlitedict_kv import AsyncStore, Store
from sqlitedict_kv.memoization import function_limits
from sqlitedict_kv.memoization.result_writer import ResultWriter
from tests.support.memoizing import Counted


def memoized(place, result=lambda x: {"x": x}, name="load", **options):
    counted = Counted(result)
    return place.memoize(name=name, ignore=("self",), **options)(counted.function), counted.calls


def kept(store, prefix="load(", ns="memoize"):
    return {key for key, _ in store.ns(ns).scan(prefix)}


def key_of(x):
    return f"load({x}, 0)"


@pytest.fixture
def ticking(clock):
    """Return a function that calls another with numbers, a moment between two calls."""

    def call(function, numbers):
        for number in numbers:
            clock.advance(0.01)
            function(number)

    return call


def test_the_oldest_of_a_function_go_and_those_of_others_stay(store, ticking):
    load, _ = memoized(store, max_entries=10)
    other, _ = memoized(store, name="other")
    version, _ = memoized(store, version=2)
    ticking(other, range(20))
    ticking(version, range(20))
    ticking(load, range(30))
    assert kept(store) == {key_of(x) for x in range(20, 30)}
    assert len(kept(store, "other(")) == len(kept(store, "load@2(")) == 20


def test_a_larger_limit_is_exceeded_by_a_sixteenth_at_most(store, ticking):
    load, _ = memoized(store, max_entries=96)
    most = 0
    for x in range(300):
        ticking(load, [x])
        most = max(most, len(kept(store)))
    assert 96 <= most <= 96 + 96 // 16
    assert kept(store) >= {key_of(x) for x in range(300 - 96, 300)}


def test_what_was_written_again_is_young(store, ticking):
    load, calls = memoized(store, max_entries=3)
    ticking(load, range(3))
    ticking(load.refresh, [0])
    ticking(load, [3])
    assert kept(store) == {key_of(0), key_of(2), key_of(3)}
    ticking(load, [0])
    assert calls == [0, 1, 2, 0, 3]


def test_the_bytes_of_a_function_are_limited(store, ticking):
    load, _ = memoized(store, lambda x: bytes(1000), max_bytes="20 kB")
    ticking(load, range(60))
    found = kept(store)
    assert found >= {key_of(x) for x in range(41, 60)}
    assert len(found) * 1000 <= 20_000 + 20_000 // 16 + 1000


def test_a_result_over_the_limit_is_kept_until_the_next(store, ticking):
    load, calls = memoized(store, lambda x: bytes(1000), max_bytes=500)
    ticking(load, [1, 1, 2])
    assert calls == [1, 2]
    assert kept(store) == {key_of(2)}


def test_both_limits_hold(store, ticking):
    load, _ = memoized(store, lambda x: bytes(100), max_bytes=10_000, max_entries=4)
    ticking(load, range(10))
    assert kept(store) == {key_of(x) for x in range(6, 10)}


def test_put_and_many_and_refresh_count(store, ticking):
    load, _ = memoized(store, max_entries=4)
    ticking(lambda x: load.put(x, x), range(6))
    assert kept(store) == {key_of(x) for x in range(2, 6)}
    load.many(range(10, 20))
    assert len(kept(store)) == 4


def test_a_batch_counts(store, clock):
    @store.memoize(name="embed", batch=True, max_entries=5)
    def embed(items):
        return [item * 2 for item in items]

    embed([1, 2, 3])
    clock.advance(1)
    embed(list(range(10, 14)))
    found = kept(store, "embed(")
    assert len(found) == 5
    assert found >= {f"embed({x})" for x in range(10, 14)}
    embed(list(range(100)))
    assert len(kept(store, "embed(")) == 5


def test_exceptions_and_stale_copies_count(store, clock, ticking):
    fails = set()

    def result(x):
        if x in fails:
            raise LookupError(x)
        return x

    load, calls = memoized(store, result, ttl=60, stale_if_error=60, cache_exceptions={LookupError: 60}, max_entries=6)
    ticking(load, range(10))
    assert sum(len(kept(store, mark)) for mark in ("load(", "~load(")) == 6
    fails.update(range(100, 120))
    for x in range(100, 120):
        clock.advance(0.01)
        with pytest.raises(LookupError):
            load(x)
    assert sum(len(kept(store, mark)) for mark in ("load(", "~load(", "!load(")) == 6
    assert kept(store, "!") == {f"!{key_of(x)}" for x in range(114, 120)}


def test_what_has_expired_does_not_count(store, clock, ticking):
    load, _ = memoized(store, ttl=lambda x: 1 if x["x"] < 5 else None, max_entries=5)
    ticking(load, range(5))
    clock.advance(1)
    ticking(load, range(5, 10))
    assert kept(store) == {key_of(x) for x in range(5, 10)}


def test_former_bodies_count_too(store, ticking):
    def bodies(number):
        code = f"def f(x):\n    return x + {number}\n"
        scope = {"__name__": "__main__"}
        exec(code, scope)  # noqa: S102 - a body that is edited
        return store.memoize(name="f", code=True, max_entries=4)(scope["f"])

    first, second = bodies(1), bodies(2)
    ticking(first, range(3))
    ticking(second, range(3))
    assert len(kept(store, "f@")) == 4
    assert all(second.peek(x) for x in range(3))


def test_a_hit_looks_at_nothing(store, monkeypatch):
    load, _ = memoized(store, max_entries=2)
    load(1)

    def fail(*_):
        raise AssertionError

    monkeypatch.setattr(ResultWriter, "summaries", fail)
    assert [load(1), load.many([1]), load.fresh(max_age=60)(1)] == [{"x": 1}, [{"x": 1}], {"x": 1}]


def test_a_look_comes_once_in_so_many_writes(store, monkeypatch, ticking):
    load, _ = memoized(store, max_entries=320)
    looks = []
    summaries = ResultWriter.summaries
    monkeypatch.setattr(ResultWriter, "summaries", lambda *args: looks.append(1) or summaries(*args))
    ticking(load, range(100))
    assert len(looks) == 3 * 5  # of results, of exceptions, of copies


def test_where_a_process_begins_to_count_is_spread(monkeypatch):
    assert {function_limits._somewhere_below(3) for _ in range(300)} == {0, 1, 2}
    assert function_limits._somewhere_below(1) == 0


def test_much_that_is_over_goes_step_by_step(store, monkeypatch, ticking):
    ticking(memoized(store)[0], range(50))
    monkeypatch.setattr(function_limits, "MOST_EVICTED", 20)
    load, _ = memoized(store, max_entries=5)
    sizes = []
    for x in range(100, 104):
        ticking(load, [x])
        sizes.append(len(kept(store)))
    assert sizes == [31, 12, 5, 5]


def test_an_entry_that_is_written_meanwhile_stays(store, clock, ticking, monkeypatch):
    load, _ = memoized(store, max_entries=2)
    ticking(load, [1, 2])
    remove = ResultWriter.remove

    def write_before(self, entries):
        store.ns("memoize")[key_of(1)] = "newer"
        return remove(self, entries)

    monkeypatch.setattr(ResultWriter, "remove", write_before)
    ticking(load, [3])
    assert store.ns("memoize")[key_of(1)] == "newer"


def test_the_lease_of_an_entry_that_goes_is_not_touched(store, ticking):
    load, _ = memoized(store, max_entries=1)
    store.ns("memoize.leases")[key_of(1)] = "of another"
    load.put(1, 1)
    store.ns("memoize.leases")[key_of(1)] = "of another"
    ticking(load, [2])
    assert kept(store) == {key_of(2)}
    assert store.ns("memoize.leases")[key_of(1)] == "of another"


@pytest.mark.parametrize("wrong", [{"max_entries": 0}, {"max_bytes": 0}, {"max_bytes": "many"}, {"max_entries": -1}])
def test_a_limit_that_is_none_is_refused(store, wrong):
    with pytest.raises(ValueError, match="max_"):
        memoized(store, **wrong)


def test_large_values_in_files_count_with_their_bytes(make_store, path, ticking):
    store = make_store(path, files_above=65536)
    load, _ = memoized(store, lambda x: bytes(100_000), max_bytes=300_000)
    ticking(load, range(8))
    assert kept(store) == {key_of(x) for x in (5, 6, 7)}


@pytest.mark.parametrize("awaited", [False, True])
def test_async_functions_are_limited(tmp_path, awaited):
    async def main():
        now = count(1_700_000_000)
        async with AsyncStore(tmp_path / "own.db", clock=lambda: float(next(now))) as store:

            @(store if awaited else store.sync_store).memoize(name="load", max_entries=4)
            async def load(x):
                return x

            for x in range(10):
                await load(x)
            assert kept(store.sync_store) == {f"load({x})" for x in range(6, 10)}

    asyncio.run(main())


def work(path, first):
    with Store(path) as store:
        load, _ = memoized(store, max_entries=64)
        for x in range(first, first + 150):
            load(x)


def test_processes_share_a_limit(tmp_path):
    path = tmp_path / "shared.db"
    with Store(path) as store:
        context = multiprocessing.get_context("spawn")
        workers = [context.Process(target=work, args=(path, first)) for first in (0, 1000, 2000)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert [worker.exitcode for worker in workers] == [0, 0, 0]
        assert len(kept(store)) <= 64 + 3 * 64 // 16


def test_limits_that_cannot_be_kept_are_told_once_and_cost_no_result(shared_valkey):
    with Store(f"{shared_valkey.url}?prefix=limits-{uuid4().hex}") as store:
        store.ns("unordered", ordered=False)
        load, calls = memoized(store, ns="unordered", max_entries=2)
        with pytest.warns(UserWarning, match="limits of load cannot be kept: .*ordered=False"):
            load(1)
        assert [load(x) for x in (1, 2, 3, 2)] == [{"x": 1}, {"x": 2}, {"x": 3}, {"x": 2}]
        assert calls == [1, 2, 3]
