"""Encoders and decoders of keys and values that sqlitedict's API names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlitedict_kv.adapters._compat.key_encoding import key_of, text_of

Coder = Callable[[Any], Any]


def identity(value: Any) -> Any:
    """Return the value itself."""
    return value


def encode(value: Any) -> Any:
    """Return the value itself, of which a codec of the store makes bytes; sqlitedict pickles here."""
    return value


def decode(value: Any) -> Any:
    """Return the value itself, as a codec of the store has read it; sqlitedict unpickles here."""
    return value


def encode_key(key: Any) -> str:
    """Return a text that stands for a key of any type that MessagePack keeps, in the order of the keys."""
    return text_of(key)


def decode_key(text: str) -> Any:
    """Return the key that a text of :func:`encode_key` stands for."""
    return key_of(text)
