"""Copy of the entries of a store to another store: ``sqlitedict_kv.copy(source, target)``."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from secrets import token_hex
from typing import NamedTuple

from sqlitedict_kv.codecs.json_engine import ENGINE
from sqlitedict_kv.engines.protocol import Delete, KeyRange, Put
from sqlitedict_kv.engines.record import Record
from sqlitedict_kv.operations.context import StoreContext
from sqlitedict_kv.operations.optional import highest, require_restorable
from sqlitedict_kv.operations.progress import report
from sqlitedict_kv.operations.whole_entries import (
    BYTES_PER_STEP,
    FILES_PER_STEP,
    body_for,
    read_tags,
    read_whole,
    taggable,
)
from sqlitedict_kv.options import MEMORY
from sqlitedict_kv.store import Store
from sqlitedict_kv.validation import check_bool, check_callable, check_namespace

ENTRIES_PER_PAGE = 1000
BOOKMARKS = "sqlitedict_kv.copying"  # the namespace of a target that holds the progress of copies
EVER = -1  # a time at which nothing has expired

Progress = Callable[[str, int, int | None], object]


class CopyReport(NamedTuple):
    """What a copy did.

    Attributes:
        copied: how many entries it copied.
        resumed: how many an interrupted copy had copied before, where this one went on.
        namespaces: the names of those that were to be copied, in order.
    """

    copied: int
    resumed: int
    namespaces: tuple[str, ...]


def copy(
    source: Store,
    target: Store,
    namespaces: Iterable[str] | None = None,
    progress: Progress | bool | None = None,  # noqa: FBT001 - by its place since it took functions alone
    *,
    afresh: bool = False,
) -> CopyReport:
    """Copy entries as they are: their bytes, content types and deadlines; no codec is asked.

    It goes by pages, each written in one step. If it is interrupted, by an error or the end of the process, calling
    it again with the same source, target and namespaces goes on behind the last page; calling it after it has returned
    copies everything again. An entry that is there all the while is copied, as it was at some moment in between; what
    has expired is not. Entries that only the target has stay as they are.

    Each entry that is copied, and each key that is created in these namespaces later, gets a version greater than all
    that its namespace gave before, here and there, so a version that a caller still holds matches nothing. This holds
    for versions that the source gave before the copy began: do not write to the source after that, nor to the
    target before the copy has returned, because such a write may be overwritten.

    Args:
        source: the store to read.
        target: the store to write. A namespace that it has not got yet is made as ``target.ns(name, shards=...,
            ordered=...)`` said before.
        namespaces: their names; None is all that have entries.
        progress: True shows a bar; a function is called after each page with the namespace, how many of its entries
            were copied so far, by interrupted copies too, and about how many there are, None where that is not known.
            What it raises stops the copy.
        afresh: start again even if a copy was interrupted.

    Returns:
        How many entries were copied, and which namespaces.

    Raises:
        TypeError, ValueError: an argument is not as described, or source and target are the same store.
        UnsupportedError: a namespace of the source was made with ``ordered=False``; nothing was copied.
        DamagedEntryError: an entry of the source is damaged, the error says which; delete or restore it, and go on.
        TooLargeError: an entry is larger than the target allows.
        StoreError: one of the stores failed.
    """
    if progress is True:
        with report(True, "copying") as tell:
            return copy(source, target, namespaces, lambda _, done, total: tell(done, total), afresh=afresh)
    reader, writer = _core_of(source, "source"), _core_of(target, "target")
    chosen = None if namespaces is None else _check_names(namespaces)
    watcher = None if progress is None or progress is False else check_callable(progress, "progress")
    check_bool(afresh, "afresh")
    if reader.engine is writer.engine:
        raise ValueError(f"source and target are the same store, {source!r}")
    names = _names_in(reader) if chosen is None else chosen
    for name in names:
        reader.engine.keys(
            KeyRange(name), 1, reader.now()
        )  # raises where keys cannot be listed, before anything is done
    require_restorable(writer.engine)
    bookmark = _Bookmark(reader, writer, chosen)
    begin = NOWHERE if afresh else bookmark.found()
    bookmark.put(begin)
    if bookmark.is_in(reader):
        bookmark.remove()
        raise ValueError(f"source and target are the same store, {source!r} and {target!r}")
    position = begin
    for name in names:
        if name >= position.namespace:
            position = _copy_namespace(name, reader, writer, bookmark, position, watcher)
    bookmark.remove()
    return CopyReport(position.copied - begin.copied, begin.copied, tuple(names))


def _copy_namespace(
    name: str,
    reader: StoreContext,
    writer: StoreContext,
    bookmark: _Bookmark,
    position: _Position,
    progress: Progress | None,
) -> _Position:
    """Copy what is left of a namespace and return how far the copy has come."""
    if name != position.namespace:
        position = _Position(name, None, position.copied, 0)
    target = require_restorable(writer.engine)
    above = max(highest(reader.engine, name), target.highest(name))
    target.restore(name, [], above, writer.now())  # a namespace may have had versions and have no entries
    total = None if progress is None else reader.engine.count(name, reader.now())[0]
    span = KeyRange(name, after=position.after)
    while page := reader.engine.records(span, ENTRIES_PER_PAGE, reader.now()):
        above = max(above, *(record.version for _, record in page))
        for edits in _steps(name, page, reader, writer):
            target.restore(name, edits, above, writer.now())
        span = span._replace(after=page[-1][0])
        position = _Position(name, span.after, position.copied + len(page), position.here + len(page))
        bookmark.put(position)
        if progress is not None:
            progress(name, position.here, total)
    return position


def _steps(
    namespace: str, page: list[tuple[str, Record]], reader: StoreContext, writer: StoreContext
) -> Iterator[list[Put]]:
    """Yield the edits that write a page, so many at a time that few large values are held or open at once."""
    edits: list[Put] = []
    size = files = 0
    entries, tags = read_tags(reader, namespace, page)
    taggable(writer, tags)
    for key, record, whole in read_whole(reader, namespace, entries):
        body, content_type = body_for(writer, namespace, key, whole, record.content_type)
        edits.append(Put(namespace, key, body, content_type, record.expires_at, tags=tags.get(key, ())))
        files += content_type != record.content_type
        size += len(body)
        if files >= FILES_PER_STEP or size >= BYTES_PER_STEP:
            yield edits
            edits, size, files = [], 0, 0
    if edits:
        yield edits


# -- how far a copy has come


class _Position(NamedTuple):
    """How far a copy has come; namespaces are copied in order, and their keys too."""

    namespace: str
    after: str | None  # the last key of it that was copied
    copied: int  # entries so far
    here: int  # of them, those of this namespace


NOWHERE = _Position("", None, 0, 0)


class _Bookmark:
    """An entry of the target that holds the progress of a copy.

    It is written after each page, not with it, so a page may be copied twice, which leaves it as it is.
    """

    def __init__(self, reader: StoreContext, writer: StoreContext, chosen: list[str] | None) -> None:
        """Describe the progress of the copy of *chosen* from one store to another."""
        self._writer = writer
        self._source = reader.engine.label
        identity = _identity(self._source)
        self._lasting = identity is not None
        self._key = sha256(ENGINE.dumps([identity, chosen])).hexdigest()
        self._run = token_hex(16)

    def found(self) -> _Position:
        """Return how far an interrupted copy came."""
        record = self._writer.engine.read(BOOKMARKS, self._key) if self._lasting else None
        if record is None:
            return NOWHERE
        kept = ENGINE.loads(record.body)
        return _Position(kept["namespace"], kept["after"], kept["copied"], kept["here"])

    def put(self, position: _Position) -> None:
        """Write how far this copy has come."""
        body = ENGINE.dumps({"source": self._source, "run": self._run, **position._asdict()})
        self._writer.engine.put(BOOKMARKS, self._key, body, "application/json", None, self._writer.now())

    def is_in(self, context: StoreContext) -> bool:
        """Return whether a store has what was written into the target, and so is the target, whatever its name."""
        record = context.engine.read(BOOKMARKS, self._key)
        return record is not None and ENGINE.loads(record.body)["run"] == self._run

    def remove(self) -> None:
        """Forget the progress, so that the next copy starts again."""
        self._writer.engine.commit([Delete(BOOKMARKS, self._key)], self._writer.now())


def _identity(label: str) -> tuple[str | int, ...] | None:
    """Return the identity of a store among all machines; None if it has no identity."""
    if label == MEMORY:
        return None
    if "://" in label:
        return socket.gethostname(), label
    path = os.path.realpath(label)
    try:
        return socket.gethostname(), path, os.stat(path).st_ino  # which differs if the file was replaced, mostly
    except OSError:
        return None


# -- arguments


def _core_of(store: object, argument: str) -> StoreContext:
    if not isinstance(store, Store):
        raise TypeError(
            f"{argument} must be a Store, not {type(store).__name__}; that of an AsyncStore is its sync_store"
        )
    return store._context  # noqa: SLF001 - it goes below the codecs, as no user of a store does


def _check_names(namespaces: object) -> list[str]:
    """Return names of namespaces in order, without repetitions."""
    if isinstance(namespaces, str | bytes) or not isinstance(namespaces, Iterable):
        raise TypeError(f"namespaces must be an iterable of str, not {type(namespaces).__name__}")
    names = sorted({check_namespace(name, "namespaces") for name in namespaces})
    if BOOKMARKS in names:
        raise ValueError(f"namespaces must not have {BOOKMARKS!r}, which holds the progress of copies")
    return names


def _names_in(context: StoreContext) -> list[str]:
    """Return the names of all namespaces with entries, expired ones too: their versions must not come again."""
    return [name for name in context.engine.namespaces(EVER) if name != BOOKMARKS]
