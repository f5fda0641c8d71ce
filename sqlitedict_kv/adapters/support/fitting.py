"""Keys and times to live that frameworks allow and a store does not, changed so that they fit."""

from __future__ import annotations

from hashlib import sha256

from sqlitedict_kv.adapters.support.arguments import MAX_KEY_BYTES, MAX_TTL, Duration, duration_seconds

HASHED = "\x01"  # the first character of a key that stands for another


def fitting_key(key: str, limit: int = MAX_KEY_BYTES) -> str:
    """Return a key that a store takes: the key itself, or a hash where it is too long or is not valid Unicode.

    Keys that begin like a hash are hashed too, so two keys never become the same.

    Args:
        key: any str.
        limit: the number of bytes of UTF-8 that fit.

    Raises:
        TypeError: the key is not a str.
    """
    if not isinstance(key, str):
        raise TypeError(f"key must be a str, not {type(key).__name__}; convert it, with str() for example")
    if key.isascii() and len(key) <= limit and not key.startswith(HASHED):
        return key
    encoded = key.encode(errors="surrogatepass")
    if len(encoded) <= limit and not key.startswith(HASHED) and _is_unicode(key):
        return key
    return HASHED + sha256(encoded).hexdigest()


def _is_unicode(key: str) -> bool:
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True


def fitting_ttl(ttl: Duration | None) -> float | None:
    """Return a time to live in seconds that a store takes; more than a century is None, which is never."""
    seconds = None if ttl is None else duration_seconds(ttl, "ttl")
    return None if seconds is not None and seconds > MAX_TTL else seconds
