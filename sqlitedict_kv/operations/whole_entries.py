"""Whole entries on their way from one store to another: values in files are read, and written to files again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlitedict_kv.codecs.body_parts import BodyParts
from sqlitedict_kv.engines.protocol import Tags
from sqlitedict_kv.engines.record import Record
from sqlitedict_kv.errors import EntryGoneError, TooLargeError
from sqlitedict_kv.operations import optional
from sqlitedict_kv.operations.context import StoreContext
from sqlitedict_kv.operations.optional import whole_body

Page = list[tuple[str, Record]]

FILES_PER_STEP = 32  # that are open at once
BYTES_PER_STEP = 4 * 2**20  # of values that are held at once, or one value


def read_whole(
    context: StoreContext, namespace: str, page: Iterable[tuple[str, Record]]
) -> Iterator[tuple[str, Record, bytes | memoryview]]:
    """Yield entries with their encoded values, the record with the content type of that; leave out what is gone."""
    for key, record in page:
        try:
            body, content_type = whole_body(context.engine, namespace, key, record)
        except EntryGoneError:
            continue
        yield key, record._replace(content_type=content_type), body


def read_tags(context: StoreContext, namespace: str, page: Page) -> tuple[Page, Tags]:
    """Return entries of a page with their tags, each as of one moment: one that was written meanwhile is read again."""
    engine, records, tags = context.engine, dict(page), dict[str, tuple[str, ...]]()
    asked = list(records) if optional.has(engine, "tags_of") else []
    while asked:
        again: list[str] = []
        for key, (version, found) in optional.require_tagging(engine).tags_of(namespace, asked).items():
            if version == records[key].version:
                tags[key] = found
            elif version > records[key].version:
                again.append(key)
        newer = engine.read_many(namespace, again)
        records.update(newer)
        asked = list(newer)
    return list(records.items()), tags


def taggable(context: StoreContext, tags: Tags) -> Tags:
    """Return tags that are to be written to a store; raise UnsupportedError if it keeps none."""
    if tags:
        optional.require_tagging(context.engine)
    return tags


def body_for(
    context: StoreContext, namespace: str, key: str, body: bytes | memoryview, content_type: str
) -> tuple[bytes, str]:
    """Return what is to be in an entry of a store for an encoded value; a large one is written to a file.

    Raises:
        TooLargeError: it takes more bytes than the store allows.
    """
    if len(body) <= context.max_value_bytes:
        return bytes(body), content_type
    try:
        return context.put_elsewhere(BodyParts((body,)), content_type)
    except TooLargeError as error:
        reason = str(error).removeprefix("value ")
        raise TooLargeError(f"the entry {key!r} in namespace {namespace!r} {reason}") from None
