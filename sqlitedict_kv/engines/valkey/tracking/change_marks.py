"""Change marks of entries that somebody waits for, moved by invalidations from the servers."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock
from typing import Final
from weakref import WeakValueDictionary

from sqlitedict_kv.concurrency.fork import forgets_after_fork
from sqlitedict_kv.engines.protocol import Keys
from sqlitedict_kv.engines.valkey.client.protocol import Link
from sqlitedict_kv.engines.valkey.keyspace import Space, tracked_prefixes
from sqlitedict_kv.engines.valkey.tracking.feed import Tracking

STALENESS: Final = 4.0  # seconds; whoever waits looks at the entry more often anyway
LISTENS_AFTER: Final = 0.05  # seconds of a wait: a shorter one is over before a connection is of use
IDLE: Final = 10.0  # seconds in which nobody waited: then it listens no more


class _Mark:
    """How often an entry changed while somebody waited for that."""

    __slots__ = ("__weakref__", "moves")

    def __init__(self) -> None:
        self.moves = 0


class ChangeMarks:
    """The marks of one store; see :meth:`sqlitedict_kv.engines.optional.MarkingEngine.change_mark`.

    It is told of changes as a memory is, by a feed of its own, which listens only while somebody waits.
    """

    def __init__(self, link: Link, prefix: str) -> None:
        """Mark entries whose keys begin with *prefix*."""
        self._link = link
        self._prefix = prefix
        self.clock: Callable[[], float] = time.monotonic
        self._feed: Tracking | None = None
        self._closed = False
        self.forget_after_fork()
        forgets_after_fork(self)

    def forget_after_fork(self) -> None:
        """Begin again: nobody tells a child anything yet."""
        self._lock = Lock()  # held while the feed or the marks are exchanged
        self._told = False
        self._gaps = 0  # how often anything may have changed untold
        self._used = 0.0  # when somebody waited last
        self._marks: WeakValueDictionary[tuple[str, str], _Mark] = WeakValueDictionary()

    def mark(self, space: Space | None, key: str) -> Callable[[], object]:
        """Return a function that returns another object soon after each change of an entry, None while nobody tells.

        Only namespaces that are kept beside another one are listened to, as leases are: nobody waits for the others.
        """
        if space is None or space.layout.beside is None:
            return lambda: None
        with self._lock:
            mark = self._marks.setdefault((space.namespace, key), _Mark())
        begun = self.clock()

        def read() -> object:
            if self._told:
                return self._gaps, mark.moves
            if self.clock() - begun >= LISTENS_AFTER:
                self._listen()
            return None

        return read

    def _listen(self) -> None:
        with self._lock:
            if self._closed:
                return
            if self._feed is None or self._feed.closed:
                self._used = self.clock()
                _, beside = tracked_prefixes(self._prefix)
                self._feed = Tracking(self._link, self._prefix, self, STALENESS, [beside])
            self._feed.wake()

    def close(self) -> None:
        """Listen no more."""
        with self._lock:
            self._closed = True
        if self._feed is not None:
            self._feed.close()

    # -- what it is told

    def begin(self) -> None:
        """Move all marks; from now on it is told of each change."""
        self._gaps += 1
        self._told = True

    def forget(self, keys: Keys) -> None:
        """Move the marks of what changed; None is everything."""
        if keys is None:
            self._gaps += 1
            return
        for name in keys:
            mark = self._marks.get(name)
            if mark is not None:
                mark.moves += 1

    def extend(self, until: float) -> None:  # noqa: ARG002 - a mark proves nothing
        """Listen no more if nobody has waited for some time."""
        if self._marks:
            self._used = self.clock()
        elif self._feed is not None and self.clock() - self._used > IDLE:
            self._feed.close()

    def end(self) -> None:
        """Know nothing, for nobody tells."""
        self._told = False
