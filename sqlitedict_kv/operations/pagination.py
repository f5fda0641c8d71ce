"""Walking through keys by pages."""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_left
from typing import Generic, NamedTuple

from sqlitedict_kv.operations.type_variables import K
from sqlitedict_kv.validation import check_key, check_prefix

FORWARD, REVERSE = "f", "r"
AGE_CURSOR = re.compile(r"age:([fr]):(\d{1,19}):(\d{1,19})")


class Page(NamedTuple, Generic[K]):
    """Some keys of a listing, in order.

    Attributes:
        keys: the keys.
        cursor: what to pass to get the next page; None exactly when nothing is left.
    """

    keys: tuple[K, ...]
    cursor: str | None

    def _repr_html_(self) -> str:
        from sqlitedict_kv.operations.showing import show_keys  # noqa: PLC0415 - for notebooks alone

        return show_keys(self.keys, self.cursor)


class KeyBounds(NamedTuple):
    """Limits of a listing: a beginning of the keys, the first key, and the first key that is left out."""

    prefix: str = ""
    start: str | None = None
    stop: str | None = None

    def cut(self, keys: list[str], *, reverse: bool) -> int:
        """Return how many of *keys*, which are in the order of a walk, come before the end of the listing."""
        if reverse:
            return len(keys) if self.start is None else len(keys) - bisect_left(keys[::-1], self.start)
        return len(keys) if self.stop is None else bisect_left(keys, self.stop)

    def first(self, *, reverse: bool) -> str | None:
        """Return the key that a walk begins at, which the engine's own range leaves out; None if there is none."""
        return None if reverse else self.start

    def is_behind(self, key: str | None) -> bool:
        """Return whether a forward walk that begins at *key* is at its end before it begins."""
        return key is not None and self.stop is not None and key >= self.stop


def check_bounds(prefix: object, start: object, stop: object) -> KeyBounds:
    """Return the limits of a listing, *start* and *stop* within those of the prefix."""
    beginning = check_prefix(prefix)
    first = None if start is None else check_key(start, "start")
    end = None if stop is None else check_key(stop, "stop")
    if first is not None and not first.startswith(beginning):
        if first > beginning:
            return KeyBounds(beginning, beginning, beginning)  # nothing
        first = None
    if end is not None and not end.startswith(beginning):
        if end < beginning:
            return KeyBounds(beginning, beginning, beginning)
        end = None
    return KeyBounds(beginning, first, end)


def cursor_after(key: str, *, reverse: bool) -> str:
    """Return an opaque cursor that continues behind *key*."""
    return urlsafe_b64encode(f"{REVERSE if reverse else FORWARD}{key}".encode()).decode()


def key_of(cursor: object, prefix: str, *, reverse: bool) -> str | None:
    """Return the key that a cursor names; None stays None.

    Raises:
        TypeError: it is no text.
        ValueError: it is no cursor, or one of another listing.
    """
    if cursor is None:
        return None
    if not isinstance(cursor, str):
        raise TypeError(f"cursor must be a str or None, not {type(cursor).__name__}")
    try:
        text = urlsafe_b64decode(cursor.encode("ascii")).decode()
    except (UnicodeError, binascii.Error):
        raise ValueError("cursor is not one that list() returned") from None
    direction, key = text[:1], text[1:]
    if cursor_after(key, reverse=direction == REVERSE) != cursor:
        raise ValueError("cursor is not one that list() returned")
    if direction != (REVERSE if reverse else FORWARD) or not key.startswith(prefix):
        raise ValueError("cursor belongs to a listing with another prefix or direction")
    return key


def age_cursor(after: int, until: int, *, reverse: bool) -> str:
    """Return an opaque cursor that continues behind the position *after*, up to *until*."""
    return f"age:{REVERSE if reverse else FORWARD}:{after}:{until}"


def ages_of(cursor: object, *, reverse: bool) -> tuple[int, int]:
    """Return the positions of a cursor.

    Raises:
        TypeError: it is no text.
        ValueError: it is no such cursor, or one of the other direction.
    """
    if not isinstance(cursor, str):
        raise TypeError(f"cursor must be a str or None, not {type(cursor).__name__}")
    match = AGE_CURSOR.fullmatch(cursor)
    if match is None:
        raise ValueError("cursor is not one that by_age() returned")
    if match[1] != (REVERSE if reverse else FORWARD):
        raise ValueError("cursor belongs to a listing with another direction")
    return int(match[2]), int(match[3])
