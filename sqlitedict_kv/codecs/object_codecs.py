"""Codecs of values of any kind that a view allows: JSON of objects, MessagePack with tags, and bundles."""

from __future__ import annotations

from functools import partial
from typing import Any

from sqlitedict_kv.codecs import bundle, json_objects, tags
from sqlitedict_kv.codecs.catalog import Catalog
from sqlitedict_kv.codecs.codec import Codec
from sqlitedict_kv.errors import CodecError

OBJECTS = "application/json; as=objects"
MSGPACK = "application/msgpack"
BUNDLE = "application/vnd.sqlitedict-kv.bundle"


def codecs_of_kinds(catalog: Catalog, limit: int | None) -> tuple[Codec, ...]:
    """Return the codecs of values of the kinds of a catalog; *limit* is the most bytes of a value."""

    def write_objects(value: Any) -> bytes:
        body = json_objects.encode(value, catalog)
        if body is None:
            raise CodecError(f"{OBJECTS} cannot keep this {type(value).__name__}; leave the content type to the store")
        return body

    def pack(value: Any) -> bytes:
        return tags.pack(value, catalog, limit=limit, inline=True).head

    def unpack(body: bytes) -> Any:
        return tags.unpack(body, catalog)

    def pack_bundle(value: Any) -> bytes:
        return bundle.pack(*tags.pack(value, catalog, limit=limit))

    def bundle_parts(value: Any) -> list[bytes | memoryview]:
        return bundle.parts(*tags.pack(value, catalog, limit=limit))

    def unpack_bundle(body: bytes | memoryview) -> Any:
        head, buffers = bundle.unpack(body)
        return tags.unpack(head, catalog, buffers)

    return (
        Codec(OBJECTS, write_objects, partial(json_objects.decode, catalog)),
        Codec(MSGPACK, pack, unpack),
        Codec(BUNDLE, pack_bundle, unpack_bundle, parts=bundle_parts, view=unpack_bundle),
    )
