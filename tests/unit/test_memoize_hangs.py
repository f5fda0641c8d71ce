"""Calls of memoized functions that would wait for themselves or for each other, and owners that are gone."""

import asyncio
import concurrent.futures
import gc
import inspect
import linecache
import multiprocessing.pool
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import sqlitedict_kv
from sqlitedict_kv import AsyncStore, Store
from sqlitedict_kv.concurrency import frames
from sqlitedict_kv.concurrency.owners import FrameOwner
from sqlitedict_kv.concurrency.renewal import KEEPER
from sqlitedict_kv.concurrency.sansio import run as driver
from sqlitedict_kv.concurrency.wait_graph import depends_on, waited_for
from tests.support.interrupts import Interrupt
from tests.support.memoizing import memoize_body, until
from tests.support.processes import PACKAGE_PARENT, environment

WAIT = 30  # seconds until a hang is a failure


@pytest.fixture
def store(path):
    with Store(path) as store:  # by the real clock
        yield store


def soon(function, *args):
    """Return what a function returns or raises in a thread, or fail if it hangs."""
    outcome = []

    def call():
        try:
            outcome.append((function(*args), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(WAIT)
    assert outcome, "it hangs"
    result, error = outcome[0]
    if error is not None:
        raise error
    return result


def in_thread(call):
    outcome = []

    def work():
        try:
            outcome.append(call())
        except RuntimeError as error:
            outcome.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if isinstance(outcome[0], RuntimeError):
        raise outcome[0]
    return outcome[0]


def in_pool(call):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


def in_map(call):
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda _: call(), [1, 2]))[0]


def in_wait(call):
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(call)
        concurrent.futures.wait([future])
        return future.result()


def in_pool_of_multiprocessing(call):
    with multiprocessing.pool.ThreadPool(1) as pool:
        return pool.apply(call)


def in_executor_of_a_loop(call):
    async def main():
        return await asyncio.get_running_loop().run_in_executor(None, call)

    return asyncio.run(main())


def in_to_thread(call):
    return asyncio.run(asyncio.to_thread(call))


def in_thread_of_a_thread(call):
    return in_thread(lambda: in_pool(call))


CARRIERS = [
    in_thread, in_pool, in_map, in_wait, in_pool_of_multiprocessing, in_executor_of_a_loop, in_to_thread,
    in_thread_of_a_thread,
]  # fmt: skip


@pytest.mark.parametrize("carry", CARRIERS)
def test_a_function_that_waits_for_itself_in_whatever_way_raises(store, carry):
    @memoize_body(store, "f")
    def f(x):
        return carry(lambda: f(x))

    with pytest.raises(RuntimeError, match=r"f\(1\) needs its own result"):
        soon(f, 1)
    assert list(store.ns("memoize.leases")) == []


@pytest.mark.parametrize("carry", CARRIERS)
def test_other_arguments_are_no_cycle(store, carry):
    @memoize_body(store, "f")
    def f(x):
        return carry(lambda: f(x - 1)) + 1 if x else 0

    assert soon(f, 3) == 3


def awaited(call):
    return call()


async def in_task(call):
    return await asyncio.create_task(call())


async def in_gather(call):
    return (await asyncio.gather(asyncio.sleep(0), call()))[1]


async def in_group(call):
    async with asyncio.TaskGroup() as group:
        task = group.create_task(call())
    return task.result()


async def in_shield(call):
    return await asyncio.shield(asyncio.create_task(call()))


async def in_waited(call):
    task = asyncio.create_task(call())
    await asyncio.wait([task])
    return task.result()


async def in_loop_of_a_thread(call):
    return await asyncio.get_running_loop().run_in_executor(None, lambda: asyncio.run(call()))


TASKS = [awaited, in_task, in_gather, in_group, in_shield, in_waited, in_loop_of_a_thread]


@pytest.mark.parametrize("carry", TASKS)
@pytest.mark.parametrize("kind", ["plain", "async"])
def test_an_async_function_that_waits_for_itself_in_whatever_way_raises(path, carry, kind):
    async def main():
        async with AsyncStore(path) as awaited_store:
            with Store(path) as plain:

                @memoize_body(plain if kind == "plain" else awaited_store, "f")
                async def f(x):
                    return await carry(lambda: f(x))

                with pytest.raises((RuntimeError, ExceptionGroup)) as caught:
                    await f(1)
                error = caught.value
                while isinstance(error, ExceptionGroup):
                    error = error.exceptions[0]
                assert "f(1) needs its own result" in str(error)

    soon(asyncio.run, main())


