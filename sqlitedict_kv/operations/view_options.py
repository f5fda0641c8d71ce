"""Options of a namespace that say nothing of the types of its keys and values, for type checkers."""

from __future__ import annotations

from typing import TypedDict

from sqlitedict_kv.validation import Duration


class ViewOptions(TypedDict, total=False):
    """Options of ``ns()`` in a transaction; see :meth:`Store.ns`."""

    ttl: Duration | None
    content_type: str | None


class LayoutOptions(ViewOptions, total=False):
    """Options of :meth:`Store.ns`."""

    mapped: bool
    shards: int | None
    ordered: bool | None
