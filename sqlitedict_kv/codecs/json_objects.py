"""JSON objects: readable JSON of allowed classes, each object with its class under the key ``"="``.

``{"=": "app.User", "name": "Ada", "address": {"=": "app.Address", "zip": "1"}}``. A dict of the user's that has this
key is kept as MessagePack, so nothing else ever has it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from sqlitedict_kv.codecs import json_engine
from sqlitedict_kv.codecs.objects import ObjectKind
from sqlitedict_kv.codecs.pydantic_models import BESIDE

CLASS = "="
MOST = 64  # objects of a value: from there on MessagePack takes half the time and a third of the bytes
PLAIN = frozenset({type(None), bool, int, float, str})

are_plain = PLAIN.issuperset
are_str = frozenset({str}).issuperset


class Objects(Protocol):
    """The classes that a view of a store allows."""

    def object_of(self, cls: type) -> ObjectKind | None:
        """Return the kind of an allowed class, None if it is not allowed."""

    def object_named(self, name: str) -> ObjectKind:
        """Return the kind of a stored name; raise DecodeError if none is allowed."""


class _NotJSONError(Exception):
    """Says that a value has a part that JSON does not have, or too many objects."""


def encode(value: Any, objects: Objects) -> bytes | None:
    """Return the JSON of a value with objects in it, None where it has to be kept in another way.

    Raises:
        CodecError: an object of an allowed class cannot be kept at all.
    """
    walk = _Encoding(objects.object_of)
    try:
        tree = walk.tree(value)
    except (_NotJSONError, RecursionError):
        return None
    return json_engine.plain_json(tree) if walk.count else None


def encode_flat(value: Any, known: ObjectKind) -> bytes | None:
    """Return the JSON of one object of plain fields, None of any other: it takes half the time of the walk."""
    parts = known.take_apart(value)
    if known.is_model or not are_plain(map(type, parts)):
        return None
    return json_engine.plain_json({CLASS: known.name, **dict(zip(known.fields, parts, strict=True))})


class _Encoding:
    """One walk over a value; it counts the objects."""

    def __init__(self, object_of: Callable[[type], ObjectKind | None]) -> None:
        self._object_of = object_of
        self.count = 0

    def tree(self, value: Any) -> Any:
        """Return what JSON has in place of a value; whether what is in it is exact is for the engine to say."""
        cls = type(value)
        if cls in PLAIN:
            return value
        if cls is dict:
            if CLASS in value or not are_str(map(type, value)):
                raise _NotJSONError
            plain = are_plain(map(type, value.values()))
            return value if plain else {key: self.tree(item) for key, item in value.items()}
        if cls is list:
            return value if are_plain(map(type, value)) else [self.tree(item) for item in value]
        return self._object(cls, value)

    def _object(self, cls: type, value: Any) -> dict[str, Any]:
        known = self._object_of(cls)
        self.count += 1
        if known is None or self.count > MOST:
            raise _NotJSONError
        parts = known.take_apart(value)
        if not are_plain(map(type, parts)):
            parts = [self.tree(part) for part in parts]
        made = {CLASS: known.name, **dict(zip(known.fields, parts, strict=True))}
        if known.is_model:
            for name in BESIDE:
                if made[name] is None:
                    del made[name]
        return made


def decode(objects: Objects, body: bytes) -> Any:
    """Return the value; raise DecodeError for a class that is not allowed, and an ordinary error if it is malformed."""
    value = json_engine.loads(body)
    return _object(value, objects) if type(value) is dict and CLASS in value else _build(value, objects)


def _build(value: Any, objects: Objects) -> Any:
    cls = type(value)
    if cls is dict:
        if CLASS in value:
            return _object(value, objects)
        if not are_plain(map(type, value.values())):
            return {key: item if type(item) in PLAIN else _build(item, objects) for key, item in value.items()}
    elif cls is list and not are_plain(map(type, value)):
        return [item if type(item) in PLAIN else _build(item, objects) for item in value]
    return value


def _object(stored: dict[str, Any], objects: Objects) -> Any:
    name = stored.pop(CLASS)
    if type(name) is not str:
        raise ValueError("the name of a class that is not a str")
    known = objects.object_named(name)  # before those within, for the outermost is the one to name
    fields = tuple(stored)
    if known.is_model:
        fields = (*(field for field in fields if field not in BESIDE), *BESIDE)
        parts = [stored.get(field) for field in fields]
    else:
        parts = [*stored.values()]
    if not are_plain(map(type, parts)):
        parts = [part if type(part) in PLAIN else _build(part, objects) for part in parts]
    return known.build(parts) if fields == known.fields else known.build_from(fields)(parts)
