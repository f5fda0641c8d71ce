"""Long arguments in a key: their beginnings, lengths and checks of parts, before the digest that tells calls apart."""

from __future__ import annotations

import re
from zlib import crc32

from sqlitedict_kv.memoization.argument_forms import canonical
from sqlitedict_kv.memoization.digests import digest_of

HEADS = (72, 32, 12)  # characters that are shown of a long argument; the first number with which all fit
FIRST_PART = 64  # characters; each further part ends at twice the place where the last one ended
SHORT = re.compile(r"(?P<head>'.*'|\".*\")\.\.\.(?P<size>\d+)\.(?P<checks>[0-9a-f]+)", re.DOTALL)


def shorten_arguments(parts: list[str], text: str, limit: int) -> str:
    """Return *text*, the arguments of a call, in at most *limit* characters, as far as may be readable.

    The digest of all of it is the last part, so calls that differ have keys that differ, whatever is shown of them.
    """
    digest = f"#{digest_of(text)}"
    for head in HEADS:
        short = ", ".join([*(_shorten(part, head) for part in parts), digest])
        if len(short) <= limit:
            return short
    return digest


def compare(mine: str, other: str) -> str:
    """Return how an argument in a key differs from that in another one."""
    ours, theirs = SHORT.fullmatch(mine), SHORT.fullmatch(other)
    if ours is None or theirs is None:
        return f"{_readable(mine)}, kept with {_readable(other)}"
    where = _first_difference(ours["checks"], theirs["checks"])
    return f"{_readable(mine)}, kept with {_readable(other)}; they differ first {where}"


def _shorten(part: str, head: int) -> str:
    name, equals, value = part.partition("=")
    if not (equals and name.isidentifier()):
        name, equals, value = "", "", part
    if len(value) <= 2 * head:
        return part
    shown = canonical(value[:head].lstrip("'\""))
    return f"{name}{equals}{shown}...{len(value)}.{_checks(value)}"


def _checks(text: str) -> str:
    """Return a byte for each part of a text; the parts are those of any other text, however long that is."""
    start, end, checks = 0, FIRST_PART, []
    while start < len(text):
        checks.append(f"{crc32(text[start:end].encode()) & 0xFF:02x}")
        start, end = end, 2 * end
    return "".join(checks)


def _first_difference(ours: str, theirs: str) -> str:
    start, end = 0, FIRST_PART
    for place in range(0, min(len(ours), len(theirs)), 2):
        if ours[place : place + 2] != theirs[place : place + 2]:
            return f"between characters {start:,} and {end:,}"
        start, end = end, 2 * end
    return f"after character {start:,}"


def _readable(text: str) -> str:
    found = SHORT.fullmatch(text)
    return text if found is None else f"{found['head']}... ({int(found['size']):,} characters)"
