"""Memoized functions that are coroutines, and tasks that share a computation."""

import asyncio
import inspect
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from sqlitedict_kv import CodecError
from sqlitedict_kv.concurrency.lease import Lease, Leases
from tests.support.memoizing import WAIT, Held, memoize, passengers, until


def counted_async(store, work, *, ignore=("work",), **options):
    calls = []

    @memoize(store, ignore=ignore, **options)
    async def load(x):
        calls.append(x)
        return await work(x)

    return load, calls


def test_an_async_function_stays_one_and_keeps_its_results(store, after):
    async def work(x):
        return {"x": x}

    load, calls = counted_async(store, work, ttl=60)
    assert inspect.iscoroutinefunction(load)

    async def main():
        assert await load(1) == await load(x=1) == {"x": 1}
        version = load.peek(1).meta.version
        assert await load.refresh(1) == {"x": 1}
        assert load.peek(1).meta.version == after(version)
        assert load.forget(1)
        assert await load(1) == {"x": 1}

    asyncio.run(main())
    assert calls == [1, 1, 1]
    assert list(store.ns("memoize.leases")) == []


def test_tasks_share_one_computation_and_none_gets_the_others_object(store):
    async def main():
        go_on = asyncio.Event()

        async def work(x):
            await go_on.wait()
            return [x]

        for condition in (None, lambda result: False):
            load, calls = counted_async(store, work, condition=condition)
            load.cache_clear()
            tasks = [asyncio.create_task(load(1)) for _ in range(8)]
            await asyncio.to_thread(passengers, load, 8)
            go_on.set()
            results = await asyncio.gather(*tasks)
            assert results == [[1]] * 8
            assert len({id(result) for result in results}) == 8
            assert calls == [1]
            go_on.clear()

    asyncio.run(main())


def test_an_exception_reaches_all_tasks(store):
    async def main():
        go_on = asyncio.Event()

        async def work(x):
            await go_on.wait()
            raise LookupError(x)

        load, calls = counted_async(store, work)
        tasks = [asyncio.create_task(load(1)) for _ in range(4)]
        await asyncio.to_thread(passengers, load, 4)
        go_on.set()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [LookupError] * 4
        assert calls == [1]

    asyncio.run(main())


@pytest.mark.parametrize("cancelled", [0, 2])
def test_a_task_that_is_cancelled_takes_nothing_from_the_others(store, cancelled):
    async def main():
        go_on = asyncio.Event()

        async def work(x):
            await go_on.wait()
            return [x]

        load, calls = counted_async(store, work)
        tasks = [asyncio.create_task(load(1)) for _ in range(4)]
        await asyncio.to_thread(passengers, load, 4)
        tasks[cancelled].cancel()
        await asyncio.wait([tasks[cancelled]])
        go_on.set()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes].count(asyncio.CancelledError) == 1
        assert outcomes.count([1]) == 3
        assert calls == [1]

    asyncio.run(main())


def test_a_computation_is_given_up_when_all_who_wait_are_cancelled(store):
    async def main():
        ended = asyncio.Event()

        async def work(x):
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        load, calls = counted_async(store, work)
        tasks = [asyncio.create_task(load(1)) for _ in range(3)]
        await asyncio.to_thread(passengers, load, 3)
        await asyncio.to_thread(until, lambda: calls)
        for task in tasks:
            task.cancel()
        await asyncio.wait_for(ended.wait(), WAIT)
        await asyncio.to_thread(until, lambda: not store.ns("memoize.leases"))
        assert all(
            isinstance(outcome, asyncio.CancelledError)
            for outcome in await asyncio.gather(*tasks, return_exceptions=True)
        )

    asyncio.run(main())


