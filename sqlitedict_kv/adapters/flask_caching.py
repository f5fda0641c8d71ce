"""Backend for Flask-Caching.

::

    app.config["CACHE_TYPE"] = "sqlitedict_kv.adapters.flask_caching.SQLiteCache"
    app.config["CACHE_ARGS"] = ["cache.db"]
    cache = Cache(app)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from flask import Flask, Response
from flask_caching import CachedResponse
from flask_caching.backends.base import BaseCache
from markupsafe import Markup
from werkzeug.exceptions import HTTPException, default_exceptions
from werkzeug.wrappers import Response as WerkzeugResponse

from sqlitedict_kv import Codec
from sqlitedict_kv.adapters import cachelib
from sqlitedict_kv.adapters.support import STORE_OPTIONS, pack, unpack

RESPONSE = "application/x-flask-response"
WERKZEUG_RESPONSE = "application/x-werkzeug-response"
CACHED_RESPONSE = "application/x-flask-caching-response"
HTTP_EXCEPTION = "application/x-werkzeug-exception"
MARKUP = "text/html; charset=utf-8"

AnyResponse = TypeVar("AnyResponse", bound=WerkzeugResponse)

EXCEPTIONS = {kind.__name__: kind for kind in default_exceptions.values()}


class SQLiteCache(cachelib.SQLiteCache, BaseCache):  # its base is how Flask-Caching knows a backend
    """A cache in one SQLite file that all threads and processes of an app share.

    ``CACHE_ARGS`` holds the path, or the address of servers; ``CACHE_OPTIONS`` may have those of
    :class:`sqlitedict_kv.Store`, such as ``max_bytes`` and ``lru_bytes``. The namespace is named by
    ``CACHE_KEY_PREFIX``, so apps with different ones can share a file. Besides the built-in types, views may return
    responses that do not stream, and what ``abort()`` raises.
    """

    @classmethod
    def factory(cls, app: Flask, config: Mapping[str, Any], args: list[Any], kwargs: dict[str, Any]) -> SQLiteCache:  # noqa: ARG003 # as Flask-Caching calls it
        """Return the cache that the configuration of an app describes.

        Raises:
            TypeError, ValueError: CACHE_ARGS or CACHE_OPTIONS are not as described.
        """
        if len(args) != 1:
            raise TypeError(f"CACHE_ARGS must hold the path of the cache's file alone, not {len(args)} arguments")
        chosen = {"namespace": config["CACHE_KEY_PREFIX"], **kwargs}
        options = {name: chosen.pop(name) for name in STORE_OPTIONS & chosen.keys()}
        options["codecs"] = (*options.get("codecs", ()), *CODECS)
        return cls(args[0], **chosen, options=options)


def _encode_response(response: WerkzeugResponse) -> bytes:
    """Return a response in MessagePack; raise if it streams."""
    if response.is_streamed or response.direct_passthrough:
        raise TypeError("a response that streams can be sent only once")
    timeout = getattr(response, "timeout", None)
    return pack([response.status, list(response.headers), response.get_data(), timeout])


def _decode_response(body: bytes) -> Response:
    return _filled(Response(), body)


def _decode_werkzeug_response(body: bytes) -> WerkzeugResponse:
    return _filled(WerkzeugResponse(), body)


def _filled(response: AnyResponse, body: bytes) -> AnyResponse:
    status, headers, data, _ = unpack(body)
    response.status = status
    response.set_data(data)
    response.headers.clear()
    response.headers.extend(headers)
    return response


def _decode_cached_response(body: bytes) -> CachedResponse:
    return CachedResponse(_decode_response(body), unpack(body)[3])


def _encode_exception(error: HTTPException) -> bytes:
    """Return the state of an exception in MessagePack, all of what pickle would keep."""
    response = None if error.response is None else _encode_response(error.response)
    return pack([type(error).__name__, {**vars(error), "response": response}])


def _decode_exception(body: bytes) -> HTTPException:
    name, state = unpack(body)
    kind = EXCEPTIONS[name]
    error = kind.__new__(kind)
    response = None if state["response"] is None else _decode_response(state["response"])
    vars(error).update(state, response=response)
    return error


CODECS = (
    Codec(MARKUP, lambda text: text.encode(), lambda body: Markup(body.decode()), (Markup,)),  # noqa: S704 # as it was
    Codec(RESPONSE, _encode_response, _decode_response, (Response,)),
    Codec(WERKZEUG_RESPONSE, _encode_response, _decode_werkzeug_response, (WerkzeugResponse,)),
    Codec(CACHED_RESPONSE, _encode_response, _decode_cached_response, (CachedResponse,)),
    Codec(HTTP_EXCEPTION, _encode_exception, _decode_exception, tuple(EXCEPTIONS.values())),
)
