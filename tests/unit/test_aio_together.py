"""Transactions, walks, forks, memoize and locks on an asynchronous store."""

import asyncio
import signal
import threading

import pytest

from sqlitedict_kv import (
    AsyncStore,
    ConflictError,
)
from sqlitedict_kv.locks import Lock, Throttle, single_run
from tests.conftest import on_shared
from tests.support.loops import WAIT, locked, pending, steps_of, turns
from tests.support.processes import forked

# -- transactions, walks, fork


def test_other_things_may_be_awaited_in_a_block_and_others_write_meanwhile(path):
    async def main():
        async with AsyncStore(path) as store:
            users = store.ns("users")
            await users.set("k", 1)
            async with store.atomic() as tx:
                entry = await users.get_with_meta("k")
                tx.ns("users").check("k", entry.meta.version)
                await users.set("other", 5)
                tx.ns("users").set("k", entry.value + 1)
            assert tx.versions == {("users", "k"): 2}
            with pytest.raises(ConflictError):
                async with store.atomic() as tx:
                    tx.ns("users").check("k", 1)
                    tx.ns("users").set("j", 1)
            with pytest.raises(ZeroDivisionError):
                async with store.atomic() as tx:
                    tx.ns("users").set("j", 1)
                    _ = 1 / 0
            assert await users.copy() == {"k": 2, "other": 5}

    asyncio.run(main())


@on_shared
def test_modify_takes_functions_that_await_and_loses_nothing(where):
    async def main():
        async with AsyncStore(where) as store:
            users = store.ns("users")

            async def slow(value):
                await asyncio.sleep(0)
                return value + 1

            await asyncio.gather(*(users.modify("n", slow, default=0) for _ in range(20)))
            assert await users.get("n") == 20

            async def bad(value):
                raise LookupError

            with pytest.raises(LookupError):
                await users.modify("n", bad)
            assert await users.get("n") == 20

    asyncio.run(main())


@on_shared
def test_a_walk_goes_by_pages_and_may_be_left_at_any_point(where):
    async def main():
        async with AsyncStore(where) as store:
            users = store.ns("users")
            await users.set_many({f"k{number:04}": number for number in range(1200)})
            assert [key async for key in users] == [f"k{number:04}" for number in range(1200)]
            assert [key async for key in users.keys(reverse=True)][:2] == ["k1199", "k1198"]
            assert [value async for value in users.values()] == list(range(1200))
            assert [key async for key, entry in users.scan("k00") if entry.value % 50 == 0] == ["k0000", "k0050"]
            async for key, value in users.items():
                await users.delete(key)
                if value == 60:
                    break
            assert await users.count() == 1139

    asyncio.run(main())


def test_a_child_goes_on_with_the_store_of_its_parent(path):
    store = AsyncStore(path, lru_bytes="1 MB")
    users = store.ns("users")

    async def increments(count):
        await asyncio.gather(*(users.incr("n") for _ in range(count)), users.get("n"))

    def child():
        asyncio.run(increments(50))
        assert asyncio.run(users.get("n")) >= 60

    asyncio.run(increments(10))
    assert forked(child) == 0
    asyncio.run(increments(10))
    assert asyncio.run(users.get("n")) == 70
    asyncio.run(store.close())


def test_a_child_that_is_forked_while_a_thread_opens_the_store_opens_it_by_itself(path):
    store = AsyncStore(path)

    def child():
        signal.alarm(WAIT)  # it would wait for a thread that it does not have
        asyncio.run(store.ns("users").set("k", 1))

    with store._lazy._lock:  # as the thread that opens does
        assert forked(child) == 0
    assert asyncio.run(store.ns("users").copy()) == {"k": 1}
    asyncio.run(store.close())


def test_a_fork_in_the_middle_of_a_group_leaves_both_sides_whole(path):
    store = AsyncStore(path)
    users = store.ns("users")

    async def main():
        await users.set("n", 0)
        tasks = pending(*(users.incr("n") for _ in range(300)))
        await turns(2)
        code = await asyncio.to_thread(forked, lambda: asyncio.run(users.incr("child")))
        assert code == 0
        await asyncio.gather(*tasks)

    asyncio.run(main())
    assert asyncio.run(users.copy()) == {"n": 300, "child": 1}
    asyncio.run(store.close())


# -- memoize and locks


def test_a_memoized_coroutine_function_is_computed_once_and_served_from_the_lru(path):
    store = AsyncStore(path, lru_bytes="1 MB")
    calls = []

    @store.memoize(ttl=60)
    async def report(day):
        calls.append(day)
        await asyncio.sleep(0)
        return {"day": day}

    assert not path.exists()

    async def main():
        async with store:
            assert await asyncio.gather(*(report(1) for _ in range(20))) == [{"day": 1}] * 20
            assert calls == [1]
            assert await report(1) == {"day": 1}
            assert steps_of(report(1)) == {"day": 1}
            assert (await report.peek(1)).value == {"day": 1}
            assert await report.forget(1)
            assert await report.peek(1) is None
            assert await report.refresh(1) == {"day": 1}
            assert await report.cache_clear() == 1
            assert calls == [1, 1]

            @store.ns("mine", ttl=5).memoize()
            async def mine():
                return 1

            assert await mine() == 1
            assert await store.namespaces() == ["mine"]

    asyncio.run(main())


