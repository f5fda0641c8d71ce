"""The wait-for graph of the threads and tasks of this process, to find waits that can never end.

Our own waits are noted. Those of the standard library (a thread that is joined, a future whose result is awaited, a
task) are read from the stacks. That takes a millisecond, so it is done only when a wait has taken a while, and again
as long as it goes on. A wait that is not found here is no error: what can be found is a deadlock for certain.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from types import FrameType
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from sqlitedict_kv.concurrency.frames import current_frames
from sqlitedict_kv.concurrency.owners import Carrier, Owner

# Frames of these at the top of a stack say what the thread or the task waits for.
WAITING_MODULES = ("threading", "concurrent", "asyncio", "multiprocessing", "queue", "selectors", "subprocess")
MOST_OBJECTS = 10_000  # of one container that are looked at

# Methods of processes that return when these have ended.
PROCESS_WAITS = {
    ("multiprocessing.process", "join"),
    ("subprocess", "wait"),
    ("subprocess", "communicate"),
    ("asyncio.subprocess", "wait"),
    ("asyncio.subprocess", "communicate"),
}

# Functions of the standard library that chain one future to another, in which they are closed over.
CHAINS = ("_call_check_cancel", "_outer_done_callback")


class Work(Protocol):
    """Work that is under way.

    Attributes:
        key: what it is for.
        owner: what does it; None if that is not known, or not known any more.
    """

    key: str
    owner: Owner | None


_waits: WeakKeyDictionary[Carrier, Work] = WeakKeyDictionary()


@contextmanager
def waiting(carrier: Carrier, work: Work) -> Iterator[None]:
    """Note that *carrier* waits for *work*."""
    _waits[carrier] = work
    try:
        yield
    finally:
        _waits.pop(carrier, None)


def find_cycle(carrier: Carrier, work: Work) -> list[str] | None:
    """Return the keys of the cycle that the wait of *carrier* for *work* closes, None if there is none."""
    owner = work.owner
    if owner is None:
        return None
    nodes = _Search().walk(owner.carrier, (work.key,))
    return next((list(keys) for node, keys in nodes if node is carrier), None)


def depends_on(carrier: Carrier, other: Carrier) -> bool:
    """Return whether *carrier* cannot go on, or end, before *other* does."""
    return any(node is other for node, _ in _Search().walk(carrier))


def waited_for(carrier: Carrier) -> Iterator[Any]:
    """Yield the threads, tasks, futures and processes without which *carrier* cannot go on; it is the first."""
    return (node for node, _ in _Search().walk(carrier))


def frames_of(thread: threading.Thread) -> Iterator[FrameType]:
    """Yield the frames of a thread, the innermost first."""
    return _frames(current_frames().get(thread.ident or 0))


class _Search:
    """One walk through the graph."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._kept: list[Any] = []  # so that no id is used again during the walk
        self._stacks = current_frames()
        self._threads = {thread.ident: thread for thread in threading.enumerate()}
        self._runners: dict[Any, threading.Thread] | None = None

    def walk(self, start: Any, keys: tuple[str, ...] = ()) -> Iterator[tuple[Any, tuple[str, ...]]]:
        """Yield what *start* waits for, directly or not, and the keys that are waited for on the way there."""
        waiting: list[tuple[Any, tuple[str, ...]]] = [(start, keys)]
        while waiting:
            node, keys = waiting.pop()
            if id(node) in self._seen:
                continue
            self._seen.add(id(node))
            self._kept.append(node)
            yield node, keys
            noted = _waits.get(node) if isinstance(node, threading.Thread) or _is_task(node) else None
            if noted is not None and noted.owner is not None:
                waiting.append((noted.owner.carrier, (*keys, noted.key)))
            waiting.extend((other, keys) for other in self._blockers(node))

    def _blockers(self, node: Any) -> Iterable[Any]:
        """Return what *node* waits for, as its stack tells."""
        if isinstance(node, threading.Thread):
            frames = list(_frames(self._stacks.get(node.ident or 0)))
            return [*_waited_for(frames), *_loops_run_for(frames), *_jobs_managed_by(node)]
        if _is_task(node):
            return self._blockers_of_task(node)
        runner = self._runner(node)
        return [*_linked(node), *([] if runner is None else [runner])]

    def _blockers_of_task(self, task: Any) -> list[Any]:
        thread = self._threads.get(getattr(task.get_loop(), "_thread_id", None))
        # The loop's thread may be inside this task, or in a wait of ours in which no task can go on.
        in_thread = thread is not None and (
            thread in _waits or sys.modules["asyncio"].current_task(task.get_loop()) is task
        )
        return [
            *([thread] if in_thread else []),
            *([] if task._fut_waiter is None else [task._fut_waiter]),  # noqa: SLF001 - the only way to it
            *_waited_for(_coroutine_frames(task.get_coro())),
            *_linked(task),
        ]

    def _runner(self, job: Any) -> threading.Thread | None:
        """Return the thread of a pool that executes a job."""
        if self._runners is None:
            self._runners = dict(self._find_runners())
        return self._runners.get(_identity(job))

    def _find_runners(self) -> Iterator[tuple[Any, threading.Thread]]:
        for ident, frame in self._stacks.items():
            thread = self._threads.get(ident)
            if thread is None:
                continue
            for inner in _frames(frame):
                module, name = inner.f_globals.get("__name__"), inner.f_code.co_name
                if (module, name) == ("concurrent.futures.thread", "run"):
                    # The item drops its reference to itself before it ends.
                    yield _identity(getattr(inner.f_locals.get("self"), "future", None)), thread
                elif (module, name) == ("multiprocessing.pool", "worker"):
                    yield inner.f_locals.get("job"), thread


