"""Annotations: the classes that a type names, resolved when they are asked for."""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Iterator
from enum import Enum
from typing import Annotated, Any, ForwardRef, Literal, NamedTuple, NewType, TypeVar, get_args, get_origin

from sqlitedict_kv.codecs.objects import family_of


class Scope(NamedTuple):
    """The names that a text of an annotation is resolved among."""

    module: dict[str, Any]
    own: dict[str, Any]

    @classmethod
    def of(cls, owner: Any) -> Scope:
        """Return that of what is written in a class or a function."""
        module = getattr(owner, "__globals__", None)
        if module is None:
            module = vars(sys.modules.get(str(owner.__module__), types.ModuleType("")))
        parameters = {parameter.__name__: parameter for parameter in getattr(owner, "__type_params__", ())}
        return cls(module, {**parameters, getattr(owner, "__name__", ""): owner})


NOWHERE = Scope({}, {})


class Unresolved(NamedTuple):
    """An annotation, or a part of it, that does not resolve yet."""

    text: str
    error: str


class Reach:
    """All classes that an annotation names, resolved when they are asked for."""

    def __init__(self, annotation: Any, scope: Scope = NOWHERE) -> None:
        """Begin at *annotation*; a text in it is resolved in *scope*."""
        self._annotation = annotation
        self._scope = scope
        self._classes: dict[type, None] | None = None
        self.unresolved: list[Unresolved] = []

    def classes(self) -> dict[type, None]:
        """Return the classes of the families of :mod:`objects`, in the order in which they are met."""
        if self._classes is None or self.unresolved:
            self.unresolved = []
            self._classes = {}
            self._visit()
        return self._classes

    def _visit(self) -> None:
        todo, seen = [(self._annotation, self._scope)], list[Any]()
        while todo:
            part, scope = todo.pop()
            if not isinstance(part, str):  # a text means something else in another scope
                if any(part is other for other in seen):
                    continue
                seen.append(part)
            todo.extend(reversed([*self._inner(part, scope)]))

    def _inner(self, part: Any, scope: Scope) -> Iterator[tuple[Any, Scope]]:
        """Yield the annotations within one, each with its scope."""
        assert self._classes is not None
        if isinstance(part, str | ForwardRef):
            yield resolve(part, scope, self.unresolved), scope
            return
        part = unalias(part)
        origin = get_origin(part)
        if origin is Literal:
            yield from ((type(value), scope) for value in get_args(part) if isinstance(value, Enum))
        elif origin is not None:
            yield from ((inner, scope) for inner in (origin, *get_args(part)))
        elif isinstance(part, list | tuple):  # the arguments of a Callable, the constraints of a TypeVar
            yield from ((inner, scope) for inner in part)
        elif isinstance(part, type):
            if family_of(part) is not None:
                self._classes[part] = None
                yield from _fields(part)
            elif typing.is_typeddict(part):
                yield from _fields(part)


def _fields(cls: type) -> Iterator[tuple[Any, Scope]]:
    """Yield the annotations of the fields of a class, each with the names that it was written among."""
    for base in cls.__mro__:
        if base.__module__ != "builtins":
            scope = Scope.of(base)
            yield from ((annotation, scope) for annotation in _annotations(base).values())
    for field in getattr(cls, "__pydantic_fields__", {}).values():  # resolved by pydantic, of generic models too
        yield field.annotation, NOWHERE


def return_annotation(function: Any) -> tuple[Any, Scope]:
    """Return the type that a function says it returns, None if it does not, and the names that it is resolved among."""
    plain = inspect.unwrap(function)
    return _annotations(plain).get("return"), Scope.of(plain)


def _annotations(owner: Any) -> dict[str, Any]:
    if sys.version_info >= (3, 14):
        from annotationlib import Format, get_annotations  # noqa: PLC0415 - not there before

        return get_annotations(owner, format=Format.FORWARDREF)
    own = vars(owner) if isinstance(owner, type) else {"__annotations__": getattr(owner, "__annotations__", {})}
    found: dict[str, Any] = own.get("__annotations__", {})
    return found


def resolve(text: str | ForwardRef, scope: Scope, unresolved: list[Unresolved]) -> Any:
    """Return what a text stands for, or Any, and add to *unresolved* why it stands for nothing."""
    if isinstance(text, ForwardRef):
        text = text.__forward_arg__
    try:
        # As typing.get_type_hints does: an annotation is code of the program.
        return eval(text, scope.module, scope.own)  # noqa: S307
    except Exception as error:
        unresolved.append(Unresolved(text, f"{type(error).__name__}: {error}"))
        return Any


def unalias(part: Any) -> Any:
    """Return what an annotation stands for that only gives it another name."""
    while True:
        if isinstance(part, NewType):
            part = part.__supertype__
        elif type(part).__name__ == "TypeAliasType":  # of Python 3.12, or of typing_extensions
            part = part.__value__
        elif isinstance(part, TypeVar):
            part = part.__bound__ if part.__bound__ is not None else (part.__constraints__ or Any)
        elif get_origin(part) is Annotated:
            part = get_args(part)[0]
        else:
            return part
