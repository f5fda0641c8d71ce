"""The errors that the library raises.

::

    KVError
    ├── OpenError                     the path cannot be opened as a store
    │   ├── StoreNotFoundError        (FileNotFoundError) nothing is there and nothing may be made
    │   ├── LocationError             (ValueError) a directory, a hard link, a dangling link, ...
    │   │   └── UnsafeFilesystemError a network or virtual file system, where WAL loses data
    │   ├── NotADatabaseError         the file is no SQLite database
    │   ├── ForeignDatabaseError      the file belongs to another application
    │   ├── NewerFormatError          a later release of this library wrote the file
    │   ├── AccessDeniedError         (PermissionError) the server refuses the user, the password or the command
    │   └── LayoutError               (ValueError) the namespace was made with other shards, or without order
    ├── StoreError                    the storage refused or failed
    │   ├── StoreBusyError            (TimeoutError) others held the lock for the whole timeout
    │   ├── StoreClosedError          (ValueError) the store was closed
    │   ├── ReadOnlyError             (PermissionError) a write to a store opened to read
    │   ├── StoreFullError            (OSError) no space is left; nothing was written
    │   ├── StoreIOError              (OSError) the operating system failed; the store stops
    │   ├── StoreDetachedError        the file was replaced or lost its locks; the store stops
    │   ├── ForkedStoreError          the process was forked in the middle of a call
    │   ├── UnsupportedError          (ValueError) this kind of store cannot do that; see Store.capabilities
    │   ├── UnreachableError          (ConnectionError) no server answered for the whole timeout; nothing was written
    │   ├── OutcomeUnknownError       (ConnectionError) no server says whether a write was done
    │   ├── NotConfirmedError         a write was done, and fewer replicas than asked for have it
    │   └── CorruptStoreError         the file is damaged; the store stops
    │       └── DamagedEntryError     one entry is damaged; the others can be read
    │           └── DamagedFileError  the file that its value is in is damaged
    │               └── MissingFileError  it is not there
    │                   └── EntryGoneError  the entry was removed while it was read, and is absent
    ├── ConflictError                 somebody else wrote in between
    ├── LockLostError                 (RuntimeError) a lock ended before its owner was done with it
    ├── LockTimeoutError              (TimeoutError) others held a lock for the whole timeout
    ├── NotCachedError                (LookupError) no result is kept, and memoize is cache-only
    ├── CodecError                    (TypeError) a value that cannot be kept exactly
    │   └── DecodeError               (ValueError) stored bytes of an unknown type or that do not decode
    │       └── NotKeptHereError      an entry of a class that is not allowed here, or that has changed; not damaged
    ├── TagError                      (ValueError) what memoize(tags=) made for a result can be no tags
    └── TooLargeError                 (ValueError) a key, a namespace or a value over its limit

A missing key is a plain :class:`KeyError`. No error shows a value.
"""

from __future__ import annotations

from typing import Any


class KVError(Exception):
    """The root of every error that the library raises of its own."""


class OpenError(KVError):
    """Says that a path cannot be opened as a store; the file was not changed."""


class StoreNotFoundError(OpenError, FileNotFoundError):
    """Says that there is no file, where a missing one must not be made."""


class LocationError(OpenError, ValueError):
    """Says that a store cannot live at this path."""


class UnsafeFilesystemError(LocationError):
    """Says that the path is on a file system on which SQLite's WAL is known to lose data."""


class NotADatabaseError(OpenError):
    """Says that the file is no SQLite database."""


class ForeignDatabaseError(OpenError):
    """Says that the file is a SQLite database of another application."""


class NewerFormatError(OpenError):
    """Says that a later release of this library wrote the file."""


class AccessDeniedError(OpenError, PermissionError):
    """Says that the server refuses the user, the password, or what the user may do."""


class LayoutError(OpenError, ValueError):
    """Says that a namespace was made with another number of shards, or other than ordered, than is asked for."""


class StoreError(KVError):
    """Says that the storage refused or failed."""


class StoreBusyError(StoreError, TimeoutError):
    """Says that others held the lock for the whole timeout; nothing was written."""


class StoreClosedError(StoreError, ValueError):
    """Says that the store was closed."""


class ReadOnlyError(StoreError, PermissionError):
    """Says that a store opened with ``readonly=True`` was asked to write."""


class StoreFullError(StoreError, OSError):
    """Says that no space is left; nothing was written and the store goes on working."""


class StoreIOError(StoreError, OSError):
    """Says that the operating system failed to read, write or sync; the store takes no more calls."""


class StoreDetachedError(StoreError):
    """Says that the file was replaced, deleted or lost its locks; the store takes no more calls."""


class ForkedStoreError(StoreError):
    """Says that this process was forked while another thread was inside the store."""


class UnsupportedError(StoreError, ValueError):
    """Says that this kind of store cannot do that, nothing was touched; see :attr:`Store.capabilities`."""


