"""Namespaces that keep locks, of both faces of a store."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from sqlitedict_kv.concurrency.cancellation import in_thread
from sqlitedict_kv.concurrency.lease import LeaseSpace
from sqlitedict_kv.validation import check_ttl

if TYPE_CHECKING:
    from sqlitedict_kv.concurrency.cancellation import InThread

T = TypeVar("T")


@runtime_checkable
class AwaitedSpace(Protocol):
    """A namespace whose verbs are awaited."""

    @property
    def sync_namespace(self) -> LeaseSpace:
        """The same namespace, for calls that may block."""

    def in_thread(self, function: Callable[[], T]) -> Coroutine[Any, Any, T]:
        """Return what a function returns that may block."""


def check_space(namespace: object) -> tuple[LeaseSpace, InThread]:
    """Return a namespace for calls that may block, and how tasks make them; TypeError for anything else."""
    if isinstance(namespace, AwaitedSpace):
        return namespace.sync_namespace, namespace.in_thread
    if not isinstance(namespace, LeaseSpace):
        raise TypeError(f"namespace must be a Namespace, as store.ns() returns it, not {type(namespace).__name__}")
    return namespace, in_thread


def check_lease_ttl(ttl: object) -> float:
    """Return the time to live of a lease in seconds; None is refused, as a lease has to end some day."""
    seconds = check_ttl(ttl)
    if seconds is None:
        raise TypeError("ttl must be a number of seconds, not None: what a dead process held would never be free")
    return seconds
