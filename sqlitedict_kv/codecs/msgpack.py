"""MessagePack that gives back exactly what it was given.

Beyond what MessagePack has, these types are kept, each as an extension whose code is part of the file
format: :data:`TUPLE` to :data:`BIG_INT`. Everything else is refused.
"""

from __future__ import annotations

import datetime
import struct
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

import msgpack

from sqlitedict_kv.codecs.limits import not_packed
from sqlitedict_kv.errors import CodecError

TUPLE, SET, FROZENSET, COMPLEX, DECIMAL, UUID, DATETIME, DATE, TIME, TIMEDELTA, BIG_INT = range(1, 12)

LEAVES = frozenset(
    {
        type(None), bool, int, float, complex, str, bytes, Decimal, uuid.UUID,
        datetime.datetime, datetime.date, datetime.time, datetime.timedelta,
    }
)  # fmt: skip
COMPLEX_FORMAT = struct.Struct(">dd")
MAX_BIG_INT_BYTES = 2**20


def pack(value: Any) -> bytes:
    """Return MessagePack; raise CodecError unless it unpacks to an equal value of the same types."""
    try:
        _require_exact_types(value)
        body = _pack(value)
        exact = _pack(unpack(body)) == body
    except CodecError:
        raise
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise CodecError(not_packed(value, error)) from None
    if not exact:
        raise CodecError(f"msgpack cannot keep this {type(value).__name__} exactly")
    return body


def unpack(body: bytes) -> Any:
    """Return the value of a packed body; raise ValueError if it is malformed.

    A container within a container is unpacked when the outer call of msgpack has returned: each such call takes
    40 kB of the C stack, so that 200 nested tuples, in a value or in bytes that somebody crafted, ended the process.
    """
    try:
        return _unpack(body, _from_shallow_extension)
    except _NestedError:
        return _resolve(_unpack(body, _from_any_extension))


def _unpack(body: bytes, hook: Callable[[int, bytes], Any]) -> Any:
    return msgpack.unpackb(body, raw=False, use_list=True, strict_map_key=False, ext_hook=hook)


class _NestedError(ValueError):
    """Says that a container is within another one."""


class _Pending:
    """A container that is still packed; it stands in a list or a dict, as a key too, until its turn comes."""

    __slots__ = ("body", "code")

    def __init__(self, code: int, body: bytes) -> None:
        self.code = code
        self.body = body


def _resolve(value: Any) -> Any:
    """Return a value in which nothing is pending any more; lists and dicts are changed in place."""
    kind = type(value)
    if kind is _Pending:
        body, value.body = value.body, b""  # not kept while what is in it is resolved: there can be hundreds of levels
        inner = _unpack(body, _from_any_extension)
        del body
        return CONTAINERS[value.code](_resolve(inner))
    if kind is list:
        for index, item in enumerate(value):
            if type(item) in UNRESOLVED:
                value[index] = _resolve(item)
    elif kind is dict:
        if any(type(key) is _Pending for key in value):
            return {_resolve(key): _resolve(item) for key, item in value.items()}
        for key, item in value.items():
            if type(item) in UNRESOLVED:
                value[key] = _resolve(item)
    return value


def _pack(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value, strict_types=True, use_bin_type=True, default=to_extension)
    return packed


def _require_exact_types(value: Any) -> None:
    """Raise for a type that msgpack would quietly turn into another one, such as bytearray into bytes."""
    kind = type(value)
    if kind in LEAVES:
        return
    if kind is dict:
        for key, item in value.items():
            _require_exact_types(key)
            _require_exact_types(item)
    elif kind in (list, tuple, set, frozenset):
        for item in value:
            _require_exact_types(item)
    else:
        raise CodecError(
            f"no codec keeps {kind.__module__}.{kind.__qualname__} exactly; convert it to built-in types, or register "
            f"one: Store(..., codecs=[Codec('application/x-{kind.__name__.lower()}', encode, decode, "
            f"types=({kind.__name__},))])"
        )


def to_extension(value: Any) -> msgpack.ExtType:
    """Return the extension of a value that MessagePack itself does not have."""
    code, encode = ENCODERS[type(value)]
    return msgpack.ExtType(code, encode(value))


def _from_shallow_extension(code: int, body: bytes) -> Any:
    if code in CONTAINERS:
        return CONTAINERS[code](_unpack(body, from_leaf))
    return from_leaf(code, body)


def _from_any_extension(code: int, body: bytes) -> Any:
    return _Pending(code, body) if code in CONTAINERS else from_leaf(code, body)


