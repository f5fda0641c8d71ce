"""Reversible encoding of keys as text whose order is that of the keys.

A key becomes one character for its kind and a body. Within a tuple each item ends with ``END``, which is lower than
all that a body may hold, so a tuple comes before its extensions, as in FoundationDB's tuple layer.

======== ================= ===========================================================================================
kind     type              body
======== ================= ===========================================================================================
``!``    None              nothing
``#``    int, float        digits behind the number of those before the point; equal numbers of 64 bits are one key
``$``    str               the text
``%``    bytes             two hexadecimal digits a byte
``&``    bool              ``0`` or ``1``
``(``    tuple             its items, each with ``END`` behind it
``*``    UUID              ``1b4e28ba-2fa1-11d2-883f-0016d3cca427``
``+``    time              ``09:30:00.25``
``/``    date              ``2026-11-30``
``@``    datetime, naive   ``2026-11-30T09:30:00.25``
``A``    datetime, aware   the same in UTC: equal moments are one key, and it comes back in UTC
``~``    everything else   its MessagePack, each byte as the character of its number: reversible, in no promised order
======== ================= ===========================================================================================
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time
from typing import Any
from uuid import UUID

from sqlitedict_kv.codecs.msgpack import pack, unpack
from sqlitedict_kv.errors import CodecError

NONE, NUMBER, TEXT, BYTES, BOOL, TUPLE, ID, TIME, DATE, NAIVE, AWARE, PACKED = "!#$%&(*+/@A~"

END = "\x01"
ESCAPE = "\x02"
ESCAPES = {code: f"{ESCAPE}{code}" for code in range(3)}  # NUL, END and ESCAPE themselves, within tuples

INT64 = range(-(2**63), 2**63)
LONGEST_INT = 1_000  # digits; a key has at most 1,024 bytes
SHORT_DIGITS = 20  # numbers with up to so many digits before the point say how many by one letter
FLOAT_MARK = "."  # ends a float beyond 64 bits: the int of the same value is another key
INFINITY = "z"
NEGATIVE, ZERO = "-", "0"
LARGEST = "~"  # ends a negative number, so that of two the one with more digits is the smaller
MIRROR = {code: 0x2D + 0x7E - code for code in range(0x2D, 0x7F)}  # turns the order of a positive number's body round


def encode_key(key: Any) -> str:
    """Return the text that stands for a key.

    Raises:
        TypeError: a key of this type cannot be kept.
        ValueError: it is NaN, which equals nothing, or a datetime that UTC cannot hold.
    """
    encode = ENCODERS.get(type(key))
    return _encode_other(key) if encode is None else encode(key)


def decode_key(text: str) -> Any:
    """Return the key that a text of :func:`encode_key` stands for.

    Raises:
        ValueError: the text stands for no key.
    """
    kind, body = text[:1], text[1:]
    try:
        key = _decode_items(body) if kind == TUPLE else DECODERS[kind](body)
        again: str | None = encode_key(key)
    except (LookupError, ValueError, OverflowError, TypeError, CodecError):
        again = None
    if again != text:  # damaged, of another origin, or a second text for one key
        raise ValueError(f"{text[:40]!r} stands for no key")
    return key


def encode_prefix(prefix: Any) -> str:
    """Return what the texts of all keys begin with that begin with *prefix*: a str, bytes or a tuple.

    Raises:
        TypeError: *prefix* is something else.
    """
    if type(prefix) not in (str, bytes, tuple):
        raise TypeError(f"a prefix must be str, bytes or a tuple of first items, not {type(prefix).__name__}")
    return encode_key(prefix)


# -- numbers


def _encode_number(number: float) -> str:
    if type(number) is float:
        if math.isnan(number):
            raise ValueError("NaN cannot be a key: it equals nothing")
        if math.isinf(number):
            return NUMBER + (INFINITY if number > 0 else _mirror(INFINITY))
    if number == 0:
        return NUMBER + ZERO
    magnitude = _encode_positive(abs(number))
    return NUMBER + (magnitude if number > 0 else _mirror(magnitude))


def _encode_positive(number: float) -> str:
    """Return how many digits stand before the point, the digits, and those behind it without zeros at the end."""
    if type(number) is int:
        return _encode_digits(_digits_of(number), "")
    if number.is_integer():
        whole = int(number)
        return _encode_digits(str(whole), "" if whole in INT64 else FLOAT_MARK)
    digits, _, exponent = f"{number!r}".partition("e")  # the shortest digits that give the float again
    before, _, behind = digits.partition(".")
    shift = int(exponent or 0)
    if shift < 0 or before == "0":
        significant = (before + behind).lstrip("0")
        zeros = len(behind) - len((before + behind).lstrip("0")) - shift if before == "0" else -shift - 1
        return f"a{999 - zeros:03}{significant.rstrip('0')}"
    return _encode_digits(before + behind[:shift].ljust(shift, "0"), behind[shift:])


def _digits_of(number: int) -> str:
    if number.bit_length() > 4 * LONGEST_INT:
        raise ValueError(f"an int of more than {LONGEST_INT:,} digits is too long for a key")
    return str(number)


def _encode_digits(whole: str, rest: str) -> str:
    count = len(whole)
    return (f"{chr(ord('a') + count)}" if count <= SHORT_DIGITS else f"v{count:04}") + whole + rest


def _mirror(magnitude: str) -> str:
    return NEGATIVE + magnitude.translate(MIRROR) + LARGEST


def _decode_number(body: str) -> int | float:
    if body == ZERO:
        return 0
    if body[0] == NEGATIVE:
        return -_decode_positive(body[1:-1].translate(MIRROR))
    return _decode_positive(body)


def _decode_positive(body: str) -> int | float:
    lead, digits = body[0], body[1:]
    if lead == INFINITY:
        return math.inf
    if lead == "a":
        return float(f"0.{digits[3:]}e{int(digits[:3]) - 999}")
    count = int(digits[:4]) if lead == "v" else ord(lead) - ord("a")
    digits = digits[4:] if lead == "v" else digits
    if digits[count:] == FLOAT_MARK:
        return float(digits[:count])
    return float(f"{digits[:count]}.{digits[count:]}") if digits[count:] else int(digits)


# -- all other kinds


def _encode_tuple(key: tuple[Any, ...]) -> str:
    return TUPLE + "".join([_encode_item(item) for item in key])


def _encode_item(item: Any) -> str:
    text = encode_key(item)
    if text[0] == TUPLE:
        return text + END
    return text.translate(ESCAPES) + END if text[0] in (TEXT, PACKED) else text + END


def _encode_datetime(key: datetime) -> str:
    if key.utcoffset() is None:
        return NAIVE + key.replace(fold=0, tzinfo=None).isoformat()
    try:
        return AWARE + key.astimezone(UTC).replace(tzinfo=None).isoformat()
    except OverflowError:
        raise ValueError(f"{key!r} cannot be a key: it is out of the range of UTC") from None


def _encode_time(key: time) -> str:
    if key.tzinfo is not None:
        raise TypeError("a time with a time zone cannot be a key: use one without, or a datetime")
    return TIME + key.replace(fold=0).isoformat()


def _encode_other(key: Any) -> str:
    try:
        return PACKED + pack(key).decode("latin-1")
    except CodecError:
        raise TypeError(
            f"a {type(key).__name__} cannot be a key, or holds what cannot; take str, numbers, bytes, times, "
            f"UUIDs, or tuples and frozensets of these"
        ) from None


def _decode_items(body: str) -> tuple[Any, ...]:
    position, open_tuples = 0, [list[Any]()]
    while position < len(body):
        if body[position] == END:
            items = tuple(open_tuples.pop())
            open_tuples[-1].append(items)
            position += 1
        elif body[position] == TUPLE:
            open_tuples.append([])
            position += 1
        else:
            end = body.index(END, position)
            open_tuples[-1].append(DECODERS[body[position]](_unescape(body[position + 1 : end])))
            position = end + 1
    (items_of_all,) = open_tuples
    return tuple(items_of_all)


def _unescape(body: str) -> str:
    if ESCAPE not in body:
        return body
    return "".join(_unescaped_parts(body))


def _unescaped_parts(body: str) -> Iterator[str]:
    first, *others = body.split(ESCAPE)
    yield first
    for part in others:
        yield chr(int(part[0]))
        yield part[1:]


ENCODERS: dict[type, Callable[[Any], str]] = {
    type(None): lambda _: NONE,
    int: _encode_number,
    float: _encode_number,
    str: lambda key: TEXT + key,
    bytes: lambda key: BYTES + key.hex(),
    bool: lambda key: f"{BOOL}{key:d}",
    tuple: _encode_tuple,
    UUID: lambda key: f"{ID}{key}",
    time: _encode_time,
    date: lambda key: DATE + key.isoformat(),
    datetime: _encode_datetime,
}

DECODERS: dict[str, Callable[[str], Any]] = {
    NONE: lambda _: None,
    NUMBER: _decode_number,
    TEXT: str,
    BYTES: bytes.fromhex,
    BOOL: lambda body: body == "1",
    ID: UUID,
    TIME: time.fromisoformat,
    DATE: date.fromisoformat,
    NAIVE: datetime.fromisoformat,
    AWARE: lambda body: datetime.fromisoformat(body).replace(tzinfo=UTC),
    PACKED: lambda body: unpack(body.encode("latin-1")),
}
