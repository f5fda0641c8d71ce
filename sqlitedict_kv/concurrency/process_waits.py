"""Waits of a thread or task for other processes, as the stacks of this one tell.

A process that is joined, or a job of a pool of processes whose result is awaited, is named by the identity of the
process, and a job by its number too. The process itself knows its names, and whether it can end before one of its
threads or tasks goes on. So what is found is a deadlock for certain, as in :mod:`.wait_graph`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Any

from sqlitedict_kv.concurrency.owners import Carrier
from sqlitedict_kv.concurrency.process_identity import identity, identity_of
from sqlitedict_kv.concurrency.wait_graph import depends_on, frames_of, waited_for

JOB_MARK = "#"  # between the identity of a process and the number of its job


def awaited_processes(carrier: Carrier) -> list[str]:
    """Return the names of the processes and jobs without whose end *carrier* cannot go on."""
    names = {name for thing in waited_for(carrier) for name in _names_of(thing)}
    return sorted(names)


def is_awaited(names: Iterable[str], carrier: Carrier) -> bool:
    """Return whether one of *names* is this process, or its job, and cannot end before *carrier* goes on."""
    wanted = set(names)
    if not any(name.partition(JOB_MARK)[0] == identity() for name in wanted):
        return False
    return any(
        depends_on(thread, carrier)
        for thread in threading.enumerate()
        if not thread.daemon and not wanted.isdisjoint(_names_here(thread))
    )


def _names_of(thing: Any) -> Iterator[str]:
    """Yield the names of a process, or of the processes that may have a job with the number of the job."""
    pid = getattr(thing, "pid", None)
    if isinstance(pid, int):
        yield from _named(pid)
        return
    for pids, job in _jobs_of(thing):
        for pid in pids:
            yield from (f"{name}{JOB_MARK}{job}" for name in _named(pid))


def _named(pid: int) -> Iterator[str]:
    name = identity_of(pid)
    if name is not None:
        yield name


def _jobs_of(thing: Any) -> Iterator[tuple[list[int], Any]]:
    """Yield the processes of the pool that has a job, and the number of the job there."""
    pool = getattr(thing, "_pool", None)  # of a result of multiprocessing.Pool, of whose threads none has a number
    if pool is not None:
        workers = list(getattr(pool, "_pool", ()))
        yield [worker.pid for worker in workers if hasattr(worker, "pid")], getattr(thing, "_job", None)
        return
    for thread in threading.enumerate():  # those that manage a ProcessPoolExecutor
        for number, item in list(getattr(thread, "pending_work_items", {}).items()):
            if item.future is thing:
                yield list(thread.processes), number  # type: ignore[attr-defined]  # the other attribute of such


def _names_here(thread: threading.Thread) -> Iterator[str]:
    """Yield the name of this process, which waits for each of its threads, and that of the job of a thread."""
    yield identity()
    for frame in frames_of(thread):
        module, function = frame.f_globals.get("__name__", ""), frame.f_code.co_name
        if function == "_process_worker":  # of concurrent.futures, and of what is made like it
            item = frame.f_locals.get("call_item")
            yield f"{identity()}{JOB_MARK}{getattr(item, 'work_id', None)}"
        elif (module, function) == ("multiprocessing.pool", "worker"):
            yield f"{identity()}{JOB_MARK}{frame.f_locals.get('job')}"
