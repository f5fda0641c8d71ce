"""Locks and semaphores in tasks."""

import asyncio

import pytest

from sqlitedict_kv.locks import Lock, LockLostError, RLock, Semaphore
from tests.support.locking import PATIENCE, Halting


@pytest.fixture
def locks(store):
    return store.ns("locks")


@pytest.fixture(params=[Lock, RLock])
def kind(request):
    return request.param


def test_tasks_exclude_each_other_and_keep_the_loop_running(locks, kind):
    lock, counts, inside = kind(locks, "k"), {"k": 0}, []

    async def work():
        for _ in range(5):
            async with lock as entered:
                assert entered is lock
                inside.append(1)
                assert len(inside) == 1
                count = counts["k"]
                await asyncio.sleep(0)
                counts["k"] = count + 1
                inside.pop()

    async def main():
        await asyncio.gather(*(work() for _ in range(8)))
        assert not lock.owned()

    asyncio.run(main())
    assert counts["k"] == 40
    assert not lock.locked()


def test_a_task_that_waits_lets_others_run(locks, kind):
    async def main():
        holder, waiter = kind(locks, "k"), kind(locks, "k")
        assert await holder.acquire_async()
        waiting = asyncio.create_task(waiter.acquire_async())
        for _ in range(5):
            await asyncio.sleep(0.001)
        assert not waiting.done()
        assert await waiter.acquire_async(blocking=False) is False
        assert await waiter.acquire_async(timeout=0.005) is False
        await holder.release_async()
        assert await asyncio.wait_for(waiting, PATIENCE) is True

    asyncio.run(main())


def test_the_verbs_of_tasks_do_what_those_of_threads_do(locks, kind, clock):
    async def main():
        lock = kind(locks, "k", ttl=1)
        async with lock:
            clock.advance(0.9)
            assert await lock.renew_async() == lock.version
            clock.advance(0.9)
            assert await lock.renew_async(5) == lock.version
            clock.advance(4)
            assert lock.owned()
            with pytest.raises(ValueError, match="ttl"):
                await lock.renew_async(0)
        assert not lock.locked()
        with pytest.raises(RuntimeError, match="is not held"):
            await lock.release_async()

        with pytest.raises(LockLostError):
            async with lock:
                clock.advance(1)
        with pytest.raises(ZeroDivisionError) as caught:
            async with lock:
                clock.advance(1)
                _ = 1 / 0
        assert "no longer ours" in caught.value.__notes__[0]

    asyncio.run(main())


def test_another_task_is_no_owner_not_even_a_child(locks):
    async def main():
        lock = RLock(locks, "k")
        async with lock, lock:

            async def child():
                assert not lock.owned()
                assert await lock.acquire_async(blocking=False) is False
                with pytest.raises(RuntimeError, match="is not held"):
                    await lock.release_async()

            await asyncio.create_task(child())
            assert not await asyncio.to_thread(lock.owned)
            await asyncio.to_thread(lock.lease.renew)
        assert not lock.locked()

    asyncio.run(main())


def test_a_lock_refuses_a_task_that_would_wait_for_itself(locks):
    async def main():
        lock = Lock(locks, "k")
        async with lock:
            with pytest.raises(RuntimeError, match="would wait for itself"):
                await lock.acquire_async()

    asyncio.run(main())


def test_a_lost_rlock_is_noticed_by_a_task_that_enters_again(locks, clock):
    async def main():
        lock = RLock(locks, "k", ttl=1)
        with pytest.raises(LockLostError):
            async with lock:
                clock.advance(1)
                await lock.acquire_async()

    asyncio.run(main())


def test_tasks_share_a_semaphore(locks):
    inside, most = set(), []

    async def work(number):
        async with Semaphore(locks, "s", 3):
            inside.add(number)
            most.append(len(inside))
            await asyncio.sleep(0.001)
            inside.remove(number)

    async def main():
        await asyncio.gather(*(work(number) for number in range(12)))

    asyncio.run(main())
    assert max(most) <= 3
    assert len(most) == 12
    assert len(locks) == 0


def test_a_task_that_is_cancelled_while_it_waits_leaves_nothing_behind(locks, kind):
    async def main():
        holder, waiter = kind(locks, "k"), kind(locks, "k")
        await holder.acquire_async()
        waiting = asyncio.create_task(waiter.acquire_async())
        await asyncio.sleep(0.005)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await holder.release_async()
        assert not waiter.locked()

        await holder.acquire_async()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.005):
                await waiter.acquire_async()
        await holder.release_async()
        assert not waiter.locked()
        assert await waiter.acquire_async(blocking=False)
        await waiter.release_async()

    asyncio.run(main())


@pytest.mark.parametrize("place", ["before add", "after add"])
@pytest.mark.parametrize("times", [1, 3])
def test_a_lock_that_is_taken_for_a_cancelled_task_is_given_back(locks, place, times):
    halting = Halting(locks, place)
    lock = Lock(halting, "k")

    async def main():
        waiting = asyncio.create_task(lock.acquire_async())
        assert await asyncio.to_thread(halting.arrived.acquire, timeout=PATIENCE)
        for _ in range(times):
            waiting.cancel()
            await asyncio.sleep(0.001)
        assert not waiting.done()  # a thread cannot be cancelled
        halting.may_go.release()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert len(locks) == 0

    asyncio.run(main())
    assert locks.set("k", 0) > 1  # it had been taken


def test_a_cancelled_task_whose_attempt_fails_ends_as_cancelled(locks):
    halting = Halting(locks, "before add")

    async def main():
        waiting = asyncio.create_task(Lock(halting, "k").acquire_async())
        assert await asyncio.to_thread(halting.arrived.acquire, timeout=PATIENCE)
        waiting.cancel()
        await asyncio.sleep(0)
        locks._engine.close()
        halting.may_go.release()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())


def test_a_release_is_completed_although_its_task_is_cancelled(locks):
    halting = Halting(locks, "before delete")
    lock = Lock(halting, "k")

    async def work():
        async with lock:
            pass

    async def main():
        working = asyncio.create_task(work())
        assert await asyncio.to_thread(halting.arrived.acquire, timeout=PATIENCE)
        working.cancel()
        await asyncio.sleep(0.001)
        assert not working.done()
        halting.may_go.release()
        with pytest.raises(asyncio.CancelledError):
            await working
        assert not lock.locked()

    asyncio.run(main())
