"""A thread that makes the calls of tasks, one after the other."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any
from weakref import WeakSet

IDLE_SECONDS = 10.0  # how long the thread stays when there is nothing to do, and keeps the store from being collected
CALLS_PER_ANSWER = 32  # that are made before the loop is told of them, if so many wait

QUEUED, BEGUN, ENDED, WITHDRAWN = range(4)


class Call:
    """Something that a task awaits."""

    __slots__ = ("answered", "error", "function", "future", "loop", "result", "state")

    def __init__(self, function: Callable[[], Any], loop: asyncio.AbstractEventLoop) -> None:
        """Describe a call for a task of *loop*, which runs."""
        self.function = function
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()
        self.state = QUEUED
        self.answered = False
        self.result: Any = None
        self.error: BaseException | None = None

    def make(self) -> None:
        """Do what is asked for and note what comes of it."""
        try:
            self.result = self.function()
        except StopIteration as error:  # no future takes one
            self.error = RuntimeError(f"a function raised {error!r}")
        except BaseException as error:
            self.error = error

    def answer(self) -> None:
        """Let the task go on; on its loop."""
        self.answered = True
        if self.future.done():  # the task was cancelled
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)

    async def ended(self) -> None:
        """Wait for the answer, whatever it is and however often the task is cancelled."""
        while not self.answered:
            self.future = self.loop.create_future()
            with suppress(BaseException):
                await self.future


class Lane:
    """Makes calls in their order, in a thread that is there only while it is needed."""

    def __init__(self, name: str) -> None:
        """Begin without a thread; *name* is for people."""
        self._name = name
        self._begin()
        _all.add(self)

    def _begin(self) -> None:
        self._queue: SimpleQueue[Call] = SimpleQueue()
        self._lock = Lock()  # held while the thread comes or goes, and while a call is begun or withdrawn
        self._thread: Thread | None = None

    def forget_after_fork(self) -> None:
        """Begin anew in a child: neither the thread nor the tasks that wait are there."""
        self._begin()

    async def perform(self, function: Callable[[], Any]) -> Any:
        """Return what *function* returns; it is not called, or has ended, when this ends, cancelled or not."""
        call = Call(function, asyncio.get_running_loop())
        self._queue.put(call)
        if self._thread is None:
            self._start()
        try:
            return await call.future
        except asyncio.CancelledError:
            if not self._withdraw(call):
                await call.ended()
            raise

    def _withdraw(self, call: Call) -> bool:
        with self._lock:
            if call.state == QUEUED:
                call.state = WITHDRAWN
        return call.state == WITHDRAWN

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                thread = Thread(target=self._run, name=self._name, daemon=True)
                thread.start()  # RuntimeError, if the interpreter is about to end
                self._thread = thread

    def _run(self) -> None:
        queue = self._queue
        while True:
            try:
                call = queue.get(timeout=IDLE_SECONDS)
            except Empty:
                if self._may_leave():
                    return
                continue
            self._serve(call)
            del call  # and what it holds

    def _may_leave(self) -> bool:
        """Return whether nobody has come; who comes from now on finds no thread, and starts one."""
        with self._lock:
            thread, self._thread = self._thread, None
            if self._queue.empty():
                return True
            self._thread = thread
            return False

    def _serve(self, call: Call) -> None:
        made: list[Call] = []
        while True:
            with self._lock:
                begun = call.state == QUEUED
                if begun:
                    call.state = BEGUN
            if begun:
                call.make()
                call.state = ENDED
                made.append(call)
            if len(made) == CALLS_PER_ANSWER:
                break
            try:
                call = self._queue.get_nowait()
            except Empty:
                break
        tell(made)


def tell(made: list[Call]) -> None:
    """Answer calls that have ended, each on its loop, which is woken once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Call]] = {}
    for call in made:
        by_loop.setdefault(call.loop, []).append(call)
    for loop, calls in by_loop.items():
        with suppress(RuntimeError):  # it is closed: nobody waits
            loop.call_soon_threadsafe(_answer, calls)


def _answer(calls: list[Call]) -> None:
    for call in calls:
        call.answer()


_all: WeakSet[Lane] = WeakSet()


def _after_fork_in_child() -> None:
    for lane in list(_all):
        lane.forget_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
