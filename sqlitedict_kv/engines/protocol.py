"""The protocol of an engine: storage for a store, as a few verbs over plain data.

An engine knows no codec, no clock and no cache: values are bytes, times are Unix milliseconds that the caller passes
in. It decides one thing alone, the versions. Every verb is atomic, may be called from any thread, and raises the errors
of :mod:`sqlitedict_kv.errors`.

:class:`Engine` has the verbs that every engine has. What only some can do is in :mod:`sqlitedict_kv.engines.optional`:
an engine that lacks one of those verbs simply does not define it. How a store finds an engine, and which options it
passes on, is in :mod:`sqlitedict_kv.engines.spec`. A whole engine of about 120 lines is in
``tests/engines/toy_engine.py``.

What every engine must keep to:

* An entry that has expired at *now* (``expires_at <= now``) is absent for every verb that takes *now*; the verbs
  without *now* return what is there, expired or not.
* Each write of a key gives it a version: an int greater than all that this key ever had, also across removal and
  expiry. A counter per namespace that only grows is enough; so is a floor that each removal raises.
* ``put``, ``commit`` and ``clear`` change all that they should, or raise and change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from sqlitedict_kv.engines.record import Record

# Body, content type, expires_at (Unix time in milliseconds, None is never); the fourth is the engine's own.
# A plain tuple, because a point read, the hottest path there is, returns a row as it is.
Value = tuple[bytes, str, int | None, object]


class Put(NamedTuple):
    """Writes an entry, replacing all that was there."""

    namespace: str
    key: str
    body: bytes
    content_type: str
    expires_at: int | None  # Unix time in milliseconds; None is never
    expected: int | None = None  # the version that must be there; 0 is absent, None is any
    tags: tuple[str, ...] = ()  # of this version alone; only for an engine with ``forget_tag``


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


class Layout(NamedTuple):
    """How a namespace is to be laid out on several servers; None is as it is there."""

    shards: int | None = None  # parts, each on a server of its own
    ordered: bool | None = None  # whether its keys are listed in order
    colocated_with: str | None = None  # the namespace whose shards it shares: keys that are equal are kept together
    key_marks: str | None = None  # characters that, before a key, keep an entry beside that of the key itself


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
    """The figures of an engine; see :class:`sqlitedict_kv.StoreStats`."""

    entries: int
    expired: int
    namespaces: int
    bytes_on_disk: int
    free_bytes: int
    evicted: int
    purged: int
    library_version: str
    durability: str  # what an acknowledged write survives, in a word
    files: int = 0  # with values of their own
    file_bytes: int = 0
    tags: int = 0  # of entries; an entry counts once for each


class Capabilities(NamedTuple):
    """Abilities of a store that not every kind of store has.

    Attributes:
        atomic_across_namespaces: ``atomic()`` takes edits of any namespaces; else of one shard of one.
        exact_len: ``len`` counts exactly those entries that can be read.
        ordered: keys are listed in order; else not at all, but see ``ns(ordered=)``.
        durable: an acknowledged write survives the loss of the process that took it, be it a server's.
        by_age: ``by_age()`` works.
        exclusive: ``exclusive()`` works.
        limits: ``max_bytes`` and ``max_entries`` work.
        backup: ``backup()`` and ``vacuum()`` work.
        files: values over ``files_above`` are kept in files of their own.
        tags: ``tags=`` and ``forget_tag()`` work.
    """

    atomic_across_namespaces: bool
    exact_len: bool
    ordered: bool
    durable: bool
    by_age: bool = False
    exclusive: bool = False
    limits: bool = False
    backup: bool = False
    files: bool = False
    tags: bool = False


class CheckReport(NamedTuple):
    """What a check of the whole store found."""

    ok: bool
    entries: int  # rows looked at, expired ones included
    unchecked: int  # rows without a checksum, written by another program
    problems: tuple[str, ...]  # each names what is damaged, never a value
    files: int = 0  # with values of their own, whose bytes were verified
    unknown_files: int = 0  # that nothing refers to: left by a process that was killed, and removed by vacuum()


Tags = Mapping[str, tuple[str, ...]]  # of entries that have some, by key
Keys = Iterable[tuple[str, str]] | None  # namespaces and keys; None is all there are
Advance = Callable[[int], object]  # takes how many entries are done
Decode = Callable[[str, str, bytes, str], object]  # of namespace, key, body and content type; raises a KVError


class Engine(Protocol):
    """Storage for records by namespace and key."""

    @property
    def label(self) -> str:
        """Where the data is, to be shown to people, without passwords: a path or ``:memory:``."""

    @property
    def capabilities(self) -> Capabilities:
        """Which abilities it has that not every engine has; its optional verbs must agree with them."""

    # -- reading

    def read_value(self, namespace: str, key: str) -> Value | None:
        """Return the newest value, expired or not; the hottest call of all."""

    def read(self, namespace: str, key: str) -> Record | None:
        """Return the newest record, expired or not."""

    def read_many(self, namespace: str, keys: Sequence[str]) -> dict[str, Record]:
        """Return the newest records of those keys that have one, expired or not, as of one moment."""

    def keys(self, span: KeyRange, limit: int, now: int) -> list[str]:
        """Return the first live keys of a range, in the order of their UTF-8 bytes."""

    def records(self, span: KeyRange, limit: int, now: int) -> list[tuple[str, Record]]:
        """Return the first live records of a range: at least one if there is any, at most *limit*."""

    def count(self, namespace: str, now: int) -> tuple[int, int]:
        """Return how many entries of a namespace are live, and how many have expired and are still there."""

    def namespaces(self, now: int) -> list[str]:
        """Return the names that have live entries, in order."""

    # -- writing

    def put(self, namespace: str, key: str, body: bytes, content_type: str, expires_at: int | None, now: int) -> int:
        """Write one entry, whatever is there, and return its version."""

    def put_many(self, edits: Sequence[Put], now: int, advance: Advance | None = None) -> dict[str, int]:
        """Write entries with distinct keys of one namespace, all or none; return their versions by key.

        *advance*, here and below, may be called now and then, with how many are done.
        """

    def commit(self, edits: Sequence[Edit], now: int) -> list[int | None]:
        """Apply edits in order, all or none; a later one sees what an earlier one did.

        Returns:
            For each edit its version: of what was written, touched, checked or removed; None where there was nothing
            to touch or remove.

        Raises:
            ConflictError: an entry was not at the version that an edit expects.
            KeyError: there was no entry that a Delete requires.
        """

    def clear(self, namespace: str, now: int) -> None:
        """Remove every entry of a namespace in one step."""

    def drop(self, namespace: str, now: int, advance: Advance | None = None) -> int:
        """Remove every entry of a namespace, in bounded batches; return how many were live."""

    def purge_expired(self, namespace: str | None, limit: int | None, now: int) -> int:
        """Remove expired entries of a namespace (None: of all), *limit* at most, in batches; return how many."""

    # -- the engine as a whole

    def figures(self, now: int) -> Figures:
        """Count what there is."""

    def close(self) -> None:
        """Release everything; later calls raise StoreClosedError. Closing twice is fine."""
