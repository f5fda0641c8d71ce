"""State of objects: their fields, read from and restored to ``__dict__`` or slots without any code of the class."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from operator import attrgetter, itemgetter
from types import MemberDescriptorType
from typing import Any, NoReturn

from sqlitedict_kv.errors import CodecError

TAKEN = Callable[[Any], Sequence[Any]]
BUILT = Callable[[list[Any]], Any]

GENERIC_ALIAS = "__orig_class__"  # typing leaves it on what Box[int](1) makes


def slots_of(cls: type) -> frozenset[str]:
    """Return the names of the slots that objects of a class have."""
    return frozenset(
        name
        for base in cls.__mro__
        for name, member in vars(base).items()
        if type(member) is MemberDescriptorType and member.__objclass__ is base
    )


def getter(fields: Sequence[str], get: Callable[..., Callable[[Any], Any]]) -> TAKEN:
    """Return what returns all fields of something, by ``itemgetter`` or ``attrgetter``."""
    if len(fields) > 1:
        return get(*fields)
    if not fields:
        return lambda _: ()
    only = get(fields[0])
    return lambda value: (only(value),)


def state_of(cls: type, fields: Sequence[str]) -> tuple[TAKEN, BUILT]:
    """Return what takes the fields of an object, and what makes one of them."""
    slots = slots_of(cls)
    if not slots:
        return _dict_taken(cls, fields), _dict_built(cls, fields)
    return _slots_taken(cls, fields, slots), _slots_built(cls, fields)


def _dict_taken(cls: type, fields: Sequence[str]) -> TAKEN:
    get, count = getter(fields, itemgetter), len(fields)

    def take_apart(value: Any) -> Sequence[Any]:
        state = value.__dict__
        if len(state) != count:
            check_attributes(cls, state, fields)
        try:
            return get(state)
        except KeyError:
            refuse_unset(cls, [field for field in fields if field not in state])

    return take_apart


def check_attributes(cls: type, state: Collection[str], fields: Sequence[str]) -> None:
    """Raise CodecError for attributes that are not fields; values of a cached property are computed again."""
    others = [name for name in state if name not in fields and name != GENERIC_ALIAS and not _is_cached(cls, name)]
    if others:
        raise CodecError(f"{_name_of(cls)} has attributes that are no fields: {', '.join(others)}; make them fields")


def refuse_unset(cls: type, fields: Sequence[str]) -> NoReturn:
    """Raise CodecError for fields that an object does not have."""
    raise CodecError(
        f"{_name_of(cls)} has fields that are not set: {', '.join(fields)}; set them, or keep something else"
    )


def _name_of(cls: type) -> str:
    return f"a {cls.__qualname__}"


def _is_cached(cls: type, name: str) -> bool:
    return any(isinstance(vars(base).get(name), cached_property) for base in cls.__mro__)


def _dict_built(cls: type, fields: Sequence[str]) -> BUILT:
    new = object.__new__

    def build(parts: list[Any]) -> Any:
        made: Any = new(cls)
        made.__dict__.update(zip(fields, parts, strict=True))
        return made

    return build


def _slots_taken(cls: type, fields: Sequence[str], slots: frozenset[str]) -> TAKEN:
    get, others = getter(fields, attrgetter), sorted(slots.difference(fields))
    has_dict = cls.__dictoffset__ != 0

    def take_apart(value: Any) -> Sequence[Any]:
        if others or has_dict:
            present = [name for name in others if hasattr(value, name)]
            check_attributes(cls, [*present, *(value.__dict__ if has_dict else ())], fields)
        try:
            return get(value)
        except AttributeError:
            refuse_unset(cls, [field for field in fields if not hasattr(value, field)])

    return take_apart


def _slots_built(cls: type, fields: Sequence[str]) -> BUILT:
    new, put = object.__new__, object.__setattr__

    def build(parts: list[Any]) -> Any:
        made: Any = new(cls)
        for field, part in zip(fields, parts, strict=True):
            put(made, field, part)
        return made

    return build
