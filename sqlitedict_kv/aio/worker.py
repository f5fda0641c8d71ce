"""A thread that makes the calls of tasks, one after the other, and commits what waits at the same time together.

The group is not closed before the transaction has the lock of the file: whoever comes while others hold it is taken
along, and whoever is cancelled meanwhile is not. So a lone write waits for no company, and the longer a commit
takes, the larger the next group is (the same idea: the leader of a batch in LevelDB's and RocksDB's writer queue).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from copy import copy
from queue import Empty, SimpleQueue
from threading import Lock, Thread, local
from typing import Any

from sqlitedict_kv.concurrency.fork import forgets_after_fork
from sqlitedict_kv.engines.protocol import Edit, Put
from sqlitedict_kv.operations.context import StoreContext

IDLE_SECONDS = 10.0  # how long the thread stays when there is nothing to do, and keeps the store from being collected
CALLS_PER_ANSWER = 32  # that are made before the loop is told of them, if so many wait
EDITS_PER_GROUP = 512  # that are in one transaction at most, which takes some milliseconds; a call is never split
BYTES_PER_GROUP = 2**20  # likewise, of values

QUEUED, BEGUN, ENDED, WITHDRAWN = range(4)


class WorkerCall:
    """Something that a task awaits."""

    __slots__ = ("answered", "edits", "error", "function", "future", "loop", "result", "state")

    error: BaseException | None
    result: Any

    def __init__(self, function: Callable[[], Any] | None, edits: Sequence[Edit] | None) -> None:
        """Describe a call for the task that runs: a function, or edits that may be committed with those of others."""
        self.function = function
        self.edits = edits
        self.loop = loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = loop.create_future()
        self.state = QUEUED
        self.answered = False
        self.error = None

    def make(self) -> None:
        """Call the function and note what comes of it."""
        assert self.function is not None
        try:
            self.result = self.function()
        except BaseException as error:
            self.error = error

    def take(self, outcome: list[int | None] | BaseException) -> None:
        """Note what came of the edits."""
        if isinstance(outcome, BaseException):
            self.error = outcome
        else:
            self.result = outcome
        self.state = ENDED

    def answer(self) -> None:
        """Let the task go on; on its loop."""
        self.answered = True
        if self.future.done():  # the task was cancelled
            return
        if self.error is None:
            self.future.set_result(self.result)
        elif isinstance(self.error, StopIteration):  # which no future takes
            self.future.set_exception(RuntimeError(f"a function raised {self.error!r}"))
        else:
            self.future.set_exception(self.error)

    async def ended(self) -> None:
        """Wait for the answer, whatever it is and however often the task is cancelled."""
        while not self.answered:
            self.future = self.loop.create_future()
            with suppress(BaseException):
                await self.future


class _Asked(local):
    """What the loop of a thread has asked for in the turn that it is in."""

    def __init__(self) -> None:
        """Begin with nothing, in each thread."""
        self.loop: asyncio.AbstractEventLoop | None = None
        self.calls: list[WorkerCall] = []


class Worker:
    """Makes calls in their order, in a thread that is there only while it is needed."""

    def __init__(self, name: str, context: StoreContext) -> None:
        """Begin without a thread; *name* is for people, and *context* of the store that edits are committed to."""
        self._name = name
        self._context = context
        self._begin()
        forgets_after_fork(self)

    def _begin(self) -> None:
        self._queue: SimpleQueue[list[WorkerCall] | None] = SimpleQueue()  # None: nobody will come any more
        self._asked = _Asked()
        self._lock = Lock()  # held while the thread comes or goes, and while a call is begun or withdrawn
        self._thread: Thread | None = None

    def forget_after_fork(self) -> None:
        """Begin anew in a child: neither the thread nor the tasks that wait are there."""
        self._begin()

    async def perform(self, function: Callable[[], Any]) -> Any:
        """Return what *function* returns; it is not called, or has ended, when this ends, cancelled or not."""
        return await self.answer_to(WorkerCall(function, None))

    async def answer_to(self, call: WorkerCall) -> Any:
        """Return what comes of a call; edits are applied in one transaction with those of other tasks."""
        asked = self._asked
        if asked.loop is call.loop:
            asked.calls.append(call)
        else:  # another loop may have been stopped in the middle of a turn: it sends its own when it goes on
            asked.loop, asked.calls = call.loop, [call]
            call.loop.call_soon(self._send, asked, asked.calls)
        try:
            return await call.future
        except asyncio.CancelledError:
            if not self._withdraw(call):
                await call.ended()
            raise

    def _send(self, asked: _Asked, calls: list[WorkerCall]) -> None:
        """Hand over what the tasks of this turn of the loop asked for, so that the thread is woken once.

        At once, call by call, the thread and the loop would take the interpreter's lock from each other.
        """
        if asked is not self._asked:  # a child was forked in the turn; its parent makes them
            return
        if asked.calls is calls:
            asked.loop = None
        self._queue.put(calls)
        if self._thread is None:
            self._start(calls)

    def _withdraw(self, call: WorkerCall) -> bool:
        with self._lock:
            if call.state == QUEUED:
                call.state = WITHDRAWN
        return call.state == WITHDRAWN

    def _start(self, calls: list[WorkerCall]) -> None:
        with self._lock:
            if self._thread is None:
                thread = Thread(target=self._run, name=self._name, daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:  # no memory, or the interpreter is about to end
                    for call in calls:
                        call.state, call.error = WITHDRAWN, error
                        call.answer()
                    return
                self._thread = thread

    def _run(self) -> None:
        queue = self._queue
        while True:
            try:
                calls = queue.get(timeout=IDLE_SECONDS)
            except Empty:
                calls = None
            if calls is not None:
                self._serve(calls)
                del calls  # and what they hold
            elif self._may_leave():
                return

    def leave(self) -> None:
        """Let the thread go when it has made the calls that wait; who comes later starts another one."""
        self._queue.put(None)

    def _may_leave(self) -> bool:
        """Return whether nobody has come; who comes from now on finds no thread, and starts one."""
        with self._lock:
            thread, self._thread = self._thread, None
            if self._queue.empty():
                return True
            self._thread = thread
            return False

    def _serve(self, calls: list[WorkerCall]) -> None:
        """Make calls until none waits."""
        waiting = deque(calls)
        while waiting:
            self._collect(waiting)
            if waiting[0].edits is None:
                self._make_some(waiting)
            else:
                self._commit_some(waiting)

    def _collect(self, waiting: deque[WorkerCall]) -> None:
        """Take all who have come."""
        queue = self._queue
        while not queue.empty():  # nobody else takes any
            waiting.extend(queue.get_nowait() or ())

    def _make_some(self, waiting: deque[WorkerCall]) -> None:
        made: list[WorkerCall] = []
        while waiting and waiting[0].edits is None and len(made) < CALLS_PER_ANSWER:
            call = waiting.popleft()
            if self._begin_those([call]):
                call.make()
                call.state = ENDED
                made.append(call)
        tell(made)

    def _commit_some(self, waiting: deque[WorkerCall]) -> None:
        """Commit what waits, and what comes until the lock of the file is ours, together."""
        engine, now = self._context.engine, self._context.now
        if len(waiting) == 1 and self._put_at_once(waiting[0]):
            waiting.popleft()
            return
        first = _group(waiting)  # they wait from now on, and get the error if the lock is not to be had
        group: list[WorkerCall] = first
        begun: list[WorkerCall] = []

        def claim() -> list[Sequence[Edit]]:
            nonlocal group, begun
            self._collect(waiting)
            group = _group(waiting)
            begun = self._begin_those(group)
            return [call.edits for call in begun if call.edits is not None]

        try:
            outcomes: list[Any] = engine.commit_groups(claim, now)
        except BaseException as error:
            begun = begun or self._begin_those(first)
            group = group if begun else first
            outcomes = [error, *(_another(error) for _ in begun[1:])]
        for call, outcome in zip(begun, outcomes, strict=False):
            call.take(outcome)
        for _ in group:
            waiting.popleft()
        tell(begun)

    def _put_at_once(self, call: WorkerCall) -> bool:
        """Write what is one plain entry without company, which is quicker; return False if that does not go."""
        assert call.edits is not None
        edit = call.edits[0]
        if len(call.edits) > 1 or type(edit) is not Put or edit.expected is not None or not self._begin_those([call]):
            return False
        try:
            version = self._context.engine.put_at_once(edit, self._context.now())
        except BaseException as error:
            call.take(error)
        else:
            if version is None:
                call.state = QUEUED  # others hold the lock: while we wait, there may be company or a cancellation
                return False
            call.take([version])
        tell([call])
        return True

    def _begin_those(self, calls: Sequence[WorkerCall]) -> list[WorkerCall]:
        """Return the calls that were not withdrawn, and cannot be from now on."""
        with self._lock:
            begun = [call for call in calls if call.state != WITHDRAWN]
            for call in begun:
                call.state = BEGUN
        return begun


def _group(waiting: Iterable[WorkerCall]) -> list[WorkerCall]:
    """Return those in front that go into one transaction: one at least, and not so many that others wait long."""
    group: list[WorkerCall] = []
    edits = size = 0
    for call in waiting:
        if call.edits is None or edits >= EDITS_PER_GROUP or size >= BYTES_PER_GROUP:
            break
        group.append(call)
        edits += len(call.edits)
        size += sum(len(edit.body) for edit in call.edits if type(edit) is Put)
    return group


def _another(error: BaseException) -> BaseException:
    """Return an error of the same words for another task: each adds its own traceback to the one that it gets."""
    try:
        other = copy(error)
        other.__cause__ = error.__cause__
    except Exception:  # it is of a class of the user's, a clock's say, whose arguments are not those of its making
        return error
    return other


def tell(made: list[WorkerCall]) -> None:
    """Answer calls that have ended, each on its loop, which is woken once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[WorkerCall]] = {}
    for call in made:
        by_loop.setdefault(call.loop, []).append(call)
    for loop, calls in by_loop.items():
        with suppress(RuntimeError):  # it is closed: nobody waits
            loop.call_soon_threadsafe(_answer, calls)


def _answer(calls: list[WorkerCall]) -> None:
    for call in calls:
        call.answer()
