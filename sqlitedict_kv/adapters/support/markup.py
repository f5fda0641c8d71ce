"""Markup inside dicts, lists and tuples, as Flask's ``flash(Markup(...))`` puts it into a session."""

from __future__ import annotations

import sys
from typing import Any

from sqlitedict_kv import Codec
from sqlitedict_kv.adapters.support.packing import pack, unpack

MARKUP_WITHIN = "application/x-markup-within"


def encode(value: Any) -> bytes:
    """Return MessagePack of the value with plain text, and of where its Markup is."""
    plain, marks = _plain(value)
    return pack([plain, marks])


def decode(body: bytes) -> Any:
    """Return the value with its Markup."""
    plain, marks = unpack(body)
    return _marked(plain, marks)


MARKUP_CODEC = Codec(MARKUP_WITHIN, encode, decode, (object,))  # object: asked last, for what no other codec keeps


def _plain(value: Any) -> tuple[Any, Any]:
    """Return a value without Markup, and its marks: True for Markup, those of its parts by key or index, else None."""
    if _is_markup(value):
        return str.__str__(value), True
    kind = type(value)
    if kind is dict:
        parts = {key: _plain(part) for key, part in value.items()}
        plain: Any = {key: part for key, (part, _) in parts.items()}
    elif kind in (list, tuple):
        parts = dict(enumerate(map(_plain, value)))
        plain = kind(part for part, _ in parts.values())
    else:
        return value, None
    return plain, {key: marks for key, (_, marks) in parts.items() if marks} or None


def _is_markup(value: Any) -> bool:
    module = sys.modules.get("markupsafe")  # not imported where it is not used
    return module is not None and type(value) is module.Markup


def _marked(plain: Any, marks: Any) -> Any:
    if not marks:
        return plain
    if marks is True:
        from markupsafe import Markup  # noqa: PLC0415 - see above

        return Markup(plain)  # noqa: S704 - as it was
    if type(plain) is dict:
        return {key: _marked(part, marks.get(key)) for key, part in plain.items()}
    return type(plain)(_marked(part, marks.get(index)) for index, part in enumerate(plain))
