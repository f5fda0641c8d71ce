"""The decorator that keeps the results of a function in a store."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, TypeVar, Unpack, cast, overload

from sqlitedict_kv.memoization import threads
from sqlitedict_kv.memoization.bound_function import unbind
from sqlitedict_kv.memoization.call_key import CallKeys, Key
from sqlitedict_kv.memoization.identity import CodeChoice
from sqlitedict_kv.memoization.policy import (
    OnError,
    Policy,
    Undecodable,
    Unstorable,
    check_exceptions,
    check_lifetime,
    check_seconds,
    check_tags_option,
)
from sqlitedict_kv.memoization.result_store import ResultStore, for_results_of
from sqlitedict_kv.memoization.results import Results
from sqlitedict_kv.memoization.showing import show_function
from sqlitedict_kv.memoization.single_flight import SingleFlight
from sqlitedict_kv.memoization.types import (
    AsyncDecorator,
    AsyncMemoized,
    BatchDecorator,
    CacheInfo,
    Decorator,
    Memoized,
    MemoizeOptions,
)
from sqlitedict_kv.operations.memoize_modes import Modes
from sqlitedict_kv.validation import (
    DEFAULT,
    NO_TAGS,
    Default,
    Duration,
    check_bool,
    check_callable,
    check_choice,
    check_content_type,
    check_optional_int,
    check_size,
    check_type,
)

if TYPE_CHECKING:
    from sqlitedict_kv.memoization.base_results import MemoizingStore
    from sqlitedict_kv.memoization.explanation import Explanation

__all__ = ["AsyncDecorator", "Decorator", "Memoize"]

P = ParamSpec("P")
R = TypeVar("R")

LEASE_SECONDS = 10.0


D = TypeVar("D")  # Decorator or AsyncDecorator


class Memoize(Generic[D]):
    """The ``memoize`` of a store or of a namespace; calling it gives a decorator.

    ::

        @store.memoize(ttl=60)
        def report(day): ...

        report("2026-11-23")                 # computed once, by the process that asks first
        report.forget("2026-11-23")

    Without options the brackets may be left out: ``@store.memoize``.

    **Keys.** Calls that mean the same are one entry: ``f(1)``, ``f(a=1)`` and ``f(1, b=<its default>)``. The key
    is readable, ``app.report('2026-11-23')``, unless the arguments take more than 200 characters: then the
    long ones are shown by their beginnings, and all are hashed. Arguments may be plain values, dates and times, paths
    (the path, not what the file holds), enum members, classes, functions, collections of these, named tuples,
    dataclasses (the fields that compare), attrs, pydantic and msgspec objects, arrays and frames
    of numpy, pandas, polars, Arrow, scipy and torch, exceptions, and objects of a
    class with a method ``__cache_key__`` or with a key that is registered (:func:`register_key`). Anything else raises
    a TypeError.

    **Closures** are arguments, always: two inner functions of a factory share results only if what they close over is
    equal. It is read at the first call, and again when a variable is bound to another object. A variable that the
    function writes does not count, nor do stores, loggers and locks; ``ignore=("client",)`` leaves another one out.

    **Code** counts where people edit: of a function in a notebook, a shell or a script, its own code and the functions,
    classes and constants of its module that it names, transitively. Layout, comments, docstrings and annotations
    do not count. The code of functions in importable modules does not count unless *code* says so: change *version*
    when they change.

    **Methods.** ``self`` is an argument as any other: a dataclass has a key of its own, another class says with
    ``__cache_key__`` what its results depend on, and ``ignore=("self",)`` leaves it out. The class of the object
    is a part of it, so a subclass has entries of its own. In a class method ``cls`` is one by its name; memoize may
    be above or below ``@classmethod`` and ``@staticmethod``. The verbs of
    a method are those of the class's attribute: ``Report.rows.forget(report, 2026)``.

    **Once.** Threads and tasks of one process that ask for what is computed wait for it, and get what it raises.
    Other processes wait for its lease, an entry that the owner renews while it lives. If the owner is killed, one
    of the others computes when the lease has ended. An owner that was stopped for longer returns its result, and
    does not keep it. A computation that raises is not shared with other processes: each tries in turn.
    """

    def __init__(self, place: Callable[[str | None], ResultStore], modes: Modes, space: str | None = None) -> None:
        """Keep results where *place* says, which is called with the name of a namespace or None.

        *modes* are those of the store; *space* is the namespace whose functions are switched, None is all.
        """
        self._result_store = place
        self._modes = modes
        self._space = space

    def disabled(self) -> AbstractContextManager[None]:
        """Return a context manager for a block in which nothing is kept or looked up: each call computes.

        It concerns the calls that all threads and tasks of this process make of the functions memoized on this store,
        or in this namespace. No call touches the store; ``peek`` and ``forget`` do as ever. The same for a whole
        process: ``SQLITEDICT_KV_MEMOIZE=off`` in the environment when a function is decorated.
        """
        return self._modes.block("off", self._space)

    def only(self) -> AbstractContextManager[None]:
        """Return a context manager for a block in which nothing is computed.

        A call whose result is not kept raises NotCachedError. It concerns the same calls as :meth:`disabled`, and
        ``SQLITEDICT_KV_MEMOIZE=only`` says it for a whole process.
        """
        return self._modes.block("only", self._space)

    @overload
    def __call__(self: Memoize[Decorator], function: Callable[P, R], /) -> Memoized[P, R]: ...
    @overload
    def __call__(
        self: Memoize[AsyncDecorator], function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncMemoized[P, R]: ...
    @overload
    def __call__(self, ttl: Duration | Default | None = DEFAULT, /, **options: Unpack[MemoizeOptions]) -> D: ...
    @overload
    def __call__(
        self, ttl: Duration | Default | None = DEFAULT, /, *, batch: Literal[True], **options: Unpack[MemoizeOptions]
    ) -> BatchDecorator: ...
    def __call__(
        self,
        function: Any = DEFAULT,
        /,
        *,
        ttl: Duration | Callable[[Any], Duration | None] | None | Default = DEFAULT,
        ns: str | None = None,
        name: str | None = None,
        key: Key | None = None,
        version: str | int | None = None,
        code: CodeChoice = None,
        was: str | Collection[str] = (),
        ignore: Collection[str] = (),
        typed: bool = True,
        condition: Callable[[Any], Any] | None = None,
        cache_exceptions: Mapping[type[Exception], Duration | None] | None = None,
        refresh_before: Duration | None = None,
        stale_if_error: Duration | None = None,
        unstorable: Unstorable = "return",
        on_error: OnError = "compute",
        undecodable: Undecodable = "recompute",
        lease: Duration = LEASE_SECONDS,
        content_type: str | None = None,
        batch: bool = False,
        mapped: bool = False,
        tags: Callable[..., Iterable[str]] | Iterable[str] = NO_TAGS,
        base: MemoizingStore | None = None,
        max_entries: int | None = None,
        max_bytes: int | str | None = None,
        type: Any = DEFAULT,  # noqa: A002 - so it reads in a call
    ) -> Any:
        """Return a decorator for functions and ``async def`` functions, or *function* decorated.

        Args:
            function: the function, where memoize stands without brackets; or *ttl* by position.
            ttl: how long a result is kept: seconds, a timedelta, or text such as ``"30 min"``; None is forever; or a
                function of the result that returns one of these.
            ns: the namespace that keeps the results; the store's memoize alone takes one, ``"memoize"`` if none.
            name: stands for module and name of the function in its keys.
            key: takes the arguments and returns what the result depends on: a str, or a tuple of such values. Or a
                dict of such functions for single parameters: ``{"path": file_content}``.
            version: a str or an int that stands for the code; a new one starts afresh.
            code: what code is part of the key: True, that of the function; ``"deep"``, also the functions, classes and
                constants of its module that it names; False, none; None, ``"deep"`` in notebooks, shells and scripts
                and none in importable modules.
            was: former names of the function, ``"app.old_name"``, whose results are carried over as they are asked for.
            ignore: names of parameters, or of variables that the function closes over, that the result does not
                depend on.
            typed: whether 1, 1.0 and True are different arguments; of False, equal numbers are one.
            condition: takes the result and returns whether to keep it.
            cache_exceptions: which exceptions are kept and raised again, each with its seconds, such as
                ``{LookupError: 5}``. Their arguments and attributes are kept, not their traceback or cause.
            refresh_before: seconds before its end from which on a result that is asked for is computed again in
                the background, by one caller at a time; all get the old one until the new one is there.
                What raises is logged, and tried again after *lease* seconds.
            stale_if_error: seconds after its end during which a result is returned if the function raises; it
                is kept a second time for this. Each call tries the function first.
            unstorable: what happens to a result that no codec keeps exactly, or that is too large: ``"return"`` it,
                to each caller its own, count it and warn once; or ``"raise"`` its error, for tests.
            on_error: what happens if the storage fails, as it is busy, full, detached or not reached:
                ``"compute"`` the result, count that and log it once; or ``"raise"``. Damage, a store that is
                closed and wrong arguments always raise.
            undecodable: what happens to an entry that does not decode, such as one of a later release:
                ``"recompute"`` it, count that and log it once; or ``"raise"``.
            lease: seconds after which others compute if the process that does is killed. How long a
                computation takes does not matter.
            content_type: how results are encoded; None is what fits each.
            batch: whether the function takes a list of items as its first argument and returns a list with a result
                for each. Results are kept by item, and it is called with those items that have none.
            mapped: whether results in files of their own are mapped instead of read; see :meth:`Namespace.get`.
                What a caller changes in one is the caller's alone.
            base: a store, or a namespace of one, whose results are taken where none is kept here, such as
                ``Store("shipped.db", readonly=True)``; of a store it is the namespace of the same name. It is only
                read, and nothing is copied from it: its entries end when they end there.
            tags: a function that takes the result and the arguments of the call and returns the tags of the result, by
                which :meth:`Store.forget_tag` removes it; or the tags of all results. With *batch*, the arguments are
                those of the item.
            max_entries: how many results of this function are kept, of all its processes; those written longest ago go
                first, and those of others stay. It may be exceeded by 1/16. Exceptions and copies that are kept count.
            max_bytes: how many bytes they take, likewise, as an int or as text such as ``"64 MB"``.
            type: the type of the results, such as ``list[User]``, whose classes may be kept and made again; left out,
                what the function is annotated to return. None allows only what the store does.

        Raises:
            TypeError, ValueError: an argument is not as described.
        """
        if not isinstance(function, Default) and not _is_function(function):
            if not isinstance(ttl, Default):
                raise TypeError("ttl is given twice, by position and by name")
            ttl, function = function, DEFAULT
        place = self._result_store(ns)
        below = None if base is None else self._base_of(base, place)
        kind = type if type is DEFAULT or type is None else check_type(type)
        policy = Policy(
            ttl=check_lifetime(place.ttl if isinstance(ttl, Default) else ttl),
            condition=None if condition is None else check_callable(condition, "condition"),
            cache_exceptions=check_exceptions(cache_exceptions),
            refresh_before=check_seconds(refresh_before, "refresh_before"),
            stale_if_error=check_seconds(stale_if_error, "stale_if_error"),
            unstorable=cast("Unstorable", check_choice(unstorable, "unstorable", ("raise", "return"))),
            on_error=cast("OnError", check_choice(on_error, "on_error", ("compute", "raise"))),
            undecodable=cast("Undecodable", check_choice(undecodable, "undecodable", ("raise", "recompute"))),
            lease=check_seconds(lease, "lease") or LEASE_SECONDS,
            content_type=check_content_type(content_type, place.codecs) or place.content_type,
            batch=check_bool(batch, "batch"),
            tags=check_tags_option(tags),
            max_entries=check_optional_int(max_entries, "max_entries", lowest=1),
            max_bytes=check_size(max_bytes, "max_bytes", lowest=1),
        )
        policy.check_together()
        check_bool(typed, "typed")
        check_bool(mapped, "mapped")
        if key is not None and not isinstance(key, Mapping):
            check_callable(key, "key")

        def decorator(function: Any, /) -> Any:
            if isinstance(function, classmethod | staticmethod):
                return function.__class__(decorator(function.__func__))
            checked = check_function(function)
            if place.off_loop is not None and not is_async(checked):
                raise TypeError("this store is awaited, and so is what it memoizes: an async def function")
            keys = CallKeys(
                checked, name=name, version=version, code=code, was=was, ignore=ignore, typed=typed, key=key,
                key_functions=place.codecs.key_functions, place=(place.store, place.results.name),
            )  # fmt: skip
            own, other = (each and for_results_of(each, checked, kind, mapped=mapped) for each in (place, below))
            assert own is not None
            decorated = _decorated(checked, keys, Results(own, policy, keys, other), policy)
            place.enroll(decorated._switched)  # noqa: SLF001 - ours
            return decorated

        return decorator if isinstance(function, Default) else decorator(function)

    def _place_like(self, name: str) -> ResultStore:
        """Return where this keeps results: in the namespace with a name, if it is that of a store."""
        return self._result_store(name if self._space is None else None)

    def _base_of(self, base: MemoizingStore, place: ResultStore) -> ResultStore:
        """Return where a base keeps results."""
        theirs = getattr(base, "memoize", None)
        if not isinstance(theirs, Memoize):
            raise TypeError(f"base must be a store or a namespace of one, not {base!r:.80}")
        below = theirs._place_like(place.results.name)  # noqa: SLF001 - its own
        if below.off_loop is not None and place.off_loop is None:
            raise TypeError("base of a store that is not awaited must not be one that is; give its sync_store")
        if (below.store, below.results.name) == (place.store, place.results.name):
            raise ValueError(f"base is the namespace {place.results.name!r} of this very store")
        return below


def _is_function(value: object) -> bool:
    """Return whether memoize stands without brackets, and this is what it decorates."""
    return callable(value) or isinstance(value, classmethod | staticmethod | property)


def is_async(function: Callable[..., Any]) -> bool:
    """Return whether a function, or what it is a partial or a method of, is ``async def``."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(unbind(function).function)


