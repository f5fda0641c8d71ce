"""The optional verbs of an engine, or a clear refusal where it lacks one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, cast

from sqlitedict_kv.codecs.body_parts import BodyParts
from sqlitedict_kv.codecs.file_reference import FILE
from sqlitedict_kv.codecs.limits import too_large
from sqlitedict_kv.codecs.registry import Codecs
from sqlitedict_kv.engines.optional import (
    AgingEngine,
    DataVersionEngine,
    ExclusiveEngine,
    FilesOfValues,
    GroupingEngine,
    LayoutEngine,
    MaintainedEngine,
    MarkingEngine,
    MergingEngine,
    Quarantine,
    RecordSummary,
    RestorableEngine,
    SummarizingEngine,
    TaggingEngine,
)
from sqlitedict_kv.engines.protocol import (
    Advance,
    CheckReport,
    Decode,
    Edit,
    Engine,
    KeyRange,
    Layout,
    Outcome,
    Put,
    Tags,
)
from sqlitedict_kv.engines.record import Record
from sqlitedict_kv.errors import ConflictError, KVError, TooLargeError, UnsupportedError

Stage = Callable[[bytes | BodyParts, str], tuple[bytes, str]]

RECORDS_PER_STEP = 1000
FOREVER: Final = 0  # a time at which nothing has expired

# What is refused by which verb, and what to do instead.
REFUSALS = {
    "keys_by_age": "by_age() needs an engine that keeps the order of creation, as that of a file does; use list()",
    "exclusive": "exclusive() needs a store in a file; use atomic() or modify(), which hold no lock",
    "forget_tag": "tags= and forget_tag() need an engine that keeps tags, as those of files and servers do",
    "restore": "copy() cannot write here: the engine has no way to continue the versions of the source",
    "vacuum": "vacuum() is for files; other storage manages its space by itself",
    "backup": "backup() is for files; use the means of the servers, or copy() into a file",
    "sync": "sync() is for files; servers sync as they are configured, see also confirm=",
}


def has(engine: Engine, verb: str) -> bool:
    """Return whether an engine has an optional verb."""
    return getattr(engine, verb, None) is not None


def data_version(engine: Engine) -> Callable[[], object] | None:
    """Return a function that returns another object after each commit, at once; None if the engine has none."""
    return cast("DataVersionEngine", engine).data_version(waiting=False) if has(engine, "data_version") else None


def change_mark(engine: Engine, namespace: str, key: str) -> Callable[[], object] | None:
    """Return a function that returns another object once an entry changed, at once; None if the engine has none.

    It may return another object at other changes too, and returns None while it does not know.
    """
    if has(engine, "change_mark"):
        return cast("MarkingEngine", engine).change_mark(namespace, key)
    return data_version(engine)


def _require(engine: Engine, verb: str) -> Any:
    if not has(engine, verb):
        raise UnsupportedError(f"{REFUSALS[verb]} (this store is {engine.label})")
    return engine


def require_aging(engine: Engine) -> AgingEngine:
    """Return an engine that knows the order of creation."""
    return cast("AgingEngine", _require(engine, "keys_by_age"))


def require_exclusive(engine: Engine) -> ExclusiveEngine:
    """Return an engine with transactions that stay open."""
    return cast("ExclusiveEngine", _require(engine, "exclusive"))


def require_restorable(engine: Engine) -> RestorableEngine:
    """Return an engine into which entries can be copied."""
    return cast("RestorableEngine", _require(engine, "restore"))


def require_tagging(engine: Engine) -> TaggingEngine:
    """Return an engine whose entries may have tags."""
    return cast("TaggingEngine", _require(engine, "forget_tag"))


def require_maintained(engine: Engine, verb: str) -> MaintainedEngine:
    """Return an engine that has the verb, which looks after its storage."""
    return cast("MaintainedEngine", _require(engine, verb))


# -- what is done without


def declare(engine: Engine, namespace: str, layout: Layout) -> None:
    """Tell an engine on several machines how to lay out a namespace; the others have no use for it."""
    if has(engine, "declare"):
        cast("LayoutEngine", engine).declare(namespace, layout)


class Staging:
    """Writes values to files of their own, those that are within a limit."""

    def __init__(self, files: FilesOfValues, limit: int | None) -> None:
        """Write by *files*, at most *limit* bytes of a value; None is no limit."""
        self._limit = limit
        self.begin = files.begin
        self.finish = files.finish
        self._stage = files.stage

    def __call__(self, body: bytes | BodyParts, content_type: str) -> tuple[bytes, str]:
        """Return what stands in an entry for a value, and the content type of that."""
        self.require_within(len(body), content_type)
        return self._stage(body, content_type)

    def require_within(self, size: int, content_type: str, *, least: bool = False) -> None:
        """Raise TooLargeError if a value is over the limit; *least* is whether there may be more of it."""
        if self._limit is not None and size > self._limit:
            raise TooLargeError(too_large(size, self._limit, content_type, least=least))


def staging(engine: Engine, codecs: Codecs, limit: int | None) -> Staging | None:
    """Return what writes values to files of their own, *limit* bytes at most; None if all are in their entries.

    The codecs of the store learn to read such values.
    """
    access = codecs.file_access
    access.read, access.map, access.open = (getattr(engine, verb, None) for verb in ("load", "map", "open_body"))
    files: FilesOfValues | None = getattr(engine, "value_files", None)
    return None if files is None else Staging(files, limit)


def whole_body(engine: Engine, namespace: str, key: str, record: Record) -> tuple[bytes | memoryview, str]:
    """Return the encoded value of an entry and its content type, be it in a file of its own.

    Raises:
        EntryGoneError: the entry was removed meanwhile.
        DamagedEntryError: the file is missing or damaged.
    """
    read_body = getattr(engine, "read_body", None) if record.content_type == FILE else None
    if read_body is None:
        return record.body, record.content_type
    found: tuple[bytes | memoryview, str] = read_body(namespace, key, record.body)
    return found


def quarantine_of(engine: Engine) -> Quarantine | None:
    """Return how damaged storage was replaced when the engine was opened; None if it was not."""
    return cast("Quarantine | None", getattr(engine, "quarantined", None))


def highest(engine: Engine, namespace: str) -> int:
    """Return the highest version that a namespace is known to have given, 0 if none is known."""
    return cast("RestorableEngine", engine).highest(namespace) if has(engine, "highest") else 0


def probe(engine: Engine, now: int) -> list[str]:
    """Try whether an engine works; raise what fails, return what is a danger."""
    if has(engine, "probe"):
        return cast("MaintainedEngine", engine).probe()
    engine.figures(now)
    return []


def rows_of(engine: Engine, names: Iterable[str]) -> int | None:
    """Return how many entries namespaces have, expired ones too; None if that is not known."""
    with suppress(UnsupportedError):  # made with ordered=False
        return sum(sum(engine.count(name, FOREVER)) for name in names)
    return None


def check(engine: Engine, decode: Decode, advance: Advance | None = None) -> CheckReport:
    """Verify a whole store: by the engine itself, or by reading every value."""
    if has(engine, "check"):
        return cast("MaintainedEngine", engine).check(decode, advance)
    problems: list[str] = []
    entries = 0
    for namespace in engine.namespaces(FOREVER):
        span = KeyRange(namespace)
        while page := engine.records(span, RECORDS_PER_STEP, FOREVER):
            for key, record in page:
                try:
                    decode(namespace, key, record.body, record.content_type)
                except KVError as error:
                    problems.append(str(error))
            entries += len(page)
            if advance is not None:
                advance(entries)
            span = span._replace(after=page[-1][0])
    return CheckReport(not problems, entries, 0, tuple(problems))


def merge(engine: Engine, namespace: str, records: Mapping[str, Record], now: int, tags: Tags) -> int:
    """Write those records of a namespace that are newer than what is there, with their tags; return how many."""
    if has(engine, "merge"):
        return cast("MergingEngine", engine).merge(namespace, records, now, tags)
    return sum(_merge_one(engine, (namespace, key), record, now, tags.get(key, ())) for key, record in records.items())


def _merge_one(engine: Engine, name: tuple[str, str], record: Record, now: int, tags: tuple[str, ...]) -> bool:
    written = record.updated_at  # the time of the commit, so that the entry keeps it
    while record.is_newer_than(there := engine.read(*name), now):
        expected = there.version if there is not None and there.is_live(written) else 0
        try:
            engine.commit([Put(*name, *record[:2], record.expires_at, expected, tags)], written)
        except ConflictError:
            continue  # another one wrote meanwhile: that may be newer
        return True
    return False


def tags_of(engine: Engine, namespace: str, versions: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    """Return the tags of those keys that have some, as of the versions that are given for them."""
    if not has(engine, "tags_of"):
        return {}
    found = cast("TaggingEngine", engine).tags_of(namespace, list(versions))
    return {key: tags for key, (version, tags) in found.items() if version == versions[key]}


def summaries(engine: Engine, span: KeyRange, limit: int) -> list[RecordSummary]:
    """Return the first entries of a range without their values, expired ones too."""
    if has(engine, "summaries"):
        return cast("SummarizingEngine", engine).summaries(span, limit)
    return [RecordSummary(key, len(record.body), *record[1:]) for key, record in engine.records(span, limit, FOREVER)]


def put_at_once_of(engine: Engine) -> Callable[[Put, int], int | None]:
    """Return what writes one entry and returns its version; None if that may have to wait: nothing was written."""
    if has(engine, "put_at_once"):
        return cast("GroupingEngine", engine).put_at_once

    def put_at_once(edit: Put, now: int) -> int | None:
        return engine.put(edit.namespace, edit.key, edit.body, edit.content_type, edit.expires_at, now)

    return put_at_once


def commit_groups(
    engine: Engine, claim: Callable[[], Sequence[Sequence[Edit]]], clock: Callable[[], int]
) -> list[Outcome]:
    """Apply groups of edits, each all or none: in one transaction, or one after the other."""
    if has(engine, "commit_groups"):
        return cast("GroupingEngine", engine).commit_groups(claim, clock)
    outcomes: list[Outcome] = []
    groups, now = claim(), clock()
    for group in groups:
        try:
            outcomes.append(engine.commit(group, now))
        except Exception as error:
            outcomes.append(error)
    return outcomes
