"""Registry of codecs: values as bytes of a content type, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import copy
from functools import partial
from typing import Any

from sqlitedict_kv.codecs import bundle, json_objects, scientific, tags
from sqlitedict_kv.codecs.annotations import NOWHERE, Reach, Scope
from sqlitedict_kv.codecs.body_parts import BodyParts
from sqlitedict_kv.codecs.catalog import Catalog, name_of
from sqlitedict_kv.codecs.codec import BYTES, JSON, PLAIN, TEXT, Codec
from sqlitedict_kv.codecs.decoding import make_value
from sqlitedict_kv.codecs.file_reference import FILE, FileAccess
from sqlitedict_kv.codecs.json_engine import exact_json
from sqlitedict_kv.codecs.kinds import Kind
from sqlitedict_kv.codecs.limits import too_large
from sqlitedict_kv.codecs.object_codecs import BUNDLE, MSGPACK, OBJECTS, codecs_of_kinds
from sqlitedict_kv.codecs.outer_check import Check, check_of, show
from sqlitedict_kv.codecs.refusal import RefusalError
from sqlitedict_kv.errors import CodecError, NotKeptHereError, TooLargeError

__all__ = ["BUNDLE", "BYTES", "JSON", "MSGPACK", "OBJECTS", "TEXT", "BodyParts", "Codec", "Codecs"]

Body = bytes | BodyParts

BUILT_IN = (*PLAIN, *scientific.CODECS)


class Codecs:
    """The codecs of one store: the user's, then the built-in ones."""

    def __init__(
        self,
        custom: Sequence[Codec] = (),
        kinds: Sequence[Kind] = (),
        limit: int | None = None,
        *,
        catalog: Catalog | None = None,
        files_above: int | None = None,
    ) -> None:
        """Put *custom* codecs beside the built-in ones.

        Args:
            custom: checked codecs.
            kinds: the classes whose objects are allowed.
            limit: the most bytes of a value; None is no limit.
            catalog: what is allowed, for a view of these codecs; None is *kinds*.
            files_above: the most bytes of a value that is kept in a row; None is no limit.
        """
        self._custom = custom
        self._kinds = kinds
        self._limit = limit
        self._files_above = files_above
        self.file_access = FileAccess()
        self.maps_files = False  # whether values in files are mapped, not read
        self._catalog = Catalog(kinds) if catalog is None else catalog
        ordered = {codec.content_type: codec for codec in (*BUILT_IN, *codecs_of_kinds(self._catalog, limit), *custom)}
        self._by_content_type = ordered
        # What encodes the values of a class, and returns the content type too.
        self._by_type: dict[type, Callable[[Any], tuple[Body, str]]] = {
            **{kind.cls: self._encode_allowed for kind in kinds},
            **{cls: partial(self._encode_by, codec) for codec in ordered.values() for cls in codec.types},
        }
        self._last = self._by_type.pop(object, None)
        # for Namespace.get, which calls them itself
        self.decoders = {content_type: codec.decode for content_type, codec in ordered.items()}
        # what needs no bytes of its own to make a value of
        self.views = {codec.content_type: codec.view for codec in ordered.values() if codec.view is not None}

    @property
    def key_functions(self) -> dict[type, Callable[[Any], Any]]:
        """What stands for objects in the keys of memoized calls, by class."""
        return {kind.cls: kind.key for kind in self._kinds if kind.key is not None}

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
        if not checked:
            return self._with(catalog)
        codecs = CheckedCodecs(
            self._custom,
            self._kinds,
            self._limit,
            catalog=catalog,
            files_above=self._files_above,
            annotation=annotation,
            scope=scope,
        )
        codecs.file_access, codecs.maps_files = self.file_access, self.maps_files
        return codecs

    def mapping_files(self) -> Codecs:
        """Return the same codecs, which map values in files where the store can."""
        codecs = copy(self)
        codecs.maps_files = True
        return codecs

    def reading_files_by(self, read: Callable[[Any, str, str, bytes], Any]) -> Codecs:
        """Return the same codecs, which get values in files by *read*."""
        codecs = copy(self)
        codecs.file_access = FileAccess()
        codecs.file_access.read = read
        return codecs

    def _with(self, catalog: Catalog) -> Codecs:
        codecs = Codecs(self._custom, self._kinds, self._limit, catalog=catalog, files_above=self._files_above)
        codecs.file_access, codecs.maps_files = self.file_access, self.maps_files
        return codecs

    @property
    def annotation(self) -> Any:
        """The type that a view declares for its values, None if none is."""
        return None

    def unchecked(self) -> Codecs:
        """Return these codecs without the check of a view; they allow the same classes."""
        return self

    # -- encoding

    def encode(self, value: Any, content_type: str | None = None) -> tuple[bytes, str]:
        """Return the bytes of a value and their content type; see :meth:`encode_parts`."""
        body, encoded_as = self.encode_parts(value, content_type)
        return body.join() if isinstance(body, BodyParts) else body, encoded_as

    def encode_parts(self, value: Any, content_type: str | None = None) -> tuple[Body, str]:
        """Return a value encoded, and its content type, chosen by the value unless one is asked for.

        What is larger than *files_above* may come as :class:`BodyParts`, or as bytes where there are no parts.

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

    def _encode_allowed(self, value: Any) -> tuple[Body, str]:
        """Return an object of an allowed class."""
        known = self._catalog.object_of(type(value))
        try:
            body = None if known is None else json_objects.encode_flat(value, known)
        except CodecError:
            body = None
        return self._encode_object(value) if body is None else (body, OBJECTS)

    def _encode_object(self, value: Any) -> tuple[Body, str]:
        """Return a value that plain JSON cannot keep."""
        try:
            return self._encode_by_kind(value)
        except CodecError:
            if self._last is None:
                raise
        return self._last(value)

    def _encode_by_kind(self, value: Any) -> tuple[Body, str]:
        """Return a value as its library does, as JSON of objects, as MessagePack or as a bundle, the first that can."""
        whole = scientific.content_type_of(type(value))
        refused = None
        if whole is not None:
            whole = self._fitting(value, whole)
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
        return (self._body_of(bundle.parts(head, buffers)), BUNDLE) if buffers else (head, MSGPACK)

    def _as_objects(self, value: Any) -> bytes | None:
        try:
            return json_objects.encode(value, self._catalog) if self._catalog.allows_objects else None
        except CodecError:
            return None  # tags say where it is in the value

    def _fitting(self, value: Any, content_type: str) -> str:
        """Return the content type for a library's value of its size; raise TooLargeError if it is over the limit."""
        size = getattr(value, "nbytes", None)
        if type(size) is int and self._limit is not None and size > self._limit:
            raise TooLargeError(too_large(size, self._limit, content_type, least=True))
        if self._files_above is None or content_type not in scientific.AS_FILE:
            return content_type
        return scientific.AS_FILE[content_type] if scientific.size_of(value) > self._files_above else content_type

    def _body_of(self, parts: Iterable[Any]) -> Body:
        """Return the parts of a body as they are if they go to a file, else joined."""
        body = BodyParts(parts)
        return body.join() if self._files_above is None or len(body) <= self._files_above else body

    def _encode_by(self, codec: Codec, value: Any) -> tuple[Body, str]:
        return self._encode_with(codec, value), codec.content_type

    def _encode_with(self, codec: Codec, value: Any) -> Body:
        try:
            body = self._body_of(codec.parts(value)) if codec.parts is not None else codec.encode(value)
        except CodecError:
            raise
        except Exception as error:
            # from None: the codec's own message may show the value.
            raise CodecError(
                f"the codec of {codec.content_type} cannot encode this {type(value).__name__}: {type(error).__name__}"
            ) from None
        if type(body) is not bytes and type(body) is not BodyParts:
            raise CodecError(f"the codec of {codec.content_type} made {type(body).__name__} instead of bytes")
        return body

    # -- decoding

    def decode(self, namespace: str, key: str, body: bytes, content_type: str) -> Any:
        """Return the value of an entry.

        Raises:
            DecodeError: its content type is unknown here, its bytes do not decode, or it holds what is not allowed.
            MemoryError: there is not enough memory for it.
        """
        try:
            decoder = self.decoders[content_type]
        except KeyError:
            access = self.file_access
            read = (self.maps_files and access.map) or access.read
            if content_type == FILE and read is not None:
                return read(self, namespace, key, body)
            raise NotKeptHereError(
                f"the entry {key!r} in namespace {namespace!r} has the content type {content_type!r}, for which this "
                f"store has no codec; read its bytes with open() or get_file(), or open the store with codecs=[...]"
            ) from None
        return make_value(namespace, key, content_type, decoder, body)

    def view(self, namespace: str, key: str, buffer: memoryview, content_type: str) -> Any:
        """Return the value of an entry over memory that belongs to it alone, without a copy where there can be none.

        Args:
            namespace: for messages.
            key: for messages.
            buffer: the body, as bytes that may be changed, beginning at a multiple of 64.
            content_type: how the body is encoded; where :attr:`views` has no function for it, bytes are made of it.

        Raises:
            DecodeError, MemoryError: see :meth:`decode`.
        """
        viewer = self.views.get(content_type)
        if viewer is None:
            return self.decode(namespace, key, bytes(buffer), content_type)
        return make_value(namespace, key, content_type, viewer, buffer)


