"""A lock, a semaphore, a rate limit and a single run, used by four real processes, one of which is killed.

Run it with ``python examples/locks.py``; it works in a temporary directory unless a path is given.
"""

import asyncio
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlitedict_kv import Store
from sqlitedict_kv.locks import Lock, LockLostError, LockTimeoutError, Semaphore, Throttle, single_run

PROCESSES = 4
ROUNDS = 10


def work(path, gate):
    with Store(path) as store:
        locks, figures = store.ns("locks"), store.ns("figures")

        # A lock: what is read and written inside is not lost. The ttl is for those who die: after so many
        # seconds what they held is free.
        lock = Lock(locks, "balance", ttl=30)
        gate.wait()
        for _ in range(ROUNDS):
            with lock:
                balance = figures["balance"]
                time.sleep(0.001)  # somebody else would write here
                figures["balance"] = balance + 5

        # A semaphore: two at a time use something that does not bear more.
        for _ in range(ROUNDS):
            with Semaphore(locks, "scanner", 2):
                inside = figures.incr("inside")
                time.sleep(0.002)
                figures.set(f"at once {inside}", True)
                figures.decr("inside")

        # A throttle: 20 calls a second of all the processes together; it decorates async functions too.
        @Throttle(locks, "service", count=20, seconds=1)
        def call_service():
            figures.incr("calls")

        for _ in range(ROUNDS):
            call_service()

        # A single run: who comes while another process is at it does not wait here, and does something else.
        @single_run(locks, "nightly report", ttl=60, timeout=0)
        def report():
            figures.incr("reports")
            gate.wait()  # stays inside until all the others were refused

        try:
            report()
        except LockTimeoutError:
            figures.incr("refused")
            gate.wait()


def die_with_a_lock(path):
    with Store(path) as store:
        Lock(store.ns("locks"), "job", ttl=0.5).acquire()
        os.kill(os.getpid(), signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)


async def tasks(locks):
    """Tasks wait for a lock without stopping the loop; each of them is an owner of its own."""
    lock, order = Lock(locks, "tasks"), []

    async def visit(name):
        async with lock:
            order.append(f"{name} in")
            await asyncio.sleep(0.001)
            order.append(f"{name} out")

    await asyncio.gather(visit("ada"), visit("alan"))
    return order


def main(path):
    with Store(path) as store:
        locks, figures = store.ns("locks"), store.ns("figures")
        locks.clear()
        figures.clear()
        figures["balance"] = 0

        context = multiprocessing.get_context("spawn")
        gate = context.Barrier(PROCESSES, timeout=60)
        start = time.monotonic()
        workers = [context.Process(target=work, args=(path, gate)) for _ in range(PROCESSES)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
            assert worker.exitcode == 0
        seconds = time.monotonic() - start

        total = PROCESSES * ROUNDS
        print("balance:", figures["balance"], "of", 5 * total)
        assert figures["balance"] == 5 * total
        most = figures.list("at once ", limit=1, reverse=True).keys[0]
        print("at the scanner", most, "at most")
        assert most in {"at once 1", "at once 2"}
        print(f"calls: {figures['calls']} in {seconds:.1f} s, 20 at once and then 20 a second")
        assert figures["calls"] == total
        assert seconds >= (total - 20) / 20  # which is what the limit is for
        print("reports:", figures["reports"], "and refused:", figures["refused"])
        assert (figures["reports"], figures["refused"]) == (1, PROCESSES - 1)

        # The lock of a dead process is free when its ttl is over.
        dying = context.Process(target=die_with_a_lock, args=(path,))
        dying.start()
        dying.join()
        job = Lock(locks, "job", ttl=0.1)
        assert job.acquire(timeout=30)
        print("taken from a killed process, at version", job.version)

        # Who sleeps through its own ttl is told, and cannot free what another has taken since. What it would
        # write is stopped by the version of its lease: see the documentation of sqlitedict_kv.locks.
        other = Lock(locks, "job")
        assert other.acquire(timeout=30)
        try:
            job.release()
        except LockLostError as error:
            print("refused:", str(error).split(";")[0])
        assert other.owned()
        other.release()

        order = asyncio.run(tasks(locks))
        print("tasks:", ", ".join(order))
        assert order in (["ada in", "ada out", "alan in", "alan out"], ["alan in", "alan out", "ada in", "ada out"])
        locks.pop("service", None)  # the bucket; it would go by itself when it is full
        assert len(locks) == 0


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with TemporaryDirectory() as directory:
            main(str(Path(directory, "locks.db")))
