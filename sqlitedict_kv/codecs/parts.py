"""Parts of a value as they come out of bytes that anybody may have written: checked before they are used."""

from __future__ import annotations

from itertools import chain
from typing import Any


def require(condition: object) -> None:
    """Raise ValueError unless a condition holds; without a message, as DecodeError says which entry it is."""
    if not condition:
        raise ValueError("a part that no value of this kind has")


def check_part(part: object, cls: type) -> Any:
    """Return a part if it is exactly of *cls*; a constructor would take others for something else, ints for sizes."""
    if type(part) is not cls:
        raise TypeError(f"a part is of {type(part).__name__}, not of {cls.__name__}")
    return part


def buffer_of(part: object) -> bytes | memoryview:
    """Return a part that is raw bytes."""
    if type(part) is not bytes and type(part) is not memoryview:
        raise TypeError(f"a part is of {type(part).__name__}, not raw bytes")
    return part


def only_part(parts: list[Any]) -> Any:
    """Return the part of a value that has one."""
    (part,) = parts
    return part


def pairs_of(mapping: Any) -> list[Any]:
    """Return keys and items of a mapping, alternating: a list cannot be a key of the tree that is packed."""
    return list(chain.from_iterable(mapping.items()))


def mapping_from(parts: list[Any]) -> dict[Any, Any]:
    """Return the dict of alternating keys and items."""
    if len(parts) % 2:
        raise ValueError("a key without an item")
    return dict(zip(parts[::2], parts[1::2], strict=True))
