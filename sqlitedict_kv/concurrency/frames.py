"""Frames of all threads of this process."""

from __future__ import annotations

import gc
import sys
from threading import Lock
from types import FrameType

from sqlitedict_kv.concurrency.fork import forgets_after_fork

# CPython 3.11 makes frames under the lock of its list of threads. If that begins a collection, and the collection lets
# another thread run that begins or ends one, the whole process stands still
# (https://github.com/python/cpython/issues/106883, mended in 3.11.9). From 3.12 on no collection begins there.
COLLECTS_INSIDE = sys.version_info < (3, 12)


class _Collections:
    """Holds collections off while frames are made."""

    def __init__(self) -> None:
        self.forget_after_fork()
        forgets_after_fork(self)

    def forget_after_fork(self) -> None:
        """Hold nothing: the thread that did is not here."""
        self.lock = Lock()


_collections = _Collections()


def current_frames() -> dict[int, FrameType]:
    """Return the innermost frame of each thread, by the number of the thread."""
    if not COLLECTS_INSIDE:
        return sys._current_frames()  # noqa: SLF001 - the only way to them
    with _collections.lock:
        collects = gc.isenabled()
        try:
            gc.disable()
            return sys._current_frames()  # noqa: SLF001 - likewise
        finally:
            if collects:
                gc.enable()
