"""Queues of diskcache: entries whose keys are consecutive numbers, with a prefix or without."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

from sqlitedict_kv import Entry, Namespace
from sqlitedict_kv.adapters._compat.key_encoding import TEXT, Name, key_of, name_of, text_of
from sqlitedict_kv.adapters.diskcache.entries import remove_version
from sqlitedict_kv.adapters.support import cursor_after

Side = Literal["front", "back"]

FIRST = 500_000_000_000_000  # in the middle, so that a queue can grow at both ends
LAST = 999_999_999_999_999
KEYS_PER_PAGE = 16


class Queue(NamedTuple):
    """The keys of a queue."""

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


def check_side(side: object) -> Side:
    """Return the side of a queue."""
    if side == "front":
        return "front"
    if side == "back":
        return "back"
    raise ValueError(f"side must be 'front' or 'back', not {side!r}")


def push(entries: Namespace, queue: Queue, side: Side, add: Callable[[Namespace, Name], bool]) -> Any:
    """Add an entry at one end of a queue and return its key; *add* writes it and returns whether the key was free."""
    while True:
        outermost = next(queue.keys(entries, side), None)
        number = FIRST
        if outermost is not None:
            number = queue.number(key_of(outermost)) + (1 if side == "back" else -1)
        if not 0 < number < LAST:
            raise OverflowError(f"the queue has no numbers left at its {side}; pull entries there first")
        key = queue.key(number)
        if add(entries, name_of(key)):  # else another process took the key first
            return key


def outermost(entries: Namespace, queue: Queue, side: Side) -> tuple[str, Entry[Any]] | None:
    """Return the first key and entry at one end of a queue, None if it is empty."""
    for text in queue.keys(entries, side):
        entry = entries.get_with_meta(text)
        if entry is not None:
            return text, entry
    return None


def pull(entries: Namespace, queue: Queue, side: Side) -> tuple[str, Entry[Any]] | None:
    """Remove the entry at one end of a queue and return its key and itself; None if the queue is empty."""
    while True:
        found = outermost(entries, queue, side)
        if found is None or remove_version(entries, found[0], found[1].meta.version):
            return found


def newest_or_oldest(entries: Namespace, *, newest: bool) -> tuple[str, Entry[Any]]:
    """Return key and entry of the one created last, or first; raise KeyError if there are no entries."""
    while True:
        keys = entries.by_age(limit=1, reverse=newest).keys
        if not keys:
            raise KeyError("dictionary is empty")
        entry = entries.get_with_meta(keys[0])
        if entry is not None:
            return keys[0], entry
