"""Failures of the storage that a memoized function survives, and its warnings, each given once."""

from __future__ import annotations

import sys
import warnings

from sqlitedict_kv.errors import (
    CodecError,
    DamagedFileError,
    DecodeError,
    KVError,
    NotConfirmedError,
    OutcomeUnknownError,
    StoreBusyError,
    StoreClosedError,
    StoreDetachedError,
    StoreFullError,
    StoreIOError,
    UnreachableError,
)
from sqlitedict_kv.memoization.policy import Policy
from sqlitedict_kv.memoization.types import MemoizeCounters

# Damage of a row, a store that is closed and wrong arguments are not among them: those always raise.
STORAGE_FAILURES = (
    StoreBusyError,
    StoreFullError,
    StoreIOError,
    StoreDetachedError,
    UnreachableError,
    OutcomeUnknownError,
    NotConfirmedError,
)
READ_FAILURES = (DecodeError, DamagedFileError, StoreClosedError, *STORAGE_FAILURES)  # that a hit may raise


class Failures:
    """The failures of one function: counted always, told once, and raised if the options say so."""

    def __init__(self, policy: Policy, counters: MemoizeCounters) -> None:
        """Begin with none."""
        self._policy = policy
        self._counters = counters
        self._told: set[str] = set()

    def note_read(self, key: str, error: KVError) -> None:
        """Note one of READ_FAILURES that is not a store being closed."""
        if isinstance(error, DecodeError):
            self._note_undecodable(key, error)
        elif isinstance(error, DamagedFileError):
            self._note_damaged_file(key, error)
        else:
            self.note_storage(key, error)

    def note_storage(self, key: str, error: KVError) -> None:
        """Count and log a failure of the storage; raise it if on_error is "raise"."""
        if self._policy.on_error == "raise":
            raise error
        self._counters.storage_errors += 1
        self._log_once(
            "storage",
            "%s is computed without its store, which failed: %s; memoize(on_error='raise') raises",
            key,
            error,
        )

    def _note_undecodable(self, key: str, error: DecodeError) -> None:
        """Count and log an entry that does not decode; raise its error if undecodable is "raise"."""
        if self._policy.undecodable == "raise":
            raise error
        self._counters.undecodable += 1
        self._log_once("undecodable", "%s is computed again, for what is kept does not decode: %s", key, error)

    def _note_damaged_file(self, key: str, error: DamagedFileError) -> None:
        """Count and log a result whose file is missing or damaged, as a power cut may leave one."""
        self._counters.undecodable += 1
        self._log_once("damaged file", "%s is computed again: %s", key, error)

    def note_unstorable(self, key: str, error: KVError) -> None:
        """Count a result that cannot be kept and warn; raise its error if unstorable is "raise"."""
        self._counters.unstorable += 1
        reason = (error.for_result if isinstance(error, CodecError) else None) or str(error)
        if self._policy.unstorable == "raise":
            raise type(error)(
                f"the result of {key} cannot be kept: {reason}; or return it without keeping it with "
                f"memoize(unstorable='return')"
            ) from error
        if "unstorable" not in self._told:
            self._told.add("unstorable")
            warnings.warn(
                f"the result of {key} is returned and not kept, so each call computes it again: {reason}; "
                f"memoize(unstorable='raise') makes it an error",
                stacklevel=_levels_to_user(),
            )

    def _log_once(self, kind: str, message: str, key: str, error: KVError) -> None:
        if kind in self._told:
            return
        self._told.add(kind)
        import logging  # noqa: PLC0415 - a tenth of the package's import time, for what hardly ever happens

        logging.getLogger("sqlitedict_kv").warning(message, key, error)


def _levels_to_user() -> int:
    """Return the stack level of the first frame outside this package, as warnings.warn counts."""
    package = __name__.partition(".")[0] + "."
    level, frame = 1, sys._getframe(1)  # noqa: SLF001 - warnings.warn has skip_file_prefixes from 3.12 on
    while frame.f_back is not None and f"{frame.f_globals.get('__name__', '')}.".startswith(package):
        frame, level = frame.f_back, level + 1
    return level
