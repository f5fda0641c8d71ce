"""Summaries of entries by pages, as the commands of the shell walk through them."""

from __future__ import annotations

from collections.abc import Iterator

from sqlitedict_kv.codecs.file_reference import described
from sqlitedict_kv.engines.optional import RecordSummary
from sqlitedict_kv.engines.protocol import KeyRange
from sqlitedict_kv.engines.record import Record
from sqlitedict_kv.operations.usage import EntrySummary, summary_of, summary_pages
from sqlitedict_kv.store import Store


def walk_summaries(
    store: Store, namespace: str, prefix: str = "", *, after: str | None = None, reverse: bool = False
) -> Iterator[EntrySummary[str]]:
    """Yield what is known of the live entries of a namespace, in the order of their keys; no value is read.

    Args:
        store: the store.
        namespace: its name.
        prefix: the beginning of the keys.
        after: the key to start behind, in the direction of the walk.
        reverse: from the last to the first.
    """
    context = store._context  # noqa: SLF001 - below the codecs, for nothing is decoded
    for page in summary_pages(context, KeyRange(namespace, prefix, after, reverse)):
        now = context.now()
        for found in page:
            if found.is_live(now):
                yield summary_of(namespace, found)


def summary_of_record(namespace: str, key: str, record: Record) -> EntrySummary[str]:
    """Return what is known of a record that was read."""
    content_type, size = described(record.body, record.content_type)  # of a value in a file, its own
    found = RecordSummary(key, size, content_type, record.version, record.expires_at, record.updated_at)
    return summary_of(namespace, found)
