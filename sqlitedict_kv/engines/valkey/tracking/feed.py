"""Feed of invalidations from the servers to the memory in front of them.

One thread listens to all primaries: each tells of every entry that anybody writes there (``CLIENT TRACKING ON BCAST``,
RESP3), so it does not matter which of them owns a slot, or receives it. A few times within the staleness each is
asked a question, and the answer proves that all was told that was acknowledged before it was asked. What is held may
be served until the staleness is over, counted from the oldest of the questions that were answered last.

Everything is forgotten, and nothing more is served, when a connection is lost, when the primaries are others than
those it listens to, and in a child that was forked; then it starts again. Where the servers refuse, it tries again
now and then.
"""

from __future__ import annotations

import contextlib
import selectors
from collections.abc import Sequence
from threading import Event, Lock, Thread
from weakref import ref

from sqlitedict_kv.concurrency.backoff import Backoff
from sqlitedict_kv.concurrency.fork import forgets_after_fork
from sqlitedict_kv.engines.optional import InvalidatedMemory
from sqlitedict_kv.engines.valkey.client.error_mapping import Verdict, error_text, verdict_of
from sqlitedict_kv.engines.valkey.client.protocol import Endpoint, Link
from sqlitedict_kv.engines.valkey.client.redis_py import LostError, ResponseError
from sqlitedict_kv.engines.valkey.keyspace import name_of, tracked_prefixes
from sqlitedict_kv.engines.valkey.tracking.listener import Listener, RefusedError

QUESTIONS = 4  # within the staleness
SHORTEST_INTERVAL, LONGEST_INTERVAL = 0.005, 1.0  # seconds between two of them
BACKOFF = Backoff(0.05, 1.0)  # after a connection was lost
REFUSED_PAUSE = 60.0  # seconds, after a server refused


class Tracking:
    """Tells a memory what changes on the servers; see :class:`sqlitedict_kv.engines.optional.Feed`."""

    def __init__(
        self,
        link: Link,
        prefix: str,
        memory: InvalidatedMemory,
        staleness: float,
        watched: Sequence[bytes] | None = None,
    ) -> None:
        """Tell *memory* of entries whose keys begin with *prefix*; *staleness* is in seconds.

        With *watched* it is told only of those whose names on the servers begin with one of these.
        """
        self._link = link
        self._names = tracked_prefixes(prefix)
        self._watched = self._names if watched is None else watched
        self._channel = f"{prefix}:tracking".encode()
        self._memory = memory
        self._staleness = staleness
        self._interval = min(max(staleness / QUESTIONS, SHORTEST_INTERVAL), LONGEST_INTERVAL)
        self.closed = False
        self._begin()
        forgets_after_fork(self)

    def _begin(self) -> None:
        self._lock = Lock()  # held while what follows is changed
        self._thread: Thread | None = None
        self._listeners: list[Listener] = []
        self._selector: selectors.BaseSelector | None = None
        self._endpoints: frozenset[Endpoint] = frozenset()  # of the listeners
        self._changes = -1  # of the link, when its endpoints were compared with these
        self._pauses, self._pause = BACKOFF.pauses(), BACKOFF.shortest
        self._bell = Event()  # ends a pause
        self.problem: str | None = "it does not listen yet"  # why no invalidations come; None if all is well

    @property
    def detours(self) -> int:
        """How many calls went to a server that it may not listen to."""
        return self._link.detours

    # -- beginning and ending

    def start(self) -> None:
        """Begin to listen, and try it once before it returns."""
        self.step()
        self.wake()

    def wake(self) -> None:
        """Start to listen if that has not begun; it does not wait."""
        if self._thread is not None or self.closed:
            return
        with self._lock:
            if self._thread is None:
                thread = Thread(
                    target=_listen, args=(ref(self), self._bell), name="sqlitedict_kv tracking", daemon=True
                )
                try:
                    thread.start()
                except RuntimeError:  # Python ends
                    return
                self._thread = thread

    def close(self) -> None:
        """Listen no more."""
        self.closed = True
        self._lose(LostError("it was closed"))
        self._bell.set()

    def forget_after_fork(self) -> None:
        """Leave the connections to the parent."""
        # The selector is not told: what the child took out of it would be out of the parent's too.
        self._begin()

    # -- listening

    def step(self) -> tuple[selectors.BaseSelector | None, float]:
        """Do one step; return what to wait for before the next one, and for how many seconds at most."""
        try:
            if self._selector is None:
                self._connect()
            for listener in self._listeners:
                self._hear(listener)
                listener.ask(self._interval)
            self._extend()
        except Exception as error:  # whatever it is: what is told from now on would not be all
            self._lose(error)
        if self._selector is None:
            return None, self._pause
        due = min(listener.asked for listener in self._listeners) + self._interval - self._memory.clock()
        return self._selector, min(max(due, SHORTEST_INTERVAL), self._interval)

    def _connect(self) -> None:
        """Listen to all primaries; raise what keeps it from any."""
        listeners: list[Listener] = []
        selector = selectors.DefaultSelector()
        try:
            self._link.refresh()
            endpoints = self._link.endpoints()
            for endpoint in endpoints:
                connection = self._link.listener(endpoint)
                listener = Listener(connection, self._memory.clock, clustered=self._link.clustered)
                listeners.append(listener)
                listener.begin(self._watched, self._channel)
                # By its number, for a selector is a cycle of objects and would keep the listener.
                selector.register(listener.fileno(), selectors.EVENT_READ)
            # What became a primary before they said how the cluster was, they would never tell of.
            self._link.refresh()
            if self._link.endpoints() != endpoints or not endpoints:
                raise LostError("the primaries changed meanwhile")
            with self._lock:
                if self.closed:
                    raise LostError("it was closed")
                self._listeners, self._selector, self._endpoints = listeners, selector, endpoints
                self._memory.begin()
        except BaseException:
            selector.close()
            for listener in listeners:
                listener.close()
            raise
        self.problem = None
        self._pauses = BACKOFF.pauses()

    def _hear(self, listener: Listener) -> None:
        for keys in listener.heard():
            if keys is None:
                self._memory.forget(None)
            else:
                names = (name_of(self._names, key) for key in keys)
                self._memory.forget([name for name in names if name is not None])

    def _extend(self) -> None:
        """Extend the serving deadline while every request goes to a tracked server."""
        changes = self._link.changes
        if changes != self._changes:
            if self._link.endpoints() != self._endpoints:
                raise LostError("other servers are the primaries now")
            self._changes = changes
        self._memory.extend(min(listener.proven for listener in self._listeners) + self._staleness)

    def _lose(self, error: Exception) -> None:
        """Forget everything and disconnect, until the next attempt."""
        self.problem = error_text(error)
        is_refusal = isinstance(error, RefusedError)
        if isinstance(error, ResponseError):
            is_refusal = verdict_of(error) is Verdict.FATAL
        self._pause = REFUSED_PAUSE if is_refusal else next(self._pauses)
        with self._lock:
            self._memory.end()
            selector, self._selector = self._selector, None
            listeners, self._listeners = self._listeners, []
        if selector is not None:
            selector.close()
        for listener in listeners:
            listener.close()


def _listen(reference: ref[Tracking], bell: Event) -> None:
    """Run until it is closed or garbage."""
    while (tracking := reference()) is not None and not tracking.closed:
        selector, seconds = tracking.step()
        del tracking  # waiting here must not keep it alive
        if selector is None:
            bell.wait(seconds)
            continue
        with contextlib.suppress(OSError, ValueError):  # it was closed meanwhile
            selector.select(seconds)
