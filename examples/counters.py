"""Four processes change the same entries at the same time, and nothing is lost.

Run it with ``python examples/counters.py``; it works in a temporary directory unless a path is given.
"""

import multiprocessing
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlitedict_kv import ConflictError, Store

PROCESSES = 4
ROUNDS = 100


def work(path, name, gate):
    """Do the same thing in three ways; a store is opened in the process that uses it."""
    with Store(path) as store:
        counters = store.ns("counters")
        conflicts = 0
        gate.wait()
        for _ in range(ROUNDS):
            # The simplest: the store itself adds.
            counters.incr("hits")

            # Any function of the old value; it is called again when somebody else was faster.
            counters.modify("by worker", lambda counts: {**counts, name: counts.get(name, 0) + 1}, default={})

            # The same by hand: read, compute, and write only if the version is still the one that was read.
            while True:
                entry = counters.get_with_meta("balance")
                try:
                    counters.cas_set("balance", entry.value + 5, entry.meta.version)
                except ConflictError:
                    conflicts += 1
                else:
                    break
        store.ns("conflicts")[name] = conflicts


def main(path):
    with Store(path) as store:
        counters, conflicts = store.ns("counters"), store.ns("conflicts")
        counters.clear()
        conflicts.clear()
        first = counters.set("balance", 0)

        context = multiprocessing.get_context("spawn")
        gate = context.Barrier(PROCESSES, timeout=60)
        workers = [context.Process(target=work, args=(path, f"worker {n}", gate)) for n in range(PROCESSES)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
            assert worker.exitcode == 0

        total = PROCESSES * ROUNDS
        print("hits:", counters["hits"], "of", total)
        assert counters["hits"] == total
        print("by worker:", counters["by worker"])
        assert counters["by worker"] == {f"worker {n}": ROUNDS for n in range(PROCESSES)}
        balance = counters.get_with_meta("balance")
        print("balance:", balance.value, "at version", balance.meta.version)
        assert balance.value == 5 * total
        assert balance.meta.version == first + total  # one for each write that succeeded, none for a conflict
        print("writes by hand that somebody else preceded, and that were made again:", sum(conflicts.values()))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with TemporaryDirectory() as directory:
            main(str(Path(directory, "counters.db")))
