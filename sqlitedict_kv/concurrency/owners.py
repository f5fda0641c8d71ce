"""Owners of work that others wait for: the thread, or the task, that does it.

An owner may be gone without having said so: an interrupt can come between any two bytecodes, a loop can stop while a
task of it is suspended. So waiters look from time to time whether the owner still exists.
"""

from __future__ import annotations

import sys
import threading
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, Protocol

from sqlitedict_kv.concurrency.frames import current_frames

if TYPE_CHECKING:
    import asyncio

Carrier = Any  # a threading.Thread or an asyncio.Task


class Owner(Protocol):
    """What does the work."""

    @property
    def carrier(self) -> Carrier:
        """The thread or the task."""

    def is_alive(self) -> bool:
        """Return whether the work goes on."""


class FrameOwner:
    """A call that a thread is in the middle of."""

    __slots__ = ("_frame", "carrier")

    def __init__(self, code: CodeType) -> None:
        """Take the innermost frame of *code* in this thread."""
        frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the only way to it
        while frame is not None and frame.f_code is not code:
            frame = frame.f_back
        self._frame = frame
        self.carrier = threading.current_thread()

    def is_alive(self) -> bool:
        """Return whether the thread is still in that call."""
        frame = current_frames().get(self.carrier.ident or 0)
        while frame is not None and frame is not self._frame:
            frame = frame.f_back
        return frame is not None


class ThreadOwner:
    """A thread that does nothing else; it may be yet to start."""

    __slots__ = ("carrier",)

    def __init__(self, thread: threading.Thread) -> None:
        """Watch *thread*."""
        self.carrier = thread

    def is_alive(self) -> bool:
        """Return whether the thread has not ended."""
        return self.carrier.ident is None or self.carrier.is_alive()


class TaskOwner:
    """A task; while its loop does not run it is as good as gone."""

    __slots__ = ("carrier",)

    def __init__(self, task: asyncio.Task[Any]) -> None:
        """Watch *task*."""
        self.carrier = task

    def is_alive(self) -> bool:
        """Return whether the task can go on."""
        return not self.carrier.done() and self.carrier.get_loop().is_running()
