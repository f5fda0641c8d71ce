"""Data of serializers as plain dicts and lists, and rendered responses as those of Django."""

from __future__ import annotations

from typing import Any

from rest_framework.response import Response
from rest_framework.utils.serializer_helpers import ReturnDict, ReturnList

from sqlitedict_kv.codecs import django_kinds
from sqlitedict_kv.codecs.builtin_kinds import LIST, MAP
from sqlitedict_kv.codecs.library_kinds import LibraryKind
from sqlitedict_kv.errors import CodecError

OWN = frozenset(
    {"data", "exception", "content_type", "accepted_media_type", "_closable_objects"}
)  # what it was rendered from


def take_rendered(value: Any) -> list[Any]:
    """Return the parts of a response of Django: what it was rendered from is left behind, as its renderer is."""
    if not value.is_rendered:
        raise CodecError("a Response that is not rendered cannot be kept; call render() first, or keep its data")
    *parts, added = django_kinds.take_response(value)
    return [*parts, {name: part for name, part in added.items() if name not in OWN}]


# The first two are pickled so as well: the serializer is not data. Reading them needs no library.
BY_CLASS: dict[type, LibraryKind] = {
    ReturnDict: MAP,
    ReturnList: LIST,
    Response: django_kinds.RESPONSE._replace(take_apart=take_rendered),
}


def kind_of(cls: type) -> LibraryKind | None:
    """Return the kind of a class of Django REST framework."""
    return BY_CLASS.get(cls)


def kind_named(_name: str) -> None:
    """Return None: what is stored has names of Python and of Django."""
