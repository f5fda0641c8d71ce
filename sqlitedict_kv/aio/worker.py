"""A worker thread that makes the calls of tasks in order, with group commit.

Writes that wait at the same time are committed in one transaction. The group is closed only when that transaction has
the lock of the file: a write that comes while others hold the lock still joins, and one that is cancelled meanwhile
leaves. So a single write waits for no company, and the longer a commit takes, the larger the next group is (the same
idea: the leader of a batch in LevelDB's and RocksDB's writer queue).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Lock, Thread, local
from typing import Any

from sqlitedict_kv.concurrency.fork import forgets_after_fork
from sqlitedict_kv.concurrency.shared_errors import copy_error
from sqlitedict_kv.engines.protocol import Edit, Put
from sqlitedict_kv.operations.context import StoreContext
from sqlitedict_kv.operations.optional import commit_groups, put_at_once_of

IDLE_SECONDS = 10.0  # how long the thread stays when there is nothing to do, and keeps the store from being collected
CALLS_PER_DELIVERY = 32  # that are made before their outcomes are delivered, if so many wait
EDITS_PER_GROUP = 512  # that are in one transaction at most, which takes some milliseconds; a call is never split
BYTES_PER_GROUP = 2**20  # likewise, of values

QUEUED, BEGUN, ENDED, WITHDRAWN = range(4)


class WorkerCall:
    """Something that a task awaits."""

    __slots__ = ("delivered", "edits", "error", "function", "future", "loop", "result", "state")

    error: BaseException | None
    result: Any

    def __init__(self, function: Callable[[], Any] | None, edits: Sequence[Edit] | None) -> None:
        """Describe a call for the task that runs: a function, or edits that may be committed with those of others."""
        self.function = function
        self.edits = edits
        self.loop = loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = loop.create_future()
        self.state = QUEUED
        self.delivered = False
        self.error = None

    def execute(self) -> None:
        """Call the function and note its result or error."""
        assert self.function is not None
        try:
            self.result = self.function()
        except BaseException as error:
            self.error = error

    def settle(self, outcome: list[int | None] | BaseException) -> None:
        """Note the outcome of the edits."""
        if isinstance(outcome, BaseException):
            self.error = outcome
        else:
            self.result = outcome
        self.state = ENDED

    def deliver(self) -> None:
        """Give the outcome to the task; called on its loop."""
        self.delivered = True
        if self.future.done():  # the task was cancelled
            return
        if self.error is None:
            self.future.set_result(self.result)
        elif isinstance(self.error, StopIteration):  # which no future takes
            self.future.set_exception(RuntimeError(f"a function raised {self.error!r}"))
        else:
            self.future.set_exception(self.error)

    async def wait_delivered(self) -> None:
        """Wait for the outcome, however often the task is cancelled."""
        while not self.delivered:
            self.future = self.loop.create_future()
            with suppress(BaseException):
                await self.future


class _Turn(local):
    """The calls that the loop of a thread has submitted in its current turn."""

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
        self._put_one = put_at_once_of(context.engine)
        self._begin()
        forgets_after_fork(self)

    def _begin(self) -> None:
        self._queue: SimpleQueue[list[WorkerCall] | None] = SimpleQueue()  # None: no further calls
        self._turn = _Turn()
        self._lock = Lock()  # held while the thread comes or goes, and while a call is begun or withdrawn
        self._thread: Thread | None = None

    def forget_after_fork(self) -> None:
        """Start empty in a child, where neither the thread nor the waiting tasks exist."""
        self._begin()

    async def call(self, function: Callable[[], Any]) -> Any:
        """Return what *function* returns; it is not called, or has ended, when this ends, cancelled or not."""
        return await self.submit(WorkerCall(function, None))

    async def submit(self, call: WorkerCall) -> Any:
        """Return what comes of a call; edits are applied in one transaction with those of other tasks."""
        turn = self._turn
        if turn.loop is call.loop:
            turn.calls.append(call)
        else:  # another loop may have been stopped in the middle of a turn: it sends its own when it goes on
            turn.loop, turn.calls = call.loop, [call]
            call.loop.call_soon(self._send, turn, turn.calls)
        try:
            return await call.future
        except asyncio.CancelledError:
            if not self._withdraw(call):
                await call.wait_delivered()
            raise

    def _send(self, turn: _Turn, calls: list[WorkerCall]) -> None:
        """Hand over what the tasks of this turn of the loop asked for, so that the thread is woken once.

        At once, call by call, the thread and the loop would take the interpreter's lock from each other.
        """
        if turn is not self._turn:  # a child was forked in the turn; its parent makes them
            return
        if turn.calls is calls:
            turn.loop = None
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
                try:
                    thread = Thread(target=self._run, name=self._name, daemon=True)
                    thread.start()
                except RuntimeError as error:  # no memory, the interpreter is about to end, or has no daemon threads
                    for call in calls:
                        call.state, call.error = WITHDRAWN, error
                        call.deliver()
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
            elif self._may_end():
                return

    def stop(self) -> None:
        """End the thread when it has made the calls that wait; a later call starts another one."""
        self._queue.put(None)

    def _may_end(self) -> bool:
        """Return whether no call waits; the next one finds no thread, and starts one."""
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
                self._run_functions(waiting)
            else:
                self._commit_group(waiting)

    def _collect(self, waiting: deque[WorkerCall]) -> None:
        """Take all calls that were submitted."""
        queue = self._queue
        while not queue.empty():  # only this thread takes any
            waiting.extend(queue.get_nowait() or ())

    def _run_functions(self, waiting: deque[WorkerCall]) -> None:
        made: list[WorkerCall] = []
        while waiting and waiting[0].edits is None and len(made) < CALLS_PER_DELIVERY:
            call = waiting.popleft()
            if self._begin_calls([call]):
                call.execute()
                call.state = ENDED
                made.append(call)
        deliver(made)

    def _commit_group(self, waiting: deque[WorkerCall]) -> None:
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
            begun = self._begin_calls(group)
            return [call.edits for call in begun if call.edits is not None]

        try:
            outcomes: list[Any] = commit_groups(engine, claim, now)
        except BaseException as error:
            begun = begun or self._begin_calls(first)
            group = group if begun else first
            outcomes = [error, *(copy_error(error) for _ in begun[1:])]
        for call, outcome in zip(begun, outcomes, strict=False):
            call.settle(outcome)
        for _ in group:
            waiting.popleft()
        deliver(begun)

    def _put_at_once(self, call: WorkerCall) -> bool:
        """Write what is one plain entry without company, which is quicker; return False if that does not go."""
        assert call.edits is not None
        edit = call.edits[0]
        if len(call.edits) > 1 or type(edit) is not Put or type(edit.body) is not bytes:
            return False
        if edit.expected is not None or edit.tags:
            return False
        if not self._begin_calls([call]):
            return False
        try:
            version = self._put_one(edit, self._context.now())
        except BaseException as error:
            call.settle(error)
        else:
            if version is None:
                call.state = QUEUED  # others hold the lock: while we wait, there may be company or a cancellation
                return False
            call.settle([version])
        deliver([call])
        return True

    def _begin_calls(self, calls: Sequence[WorkerCall]) -> list[WorkerCall]:
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


def deliver(made: list[WorkerCall]) -> None:
    """Give the outcomes of calls to their tasks, each on its loop, which is woken once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[WorkerCall]] = {}
    for call in made:
        by_loop.setdefault(call.loop, []).append(call)
    for loop, calls in by_loop.items():
        with suppress(RuntimeError):  # it is closed, so no task waits
            loop.call_soon_threadsafe(_deliver_here, calls)


def _deliver_here(calls: list[WorkerCall]) -> None:
    for call in calls:
        call.deliver()
