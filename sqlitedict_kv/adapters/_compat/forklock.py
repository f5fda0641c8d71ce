"""Lock that a child process can take, even if another thread held it when the parent forked."""

from __future__ import annotations

from threading import RLock
from types import TracebackType

from sqlitedict_kv.concurrency.fork import forgets_after_fork


class ForkLock:
    """A reentrant lock; in a child it is free, unless the very thread that forked holds it.

    Any other thread that held it does not exist in the child, and would never release it.
    """

    __slots__ = ("__weakref__", "_lock")

    def __init__(self) -> None:
        """Make a lock that is free."""
        self._lock = RLock()
        forgets_after_fork(self)

    def __enter__(self) -> None:
        """Wait until it is free, or ours already, and take it."""
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Let it go once."""
        self._lock.release()

    def forget_after_fork(self) -> None:
        """Replace what a thread of the parent holds."""
        if self._lock.acquire(blocking=False):
            self._lock.release()
        else:
            self._lock = RLock()
