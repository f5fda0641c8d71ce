"""Summaries of entries: what is known of each without decoding its value."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from sqlitedict_kv.engines.protocol import KeyRange
from sqlitedict_kv.engines.record import Record
from sqlitedict_kv.operations.context import moment
from sqlitedict_kv.store import Store


class Summary(NamedTuple):
    """An entry without its value.

    Attributes:
        key: the key, as it is stored.
        version: its version.
        content_type: how its value is encoded.
        size: the bytes of the encoded value.
        updated_at: when it was written.
        expires_at: when it expires; None is never.
    """

    key: str
    version: int
    content_type: str
    size: int
    updated_at: datetime
    expires_at: datetime | None


def walk_summaries(store: Store, namespace: str, prefix: str = "", *, reverse: bool = False) -> Iterator[Summary]:
    """Yield the live entries of a namespace in the order of their keys, by pages."""
    context = store._context  # noqa: SLF001 - below the codecs, for nothing is decoded
    for page in context.pages(KeyRange(namespace, prefix, reverse=reverse)):
        for key, record in page:
            yield summary_of(key, record)


def summary_of(key: str, record: Record) -> Summary:
    """Return the summary of a record."""
    expires_at = None if record.expires_at is None else moment(record.expires_at)
    size, updated_at = len(record.body), moment(record.updated_at)
    return Summary(key, record.version, record.content_type, size, updated_at, expires_at)
