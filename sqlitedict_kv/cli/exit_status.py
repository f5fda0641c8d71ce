"""Exit status of the program, and the line that says what went wrong."""

from __future__ import annotations

from sqlitedict_kv.cli.printable import printable
from sqlitedict_kv.errors import (
    ConflictError,
    KVError,
    StoreBusyError,
    TooLargeError,
    UnreachableError,
    UnsupportedError,
)

FAILED = 1
WRONG_ARGUMENTS = 2
NOT_FOUND = 3
CONFLICT = 4
TRY_AGAIN = 5
IN_PART = 6
INTERRUPTED = 130
PIPE_CLOSED = 141

MEANINGS = {
    0: "done",
    FAILED: "the store cannot be opened, or failed; of `check` and `diagnose`: something is wrong with it",
    WRONG_ARGUMENTS: "wrong arguments, or a command that this kind of store cannot do",
    NOT_FOUND: "no such namespace, key or function",
    CONFLICT: "the entry is not at the version that was asked for, or is there already",
    TRY_AGAIN: "others held the lock for the whole timeout, or no server answered: try again",
    IN_PART: "done in part: some entries were left out, and the command says why",
    INTERRUPTED: "interrupted",
    PIPE_CLOSED: "the reader of the output has gone, as in `| head`",
}

STATUS: tuple[tuple[type[Exception], int], ...] = (
    (ConflictError, CONFLICT),
    (StoreBusyError, TRY_AGAIN),
    (UnreachableError, TRY_AGAIN),
    (TooLargeError, WRONG_ARGUMENTS),
    (UnsupportedError, WRONG_ARGUMENTS),
    (KVError, FAILED),
    (LookupError, NOT_FOUND),
    (ValueError, WRONG_ARGUMENTS),
    (TypeError, WRONG_ARGUMENTS),
    (ImportError, WRONG_ARGUMENTS),
    (OSError, FAILED),
)


class NotFoundError(LookupError):
    """Says that something that was asked for is not there."""


def status_of(error: Exception) -> int:
    """Return the exit status for what a command raised."""
    return next((status for kind, status in STATUS if isinstance(error, kind)), FAILED)


def describe(error: Exception) -> str | None:
    """Return a line for people about what a command raised; None for a fault of the program itself."""
    if isinstance(error, KeyError | IndexError) or not isinstance(error, tuple(kind for kind, _ in STATUS)):
        return None
    return printable(str(error) or type(error).__name__)