def _kind_of(function: Callable[..., Any]) -> Any:
    """Return the module that decorates a function."""
    if is_async(function):
        from sqlitedict_kv.memoization import tasks  # noqa: PLC0415 - asyncio takes longer to import than all of this

        return tasks
    return threads


def _decorated(function: Callable[..., Any], keys: CallKeys, results: Results, policy: Policy) -> Any:
    flights = SingleFlight()
    kind = _kind_of(function)
    if policy.batch:
        wrapper = kind.decorate_batch(function, keys, results, flights)
    else:
        wrapper = kind.decorate(function, keys, results, flights, soft=policy.refresh_before is not None)

    def cache_key(*args: Any, **kwargs: Any) -> str:
        return keys.of(args, kwargs)

    def peek(*args: Any, **kwargs: Any) -> Any:
        return results.peek(keys.of(args, kwargs))

    def forget(*args: Any, **kwargs: Any) -> bool:
        key = keys.of(args, kwargs)
        there = results.forget(key)
        flights.forget(key)
        return there

    def cache_info() -> CacheInfo:
        return results.info()

    def cache_clear() -> int:
        removed = sum(map(results.clear, keys.clear_prefixes()))
        flights.forget()
        return removed

    def cache_identity() -> dict[str, Any]:
        return keys.current().parts

    for verb in (cache_key, cache_identity, _explaining(keys, results), peek, forget, cache_info, cache_clear):
        verb.__doc__ = getattr(Memoized, verb.__name__).__doc__
        setattr(wrapper, verb.__name__, verb)
    wrapper._repr_html_ = lambda: show_function(wrapper)
    wrapper._call_keys = keys  # noqa: SLF001 - for functions that close over this one
    if results.off_loop is not None:
        kind.let_await(wrapper, ("explain", "peek", "forget", "put", "cache_clear"), results)
    return wrapper


def _explaining(keys: CallKeys, results: Results) -> Callable[..., Explanation]:
    def explain(*args: Any, **kwargs: Any) -> Explanation:
        from sqlitedict_kv.memoization import explanation  # noqa: PLC0415 - for people, not for programs

        return explanation.explain(keys, results, keys.of(args, kwargs))

    return explain


def check_function(function: object) -> Callable[..., Any]:
    """Return what can be memoized; say what to do with what cannot."""
    if isinstance(function, property):
        raise TypeError("memoize goes below @property, next to the function")
    if not callable(function):
        raise TypeError(
            f"memoize decorates a function, not {type(function).__name__}; write @store.memoize(), with brackets"
        )
    if isinstance(function, type):
        raise TypeError("memoize decorates a function, not a class; no codec keeps its instances")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(
            f"{getattr(function, '__qualname__', 'it')} yields, and a generator cannot be kept; let it return a list"
        )
    return function
