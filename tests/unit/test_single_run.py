"""Single runs, in threads and tasks; processes have a file of their own."""

import asyncio
import functools
import inspect
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from sqlitedict_kv.errors import KVError
from sqlitedict_kv.locks import LockLostError, LockTimeoutError, single_run
from tests.support.locking import PATIENCE


@pytest.fixture
def locks(store):
    return store.ns("locks")


def test_a_function_runs_once_at_a_time_and_who_will_not_wait_is_told(locks):
    inside, may_end, runs = threading.Event(), threading.Event(), []

    @single_run(locks, "report", timeout=0)
    def report(day, *, title="") -> str:
        """Write it."""
        runs.append(day)
        inside.set()
        assert may_end.wait(PATIENCE)
        return f"{title}{day}"

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(report, 1, title="day ")
        assert inside.wait(PATIENCE)
        with pytest.raises(LockTimeoutError, match="'report' in namespace 'locks'"):
            report(2)
        may_end.set()
        assert first.result(PATIENCE) == "day 1"
    assert runs == [1]
    assert report(3) == "3"
    assert (report.__name__, report.__doc__) == ("report", "Write it.")
    assert list(inspect.signature(report).parameters) == ["day", "title"]
    assert issubclass(LockTimeoutError, KVError)
    assert issubclass(LockTimeoutError, TimeoutError)


def test_who_waits_for_a_single_run_runs_after_it(locks):
    inside = []

    @single_run(locks)
    def work(number):
        inside.append(number)
        assert len(inside) == 1
        locks.get("something that takes a while")
        inside.pop()
        return number

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(work, range(12), timeout=PATIENCE)) == list(range(12))


def test_the_key_of_a_single_run_is_the_name_of_its_function(locks):
    @single_run(locks)
    def work():
        return list(locks)

    assert work() == [f"{__name__}.test_the_key_of_a_single_run_is_the_name_of_its_function.<locals>.work"]
    assert len(locks) == 0
    with pytest.raises(TypeError, match="key must be given"):
        single_run(locks)(functools.partial(print))
    assert single_run(locks, "k")(functools.partial(list, "ab"))() == ["a", "b"]


def test_a_single_run_may_call_itself_and_is_over_when_it_raises(locks):
    @single_run(locks)
    def factorial(number):
        return number * factorial(number - 1) if number else 1

    @single_run(locks)
    def fails():
        raise ZeroDivisionError

    assert factorial(5) == 120
    with pytest.raises(ZeroDivisionError):
        fails()
    assert len(locks) == 0


def test_a_single_run_that_outlives_its_ttl_raises(locks, clock):
    @single_run(locks, "k", ttl=1)
    def slow():
        clock.advance(1)
        return "done"

    with pytest.raises(LockLostError):
        slow()


def test_an_async_function_runs_once_at_a_time(locks, clock):
    inside = []

    @single_run(locks, ttl=5)
    async def work(number):
        inside.append(number)
        assert len(inside) == 1
        await asyncio.sleep(0.001)
        inside.pop()
        return number

    @single_run(locks, "k", timeout=0, ttl=1)
    async def slow():
        with pytest.raises(LockTimeoutError):
            await asyncio.create_task(slow())
        clock.advance(1)

    async def main():
        assert await asyncio.gather(*(work(number) for number in range(6))) == list(range(6))
        assert len(locks) == 0
        with pytest.raises(LockLostError):
            await slow()

    assert inspect.iscoroutinefunction(work)
    asyncio.run(main())
