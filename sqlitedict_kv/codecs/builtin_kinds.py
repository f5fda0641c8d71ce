"""Kinds of values of Python itself, beyond what MessagePack has; always allowed."""

from __future__ import annotations

from collections.abc import Iterable
from types import EllipsisType
from typing import Any

from sqlitedict_kv.codecs.library_kinds import LibraryKind
from sqlitedict_kv.codecs.parts import buffer_of, check_part, mapping_from, only_part, pairs_of

SORTABLE = (frozenset({str}), frozenset({int}), frozenset({bytes}))


def _set_parts(value: Iterable[Any]) -> list[Any]:
    """Return the elements, sorted where they are all of one plain type: equal sets are mostly equal bytes."""
    items = list(value)
    return sorted(items) if frozenset(map(type, items)) in SORTABLE else items


def _range_from(parts: list[Any]) -> range:
    start, stop, step = (check_part(part, int) for part in parts)
    return range(start, stop, step)


def _slice_from(parts: list[Any]) -> slice:
    start, stop, step = parts
    return slice(start, stop, step)


def _ellipsis_from(parts: list[Any]) -> EllipsisType:
    if parts:
        raise ValueError("an Ellipsis of parts")
    return ...


MAP = LibraryKind("dict", pairs_of, mapping_from, raw_parts=False)  # a dict of which a key is not plain
LIST = LibraryKind("list", list, list, raw_parts=False)  # a list of a library, which comes back as a plain one
BY_CLASS: dict[type, LibraryKind] = {
    tuple: LibraryKind("tuple", list, tuple, raw_parts=False),
    set: LibraryKind("set", _set_parts, set, raw_parts=False),
    frozenset: LibraryKind("frozenset", _set_parts, frozenset, raw_parts=False),
    bytearray: LibraryKind(
        "bytearray", lambda value: [memoryview(value)], lambda parts: bytearray(buffer_of(only_part(parts)))
    ),
    range: LibraryKind("range", lambda value: [value.start, value.stop, value.step], _range_from),
    slice: LibraryKind("slice", lambda value: [value.start, value.stop, value.step], _slice_from, raw_parts=False),
    EllipsisType: LibraryKind("Ellipsis", lambda _: [], _ellipsis_from),
}
BY_NAME = {kind.name: kind for kind in (MAP, LIST, *BY_CLASS.values())}
