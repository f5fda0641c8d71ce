"""Limit of the size of an encoded value."""

from __future__ import annotations


def too_large(size: int, limit: int, content_type: str | None = None, *, least: bool = False) -> str:
    """Return the message of the error for a value of *size* bytes, or at *least* so many, over the limit."""
    takes = f"{'at least ' if least else ''}{size} bytes{f' as {content_type}' if content_type else ''}"
    return (
        f"value takes {takes}, and this store allows {limit}; raise max_value_bytes, or max_bytes if that is what "
        f"limits it"
    )
