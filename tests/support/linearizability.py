"""Whether what threads and processes saw could have come from one plain dict: a recorder and a checker.

The checker is that of Wing and Gong (1993), with Lowe's memoisation: each key is a register of its own,
and a history is right if its operations can be put in an order that explains every result and contradicts
no clock. As a command it runs millions: ``python -m tests.support.linearizability --operations 1000000``.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from math import inf
from pathlib import Path
from threading import Barrier, Thread
from typing import NamedTuple

from sqlitedict_kv import Store
from sqlitedict_kv.engines.sqlite.coherence import data_version

PATIENCE = 120.0  # seconds until workers that do not end are a failure
ROUND = 100_000  # operations that the command checks at a time


class Operation(NamedTuple):
    """A call with its result; None is absent."""

    kind: str  # get, set or delete
    key: str
    value: object  # what was read or written; of a delete, whether something was there
    invoked: float  # time.monotonic_ns, which all processes share
    returned: float  # infinity if nobody knows whether it happened


def first_fault(history):
    """Return a key whose operations no order explains, with those operations; None if all is well."""
    by_key = defaultdict(list)
    for operation in history:
        by_key[operation.key].append(operation)
    return next(((key, found) for key, found in by_key.items() if not is_linearizable(found)), None)


def is_linearizable(operations):
    """Return whether one register, absent at first, could have given the results of *operations*."""
    ops = sorted(operations, key=lambda operation: operation.invoked)
    seen = set()
    stack = [(0, 0, None)]  # operations done: all before the first, and those of the mask behind it; the state
    while stack:
        first, done, state = stack.pop()
        choices = []
        first, done = _read_on(ops, first, done, state, choices)
        if first == len(ops) or all(op.returned == inf for op in _left(ops, first, done)):
            return True
        if (first, done, state) in seen:
            continue
        seen.add((first, done, state))
        for index in choices:
            fits, after = _applied(ops[index], state)
            if fits:
                stack.append((*_without(first, done, index), after))
    return False


def _left(ops, first, done):
    return (ops[index] for index in range(first, len(ops)) if not done >> (index - first) & 1)


def _read_on(ops, first, done, state, choices):
    """Do all reads that fit, which never harms, and leave in *choices* what else may come next."""
    while True:
        choices.clear()
        earliest_return = inf
        fitting = None
        index = first
        while index < len(ops) and ops[index].invoked < earliest_return:
            if not done >> (index - first) & 1:
                earliest_return = min(earliest_return, ops[index].returned)
                choices.append(index)
                if ops[index].kind == "get" and ops[index].value == state:
                    fitting = index
                    break
            index += 1
        if fitting is None:
            return first, done
        first, done = _without(first, done, fitting)


def _without(first, done, index):
    done |= 1 << (index - first)
    while done & 1:
        first, done = first + 1, done >> 1
    return first, done


def _applied(operation, state):
    """Return whether the result fits the state, and the state after it."""
    if operation.kind == "get":
        return operation.value == state, state
    if operation.kind == "set":
        return True, operation.value
    return operation.value is (state is not None) or operation.returned == inf, None


# -- recording


class Plan(NamedTuple):
    """What the workers do."""

    path: str  # or the address of servers
    operations: int = 50_000  # in all
    processes: int = 3
    threads: int = 2
    keys: int = 6
    seed: int = 0
    reads: float = 0.9  # how much of it
    lru_bytes: str | None = "1 MB"
    sabotage: str | None = None  # "stale": an LRU whose mark never moves; "asked": the slower mark


def record(plan, *, store=None):
    """Carry out a plan and return its history, and how many of the reads the LRUs served.

    With a *store*, its threads work on that one in this process.
    """
    if store is not None:
        return _work_in_threads(store, plan, 0, Barrier(plan.threads))
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(plan.processes)
    ends, workers = [], []
    for number in range(plan.processes):
        ours, theirs = context.Pipe(duplex=False)
        worker = context.Process(target=_work, args=(plan, number, start, theirs), daemon=True)
        worker.start()
        theirs.close()
        ends.append(ours)
        workers.append(worker)
    history, hits = [], 0
    try:
        deadline = time.monotonic() + PATIENCE
        for end in ends:
            if not end.poll(max(0.0, deadline - time.monotonic())):
                raise AssertionError(f"a worker hangs; {plan}")
            found, served = end.recv()
            if isinstance(found, str):
                raise AssertionError(f"a worker failed: {found}; {plan}")
            history += [Operation(*operation) for operation in found]
            hits += served
    finally:
        for worker in workers:
            worker.kill()
            worker.join()
    return history, hits


def _work(plan, number, start, end):
    try:
        if plan.sabotage == "asked":
            data_version._shared_mark = lambda _: None
        with Store(plan.path, lru_bytes=plan.lru_bytes, timeout=PATIENCE / 2) as store:  # the machine may be busy
            if plan.sabotage == "stale":
                store._context.lru._read_version = lambda: b"it never moves"
            start.wait(PATIENCE)
            history, hits = _work_in_threads(store, plan, number, Barrier(plan.threads))
        end.send(([tuple(operation) for operation in history], hits))
    except Exception as error:
        end.send((repr(error), 0))


def _work_in_threads(store, plan, number, start):
    histories = [[] for _ in range(plan.threads)]
    failures = []
    share = plan.operations // plan.threads // plan.processes

    def run(thread):
        try:
            start.wait(PATIENCE)
            worker = f"{number}.{thread}"
            _operate(store, histories[thread], share, worker, random.Random(f"{plan.seed} {worker}"), plan)
        except Exception as error:
            failures.append(repr(error))

    threads = [Thread(target=run, args=(thread,), daemon=True) for thread in range(plan.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        if thread.is_alive():
            raise AssertionError(f"a thread hangs; {plan}")
    if failures:
        raise AssertionError(f"{failures}; {plan}")
    return [operation for history in histories for operation in history], (
        lru.hits if (lru := store.stats().lru) else 0
    )


def _operate(store, history, count, worker, dice, plan):
    ns = store.ns("n")
    now = time.monotonic_ns
    keys = [f"{plan.seed} {number}" for number in range(plan.keys)]  # of one round; no two share any
    while len(history) < count:
        key = dice.choice(keys)
        value = f"{worker} {len(history)}"
        choice = dice.random()
        invoked = now()
        if choice < plan.reads:
            value = ns.get(key)
            history.append(Operation("get", key, value, invoked, now()))
            continue
        choice = (choice - plan.reads) / (1 - plan.reads)
        if choice < 0.5:
            ns[key] = value
            history.append(Operation("set", key, value, invoked, now()))
        elif choice < 0.7:
            found = ns.delete(key)
            history.append(Operation("delete", key, found, invoked, now()))
        elif choice < 0.8:
            ns.touch(key, None)  # changes nothing at all, and commits nothing
        else:
            some = dice.sample(keys, min(2, len(keys)))
            entries = dict.fromkeys(some, value)
            if choice > 0.995:  # through a connection of its own
                entries |= {f"filler {number}": 0 for number in range(2001)}
            ns.set_many(entries)
            returned = now()
            history += [Operation("set", each, value, invoked, returned) for each in some]


def main(arguments=None):
    """Run rounds until there were enough operations; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--operations", type=int, default=1_000_000)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--keys", type=int, default=6)
    parser.add_argument("--reads", type=float, default=0.9)
    parser.add_argument("--sabotage", choices=("stale", "asked"))
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args(arguments)
    done = hits = 0
    kinds = Counter()
    with tempfile.TemporaryDirectory() as directory:
        chosen = {name: value for name, value in vars(options).items() if name != "operations"}
        plan = Plan(str(Path(directory, "store.db")), **chosen)
        while done < options.operations:
            share = -(-min(ROUND, options.operations - done) // (plan.processes * plan.threads))
            plan = plan._replace(operations=share * plan.processes * plan.threads, seed=plan.seed + 1)
            history, served = record(plan)
            done, hits = done + len(history), hits + served
            kinds.update(operation.kind for operation in history)
            fault = first_fault(history)
            if fault:
                say(f"NOT linearizable: --seed {options.seed}, in the round of seed {plan.seed}, key {fault[0]!r}")
                return 1
            say(f"{done:,} operations, {hits:,} served by the LRU: linearizable so far")
    say(f"linearizable: {dict(kinds)}, --seed {options.seed}")
    return 0


def say(line):
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
