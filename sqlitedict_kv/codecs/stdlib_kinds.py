"""Kinds of values of the standard library: the small types that people keep, always allowed."""

from __future__ import annotations

import array
import datetime
import ipaddress
import pathlib
import sys
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from fractions import Fraction
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

from sqlitedict_kv.codecs.library_kinds import LibraryKind
from sqlitedict_kv.codecs.parts import buffer_of, check_part, mapping_from, only_part, pairs_of
from sqlitedict_kv.errors import CodecError

MAX_FRACTION_BITS = 2**17  # two numbers of this size are reduced in milliseconds; the time grows with the square


def _build_ordered(parts: list[Any]) -> OrderedDict[Any, Any]:
    return OrderedDict(mapping_from(parts))


def _counter_from(parts: list[Any]) -> Counter[Any]:
    counter: Counter[Any] = Counter()
    dict.update(counter, mapping_from(parts))
    return counter


def _deque_from(parts: list[Any]) -> deque[Any]:
    maxlen = parts.pop(0)
    if maxlen is not None and (check_part(maxlen, int) < len(parts)):
        raise ValueError("a deque longer than its maxlen")
    return deque(parts, maxlen)


def _fraction_parts(value: Fraction) -> list[Any]:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_FRACTION_BITS:
        raise CodecError(f"a Fraction of more than {MAX_FRACTION_BITS} bits cannot be kept")
    return [value.numerator, value.denominator]


def _fraction_from(parts: list[Any]) -> Fraction:
    numerator, denominator = (check_part(part, int) for part in parts)
    if max(numerator.bit_length(), denominator.bit_length()) > MAX_FRACTION_BITS:
        raise ValueError("a Fraction of too many bits")
    return Fraction(numerator, denominator)


def _path_parts(value: pathlib.PurePath) -> list[Any]:
    text = str(value)
    return [text] if text.isascii() or text.isprintable() else [text.encode("utf-8", "surrogatepass")]


def _path_builder(cls: Callable[[str], Any]) -> Callable[[list[Any]], Any]:
    def build(parts: list[Any]) -> Any:
        part = only_part(parts)
        return cls(part.decode("utf-8", "surrogatepass") if type(part) is bytes else check_part(part, str))

    return build


def _text_builder(cls: Callable[[str], Any]) -> Callable[[list[Any]], Any]:
    """Return what builds of a text; an int would be taken for an address."""

    def build(parts: list[Any]) -> Any:
        return cls(check_part(only_part(parts), str))

    return build


def _array_parts(value: array.array[Any]) -> list[Any]:
    if sys.byteorder == "big":
        value = array.array(value.typecode, value)
        value.byteswap()
    raw = value.tobytes() if value.typecode in "uw" else memoryview(value).cast("B")  # of those there is no cast
    return [value.typecode, value.itemsize, raw]


def _array_from(parts: list[Any]) -> array.array[Any]:
    typecode, itemsize, raw = parts
    made: array.array[Any] = array.array(check_part(typecode, str))
    if made.itemsize != check_part(itemsize, int):
        raise ValueError(f"an array whose items take {itemsize} bytes, and {made.itemsize} on this machine")
    made.frombytes(buffer_of(raw))
    if sys.byteorder == "big":
        made.byteswap()
    if made.typecode in "uw":
        made.tounicode()  # raises for what is not a character
    return made


def _namespace_from(parts: list[Any]) -> SimpleNamespace:
    return SimpleNamespace(**{check_part(name, str): item for name, item in mapping_from(parts).items()})


def _namespace_parts(value: SimpleNamespace) -> list[Any]:
    if any(type(name) is not str for name in vars(value)):
        raise CodecError("a SimpleNamespace whose attributes are not all named by str cannot be kept")
    return pairs_of(vars(value))


def _zone_parts(value: ZoneInfo) -> list[Any]:
    if not value.key:
        raise CodecError("a ZoneInfo without a key cannot be kept; take one by its name")
    return [value.key]


def _timezone_parts(value: datetime.timezone) -> list[Any]:
    offset, name = value.utcoffset(None), value.tzname(None)
    return [offset, None if datetime.timezone(offset).tzname(None) == name else name]


def _timezone_from(parts: list[Any]) -> datetime.timezone:
    offset, name = parts
    delta = check_part(offset, datetime.timedelta)
    return datetime.timezone(delta) if name is None else datetime.timezone(delta, check_part(name, str))


# False: the parts are the user's, so none of them is a raw buffer
BY_CLASS: dict[type, LibraryKind] = {
    OrderedDict: LibraryKind("collections.OrderedDict", pairs_of, _build_ordered, False),
    Counter: LibraryKind("collections.Counter", pairs_of, _counter_from, False),
    deque: LibraryKind("collections.deque", lambda value: [value.maxlen, *value], _deque_from, False),
    Fraction: LibraryKind("fractions.Fraction", _fraction_parts, _fraction_from),
    SimpleNamespace: LibraryKind("types.SimpleNamespace", _namespace_parts, _namespace_from, False),
    array.array: LibraryKind("array.array", _array_parts, _array_from),
    ZoneInfo: LibraryKind("zoneinfo.ZoneInfo", _zone_parts, _text_builder(ZoneInfo)),
    datetime.timezone: LibraryKind("datetime.timezone", _timezone_parts, _timezone_from),
    **{
        cls: LibraryKind(f"pathlib.{cls.__name__}", _path_parts, _path_builder(cls))
        for cls in (pathlib.PurePosixPath, pathlib.PureWindowsPath, pathlib.PosixPath, pathlib.WindowsPath)
    },
    **{
        cls: LibraryKind(f"ipaddress.{cls.__name__}", lambda value: [str(value)], _text_builder(cls))
        for cls in (
            ipaddress.IPv4Address, ipaddress.IPv4Network, ipaddress.IPv4Interface,
            ipaddress.IPv6Address, ipaddress.IPv6Network, ipaddress.IPv6Interface,
        )
    },
}  # fmt: skip
BY_NAME = {kind.name: kind for kind in BY_CLASS.values()}


def kind_of(cls: type) -> LibraryKind | None:
    """Return the kind of a class, None if it has none."""
    return BY_CLASS.get(cls)


def kind_named(name: str) -> LibraryKind | None:
    """Return the kind of a stored name, None if it has none."""
    return BY_NAME.get(name)