@on_shared
def test_a_computation_that_is_cancelled_gives_its_lease_back(where):
    async def main():
        async with AsyncStore(where) as store:

            @store.memoize(ttl=60)
            async def never():
                await asyncio.Event().wait()

            task = asyncio.ensure_future(never())
            while not await store.ns("memoize.leases").count():
                await turns()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            while await store.ns("memoize.leases").count():
                await turns()

    asyncio.run(main())


@on_shared
def test_refresh_in_the_background_and_errors_work_as_on_a_store(where, clock):
    async def main():
        async with AsyncStore(where, clock=clock) as store:
            values = iter([1, 2])

            @store.memoize(ttl=60, refresh_before=10, cache_exceptions={StopAsyncIteration: 5}, ignore=("values",))
            async def load():
                for value in values:
                    return value
                raise StopAsyncIteration

            assert await load() == 1
            clock.advance(55)
            assert await load() == 1
            while await load() == 1:
                await turns()
            assert await load() == 2
            clock.advance(61)
            for _ in range(2):
                with pytest.raises(StopAsyncIteration):
                    await load()

    asyncio.run(main())


def test_memoize_of_an_async_store_refuses_what_would_block():
    with pytest.raises(TypeError, match="async def"):

        @AsyncStore().memoize()
        def blocking():
            pass

    with pytest.raises(ValueError, match="ns"):
        AsyncStore().ns("n").memoize(ns="m")


@on_shared
def test_locks_take_an_async_namespace(where):
    async def main():
        async with AsyncStore(where) as store:
            locks = store.ns("locks")
            lock = Lock(locks, "k", ttl=30)
            inside = []

            async def critical(number):
                async with lock:
                    inside.append(number)
                    await asyncio.sleep(0)
                    assert inside[-1] == number

            await asyncio.gather(*(critical(number) for number in range(10)))
            assert sorted(inside) == list(range(10))
            assert await locks.count() == 0
            assert await lock.acquire_async()
            assert await lock.renew_async() == lock.version
            await lock.release_async()

            throttle = Throttle(locks, "t", count=1, seconds=3600)
            assert await throttle.acquire_async()
            assert not await throttle.acquire_async(timeout=0)

            @single_run(locks)
            async def alone():
                return await locks.count()

            assert await alone() == 2

    asyncio.run(main())


def test_a_lock_whose_wait_is_cancelled_is_not_left_taken(path):
    async def main():
        async with AsyncStore(path) as store:
            locks = store.ns("locks")
            await locks.set("other", 1)
            lock = Lock(locks, "k", ttl=30)
            with locked(path):
                task = asyncio.ensure_future(lock.acquire_async())
                await turns()
                task.cancel()
                await turns()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await locks.count() == 1

    asyncio.run(main())


def test_a_loop_that_is_stopped_in_the_middle_of_a_turn_sends_its_writes_when_it_goes_on(path):
    store = AsyncStore(path)
    n = store.ns("n")
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    try:
        first.run_until_complete(n.set("there", 0))
        write = first.create_task(n.set("first", 1))
        first.call_soon(first.stop)
        first.run_forever()  # the task has asked, and the turn that sends it is not yet
        assert second.run_until_complete(asyncio.wait_for(n.set("second", 2), WAIT)) == 1
        assert first.run_until_complete(asyncio.wait_for(write, WAIT)) == 1
        assert first.run_until_complete(n.copy()) == {"there": 0, "first": 1, "second": 2}
    finally:
        second.run_until_complete(store.close())
        first.close()
        second.close()


class StrangeError(Exception):
    """An error that cannot be copied."""

    def __init__(self, what, where):
        super().__init__(f"{what} at {where}")


@pytest.mark.parametrize(
    ("error", "raised"), [(StrangeError("lightning", "noon"), StrangeError), (StopIteration(), RuntimeError)]
)
@pytest.mark.parametrize("writers", [1, 5])
def test_a_clock_that_raises_fails_the_writes_that_asked_it_and_no_others(path, error, raised, writers):
    loop_thread = threading.current_thread()
    broken = False

    def clock():
        if broken and threading.current_thread() is not loop_thread:
            raise error
        return 1_700_000_000.0

    async def main():
        nonlocal broken
        async with AsyncStore(path, clock=clock) as store:
            n = store.ns("n")
            await n.set("there", 0)
            broken = True
            calls = [asyncio.ensure_future(n.set(str(number), number)) for number in range(writers)]
            _, waiting = await asyncio.wait(calls, timeout=WAIT)
            assert not waiting
            assert {type(call.exception()) for call in calls} == {raised}
            broken = False
            assert await n.set("there", 1) == 2
            assert await n.count() == 1

    asyncio.run(main())
