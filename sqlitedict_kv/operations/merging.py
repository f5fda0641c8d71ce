"""Merge of the entries of another store: those that are newer are taken over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlitedict_kv.engines.protocol import KeyRange
from sqlitedict_kv.engines.record import Record
from sqlitedict_kv.operations import optional
from sqlitedict_kv.operations.context import StoreContext
from sqlitedict_kv.operations.progress import Progress, ignore, report
from sqlitedict_kv.operations.whole_entries import (
    BYTES_PER_STEP,
    FILES_PER_STEP,
    Page,
    body_for,
    read_tags,
    read_whole,
    taggable,
)
from sqlitedict_kv.validation import check_namespace


def merge(
    target: StoreContext, source: StoreContext, namespaces: Iterable[str] | None, progress: Progress | None
) -> int:
    """Take over what is newer in *source*, and return how many entries; see :meth:`Store.merge`."""
    if source.engine is target.engine:
        raise ValueError(f"a store cannot be merged with itself, {target.engine.label}")
    names = source.engine.namespaces(source.now()) if namespaces is None else _check_names(namespaces)
    for name in names:  # raises where keys cannot be listed, before anything is done
        source.engine.keys(KeyRange(name), 1, source.now())
    merged = done = 0
    with report(progress, "merging") as tell:
        total = None if tell is ignore else optional.rows_of(source.engine, names)
        for name in names:
            for page in source.pages(KeyRange(name)):
                entries, tags = read_tags(source, name, page)
                for records in _steps(target, source, name, entries):
                    merged += optional.merge(target.engine, name, records, target.now(), taggable(target, tags))
                done += len(page)
                tell(done, total)
    return merged


def _steps(target: StoreContext, source: StoreContext, name: str, page: Page) -> Iterator[dict[str, Record]]:
    """Yield what is newer in a page, so much at a time that few large values are held or open at once."""
    there, now = target.engine.read_many(name, [key for key, _ in page]), target.now()
    newer = [(key, record) for key, record in page if record.is_newer_than(there.get(key), now)]
    step: dict[str, Record] = {}
    size = files = 0
    for key, record, whole in read_whole(source, name, newer):
        body, content_type = body_for(target, name, key, whole, record.content_type)
        step[key] = record._replace(body=body, content_type=content_type)
        size += len(body)
        files += content_type != record.content_type
        if size >= BYTES_PER_STEP or files >= FILES_PER_STEP:
            yield step
            step, size, files = {}, 0, 0
    if step:
        yield step


def _check_names(namespaces: object) -> list[str]:
    """Return names of namespaces in order, without repetitions."""
    if isinstance(namespaces, str | bytes) or not isinstance(namespaces, Iterable):
        raise TypeError(f"namespaces must be an iterable of str, not {type(namespaces).__name__}")
    return sorted({check_namespace(name, "namespaces") for name in namespaces})
