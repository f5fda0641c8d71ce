"""Check of a value against the outermost part of a type: exact classes, and those of a container's items."""

from __future__ import annotations

import collections
import types
import typing
from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin

from sqlitedict_kv.codecs.annotations import Scope, Unresolved, resolve, unalias

UNIONS = (typing.Union, types.UnionType)
OF_ITEMS = (list, set, frozenset, collections.deque)
OF_PAIRS = (dict, collections.OrderedDict, collections.defaultdict)
CONTAINERS = (*OF_ITEMS, *OF_PAIRS, tuple)

Check = Callable[[Any], bool]
Classes = frozenset[type] | None  # None is any


def check_of(annotation: Any, scope: Scope) -> Check | None:
    """Return what says whether a value fits a type; None if any value does, or that cannot be said cheaply."""
    part = _resolve(annotation, scope)
    origin = get_origin(part)
    if origin in UNIONS:
        return _of_union(get_args(part), scope)
    if origin is Literal:
        literals = frozenset((type(argument), argument) for argument in get_args(part))
        return lambda value: _is_hashable(value) and (type(value), value) in literals
    if origin in CONTAINERS and (get_args(part) or str(part) == "tuple[()]"):
        return _of_container(origin, get_args(part), scope)
    classes = _classes(part, scope)
    return None if classes is None else lambda value: _fits(value, classes)


def _of_union(arguments: tuple[Any, ...], scope: Scope) -> Check | None:
    checks = [check_of(argument, scope) for argument in arguments]
    wanted = [check for check in checks if check is not None]
    return (lambda value: any(check(value) for check in wanted)) if len(wanted) == len(checks) else None


def _of_container(outer: type, arguments: tuple[Any, ...], scope: Scope) -> Check:
    if outer in OF_PAIRS:
        return _of_pairs(outer, *(_classes(argument, scope) for argument in arguments))
    if outer is not tuple or (len(arguments) == 2 and arguments[1] is ...):  # noqa: PLR2004 - tuple[T, ...]
        return _of_items(outer, _classes(arguments[0], scope))
    return _of_tuple(arguments, scope)


def _resolve(annotation: Any, scope: Scope) -> Any:
    unresolved: list[Unresolved] = []
    part = resolve(annotation, scope, unresolved) if isinstance(annotation, str | typing.ForwardRef) else annotation
    return unalias(part)


def _classes(annotation: Any, scope: Scope) -> Classes:
    """Return the classes that a value of a type has; what is within it does not matter."""
    part = _resolve(annotation, scope)
    origin = get_origin(part)
    if origin in UNIONS:
        inner = [_classes(argument, scope) for argument in get_args(part)]
        return None if None in inner else frozenset().union(*(classes for classes in inner if classes is not None))
    if origin is Literal:
        return frozenset(map(type, get_args(part)))
    if part is None:
        return frozenset({type(None)})
    if typing.is_typeddict(part):
        return frozenset({dict})
    cls = origin or part
    if not isinstance(cls, type) or cls in (object, Any) or cls.__module__ == "collections.abc":
        return None
    return None if getattr(cls, "_is_protocol", False) else frozenset({cls})


def _fits(value: Any, classes: frozenset[type]) -> bool:
    return type(value) in classes or any(is_redefined(type(value), cls) for cls in classes)


def _all_fit(items: Any, classes: Classes) -> bool:
    if classes is None:
        return True
    others = set(map(type, items)).difference(classes)
    return all(any(is_redefined(other, cls) for cls in classes) for other in others)


def is_redefined(cls: type, known: type) -> bool:
    """Return whether *cls* is *known*, defined again by a cell of a notebook that was run again."""
    return (
        cls.__qualname__ == known.__qualname__
        and cls.__module__ == known.__module__
        and type(cls) is type(known)
        and cls is not known
    )


def _of_items(outer: Any, classes: Classes) -> Check:
    return lambda value: type(value) is outer and _all_fit(value, classes)


def _of_pairs(outer: Any, keys: Classes, items: Classes) -> Check:
    return lambda value: type(value) is outer and _all_fit(value, keys) and _all_fit(value.values(), items)


def _of_tuple(arguments: tuple[Any, ...], scope: Scope) -> Check:
    slots = [_classes(argument, scope) for argument in arguments]

    def check(value: Any) -> bool:
        if type(value) is not tuple or len(value) != len(slots):
            return False
        return all(classes is None or _fits(item, classes) for item, classes in zip(value, slots, strict=True))

    return check


def _is_hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def show(annotation: Any) -> str:
    """Return how a type is written in a message."""
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__qualname__
    return str(annotation).replace("typing.", "")
