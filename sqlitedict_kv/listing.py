"""Walking through keys by pages."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import NamedTuple

FORWARD, REVERSE = "f", "r"


class Page(NamedTuple):
    """Some keys of a listing, in order.

    Attributes:
        keys: the keys.
        cursor: what to pass to get the next page; None exactly when nothing is left.
    """

    keys: tuple[str, ...]
    cursor: str | None


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
