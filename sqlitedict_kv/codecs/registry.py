"""Registry of codecs: values as bytes of a content type, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from sqlitedict_kv.codecs import bundle, json_objects, scientific, tags
from sqlitedict_kv.codecs.annotations import NOWHERE, Reach, Scope
from sqlitedict_kv.codecs.catalog import Catalog, name_of
from sqlitedict_kv.codecs.codec import BYTES, JSON, PLAIN, TEXT, Codec
from sqlitedict_kv.codecs.json_engine import exact_json
from sqlitedict_kv.codecs.kinds import Kind
from sqlitedict_kv.codecs.limits import too_large
from sqlitedict_kv.codecs.outer_check import Check, check_of, show
from sqlitedict_kv.codecs.refusal import RefusalError
from sqlitedict_kv.errors import CodecError, DecodeError, NotKeptHereError, TooLargeError

__all__ = ["BUNDLE", "BYTES", "JSON", "MSGPACK", "OBJECTS", "TEXT", "Codec", "Codecs"]

OBJECTS = "application/json; as=objects"
MSGPACK = "application/msgpack"
BUNDLE = "application/vnd.sqlitedict-kv.bundle"

BUILT_IN = (
    *PLAIN,
    Codec(scientific.NPY, scientific.encode_array, scientific.decode_array),
    Codec(scientific.ARROW, scientific.encode_table, scientific.decode_table),
    Codec(scientific.ARROW_PANDAS, scientific.encode_frame, scientific.decode_frame),
)


class Codecs:
    """The codecs of one store: the user's, then the built-in ones."""

    def __init__(
        self,
        custom: Sequence[Codec] = (),
        kinds: Sequence[Kind] = (),
        limit: int | None = None,
        *,
        catalog: Catalog | None = None,
    ) -> None:
        """Put *custom* codecs beside the built-in ones.

        Args:
            custom: checked codecs.
            kinds: the classes whose objects are allowed.
            limit: the most bytes of a value; None is no limit.
            catalog: what is allowed, for a view of these codecs; None is *kinds*.
        """
        self._custom = custom
        self._kinds = kinds
        self._limit = limit
        self._catalog = Catalog(kinds) if catalog is None else catalog
        ordered = {codec.content_type: codec for codec in (*BUILT_IN, *self._of_kinds(), *custom)}
        self._by_content_type = ordered
        # What encodes the values of a class, and returns the content type too.
        self._by_type: dict[type, Callable[[Any], tuple[bytes, str]]] = {
            **{kind.cls: self._encode_allowed for kind in kinds},
            **{cls: partial(self._encode_by, codec) for codec in ordered.values() for cls in codec.types},
        }
        self._last = self._by_type.pop(object, None)
        # for Namespace.get, which calls them itself
        self.decoders = {content_type: codec.decode for content_type, codec in ordered.items()}

    @property
    def key_functions(self) -> dict[type, Callable[[Any], Any]]:
        """What stands for objects in the keys of memoized calls, by class."""
        return {kind.cls: kind.key for kind in self._kinds if kind.key is not None}

    def _of_kinds(self) -> tuple[Codec, ...]:
        """Return the codecs of values of any kind that is allowed."""
        catalog, limit = self._catalog, self._limit

        def write_objects(value: Any) -> bytes:
            body = json_objects.encode(value, catalog)
            if body is None:
                raise CodecError(
                    f"{OBJECTS} cannot keep this {type(value).__name__}; leave the content type to the store"
                )
            return body

        def pack(value: Any) -> bytes:
            return tags.pack(value, catalog, limit=limit, inline=True).head

        def unpack(body: bytes) -> Any:
            return tags.unpack(body, catalog)

        def pack_bundle(value: Any) -> bytes:
            return bundle.pack(*tags.pack(value, catalog, limit=limit))

        def unpack_bundle(body: bytes) -> Any:
            head, buffers = bundle.unpack(body)
            return tags.unpack(head, catalog, buffers)

        return (
            Codec(OBJECTS, write_objects, partial(json_objects.decode, catalog)),
            Codec(MSGPACK, pack, unpack),
            Codec(BUNDLE, pack_bundle, unpack_bundle),
        )

    def __contains__(self, content_type: object) -> bool:
        """Return whether there is a codec for a content type."""
        return content_type in self._by_content_type

    def typed(self, annotation: Any, scope: Scope = NOWHERE, *, checked: bool) -> Codecs:
        """Return these codecs for a view of values of one type, which allows the classes that it names.

        Args:
            annotation: the type, or a text that says it.
            scope: the names that a text is resolved among.
            checked: whether values of other types are refused, on writing and on reading.
        """
        catalog = self._catalog.within(Reach(annotation, scope))
        if checked:
            return CheckedCodecs(self._custom, self._kinds, self._limit, catalog, annotation, scope)
        return Codecs(self._custom, self._kinds, self._limit, catalog=catalog)

    def unchecked(self) -> Codecs:
        """Return these codecs without the check of a view; they allow the same classes."""
        return self

    # -- encoding

    def encode(self, value: Any, content_type: str | None = None) -> tuple[bytes, str]:
        """Return the bytes of a value and their content type, chosen by the value unless one is asked for.

        Raises:
            CodecError: the value would not come back as it is.
            TooLargeError: it is seen before all of it is encoded that it is over the limit.
        """
        try:
            if content_type is not None:
                return self._encode_with(self._by_content_type[content_type], value), content_type
            if encode := self._by_type.get(type(value)):
                return encode(value)
            body = exact_json(value)
            return self._encode_object(value) if body is None else (body, JSON)
        except RefusalError as refusal:
            raise refusal.as_codec_error() from None

    def _encode_allowed(self, value: Any) -> tuple[bytes, str]:
        """Return an object of an allowed class."""
        known = self._catalog.object_of(type(value))
        try:
            body = None if known is None else json_objects.encode_flat(value, known)
        except CodecError:
            body = None
        return self._encode_object(value) if body is None else (body, OBJECTS)

    def _encode_object(self, value: Any) -> tuple[bytes, str]:
        """Return a value that plain JSON cannot keep."""
        try:
            return self._encode_by_kind(value)
        except CodecError:
            if self._last is None:
                raise
        return self._last(value)

    def _encode_by_kind(self, value: Any) -> tuple[bytes, str]:
        """Return a value as its library does, as JSON of objects, as MessagePack or as a bundle, the first that can."""
        whole = scientific.content_type_of(type(value))
        refused = None
        if whole is not None:
            self._refuse_if_too_large(value, whole)
            try:
                return self._encode_with(self._by_content_type[whole], value), whole
            except CodecError as error:
                refused = error  # what the library's format cannot hold, its parts may
        body = self._as_objects(value)
        if body is not None:
            if type(value) not in (list, dict):  # the next one needs no attempt at plain JSON
                self._by_type[type(value)] = self._encode_allowed
            return body, OBJECTS
        try:
            head, buffers = tags.pack(value, self._catalog, limit=self._limit)
        except RefusalError as refusal:
            raise (refusal if refused is None or refusal.within else refused) from None
        return (bundle.pack(head, buffers), BUNDLE) if buffers else (head, MSGPACK)

    def _as_objects(self, value: Any) -> bytes | None:
        try:
            return json_objects.encode(value, self._catalog) if self._catalog.allows_objects else None
        except CodecError:
            return None  # tags say where it is in the value

    def _refuse_if_too_large(self, value: Any, content_type: str) -> None:
        size = getattr(value, "nbytes", None)
        if type(size) is int and self._limit is not None and size > self._limit:
            raise TooLargeError(too_large(size, self._limit, content_type, least=True))

    def _encode_by(self, codec: Codec, value: Any) -> tuple[bytes, str]:
        return self._encode_with(codec, value), codec.content_type

    def _encode_with(self, codec: Codec, value: Any) -> bytes:
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

    # -- decoding

    def decode(self, namespace: str, key: str, body: bytes, content_type: str) -> Any:
        """Return the value of an entry.

        Raises:
            DecodeError: its content type is unknown here, its bytes do not decode, or it holds what is not allowed.
            MemoryError: there is not enough memory for it.
        """
        entry = f"the entry {key!r} in namespace {namespace!r}"
        try:
            decoder = self.decoders[content_type]
        except KeyError:
            raise DecodeError(
                f"{entry} has the content type {content_type!r}, for which "
                f"this store has no codec; open it with Store(..., codecs=[...])"
            ) from None
        try:
            return decoder(body)
        except NotKeptHereError as error:
            raise type(error)(f"{entry} {error}") from None
        except MemoryError:
            raise MemoryError(f"{entry} takes more memory than there is; it may be intact") from None
        except Exception as error:
            # from None: a parser's message may quote the value.
            raise DecodeError(
                f"{entry} does not decode as {content_type} "
                f"({type(error).__name__}); overwrite it, or read it with the codec that wrote it"
            ) from None


