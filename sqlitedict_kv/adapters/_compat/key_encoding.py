"""Key encoding: one text for each key of diskcache, in the same order, from which the key can be read again.

The first character says of which kind a key is, and the order of the texts is the order of the keys:

1. ``int`` of 64 bits and ``float``, by their value: 16 digits of the nearest float, 3 of the distance from it. Equal
   numbers are one key, so ``1.0`` is ``1``, and comes back as ``1``.
2. ``str``, by code points.
3. ``bytes``, each byte as the character of its number.
4. Everything else that MessagePack keeps exactly, such as ``None``, ``True``, ``2**64``, tuples, lists and dates, by
   the bytes of its MessagePack. Here types count: ``(1,)`` and ``(1.0,)`` are two keys, as they are to diskcache.
5. The SHA-256 of a text of one of the other kinds that is too long for a key; that text is kept beside the value.
"""

from __future__ import annotations

import math
import struct
from hashlib import sha256
from typing import Any, NamedTuple

from msgpack import ExtType, Packer

from sqlitedict_kv import CodecError
from sqlitedict_kv.adapters.support import MAX_KEY_BYTES, pack, unpack
from sqlitedict_kv.codecs import msgpack

NUMBER, TEXT, BYTES, PACKED, HASHED = "12345"

SIMPLE = frozenset({str, int, float, bytes, bool, type(None)})
INT64 = range(-(2**63), 2**63)
FLOAT = struct.Struct(">d")
BITS = struct.Struct(">Q")
SIGN = 1 << 63
ALL_BITS = 2**64 - 1
FLOAT_DIGITS = 16
MIDDLE = 0x800  # a float of 64 bits is at most 512 away from an int of 64 bits


class Name(NamedTuple):
    """The text that stands for a key in the store."""

    text: str  # the key of the entry
    whole: str | None = None  # the whole text, where `text` is only its hash


def name_of(key: object) -> Name:
    """Return the name of a key.

    Raises:
        TypeError: MessagePack cannot keep it exactly.
        ValueError: it is NaN, which equals nothing, or holds a lone surrogate.
    """
    text = text_of(key)
    if 4 * len(text) <= MAX_KEY_BYTES:  # however many bytes a character takes
        return Name(text)
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        return Name(text)  # the store says what is wrong with it
    return Name(text) if len(encoded) <= MAX_KEY_BYTES else Name(HASHED + sha256(encoded).hexdigest(), text)


def text_of(key: object) -> str:
    """Return the text that stands for a key, however long."""
    kind = type(key)
    if isinstance(key, str) and kind is str:
        return TEXT + key
    if kind is float or (kind is int and key in INT64):
        return NUMBER + _number(key)  # type: ignore[arg-type] # a plain number
    if isinstance(key, bytes) and kind is bytes:
        return BYTES + key.decode("latin-1")
    try:
        return PACKED + (_packed_flat(key) or pack(key)).decode("latin-1")
    except CodecError:
        raise TypeError(
            f"a key of type {kind.__name__} cannot be kept, or holds what cannot; take None, str, numbers, bytes, "
            f"times, UUIDs, or tuples, lists, dicts and sets of these"
        ) from None


def _packed_flat(key: Any) -> bytes | None:
    """Return what `pack` would for a tuple of simple values, such as the key of a call, in a tenth of its time."""
    if type(key) is not tuple or not all(type(part) in SIMPLE for part in key):
        return None
    try:
        inside = _packer().pack(list(key))
        packed: bytes = _packer().pack(ExtType(msgpack.TUPLE, inside))
    except (ValueError, OverflowError):  # a lone surrogate, a large int: `pack` knows what to do
        return None
    return packed


def _packer() -> Packer:
    return Packer(strict_types=True, use_bin_type=True, buf_size=MAX_KEY_BYTES)


def key_of(text: str) -> Any:
    """Return the key that a text of :func:`text_of` stands for."""
    kind, rest = text[0], text[1:]
    if kind == TEXT:
        return rest
    if kind == NUMBER:
        return _from_number(rest)
    if kind == BYTES:
        return rest.encode("latin-1")
    if kind == PACKED:
        return unpack(rest.encode("latin-1"))
    raise ValueError(f"{text[:40]!r} is not an encoded key")


def is_hash(text: str) -> bool:
    """Return whether the entry knows the key, and its name does not."""
    return text[0] == HASHED


def _number(key: float) -> str:
    nearest = float(key)
    if math.isnan(nearest):
        raise ValueError("NaN cannot be a key, for it equals nothing")
    (bits,) = BITS.unpack(FLOAT.pack(nearest + 0.0))  # -0.0 is 0.0
    ordered = bits ^ ALL_BITS if bits & SIGN else bits | SIGN
    distance = key - int(nearest) if type(key) is int else 0
    return f"{ordered:0{FLOAT_DIGITS}x}{distance + MIDDLE:03x}"


def _from_number(text: str) -> int | float:
    ordered, distance = int(text[:FLOAT_DIGITS], 16), int(text[FLOAT_DIGITS:], 16) - MIDDLE
    nearest: float
    (nearest,) = FLOAT.unpack(BITS.pack(ordered ^ SIGN if ordered & SIGN else ordered ^ ALL_BITS))
    if not nearest.is_integer():
        return nearest
    whole = int(nearest) + distance
    return whole if whole in INT64 else nearest
