"""The storage side of memoize: the steps of a call that touch the store.

Results are ordinary entries, so that a hit is one plain read. Beside the entry of a call there may be, under its key
with a mark before it, an exception (``!``) or a copy that outlives it (``~``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NoReturn

from sqlitedict_kv.concurrency.lease import Lease, Leases
from sqlitedict_kv.concurrency.owners import Owner
from sqlitedict_kv.engines.protocol import Edit
from sqlitedict_kv.errors import (
    CodecError,
    ConflictError,
    DamagedFileError,
    DecodeError,
    ReadOnlyError,
    TagError,
    TooLargeError,
    UnsupportedError,
)
from sqlitedict_kv.memoization import kept_exceptions
from sqlitedict_kv.memoization.base_results import BaseResults
from sqlitedict_kv.memoization.call_key import CallKeys
from sqlitedict_kv.memoization.failures import Failures
from sqlitedict_kv.memoization.former_results import FormerResults, find_former
from sqlitedict_kv.memoization.function_limits import FunctionLimits
from sqlitedict_kv.memoization.outcome import ALONE, Shared
from sqlitedict_kv.memoization.policy import Policy
from sqlitedict_kv.memoization.result_store import EXCEPTION_MARK, STALE_MARK, ResultStore, clear_prefix
from sqlitedict_kv.memoization.result_writer import ResultWriter
from sqlitedict_kv.memoization.single_flight import KEPT
from sqlitedict_kv.memoization.types import CacheInfo, MemoizeCounters
from sqlitedict_kv.validation import DEFAULT, Duration

RESULTS_PER_STEP = 250

Call = tuple[tuple[Any, ...], dict[str, Any]]  # the arguments

MISSING: Final = DEFAULT  # "no result", where None is one


class Results:
    """The steps of a call that touch the store, each of which may wait for its lock, and the counters."""

    def __init__(self, place: ResultStore, policy: Policy, keys: CallKeys, base: ResultStore | None = None) -> None:
        """Keep the results of calls that have *keys* at *place*, and take those that are not there from *base*."""
        self._policy = policy
        self._keys = keys
        self.counters = MemoizeCounters()
        self.failures = Failures(policy, self.counters)
        self._limits = FunctionLimits(keys, policy.max_entries, policy.max_bytes)
        self.base = None if base is None else BaseResults(base, keys, self.failures, self.counters)
        self._use(place)

    def _use(self, place: ResultStore) -> None:
        self._result_store = place
        self.off_loop = place.off_loop
        self._space = place.results
        self.leases = Leases(place.leases, self._policy.lease, self._extend)
        self.get = place.results.get if self.base is None else self._get_from_either
        self._former = FormerResults(place, self._keys, self.clear)

    def move_to_open_store(self) -> bool:
        """Go on in a store that was opened later on the same file; return False if there is none."""
        place = self._result_store.successor()
        if place is not None:
            self._use(place)
        return place is not None

    # -- before the function is called

    def look(self, key: str) -> Any:
        """Return the result that is kept here, or MISSING; raise the exception that is kept."""
        value = self._read(key, MISSING)
        if value is MISSING and self._policy.cache_exceptions:
            kept = self._read(EXCEPTION_MARK + key, None)
            error = None if kept is None else kept_exceptions.rebuild(kept, self._policy.cache_exceptions)
            if error is not None:
                self.counters.hits += 1
                raise error
        return value

    def _read(self, key: str, default: Any) -> Any:
        """Return a value; one that does not decode is absent, unless that is to raise."""
        try:
            return self._space.get(key, default)
        except DecodeError:
            if self._policy.undecodable == "raise":
                raise
            return default
        except DamagedFileError:  # a power cut may do that to a result that was just written
            return default

    def look_many(self, keys: list[str]) -> dict[str, Any]:
        """Return the results that are kept, here or in the base."""
        try:
            found = self._space.get_many(keys)
        except (DamagedFileError, DecodeError):  # one of them: the others count
            values = {key: self._read(key, MISSING) for key in keys}
            found = {key: value for key, value in values.items() if value is not MISSING}
        if self.base is not None:
            found |= self.base.find_many([key for key in keys if key not in found])
        return found

    def look_recent(self, key: str, seconds: float) -> Any:
        """Return the result that is kept, here or in the base, and at most so old, or MISSING."""
        try:
            entry = self._space.get_with_meta(key)
        except (DamagedFileError, DecodeError):
            entry = None
        if entry is None and self.base is not None:
            entry = self.base.find_entry(key)
        now = self._result_store.clock()
        return MISSING if entry is None or now - entry.meta.updated_at.timestamp() > seconds else entry.value

    # -- what is in the base

    def _get_from_either(self, key: str, default: Any) -> Any:
        value = self._space.get(key, default)
        return self.look_in_base(key) if value is default else value

    def look_in_base(self, key: str) -> Any:
        """Return the result that is kept in the base, or MISSING."""
        return MISSING if self.base is None else self.base.find(key)

    def look_in_both(self, key: str) -> Any:
        """Return the result that is kept here or in the base, or MISSING; raise the exception that is kept here."""
        value = self.look(key)
        return self.look_in_base(key) if value is MISSING else value

    def start(self, key: str, owner: Owner) -> tuple[Lease | None, Any]:
        """Return the lease to compute, or the result that came meanwhile; neither while another computes."""
        try:
            lease = self.leases.take(key, owner=owner)
        except ReadOnlyError:
            former = find_former(self._result_store, self._keys, key)
            if former is None:
                raise
            return None, former[1].value
        # Look again, lease in hand: since the caller looked, its last owner may have written and gone. Without
        # this, a result would be computed twice every now and then.
        try:
            value = self.look(key)
            if value is MISSING and lease is not None:
                value = self._former.carry_over(key)
        except BaseException:
            if lease is not None:
                lease.give_back()
            raise
        if value is not MISSING and lease is not None:
            lease.give_back()
            lease = None
        return lease, value

    def start_refresh(self, key: str, owner: Owner) -> Lease | None:
        """Return the lease to compute in the background, None if that is not needed any more."""
        try:
            lease = self.leases.take(key, after_failure=False, owner=owner)
        except ReadOnlyError:
            return None
        if lease is None:
            return None
        try:
            entry = self.peek(key)
            due = entry is not None and self.is_due(entry)
        except (DamagedFileError, DecodeError):
            due = True
        if due:
            return lease
        lease.give_back()
        return None

    def is_due(self, entry: Any) -> bool:
        """Return whether an entry is so close to its end that it is computed again in the background."""
        before, expires_at = self._policy.refresh_before, entry.meta.expires_at
        return (
            before is not None
            and expires_at is not None
            and expires_at.timestamp() - before <= self._result_store.clock()
        )

    def change_mark(self, key: str) -> Callable[[], object]:
        """Return a function that returns another object once a lease changed; None while that is not known."""
        return self._result_store.change_mark(key) or (lambda: None)

    # -- after the call

    def finish(self, lease: Lease, value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Keep the result of a call, unless it should not or cannot be, and give the lease back.

        Returns:
            what those who wait get: KEPT, a Shared that is yet to be copied, or ALONE.

        Raises:
            CodecError, TooLargeError: the result cannot be kept, and unstorable is "raise".
        """
        try:
            wanted = self._policy.condition is None or self._policy.condition(value)
            ttl = self._policy.lifetime(value) if wanted else 0.0
            if ttl == 0.0:
                self.counters.not_kept += 1
                lease.give_back()
                return Shared(value)
            self._write(lease, value, ttl, self._policy.tags_for(value, args, kwargs))
        except ConflictError:  # the lease ended, or the entry was forgotten or is refreshed: this may be too old
            self.counters.lost += 1
            return Shared(value)
        except (CodecError, TagError, TooLargeError, UnsupportedError) as error:  # UnsupportedError: of its tags
            lease.give_back()
            self.failures.note_unstorable(lease.key, error)
            return ALONE if isinstance(error, CodecError) else Shared(value)
        except BaseException:
            lease.give_back()
            raise
        return KEPT

    def finish_many(self, leases: list[Lease], values: dict[str, Any], calls: dict[str, Call]) -> None:
        """Keep results as :meth:`finish` does, many in one step; a lease without a result is given back.

        Args:
            leases: of the calls.
            values: the results, by key.
            calls: the arguments, likewise.
        """
        wanted = [lease for lease in leases if lease.key in values]
        for lease in leases:
            lease.stop_renewing()
            if lease.key not in values:
                lease.give_back()
        for start in range(0, len(wanted), RESULTS_PER_STEP):
            step = wanted[start : start + RESULTS_PER_STEP]
            if not self._finish_together(step, values, calls):
                for lease in step:
                    self.finish(lease, values[lease.key], *calls[lease.key])

    def _finish_together(self, leases: list[Lease], values: dict[str, Any], calls: dict[str, Call]) -> bool:
        """Keep results in one step, and return whether that was possible: if not, nothing was changed."""
        if self._policy.condition is not None or callable(self._policy.ttl):
            return False
        writer = self._result_store.writer()
        try:
            edits: list[Edit] = [writer.release(lease.key, lease.version) for lease in leases]
            for lease in leases:
                key, value = lease.key, values[lease.key]
                edits += self._edits(writer, key, value, self._policy.ttl, self._policy.tags_for(value, *calls[key]))
            writer.commit(edits)
        except (CodecError, ConflictError, TagError, TooLargeError, UnsupportedError):  # the last: of a cluster
            return False
        self._note_write(writer, leases[0].key, edits)
        return True

    def put(self, key: str, value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Keep the result of a call that was computed elsewhere; what is being computed meanwhile will not be kept.

        Raises:
            CodecError, TagError, TooLargeError: it cannot be kept.
        """
        ttl = self._policy.lifetime(value)
        if ttl == 0.0:
            self.counters.not_kept += 1
            return
        writer = self._result_store.writer()
        tags = self._policy.tags_for(value, args, kwargs)
        edits = [writer.leases.delete(key), *self._edits(writer, key, value, ttl, tags)]
        writer.commit(edits)
        self._note_write(writer, key, edits)

    def _write(self, lease: Lease, value: Any, ttl: float | None, tags: tuple[str, ...]) -> None:
        writer = self._result_store.writer()
        edits = [writer.release(lease.key, lease.version), *self._edits(writer, lease.key, value, ttl, tags)]
        writer.commit(edits)
        self._note_write(writer, lease.key, edits)

    def _note_write(self, writer: ResultWriter, key: str, edits: list[Edit]) -> None:
        """Remove what has to go after a write: results of former bodies, and those over the limits."""
        self._former.note_body(key)
        self._limits.keep(writer, edits)

    def _edits(
        self, writer: ResultWriter, key: str, value: Any, ttl: float | None, tags: tuple[str, ...]
    ) -> list[Edit]:
        """Return the edits that keep a result, and drop what stood in for it."""
        policy = self._policy
        edits: list[Edit] = [writer.results.put(key, value, ttl, policy.content_type, tags=tags)]
        if policy.stale_if_error is not None and ttl is not None:
            longer = ttl + policy.stale_if_error
            edits.append(writer.results.put(STALE_MARK + key, value, longer, policy.content_type, tags=tags))
        if policy.cache_exceptions:
            edits.append(writer.results.delete(EXCEPTION_MARK + key))
        return edits

    def _extend(self, key: str, version: int, seconds: Duration) -> None:
        writer = self._result_store.writer()
        writer.commit([writer.leases.check(key, version), writer.leases.touch(key, seconds)])

    def fail(self, lease: Lease, error: Exception) -> Any:
        """Return the expired result that stands in for one that could not be computed, or raise *error*."""
        stale = MISSING
        try:
            if self._policy.stale_if_error is not None:
                stale = self._read(STALE_MARK + lease.key, MISSING)
            if stale is MISSING:
                self._write_exception(lease, error)
        finally:
            lease.give_back()
        if stale is MISSING:
            raise error
        self.counters.stale += 1
        return stale

    def give_up(self, lease: Lease, error: Exception) -> NoReturn:
        """Give the lease back and raise *error*: nothing stands in for what refresh was to compute."""
        lease.give_back()
        raise error

    def fail_refresh(self, lease: Lease, error: Exception) -> NoReturn:
        """Keep others from trying in the background while the lease would last, and raise *error*."""
        lease.mark_failed()
        raise error

    @contextmanager
    def in_background(self, key: str) -> Iterator[None]:
        """Count and log what the block raises, as no caller gets it."""
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
        kept = kept_exceptions.take_apart(error)
        try:
            again = kept_exceptions.rebuild(kept, self._policy.cache_exceptions)
            if again is None or (again.args, str(again)) != (error.args, str(error)):
                self.counters.unstorable += 1
                return
            writer = self._result_store.writer()
            put = writer.results.put(EXCEPTION_MARK + lease.key, kept, ttls[0], None)
            edits: list[Edit] = [writer.release(lease.key, lease.version), put]
            writer.commit(edits)
            self._limits.keep(writer, edits)
        except (CodecError, TooLargeError):
            self.counters.unstorable += 1
        except ConflictError:
            self.counters.lost += 1

    # -- the verbs of the decorated function

    def peek(self, key: str) -> Any:
        """Return the entry of a key, here or in the base, or None."""
        entry = self._space.get_with_meta(key)
        return entry if entry is not None or self.base is None else self.base.find_entry(key)

    def is_here(self, key: str) -> bool:
        """Return whether the result of a key is kept, and not only in the base."""
        return key in self._space

    def forget(self, key: str) -> bool:
        """Remove what is kept of a key, and the lease of its computation, whose result will not be kept."""
        there = key in self._space or EXCEPTION_MARK + key in self._space
        writer = self._result_store.writer()
        marked = [writer.results.delete(each) for each in (key, EXCEPTION_MARK + key, STALE_MARK + key)]
        writer.commit([writer.leases.delete(key), *marked])
        return there

    def kept_keys(self, name: str, most: int) -> list[str]:
        """Return keys of the function with a name, of all its versions and bodies, *most* at the most."""
        keys: list[str] = []
        for prefix in (f"{name}(", f"{name}@"):
            keys += self._space.list(prefix, limit=most - len(keys)).keys if len(keys) < most else []
        return keys

    def clear(self, prefix: str) -> int:
        """Remove all that begins with *prefix*, the leases first; return how many results there were."""
        clear_prefix(self._result_store.leases, prefix)
        removed = clear_prefix(self._space, prefix)
        clear_prefix(self._space, STALE_MARK + prefix)
        return removed + clear_prefix(self._space, EXCEPTION_MARK + prefix)

    def info(self) -> CacheInfo:
        """Return the counters."""
        return CacheInfo(*(getattr(self.counters, name) for name in CacheInfo._fields))
