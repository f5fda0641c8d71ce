"""Limits of an encoded value, and the messages of their errors."""

from __future__ import annotations

LONE_SURROGATE = (
    "a str with a lone surrogate cannot be kept, for it has no UTF-8 form; "
    "encode it some other way, such as text.encode('utf-8', 'surrogatepass')"
)


def not_packed(value: object, error: Exception) -> str:
    """Return the message of the error for a value that msgpack refuses with *error*."""
    if isinstance(error, UnicodeEncodeError):
        return LONE_SURROGATE
    return f"msgpack cannot keep this {type(value).__name__} ({type(error).__name__})"


def too_large(size: int, limit: int, content_type: str | None = None, *, least: bool = False) -> str:
    """Return the message of the error for a value of *size* bytes, or at *least* so many, over the limit."""
    takes = f"{'at least ' if least else ''}{size} bytes{f' as {content_type}' if content_type else ''}"
    return (
        f"value takes {takes}, and this store allows {limit}; raise max_value_bytes, or max_bytes if that is what "
        f"limits it"
    )