def _identity(job: Any) -> Any:
    """Return what a job of a pool is known by: the number of one of multiprocessing, else the object."""
    return getattr(job, "_job", id(job))


def _is_task(node: Any) -> bool:
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and isinstance(node, asyncio.Task)


def _is_waitable(thing: Any) -> bool:
    return isinstance(thing, threading.Thread) or any(
        module in sys.modules and isinstance(thing, getattr(sys.modules[module], name))
        for module, name in (
            ("asyncio", "Future"),
            ("concurrent.futures", "Future"),
            ("multiprocessing.pool", "ApplyResult"),
        )
    )


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _coroutine_frames(coroutine: Any) -> list[FrameType]:
    """Return the frames of a coroutine and of what it awaits, the innermost first."""
    frames: list[FrameType] = []
    while (frame := getattr(coroutine, "cr_frame", None)) is not None:
        frames.insert(0, frame)
        coroutine = coroutine.cr_await
    return frames


def _waited_for(frames: Iterable[FrameType]) -> list[Any]:
    """Return the threads, futures and tasks in the frames of the standard library at the top of a stack."""
    found: list[Any] = []
    for frame in frames:
        module = frame.f_globals.get("__name__", "").partition(".")[0]
        if module not in WAITING_MODULES:
            break
        values = dict(frame.f_locals)
        if _may_end(module, frame.f_code.co_name, values):
            return []
        if (frame.f_globals["__name__"], frame.f_code.co_name) in PROCESS_WAITS:
            found.append(values.get("self"))
        found.extend(waitable for value in values.values() for waitable in _waitables(value))
    return found


def _loops_run_for(frames: Iterable[FrameType]) -> Iterator[Any]:
    """Yield the tasks for whose end the loops of a thread run, whatever these do at the moment."""
    for frame in frames:
        if frame.f_code.co_name == "run_until_complete" and frame.f_globals.get("__name__") == "asyncio.base_events":
            yield frame.f_locals.get("future")


def _jobs_managed_by(thread: threading.Thread) -> list[Any]:
    """Return the futures without which the thread that manages a pool of processes does not end."""
    return [item.future for item in list(getattr(thread, "pending_work_items", {}).values())]


def _may_end(module: str, function: str, values: dict[str, Any]) -> bool:
    """Return whether a wait ends without what it waits for: after a time, or when one of several is there."""
    timeout = values.get("timeout")
    timed = isinstance(timeout, int | float) and timeout >= 0
    if module in ("asyncio", "selectors"):  # a loop has timeouts of its own
        timed = timed and function in ("wait_for", "wait", "_wait")
    return timed or values.get("return_when") in ("FIRST_COMPLETED", "FIRST_EXCEPTION")


def _waitables(thing: Any) -> Iterator[Any]:
    if _is_waitable(thing):
        yield thing
        return
    tasks = getattr(thing, "_tasks", None) if type(thing).__name__ == "TaskGroup" else None
    held = thing if isinstance(thing, list | tuple | set | frozenset | dict) else tasks
    for item in islice(list(held or ()), MOST_OBJECTS):
        if _is_waitable(item):
            yield item


def _linked(future: Any) -> Iterator[Any]:
    """Yield the futures that a future waits for: the children of gather, and those that it is chained to."""
    yield from getattr(future, "_children", ())
    for callback in list(getattr(future, "_callbacks", None) or getattr(future, "_done_callbacks", None) or ()):
        function = callback[0] if isinstance(callback, tuple) else callback
        for cell in (function.__closure__ or ()) if getattr(function, "__name__", "") in CHAINS else ():
            try:
                held = cell.cell_contents
            except ValueError:  # it is empty
                continue
            if held is not future and _is_waitable(held):
                yield held