@pytest.mark.parametrize("memoized_twice", [False, True])
def test_two_threads_that_begin_a_cycle_from_both_ends_raise(store, memoized_twice):
    both, begun = threading.Barrier(2), set()

    def meet(name):
        if name not in begun:
            begun.add(name)
            both.wait(WAIT)

    @memoize_body(store, "a")
    def a(x):
        meet("a")
        return b(x)

    def body(x):
        meet("b")
        return a(x)

    b = memoize_body(store, "b")(body)
    begin_b = memoize_body(store, "b")(body) if memoized_twice else b  # they know of each other by the lease alone
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(a, 1), pool.submit(begin_b, 1)]
        errors = [future.exception(WAIT) for future in futures]
    assert {type(error) for error in errors} == {RuntimeError}
    assert any("a(1)" in str(error) and "b(1)" in str(error) for error in errors)
    assert list(store.ns("memoize.leases")) == []


def test_two_tasks_that_begin_a_cycle_from_both_ends_raise(store):
    async def main():
        both = asyncio.Barrier(2)

        @memoize_body(store, "a")
        async def a(x):
            await both.wait()
            return await b(x)

        @memoize_body(store, "b")
        async def b(x):
            await both.wait()
            return await a(x)

        return await asyncio.gather(a(1), b(1), return_exceptions=True)

    errors = soon(asyncio.run, main())
    assert {type(error) for error in errors} == {RuntimeError}
    assert "wait for each other" in str(errors[0])


def test_a_task_that_outlives_the_computation_that_started_it_may_call_it(store):
    later = []

    @memoize_body(store, "f")
    async def f(x):
        later.append(asyncio.create_task(again(x)))
        await asyncio.sleep(0.3)  # longer than it takes to look for a cycle
        return x

    async def again(x):
        return await f(x)

    async def main():
        assert await f(1) == 1
        assert await later[0] == 1
        await f.forget(1) if asyncio.iscoroutinefunction(f.forget) else f.forget(1)
        f.forget(1)
        assert await f(1) == 1
        assert [await task for task in later] == [1] * len(later)

    soon(asyncio.run, main())


def test_a_thread_that_the_computation_does_not_wait_for_may_call_it(store):
    got = []

    @memoize_body(store, "f")
    def f(x):
        thread = threading.Thread(target=lambda: got.append(f(x)))
        threads.append(thread)
        thread.start()
        thread.join(timeout=0.5)  # it does not wait for ever
        return x

    threads = []
    assert soon(f, 1) == 1
    for thread in threads:
        thread.join(WAIT)
    assert got == [1]


def test_siblings_of_one_gather_may_wait_for_each_other_s_results(store):
    @memoize_body(store, "f")
    async def f(x):
        await asyncio.sleep(0.3)
        return x

    async def main():
        return await asyncio.gather(f(1), f(1), f(1))

    assert soon(asyncio.run, main()) == [1, 1, 1]
    assert f.cache_info().computed == 1


def test_an_async_function_on_a_plain_store_is_called_by_more_threads_than_the_loop_has(store):
    @memoize_body(store, "f")
    async def f(x):
        await asyncio.sleep(0)
        return x

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(4))  # full of those who wait
        calls = [
            loop.run_in_executor(None, lambda n=n: asyncio.run_coroutine_threadsafe(f(n % 8), loop).result(WAIT))
            for n in range(64)
        ]
        return await asyncio.gather(*calls)

    assert soon(asyncio.run, main()) == [n % 8 for n in range(64)]


def test_an_async_function_on_a_plain_store_is_called_by_64_threads_through_run_coroutine_threadsafe(store):
    @memoize_body(store, "f")
    async def f(x):
        await asyncio.sleep(0.01)
        return x

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        with ThreadPoolExecutor(64) as pool:
            futures = [
                pool.submit(lambda n=n: asyncio.run_coroutine_threadsafe(f(n % 8), loop).result(WAIT))
                for n in range(64 * 4)
            ]
            assert [future.result(WAIT) for future in futures] == [n % 8 for n in range(64 * 4)]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
    assert f.cache_info().computed == 8


