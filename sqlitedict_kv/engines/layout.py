"""Checks of how a namespace is to be laid out."""

from __future__ import annotations

from sqlitedict_kv.engines.protocol import Layout
from sqlitedict_kv.validation import check_bool, check_int

MAX_SHARDS = 1024


def check_layout(shards: object, ordered: object) -> Layout | None:
    """Return how a namespace is to be laid out, None if nothing is said of it."""
    if shards is None and ordered is None:
        return None
    return Layout(
        None if shards is None else check_int(shards, "shards", lowest=1, highest=MAX_SHARDS),
        None if ordered is None else check_bool(ordered, "ordered"),
    )
