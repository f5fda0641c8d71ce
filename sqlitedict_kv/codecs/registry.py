"""How a value becomes bytes of a content type, and a value again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import orjson
from msgpack import Packer

from sqlitedict_kv.codecs import bundle, scientific, tags
from sqlitedict_kv.codecs.catalog import Catalog
from sqlitedict_kv.codecs.limits import too_large
from sqlitedict_kv.codecs.refusal import RefusalError
from sqlitedict_kv.errors import CodecError, DecodeError, TooLargeError

JSON = "application/json"
MSGPACK = "application/msgpack"
BUNDLE = "application/vnd.sqlitedict-kv.bundle"
BYTES = "application/octet-stream"
TEXT = "text/plain; charset=utf-8"

PACKER_BYTES = 1024  # to begin with

# Whatever orjson would turn into something else by its own judgement is left to raise instead.
STRICT_JSON = orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME


class Codec(NamedTuple):
    """Turns values of some types into bytes of a content type and back.

    Attributes:
        content_type: the name that is stored with each entry, such as ``"image/png"``.
        encode: makes bytes of a value; what it raises is reported as a CodecError.
        decode: makes an equal value of the same types from those bytes.
        types: the exact types whose values are encoded so when no content type is asked for; ``object`` stands
            for all that no other codec of the store keeps.
    """

    content_type: str
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]
    types: tuple[type, ...] = ()


def encode_json(value: Any) -> bytes:
    """Return readable JSON; raise CodecError unless it decodes to an equal value of the same types."""
    body = exact_json(value)
    if body is None:
        raise CodecError(f"JSON cannot keep this {type(value).__name__} exactly; leave the content type to the store")
    return body


def exact_json(value: Any) -> bytes | None:
    """Return JSON, or None where it would come back as something else.

    Strict MessagePack takes exact built-in types only, and so refuses the enums that would compare equal to what
    JSON made of them. It goes first, for it refuses the deeply nested tuples on which orjson crashes
    (seen in 3.13.0). All the checks run in C: a walk in Python would cost ten times as much.
    """
    try:
        Packer(strict_types=True, buf_size=PACKER_BYTES).pack(value)  # packb would take a quarter of a megabyte
        body = orjson.dumps(value, option=STRICT_JSON)
    except (TypeError, ValueError, OverflowError, RecursionError):  # orjson's own error is a TypeError
        return None
    return body if orjson.loads(body) == value else None


def encode_bytes(value: Any) -> bytes:
    """Return the value itself, which must be bytes."""
    if type(value) is not bytes:
        raise CodecError(f"{BYTES} keeps bytes, not {type(value).__name__}")
    return value


def encode_text(value: Any) -> bytes:
    """Return the UTF-8 of a str."""
    if type(value) is not str:
        raise CodecError(f"{TEXT} keeps str, not {type(value).__name__}")
    return value.encode()


BUILT_IN = (
    Codec(JSON, encode_json, orjson.loads),
    Codec(BYTES, encode_bytes, bytes, (bytes,)),
    Codec(TEXT, encode_text, bytes.decode),
    Codec(scientific.NPY, scientific.encode_array, scientific.decode_array),
    Codec(scientific.ARROW, scientific.encode_table, scientific.decode_table),
    Codec(scientific.ARROW_PANDAS, scientific.encode_frame, scientific.decode_frame),
)


class Codecs:
    """The codecs of one store: the user's, then the built-in ones."""

    def __init__(self, custom: Sequence[Codec] = (), limit: int | None = None) -> None:
        """Put *custom* codecs beside the built-in ones; *limit* is the most bytes of a value, None without."""
        self._catalog = Catalog()
        self._limit = limit
        ordered = {codec.content_type: codec for codec in (*BUILT_IN, *self._of_kinds(), *custom)}
        self._by_content_type = ordered
        self._by_type = {kind: codec for codec in ordered.values() for kind in codec.types}
        self._last = self._by_type.pop(object, None)
        # for Namespace.get, which calls them itself
        self.decoders = {content_type: codec.decode for content_type, codec in ordered.items()}

    def _of_kinds(self) -> tuple[Codec, ...]:
        """Return the codecs of values of any kind that is allowed."""
        catalog, limit = self._catalog, self._limit

        def pack(value: Any) -> bytes:
            return tags.pack(value, catalog, limit=limit, inline=True).head

        def unpack(body: bytes) -> Any:
            return tags.unpack(body, catalog)

        def pack_bundle(value: Any) -> bytes:
            return bundle.pack(*tags.pack(value, catalog, limit=limit))

        def unpack_bundle(body: bytes) -> Any:
            head, buffers = bundle.unpack(body)
            return tags.unpack(head, catalog, buffers)

        return Codec(MSGPACK, pack, unpack), Codec(BUNDLE, pack_bundle, unpack_bundle)

    def __contains__(self, content_type: object) -> bool:
        """Return whether there is a codec for a content type."""
        return content_type in self._by_content_type

    def encode(self, value: Any, content_type: str | None = None) -> tuple[bytes, str]:
        """Return the bytes of a value and their content type, chosen by the value unless one is asked for.

        Raises:
            CodecError: the value would not come back as it is.
            TooLargeError: it is seen before all of it is encoded that it is over the limit.
        """
        if content_type is not None:
            return self._encoded(self._by_content_type[content_type], value), content_type
        if codec := self._by_type.get(type(value)):
            return self._encoded(codec, value), codec.content_type
        body = exact_json(value)
        if body is not None:
            return body, JSON
        try:
            return self._encoded_by_kind(value)
        except CodecError:
            if self._last is None:
                raise
        return self._encoded(self._last, value), self._last.content_type

    def _encoded_by_kind(self, value: Any) -> tuple[bytes, str]:
        """Return a value that JSON cannot keep: in the format of its library, as MessagePack or as a bundle."""
        whole = scientific.content_type_of(type(value))
        refused = None
        if whole is not None:
            self._refuse_if_too_large(value, whole)
            try:
                return self._encoded(self._by_content_type[whole], value), whole
            except CodecError as error:
                refused = error  # what the library's format cannot hold, its parts may
        try:
            head, buffers = tags.pack(value, self._catalog, limit=self._limit)
        except RefusalError as refusal:
            raise (refusal if refused is None or refusal.within else refused) from None
        return (bundle.pack(head, buffers), BUNDLE) if buffers else (head, MSGPACK)

    def _refuse_if_too_large(self, value: Any, content_type: str) -> None:
        size = getattr(value, "nbytes", None)
        if type(size) is int and self._limit is not None and size > self._limit:
            raise TooLargeError(too_large(size, self._limit, content_type, least=True))

    def _encoded(self, codec: Codec, value: Any) -> bytes:
        try:
            body = codec.encode(value)
        except CodecError:
            raise
        except Exception as error:
            # from None: the codec's own message may show the value.
            raise CodecError(
                f"the codec of {codec.content_type} cannot encode this {type(value).__name__}: {type(error).__name__}"
            ) from None
        if type(body) is not bytes:
            raise CodecError(f"the codec of {codec.content_type} made {type(body).__name__} instead of bytes")
        return body

    def decode(self, namespace: str, key: str, body: bytes, content_type: str) -> Any:
        """Return the value of an entry.

        Raises:
            DecodeError: its content type is unknown here, or its bytes do not decode.
        """
        try:
            decoder = self.decoders[content_type]
        except KeyError:
            raise DecodeError(
                f"the entry {key!r} in namespace {namespace!r} has the content type {content_type!r}, for which "
                f"this store has no codec; open it with Store(..., codecs=[...])"
            ) from None
        try:
            return decoder(body)
        except Exception as error:
            # from None: a parser's message may quote the value.
            raise DecodeError(
                f"the entry {key!r} in namespace {namespace!r} does not decode as {content_type} "
                f"({type(error).__name__}); overwrite it, or read it with the codec that wrote it"
            ) from None