class UnreachableError(StoreError, ConnectionError):
    """Says that no server answered for the whole timeout; nothing was written."""


class OutcomeUnknownError(StoreError, ConnectionError):
    """Says that no server answered for the whole timeout after a write was sent: it was done, or it was not."""


class NotConfirmedError(StoreError):
    """Says that a write was done, and fewer replicas than ``confirm=`` asks for have it: a failover may lose it."""


class CorruptStoreError(StoreError):
    """Says that the database file is damaged; the store takes no more calls."""


class DamagedEntryError(CorruptStoreError):
    """Says that one entry does not match its checksum; other entries can still be read.

    Attributes:
        namespace: the namespace of the entry.
        key: the key of the entry.
        reason: what is wrong with it.
    """

    def __init__(self, namespace: str, key: str, reason: str) -> None:
        """Name the entry and say what is wrong with it."""
        super().__init__(
            f"the entry {key!r} in namespace {namespace!r} is damaged: {reason}; "
            f"delete or overwrite it, or restore the file from a backup"
        )
        self.namespace = namespace
        self.key = key
        self.reason = reason

    def __reduce__(self) -> tuple[type[DamagedEntryError], tuple[str, str, str]]:
        """Come through pickle whole, out of a worker process say."""
        return type(self), (self.namespace, self.key, self.reason)


class DamagedFileError(DamagedEntryError):
    """Says that the file that the value of an entry is in is not as it was written."""


class MissingFileError(DamagedFileError):
    """Says that the file that the value of an entry is in is not there."""


class EntryGoneError(MissingFileError):
    """Says that an entry was removed between the look at it and the look at its file; a reader takes it as absent."""


class ConflictError(KVError):
    """Says that the entry is not at the expected version; nothing was changed.

    Attributes:
        namespace: the namespace of the entry.
        key: the key of the entry: a str, or what ``ns(keys=)`` takes.
        expected: the version that was asked for; 0 is "absent".
        actual: the version that is there; None is "absent".
    """

    def __init__(self, namespace: str, key: Any, *, expected: int, actual: int | None) -> None:
        """Name the entry and both versions."""
        wanted = f"version {expected}" if expected else "no entry"
        found = "no entry" if actual is None else f"version {actual}"
        super().__init__(
            f"expected {wanted} under {key!r} in namespace {namespace!r}, found {found}; read the entry again and retry"
        )
        self.namespace = namespace
        self.key = key
        self.expected = expected
        self.actual = actual

    def __reduce__(self) -> tuple[object, tuple[str, Any, int, int | None]]:
        """Come through pickle whole, out of a worker process say."""
        return _conflict, (self.namespace, self.key, self.expected, self.actual)


def _conflict(namespace: str, key: Any, expected: int, actual: int | None) -> ConflictError:
    return ConflictError(namespace, key, expected=expected, actual=actual)


class CodecError(KVError, TypeError):
    """Says that a value cannot be kept so that an equal value of the same types comes back.

    Attributes:
        for_result: what to say instead where the value is the result of a function; None is the message itself.
    """

    for_result: str | None = None


class DecodeError(CodecError, ValueError):
    """Says that stored bytes are of an unknown content type or do not decode."""


class NotKeptHereError(DecodeError):
    """Says that an entry holds what this store or this view does not keep, or has no codec for; another may read it."""


class TagError(KVError, ValueError):
    """Says that what the ``tags=`` of memoize made for a result can be no tags, or failed."""


class TooLargeError(KVError, ValueError):
    """Says that a key, a namespace or a value is over its limit."""


class LockLostError(KVError, RuntimeError):
    """Says that a lock ended before its owner was done with it: others may have held it since.

    Attributes:
        namespace: the namespace of the lock.
        key: the key of the lock.
    """

    def __init__(self, namespace: str, key: str) -> None:
        """Name the lock."""
        super().__init__(
            f"the lock {key!r} in namespace {namespace!r} is no longer ours: it expired, was removed or is another's; "
            f"take a longer ttl or renew it in time, and guard writes with its version"
        )
        self.namespace = namespace
        self.key = key

    def __reduce__(self) -> tuple[type[LockLostError], tuple[str, str]]:
        """Come through pickle whole, out of a worker process say."""
        return type(self), (self.namespace, self.key)


class LockTimeoutError(KVError, TimeoutError):
    """Says that others held a lock for the whole timeout; nothing was run."""


class NotCachedError(KVError, LookupError):
    """Says that a memoized function has no result of a call, and that nothing may be computed.

    Attributes:
        key: the key of the call.
    """

    def __init__(self, key: str) -> None:
        """Name the call."""
        super().__init__(
            f"no result of {key} is kept, and nothing is computed while memoize is cache-only "
            f"(SQLITEDICT_KV_MEMOIZE=only, or in a block of memoize.only()); compute it once without, and keep it"
        )
        self.key = key

    def __reduce__(self) -> tuple[type[NotCachedError], tuple[str]]:
        """Pickle as the key."""
        return NotCachedError, (self.key,)
