"""Computations that wait for processes of their own, which call them again: refused, and nothing else is."""

import os
import subprocess
import sys

import pytest

from tests.conftest import on_shared
from tests.support.processes import environment

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs /proc to know processes by")

WAIT = 120  # seconds until a hang is a failure

# `f` waits in one of many ways for a process of its own, which needs its result.
PROGRAM = """
import asyncio, multiprocessing, os, subprocess, sys, threading, time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial

from sqlitedict_kv import Store

where, way, method, folder = sys.argv[1:5]
context = multiprocessing.get_context(method)
store = Store(where)
memoize = partial(store.memoize, code=False, lease=20)


@memoize(name="f")
def f(x):
    return WAYS[way](x)


@memoize(name="g")
def g(x):
    return f(x)


@memoize(name="awaited")
async def awaited(x):
    return await AWAITED[way](x)


def again(x):
    try:
        return repr(g(x) if way in WAYS else asyncio.run(awaited(x)))
    except RuntimeError as error:
        return f"refused: {error}"


def write(name, x):
    with open(os.path.join(folder, name), "w") as file:
        file.write(again(x))


def written(name):
    with open(os.path.join(folder, name)) as file:
        return file.read()


def in_process(x):
    process = context.Process(target=write, args=("child", x))
    process.start()
    process.join()
    return written("child")


def in_pool(x):
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        return pool.submit(again, x).result()


def in_pool_that_is_shut_down(x):
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        pool.submit(write, "child", x)
    return written("child")


def in_pool_of_multiprocessing(x):
    with context.Pool(2) as pool:
        return pool.map(again, [x])[0]


def in_thread_and_pool(x):
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(in_pool, x).result()


CHILD = [sys.executable, __file__, where, way, method, folder, "child"]


def in_subprocess(x):
    return subprocess.run(CHILD, stdout=subprocess.PIPE, text=True).stdout.strip()


async def in_subprocess_of_a_task(x):
    child = await asyncio.create_subprocess_exec(*CHILD, stdout=asyncio.subprocess.PIPE)
    return (await child.communicate())[0].decode().strip()


async def in_pool_of_a_task(x):
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        return await asyncio.get_running_loop().run_in_executor(pool, again, x)


def not_waited_for(x):  # it waits for a while, and goes on
    process = context.Process(target=write, args=("child", x))
    process.start()
    beside.append(process)
    process.join(timeout=5)
    return x


def late(x):
    time.sleep(5)
    return x


def beside_another_job(x):  # the pool's other process waits for this result, and this call does not wait for that
    beside.append(pool.submit(again, x))
    return pool.submit(late, x).result()


beside = []
WAYS = {function.__name__: function for function in (
    in_process, in_pool, in_pool_that_is_shut_down, in_pool_of_multiprocessing, in_thread_and_pool, in_subprocess,
    not_waited_for, beside_another_job,
)}
AWAITED = {function.__name__: function for function in (in_subprocess_of_a_task, in_pool_of_a_task)}

if __name__ == "__main__":
    if sys.argv[5:]:
        print(again(1))
    elif way == "beside_another_job":
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            print(f(1), beside[0].result())
    else:
        print(f(1) if way in WAYS else asyncio.run(awaited(1)))
        for process in beside:
            process.join()
            print(written("child"))
    assert list(store.ns("memoize.leases")) == []
"""

on_a_file = pytest.mark.parametrize("engine", ["file"], indirect=True)

REFUSED = [
    ("in_process", "fork"),
    ("in_process", "forkserver"),
    ("in_process", "spawn"),
    ("in_pool", "fork"),
    ("in_pool", "spawn"),
    ("in_pool_that_is_shut_down", "forkserver"),
    ("in_pool_of_multiprocessing", "spawn"),
    ("in_thread_and_pool", "spawn"),
    ("in_subprocess", "spawn"),
]


@pytest.fixture
def said(tmp_path, where):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)

    def run(way, method):
        command = [sys.executable, "-W", "ignore", program, str(where), way, method, tmp_path]
        done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT, env=environment(), check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run


@pytest.mark.parametrize(("way", "method"), REFUSED)
@on_shared
def test_a_call_that_waits_for_a_process_which_calls_it_again_is_refused(said, way, method):
    (line,) = said(way, method)
    assert line.startswith("refused: ")
    assert "f(1) and g(1) wait for each other" in line


@on_a_file
@pytest.mark.parametrize("way", ["in_subprocess_of_a_task", "in_pool_of_a_task"])
def test_a_task_that_waits_for_a_process_which_calls_it_again_is_refused(said, way):
    (line,) = said(way, "spawn")
    assert line.startswith("refused: awaited(1) needs its own result")


@on_a_file
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_process_that_the_computation_does_not_wait_for_may_call_it(said, method):
    assert said("not_waited_for", method) == ["1", "1"]


@on_a_file
def test_another_job_of_the_pool_may_call_what_waits_for_a_job_of_it(said):
    assert said("beside_another_job", "spawn") == ["1 1"]
