"""Types of memoized functions, for callers and type checkers."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Concatenate, NamedTuple, ParamSpec, Protocol, TypeVar, overload

from sqlitedict_kv.operations.context import Entry

P = ParamSpec("P")
Q = ParamSpec("Q")
R_co = TypeVar("R_co", covariant=True)


class CacheInfo(NamedTuple):
    """What happened to the calls of a memoized function in this process; approximate between threads.

    Attributes:
        hits: calls that found their result in the store.
        misses: calls that did not; they computed it or waited for another call that did.
        computed: how often the function itself was called.
        not_kept: results that condition= refused, or to which ttl= gave no time.
        unstorable: results that no codec keeps exactly, or that are too large.
        lost: results that were not kept because the lease had ended or the entry was forgotten meanwhile.
        stale: calls that got an expired result because the function raised; see stale_if_error=.
        failed_refreshes: computations in the background that raised; see refresh_before=.
        undecodable: entries that did not decode and were computed again; see undecodable=.
        storage_errors: failures of the storage that calls survived; see on_error=.
    """

    hits: int
    misses: int
    computed: int
    not_kept: int
    unstorable: int
    lost: int
    stale: int
    failed_refreshes: int
    undecodable: int
    storage_errors: int


@dataclass(slots=True)
class MemoizeCounters:
    """The counters behind :class:`CacheInfo`."""

    hits: int = 0
    misses: int = 0
    computed: int = 0
    not_kept: int = 0
    unstorable: int = 0
    lost: int = 0
    stale: int = 0
    failed_refreshes: int = 0
    undecodable: int = 0
    storage_errors: int = 0


class BoundMemoized(Protocol[P, R_co]):
    """A memoized method of an object; the verbs of :class:`Memoized` are those of the class's own attribute."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Return the result."""


class Memoized(Protocol[P, R_co]):
    """A memoized function: at runtime a plain function with these attributes, and ``__wrapped__``.

    Of a method they are reached through the class and take the object first:
    ``Report.rows.forget(report, "2026")``.
    """

    __name__: str
    __qualname__: str

    @property
    def __wrapped__(self) -> Any:
        """The function that was decorated; calling it bypasses the store."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Return the result, from the store if it is there."""

    @overload
    def __get__(self, instance: None, owner: type | None = None, /) -> Memoized[P, R_co]: ...
    @overload
    def __get__(
        self: Memoized[Concatenate[Any, Q], R_co], instance: object, owner: type | None = None, /
    ) -> BoundMemoized[Q, R_co]: ...

    def cache_key(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """Return the key under which the result of a call is kept."""

    def peek(self, *args: P.args, **kwargs: P.kwargs) -> Entry[Any] | None:
        """Return the entry with the result of a call, None if there is none; nothing is computed."""

    def forget(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Remove the result of a call and return whether there was one.

        A computation that is under way, in any process, will not be kept either: what begins after this
        sees nothing older than it.
        """

    def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Compute a result anew whatever is kept, keep it and return it; others get the old one meanwhile.

        Of an ``async def`` function it is awaited. A function that raises leaves what is kept as it is.
        """

    def cache_info(self) -> CacheInfo:
        """Return what happened in this process."""

    def cache_clear(self) -> int:
        """Remove all results of this function and version, as forget does, and return how many there were."""


class AsyncMemoized(Protocol[P, R_co]):
    """An ``async def`` function that an asynchronous store memoizes: a :class:`Memoized` whose verbs are awaited."""

    __name__: str
    __qualname__: str

    @property
    def __wrapped__(self) -> Any:
        """The function that was decorated; calling it bypasses the store."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co]:
        """Return the result, from the store if it is there."""

    @overload
    def __get__(self, instance: None, owner: type | None = None, /) -> AsyncMemoized[P, R_co]: ...
    @overload
    def __get__(
        self: AsyncMemoized[Concatenate[Any, Q], R_co], instance: object, owner: type | None = None, /
    ) -> BoundMemoized[Q, Coroutine[Any, Any, R_co]]: ...

    def cache_key(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """Return the key under which the result of a call is kept."""

    async def peek(self, *args: P.args, **kwargs: P.kwargs) -> Entry[Any] | None:
        """Return the entry with the result of a call, None if there is none; see :meth:`Memoized.peek`."""

    async def forget(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Remove the result of a call and return whether there was one; see :meth:`Memoized.forget`."""

    async def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Compute a result again, keep it and return it; see :meth:`Memoized.refresh`."""

    def cache_info(self) -> CacheInfo:
        """Return what happened in this process."""

    async def cache_clear(self) -> int:
        """Remove all results of this function and version, and return how many there were."""


class MemoizedClassMethod(Protocol[Q, R_co]):
    """What a type checker makes of a memoized function that takes a class; it is a :class:`Memoized`.

    mypy takes what is below ``@classmethod`` for the attribute itself, and so has to be told what binding does.
    """

    @property
    def __wrapped__(self) -> Any:
        """The function that was decorated."""

    def __call__(self, cls: type[Any], /, *args: Q.args, **kwargs: Q.kwargs) -> R_co:
        """Return the result."""

    def __get__(self, instance: object, owner: type | None = None, /) -> BoundMemoized[Q, R_co]:
        """Return the method of a class; at runtime it has the verbs, and they take the class first."""
