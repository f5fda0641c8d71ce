"""A lock that a child process can take, whoever held it when the parent forked."""

from __future__ import annotations

import os
from threading import RLock
from types import TracebackType
from weakref import WeakSet


class ForkLock:
    """A reentrant lock; in a child it is free, unless the very thread that forked holds it.

    Any other thread that held it does not exist in the child, and would never release it.
    """

    __slots__ = ("__weakref__", "_lock")

    def __init__(self) -> None:
        """Make a lock that is free."""
        self._lock = RLock()
        _locks.add(self)

    def __enter__(self) -> None:
        """Wait until it is free, or ours already, and take it."""
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Let it go once."""
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Replace what a thread of the parent holds."""
        if self._lock.acquire(blocking=False):
            self._lock.release()
        else:
            self._lock = RLock()


_locks: WeakSet[ForkLock] = WeakSet()


def _after_fork_in_child() -> None:
    for lock in list(_locks):
        lock.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
