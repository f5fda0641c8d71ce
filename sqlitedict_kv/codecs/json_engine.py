"""JSON engine: orjson, msgspec or the standard library's json, whichever is installed, behaving alike.

None of them writes a value that it would read back as another one, and all refuse the same bodies, with one exception:
an int over 64 bits that another program has written is a float to orjson.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from math import isinf
from typing import Any, NamedTuple, NoReturn

from msgpack import Packer

from sqlitedict_kv.concurrency.imports import import_when_needed

NULL = b"null"
PACKER_BYTES = 1024  # to begin with; the default takes a quarter of a megabyte


class JSONEngine(NamedTuple):
    """A library that writes and reads JSON.

    Attributes:
        name: of the library.
        dumps: returns the UTF-8 of a value of JSON's own types; for others, see :func:`exact_encoder`.
        loads: returns the value of UTF-8, or raises an ordinary error for what is not strictly JSON.
        is_strict: whether dumps refuses what is not JSON but nan and infinity, which it writes as null.
    """

    name: str
    dumps: Callable[[Any], bytes]
    loads: Callable[[bytes], Any]
    is_strict: bool = False


def orjson_engine() -> JSONEngine:
    """Return the engine on orjson."""
    orjson = import_when_needed("orjson")  # not on every platform

    # Whatever orjson would turn into something else by its own judgement is left to raise instead.
    strict = orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
    return JSONEngine("orjson", partial(orjson.dumps, option=strict), orjson.loads, is_strict=True)


def msgspec_engine() -> JSONEngine:
    """Return the engine on msgspec."""
    msgspec = import_when_needed("msgspec")  # not on every platform

    return JSONEngine("msgspec", msgspec.json.Encoder().encode, msgspec.json.Decoder().decode)


def standard_engine() -> JSONEngine:
    """Return the engine on the standard library, which runs everywhere and takes 4 to 10 times as long."""
    write = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
    read = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite).decode

    def dumps(value: Any) -> bytes:
        return write(value).encode()

    def loads(body: bytes) -> Any:
        text = body.decode()
        value = read(text)
        if "\\ud" in text or "\\uD" in text:
            write(value).encode()  # raises for half of a pair of surrogates, which the others refuse
        return value

    return JSONEngine("json", dumps, loads)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if isinf(number):
        raise ValueError("a number that a float cannot hold")
    return number


def installed_engine() -> JSONEngine:
    """Return the fastest engine that can be imported: not all of them can on PyPy, or in a subinterpreter."""
    for engine in (orjson_engine, msgspec_engine):
        try:
            return engine()
        except ImportError:
            continue
    return standard_engine()


def exact_encoder(engine: JSONEngine) -> Callable[[Any], bytes | None]:
    """Return a function that returns the JSON of a value, or None where it would come back as something else."""
    dumps, loads, is_strict = engine.dumps, engine.loads, engine.is_strict

    def exact_json(value: Any) -> bytes | None:
        # Strict MessagePack takes exact built-in types only, and so refuses the enums that would compare equal to
        # what JSON made of them. It goes first, for it refuses the deeply nested tuples on which orjson crashes
        # (seen in 3.13.0). All the checks run in C: a walk in Python would cost ten times as much.
        try:
            Packer(strict_types=True, buf_size=PACKER_BYTES).pack(value)
            body = dumps(value)
        except (TypeError, ValueError, OverflowError, RecursionError):  # orjson's own error is a TypeError
            return None
        # Without null there was no nan, so that nothing needs to be read back: a third of the time.
        return body if (is_strict and NULL not in body) or loads(body) == value else None

    return exact_json


def plain_encoder(engine: JSONEngine) -> Callable[[Any], bytes | None]:
    """Return the same for a value whose types are known to be JSON's own, without depth and with str as keys."""
    if not engine.is_strict:
        return exact_encoder(engine)
    dumps, loads = engine.dumps, engine.loads

    def plain_json(value: Any) -> bytes | None:
        try:
            body = dumps(value)
        except (TypeError, ValueError):  # an int of more than 64 bits, half of a pair of surrogates
            return None
        return body if NULL not in body or loads(body) == value else None

    return plain_json


ENGINE = installed_engine()
loads = ENGINE.loads
exact_json = exact_encoder(ENGINE)
plain_json = plain_encoder(ENGINE)
