"""Exchange of whole stores as lines of JSON: export, and import."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from sqlitedict_kv.engines.protocol import Engine, KeyRange, Put, Tags
from sqlitedict_kv.engines.record import Record
from sqlitedict_kv.engines.sqlite import SQLiteEngine
from sqlitedict_kv.engines.sqlite.administration.restore import import_records
from sqlitedict_kv.operations import optional
from sqlitedict_kv.operations.context import StoreContext
from sqlitedict_kv.operations.optional import highest, require_restorable
from sqlitedict_kv.operations.progress import Progress, Report, ignore, report
from sqlitedict_kv.operations.whole_entries import body_for, read_tags, read_whole, taggable
from sqlitedict_kv.store import Store
from sqlitedict_kv.tools.json_lines import (
    EndOfFile,
    EndOfNamespace,
    EntryLine,
    check_first_line,
    end_of_file,
    end_of_namespace,
    first_line,
    make_writer,
    read_line,
)

ENTRIES_PER_PAGE = 1000
BYTES_PER_PAGE = 4 * 2**20


class ImportReport(NamedTuple):
    """What an import did.

    Attributes:
        entries: how many entries it wrote.
        expired: how many it left out, as they had expired.
        namespaces: the names of those that it wrote to, in the order of the file.
        complete: whether the file has its last line, and with it all of its entries.
    """

    entries: int
    expired: int
    namespaces: tuple[str, ...]
    complete: bool


def export_lines(
    store: Store, namespaces: Iterable[str] | None = None, prefix: str = "", progress: Progress | None = None
) -> Iterator[bytes]:
    """Yield the live entries of a store as lines of JSON, a page of lines at a time.

    Each is as it was at some moment meanwhile: no lock is held between the pages.

    Args:
        store: the store.
        namespaces: their names; None is all that have entries.
        prefix: only keys that begin with it.
        progress: True shows a bar; a function is called after each page with the number of entries so far, and about
            how many there are.
    """
    with report(progress, "exporting") as tell:
        yield from _export(store._context, namespaces, prefix, tell)  # noqa: SLF001 - it goes below the codecs


def _export(context: StoreContext, namespaces: Iterable[str] | None, prefix: str, tell: Report) -> Iterator[bytes]:
    names = context.engine.namespaces(context.now()) if namespaces is None else list(namespaces)
    total = None
    if tell is not ignore and not prefix:
        total = optional.rows_of(context.engine, names)
    done = 0
    yield first_line()
    for name in names:
        write = make_writer(name)
        span = KeyRange(name, prefix)
        while page := context.engine.records(span, ENTRIES_PER_PAGE, context.now()):
            yield from _lines_of(context, name, page, write)
            span = span._replace(after=page[-1][0])
            done += len(page)
            tell(done, total)
        yield end_of_namespace(name, highest(context.engine, name))
    yield end_of_file(done)


def _lines_of(
    context: StoreContext, namespace: str, page: list[tuple[str, Record]], write: Callable[..., bytes]
) -> Iterator[bytes]:
    """Yield the lines of a page, as many at a time as take little memory."""
    lines: list[bytes] = []
    size = 0
    entries, tags = read_tags(context, namespace, page)
    for key, record, body in read_whole(context, namespace, entries):
        whole = record if body is record.body else record._replace(body=bytes(body))
        lines.append(write(key, whole, tags.get(key, ())))
        size += len(lines[-1])
        if size >= BYTES_PER_PAGE:
            yield b"".join(lines)
            lines, size = [], 0
    if lines:
        yield b"".join(lines)


def import_lines(
    store: Store,
    lines: Iterable[bytes],
    namespaces: Iterable[str] | None = None,
    rename: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> ImportReport:
    """Write the entries of an export; an entry that is there is replaced, others stay.

    In a file, an entry has the version and the time of its update that it had, unless its namespace has given that
    version before; then it gets a greater one, as all that is written later does. On servers it gets a greater version.
    It goes by pages, each written in one step: what raises in the middle leaves the pages before it written.

    Args:
        store: the store to write.
        lines: those of an export, without a limit on how many at a time.
        namespaces: the names of those to take, as they are in the export; None is all.
        rename: new names of namespaces, by the old ones.
        progress: True shows a bar; a function is called after each page with the number of entries so far, and None.

    Raises:
        ValueError, TypeError: a line is not one of an export; the error says which.
        TooLargeError: an entry is larger than the store allows.
    """
    chosen = None if namespaces is None else set(namespaces)
    with report(progress, "importing") as tell:
        return _Importer(store, chosen, dict(rename or {}), tell).run(lines)


class _Importer:
    """One run of :func:`import_lines`."""

    def __init__(self, store: Store, chosen: set[str] | None, rename: dict[str, str], tell: Report) -> None:
        self._context = store._context  # noqa: SLF001 - it goes below the codecs
        self._chosen = chosen
        self._rename = rename
        self._tell = tell
        self._namespace = ""
        self._page: dict[str, Record] = {}
        self._tags: dict[str, tuple[str, ...]] = {}
        self._bytes = 0
        self._names: dict[str, None] = {}
        self._seen = self._written = self._expired = 0
        require_restorable(self._context.engine)

    def run(self, lines: Iterable[bytes]) -> ImportReport:
        """Read all lines."""
        complete = False
        number = 0
        for number, line in enumerate(lines, 1):
            try:
                if number == 1:
                    check_first_line(line)
                elif line.strip():
                    complete = self._take(line)
            except (ValueError, TypeError) as error:  # ours among them
                raise type(error)(f"line {number}: {error}") from None
        if not number:
            raise ValueError("it is empty; an export has a first line")
        self._flush()
        return ImportReport(self._written, self._expired, tuple(self._names), complete)

    def _take(self, line: bytes) -> bool:
        """Take a line; return whether it was the last one."""
        found = read_line(line)
        if isinstance(found, EndOfFile):
            if found.entries != self._seen:
                raise ValueError(f"the export has {found.entries:,} entries, and {self._seen:,} were read")
            return True
        if isinstance(found, EntryLine):
            self._seen += 1
        if self._chosen is None or found.namespace in self._chosen:
            name = self._rename.get(found.namespace, found.namespace)
            if isinstance(found, EndOfNamespace):
                self._flush()
                self._raise_floor(name, found.highest)
            else:
                self._add(name, found.key, found.record, found.tags)
        return False

    def _add(self, name: str, key: str, record: Record, tags: tuple[str, ...]) -> None:
        context = self._context
        if not record.is_live(context.now()):
            self._expired += 1
            return
        size = len(record.body)
        if size > context.max_value_bytes:
            body, content_type = body_for(context, name, key, record.body, record.content_type)
            record = record._replace(body=body, content_type=content_type)
        full = len(self._page) >= ENTRIES_PER_PAGE or self._bytes >= BYTES_PER_PAGE
        if full or name != self._namespace or key in self._page:
            self._flush()
        self._namespace = name
        self._page[key] = record
        if tags:
            self._tags[key] = tags
        self._bytes += size

    def _flush(self) -> None:
        if not self._page:
            return
        tags = taggable(self._context, self._tags)
        write_records(self._context.engine, self._namespace, self._page, self._context.now(), tags)
        self._names[self._namespace] = None
        self._written += len(self._page)
        self._page, self._tags, self._bytes = {}, {}, 0
        self._tell(self._written, None)

    def _raise_floor(self, name: str, version: int) -> None:
        """Let keys that are created later have versions above all that the source gave."""
        if version > 0:
            require_restorable(self._context.engine).restore(name, [], version, self._context.now())


def write_records(engine: Engine, namespace: str, records: Mapping[str, Record], now: int, tags: Tags) -> None:
    """Write records of a namespace in one step, at their own versions where the engine can."""
    if isinstance(engine, SQLiteEngine):
        import_records(engine._database, namespace, records, now, tags)  # noqa: SLF001 - administration of a file
        return
    puts = [
        Put(namespace, key, each.body, each.content_type, each.expires_at, tags=tags.get(key, ()))
        for key, each in records.items()
    ]
    above = max(highest(engine, namespace), *(record.version for record in records.values()))
    require_restorable(engine).restore(namespace, puts, above, now)
