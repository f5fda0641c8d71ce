"""Safe strings of Django as text, and responses as status, headers, cookies, content and added attributes."""

from __future__ import annotations

from http.cookies import Morsel, SimpleCookie
from typing import Any

from django.http import HttpResponse
from django.http.response import ResponseHeaders
from django.utils.functional import Promise
from django.utils.safestring import SafeString

from sqlitedict_kv.codecs.library_kinds import LibraryKind
from sqlitedict_kv.codecs.parts import check_part, only_part, require
from sqlitedict_kv.errors import CodecError

STATED = frozenset(
    {"status_code", "using", "_request", "_is_rendered"}
)  # by the first part, or of no use once rendered


def take_safe_string(value: Any) -> list[Any]:
    """Return the text."""
    return [str.__str__(value)]


def build_safe_string(parts: list[Any]) -> Any:
    """Return a safe string."""
    return SafeString(check_part(only_part(parts), str))


def refuse_lazy(_value: Any) -> list[Any]:
    """Raise CodecError: a lazy text is another one in each language."""
    raise CodecError("a lazy text is another one in each language; keep str(...) of it")


def take_response(value: Any) -> list[Any]:
    """Return what a rendered response answers, and the attributes that others added to it."""
    known = vars(HttpResponse(charset=value.charset)).keys() | STATED
    added = {name: part for name, part in value.__getstate__().items() if name not in known}
    for name in added:
        if hasattr(HttpResponse, name):
            raise CodecError(f"a response whose {name} was replaced cannot be kept")
    return [
        value.status_code,
        value.reason_phrase,
        value.charset,
        bytes(value.content),
        dict(value.headers.items()),
        [[morsel.key, morsel.value, morsel.coded_value, _set_of(morsel)] for morsel in value.cookies.values()],
        added,
    ]


def _set_of(morsel: Any) -> dict[str, Any]:
    return {name: part for name, part in morsel.items() if part != ""}


def build_response(parts: list[Any]) -> Any:
    """Return an HttpResponse that answers the same."""
    status, reason, charset, content, headers, cookies, added = parts
    require(type(status) is int and type(content) is bytes and type(headers) is dict and type(added) is dict)
    made = HttpResponse(content, status=status, reason=check_part(reason, str), charset=check_part(charset, str))
    made.headers = ResponseHeaders(headers)
    made.cookies = _cookies_of(cookies)
    require(all(type(name) is str and not hasattr(made, name) for name in added))
    vars(made).update(added)
    return made


def _cookies_of(cookies: Any) -> Any:
    made: SimpleCookie = SimpleCookie()
    for key, value, coded, attributes in check_part(cookies, list):
        morsel: Morsel[str] = Morsel()
        morsel.set(check_part(key, str), check_part(value, str), check_part(coded, str))
        morsel.update(check_part(attributes, dict))
        dict.__setitem__(made, key, morsel)
    return made


SAFE_STRING = LibraryKind("django.SafeString", take_safe_string, build_safe_string)
LAZY = LibraryKind("django.Promise", refuse_lazy, refuse_lazy)
RESPONSE = LibraryKind("django.HttpResponse", take_response, build_response, raw_parts=False)
BY_NAME = {kind.name: kind for kind in (SAFE_STRING, RESPONSE)}


def kind_of(cls: type) -> LibraryKind | None:
    """Return the kind of a class of Django."""
    if cls is SafeString:
        return SAFE_STRING
    return LAZY if issubclass(cls, Promise) else None


def kind_named(name: str) -> LibraryKind | None:
    """Return the kind of a stored name."""
    return BY_NAME.get(name)
