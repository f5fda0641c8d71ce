"""Values of single entries for people who only look: records with their bodies, decoded as far as it is allowed."""

from __future__ import annotations

from sqlitedict_kv.engines.optional import RecordSummary
from sqlitedict_kv.engines.protocol import KeyRange
from sqlitedict_kv.engines.record import Record
from sqlitedict_kv.errors import NotKeptHereError
from sqlitedict_kv.operations import optional
from sqlitedict_kv.store import Store


def read_record(store: Store, namespace: str, key: str) -> Record | None:
    """Return an entry with its encoded value, as of one moment; None if there is none."""
    return store._context.read(namespace, key)  # noqa: SLF001 - below the codecs


def size_of(store: Store, namespace: str, key: str) -> int | None:
    """Return the bytes of a value without reading it; None if there is no entry."""
    context = store._context  # noqa: SLF001 - likewise
    found: list[RecordSummary] = optional.summaries(context.engine, KeyRange(namespace, key), 1)  # the shortest key
    live = found and found[0].key == key and found[0].is_live(context.now())
    return found[0].size if live else None


def decode_record(store: Store, namespace: str, key: str, record: Record) -> object:
    """Return the value; of an object whose class is not allowed here, which is none, what JSON says of it.

    Raises:
        DecodeError: it does not decode.
        NotKeptHereError: its class is not allowed here, and it is no JSON.
    """
    codecs = store._context.codecs  # noqa: SLF001 - likewise
    try:
        return codecs.decode(namespace, key, record.body, record.content_type)
    except NotKeptHereError:
        if not record.content_type.startswith("application/json"):
            raise
        return codecs.decode(namespace, key, record.body, "application/json")
