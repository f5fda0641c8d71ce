"""Codecs for values of Django: safe strings, responses, and signed pickles if the site allows them.

With codecs for ``SafeString`` and for plain responses, ``{% cache %}``, ``cache_page`` and the middleware of the
per-site cache work without pickle, which runs code that the file holds. To cache other types all the same,
set::

    "OPTIONS": {"allow_pickle_signed_with_secret_key": True}

What the other codecs keep is still not pickled. A pickle is signed with SECRET_KEY, and read only if SECRET_KEY or
one of SECRET_KEY_FALLBACKS has signed it: someone who can write to the file, but does not know the keys, cannot make
the site run anything but pickles that the site itself has written, though possibly under another key.
"""

from __future__ import annotations

import hmac
import pickle
from functools import cache, lru_cache
from http.cookies import Morsel, SimpleCookie
from typing import Any, NamedTuple

from django.conf import settings
from django.core.signing import BadSignature
from django.http import HttpResponse, JsonResponse
from django.http.response import ResponseHeaders
from django.template.response import SimpleTemplateResponse, TemplateResponse
from django.utils.crypto import salted_hmac
from django.utils.safestring import SafeString

from sqlitedict_kv import Codec, CodecError
from sqlitedict_kv.adapters.support import MEMORY, Codecs, check_store_options, pack, unpack

ALLOW_PICKLE = "allow_pickle_signed_with_secret_key"
SAFE_STRING = "text/html; charset=utf-8"
RESPONSE = "application/x-django-response"
PICKLE = "application/x-django-pickle; signature=hmac-sha256"
SIGNATURE_BYTES = 32
ENCODED = "application/x-django-encoded"
SIMPLE = frozenset({int, float, bool, str, bytes, type(None)})

RESPONSES = {kind.__name__: kind for kind in (HttpResponse, JsonResponse, SimpleTemplateResponse, TemplateResponse)}


class NotPicklableError(CodecError, pickle.PicklingError):
    """A value that pickle cannot keep either."""


class Encoded(NamedTuple):
    """A value that is encoded already, so that writing it takes no time."""

    body: bytes
    content_type: str


def add_codecs(options: dict[str, Any], *, pickled: bool) -> None:
    """Add our codecs to those of a store's options; *pickled* is whether it may write and read pickles.

    The same options give the same codecs, so that they give the same store.
    """
    try:
        custom, types = tuple(options.get("codecs") or ()), tuple(options.get("types") or ())
        options["codecs"] = _codecs(custom, types, pickled)
    except TypeError:  # not as the store wants them: it says so
        return


@lru_cache
def _codecs(custom: tuple[Codec, ...], types: tuple[Any, ...], pickled: bool) -> tuple[Codec, ...]:  # noqa: FBT001 - a key
    last = Codec(PICKLE, _pickle, _unpickle, (object,)) if pickled else Codec(PICKLE, _refuse, _refuse_body)
    inner = (*custom, SAFE_STRINGS, RESPONSE_CODEC, last)

    @cache
    def inside() -> Codecs:
        return check_store_options(MEMORY, {"codecs": inner, "types": types})

    def decode(body: bytes) -> Any:
        content_type, encoded = unpack(body)
        return inside().decode("", "", encoded, content_type)

    return (*inner, Codec(ENCODED, lambda value: pack([value.content_type, value.body]), decode, (Encoded,)))


def encode_early(codecs: Codecs, value: Any) -> Any:
    """Return a value that a store encodes in no time: itself if it is simple, else what *codecs* make of it."""
    if type(value) in SIMPLE:
        return value
    body, content_type = codecs.encode(value)
    return Encoded(body, content_type)


# -- responses


def _encode_response(response: Any) -> bytes:
    """Return the state of a response in MessagePack, all of what pickle would keep."""
    state = {**response.__getstate__(), "_container": [response.content]}  # content: raises if it was not rendered
    headers, cookies = state.pop("headers"), state.pop("cookies")
    return pack(
        {
            "class": type(response).__name__,
            "headers": list(headers.items()),
            "cookies": [
                (
                    morsel.key,
                    morsel.value,
                    morsel.coded_value,
                    {name: set_to for name, set_to in morsel.items() if set_to != ""},
                )
                for morsel in cookies.values()
            ],
            "state": state,
        }
    )


def _decode_response(body: bytes) -> Any:
    packed = unpack(body)
    kind = RESPONSES[packed["class"]]
    response = kind.__new__(kind)
    cookies: SimpleCookie = SimpleCookie()
    for key, value, coded_value, attributes in packed["cookies"]:
        morsel: Morsel[str] = Morsel()
        morsel.set(key, value, coded_value)
        morsel.update(attributes)
        dict.__setitem__(cookies, key, morsel)
    vars(response).update(packed["state"], headers=ResponseHeaders(dict(packed["headers"])), cookies=cookies)
    return response


SAFE_STRINGS = Codec(SAFE_STRING, lambda text: text.encode(), lambda body: SafeString(body.decode()), (SafeString,))
RESPONSE_CODEC = Codec(RESPONSE, _encode_response, _decode_response, tuple(RESPONSES.values()))


# -- pickles


def _pickle(value: Any) -> bytes:
    try:
        body = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        # from None: its message may show the value
        raise NotPicklableError(f"pickle cannot keep this {type(value).__name__} ({type(error).__name__})") from None
    return _signature(settings.SECRET_KEY, body) + body


def _unpickle(signed: bytes) -> Any:
    signature, body = signed[:SIGNATURE_BYTES], signed[SIGNATURE_BYTES:]
    for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        if hmac.compare_digest(signature, _signature(key, body)):
            return pickle.loads(body)  # noqa: S301 # the site allows it, and has written it itself
    raise BadSignature("neither SECRET_KEY nor one of SECRET_KEY_FALLBACKS has signed this pickle")


def _signature(key: str | bytes, body: bytes) -> bytes:
    signature: bytes = salted_hmac(PICKLE, body, secret=key, algorithm="sha256").digest()
    return signature


def _refuse(_value: Any) -> bytes:
    raise CodecError(f"this cache does not write pickles; see {ALLOW_PICKLE!r}")


def _refuse_body(_body: bytes) -> Any:
    raise PermissionError(f"this cache does not read pickles; see {ALLOW_PICKLE!r}")