def test_a_job_of_a_pool_that_is_about_to_end_is_no_error_to_the_search_for_cycles():
    begun, end, future = threading.Semaphore(0), threading.Lock(), concurrent.futures.Future()
    space = {"__name__": "concurrent.futures.thread"}  # its jobs forget themselves before they end
    exec("def run(begun, end):\n    self = None\n    begun.release()\n    end.acquire()\n", space)  # noqa: S102
    end.acquire()
    threads = [threading.Thread(target=space["run"], args=(begun, end)), threading.Thread(target=future.result)]
    for thread in threads:
        thread.start()
    assert begun.acquire(timeout=WAIT)
    try:
        until(lambda: any(thing is future for thing in waited_for(threads[1])))
        assert not depends_on(threads[1], threading.current_thread())
    finally:
        future.set_result(None)
        end.release()
        for thread in threads:
            thread.join()


@pytest.mark.skipif(not frames.COLLECTS_INSIDE, reason="of this Python no collection begins while frames are made")
@pytest.mark.parametrize("collects", [True, False])
def test_no_collection_begins_while_frames_are_made_and_it_stays_as_it_was(monkeypatch, collects):
    inside = []
    monkeypatch.setattr(sys, "_current_frames", lambda: inside.append(gc.isenabled()) or {})
    before = gc.isenabled()
    try:
        (gc.enable if collects else gc.disable)()
        assert frames.current_frames() == {}
        assert gc.isenabled() == collects
    finally:
        (gc.enable if before else gc.disable)()
    assert inside == [False]


# -- owners that are gone


class InterruptOfALine:
    """Raises KeyboardInterrupt at one line event of our own code, as a signal would."""

    OURS = ("sqlitedict_kv/memoization", "sqlitedict_kv/concurrency")

    def __init__(self, number):
        self.left = number
        self.error = None  # it is kept, and by its traceback the frames

    def call(self, function, *args):
        sys.settrace(self.trace)
        try:
            function(*args)
        except KeyboardInterrupt as error:
            self.error = error
        finally:
            sys.settrace(None)

    def trace(self, frame, event, arg):
        return self.line if any(ours in frame.f_code.co_filename for ours in self.OURS) else None

    def line(self, frame, event, arg):
        if event != "line" or linecache.getline(frame.f_code.co_filename, frame.f_lineno).lstrip().startswith("with "):
            return self.line  # CPython lets no signal in between the end of a block and the release of its lock
        self.left -= 1
        if self.left == 0:
            sys.settrace(None)
            raise KeyboardInterrupt
        return self.line


@pytest.mark.parametrize("start", range(3))
def test_a_call_that_is_interrupted_between_any_two_lines_does_not_hang_the_others(store, start):
    number, interrupts = start + 1, []
    while not interrupts or interrupts[-1].error is not None:
        f = memoize_body(store, f"f{number}", lease=1)(lambda x: x)
        interrupts.append(InterruptOfALine(number))
        soon(interrupts[-1].call, f, 1)
        assert soon(f, 1) == 1, f"after an interrupt at line event {number}"
        number += 3
    assert len(interrupts) > 20


ROOT = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
OURS = os.path.dirname(sqlitedict_kv.__file__)


def flights_of(function):
    return inspect.getclosurevars(function.forget).nonlocals["flights"]


def nothing_under_way(flights):
    until(lambda: not (flights._by_key or flights._expected or flights._lock.locked()))
    until(lambda: not any(renewal.wanted() for renewal in list(KEEPER._held.values())))


def interrupt_everywhere(prepare, function_of, start, step=3):
    """Interrupt a call at each *step*-th of its points; then another thread's call ends, and nothing is under way."""
    number, interrupt = start + 1, None
    while interrupt is None or interrupt.where is not None:
        function, end = prepare(number)
        interrupt = Interrupt(number, OURS)
        soon(interrupt.call, function_of(function), 1)
        assert soon(function, 1) == 1, interrupt.where
        end()
        soon(nothing_under_way, flights_of(function))
        number += step
    assert number > 60