def test_a_loop_that_ends_leaves_no_lease_and_other_loops_go_on(store):
    began = threading.Event()

    async def work(x):
        if not began.is_set():
            began.set()
            await asyncio.Event().wait()
        return x

    load, calls = counted_async(store, work)

    async def first():
        task = asyncio.create_task(load(1))
        await asyncio.to_thread(passengers, load, 2)
        task.cancel()

    async def second():
        return await load(1)

    def late():
        began.wait(WAIT)
        return asyncio.run(second())

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.submit(asyncio.run, first()), pool.submit(late)
        # The task of the first loop is cancelled as that loop ends, and its computation with it.
        one.result(WAIT)
        assert other.result(WAIT) == 1
    assert calls == [1, 1]
    assert list(store.ns("memoize.leases")) == []


def test_threads_with_loops_of_their_own_share_one_computation(store):
    held = Held()

    async def work(x):
        return await asyncio.to_thread(held.function, x)

    load, calls = counted_async(store, work)

    async def main():
        return await load(1)

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(lambda: asyncio.run(main())) for _ in range(4)]
        held.begun.acquire()
        passengers(load, 4)
        held.end.release()
        assert [future.result(WAIT) for future in asked] == [{"x": 1}] * 4
    assert calls == [1]


def test_a_task_that_needs_its_own_result_is_told_so(store):
    async def main():
        @memoize(store)
        async def endless(x):
            return await asyncio.create_task(endless(x))

        with pytest.raises(RuntimeError, match="needs its own result"):
            await endless(1)

    asyncio.run(main())


def test_an_async_function_waits_for_the_lease_of_another_without_blocking_the_loop(store):
    async def main():
        held = Held()
        slow = memoize(store, name="f", key=lambda x: x, ignore=("self",))(held.function)

        async def work(x):
            raise AssertionError

        load, calls = counted_async(store, work, name="f", key=lambda x: x, ignore=("work", "calls"))
        other = asyncio.create_task(asyncio.to_thread(slow, 1))
        await asyncio.to_thread(held.begun.acquire)
        mine = asyncio.create_task(load(1))
        await asyncio.to_thread(passengers, load, 1)
        held.end.release()
        assert await mine == await other == {"x": 1}
        assert calls == []

    asyncio.run(main())


def test_an_async_result_is_refreshed_in_the_background(store, clock, caplog):
    async def main():
        go_on = asyncio.Semaphore(1)

        async def work(x):
            await go_on.acquire()
            if len(calls) == 3:
                raise LookupError
            return len(calls)

        load, calls = counted_async(store, work, ttl=60, refresh_before=10, stale_if_error=30)
        assert await load(1) == 1
        clock.advance(55)
        assert [await load(1) for _ in range(5)] == [1] * 5
        go_on.release()
        await asyncio.to_thread(until, lambda: store.ns("memoize")[load.cache_key(1)] == 2)
        assert calls == [1, 1]

        clock.advance(55)
        go_on.release()
        while load.cache_info().failed_refreshes == 0:  # asked again: the refresh of before may be just about to end
            assert await load(1) == 2
            await asyncio.sleep(0.001)

    asyncio.run(main())
    assert "in the background failed" in caplog.text


def test_the_lease_of_a_computation_that_failed_is_free_for_those_who_wait_alone(store, clock):
    leases = Leases(store.ns("leases"), 10.0)
    leases.take("k").mark_failed()
    assert leases.take("k", after_failure=False) is None
    assert leases.holder("k") is None
    lease = leases.take("k")
    assert lease is not None
    assert leases.holder("k") is not None
    assert leases.take("k") is None
    Lease(leases, "k", None).begin(lease.version).give_back()  # it has another token
    assert leases.holder("k") is not None
    clock.advance(10)
    assert leases.holder("k") is None
    lease.mark_failed()
    assert not leases.is_held("k")


def test_an_async_result_that_cannot_be_kept_and_one_that_is_stale(store, clock):
    results = [object(), object(), "kept", LookupError("down")]

    async def work(x):
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    load, _ = counted_async(store, work, ttl=10, stale_if_error=60, unstorable="raise")

    async def main():
        with pytest.raises(CodecError):
            await load(1)
        with pytest.raises(CodecError):
            await load(1)
        assert await load(1) == "kept"
        clock.advance(10)
        assert await load(1) == "kept"
        assert load.cache_info().stale == 1

    asyncio.run(main())
    assert list(store.ns("memoize.leases")) == []
