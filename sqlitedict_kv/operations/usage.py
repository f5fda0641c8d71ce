"""Sizes of entries: what namespaces take, by type of value, and their largest entries."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from heapq import nlargest
from itertools import chain
from typing import Any, Generic, NamedTuple

from sqlitedict_kv.engines.optional import RecordSummary
from sqlitedict_kv.engines.protocol import KeyRange
from sqlitedict_kv.errors import UnsupportedError
from sqlitedict_kv.operations import optional
from sqlitedict_kv.operations.context import StoreContext, moment
from sqlitedict_kv.operations.progress import Progress, report
from sqlitedict_kv.operations.type_variables import K
from sqlitedict_kv.validation import check_timeout

SUMMARIES_PER_PAGE = 1000
FOREVER = 0  # a time at which nothing has expired


class ContentTypeUsage(NamedTuple):
    """The entries of one content type.

    Attributes:
        entries: how many there are.
        bytes: the bytes of their values.
    """

    entries: int
    bytes: int


class Usage(NamedTuple):
    """The size of a namespace, or of several.

    Attributes:
        entries: how many entries can be read.
        expired: how many have expired and were not removed yet; nothing else here counts them.
        bytes: the bytes of the values, encoded; keys and what SQLite or a server adds are not among them.
        files: how many of the values lie in files of their own beside the database.
        file_bytes: the bytes of these, which *bytes* has too.
        oldest: when the entry that was written first was written; None if there is none.
        newest: when the entry that was written last was written.
        next_expiry: when the next entry expires; None if none does.
        by_content_type: entries and bytes of each content type, the most bytes first.
        complete: whether everything was counted. False after a deadline: each number is then "at least".
    """

    entries: int
    expired: int
    bytes: int
    files: int
    file_bytes: int
    oldest: datetime | None
    newest: datetime | None
    next_expiry: datetime | None
    by_content_type: Mapping[str, ContentTypeUsage]
    complete: bool

    def _repr_html_(self) -> str:
        from sqlitedict_kv.operations.showing import show_usage  # noqa: PLC0415 - for notebooks alone

        return show_usage(self)


class StoreUsage(NamedTuple):
    """The size of a store, as :class:`Usage` has it, and of each of its namespaces.

    Attributes:
        entries: how many entries can be read.
        expired: how many have expired and were not removed yet; nothing else here counts them.
        bytes: the bytes of the values, encoded.
        files: how many of the values lie in files of their own beside the database.
        file_bytes: the bytes of these, which *bytes* has too.
        oldest: when the entry that was written first was written; None if there is none.
        newest: when the entry that was written last was written.
        next_expiry: when the next entry expires; None if none does.
        by_content_type: entries and bytes of each content type, the most bytes first.
        complete: whether everything was counted. False after a deadline, and where a namespace on servers was made
            with ``ordered=False``, so that it cannot be walked through: each number is then "at least".
        namespaces: the size of each namespace by its name.
    """

    entries: int
    expired: int
    bytes: int
    files: int
    file_bytes: int
    oldest: datetime | None
    newest: datetime | None
    next_expiry: datetime | None
    by_content_type: Mapping[str, ContentTypeUsage]
    complete: bool
    namespaces: Mapping[str, Usage]

    def _repr_html_(self) -> str:
        from sqlitedict_kv.operations.showing import show_store_usage  # noqa: PLC0415 - for notebooks alone

        return show_store_usage(self)


class EntrySummary(NamedTuple, Generic[K]):
    """What is known of an entry without its value.

    Attributes:
        namespace: the name of its namespace.
        key: its key.
        size: the bytes of its encoded value.
        content_type: how its value is encoded.
        version: its version.
        expires_at: when it expires; None is never.
        updated_at: when it was written.
    """

    namespace: str
    key: K
    size: int
    content_type: str
    version: int
    expires_at: datetime | None
    updated_at: datetime


class _Tally:
    """The sums over entries."""

    def __init__(self) -> None:
        self.expired = self.files = self.file_bytes = 0
        self.oldest: float = math.inf
        self.newest: float = -math.inf
        self.next_expiry: float = math.inf
        self.types: dict[str, list[int]] = {}
        self.complete = True
        self.biggest: RecordSummary | None = None

    def add(self, page: Iterable[RecordSummary], now: int) -> None:
        """Count entries as they are at *now*."""
        types = self.types
        most = -1 if self.biggest is None else self.biggest.size
        for each in page:
            _, size, content_type, _, expires_at, updated_at, in_file = each
            if expires_at is not None:
                if expires_at <= now:  # as RecordSummary.is_live
                    self.expired += 1
                    continue
                self.next_expiry = min(self.next_expiry, expires_at)
            sums = types.get(content_type) or types.setdefault(content_type, [0, 0])
            sums[0] += 1
            sums[1] += size
            if size > most:
                self.biggest, most = each, size
            self.oldest = min(self.oldest, updated_at)
            self.newest = max(self.newest, updated_at)
            if in_file:
                self.files += 1
                self.file_bytes += size

    def merge(self, other: _Tally) -> None:
        """Add what another one has counted."""
        self.expired += other.expired
        self.files += other.files
        self.file_bytes += other.file_bytes
        self.oldest, self.newest = min(self.oldest, other.oldest), max(self.newest, other.newest)
        self.next_expiry = min(self.next_expiry, other.next_expiry)
        self.complete = self.complete and other.complete
        for content_type, (entries, size) in other.types.items():
            sums = self.types.setdefault(content_type, [0, 0])
            sums[0] += entries
            sums[1] += size

    def usage(self) -> Usage:
        """Return the sums as they are shown."""
        ordered = sorted(self.types.items(), key=lambda item: (-item[1][1], item[0]))
        by_type = {name: ContentTypeUsage(*sums) for name, sums in ordered}
        return Usage(
            entries=sum(each.entries for each in by_type.values()),
            expired=self.expired,
            bytes=sum(each.bytes for each in by_type.values()),
            files=self.files,
            file_bytes=self.file_bytes,
            oldest=None if math.isinf(self.oldest) else moment(int(self.oldest)),
            newest=None if math.isinf(self.newest) else moment(int(self.newest)),
            next_expiry=None if math.isinf(self.next_expiry) else moment(int(self.next_expiry)),
            by_content_type=by_type,
            complete=self.complete,
        )


class Survey(NamedTuple):
    """Sizes by namespace, the largest live entries of all, and the largest one of each namespace that has any."""

    namespaces: dict[str, Usage]
    total: Usage
    largest: list[EntrySummary[Any]]
    biggest: dict[str, EntrySummary[Any]]

    def store_usage(self) -> StoreUsage:
        """Return the sizes as those of a store."""
        return StoreUsage(*self.total, namespaces=self.namespaces)


def survey(
    context: StoreContext,
    names: list[str] | None,
    *,
    most: int = 0,
    deadline: float | None = None,
    progress: Progress | None = None,
    lenient: bool = False,
) -> Survey:
    """Walk through namespaces, and return their sizes and their *most* largest entries.

    Args:
        context: of the store.
        names: those of the namespaces; None is all, but for those that cannot be walked through.
        most: how many of the largest entries to return.
        deadline: seconds after which to stop; each namespace that is left by then has at least a share of them.
        progress: see :func:`sqlitedict_kv.operations.progress.report`.
        lenient: leave out what cannot be walked through of *names* too.
    """
    seconds = None if deadline is None else check_timeout(deadline, "deadline")
    walked = context.engine.namespaces(FOREVER) if names is None else names
    tallies = {name: _Tally() for name in walked}
    total = _Tally()
    largest: list[tuple[str, RecordSummary]] = []
    with report(progress, "counting") as tell:
        rows = None if progress is None or progress is False else optional.rows_of(context.engine, walked)
        done = 0
        for name, page in _walk(context, tallies, seconds, stops=names is not None and not lenient):
            now = context.now()
            tallies[name].add(page, now)
            if most:
                live = ((name, each) for each in page if each.is_live(now))
                largest = nlargest(most, chain(largest, live), key=_size)
            done += len(page)
            tell(done, rows)
    for tally in tallies.values():
        total.merge(tally)
    usages = {name: tally.usage() for name, tally in tallies.items()}
    biggest = {name: summary_of(name, tally.biggest) for name, tally in tallies.items() if tally.biggest is not None}
    return Survey(usages, total.usage(), [summary_of(name, each) for name, each in largest], biggest)


def _walk(
    context: StoreContext, tallies: dict[str, _Tally], seconds: float | None, *, stops: bool
) -> Iterator[tuple[str, list[RecordSummary]]]:
    """Yield the entries of namespaces by pages, and note in the tallies where it was not to the end."""
    end = math.inf if seconds is None else time.monotonic() + seconds
    for number, (name, tally) in enumerate(tallies.items()):
        start = time.monotonic()
        tally.complete = False
        if start >= end and number:
            continue
        until = start + (end - start) / (len(tallies) - number)
        with suppress(*(() if stops else (UnsupportedError,))):  # made with ordered=False
            for page in summary_pages(context, KeyRange(name)):
                yield name, page
                if time.monotonic() >= until:
                    break
            else:
                tally.complete = True


def summary_pages(context: StoreContext, span: KeyRange) -> Iterator[list[RecordSummary]]:
    """Yield the entries of a span without their values, expired ones too, by pages; no lock is held between them."""
    while page := optional.summaries(context.engine, span, SUMMARIES_PER_PAGE):
        yield page
        span = span._replace(after=page[-1].key)


def summary_of(namespace: str, found: RecordSummary) -> EntrySummary[Any]:
    """Return what is known of an entry, as its user sees it."""
    key, size, content_type, version, expires_at, updated_at, _ = found
    expiry = None if expires_at is None else moment(expires_at)
    return EntrySummary(namespace, key, size, content_type, version, expiry, moment(updated_at))


def _size(item: tuple[str, RecordSummary]) -> int:
    return item[1].size
