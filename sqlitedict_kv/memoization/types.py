"""Types of memoized functions, for callers and type checkers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Concatenate, NamedTuple, ParamSpec, Protocol, TypedDict, TypeVar, overload

from sqlitedict_kv.memoization.call_key import Key
from sqlitedict_kv.memoization.identity import CodeChoice
from sqlitedict_kv.memoization.policy import OnError, Undecodable, Unstorable
from sqlitedict_kv.operations.context import Entry
from sqlitedict_kv.validation import Default, Duration

if TYPE_CHECKING:
    from sqlitedict_kv.memoization.base_results import MemoizingStore
    from sqlitedict_kv.memoization.explanation import Explanation

P = ParamSpec("P")
Q = ParamSpec("Q")
A_contra = TypeVar("A_contra", contravariant=True)
A = TypeVar("A")
T = TypeVar("T")
R = TypeVar("R")
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
        base_hits: results that were taken from the base; see base=.
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
    base_hits: int

    def _repr_html_(self) -> str:
        from sqlitedict_kv.operations.showing import show_figures  # noqa: PLC0415 - for notebooks alone

        return show_figures("Calls in this process", self._asdict())


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
    base_hits: int = 0

    def __reduce__(self) -> tuple[type[MemoizeCounters], tuple[()]]:
        """Pickle as zeros: they count what happens in one process."""
        return MemoizeCounters, ()


class MemoizeOptions(TypedDict, total=False):
    """The options of memoize by name, for type checkers; :meth:`Memoize.__call__` says what they mean."""

    ttl: Duration | Callable[[Any], Duration | None] | None | Default
    ns: str | None
    name: str | None
    key: Key | None
    version: str | int | None
    code: CodeChoice
    was: str | Collection[str]
    ignore: Collection[str]
    typed: bool
    condition: Callable[[Any], Any] | None
    cache_exceptions: Mapping[type[Exception], Duration | None] | None
    refresh_before: Duration | None
    stale_if_error: Duration | None
    unstorable: Unstorable
    on_error: OnError
    undecodable: Undecodable
    lease: Duration
    content_type: str | None
    mapped: bool
    base: MemoizingStore | None
    tags: Callable[..., Iterable[str]] | Iterable[str]
    max_entries: int | None
    max_bytes: int | str | None
    type: Any


class BoundMemoized(Protocol[P, R_co]):
    """A memoized method of an object; the verbs of :class:`Memoized` are those of the class's own attribute.

    A static method is called as it is, any other without its first parameter; a type checker cannot tell them apart
    here, so both ways are right.
    """

    @overload
    def __call__(self: BoundMemoized[Concatenate[Any, Q], R_co], *args: Q.args, **kwargs: Q.kwargs) -> R_co: ...
    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


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
    def __get__(self, instance: None, owner: type | None = None, /) -> MemoizedOfClass[P, R_co]: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None, /) -> BoundMemoized[P, R_co]: ...

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
        """Compute a result again even if one is kept, keep it and return it; others get the old one meanwhile.

        Of an ``async def`` function it is awaited. A function that raises leaves what is kept as it is.
        """

    @overload
    def many(
        self: Memoized[Q, Coroutine[Any, Any, T]], *columns: Iterable[Any], **common: Any
    ) -> Coroutine[Any, Any, list[T]]: ...
    @overload
    def many(self: Memoized[Q, T], *columns: Iterable[Any], **common: Any) -> list[T]: ...
    def many(self, *columns: Iterable[Any], **common: Any) -> Any:
        """Return the results of many calls, as ``map`` makes them: all are looked up in one step.

        Those that are not kept are made one after the other; of an ``async def`` function at the same time, awaited.

        Args:
            columns: the arguments by position: ``f.many(users, days)`` is ``[f(users[0], days[0]), ...]``.
            common: arguments by name, the same for each call.
        """

    def put(self, result: Any, /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Keep a result that was computed elsewhere; what is being computed meanwhile will not be kept.

        Raises:
            CodecError, TooLargeError: it cannot be kept.
        """

    def fresh(self, *, max_age: Duration) -> Callable[P, R_co]:
        """Return a function that takes a result which is at most *max_age* seconds old, or computes it again."""

    def cache_identity(self) -> dict[str, Any]:
        """Return what the function is known by beside its name, and why a call may be a miss.

        ``code`` is the digest in the key, if code counts; then the names that count, each with a digest or a value;
        ``closure`` has the variables that the function closes over.
        """

    def explain(self, *args: P.args, **kwargs: P.kwargs) -> Explanation:
        """Return whether a call's result is kept, and if not, how the call differs from the nearest one that is."""

    def cache_info(self) -> CacheInfo:
        """Return what happened in this process."""

    def cache_clear(self) -> int:
        """Remove all results of this function and version, as forget does, and return how many there were.

        Where code counts, those of its former bodies go too.
        """


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
    def __get__(self, instance: None, owner: type | None = None, /) -> AsyncMemoizedOfClass[P, R_co]: ...
    @overload
    def __get__(
        self, instance: object, owner: type | None = None, /
    ) -> BoundMemoized[P, Coroutine[Any, Any, R_co]]: ...

    def cache_key(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """Return the key under which the result of a call is kept."""

    async def peek(self, *args: P.args, **kwargs: P.kwargs) -> Entry[Any] | None:
        """Return the entry with the result of a call, None if there is none; see :meth:`Memoized.peek`."""

    async def forget(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Remove the result of a call and return whether there was one; see :meth:`Memoized.forget`."""

    async def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Compute a result again, keep it and return it; see :meth:`Memoized.refresh`."""

    async def many(self: AsyncMemoized[Q, T], *columns: Iterable[Any], **common: Any) -> list[T]:
        """Return the results of many calls; see :meth:`Memoized.many`."""

    async def put(self, result: Any, /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Keep a result that was computed elsewhere; see :meth:`Memoized.put`."""

    def fresh(self, *, max_age: Duration) -> Callable[P, Coroutine[Any, Any, R_co]]:
        """Return a function that takes a result which is at most *max_age* seconds old, or computes it again."""

    def cache_identity(self) -> dict[str, Any]:
        """Return what the function is known by beside its name, and why a call may be a miss.

        ``code`` is the digest in the key, if code counts; then the names that count, each with a digest or a value;
        ``closure`` has the variables that the function closes over.
        """

    async def explain(self, *args: P.args, **kwargs: P.kwargs) -> Explanation:
        """Return whether a call's result is kept, and why not; see :meth:`Memoized.explain`."""

    def cache_info(self) -> CacheInfo:
        """Return what happened in this process."""

    async def cache_clear(self) -> int:
        """Remove all results of this function and version, and return how many there were."""


class MemoizedOfClass(Memoized[P, R_co], Protocol[P, R_co]):
    """A :class:`Memoized` as an attribute of a class; a class method is called without the class."""

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
    @overload
    def __call__(self: MemoizedOfClass[Concatenate[type[Any], Q], R_co], *args: Q.args, **kwargs: Q.kwargs) -> R_co: ...


class AsyncMemoizedOfClass(AsyncMemoized[P, R_co], Protocol[P, R_co]):
    """An :class:`AsyncMemoized` as an attribute of a class, likewise."""

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co]: ...
    @overload
    def __call__(
        self: AsyncMemoizedOfClass[Concatenate[type[Any], Q], R_co], *args: Q.args, **kwargs: Q.kwargs
    ) -> Coroutine[Any, Any, R_co]: ...


class Decorator(Protocol):
    """What memoize returns."""

    @overload
    def __call__(self, function: classmethod[Any, P, R], /) -> classmethod[Any, P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Memoized[P, R]: ...


class AsyncDecorator(Protocol):
    """What memoize of an asynchronous store returns."""

    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncMemoized[P, R]:
        """Return the function with its results kept."""


class MemoizedBatch(Protocol[A_contra, Q, T]):
    """A memoized function that takes a list of items and returns a list with a result for each: ``batch=True``.

    Results are kept by item; the verbs take one, and the function's further arguments.
    """

    __name__: str
    __qualname__: str

    @property
    def __wrapped__(self) -> Any:
        """The function that was decorated; calling it bypasses the store."""

    def __call__(self, items: Iterable[A_contra], /, *args: Q.args, **kwargs: Q.kwargs) -> list[T]:
        """Return the results of items in their order: the function is called with those that have none."""

    def refresh(self, items: Iterable[A_contra], /, *args: Q.args, **kwargs: Q.kwargs) -> list[T]:
        """Compute the results of all items again, keep and return them."""

    def put(self, result: T, item: A_contra, /, *args: Q.args, **kwargs: Q.kwargs) -> None:
        """Keep the result of an item that was computed elsewhere."""

    def cache_key(self, item: A_contra, /, *args: Q.args, **kwargs: Q.kwargs) -> str:
        """Return the key under which the result of an item is kept."""

    def peek(self, item: A_contra, /, *args: Q.args, **kwargs: Q.kwargs) -> Entry[Any] | None:
        """Return the entry with the result of an item, None if there is none."""

    def forget(self, item: A_contra, /, *args: Q.args, **kwargs: Q.kwargs) -> bool:
        """Remove the result of an item and return whether there was one."""

    def cache_identity(self) -> dict[str, Any]:
        """Return what the function is known by beside its name; see :meth:`Memoized.cache_identity`."""

    def explain(self, item: A_contra, /, *args: Q.args, **kwargs: Q.kwargs) -> Explanation:
        """Return whether the result of an item is kept, and why not; see :meth:`Memoized.explain`."""

    def cache_info(self) -> CacheInfo:
        """Return what happened in this process; ``computed`` counts calls of the function."""

    def cache_clear(self) -> int:
        """Remove all results of this function and version, and return how many there were."""


class AsyncMemoizedBatch(Protocol[A_contra, Q, T]):
    """An ``async def`` function with ``batch=True``; ``put``, ``peek``, ``forget`` of a plain store are not awaited."""

    __name__: str
    __qualname__: str

    @property
    def __wrapped__(self) -> Any:
        """The function that was decorated; calling it bypasses the store."""

    async def __call__(self, items: Iterable[A_contra], /, *args: Q.args, **kwargs: Q.kwargs) -> list[T]:
        """Return the results of items in their order: the function is called with those that have none."""

    async def refresh(self, items: Iterable[A_contra], /, *args: Q.args, **kwargs: Q.kwargs) -> list[T]:
        """Compute the results of all items again, keep and return them."""

    def put(self, result: T, item: A_contra, /, *args: Q.args, **kwargs: Q.kwargs) -> Any:
        """Keep the result of an item that was computed elsewhere."""

    def cache_key(self, item: A_contra, /, *args: Q.args, **kwargs: Q.kwargs) -> str:
        """Return the key under which the result of an item is kept."""

    def peek(self, item: A_contra, /, *args: Q.args, **kwargs: Q.kwargs) -> Any:
        """Return the entry with the result of an item, None if there is none."""

    def forget(self, item: A_contra, /, *args: Q.args, **kwargs: Q.kwargs) -> Any:
        """Remove the result of an item and return whether there was one."""

    def explain(self, item: A_contra, /, *args: Q.args, **kwargs: Q.kwargs) -> Any:
        """Return whether the result of an item is kept, and why not; see :meth:`Memoized.explain`."""

    def cache_info(self) -> CacheInfo:
        """Return what happened in this process; ``computed`` counts calls of the function."""

    def cache_clear(self) -> Any:
        """Remove all results of this function and version, and return how many there were."""


class BatchDecorator(Protocol):
    """What memoize returns with ``batch=True``."""

    @overload
    def __call__(
        self, function: Callable[Concatenate[list[A], Q], Coroutine[Any, Any, Iterable[T]]], /
    ) -> AsyncMemoizedBatch[A, Q, T]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[list[A], Q], Iterable[T]], /) -> MemoizedBatch[A, Q, T]: ...
