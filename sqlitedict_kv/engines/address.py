"""The form of an address: a scheme, a place, and options behind a question mark."""

from __future__ import annotations

import re
from collections.abc import Collection

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")  # two letters at least: C:// is a drive of Windows


def scheme_of(text: str) -> str | None:
    """Return the scheme of a URL in small letters, None for a text that has none."""
    match = SCHEME.match(text)
    return match[1].lower() if match else None


def split_address(address: str, names: Collection[str]) -> tuple[str, dict[str, str]]:
    """Return an address without those of its options that have one of *names*, and these.

    >>> split_address("valkey://one?db=2&confirm=1", ["confirm"])
    ('valkey://one?db=2', {'confirm': '1'})
    """
    from urllib.parse import unquote  # noqa: PLC0415 - only for servers, and a tenth of the time to import us

    place, mark, query = address.partition("?")
    found: dict[str, str] = {}
    others = []
    for option in query.split("&") if mark else ():
        name, _, value = option.partition("=")
        if name in names and name not in found:
            found[name] = unquote(value)
        else:
            others.append(option)
    return place + (f"?{'&'.join(others)}" if others else ""), found
