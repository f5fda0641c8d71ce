"""State that starts empty in a forked child, where the threads of the parent do not exist."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Forgetful(Protocol):
    """An object with state that belongs to one process."""

    def forget_after_fork(self) -> None:
        """Drop the state of the parent."""


def forgets_after_fork(thing: Forgetful) -> None:
    """Call ``forget_after_fork`` of *thing* in every child; *thing* is referenced weakly.

    The order among several is not defined, so each may touch only what is its own.
    """
    _all.add(thing)


_all: WeakSet[Forgetful] = WeakSet()


def _after_fork_in_child() -> None:
    for thing in list(_all):
        thing.forget_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
