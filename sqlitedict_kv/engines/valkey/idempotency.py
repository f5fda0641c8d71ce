"""Identity of a request, by which a server recognizes one that it has executed already."""

from __future__ import annotations

import os
import struct
from collections import deque
from types import TracebackType
from typing import Self

from sqlitedict_kv.concurrency.fork import forgets_after_fork

NUMBER = struct.Struct(">Q")


class RequestSession:
    """Numbers requests that are made one after the other; a context manager that gives itself back."""

    __slots__ = ("_home", "_number", "name")

    def __init__(self, home: deque[RequestSession]) -> None:
        """Begin at no request; *home* is where it is given back."""
        self.name = os.urandom(8).hex().encode()
        self._number = 0
        self._home = home

    def next(self) -> tuple[bytes, bytes]:
        """Return the name, and the number of the next request."""
        self._number += 1
        return self.name, NUMBER.pack(self._number)

    def __enter__(self) -> Self:
        """Return the session itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Release it, even if the outcome of its request is unknown: the next request makes that one too late."""
        self._home.append(self)


class RequestSessions:
    """RequestSessions that are free; a forked child has its own.

    They belong to requests, not to threads: a signal's handler or a finalizer may write while its thread is in the
    middle of another write, whose number would then be one of the past, and taken for done.
    """

    def __init__(self) -> None:
        """Begin without any."""
        self.forget_after_fork()
        forgets_after_fork(self)

    def forget_after_fork(self) -> None:
        """Start without sessions: the numbers of the parent's sessions are the parent's."""
        self._free: deque[RequestSession] = deque()

    def take(self) -> RequestSession:
        """Return a session that is the caller's alone until it is given back."""
        free = self._free
        try:
            return free.pop()
        except IndexError:
            return RequestSession(free)
