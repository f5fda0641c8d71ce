"""A backend for Flask-Caching.

::

    app.config["CACHE_TYPE"] = "sqlitedict_kv.adapters.flask_caching.SQLiteCache"
    app.config["CACHE_ARGS"] = ["cache.db"]
    cache = Cache(app)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask, Response
from flask_caching import CachedResponse
from flask_caching.backends.base import BaseCache

from sqlitedict_kv import packing
from sqlitedict_kv.adapters import cachelib
from sqlitedict_kv.adapters.stores import OPTIONS
from sqlitedict_kv.codecs import Codec

RESPONSE = "application/x-flask-response"
CACHED_RESPONSE = "application/x-flask-caching-response"


class SQLiteCache(cachelib.SQLiteCache, BaseCache):  # its base is how Flask-Caching knows a backend
    """A cache in one SQLite file that all threads and processes of an app share.

    ``CACHE_ARGS`` holds the path; ``CACHE_OPTIONS`` may have those of :class:`sqlitedict_kv.Store`, such as
    ``max_bytes`` and ``lru_bytes``. The namespace is named by ``CACHE_KEY_PREFIX``, so apps with different ones can
    share a file. Views may return responses; those that stream are not kept.
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
        options = {name: chosen.pop(name) for name in OPTIONS & chosen.keys()}
        options["codecs"] = (*options.get("codecs", ()), *RESPONSES)
        return cls(args[0], **chosen, options=options)


def _encode_response(response: Response) -> bytes:
    """Return a response in MessagePack; raise if it streams."""
    if response.is_streamed or response.direct_passthrough:
        raise TypeError("a response that streams can be sent once only")
    timeout = getattr(response, "timeout", None)
    return packing.pack([response.status, list(response.headers), response.get_data(), timeout])


def _decode_response(body: bytes) -> Response:
    status, headers, data, _ = packing.unpack(body)
    response = Response(data, status=status)
    response.headers.clear()
    response.headers.extend(headers)
    return response


def _decode_cached_response(body: bytes) -> CachedResponse:
    return CachedResponse(_decode_response(body), packing.unpack(body)[3])


RESPONSES = (
    Codec(RESPONSE, _encode_response, _decode_response, (Response,)),
    Codec(CACHED_RESPONSE, _encode_response, _decode_cached_response, (CachedResponse,)),
)
