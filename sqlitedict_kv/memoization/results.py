"""What a memoized function has in a store.

Its results are ordinary entries, so that a hit is one plain read. Beside the entry of a call there may be, under
its key with a mark before it, an exception (``!``) or a copy that outlives it (``~``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, Protocol

from sqlitedict_kv.codecs.qualified_name import qualified_name
from sqlitedict_kv.codecs.registry import Codecs
from sqlitedict_kv.concurrency.lease import Lease, Leases, LeaseSpace
from sqlitedict_kv.engines.protocol import Layout
from sqlitedict_kv.errors import CodecError, ConflictError, TooLargeError
from sqlitedict_kv.memoization.single_flight import KEPT
from sqlitedict_kv.memoization.types import CacheInfo
from sqlitedict_kv.validation import DEFAULT, Duration, checked_namespace, checked_ttl

if TYPE_CHECKING:
    from sqlitedict_kv.concurrency.cancellation import InThread

EXCEPTION_MARK, STALE_MARK = "!", "~"
KEYS_PER_STEP = 500

MISSING: Final = DEFAULT  # "no result", where None is one

# What is computed in this context: such a call cannot wait for itself.
COMPUTING: ContextVar[frozenset[tuple[int, str, str]]] = ContextVar("sqlitedict_kv.computing", default=frozenset())


class ResultSpace(LeaseSpace, Protocol):
    """What is used of the namespace that keeps the results."""

    @property
    def name(self) -> str:
        """Its name."""

    def get(self, key: str, default: Any) -> Any:
        """Return a value."""

    def delete_many(self, keys: Iterable[str]) -> int:
        """Remove entries and return how many there were."""

    def list(self, prefix: str, *, limit: int) -> Any:
        """Return a page of keys."""


class OffLoop(NamedTuple):
    """How tasks reach a store that they may only await.

    Attributes:
        get: as that of a namespace, awaited.
        get_with_meta: likewise.
        in_thread: calls a function that may block, and ends only when that has.
    """

    get: Callable[[str, Any], Awaitable[Any]]
    get_with_meta: Callable[[str], Awaitable[Any]]
    in_thread: InThread


class ResultStore(NamedTuple):
    """Where results are kept, and by which clock they age.

    Attributes:
        store: stands for the store, by its identity.
        results: the namespace of the results.
        leases: the namespace of the leases.
        atomic: returns a transaction on both, as Store.atomic does.
        clock: returns the Unix time in seconds.
        codecs: encode the results.
        ttl: how long a result lives where memoize is not told.
        content_type: how a result is encoded where memoize is not told.
        off_loop: the way to all this from tasks; None is that a read may be made on the loop.
    """

    store: object
    results: ResultSpace
    leases: ResultSpace
    atomic: Callable[[], Any]
    clock: Callable[[], float]
    codecs: Codecs
    ttl: float | None = None
    content_type: str | None = None
    off_loop: OffLoop | None = None


def lease_namespace(results: str) -> str:
    """Return the name of the namespace that keeps the leases of a namespace of results."""
    return checked_namespace(f"{results}.leases", "ns with .leases")


def declare_layouts(declare: Callable[[str, Layout], None], results: str, leases: str) -> None:
    """Say what must be kept together, as one transaction writes it: a result, its exception, its copy and its lease."""
    declare(results, Layout(key_marks=EXCEPTION_MARK + STALE_MARK))
    declare(leases, Layout(colocated_with=results))


class Policy(NamedTuple):
    """The options of memoize that say what is kept, and for how long; checked."""

    ttl: float | Callable[[Any], float | None] | None
    condition: Callable[[Any], Any] | None
    cache_exceptions: dict[type[Exception], float | None]
    refresh_before: float | None
    stale_if_error: float | None
    return_unstorable: bool
    lease: float
    content_type: str | None


@dataclass(slots=True)
class MemoizeCounters:
    """See :class:`CacheInfo`."""

    hits: int = 0
    misses: int = 0
    computed: int = 0
    not_kept: int = 0
    unstorable: int = 0
    lost: int = 0
    stale: int = 0
    failed_refreshes: int = 0


class Shared(NamedTuple):
    """The outcome of a flight whose result was not kept: of this value each passenger makes a copy."""

    value: Any

    @classmethod
    def twice(cls, value: Any) -> tuple[Any, Shared]:
        """Return a result that was not computed now, and the outcome for those who wait."""
        return value, cls(value)


class Alone:
    """The outcome of a flight whose result can neither be kept nor copied: each passenger computes its own."""


ALONE: Final = Alone()


class Results:
    """The steps of a call that touch the store, each of which may wait for its lock, and the counters."""

    def __init__(self, place: ResultStore, policy: Policy) -> None:
        """Keep results at *place*."""
        self._result_store = place
        self._policy = policy
        self.leases = Leases(place.leases, policy.lease, self._extend)
        self.counters = MemoizeCounters()
        self.get = place.results.get
        self.off_loop = place.off_loop

    # -- before the function is called

    def look(self, key: str) -> Any:
        """Return the result that is kept, or MISSING; raise the exception that is kept."""
        value = self.get(key, MISSING)
        if value is MISSING and self._policy.cache_exceptions:
            kept = self.get(EXCEPTION_MARK + key, None)
            error = None if kept is None else self._rebuilt(kept)
            if error is not None:
                self.counters.hits += 1
                raise error
        return value

    def start(self, key: str) -> tuple[Lease | None, Any]:
        """Return the lease to compute, or the result that came meanwhile; neither while another computes."""
        lease = self.leases.take(key)
        # Look again, lease in hand: since the caller looked, its last owner may have written and gone. Without
        # this, a result would be computed twice every now and then.
        try:
            value = self.look(key)
        except BaseException:
            if lease is not None:
                lease.give_back()
            raise
        if value is not MISSING and lease is not None:
            lease.give_back()
            lease = None
        return lease, value

    def start_refresh(self, key: str) -> Lease | None:
        """Return the lease to compute in the background, None if that is not needed any more."""
        lease = self.leases.take(key, after_failure=False)
        if lease is None:
            return None
        entry = self._result_store.results.get_with_meta(key)
        if entry is None or not self.is_due(entry):
            lease.give_back()
            return None
        return lease

    def is_due(self, entry: Any) -> bool:
        """Return whether an entry is so close to its end that it is computed anew in the background."""
        before, expires_at = self._policy.refresh_before, entry.meta.expires_at
        return (
            before is not None
            and expires_at is not None
            and expires_at.timestamp() - before <= self._result_store.clock()
        )

    # -- around the call

    @contextmanager
    def computing(self, lease: Lease) -> Iterator[None]:
        """Keep the lease for as long as the block takes, and give it back if the block is broken off."""
        token = COMPUTING.set(COMPUTING.get() | {self._identity(lease.key)})
        self.counters.computed += 1
        try:
            with lease.kept():
                yield
        finally:
            with suppress(ValueError):  # the garbage collector ended it, in another context
                COMPUTING.reset(token)

    def refuse_recursion(self, key: str) -> None:
        """Raise RuntimeError if the caller is itself what computes this key, and would wait for itself."""
        if self._identity(key) in COMPUTING.get():
            raise RuntimeError(
                f"{key} needs its own result: the function calls itself with the same arguments, or is memoized "
                f"twice in the same place"
            )

    def _identity(self, key: str) -> tuple[int, str, str]:
        return id(self._result_store.store), self._result_store.results.name, key

    # -- after the call

    def finish(self, lease: Lease, value: Any) -> Any:
        """Keep a result, unless it should not or cannot be, and give the lease back.

        Returns:
            what those who wait get: KEPT, a Shared that is yet to be copied, or ALONE.

        Raises:
            CodecError: no codec keeps the result exactly, and memoize was not told to return such ones.
        """
        try:
            if self._policy.condition is not None and not self._policy.condition(value):
                self.counters.not_kept += 1
                lease.give_back()
                return Shared(value)
            self._write(lease, value)
        except ConflictError:  # the lease ended, or somebody forgot or refreshes the entry: this may be too old
            self.counters.lost += 1
            return Shared(value)
        except (CodecError, TooLargeError) as error:
            self.counters.unstorable += 1
            lease.give_back()
            if self._policy.return_unstorable:
                return ALONE
            raise type(error)(
                f"the result of {lease.key} cannot be kept: {error}; or return it without keeping it with "
                f"memoize(unstorable='return')"
            ) from error
        except BaseException:
            lease.give_back()
            raise
        return KEPT

    def _write(self, lease: Lease, value: Any) -> None:
        policy, key = self._policy, lease.key
        ttl = checked_ttl(policy.ttl(value) if callable(policy.ttl) else policy.ttl)
        with self._result_store.atomic() as tx:
            results = self._end_lease(tx, lease)
            results.set(key, value, ttl=ttl, content_type=policy.content_type)
            if policy.stale_if_error is not None and ttl is not None:
                longer = ttl + policy.stale_if_error
                results.set(STALE_MARK + key, value, ttl=longer, content_type=policy.content_type)
            if policy.cache_exceptions:
                results.delete(EXCEPTION_MARK + key)

    def _end_lease(self, tx: Any, lease: Lease) -> Any:
        """Demand in a transaction that the lease is still held, and give it back; return where to write."""
        leases = tx.ns(self._result_store.leases.name)
        leases.check(lease.key, lease.version)
        leases.delete(lease.key)
        return tx.ns(self._result_store.results.name)

    def _extend(self, key: str, version: int, seconds: Duration) -> None:
        with self._result_store.atomic() as tx:
            leases = tx.ns(self._result_store.leases.name)
            leases.check(key, version)
            leases.touch(key, seconds)

    def fail(self, lease: Lease, error: Exception) -> Any:
        """Return the expired result that stands in for one that could not be computed, or raise *error*."""
        stale = MISSING
        try:
            if self._policy.stale_if_error is not None:
                stale = self.get(STALE_MARK + lease.key, MISSING)
            if stale is MISSING:
                self._write_exception(lease, error)
        finally:
            lease.give_back()
        if stale is MISSING:
            raise error
        self.counters.stale += 1
        return stale

    def give_up(self, lease: Lease, error: Exception) -> NoReturn:
        """Give the lease back and raise *error*: what refresh was to compute, nothing stands in for."""
        lease.give_back()
        raise error

    def fail_refresh(self, lease: Lease, error: Exception) -> NoReturn:
        """Let nobody try again in the background while the lease would last, and raise *error*."""
        lease.mark_failed()
        raise error

    @contextmanager
    def in_background(self, key: str) -> Iterator[None]:
        """Count and log what the block raises, for nobody is there to get it."""
        try:
            yield
        except Exception:
            self.counters.failed_refreshes += 1
            import logging  # noqa: PLC0415 - a tenth of the package's import time, for what hardly ever happens

            logging.getLogger("sqlitedict_kv").warning("computing %s in the background failed", key, exc_info=True)

    # -- exceptions

    def _write_exception(self, lease: Lease, error: Exception) -> None:
        ttls = [ttl for kind, ttl in self._policy.cache_exceptions.items() if isinstance(error, kind)]
        if not ttls:
            return
        kept = {"type": qualified_name(type(error)), "args": _arguments(error), "state": _state(error)}
        try:
            again = self._rebuilt(kept)
            if again is None or (again.args, str(again)) != (error.args, str(error)):
                self.counters.unstorable += 1
                return
            with self._result_store.atomic() as tx:
                self._end_lease(tx, lease).set(EXCEPTION_MARK + lease.key, kept, ttl=ttls[0])
        except (CodecError, TooLargeError):
            self.counters.unstorable += 1
        except ConflictError:
            self.counters.lost += 1

    def _rebuilt(self, kept: dict[str, Any]) -> Exception | None:
        """Return an exception like the one that was raised, None if its class is not known here any more."""
        for named in self._policy.cache_exceptions:
            for kind in _with_subclasses(named):
                if qualified_name(kind) == kept["type"]:
                    try:
                        error = kind(*kept["args"])
                    except Exception:  # its __init__ wants something else than args
                        error = kind.__new__(kind, *kept["args"])
                        error.args = tuple(kept["args"])
                    error.__dict__.update(kept["state"])
                    return error
        return None

    # -- the verbs of the decorated function

    def peek(self, key: str) -> Any:
        """Return the entry of a key, or None."""
        return self._result_store.results.get_with_meta(key)

    def forget(self, key: str) -> bool:
        """Remove what is kept of a key, and the lease of whoever computes it: that will not be kept."""
        there = key in self._result_store.results or EXCEPTION_MARK + key in self._result_store.results
        with self._result_store.atomic() as tx:
            tx.ns(self._result_store.leases.name).delete(key)
            results = tx.ns(self._result_store.results.name)
            for marked in (key, EXCEPTION_MARK + key, STALE_MARK + key):
                results.delete(marked)
        return there

    def clear(self, prefix: str) -> int:
        """Remove all that begins with *prefix*, the leases first; return how many results there were."""
        _clear(self._result_store.leases, prefix)
        removed = _clear(self._result_store.results, prefix)
        _clear(self._result_store.results, STALE_MARK + prefix)
        return removed + _clear(self._result_store.results, EXCEPTION_MARK + prefix)

    def info(self) -> CacheInfo:
        """Return the counters."""
        return CacheInfo(*(getattr(self.counters, name) for name in CacheInfo._fields))


def shared(outcome: Any, passengers: int) -> Any:
    """Return the outcome for those who wait, made before the one who computed can change its result."""
    if not isinstance(outcome, Shared) or passengers < 2:  # noqa: PLR2004 - the one who computed, and another
        return outcome
    try:
        return Shared(deepcopy(outcome.value))
    except Exception:
        return ALONE


def _clear(space: ResultSpace, prefix: str) -> int:
    removed = 0
    while keys := space.list(prefix, limit=KEYS_PER_STEP).keys:
        removed += space.delete_many(keys)
    return removed


def _arguments(error: Exception) -> tuple[Any, ...]:
    """Return what its class is called with, which pickle asks for too: OSError.args lacks the names of its files."""
    reduced = error.__reduce__()
    return reduced[1] if isinstance(reduced, tuple) and reduced[0] is type(error) else error.args


def _state(error: Exception) -> dict[str, Any]:
    return {name: value for name, value in vars(error).items() if name != "__notes__"}


def _with_subclasses(kind: type[Exception]) -> Iterator[type[Exception]]:
    yield kind
    for subclass in kind.__subclasses__():
        yield from _with_subclasses(subclass)