@pytest.mark.parametrize("start", range(3))
@pytest.mark.parametrize("verb", ["call", "refresh"])
def test_a_call_that_is_interrupted_anywhere_leaves_nothing_under_way(store, verb, start):
    def prepare(number):
        return memoize_body(store, f"f{number}", lease=600)(lambda x: x), lambda: None

    interrupt_everywhere(prepare, lambda f: f if verb == "call" else f.refresh, start)


@pytest.mark.parametrize("start", range(3))
def test_a_caller_that_is_interrupted_anywhere_while_it_waits_takes_nothing_from_the_others(store, start):
    def prepare(number):
        begun, may_end = threading.Semaphore(0), threading.Semaphore(0)

        def body(x):
            begun.release()
            may_end.acquire(timeout=0.1)
            return x

        f = memoize_body(store, f"f{number}", lease=600)(body)
        owner = threading.Thread(target=f, args=(1,))
        owner.start()
        assert begun.acquire(timeout=WAIT)
        return f, owner.join

    interrupt_everywhere(prepare, lambda f: f, start)


# In a process of its own, as coroutines that an interrupt leaves behind are reported whenever they are collected.
INTERRUPTED_TASKS = """
import asyncio, os, sys, threading
import sqlitedict_kv
from sqlitedict_kv import Store
from tests.support.interrupts import Interrupt
from tests.support.memoizing import memoize_body

sys.unraisablehook = lambda unraisable: None
store, number, interrupt = Store(sys.argv[1]), 1, None
while interrupt is None or interrupt.where is not None:

    async def body(x):
        await asyncio.sleep(0)
        return x

    awaited = memoize_body(store, f"f{number}", lease=600)(body)

    async def main():
        return await awaited(1)

    def call(_):
        asyncio.run(main())

    interrupt = Interrupt(number, os.path.dirname(sqlitedict_kv.__file__))
    threads = [threading.Thread(target=interrupt.call, args=(call, 1)), threading.Thread(target=call, args=(1,))]
    for thread in threads:
        thread.start()
        thread.join()
    assert store.ns("memoize")[awaited.cache_key(1)] == 1, interrupt.where
    number += 1
print(number)
"""


def test_a_task_that_is_interrupted_anywhere_leaves_the_computation_to_another(path):
    command = [sys.executable, "-W", "ignore", "-c", INTERRUPTED_TASKS, path]
    variables = environment() | {"PYTHONPATH": os.pathsep.join([PACKAGE_PARENT, ROOT])}
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, env=variables, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 60


def test_a_refresh_that_an_interrupt_left_under_way_is_made_by_the_next_caller(make_store, clock):
    store = make_store()
    calls = []

    @memoize_body(store, "f", ttl=100, refresh_before=50)
    def f(x):
        calls.append(x)
        return len(calls)

    assert f(1) == 1
    flights = flights_of(f)
    left, _ = soon(lambda: flights.board(f.cache_key(1), FrameOwner(soon.__code__)))  # by a thread that has ended
    clock.advance(60)
    assert f(1) == 1
    soon(until, lambda: len(calls) == 2)
    assert left.has_landed()


def test_a_loop_that_stops_in_the_middle_of_a_refresh_leaves_it_to_others(path):
    calls = []

    def memoize(store, now):
        @memoize_body(store, "f", ttl=100, refresh_before=50, lease=0.5)
        async def f(x):
            calls.append(x)
            if len(calls) == 2:
                await asyncio.sleep(3600)
            return len(calls)

        return f

    now = [1_000_000.0]
    with Store(path, clock=lambda: now[0]) as store, Store(path, clock=lambda: now[0]) as other:
        f, elsewhere = memoize(store, now), memoize(other, now)
        loop = asyncio.new_event_loop()
        assert loop.run_until_complete(f(1)) == 1
        now[0] += 60

        async def until_it_computes():
            assert await f(1) == 1
            while len(calls) < 2:  # noqa: ASYNC110 - the other task says so by this list
                await asyncio.sleep(0.01)

        loop.run_until_complete(until_it_computes())
        now[0] += 60  # it has expired; the loop stands still
        assert soon(lambda: asyncio.run(elsewhere(1))) == 3
        assert soon(lambda: asyncio.run(f(1))) == 3
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.05))
        loop.close()


def test_the_driver_of_threads_is_the_frame_that_owners_are_known_by():
    assert driver.__code__.co_name == "run"
