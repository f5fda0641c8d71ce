"""Short texts of keys, values and types."""

from __future__ import annotations

import reprlib
from typing import Any

MOST_CHARACTERS = 200
KINDS = {
    "application/json": "JSON",
    "application/msgpack": "MessagePack",
    "application/octet-stream": "bytes",
    "text/plain; charset=utf-8": "text",
    "application/x-npy": "numpy array",
    "application/vnd.apache.arrow.stream": "Arrow table",
    "application/vnd.apache.arrow.stream; as=pandas": "DataFrame",
    "application/vnd.apache.arrow.file": "Arrow table",
    "application/vnd.apache.arrow.file; as=pandas": "DataFrame",
}

_BRIEF = reprlib.Repr()
_BRIEF.maxstring = _BRIEF.maxother = _BRIEF.maxlong = MOST_CHARACTERS
_BRIEF.maxdict = _BRIEF.maxlist = _BRIEF.maxtuple = _BRIEF.maxset = _BRIEF.maxfrozenset = 12
_BRIEF.maxlevel = 4


def kind_of(content_type: str) -> str:
    """Return what people call a content type."""
    return KINDS.get(content_type, content_type)


def shorten(text: str, most: int = MOST_CHARACTERS) -> str:
    """Return text of at most so many characters, its middle left out."""
    half = most // 2
    return text if len(text) <= most else f"{text[:half]} … {text[-half:]}"


def brief_key(key: Any) -> str:
    """Return a key as it is written in Python, which shows what is invisible."""
    return shorten(repr(key), 80)


def brief_value(value: Any) -> str:
    """Return the beginning of a value as Python shows it; never an error."""
    if type(value) is bytes and len(value) > MOST_CHARACTERS:
        value = value[:MOST_CHARACTERS]
    try:
        return shorten(_BRIEF.repr(value), 2 * MOST_CHARACTERS)
    except Exception as error:  # of a class of the user's
        return f"<{type(value).__name__} whose repr raises {type(error).__name__}>"


def type_of(value: Any) -> str:
    """Return the type of a value with what is best known of it: its length, or its shape."""
    kind = type(value)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return f"{name}, {' x '.join(map(str, shape)) or 'scalar'}"
    return f"{name}, {len(value):,}" if isinstance(value, dict | list | tuple | set | frozenset) else name
