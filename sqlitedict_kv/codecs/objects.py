"""Objects of classes that a program allows: how each family of classes is taken apart, built and evolved."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from enum import Enum, EnumMeta, Flag
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple

from sqlitedict_kv.codecs import object_state, pydantic_models
from sqlitedict_kv.codecs.kinds import Kind
from sqlitedict_kv.codecs.parts import check_part, only_part
from sqlitedict_kv.codecs.qualified_name import MAIN, qualified_name
from sqlitedict_kv.errors import CodecError, NotKeptHereError

TAKEN = object_state.TAKEN
BUILT = object_state.BUILT
Defaults = Mapping[str, Callable[[], Any]]

MEMBER, VALUE = ("name",), ("value",)


class ObjectKind(NamedTuple):
    """How the objects of one allowed class are kept; the first five are those of a LibraryKind.

    Attributes:
        name: what is stored for the class.
        take_apart: returns the parts of an object, or raises CodecError.
        build: makes an object of its parts.
        raw_parts: False: no part is a raw buffer.
        fields: the names of the parts.
        kind: what the user said of the class.
        defaults: makes the default of each part that may be missing.
        is_model: whether it is a model of pydantic.
        is_lasting: whether its class stays the one of its name; one of a notebook may be defined again.
    """

    name: str
    take_apart: TAKEN
    build: BUILT
    raw_parts: bool
    fields: tuple[str, ...]
    kind: Kind
    defaults: Defaults
    is_model: bool
    is_lasting: bool

    def build_from(self, fields: Sequence[str]) -> BUILT:
        """Return what builds an object of parts that were stored under other names than those of today.

        Raises:
            DecodeError: (when it builds) the class has a field without a default that was not stored.
        """
        if tuple(fields) == self.fields:
            return self.build
        return lambda parts: self.build(self._evolve(dict(zip(fields, parts, strict=True))))

    def _evolve(self, stored: dict[str, Any]) -> list[Any]:
        former = list(stored)
        if self.kind.upgrade is not None:
            stored = self.kind.upgrade(stored)
            if type(stored) is not dict:
                raise NotKeptHereError(f"holds a {self.name}, and its upgrade= returned no dict")
        if self.is_model:
            stored = pydantic_models.upgrade(self.kind.cls, stored, former)
        return [stored[name] if name in stored else self._default(name) for name in self.fields]

    def _default(self, field: str) -> Any:
        if field not in self.defaults:
            raise NotKeptHereError(
                f"holds a {self.name} without the field {field!r}, which has no default; give it one, or say how to "
                f"get it: Store(..., types=[Kind({self.kind.cls.__name__}, upgrade=...)])"
            )
        return self.defaults[field]()


def family_of(cls: type) -> str | None:
    """Return what sort of class can be kept as it is, with an article; None for any other."""
    return next((family for family, is_one in TESTS.items() if is_one(cls)), None)


def _has_base(cls: type, library: str, base: str) -> bool:
    module = sys.modules.get(library)  # a class of it is not there unless it is imported
    found = getattr(module, base, None)
    return isinstance(found, type) and issubclass(cls, found)


def object_kind(kind: Kind) -> ObjectKind:
    """Return how the objects of a class are kept.

    Raises:
        TypeError: they cannot be, without *encode* and *decode*.
    """
    cls, is_lasting = kind.cls, kind.cls.__module__ not in MAIN
    if kind.encode is not None and kind.decode is not None:
        return ObjectKind(_stored_name(kind), *_functions_of(kind), False, VALUE, kind, {}, False, is_lasting)
    family = family_of(cls)
    if family is None:
        raise TypeError(
            f"{cls.__qualname__} is not a dataclass, attrs class, pydantic model, named tuple, Struct or enum; "
            f"give Kind({cls.__name__}, encode=..., decode=...)"
        )
    if hasattr(cls, "__del__"):
        raise TypeError(
            f"{cls.__qualname__} has a method __del__, which the fields of a hostile entry would steer; "
            f"give Kind({cls.__name__}, encode=..., decode=...)"
        )
    fields, state, defaults = FAMILIES[family](cls)
    is_model = family == "a pydantic model"
    return ObjectKind(_stored_name(kind), *state, False, fields, kind, defaults, is_model, is_lasting)


def _stored_name(kind: Kind) -> str:
    if kind.name is not None:
        return kind.name
    name = qualified_name(kind.cls)
    if "<locals>" in name:
        raise TypeError(
            f"{kind.cls.__qualname__} is made within a function, and so has no lasting name; "
            f"give it one: Kind({kind.cls.__name__}, name=...)"
        )
    return name


# -- the families

Family = tuple[tuple[str, ...], tuple[TAKEN, BUILT], Defaults]


def _require_plain_layout(cls: type) -> None:
    """Raise TypeError for a class that has a state beside its fields, as a dict or an exception has."""
    try:
        object.__new__(cls)
    except TypeError:
        raise TypeError(
            f"{cls.__qualname__} cannot be made of its fields alone; give Kind({cls.__name__}, encode=..., decode=...)"
        ) from None


def _dataclass(cls: Any) -> Family:
    _require_plain_layout(cls)
    fields = dataclasses.fields(cls)
    defaults: dict[str, Callable[[], Any]] = {}
    for field in fields:
        if field.default_factory is not dataclasses.MISSING:
            defaults[field.name] = field.default_factory
        elif field.default is not dataclasses.MISSING:
            defaults[field.name] = partial(deepcopy, field.default)
    names = tuple(field.name for field in fields)
    return names, object_state.state_of(cls, names), defaults


def _attrs(cls: Any) -> Family:
    _require_plain_layout(cls)
    from attrs import NOTHING, Factory  # noqa: PLC0415 - the class is one of it

    defaults: dict[str, Callable[[], Any]] = {}
    for field in cls.__attrs_attrs__:
        if isinstance(field.default, Factory):
            if not field.default.takes_self:
                defaults[field.name] = field.default.factory
        elif field.default is not NOTHING:
            defaults[field.name] = partial(deepcopy, field.default)
    names = tuple(field.name for field in cls.__attrs_attrs__)
    return names, object_state.state_of(cls, names), defaults


def _model(cls: Any) -> Family:
    _require_plain_layout(cls)
    return pydantic_models.fields_of(cls), pydantic_models.state_of(cls), pydantic_models.defaults_of(cls)


def _struct(cls: Any) -> Family:
    import msgspec  # noqa: PLC0415 - the class is one of it

    defaults: dict[str, Callable[[], Any]] = {}
    for field in msgspec.structs.fields(cls):
        if field.default_factory is not msgspec.NODEFAULT:
            defaults[field.name] = field.default_factory
        elif field.default is not msgspec.NODEFAULT:
            defaults[field.name] = partial(deepcopy, field.default)
    names = tuple(cls.__struct_fields__)
    get = object_state.getter(names, attrgetter)

    def take_apart(value: Any) -> Sequence[Any]:
        try:
            return get(value)
        except AttributeError:
            object_state.refuse_unset(cls, [name for name in names if not hasattr(value, name)])

    def build(parts: list[Any]) -> Any:
        return cls(**dict(zip(names, parts, strict=True)))  # a Struct is made by its constructor alone

    take = _unchanged(cls, take_apart, build) if hasattr(cls, "__post_init__") else take_apart
    return names, (take, build), defaults


def _unchanged(cls: Any, take_apart: TAKEN, build: BUILT) -> TAKEN:
    """Return what takes a Struct apart, if its __post_init__ makes nothing else of its parts."""

    def take_checked(value: Any) -> Sequence[Any]:
        parts = take_apart(value)
        try:
            again = take_apart(build(deepcopy(list(parts))))
            same = list(map(type, parts)) == list(map(type, again)) and list(parts) == list(again)
        except Exception:  # whatever __post_init__ or a comparison raises
            same = False
        if not same:
            raise CodecError(
                f"{cls.__qualname__} has a __post_init__ that makes something else of its fields when it is read; "
                f"give Kind({cls.__name__}, encode=..., decode=...)"
            )
        return parts

    return take_checked


def _named_tuple(cls: Any) -> Family:
    names = tuple(cls._fields)
    count, has_dict, new = len(names), cls.__dictoffset__ != 0, tuple.__new__

    def take_apart(value: Any) -> Sequence[Any]:
        if has_dict:
            object_state.check_attributes(cls, value.__dict__, ())
        return list(tuple.__iter__(value))

    def build(parts: list[Any]) -> Any:
        if len(parts) != count:
            raise ValueError("a named tuple of another length")
        return new(cls, parts)

    return names, (take_apart, build), {name: partial(deepcopy, value) for name, value in cls._field_defaults.items()}


def _enum(cls: type[Enum]) -> Family:
    if issubclass(cls, Flag):
        return VALUE, (lambda member: (member._value_,), lambda parts: cls(check_part(only_part(parts), int))), {}

    def build(parts: list[Any]) -> Enum:
        name = check_part(only_part(parts), str)
        if name not in cls.__members__:
            raise NotKeptHereError(f"holds a member that {cls.__qualname__} does not have any more")
        return cls.__members__[name]

    return MEMBER, (lambda member: (member._name_,), build), {}


TESTS: dict[str, Callable[[Any], bool]] = {  # the first that holds
    "an enum": lambda cls: isinstance(cls, EnumMeta),
    "a pydantic model": lambda cls: _has_base(cls, "pydantic", "BaseModel") and hasattr(cls, "__pydantic_fields__"),
    "a Struct": lambda cls: _has_base(cls, "msgspec", "Struct"),
    "an attrs class": lambda cls: hasattr(cls, "__attrs_attrs__"),
    "a dataclass": dataclasses.is_dataclass,
    "a named tuple": lambda cls: issubclass(cls, tuple) and type(getattr(cls, "_fields", None)) is tuple,
}
FAMILIES: dict[str, Callable[[Any], Family]] = {
    "an enum": _enum,
    "a pydantic model": _model,
    "a Struct": _struct,
    "an attrs class": _attrs,
    "a dataclass": _dataclass,
    "a named tuple": _named_tuple,
}


# -- by functions of the user


def _functions_of(kind: Kind) -> tuple[TAKEN, BUILT]:
    cls, encode, decode = kind.cls, kind.encode, kind.decode
    assert encode is not None
    assert decode is not None

    def take_apart(value: Any) -> Sequence[Any]:
        try:
            again = decode(encode(value))
        except CodecError:
            raise
        except Exception as error:  # from None: its message may show the value
            raise CodecError(f"the Kind of {cls.__qualname__} cannot encode it: {type(error).__name__}") from None
        if type(again) is not cls or not _is_same(kind, again, value):
            raise CodecError(f"the Kind of {cls.__qualname__} makes something else of it; mind its decode=")
        return (encode(value),)

    def build(parts: list[Any]) -> Any:
        return decode(only_part(parts))

    return take_apart, build


def _is_same(kind: Kind, one: Any, other: Any) -> bool:
    """Return whether two objects are equal; those that ``==`` cannot tell, with nan in them too, are encoded alike."""
    assert kind.encode is not None
    try:
        compares = any("__eq__" in vars(base) for base in kind.cls.__mro__ if base is not object)
        if compares and other == other:  # noqa: PLR0124 - nan equals nothing
            return bool(one == other)
        again, before = kind.encode(one), kind.encode(other)
        return bool(again == before) or repr(again) == repr(before)
    except Exception:  # such as an array, which is neither true nor false
        return repr(kind.encode(one)) == repr(kind.encode(other))