class CheckedCodecs(Codecs):
    """The codecs of a view of values of one type."""

    def __init__(
        self,
        custom: Sequence[Codec],
        kinds: Sequence[Kind],
        limit: int | None,
        catalog: Catalog,
        annotation: Any,
        scope: Scope,
    ) -> None:
        """Refuse what is not of the type *annotation*, which is resolved when the first value is met."""
        super().__init__(custom, kinds, limit, catalog=catalog)
        self._annotation = annotation
        self._scope = scope
        self._check: Check | None = None
        self._compiled = False
        self.decoders = {
            content_type: partial(self._decode_with, decoder) for content_type, decoder in self.decoders.items()
        }

    def unchecked(self) -> Codecs:
        """Return these codecs without the check of the view."""
        return Codecs(self._custom, self._kinds, self._limit, catalog=self._catalog)

    def encode(self, value: Any, content_type: str | None = None) -> tuple[bytes, str]:
        """Return the bytes of a value of the type, and their content type; see :meth:`Codecs.encode`."""
        if not self._fits(value):
            raise CodecError(f"{name_of(type(value))} cannot be kept here: this view keeps {show(self._annotation)}")
        return super().encode(value, content_type)

    def _decode_with(self, decoder: Callable[[bytes], Any], body: bytes) -> Any:
        value = decoder(body)
        if not self._fits(value):
            raise NotKeptHereError(f"holds {name_of(type(value))}, and this view keeps {show(self._annotation)}")
        return value

    def _fits(self, value: Any) -> bool:
        if not self._compiled:
            self._check = check_of(self._annotation, self._scope)
            self._compiled = True
        return self._check is None or self._check(value)
