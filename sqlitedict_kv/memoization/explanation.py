"""The answer to "why is that a miss?": a call, and how it differs from what is kept."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from os.path import commonprefix
from typing import NamedTuple

from sqlitedict_kv.concurrency.process_identity import describe
from sqlitedict_kv.display.figures import date
from sqlitedict_kv.memoization.call_key import CallKeys
from sqlitedict_kv.memoization.identity import CODE_MARK, shortened
from sqlitedict_kv.memoization.long_arguments import compare
from sqlitedict_kv.memoization.results import Results

MOST_COMPARED = 2000  # keys
LEFT_OUT = "nothing"  # stands for an argument that one of two calls does not have


class Explanation(NamedTuple):
    """What is kept of a call, and if nothing is, how it differs from the nearest call that something is kept of.

    ``print`` shows it as text.

    Attributes:
        key: the key of the call.
        kept: whether its result is kept.
        expires_at: when that expires; None is never.
        computing: whether a caller computes it now, in any process.
        nearest: the key of the most similar call of this function that is kept, with any code and version.
        differences: what differs from that, argument by argument.
        in_base: whether the result is kept in the base, and not here.
        holder: which process has the lease and computes, such as ``process 4711``; None is nobody.
    """

    key: str
    kept: bool
    expires_at: datetime | None
    computing: bool
    nearest: str | None
    differences: tuple[str, ...]
    in_base: bool = False
    holder: str | None = None

    def __str__(self) -> str:
        """Return it as lines of text."""
        if self.kept:
            until = "forever" if self.expires_at is None else f"until {date(self.expires_at)}"
            lines = [f"{self.key} is kept{' in the base' * self.in_base} {until}"]
        else:
            lines = [f"{self.key} is not kept"]
        if self.computing:
            lines.append(f"it is being computed now by {self.holder}")
        if self.nearest is not None:
            lines += [f"the nearest that is kept is {self.nearest}", *(f"  {line}" for line in self.differences)]
        elif not self.kept:
            lines.append("no result of this function is kept here")
        return "\n".join(lines)


def explain(keys: CallKeys, results: Results, key: str) -> Explanation:
    """Return the explanation of the call with a key."""
    entry, token = results.peek(key), results.leases.holder(key)
    holder = None if token is None else describe(token.rpartition("-")[0])
    computing = token is not None
    if entry is not None:
        return Explanation(key, True, entry.meta.expires_at, computing, None, (), not results.is_here(key), holder)
    names = keys.parameter_names()
    compared = [
        (differences(key, other, names), other) for other in results.kept_keys(shortened(keys.name), MOST_COMPARED)
    ]
    if not compared:
        return Explanation(key, False, None, computing, None, (), holder=holder)
    begin = [len(commonprefix([key, other])) for _, other in compared]  # noqa: RUF071 - characters are meant
    nearest = min(range(len(compared)), key=lambda place: (len(compared[place][0]), -begin[place]))
    found, other = compared[nearest]
    return Explanation(key, False, None, computing, other, tuple(found), holder=holder)


def differences(asked: str, kept: str, names: list[str]) -> list[str]:
    """Return in which parts two keys of a function differ; *names* are those of its parameters."""
    (head, ours), (other_head, theirs) = _parts_of(asked, names), _parts_of(kept, names)
    found = []
    if head != other_head:
        what = "code" if CODE_MARK in head and CODE_MARK in other_head else "version"
        found.append(f"{what}: {_mark(head)}, kept with {_mark(other_head)}")
    for name in dict.fromkeys([*ours, *theirs]):
        mine, other = ours.get(name, LEFT_OUT), theirs.get(name, LEFT_OUT)
        if mine != other:
            found.append(f"{name}: {compare(mine, other)}")
    return found


def _mark(head: str) -> str:
    return head.partition("@")[2] or "none"


def _parts_of(key: str, names: list[str]) -> tuple[str, dict[str, str]]:
    """Return name and version of a key, and the texts of its arguments and closures by name."""
    head, _, text = key.partition("(")
    text = text[:-1]
    if text.startswith("#"):
        return head, {"arguments, of more than 200 characters": text}
    parts: dict[str, str] = {}
    for place, part in enumerate(_split(text)):
        if part.startswith("#"):  # the digest of all that is before it
            continue
        name, equals, value = part.partition("=")
        if equals and name.strip().isidentifier():
            parts[name.strip()] = value
        else:
            parts[names[place] if place < len(names) else f"argument {place + 1}"] = part
    return head, parts


def _split(text: str) -> Iterator[str]:
    """Yield the parts of a text between the commas and semicolons that are in no brackets and no quotes."""
    depth, start, quote, place = 0, 0, "", 0
    while place < len(text):
        letter = text[place]
        if quote:
            place += letter == "\\"
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
        elif letter in ",;" and not depth:
            yield text[start:place].strip()
            start = place + 1
        place += 1
    if text[start:].strip():
        yield text[start:].strip()
