"""Results in a base: a second store that is only read, such as one that was shipped with a package."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from sqlitedict_kv.errors import StoreClosedError
from sqlitedict_kv.memoization.call_key import CallKeys
from sqlitedict_kv.memoization.failures import READ_FAILURES, Failures
from sqlitedict_kv.memoization.former_results import find_former
from sqlitedict_kv.memoization.result_store import OffLoop, ResultStore
from sqlitedict_kv.memoization.types import MemoizeCounters
from sqlitedict_kv.validation import DEFAULT

if TYPE_CHECKING:
    from sqlitedict_kv.memoization.decorator import Memoize

T = TypeVar("T")


class MemoizingStore(Protocol):
    """A store, or a namespace of one."""

    @property
    def memoize(self) -> Memoize[Any]:
        """Keeps the results of functions."""


class BaseResults:
    """The results of one function in its base.

    A base that fails, or holds what does not decode, is treated as the function's own store would be.
    """

    def __init__(self, place: ResultStore, keys: CallKeys, failures: Failures, counters: MemoizeCounters) -> None:
        """Look at *place*, and count what is found there."""
        self._place = place
        self._keys = keys
        self._failures = failures
        self._counters = counters

    @property
    def off_loop(self) -> OffLoop | None:
        """The way to the base from tasks, if it may only be awaited."""
        return self._place.off_loop

    def find(self, key: str) -> Any:
        """Return the result that is kept there, also under a former name, or DEFAULT."""
        value = self._read(key, self._get, DEFAULT)
        if value is not DEFAULT:
            self._counters.base_hits += 1
        return value

    def find_many(self, keys: list[str]) -> dict[str, Any]:
        """Return the results that are kept there, each as :meth:`find` does; those that decode in one step."""
        if not keys:
            return {}
        try:
            found = self._place.results.get_many(keys)
            others = [key for key in keys if key not in found and self._keys.former_keys(key)]
        except READ_FAILURES:  # each is looked at for itself, and what fails then is counted
            found, others = {}, keys
        self._counters.base_hits += len(found)
        for key in others:
            value = self.find(key)
            if value is not DEFAULT:
                found[key] = value
        return found

    def find_entry(self, key: str) -> Any:
        """Return the entry of a result that is kept there, also under a former name, or None; it is not counted."""
        return self._read(key, self._get_entry, None)

    def _get(self, key: str) -> Any:
        value = self._place.results.get(key, DEFAULT)
        if value is not DEFAULT:
            return value
        former = find_former(self._place, self._keys, key)
        return DEFAULT if former is None else former[1].value

    def _get_entry(self, key: str) -> Any:
        entry = self._place.results.get_with_meta(key)
        if entry is not None:
            return entry
        former = find_former(self._place, self._keys, key)
        return None if former is None else former[1]

    def _read(self, key: str, read: Callable[[str], T], otherwise: T) -> T:
        try:
            return read(key)
        except StoreClosedError:
            place = self._place.successor()
            if place is None:
                raise
            self._place = place
            return self._read(key, read, otherwise)
        except READ_FAILURES as error:
            self._failures.note_read(key, error)
            return otherwise
