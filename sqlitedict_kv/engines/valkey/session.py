"""Who asks: what lets a server recognize a request that it has executed already."""

from __future__ import annotations

import os
import struct
import threading
from weakref import WeakSet

NUMBER = struct.Struct(">Q")


class Sessions:
    """Gives each thread a session, in which its requests are numbered; a forked child has sessions of its own."""

    def __init__(self) -> None:
        """Begin without any."""
        self.begin()
        _all.add(self)

    def begin(self) -> None:
        """Begin anew: the numbers of the parent's sessions are the parent's."""
        self._of_thread = _Session()

    def next(self) -> tuple[bytes, bytes]:
        """Return the session of this thread and the number of its next request."""
        session = self._of_thread
        session.number += 1
        return session.name, NUMBER.pack(session.number)


class _Session(threading.local):
    def __init__(self) -> None:
        self.name = os.urandom(8).hex().encode()
        self.number = 0


_all: WeakSet[Sessions] = WeakSet()


def _after_fork_in_child() -> None:
    for sessions in list(_all):
        sessions.begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
