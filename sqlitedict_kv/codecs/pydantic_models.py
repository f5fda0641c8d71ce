"""Models of pydantic 2: their fields, and what else makes two of them equal or prints otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import partial
from operator import itemgetter
from typing import Any

from sqlitedict_kv.codecs.object_state import BUILT, TAKEN, check_attributes, getter, refuse_unset
from sqlitedict_kv.codecs.parts import require

SET, PRIVATE, EXTRA = "=set", "=private", "=extra"  # no field has such a name
BESIDE = (SET, PRIVATE, EXTRA)  # each None where it is what the class says anyway


def fields_of(cls: Any) -> tuple[str, ...]:
    """Return the names of the parts of a model."""
    return (*cls.__pydantic_fields__, *BESIDE)


def defaults_of(cls: Any) -> Mapping[str, Callable[[], Any]]:
    """Return what makes the defaults of those fields that have one."""
    made: dict[str, Callable[[], Any]] = dict.fromkeys(BESIDE, _nothing)
    for name, field in cls.__pydantic_fields__.items():
        if field.default_factory is not None:
            if not getattr(field, "default_factory_takes_validated_data", False):
                made[name] = field.default_factory
        elif not field.is_required():
            made[name] = partial(deepcopy, field.default)
    return made


def _nothing() -> None:
    return None


def state_of(cls: Any) -> tuple[TAKEN, BUILT]:
    """Return what takes a model apart, and what makes one of its parts."""
    return _taker_of(cls), _builder_of(cls)


def _taker_of(cls: Any) -> TAKEN:
    fields = tuple(cls.__pydantic_fields__)
    get, count, all_set = getter(fields, itemgetter), len(fields), frozenset(fields)

    def take_apart(model: Any) -> Sequence[Any]:
        state, given = model.__dict__, model.__pydantic_fields_set__
        if len(state) != count:
            check_attributes(cls, state, fields)
        try:
            parts = get(state)
        except KeyError:
            refuse_unset(cls, [field for field in fields if field not in state])
        beside = None if given == all_set else sorted(given)
        return (*parts, beside, model.__pydantic_private__ or None, model.__pydantic_extra__ or None)

    return take_apart


def _builder_of(cls: Any) -> BUILT:
    fields = tuple(cls.__pydantic_fields__)
    has_private = bool(cls.__private_attributes__)
    allows_extra = cls.model_config.get("extra") == "allow"
    new, put = object.__new__, object.__setattr__

    def build(parts: list[Any]) -> Any:
        *values, given, private, extra = parts
        require(given is None or (type(given) is list and {str}.issuperset(map(type, given))))
        require(private is None or (type(private) is dict and has_private))
        require(extra is None or (type(extra) is dict and allows_extra))
        made = new(cls)
        put(made, "__dict__", dict(zip(fields, values, strict=True)))
        put(made, "__pydantic_fields_set__", set(fields if given is None else given))
        if not cls.__pydantic_root_model__:  # whose class has both, as None
            put(made, "__pydantic_private__", private or ({} if has_private else None))
            put(made, "__pydantic_extra__", extra or ({} if allows_extra else None))
        return made

    return build


def upgrade(cls: Any, stored: dict[str, Any], former: Sequence[str]) -> dict[str, Any]:
    """Return stored parts with the set of given fields said in full: fields that are new were not given."""
    if stored.get(SET) is None:
        stored = {**stored, SET: [name for name in former if name in cls.__pydantic_fields__]}
    return stored
