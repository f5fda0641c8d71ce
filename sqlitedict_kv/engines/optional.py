"""Optional protocols of an engine: abilities that not every storage has.

An engine that has one of these verbs defines it; one that lacks it defines nothing. :func:`sqlitedict_kv.operations
.optional` looks for the verbs, and raises UnsupportedError or does without where there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

from sqlitedict_kv.codecs.body_parts import BodyParts
from sqlitedict_kv.engines.protocol import (
    Advance,
    AgeRange,
    CheckReport,
    Decode,
    Edit,
    Engine,
    KeyRange,
    Keys,
    Layout,
    Outcome,
    Put,
    Tags,
)
from sqlitedict_kv.engines.record import Record


class GrowingBody(Protocol):
    """A value that comes a little at a time, on its way to a file.

    Attributes:
        size: bytes that are in the file by now.
    """

    size: int

    def write(self, data: memoryview) -> None:
        """Append bytes."""

    def close(self) -> None:
        """Let the file go, unless an entry refers to it."""


class FilesOfValues(Protocol):
    """What an engine writes large values by, as its attribute ``value_files``."""

    def stage(self, body: bytes | BodyParts, content_type: str) -> tuple[bytes, str]:
        """Write a value to a file; return what stands for it in its entry, and the content type of that."""

    def begin(self) -> GrowingBody:
        """Return a file for a value that comes a little at a time."""

    def finish(self, file: Any, content_type: str) -> tuple[bytes, str]:
        """Return of a value that has come what :meth:`stage` does."""


class AgingEngine(Engine, Protocol):
    """An engine that knows the order in which entries were created."""

    def keys_by_age(self, age: AgeRange, limit: int, now: int) -> list[tuple[int, str]]:
        """Return positions and keys of the first live entries in the order of their creation.

        An entry that is written again keeps its position; one that expired may give it to its successor.
        """


class ExclusiveEngine(Engine, Protocol):
    """An engine with write transactions that stay open while the caller's code runs."""

    def exclusive(self, now: Callable[[], int]) -> AbstractContextManager[Engine]:
        """Give an engine for one thread whose calls are one write transaction, during which others only read.

        It is committed when the block ends, and rolled back if the block raises. *now* returns the time after it.

        Raises:
            UnsupportedError: this storage has no such transactions.
            RuntimeError: the thread is in such a block.
        """


class GroupingEngine(Engine, Protocol):
    """An engine that commits what several tasks ask for in one step."""

    def put_at_once(self, edit: Put, now: int) -> int | None:
        """Write one entry whatever is there and return its version; None if others hold the lock: nothing was written.

        Unlike all other verbs it does not wait for them.
        """

    def commit_groups(self, claim: Callable[[], Sequence[Sequence[Edit]]], clock: Callable[[], int]) -> list[Outcome]:
        """Apply groups of edits in one transaction, in order, each group all or none.

        Args:
            claim: returns the groups; called when nothing is left to wait for, and again if that attempt fails, so
                that a task that comes while others hold the lock is in the group.
            clock: returns the Unix time in milliseconds at which they apply; called after *claim*.

        Returns:
            For each group what :meth:`Engine.commit` would return, or the error that it would raise for what is in
            that group alone: a conflict, a missing key, a damaged entry, what a Change raised. A failing storage is
            raised, and no group was applied.
        """


class LayoutEngine(Engine, Protocol):
    """An engine on several machines, which must know what to keep together before it is written."""

    def declare(self, namespace: str, layout: Layout) -> None:
        """Note how a namespace is to be laid out; nothing is asked or written before it is used.

        Raises:
            LayoutError: it is known to be laid out differently.
        """


class MaintainedEngine(Engine, Protocol):
    """An engine whose storage can be looked after; each verb is optional by itself."""

    def check(self, decode: Decode, advance: Advance | None = None) -> CheckReport:
        """Verify the whole storage; *decode* raises a KVError for a value that cannot be read."""

    def probe(self) -> list[str]:
        """Read and, if writes are allowed, try whether they work; raise what fails, return what is a danger."""

    def vacuum(self, advance: Advance | None = None) -> None:
        """Give the free space back to the operating system; *advance* is told of steps whose number is not known."""

    def backup(self, path: str, tell: Callable[[int, int], object] | None = None, *, link: bool = False) -> None:
        """Write a consistent copy to a new file.

        *tell* is told how many of its pages are done, and how many it has. With *link*, values in files of their own
        get a second name there.
        """

    def sync(self) -> None:
        """Make all that was acknowledged survive a power cut."""


class TaggingEngine(Engine, Protocol):
    """An engine whose entries may have tags: it writes those of each :class:`Put`.

    A tag is of one version of an entry: any other write, a removal and the expiry end it.
    """

    def forget_tag(self, tag: str, now: int) -> int:
        """Remove every entry with a tag, in bounded batches; return how many were live."""

    def tags_of(self, namespace: str, keys: Sequence[str]) -> dict[str, tuple[int, tuple[str, ...]]]:
        """Return the tags of those keys that have some, in order, with the version for which they are valid."""


