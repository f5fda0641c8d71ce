"""One run of a function at a time, in all processes together."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from sqlitedict_kv.concurrency.async_driver import drive
from sqlitedict_kv.concurrency.lease import LeaseSpace
from sqlitedict_kv.concurrency.sansio import Invoke, Steps, run
from sqlitedict_kv.errors import LockLostError, LockTimeoutError
from sqlitedict_kv.locks.backoff import check_patience
from sqlitedict_kv.locks.faces import AwaitedSpace, check_lease_ttl, check_space
from sqlitedict_kv.locks.lock import RLock, report
from sqlitedict_kv.validation import Duration, check_callable, check_key

P = ParamSpec("P")
R = TypeVar("R")


def single_run(
    namespace: LeaseSpace | AwaitedSpace, key: str | None = None, *, ttl: Duration = 30.0, timeout: float | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator: of all processes only one at a time runs the function, the others wait.

    It may call itself: the lock is an :class:`RLock`. An ``async def`` function is waited for without blocking.

    Args:
        namespace: the namespace that keeps the lock, a Namespace or an AsyncNamespace.
        key: the key of the lock; None is the module and the qualified name of the function.
        ttl: seconds that a run may take; after that the next one begins and this one raises.
        timeout: seconds to wait; 0 is not at all, None is as long as it takes.

    Raises:
        LockTimeoutError: (from a call) others ran it for the whole timeout.
        LockLostError: (from a call) the function returned, but took longer than *ttl*.
    """
    check_space(namespace)
    seconds, patience = check_lease_ttl(ttl), check_patience(timeout, True)
    name = None if key is None else check_key(key)

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        check_callable(function, "function")
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError("function must not be a generator: it runs after the call, when the lock is gone")
        lock = RLock(namespace, _name_of(function) if name is None else name, ttl=seconds)

        def steps(args: Any, kwargs: Any) -> Steps[Any]:
            if not (yield from lock.acquiring(patience)):
                raise LockTimeoutError(f"{lock!r} was held by others for {patience} s; nothing was run")
            try:
                result = yield Invoke(function, args, kwargs)
            except GeneratorExit:
                raise
            except BaseException as error:
                yield from _release(lock, error)
                raise
            yield from _release(lock, None)
            return result

        @functools.wraps(function)
        async def run_async(*args: P.args, **kwargs: P.kwargs) -> Any:
            return await drive(steps(args, kwargs), lock.in_thread)

        @functools.wraps(function)
        def run_here(*args: P.args, **kwargs: P.kwargs) -> R:
            return cast("R", run(steps(args, kwargs)))

        return cast("Callable[P, R]", run_async) if inspect.iscoroutinefunction(function) else run_here

    return decorate


def _release(lock: RLock, error: BaseException | None) -> Steps[None]:
    try:
        yield from lock.releasing()
    except LockLostError as lost:
        report(lost, error)


def _name_of(function: Callable[..., Any]) -> str:
    try:
        return f"{function.__module__}.{function.__qualname__}"
    except AttributeError:
        raise TypeError("key must be given for what is no plain function, such as functools.partial") from None