def from_leaf(code: int, body: bytes) -> Any:
    """Return the value of an extension that holds no other values."""
    if code in DECODERS:
        return DECODERS[code](body)
    if code in CONTAINERS:
        raise _NestedError
    raise ValueError(f"unknown extension {code}")


def _from_no_extension(code: int, _: bytes) -> NoReturn:
    raise ValueError(f"an extension {code} where there can be none")


def _plain(body: bytes) -> Any:
    """Return the parts of a leaf."""
    return _unpack(body, _from_no_extension)


def _pack_set(value: set[Any] | frozenset[Any]) -> bytes:
    """Return the elements in the order of their bytes, so that equal sets are equal bytes."""
    items = sorted(_pack(item) for item in value)
    return b"".join((msgpack.Packer().pack_array_header(len(items)), *items))


def _pack_big_int(value: int) -> bytes:
    size = value.bit_length() // 8 + 1
    if size > MAX_BIG_INT_BYTES:
        raise ValueError(f"an int of more than {MAX_BIG_INT_BYTES} bytes")
    return value.to_bytes(size, "big", signed=True)


def _pack_time(value: datetime.datetime | datetime.time) -> bytes:
    naive = value.replace(tzinfo=None, fold=0).isoformat()
    return _pack([naive, value.fold, _zone(value.tzinfo)])


def _zone(zone: datetime.tzinfo | None) -> Any:
    """Return None, the name of a zone of the tz database, or offset and name of a fixed one."""
    if zone is None:
        return None
    if type(zone) is ZoneInfo and zone.key:
        return zone.key
    if type(zone) is datetime.timezone:
        offset, name = zone.utcoffset(None), zone.tzname(None)
        if not offset and name == datetime.UTC.tzname(None):
            return []
        plain = datetime.timezone(offset).tzname(None) == name
        return [_pack_timedelta(offset), None if plain else name]
    raise CodecError(f"a time zone of type {type(zone).__qualname__} cannot be kept; use zoneinfo or timezone")


def _zone_from(packed: Any) -> datetime.tzinfo | None:
    if packed is None:
        return None
    if isinstance(packed, str):
        return ZoneInfo(packed)
    if not packed:
        return datetime.UTC
    offset, name = packed
    delta = _unpack_timedelta(offset)
    return datetime.timezone(delta) if name is None else datetime.timezone(delta, name)


def _unpack_datetime(body: bytes) -> datetime.datetime:
    naive, fold, zone = _plain(body)
    return datetime.datetime.fromisoformat(naive).replace(fold=fold, tzinfo=_zone_from(zone))


def _unpack_time(body: bytes) -> datetime.time:
    naive, fold, zone = _plain(body)
    return datetime.time.fromisoformat(naive).replace(fold=fold, tzinfo=_zone_from(zone))


def _pack_timedelta(value: datetime.timedelta) -> bytes:
    return _pack([value.days, value.seconds, value.microseconds])


def _unpack_timedelta(body: bytes) -> datetime.timedelta:
    days, seconds, microseconds = _plain(body)
    return datetime.timedelta(days, seconds, microseconds)


ENCODERS: dict[type, tuple[int, Callable[[Any], bytes]]] = {
    tuple: (TUPLE, lambda value: _pack(list(value))),
    set: (SET, _pack_set),
    frozenset: (FROZENSET, _pack_set),
    complex: (COMPLEX, lambda value: COMPLEX_FORMAT.pack(value.real, value.imag)),
    Decimal: (DECIMAL, lambda value: str(value).encode()),
    uuid.UUID: (UUID, lambda value: value.bytes),
    datetime.datetime: (DATETIME, _pack_time),
    datetime.date: (DATE, lambda value: value.isoformat().encode()),
    datetime.time: (TIME, _pack_time),
    datetime.timedelta: (TIMEDELTA, _pack_timedelta),
    int: (BIG_INT, _pack_big_int),
}
CONTAINERS: dict[int, Callable[[Any], Any]] = {TUPLE: tuple, SET: set, FROZENSET: frozenset}
UNRESOLVED = frozenset({_Pending, list, dict})
DECODERS: dict[int, Callable[[bytes], Any]] = {
    COMPLEX: lambda body: complex(*COMPLEX_FORMAT.unpack(body)),
    DECIMAL: lambda body: Decimal(body.decode()),
    UUID: lambda body: uuid.UUID(bytes=body),
    DATETIME: _unpack_datetime,
    DATE: lambda body: datetime.date.fromisoformat(body.decode()),
    TIME: _unpack_time,
    TIMEDELTA: _unpack_timedelta,
    BIG_INT: lambda body: int.from_bytes(body, "big", signed=True),
}
