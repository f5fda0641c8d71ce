"""Keeping SQLite and a fork apart.

Three accidents are prevented. A child that closes, or merely holds, an inherited connection drops the
parent's locks (https://www.sqlite.org/howtocorrupt.html, section 2.6), so the parent closes its idle
connections before it forks. A child that is forked while a thread is inside SQLite inherits a mutex that
nobody will ever release, so the fork waits for every call to end. And a child that is forked in the
middle of a call all the same (it did not end in time) must never touch that file.
"""

from __future__ import annotations

import os
from threading import Lock
from time import monotonic
from typing import Protocol
from weakref import WeakSet

PATIENCE = 10.0  # seconds that a fork waits for the calls of other threads

opening = Lock()  # held while a file is made and opened, when no connection guards it yet


class Forkable(Protocol):
    """What is told of a fork."""

    def before_fork(self, deadline: float) -> None:
        """Wait until no thread is inside, keep them out, and close what a child must not inherit."""

    def after_fork_in_parent(self) -> None:
        """Let the threads in again."""

    def after_fork_in_child(self) -> None:
        """Let the only thread in, or nobody if the parent's calls had not ended."""


_members: WeakSet[Forkable] = WeakSet()
_present: list[Forkable] = []  # those that were told of the fork under way
_opening_held = False


def enroll(member: Forkable) -> None:
    """Tell *member* of every fork from now on; the caller holds `opening`."""
    _members.add(member)


def members() -> list[Forkable]:
    """Return those that are enrolled; the caller holds `opening`."""
    return list(_members)


def _before() -> None:
    global _opening_held  # noqa: PLW0603 - a fork has one state, the process's
    deadline = monotonic() + PATIENCE
    _opening_held = opening.acquire(timeout=PATIENCE)
    _present[:] = list(_members)
    for member in _present:
        member.before_fork(deadline)


def _after_in_parent() -> None:
    for member in _present:
        member.after_fork_in_parent()
    _present.clear()
    if _opening_held:
        opening.release()


def _after_in_child() -> None:
    global opening  # noqa: PLW0603 - the thread that may hold it does not exist here
    for member in _present:
        member.after_fork_in_child()
    _present.clear()
    opening = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