class CheckedCodecs(Codecs):
    """The codecs of a view of values of one type."""

    def __init__(
        self,
        custom: Sequence[Codec],
        kinds: Sequence[Kind],
        limit: int | None,
        *,
        catalog: Catalog,
        files_above: int | None,
        annotation: Any,
        scope: Scope,
    ) -> None:
        """Refuse what is not of the type *annotation*, which is resolved when the first value is met."""
        super().__init__(custom, kinds, limit, catalog=catalog, files_above=files_above)
        self._annotation = annotation
        self._scope = scope
        self._check: Check | None = None
        self._compiled = False
        self.decoders = {kept_as: partial(self._decode_with, decode) for kept_as, decode in self.decoders.items()}
        self.views = {kept_as: partial(self._decode_with, view) for kept_as, view in self.views.items()}

    @property
    def annotation(self) -> Any:
        """The type that the view declares for its values."""
        return self._annotation

    def unchecked(self) -> Codecs:
        """Return these codecs without the check of the view."""
        return self._with(self._catalog)

    def encode_parts(self, value: Any, content_type: str | None = None) -> tuple[Body, str]:
        """Return a value of the type encoded, and its content type; see :meth:`Codecs.encode_parts`."""
        if not self._fits(value):
            raise CodecError(f"{name_of(type(value))} cannot be kept here: this view keeps {show(self._annotation)}")
        return super().encode_parts(value, content_type)

    def _decode_with(self, decoder: Callable[[Any], Any], body: bytes | memoryview) -> Any:
        value = decoder(body)
        if not self._fits(value):
            raise NotKeptHereError(f"holds {name_of(type(value))}, and this view keeps {show(self._annotation)}")
        return value

    def _fits(self, value: Any) -> bool:
        if not self._compiled:
            self._check = check_of(self._annotation, self._scope)
            self._compiled = True
        return self._check is None or self._check(value)
