"""Whole entries on their way from one store to another: values in files are read, and written to files again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlitedict_kv.codecs.body_parts import BodyParts
from sqlitedict_kv.engines.record import Record
from sqlitedict_kv.errors import EntryGoneError, TooLargeError
from sqlitedict_kv.operations.context import StoreContext
from sqlitedict_kv.operations.optional import whole_body

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
