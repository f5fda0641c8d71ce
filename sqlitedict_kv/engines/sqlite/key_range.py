"""A range of keys, in SQL."""

from __future__ import annotations

from sqlitedict_kv.engines.protocol import KeyRange

# Bounds of a span: keys are TEXT, and every BLOB sorts behind all TEXT (https://www.sqlite.org/datatype3.html).
KEYS = """
    SELECT key FROM kv
    WHERE ns = ? AND key >= ? AND key < ? AND (expires_at IS NULL OR expires_at > ?) ORDER BY key LIMIT ?
"""
KEYS_REVERSE = """
    SELECT key FROM kv
    WHERE ns = ? AND key >= ? AND key < ? AND (expires_at IS NULL OR expires_at > ?) ORDER BY key DESC LIMIT ?
"""
RECORDS = """
    SELECT value, content_type, version, expires_at, updated_at, checksum, key FROM kv
    WHERE ns = ? AND key >= ? AND key < ? AND (expires_at IS NULL OR expires_at > ?) ORDER BY key LIMIT ?
"""
RECORDS_REVERSE = """
    SELECT value, content_type, version, expires_at, updated_at, checksum, key FROM kv
    WHERE ns = ? AND key >= ? AND key < ? AND (expires_at IS NULL OR expires_at > ?) ORDER BY key DESC LIMIT ?
"""
BEHIND_ALL_KEYS = b""

MAX_CODE_POINT = 0x10FFFF
SURROGATES = range(0xD800, 0xE000)


def bounds_of(span: KeyRange) -> tuple[str, str | bytes]:
    """Return the lower bound, inclusive, and the upper bound, exclusive, of the keys that are left to walk."""
    low: str = span.prefix
    high: str | bytes = _successor(span.prefix)
    if span.after is not None and span.reverse:
        high = span.after
    elif span.after is not None:
        low = span.after + "\0"
    return low, high


def _successor(prefix: str) -> str | bytes:
    """Return the first text behind all that begin with *prefix*, in the order of their UTF-8 bytes."""
    stem = prefix.rstrip(chr(MAX_CODE_POINT))
    if not stem:
        return BEHIND_ALL_KEYS
    following = ord(stem[-1]) + 1
    return stem[:-1] + chr(SURROGATES.stop if following in SURROGATES else following)
