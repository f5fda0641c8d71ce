"""The queues of diskcache: entries whose keys are numbers in a row, with a prefix or without."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

from sqlitedict_kv.adapters._compat.key_encoding import TEXT, Name, key_of, named, text_of
from sqlitedict_kv.namespace import Namespace
from sqlitedict_kv.operations.context import Entry
from sqlitedict_kv.operations.pagination import cursor_after

Side = Literal["front", "back"]

FIRST = 500_000_000_000_000  # in the middle, so that a queue can grow at both ends
LAST = 999_999_999_999_999
KEYS_PER_PAGE = 16


class Queue(NamedTuple):
    """Which keys belong to a queue."""

    prefix: str | None

    def key(self, number: int) -> int | str:
        """Return the key of a number."""
        return number if self.prefix is None else f"{self.prefix}-{number:015d}"

    def number(self, key: Any) -> int:
        """Return the number of a key."""
        return int(key if self.prefix is None else key.rpartition("-")[2])

    def keys(self, entries: Namespace, side: Side) -> Iterator[str]:
        """Yield the keys of the entries of the queue, from one side on."""
        low, high, backwards = text_of(self.key(0)), text_of(self.key(LAST)), side == "back"
        shared = low[0] if self.prefix is None else f"{TEXT}{self.prefix}-"
        cursor: str | None = cursor_after(high if backwards else low, reverse=backwards)
        while cursor is not None:
            page = entries.list(shared, limit=KEYS_PER_PAGE, cursor=cursor, reverse=backwards)
            for text in page.keys:
                if not low < text < high:
                    return
                yield text
            cursor = page.cursor


def checked_side(side: object) -> Side:
    """Return the side of a queue."""
    if side == "front":
        return "front"
    if side == "back":
        return "back"
    raise ValueError(f"side must be 'front' or 'back', not {side!r}")


def push(entries: Namespace, queue: Queue, side: Side, add: Callable[[Namespace, Name], bool]) -> Any:
    """Add an entry at one end of a queue, by *add*, which says whether the key was free; return its key."""
    while True:
        outermost = next(queue.keys(entries, side), None)
        number = FIRST
        if outermost is not None:
            number = queue.number(key_of(outermost)) + (1 if side == "back" else -1)
        if not 0 < number < LAST:
            raise OverflowError(f"the queue has no number left at its {side}; pull what is there first")
        key = queue.key(number)
        if add(entries, named(key)):  # else somebody was faster
            return key


def outermost(entries: Namespace, queue: Queue, side: Side) -> tuple[str, Entry[Any]] | None:
    """Return the first key and entry at one end of a queue, None if it is empty."""
    for text in queue.keys(entries, side):
        entry = entries.get_with_meta(text)
        if entry is not None:
            return text, entry
    return None
