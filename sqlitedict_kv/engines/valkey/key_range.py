"""Key ranges on servers, and the merge of what several shards return."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt
from typing import Any, NamedTuple

from sqlitedict_kv.engines.protocol import KeyRange
from sqlitedict_kv.engines.valkey.value_format import text_of

FIRST, LAST = b"-", b"+"
BEHIND_ALL_TEXT = b"\xff"  # no UTF-8 has this byte


class KeyPage(NamedTuple):
    """The first keys of a span, with their entries if these are wanted."""

    items: list[tuple[str, bytes]]
    boundary: str | None  # the key to go on behind; None if nothing is left


def bounds_of(span: KeyRange) -> tuple[bytes, bytes]:
    """Return the bounds of the keys that are left to walk; see https://valkey.io/commands/zrangebylex/."""
    prefix = span.prefix.encode()
    low, high = (b"[" + prefix, b"(" + prefix + BEHIND_ALL_TEXT) if prefix else (FIRST, LAST)
    if span.after is not None:
        behind = b"(" + span.after.encode()
        low, high = (low, behind) if span.reverse else (behind, high)
    return low, high


def share_of(limit: int, shards: int) -> int:
    """Return how many keys to ask each shard for, so that all together have *limit*, most times.

    To ask each for all would read and throw away whole pages: a walk along 16 shards took ten times as long.
    """
    if shards == 1:
        return limit
    even = limit // shards
    return min(limit, even + 3 * isqrt(even) + 8)  # hashes spread keys almost evenly


def merge_pages(replies: Sequence[Any], *, reverse: bool, records: bool) -> KeyPage:
    """Return the pages of all shards as one, up to where the first of them ends that has more."""
    items: list[tuple[str, bytes]] = []
    boundaries = []
    for complete, boundary, *flat in replies:
        if records:
            items += [(text_of(key), raw) for key, raw in zip(flat[::2], flat[1::2], strict=True)]
        else:
            items += [(text_of(key), b"") for key in flat]
        if not complete:
            boundaries.append(text_of(boundary))
    if len(replies) == 1:
        return KeyPage(items, boundaries[0] if boundaries else None)
    # The order of str is that of UTF-8.
    items.sort(reverse=reverse)
    if not boundaries:
        return KeyPage(items, None)
    end = max(boundaries) if reverse else min(boundaries)
    return KeyPage([item for item in items if (item[0] >= end if reverse else item[0] <= end)], end)
