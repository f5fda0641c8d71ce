"""The encoded form of an entry."""

from __future__ import annotations

from typing import NamedTuple


class Record(NamedTuple):
    """An encoded value and what is needed to read it back."""

    body: bytes
    content_type: str
    version: int
    expires_at: int | None  # Unix time in milliseconds; None is never
    updated_at: int  # Unix time in milliseconds

    def is_live(self, now: int) -> bool:
        """Return whether the entry can still be read at *now* (Unix time in milliseconds)."""
        return self.expires_at is None or self.expires_at > now

    def is_newer_than(self, other: Record | None, now: int) -> bool:
        """Return whether this was written after *other*, or *other* is absent at *now*."""
        return other is None or not other.is_live(now) or self.updated_at > other.updated_at
