"""A running average that four processes add to, as diskcache's Averager, in a few lines on `modify`.

Run it with ``python examples/averager.py``; it works in a temporary directory unless a path is given.
"""

import multiprocessing
import statistics
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlitedict_kv import Store

PROCESSES = 4
ROUNDS = 50


class Averager:
    """Keeps the total and the number of what was added, under one key; nothing that anybody adds is lost."""

    def __init__(self, namespace, key):
        self._namespace = namespace
        self._key = key

    def add(self, value):
        # One atomic step: if somebody else was faster, the function is called again with what they wrote.
        self._namespace.modify(self._key, lambda kept: (kept[0] + value, kept[1] + 1), default=(0.0, 0))

    def get(self):
        """Return the average so far, None if nothing was added."""
        return self._mean(self._namespace.get(self._key, (0.0, 0)))

    def pop(self):
        """Return the average and begin again; no value is counted twice or in neither."""
        return self._mean(self._namespace.pop(self._key, (0.0, 0)))

    @staticmethod
    def _mean(kept):
        total, count = kept
        return total / count if count else None


def latencies(worker):
    """Return what this worker would have measured, in milliseconds."""
    return [10.0 + worker + turn / 4 for turn in range(ROUNDS)]


def work(path, worker, gate):
    with Store(path) as store:
        average = Averager(store.ns("averages"), "latency")
        gate.wait()
        for latency in latencies(worker):
            average.add(latency)


def main(path):
    with Store(path) as store:
        averages = store.ns("averages")
        average = Averager(averages, "latency")
        average.pop()
        assert average.get() is None

        context = multiprocessing.get_context("spawn")
        gate = context.Barrier(PROCESSES, timeout=60)
        workers = [context.Process(target=work, args=(path, number, gate)) for number in range(PROCESSES)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
            assert worker.exitcode == 0

        total, count = averages["latency"]
        expected = statistics.fmean(latency for number in range(PROCESSES) for latency in latencies(number))
        print(f"{count} latencies of {PROCESSES} processes, {total} ms in all")
        print(f"average: {average.get()} ms, as computed at once: {expected} ms")
        assert count == PROCESSES * ROUNDS
        assert average.get() == expected

        assert average.pop() == expected
        print("after pop:", average.get())
        assert average.get() is None


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with TemporaryDirectory() as directory:
            main(str(Path(directory, "averages.db")))
