"""Catalog of the kinds of values that a view of a store keeps, by class and by stored name."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlitedict_kv.codecs import builtin_kinds, library_kinds
from sqlitedict_kv.codecs.annotations import Reach
from sqlitedict_kv.codecs.kinds import Kind
from sqlitedict_kv.codecs.library_kinds import LibraryKind
from sqlitedict_kv.codecs.msgpack import LEAVES
from sqlitedict_kv.codecs.objects import ObjectKind, family_of, object_kind
from sqlitedict_kv.codecs.outer_check import is_redefined
from sqlitedict_kv.codecs.parts import check_part, mapping_from, pairs_of
from sqlitedict_kv.codecs.refusal import RefusalError, advice_for, with_article
from sqlitedict_kv.codecs.tags import Mark
from sqlitedict_kv.errors import CodecError, NotKeptHereError

FACTORIES: Mapping[str, type] = {
    factory.__name__: factory for factory in (list, dict, set, int, float, str, bool, tuple, frozenset)
}


class Catalog:
    """The kinds of a view: those of Python and of libraries, and the classes that the program allows."""

    def __init__(self, kinds: Sequence[Kind] = (), reaches: Sequence[Reach] = ()) -> None:
        """Allow *kinds*, which are checked already, and the classes within *reaches*."""
        self._kinds = kinds
        self._reaches = reaches
        self._objects: dict[type, ObjectKind] = {}
        self._named: dict[str, ObjectKind] = {}
        self.tables: dict[bytes, dict[bytes, Mark]] = {}
        self._by_class: dict[type, LibraryKind | ObjectKind] = {
            **builtin_kinds.BY_CLASS,
            defaultdict: LibraryKind(
                "collections.defaultdict", self._take_defaultdict, self._build_defaultdict, raw_parts=False
            ),
        }
        for kind in kinds:
            self._add(kind)

    def within(self, reach: Reach) -> Catalog:
        """Return a catalog that allows the classes within *reach* too."""
        return Catalog(self._kinds, (*self._reaches, reach))

    @property
    def allows_objects(self) -> bool:
        """Whether there may be any object of an allowed class."""
        return bool(self._objects or self._reaches)

    def _add(self, kind: Kind) -> ObjectKind:
        made = self._objects[kind.cls] = self._by_class[kind.cls] = object_kind(kind)
        self._named.clear()
        self.tables.clear()
        return made

    # -- by class

    def kind_of(self, cls: type) -> LibraryKind | ObjectKind:
        """Return the kind of a class; raise RefusalError if it is not kept."""
        found = self._by_class.get(cls) or library_kinds.kind_of(cls) or self.object_of(cls)
        if found is None:
            raise RefusalError(advice_for(cls, self._describe_unresolved()), name_of(cls))
        self._by_class[cls] = found
        return found

    def object_of(self, cls: type) -> ObjectKind | None:
        """Return the kind of an allowed class, None if it is not allowed."""
        found = self._objects.get(cls)
        if found is None and cls.__module__ != "builtins":
            found = self._find_redefined(cls) or self._find_reached(cls)
        return found

    def _find_redefined(self, cls: type) -> ObjectKind | None:
        """Return the kind of a class that was defined again, by a cell of a notebook that was run again."""
        for known in tuple(self._objects.values()):
            if is_redefined(cls, known.kind.cls) and current(cls) is cls:
                return self._add(_for_class(known.kind, cls))
        return None

    def _find_reached(self, cls: type) -> ObjectKind | None:
        reached = self._reached_classes()
        if cls in reached or any(is_redefined(cls, other) and current(cls) is cls for other in reached):
            try:
                return self._add(Kind(cls))
            except TypeError as error:
                raise RefusalError(str(error)) from None
        return None

    def _describe_unresolved(self) -> str:
        for text, error in (problem for reach in self._reaches for problem in reach.unresolved):
            return f"; the annotation {text!r} could not be resolved ({error})"
        return ""

    def _reached_classes(self) -> set[type]:
        return {cls for reach in self._reaches for cls in reach.classes()}

    # -- by name

    def mark_of(self, name: str, fields: tuple[str, ...]) -> Mark:
        """Return how a stored kind is built; raise DecodeError if it is not known or not allowed."""
        if name == "collections.defaultdict":
            return Mark(self._build_defaultdict, raw_parts=False)
        found = builtin_kinds.BY_NAME.get(name) or library_kinds.kind_named(name)
        if found is not None:
            if fields != found.fields:
                raise ValueError("a kind of other fields")
            return Mark(found.build, found.raw_parts)
        made = self.object_named(name)
        return Mark(made.build_from(fields), raw_parts=False, lasting=made.is_lasting)

    def object_named(self, name: str) -> ObjectKind:
        """Return the kind of the allowed class that is stored under a name.

        It is the one of exactly this name, else the one that had it once, else the only one of this qualified name: a
        class that moved to another module.

        Raises:
            DecodeError: there is none, or more than one.
        """
        known = self._named.get(name)
        if known is None or not (known.is_lasting or current(known.kind.cls) is known.kind.cls):
            known = self._named[name] = self._current(self._found_by_name(name))
        return known

    def _found_by_name(self, name: str) -> ObjectKind:
        self._meet_all()
        objects = tuple(self._objects.values())
        qualname = name.rpartition(".")[2]
        for found in (
            [known for known in objects if known.name == name],
            [known for known in objects if name in known.kind.was],
            [known for known in objects if known.kind.name is None and known.kind.cls.__qualname__.endswith(qualname)
             and name.endswith(f".{known.kind.cls.__qualname__}")],
        ):  # fmt: skip
            latest = {known.name: known for known in found}  # of a class that was defined again, the newest
            if len(latest) == 1:
                return latest.popitem()[1]
            if latest:
                raise NotKeptHereError(
                    f"holds {name}, which may be {' or '.join(latest)}; say which: Kind(..., was=[{name!r}])"
                )
        raise NotKeptHereError(
            f"holds {name}, which this store does not allow; Store(..., types=[{qualname}]), if whoever can write to "
            f"this store may make one{self._describe_unresolved()}"
        )

    def _meet_all(self) -> None:
        for cls in self._reached_classes():
            if cls not in self._objects:
                try:
                    self._add(Kind(cls))
                except TypeError:  # it would have to be registered with functions of its own
                    continue

    def _current(self, known: ObjectKind) -> ObjectKind:
        cls = current(known.kind.cls)
        if cls is known.kind.cls or not is_redefined(cls, known.kind.cls):
            return known
        return self._objects.get(cls) or self._add(_for_class(known.kind, cls))

    # -- defaultdict, whose factory may be an allowed class

    def _take_defaultdict(self, value: Any) -> list[Any]:
        factory = value.default_factory
        if factory is None or factory in FACTORIES.values():
            name = getattr(factory, "__name__", None)
        else:
            known = self.object_of(factory) if isinstance(factory, type) else None
            if known is None:
                raise CodecError(
                    "a defaultdict of another factory than a built-in type or an allowed class cannot be kept; "
                    "keep dict(...) of it"
                )
            name = known.name
        return [name, *pairs_of(value)]

    def _build_defaultdict(self, parts: list[Any]) -> defaultdict[Any, Any]:
        name = parts.pop(0)
        if name is None or check_part(name, str) in FACTORIES:
            return defaultdict(FACTORIES.get(name), mapping_from(parts))
        return defaultdict(self.object_named(name).kind.cls, mapping_from(parts))


def is_built_in(cls: type, name: str) -> bool:
    """Return whether a class, or a stored name, is one that is always kept."""
    return (
        cls in LEAVES
        or cls in (list, dict, defaultdict)
        or cls in builtin_kinds.BY_CLASS
        or name in builtin_kinds.BY_NAME
        or name == "collections.defaultdict"
        or library_kinds.kind_of(cls) is not None
    )


def name_of(cls: type) -> str:
    """Return how a class is called in a message, with what it is."""
    if cls.__module__ == "builtins":
        return with_article(cls.__qualname__)
    name = f"{cls.__module__}.{cls.__qualname__}"
    family = family_of(cls)
    return name if family is None else f"{name} ({family})"


def current(cls: type) -> type:
    """Return the class that now has the name of *cls* in its module."""
    name = cls.__qualname__
    found: Any = sys.modules.get(cls.__module__)
    if "." in name:
        *outer, name = name.split(".")
        for part in outer:
            found = getattr(found, part, None)
    found = getattr(found, name, None)
    return found if isinstance(found, type) else cls


def _for_class(kind: Kind, cls: type) -> Kind:
    return Kind(
        cls, name=kind.name, was=kind.was, encode=kind.encode, decode=kind.decode, key=kind.key, upgrade=kind.upgrade
    )
