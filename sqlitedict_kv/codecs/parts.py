"""Checks of parts that come from a file."""

from __future__ import annotations


def require(condition: object) -> None:
    """Raise ValueError unless a condition holds; without a message, as DecodeError says which entry it is."""
    if not condition:
        raise ValueError("a part that no value of this kind has")
