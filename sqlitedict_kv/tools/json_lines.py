"""Entries as lines of JSON, one each, and what stands around them.

A value of JSON is written as it is, text as text, and other bytes as base64; where a value would not come back byte for
byte, its text or its bytes are written instead. So lines are readable, and reading them back is exact.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any, NamedTuple

from sqlitedict_kv.codecs.codec import JSON
from sqlitedict_kv.codecs.json_engine import ENGINE
from sqlitedict_kv.engines.record import Record
from sqlitedict_kv.validation import MAX_NAMESPACE_BYTES, MAX_VERSION, check_key, check_namespace, check_tags

FORMAT = "sqlitedict_kv"  # of the first line, with the number of the format
NUMBER = 1
MAX_TIME = 2**62  # milliseconds

dumps, loads = ENGINE.dumps, ENGINE.loads


class EntryLine(NamedTuple):
    """A line that holds an entry."""

    namespace: str
    key: str
    record: Record
    tags: tuple[str, ...] = ()


class EndOfNamespace(NamedTuple):
    """A line behind the last entry of a namespace: the highest version that it ever gave."""

    namespace: str
    highest: int


class EndOfFile(NamedTuple):
    """The last line: how many entries there are. A file without it was cut off."""

    entries: int


Line = EntryLine | EndOfNamespace | EndOfFile


def first_line() -> bytes:
    """Return the line that says what follows."""
    return dumps({"format": FORMAT, "number": NUMBER}) + b"\n"


def end_of_namespace(namespace: str, highest: int) -> bytes:
    """Return the line behind the last entry of a namespace."""
    return dumps({"namespace": namespace, "highest": highest}) + b"\n"


def end_of_file(entries: int) -> bytes:
    """Return the last line."""
    return dumps({"entries": entries}) + b"\n"


def make_writer(namespace: str) -> Callable[[str, Record, tuple[str, ...]], bytes]:
    """Return a function that writes the entries of a namespace, with their tags, as lines."""
    beginning = b'{"namespace":' + dumps(namespace) + b',"key":'
    types: dict[str, bytes] = {}

    def write(key: str, record: Record, tags: tuple[str, ...]) -> bytes:
        # Flat, without a dict for each line: it would take half of the time again.
        body, content_type, version, expires_at, updated_at = record
        kind = types.get(content_type)
        if kind is None:
            kind = types[content_type] = b',"content_type":' + dumps(content_type) + b","
        times = b',"version":%d,"updated_at":%d,"expires_at":' % (version, updated_at)
        expiry = b"null" if expires_at is None else b"%d" % expires_at
        end = b',"tags":' + dumps([*tags]) + b"}\n" if tags else b"}\n"
        return beginning + dumps(key) + times + expiry + kind + _value_of(body, content_type) + end

    return write


def _value_of(body: bytes, content_type: str) -> bytes:
    """Return the member that holds the value."""
    if content_type.startswith(JSON):
        try:
            if dumps(loads(body)) == body:
                return b'"value":' + body
        except (ValueError, TypeError, RecursionError):
            pass
    if content_type.startswith((JSON, "text/")):
        try:
            return b'"text":' + dumps(body.decode())
        except ValueError:
            pass
    return b'"base64":"' + b64encode(body) + b'"'


# -- reading


def check_first_line(line: bytes) -> None:
    """Raise ValueError unless lines that this release reads follow."""
    try:
        found = loads(line)
    except ValueError:
        found = None
    if type(found) is not dict or found.get("format") != FORMAT:
        raise ValueError(f"it does not begin with the line of an export, {first_line().decode().strip()}")
    if found.get("number") != NUMBER:
        raise ValueError(f"it is of format {found.get('number')!r:.20}, and this release reads {NUMBER}; upgrade")


def read_line(line: bytes) -> Line:
    """Return what a line holds.

    Raises:
        ValueError, TypeError, TooLargeError: it is not as it is written; the message does not show the value.
    """
    try:
        found = loads(line)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    if type(found) is not dict:
        raise ValueError("it is not a JSON object")
    if "key" in found:
        name, key, tags = (
            check_namespace(found.get("namespace"), "namespace"),
            check_key(found["key"]),
            found.get("tags"),
        )
        return EntryLine(name, key, _record(found), () if tags is None else check_tags(tags))
    if "highest" in found:
        highest = _number(found, "highest", 0, MAX_VERSION - 1)
        return EndOfNamespace(check_namespace(found.get("namespace"), "namespace"), highest)
    if "entries" in found:
        return EndOfFile(_number(found, "entries", 0, MAX_VERSION))
    raise ValueError("it has no key")


def _record(found: dict[str, Any]) -> Record:
    content_type = found.get("content_type", JSON)
    if type(content_type) is not str or not 0 < len(content_type.encode()) <= MAX_NAMESPACE_BYTES:
        raise ValueError(f"its content_type must be text of 1 to {MAX_NAMESPACE_BYTES} bytes")
    expires_at = None if found.get("expires_at") is None else _number(found, "expires_at", 0, MAX_TIME)
    version = _number(found, "version", 1, MAX_VERSION - 1) if "version" in found else 1
    updated_at = _number(found, "updated_at", 0, MAX_TIME) if "updated_at" in found else 0
    return Record(_body(found), content_type, version, expires_at, updated_at)


def _number(found: dict[str, Any], name: str, lowest: int, highest: int) -> int:
    number = found[name]
    if type(number) is not int or not lowest <= number <= highest:
        raise ValueError(f"its {name} must be a whole number from {lowest} to {highest}")
    return number


def _body(found: dict[str, Any]) -> bytes:
    given = [name for name in ("value", "text", "base64") if name in found]
    if len(given) != 1:
        raise ValueError("it must have one of value, text and base64")
    if given == ["value"]:
        return dumps(found["value"])
    text = found[given[0]]
    if type(text) is not str:
        raise ValueError(f"its {given[0]} must be text")
    if given == ["text"]:
        return text.encode()
    try:
        return b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise ValueError("its base64 is not base64") from None
