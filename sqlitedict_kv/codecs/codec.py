"""Codec of a content type, and those of JSON, bytes and text."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from sqlitedict_kv.codecs.json_engine import exact_json, loads
from sqlitedict_kv.codecs.limits import LONE_SURROGATE
from sqlitedict_kv.errors import CodecError

JSON = "application/json"
BYTES = "application/octet-stream"
TEXT = "text/plain; charset=utf-8"


class Codec(NamedTuple):
    """Turns values of some types into bytes of a content type and back.

    Attributes:
        content_type: the name that is stored with each entry, such as ``"image/png"``.
        encode: makes bytes of a value; what it raises is reported as a CodecError.
        decode: makes an equal value of the same types from those bytes.
        types: the exact types whose values are encoded so when no content type is asked for; ``object`` stands
            for all that no other codec of the store keeps.
        parts: yields what ``encode`` would return as buffers in a row, such as a header and then the memory of the
            value, so that a large value is written without a copy of all of it. It is called in place of ``encode``
            where there is one; the buffers of a small value are joined.
        view: makes the value over a buffer that belongs to it alone, without a copy: a memoryview of bytes that may
            be changed, which begins at a multiple of 64. Without one, ``decode`` makes the value of bytes.
    """

    content_type: str
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]
    types: tuple[type, ...] = ()
    parts: Callable[[Any], Iterable[Any]] | None = None
    view: Callable[[memoryview], Any] | None = None


def encode_json(value: Any) -> bytes:
    """Return readable JSON; raise CodecError unless it decodes to an equal value of the same types."""
    body = exact_json(value)
    if body is None:
        raise CodecError(f"JSON cannot keep this {type(value).__name__} exactly; leave the content type to the store")
    return body


def encode_bytes(value: Any) -> bytes:
    """Return the value itself, which must be bytes."""
    if type(value) is not bytes:
        raise CodecError(f"{BYTES} keeps bytes, not {type(value).__name__}")
    return value


def encode_text(value: Any) -> bytes:
    """Return the UTF-8 of a str."""
    if type(value) is not str:
        raise CodecError(f"{TEXT} keeps str, not {type(value).__name__}")
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise CodecError(LONE_SURROGATE) from None


PLAIN = (
    Codec(JSON, encode_json, loads),
    Codec(BYTES, encode_bytes, bytes, (bytes,)),
    Codec(TEXT, encode_text, bytes.decode),
)
