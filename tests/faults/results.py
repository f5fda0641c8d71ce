"""Memoized calls that are nested, interrupted and cancelled at random, and owners that are killed."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import sqlitedict_kv
from sqlitedict_kv import AsyncStore, Store
from sqlitedict_kv.concurrency.owners import FrameOwner
from sqlitedict_kv.memoization import flow, lease_wait
from tests.faults.campaign import Campaign, Round
from tests.support.interrupts import Interrupt
from tests.support.memoizing import memoize_body

PATIENCE = 15.0  # seconds for one try; longer is a hang
FUNCTIONS = 4
TASKS = 6

POINTS = 450  # at which a call that computes can be interrupted, about
LEASE = 600.0  # seconds; what an interrupt leaves behind must not be waited for
OURS = os.path.dirname(sqlitedict_kv.__file__)  # the points in other code are those of the standard library's authors

FIND_CYCLE, IS_ALIVE = flow.find_cycle, FrameOwner.is_alive

KILLED = """
import sys, time
from sqlitedict_kv import Store
store = Store(sys.argv[1])
@store.memoize(name="killed", code=False)
def killed(x):
    print("computing", flush=True)
    time.sleep(600)
killed(int(sys.argv[2]))
"""


def run(round_: Round) -> None:
    """Make `round_.size` tries, each of one kind."""
    _break(round_.sabotage)
    choose = random.Random(round_.seed)
    weights = [0, 1, 0, 0] if round_.sabotage == IMMORTAL else [40, 30, 29, 1]
    path = round_.directory / "store.db"
    try:
        with Store(path, lru_bytes="1 MB") as store:
            for number in range(round_.size):
                kind = choose.choices([nest, interrupt, cancel, kill], weights)[0]
                _in_time(round_, kind, round_, store, path, number, choose)
                round_.count(round_.campaign.unit)
                round_.count(kind.__name__)
    finally:
        _break(None)


def _in_time(round_: Round, function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function returns in a thread; a hang or an error is a failure."""
    outcome: list[Any] = []

    def call() -> None:
        try:
            outcome.append(function(*arguments))
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if not outcome:
        round_.fail(f"{function.__name__} did not end in {PATIENCE} s")
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]


def nest(round_: Round, store: Store, path: Path, number: int, choose: random.Random) -> None:
    """Call functions that call each other in threads: each returns what it should, or says that it cannot."""
    calls = {name: choose.sample(range(FUNCTIONS), choose.randrange(3)) for name in range(FUNCTIONS)}
    carried = {name: choose.random() < 0.5 for name in range(FUNCTIONS)}
    functions: list[Callable[[int], Any]] = []

    def of(name: int) -> Callable[[int], Any]:
        def body(x: int) -> Any:
            if not carried[name]:
                return [name, x, *(functions[other](x) for other in calls[name])]
            with ThreadPoolExecutor(2) as pool:
                return [name, x, *pool.map(lambda other: functions[other](x), calls[name])]

        function: Callable[[int], Any] = memoize_body(store, f"nest{number}-{name}")(body)
        return function

    def cyclic(name: int, above: tuple[int, ...] = ()) -> bool:
        return name in above or any(cyclic(other, (*above, name)) for other in calls[name])

    def tree(name: int) -> Any:
        return [name, 7, *(tree(other) for other in calls[name])]

    functions.extend(of(name) for name in range(FUNCTIONS))
    with ThreadPoolExecutor(FUNCTIONS) as pool:
        futures = [pool.submit(function, 7) for function in functions]
        errors = [future.exception() for future in futures]
    for name, (future, error) in enumerate(zip(futures, errors, strict=True)):
        if cyclic(name) != isinstance(error, RuntimeError) or (error is None and future.result() != tree(name)):
            round_.fail(f"function {name} of {calls} gave {error or future.result()!r}")


def interrupt(round_: Round, store: Store, path: Path, number: int, choose: random.Random) -> None:
    """Interrupt a thread that computes or waits, anywhere; others get the result, beside it or after it."""
    computed: list[int] = []

    def body(x: int) -> list[int]:
        computed.append(x)
        return [x, x + 1]

    function = memoize_body(store, f"interrupt{number}", lease=LEASE)(body)
    interrupted, beside = Interrupt(choose.randrange(1, POINTS), OURS), choose.random() < 0.5
    first = threading.Thread(target=interrupted.call, args=(function, 1), daemon=True)
    first.start()
    if not beside:
        first.join()
    if function(1) != [1, 2] or function(1) != [1, 2]:
        round_.fail(f"a wrong result after an interrupt at {interrupted.where}")
    first.join()
    if len(computed) > (1 if interrupted.error is None else 2):
        round_.fail(f"computed {len(computed)} times after an interrupt at {interrupted.where}")
    if not function.forget(1) or function(1) != [1, 2]:
        round_.fail(f"a wrong result when it was forgotten after an interrupt at {interrupted.where}")


def cancel(round_: Round, store: Store, path: Path, number: int, choose: random.Random) -> None:
    """Cancel some of the tasks that ask for a result; the others get it from one computation."""
    computed: Counter[int] = Counter()

    async def main() -> None:
        async with AsyncStore.over(Store(path)) as awaited:

            async def body(x: int) -> list[int]:
                computed[x] += 1
                await asyncio.sleep(choose.random() * 0.004)
                return [x]

            function = memoize_body(awaited, f"cancel{number}")(body)
            tasks = [asyncio.create_task(function(1)) for _ in range(TASKS)]
            doomed = choose.sample(tasks, choose.randrange(TASKS))
            for task in doomed:
                await asyncio.sleep(choose.random() * 0.002)
                task.cancel()
            for task in tasks:
                if task not in doomed and await task != [1]:
                    round_.fail("a wrong result beside cancelled tasks")
            await asyncio.wait(tasks)

    asyncio.run(main())
    if computed[1] > 1:
        round_.fail(f"a result was computed {computed[1]} times although a caller waited all the time")


def kill(round_: Round, store: Store, path: Path, number: int, choose: random.Random) -> None:
    """Kill the process that computes; its lease is not waited for."""
    with subprocess.Popen([sys.executable, "-c", KILLED, path, str(number)], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        owner.stdout.readline()
        owner.kill()
    killed = store.memoize(name="killed", code=False)(lambda x: x)
    if killed(number) != number:
        round_.fail("a wrong result after a kill")


# -- twins

CYCLES = "cycles are not looked for"
IMMORTAL = "an owner that was interrupted is taken to go on"


def _break(sabotage: str | None) -> None:
    """Let memoize work as it should, or break it."""
    flow.find_cycle = lease_wait.find_cycle = FIND_CYCLE
    FrameOwner.is_alive = IS_ALIVE  # type: ignore[method-assign]
    if sabotage == CYCLES:
        flow.find_cycle = lease_wait.find_cycle = lambda carrier, work: None
    elif sabotage == IMMORTAL:
        FrameOwner.is_alive = lambda self: True  # type: ignore[method-assign]


CAMPAIGN = Campaign(
    name="results",
    promise="memoized calls that are nested, interrupted, cancelled or killed at random never hang, and never give a "
    "wrong result or compute one twice without need",
    unit="tries",
    run=run,
    ci=150,
    nightly=5_000,
    release=20_000,
    twins=(CYCLES, IMMORTAL),
    twin=60,
)
