"""The schemes of URLs that name a server in place of a file."""

from __future__ import annotations

KINDS = ("", "+cluster", "+sentinel")
SCHEMES = frozenset(
    {f"{base}{kind}" for base in ("valkey", "valkeys", "redis", "rediss") for kind in KINDS} | {"unix"},
)


def is_address(text: str) -> bool:
    """Return whether *text* is the URL of a server, and not the path of a file.

    >>> is_address("valkey+cluster://one,two")
    True
    >>> is_address("file://app.db"), is_address("app.db")
    (False, False)
    """
    scheme, mark, _ = text.partition("://")
    return bool(mark) and scheme.lower() in SCHEMES
