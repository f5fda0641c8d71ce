"""Catalog of the kinds of values that a view of a store keeps."""

from __future__ import annotations

from sqlitedict_kv.codecs import builtin_kinds, library_kinds
from sqlitedict_kv.codecs.library_kinds import LibraryKind
from sqlitedict_kv.codecs.refusal import RefusalError
from sqlitedict_kv.codecs.tags import Mark
from sqlitedict_kv.errors import DecodeError


class Catalog:
    """The kinds of a view: those of Python and of libraries, which are always allowed."""

    def __init__(self) -> None:
        """Begin without having met anything."""
        self.tables: dict[bytes, dict[bytes, Mark]] = {}
        self._by_class: dict[type, LibraryKind] = {**builtin_kinds.BY_CLASS}

    def kind_of(self, cls: type) -> LibraryKind:
        """Return the kind of a class; raise RefusalError if it is not kept."""
        found = self._by_class.get(cls) or library_kinds.kind_of(cls)
        if found is None:
            name = f"{cls.__module__}.{cls.__qualname__}"
            raise RefusalError("cannot be kept; keep its parts", name)
        self._by_class[cls] = found
        return found

    def mark_of(self, name: str, fields: tuple[str, ...]) -> Mark:
        """Return how a stored kind is built; raise DecodeError if it is not known or not allowed."""
        found = builtin_kinds.BY_NAME.get(name) or library_kinds.kind_named(name)
        if found is None or fields != found.fields:
            raise DecodeError(f"holds {name}, which this store does not allow")
        return Mark(found.build, found.raw_parts)
