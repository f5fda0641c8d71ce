"""Modes of memoized functions: on, off, and cache-only, for a process or a block."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Literal, Protocol
from weakref import WeakSet

from sqlitedict_kv.concurrency.fork import forgets_after_fork

Mode = Literal["on", "off", "only"]
VARIABLE = "SQLITEDICT_KV_MEMOIZE"


class Switched(Protocol):
    """A function whose mode can change."""

    def set_mode(self, mode: Mode) -> None:
        """Make the calls that begin from now on in another mode."""


class Modes:
    """The modes of the memoized functions of one store, in this process.

    A function is told when its mode changes, so that no call has to ask.
    """

    def __init__(self) -> None:
        """Begin without a block."""
        self._spaces: dict[str, WeakSet[Switched]] = {}
        self._blocks: list[tuple[Mode, str | None]] = []
        self.forget_after_fork()
        forgets_after_fork(self)

    def forget_after_fork(self) -> None:
        """Release the lock; the blocks go on in the child."""
        self._lock = Lock()

    def enroll(self, function: Switched, space: str) -> None:
        """Tell *function*, whose results are kept in the namespace *space*, its mode now and whenever it changes."""
        with self._lock:
            self._spaces.setdefault(space, WeakSet()).add(function)
            mode = self._of(space)
            if mode != "on":
                function.set_mode(mode)

    @contextmanager
    def block(self, mode: Mode, space: str | None) -> Iterator[None]:
        """Switch the functions of a namespace, or of all, while the block runs, in all threads."""
        entry = mode, space
        with self._lock:
            self._blocks.append(entry)
            self._tell()
        try:
            yield
        finally:
            with self._lock:
                self._blocks.reverse()  # blocks of several threads may end in any order
                self._blocks.remove(entry)
                self._blocks.reverse()
                self._tell()

    def _of(self, space: str) -> Mode:
        """Return the mode of the innermost block, or of the process."""
        modes = [mode for mode, chosen in self._blocks if chosen in (None, space)]
        return modes[-1] if modes else mode_of_process()

    def _tell(self) -> None:
        for space, functions in self._spaces.items():
            mode = self._of(space)
            for function in list(functions):
                function.set_mode(mode)


def mode_of_process() -> Mode:
    """Return what the environment says; ValueError if that is no mode."""
    text = os.environ.get(VARIABLE) or "on"
    for mode in ("on", "off", "only"):
        if text == mode:
            return mode
    raise ValueError(f"{VARIABLE} must be off, only or on, not {text!r:.80}")
