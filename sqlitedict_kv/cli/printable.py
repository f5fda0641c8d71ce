"""Text of a store as a terminal may show it: control characters, and all that is not printed, escaped."""

from __future__ import annotations

LINES = "\n\t"  # what a text of several lines may hold


def printable(text: str, *, kept: str = "") -> str:
    r"""Return a text in which each character that is not printed is written as in Python's ``\x1b``.

    A terminal obeys such characters: they move, hide and overwrite what is shown, and set titles and the clipboard.

    Args:
        text: any text.
        kept: characters to leave as they are.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in kept else _escape(one) for one in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def shorten(text: str, width: int) -> str:
    """Return a text for one line of a table, cut where it is longer than *width* characters."""
    cut = printable(text[: width + 1])
    return cut if len(cut) <= width else f"{cut[: width - 1]}…"
