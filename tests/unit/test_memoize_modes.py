"""Memoized functions that are off, or may only return what is kept."""

import asyncio
import itertools
import pickle
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

import pytest

from sqlitedict_kv import AsyncStore, NotCachedError, Store
from sqlitedict_kv.operations.memoize_modes import VARIABLE
from tests.support.memoizing import Counted


def memoized(place, **options):
    counted = Counted()
    return place.memoize(name="load", ignore=("self",), **options)(counted.function), counted.calls


@pytest.mark.parametrize("options", [{}, {"ttl": 60, "refresh_before": 5}])
def test_in_a_disabled_block_each_call_computes_and_nothing_is_kept(store, options):
    load, calls = memoized(store, **options)
    load(1)
    with store.memoize.disabled():
        assert [load(1), load(1), load(2), load.refresh(3)] == [{"x": 1}, {"x": 1}, {"x": 2}, {"x": 3}]
    assert calls == [1, 1, 1, 2, 3]
    assert load.peek(2) is None
    load(1)
    assert calls == [1, 1, 1, 2, 3]


def test_a_call_that_is_off_does_not_touch_the_store(path):
    store = Store(path)
    load, calls = memoized(store)
    with store.memoize.disabled():
        store.close()
        assert load(1) == {"x": 1}
        assert load([object()]) is not None, "no key is made"
    assert len(calls) == 2


@pytest.mark.parametrize("options", [{}, {"ttl": 60, "refresh_before": 5}])
def test_in_a_block_of_only_what_is_kept_is_returned_and_nothing_is_computed(store, options):
    load, calls = memoized(store, **options)
    load(1)
    with store.memoize.only():
        assert load(1) == {"x": 1}
        for call in (load, load.refresh):
            with pytest.raises(NotCachedError, match=r"no result of load\(2, 0\) is kept") as caught:
                call(2)
            assert caught.value.key == "load(2, 0)"
            assert pickle.loads(pickle.dumps(caught.value)).key == "load(2, 0)"
    assert calls == [1]
    assert load(2) == {"x": 2}


def test_a_result_that_is_due_is_not_refreshed_in_a_block_of_only(path):
    now = [1000.0]
    with Store(path, clock=lambda: now[0]) as store:
        load, calls = memoized(store, ttl=60, refresh_before=50)
        load(1)
        now[0] += 30
        with store.memoize.only():
            assert load(1) == {"x": 1}
        assert calls == [1]
        assert not [thread for thread in threading.enumerate() if "refresh" in thread.name]


def test_an_exception_that_is_kept_is_raised_in_a_block_of_only(store):
    @store.memoize(cache_exceptions={LookupError: None}, name="find")
    def find(x):
        raise LookupError(x)

    with pytest.raises(LookupError):
        find(1)
    with store.memoize.only():
        with pytest.raises(LookupError, match="1"):
            find(1)
        with pytest.raises(NotCachedError):
            find(2)


def test_a_block_of_a_namespace_concerns_its_functions_alone(store):
    here, calls = memoized(store.ns("here"))
    there, others = memoized(store)
    with store.ns("here").memoize.disabled():
        for _ in range(2):
            here(1)
            there(1)
    assert (calls, others) == ([1, 1], [1])


def test_blocks_nest_and_concern_functions_that_are_decorated_within(store):
    with store.memoize.disabled():
        load, calls = memoized(store)
        with store.memoize.only(), pytest.raises(NotCachedError):
            load(1)
        load(1)
        load(1)
    assert calls == [1, 1]
    load(1)
    load(1)
    assert calls == [1, 1, 1]


def test_blocks_of_two_threads_may_end_in_any_order(store):
    load, calls = memoized(store)
    first, second = store.memoize.disabled(), store.memoize.disabled()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    load(1)
    load(1)
    second.__exit__(None, None, None)
    load(1)
    load(1)
    assert calls == [1, 1, 1]


def test_the_environment_switches_a_process(store, monkeypatch):
    kept, _ = memoized(store)
    kept(1)
    monkeypatch.setenv(VARIABLE, "only")
    load, calls = memoized(store)
    assert load(1) == {"x": 1}
    with pytest.raises(NotCachedError):
        load(2)
    monkeypatch.setenv(VARIABLE, "off")
    load, calls = memoized(store)
    load(1)
    assert calls == [1]
    monkeypatch.setenv(VARIABLE, "of")
    with pytest.raises(ValueError, match=f"{VARIABLE} must be off, only or on, not 'of'"):
        memoized(store)


@pytest.mark.parametrize("options", [{}, {"ttl": 60, "refresh_before": 5}])
@pytest.mark.parametrize("awaited", [True, False])
def test_tasks_know_the_modes(path, awaited, options):
    calls = []

    async def main():
        async with AsyncStore(path) as store:
            chosen = store if awaited else store.sync_store

            @chosen.memoize(name="load", **options)
            async def load(x):
                calls.append(x)
                return [x]

            assert await load(1) == [1]
            with chosen.memoize.only():
                assert await load(1) == [1]
                for call in (load, load.refresh):
                    with pytest.raises(NotCachedError):
                        await call(2)
            with chosen.memoize.disabled():
                assert [await load(1), await load(2), await load.refresh(2)] == [[1], [2], [2]]
            assert calls == [1, 1, 2, 2]
            with store.sync_store.memoize.disabled():
                await load(1)
            assert calls == [1, 1, 2, 2, 1], "both faces of a store are one"

    asyncio.run(main())


def test_an_empty_variable_says_nothing(store, monkeypatch):
    monkeypatch.setenv("SQLITEDICT_KV_MEMOIZE", "")

    @store.memoize()
    def f(x):
        return x

    assert f(1) == f(1) == 1
    assert f.cache_info().hits == 1


@pytest.mark.parametrize("entered", ["disabled", "enabled"])
def test_a_mode_that_changes_in_the_middle_of_a_call_makes_no_wrong_result(store, entered):
    """Another thread may change it between any two instructions of the wrapper."""

    @store.memoize(condition=lambda result: False)
    def f(x):
        return [x]

    f(0)
    for at in itertools.count():
        with ExitStack() as stack:
            block = stack.enter_context(ExitStack())
            if entered == "enabled":
                block.enter_context(store.memoize.disabled())
            change = block.close if entered == "enabled" else partial(stack.enter_context, store.memoize.disabled())
            result, changed = call_and_change(f, at, change)
        assert result == [at]
        if not changed:
            break
    assert at > 10


def call_and_change(f, at, change):
    """Return the result of f(at), and whether *change* was called, before an instruction of the wrapper."""
    left, changed = at, False

    def trace(frame, event, _):
        nonlocal left, changed
        if frame.f_code.co_name != "hard_wrapper":
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            if left == 0 and not changed:
                changed = True
                change()
            left -= 1
        return trace

    def call():
        sys.settrace(trace)
        try:
            return f(at)
        finally:
            sys.settrace(None)

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result(60), changed
