"""Imports of modules when they are first needed, each of which a fork waits for."""

from __future__ import annotations

import os
from importlib import import_module
from threading import RLock
from types import ModuleType

PATIENCE = 10.0  # seconds that a fork waits for an import of another thread

_lock = RLock()  # held while a thread imports, and during a fork
_held = False  # by the fork under way


def import_when_needed(name: str) -> ModuleType:
    """Import a module so that no fork comes in between.

    A child that is forked in the middle would wait forever at its first use of the module: Python locks each module
    that is being imported, and the thread that would unlock it is not in the child.
    """
    with _lock:
        return import_module(name)


def _before() -> None:
    global _held  # noqa: PLW0603 - a fork has one state, the process's
    _held = _lock.acquire(timeout=PATIENCE)


def _after_in_parent() -> None:
    if _held:
        _lock.release()


def _after_in_child() -> None:
    global _lock  # noqa: PLW0603 - the thread that may hold it does not exist here
    _lock = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
