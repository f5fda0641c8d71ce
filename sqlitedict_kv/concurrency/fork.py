"""Objects that begin anew in a forked child: the threads of the parent are not there, nor what they were doing."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Forgetful(Protocol):
    """What can begin anew."""

    def forget_after_fork(self) -> None:
        """Forget what is the parent's."""


def forgets_after_fork(thing: Forgetful) -> None:
    """Let *thing* forget in each child that is forked while it is there; it is not kept for that."""
    _all.add(thing)


_all: WeakSet[Forgetful] = WeakSet()


def _after_fork_in_child() -> None:
    for thing in list(_all):
        thing.forget_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
