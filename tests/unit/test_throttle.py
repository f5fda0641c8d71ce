"""Rate limits, in threads and tasks."""

import asyncio
import inspect
import random

import pytest

from sqlitedict_kv.locks import Throttle
from tests.support.locking import Halting


@pytest.fixture
def locks(store):
    return store.ns("locks")


@pytest.fixture
def limit(locks, clock):
    """Make throttles that sleep by the test's clock."""
    return lambda **options: Throttle(locks, "t", clock=clock, sleep=clock.advance, **options)


def test_a_throttle_lets_a_burst_through_and_then_one_at_a_time(limit, clock):
    throttle, start, moments = limit(count=4, seconds=2), clock.nanoseconds, []
    for _ in range(8):
        assert throttle.acquire() is True
        moments.append((clock.nanoseconds - start) / 10**9)
    assert moments == [0, 0, 0, 0, 0.5, 1, 1.5, 2]


def test_a_throttle_is_shared_by_all_that_name_it(store, locks, limit, clock):
    one, other = limit(count=2), Throttle(store.ns("locks"), "t", count=2, clock=clock)
    assert one.acquire(blocking=False)
    assert other.acquire(blocking=False)
    assert not one.acquire(blocking=False)
    assert not other.acquire(blocking=False)
    assert Throttle(locks, "another", count=2, clock=clock).acquire(blocking=False)


def test_a_bucket_never_holds_more_than_its_count(limit, clock):
    throttle = limit(count=3, seconds=3)
    clock.advance(1000)
    assert [throttle.acquire(blocking=False) for _ in range(4)] == [True, True, True, False]
    clock.advance(1)
    assert [throttle.acquire(blocking=False) for _ in range(2)] == [True, False]
    clock.advance(1000)
    assert [throttle.acquire(blocking=False) for _ in range(4)] == [True, True, True, False]


def test_a_full_bucket_takes_no_room(locks, limit, clock):
    throttle = limit(count=4, seconds=2)
    throttle.acquire()
    throttle.acquire()
    clock.advance(0.999)
    assert "t" in locks
    clock.advance(0.001)
    assert "t" not in locks


@pytest.mark.parametrize(("count", "seconds"), [(1, 1), (3, 1), (7, 0.3), (1000, 1), (1, 0.0001), (3, 0.00001)])
def test_no_stretch_of_time_has_more_calls_than_promised(locks, clock, count, seconds):
    throttle = Throttle(locks, "t", count=count, seconds=seconds, clock=clock)
    dice, moments = random.Random(7), []
    for _ in range(400):
        clock.advance(round(dice.choice((0, 0, 0.1, 0.5, 3)) * seconds / count, 6))
        if throttle.acquire(blocking=False):
            moments.append(clock.nanoseconds)
    assert len(moments) > 100
    for first in range(len(moments)):
        for last in range(first, len(moments)):
            stretch = (moments[last] - moments[first]) / 10**9
            assert last - first + 1 <= count * (1 + stretch / seconds) + 1e-6


def test_a_throttle_waits_no_longer_than_its_timeout(locks, clock):
    slept = []
    throttle = Throttle(
        locks, "t", count=1, seconds=10, clock=clock, sleep=lambda pause: (slept.append(pause), clock.advance(pause))
    )
    assert throttle.acquire(timeout=0)
    assert not throttle.acquire(timeout=9.999)
    assert slept == []  # it could not have been enough
    assert throttle.acquire(timeout=10)
    assert slept == [10]


def test_a_throttle_counts_all_its_pauses_against_the_timeout(locks, clock):
    slept = []

    def sleep(pause):  # when it wakes up, somebody else was faster
        slept.append(pause)
        clock.advance(pause)
        assert Throttle(locks, "t", count=1, clock=clock).acquire(blocking=False)

    throttle = Throttle(locks, "t", count=1, clock=clock, sleep=sleep)
    throttle.acquire()
    assert not throttle.acquire(timeout=2.5)
    assert slept == [1, 1]


@pytest.mark.parametrize("back", [0.001, 1, 3.9, 4.1, 3600])
def test_a_clock_that_is_set_back_costs_one_period_at_most(limit, clock, back):
    throttle = limit(count=2, seconds=4)
    throttle.acquire()
    throttle.acquire()
    clock.advance(-back)
    before = clock.nanoseconds
    throttle.acquire()
    assert clock.nanoseconds - before <= (2 + 4) * 10**9  # what it would have been, and one period


def test_a_clock_that_is_set_back_a_little_gives_no_token_away(limit, clock):
    throttle = limit(count=2, seconds=4)
    throttle.acquire()
    throttle.acquire()
    clock.advance(-3.9)
    assert not throttle.acquire(blocking=False)


def test_a_lost_race_for_a_token_is_run_again(locks, clock):
    class Raced(Halting):
        __slots__ = ()

        def cas_set(self, *args, **kwargs):
            if self.halts:
                self.halts = ()
                assert Throttle(locks, "t", count=2, clock=clock).acquire(blocking=False)
            return super().cas_set(*args, **kwargs)

    raced = Throttle(Raced(locks, "once"), "t", count=2, clock=clock)
    assert raced.acquire(blocking=False)
    assert not raced.acquire(blocking=False)


def test_a_throttled_function_waits_before_each_call_and_is_itself_otherwise(limit, clock):
    @limit(count=1, seconds=2)
    def double(number: int, *, plus: int = 0) -> int:
        """Double it."""
        return number * 2 + plus

    start = clock.nanoseconds
    assert [double(1), double(2, plus=1), double(3)] == [2, 5, 6]
    assert clock.nanoseconds - start == 4 * 10**9
    assert double.__name__ == "double"
    assert double.__doc__ == "Double it."
    assert list(inspect.signature(double).parameters) == ["number", "plus"]
    assert double.__wrapped__(2) == 4
    assert not inspect.iscoroutinefunction(double)


def test_a_throttled_async_function_waits_without_blocking(limit, clock, monkeypatch):
    slept = []

    async def sleep(pause):
        slept.append(pause)
        clock.advance(pause)

    @limit(count=2, seconds=1)
    async def double(number):
        return number * 2

    async def main():
        return [await double(number) for number in range(4)]

    assert inspect.iscoroutinefunction(double)
    with monkeypatch.context() as patched:
        patched.setattr("sqlitedict_kv.concurrency.async_driver.asyncio.sleep", sleep)
        assert asyncio.run(main()) == [0, 2, 4, 6]
    assert slept == [0.5, 0.5]


def test_a_task_that_is_cancelled_while_it_waits_for_a_token_takes_none(limit, clock):
    throttle = limit(count=1, seconds=1000)

    async def main():
        assert await throttle.acquire_async()
        assert not await throttle.acquire_async(blocking=False)
        assert not await throttle.acquire_async(timeout=999)
        waiting = asyncio.create_task(throttle.acquire_async())
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        clock.advance(1000)
        assert await throttle.acquire_async(blocking=False)

    asyncio.run(main())