class RestorableEngine(Engine, Protocol):
    """An engine into which entries can be copied, so that their versions go on growing."""

    def highest(self, namespace: str) -> int:
        """Return the highest version that the namespace has given so far, or a greater one; 0 if it has given none."""

    def restore(self, namespace: str, edits: Sequence[Put], above: int, now: int) -> None:
        """Write entries with distinct keys of a namespace as ``put_many`` does, at versions greater than *above*.

        So are all versions that the namespace gives from then on to a key that is created, even if no entries are
        given.
        """


class MergingEngine(Engine, Protocol):
    """An engine that compares entries with those of another store within its transaction."""

    def merge(self, namespace: str, records: Mapping[str, Record], now: int, tags: Tags | None = None) -> int:
        """Write those records of a namespace that are newer than what is there, and return how many.

        They keep their times, and get versions above all that were given; see :meth:`Record.is_newer_than`.
        """


class RecordSummary(NamedTuple):
    """What is known of an entry without its value."""

    key: str
    size: int  # bytes of the encoded value
    content_type: str
    version: int
    expires_at: int | None  # Unix time in milliseconds; None is never
    updated_at: int  # Unix time in milliseconds
    in_file: bool = False  # whether the value lies in a file of its own

    def is_live(self, now: int) -> bool:
        """Return whether the entry can still be read at *now* (Unix time in milliseconds)."""
        return self.expires_at is None or self.expires_at > now


class SummarizingEngine(Engine, Protocol):
    """An engine that knows the sizes of values without reading them."""

    def summaries(self, span: KeyRange, limit: int) -> list[RecordSummary]:
        """Return the first entries of a range, expired ones too: at least one if there is any, at most *limit*."""


class RestingEngine(Engine, Protocol):
    """An engine that can give back descriptors and locks while nobody uses it."""

    def rest(self) -> None:
        """Release what the operating system gives; the next call gets it again. Nothing happens during a call."""


class Quarantine(NamedTuple):
    """How a damaged file was replaced.

    Attributes:
        path: where it lies now; its log, if it has one, lies beside it as always.
        salvaged: how many entries are in the new file: all those that could be read and match their checksum.
        lost: how many are not, as far as that can be told.
        complete: whether *lost* is exact; False if pages could not be read, so that nobody knows what was on them.
        problems: what was wrong, in words that show no value.
    """

    path: str
    salvaged: int
    lost: int
    complete: bool
    problems: tuple[str, ...]


class RecoveringEngine(Engine, Protocol):
    """An engine that can replace damaged storage when it is opened."""

    @property
    def quarantined(self) -> Quarantine | None:
        """How damaged storage was replaced; None if it was not."""


# -- engines that keep an LRU in front of them honest


class CommitObserver(Protocol):
    """A listener to the commits of one engine object."""

    def notify_commit(self, keys: Keys, before: bytes | None, after: bytes | None, *, alone: bool) -> None:
        """Take note of a commit before its caller does.

        Args:
            keys: what it may have changed.
            before: the data version from before it.
            after: the data version from after it.
            alone: whether nobody else committed between the two.
        """


class DataVersionEngine(Engine, Protocol):
    """An engine that can be asked, at the price of a few reads of memory, whether anybody has committed."""

    def data_version(self, *, waiting: bool = True) -> Callable[[], bytes | None]:
        """Return a function that returns the data version: bytes that differ after each commit of anybody.

        A data version that is read again unchanged proves that nothing was committed in between. None is unknown:
        the connection was closed, and the engine must be asked for another function; or the answer would have to
        wait for somebody else's call, and *waiting* is False.
        """

    def observe_commits(self, observer: CommitObserver) -> None:
        """Notify *observer* of each commit of this object, in their order."""


class InvalidatedMemory(Protocol):
    """Values that were read, to be told which of them may have changed; it takes the calls from any thread."""

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
        """Forget everything, and hold nothing that it reads from now on: changes are no longer told."""


class Feed(Protocol):
    """A source of invalidations."""

    @property
    def detours(self) -> int:
        """How many calls went to a server that the feed may not listen to; what such a one read must not be held."""

    def wake(self) -> None:
        """Begin to listen if nothing does, as in a process that was forked; it does not wait."""


class InvalidatingEngine(Engine, Protocol):
    """An engine that tells of changes a little after they were made."""

    def subscribe(self, memory: InvalidatedMemory, staleness: float) -> Feed:
        """Tell *memory* of the changes of others from now on, and of one's own before the verb that makes them returns.

        *staleness* is how many seconds ago a change may have been acknowledged that it was not told of yet.
        """


class MarkingEngine(Engine, Protocol):
    """An engine that tells somebody who waits for a change of an entry that there was one."""

    def change_mark(self, namespace: str, key: str) -> Callable[[], object]:
        """Return a function that returns another object soon after each change of an entry; it does not wait.

        None is unknown: nobody tells, or not yet.
        """
