"""Steps of a loop that a test waits for."""

import asyncio
import sqlite3
from contextlib import closing, contextmanager

WAIT = 60  # seconds until what must happen has not


@contextmanager
def locked(path):
    """Hold the lock of the file as another program does."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def turns(count=20):
    """Let all that can run on the loop run."""
    for _ in range(count):
        await asyncio.sleep(0)


def pending(*coroutines):
    return [asyncio.ensure_future(coroutine) for coroutine in coroutines]


def steps_of(coroutine):
    """Return what a coroutine returns that never waits; fail if it does."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waited")
