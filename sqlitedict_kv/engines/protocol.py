"""What storage must do for a store: a few verbs over plain data.

An engine knows no codec, no clock and no cache: values are bytes, times are Unix milliseconds that
the caller passes in. It decides one thing alone, the versions. Every verb is atomic, may be called
from any thread, and raises the errors of :mod:`sqlitedict_kv.errors`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from sqlitedict_kv.engines.record import Record

# Body, content type, expires_at (Unix time in milliseconds, None is never); the last is the engine's own.
# It is a plain tuple because a point read, the hottest path there is, passes a row on as it is.
Value = tuple[bytes, str, int | None, object]


class Put(NamedTuple):
    """Writes an entry, replacing all that was there."""

    namespace: str
    key: str
    body: bytes
    content_type: str
    expires_at: int | None  # Unix time in milliseconds; None is never
    expected: int | None = None  # the version that must be there; 0 is absent, None is any


class Delete(NamedTuple):
    """Removes an entry."""

    namespace: str
    key: str
    expected: int | None = None
    required: bool = False  # raise KeyError where there is none


class Touch(NamedTuple):
    """Changes when an entry expires, and nothing else of it."""

    namespace: str
    key: str
    expires_at: int | None
    expiring: bool = False  # leave an entry that never expires as it is


class Check(NamedTuple):
    """Demands a version and changes nothing."""

    namespace: str
    key: str
    expected: int


class Change(NamedTuple):
    """Writes what a pure, quick function makes of the live record (None: absent).

    An engine may call the function several times, and inside its transaction.
    """

    namespace: str
    key: str
    function: Callable[[Record | None], Put]


Edit = Put | Delete | Touch | Check | Change
Outcome = list[int | None] | Exception  # of a group of edits: their versions, or why none of them was applied


class KeyRange(NamedTuple):
    """A range of keys of a namespace, in the order of their UTF-8 bytes."""

    namespace: str
    prefix: str = ""
    after: str | None = None  # start behind this key, in the direction of the walk
    reverse: bool = False


class AgeRange(NamedTuple):
    """A range of the entries of a namespace, in the order of their creation."""

    namespace: str
    after: int | None = None  # start behind this position, in the direction of the walk
    until: int | None = None  # leave out what comes behind this position; of no use to a walk backwards
    reverse: bool = False


class Figures(NamedTuple):
    """What an engine counts; see :class:`sqlitedict_kv.StoreStats`."""

    entries: int
    expired: int
    namespaces: int
    bytes_on_disk: int
    free_bytes: int
    evicted: int
    purged: int
    library_version: str


class Capabilities(NamedTuple):
    """What a store can do that not every kind of store can.

    Attributes:
        atomic_across_namespaces: ``atomic()`` takes edits of any namespaces; else of one shard of one.
        exact_len: ``len`` counts exactly those entries that can be read.
        ordered: keys are listed in order; else not at all, but see ``ns(ordered=)``.
        durable: an acknowledged write survives the loss of the process that took it, be it a server's.
        by_age: ``by_age()`` works.
        exclusive: ``exclusive()`` works.
        limits: ``max_bytes`` and ``max_entries`` work.
        backup: ``backup()`` and ``vacuum()`` work.
    """

    atomic_across_namespaces: bool
    exact_len: bool
    ordered: bool
    durable: bool
    by_age: bool
    exclusive: bool
    limits: bool
    backup: bool


class CheckReport(NamedTuple):
    """What a check of the whole store found."""

    ok: bool
    entries: int  # rows looked at, expired ones included
    unchecked: int  # rows without a checksum, written by another program
    problems: tuple[str, ...]  # each names what is damaged, never a value


Keys = Iterable[tuple[str, str]] | None  # namespaces and keys; None is all there are


class Observer(Protocol):
    """What is told of the commits of this engine object."""

    def committed(self, keys: Keys, before: bytes | None, after: bytes | None, *, alone: bool) -> None:
        """Take note of a commit before its caller does.

        Args:
            keys: what it may have changed.
            before: the engine's mark from before it.
            after: the mark from after it.
            alone: whether nobody else committed between the two.
        """


class Engine(Protocol):
    """Storage for records by namespace and key."""

    @property
    def capabilities(self) -> Capabilities:
        """What this engine can do that not every one can; what it cannot raises UnsupportedError."""

    def declare(self, namespace: str, shards: int | None, *, ordered: bool | None) -> None:
        """Note how a namespace is to be made, None is as it is; nothing is asked or written before it is used.

        An engine on one machine has no use for it.
        """

    def read_value(self, namespace: str, key: str) -> Value | None:
        """Return the newest value, expired or not."""

    def read(self, namespace: str, key: str) -> Record | None:
        """Return the newest record, expired or not."""

    def read_many(self, namespace: str, keys: Sequence[str]) -> dict[str, Record]:
        """Return the newest records of those keys that have one, expired or not, as of one moment."""

    def put(self, namespace: str, key: str, body: bytes, content_type: str, expires_at: int | None, now: int) -> int:
        """Write one entry whatever is there and return its version."""

    def put_many(self, edits: Sequence[Put], now: int) -> dict[str, int]:
        """Write entries with distinct keys of one namespace, all or none; return their versions."""

    def commit(self, edits: Sequence[Edit], now: int) -> list[int | None]:
        """Apply edits in order, all or none.

        Returns for each its version: of what was written, touched, checked or removed; None where
        there was nothing to touch or remove.
        """

    def put_at_once(self, edit: Put, now: int) -> int | None:
        """Write one entry whatever is there and return its version; None if others hold the lock: nothing was written.

        Unlike all other verbs it does not wait for them.
        """

    def commit_groups(self, claim: Callable[[], Sequence[Sequence[Edit]]], clock: Callable[[], int]) -> list[Outcome]:
        """Apply groups of edits in one transaction, in order, each group all or none.

        Args:
            claim: returns the groups; called when nothing is left to wait for, and again if that attempt fails, so
                that who comes while others hold the lock is in the group.
            clock: returns the Unix time in milliseconds at which they apply; called after *claim*.

        Returns for each group what :meth:`commit` would return, or the error that it would raise for what is in
        that group alone: a conflict, a missing key, a damaged entry, what a Change raised. A failing storage is
        raised, and no group was applied.
        """

    def exclusive(self, now: Callable[[], int]) -> AbstractContextManager[Engine]:
        """Give an engine for one thread whose calls are one write transaction, during which others only read.

        It is committed when the block ends, and rolled back if the block raises. *now* returns the time after it.

        Raises:
            UnsupportedError: this engine has no such transactions.
            RuntimeError: the thread is in such a block.
        """

    def keys(self, span: KeyRange, limit: int, now: int) -> list[str]:
        """Return the first live keys of a span."""

    def records(self, span: KeyRange, limit: int, now: int) -> list[tuple[str, Record]]:
        """Return the first live records of a span: at least one if there is any, at most *limit*."""

    def keys_by_age(self, age: AgeRange, limit: int, now: int) -> list[tuple[int, str]]:
        """Return positions and keys of the first live entries in the order of their creation.

        An entry that is written again keeps its position; one that expired may give it to its successor.
        """

    def count(self, namespace: str, now: int) -> tuple[int, int]:
        """Return how many entries of a namespace are live, and how many have expired."""

    def highest(self, namespace: str) -> int:
        """Return the highest version that the namespace has given so far, or a greater one; 0 if it has given none."""

    def restore(self, namespace: str, edits: Sequence[Put], above: int, now: int) -> None:
        """Write entries with distinct keys of a namespace as :meth:`put_many` does, at versions greater than *above*.

        So are all versions that the namespace gives from then on to a key that is created, even if no entries are
        given.
        """

    def namespaces(self, now: int) -> list[str]:
        """Return the names that have live entries, in order."""

    def clear(self, namespace: str, now: int) -> None:
        """Remove every entry of a namespace in one step."""

    def drop(self, namespace: str, now: int) -> int:
        """Remove every entry of a namespace in bounded batches; return how many were live."""

    def purge_expired(self, namespace: str | None, limit: int | None, now: int) -> int:
        """Remove entries that expired, in bounded batches; return how many."""

    def figures(self, now: int) -> Figures:
        """Count what there is."""

    def check(self, decode: Callable[[str, str, bytes, str], object]) -> CheckReport:
        """Verify the whole store.

        *decode* takes namespace, key, body and content type, and raises a KVError for what cannot be read.
        """

    def probe(self) -> list[str]:
        """Read and, if writes are allowed, try whether they go; raise what fails, return what is a danger."""

    def vacuum(self) -> None:
        """Give the free space back to the operating system."""

    def backup(self, path: str) -> None:
        """Write a consistent copy to a new file."""

    def sync(self) -> None:
        """Make all that was acknowledged survive a power cut."""

    def close(self) -> None:
        """Release everything; later calls raise StoreClosedError."""

    @property
    def label(self) -> str:
        """Where the data is, for people: a path or ``:memory:``."""


class DataVersionEngine(Engine, Protocol):
    """An engine that can be asked, at the price of a few reads of memory, whether anybody committed."""

    def marker(self, *, waiting: bool = True) -> Callable[[], bytes | None]:
        """Return a function that returns the mark: bytes that differ after each commit of anybody.

        A mark that is read again unchanged proves that nothing was committed in between. None is unknown:
        the connection was closed, and the engine must be asked for another function; or the answer would have to
        wait for somebody else's call, and *waiting* is False.
        """

    def observe(self, observer: Observer) -> None:
        """Tell *observer* of each commit of this object, in their order."""


class Memory(Protocol):
    """What holds values that were read, and is told which of them may have changed.

    It takes the calls from any thread.
    """

    @property
    def clock(self) -> Callable[[], float]:
        """The monotonic clock, in seconds, that decides until when it serves."""

    def begin(self) -> None:
        """Forget everything; from now on it is told of each change that anybody makes, until :meth:`end`."""

    def forget(self, keys: Keys) -> None:
        """Forget what may have changed, and what of it is being read right now; None is everything."""

    def extend(self, until: float) -> None:
        """Serve what it holds until then, by its clock; it was told of all that changed up to the staleness before."""

    def end(self) -> None:
        """Forget everything, and serve nothing that it reads from now on: nobody tells what others change."""


class Feed(Protocol):
    """What tells a memory."""

    @property
    def detours(self) -> int:
        """How many calls went to a server that the feed may not listen to; what such a one read is not to be kept."""

    def wake(self) -> None:
        """Begin to listen if nobody does, as in a process that was forked; it does not wait."""


class InvalidatingEngine(Engine, Protocol):
    """An engine that tells of changes a little after they were made."""

    def tell(self, memory: Memory, staleness: float) -> Feed:
        """Tell *memory* of the changes of others from now on, and of one's own before the verb that makes them returns.

        *staleness* is how many seconds ago a change may have been acknowledged that it was not told of yet.
        """
