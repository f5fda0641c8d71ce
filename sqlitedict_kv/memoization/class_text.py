"""Code of a class as text: its functions, constants and fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from types import CodeType, FunctionType
from typing import Any

from sqlitedict_kv.memoization.code_text import code_text

PLAIN = (type(None), bool, int, float, complex, str, bytes)


def is_constant(value: Any) -> bool:
    """Return whether a value is a constant: a plain one, or a tuple or frozenset of them."""
    kind = type(value)
    return kind in PLAIN or (kind in (tuple, frozenset) and all(map(is_constant, value)))


def class_parts(cls: type, home: dict[str, Any], form: Callable[[Any], str]) -> tuple[list[CodeType], str]:
    """Return the code objects of a class of the module whose globals are *home*, and its text."""
    codes: list[CodeType] = []
    texts: list[str] = [cls.__qualname__]
    for parent in reversed(cls.__mro__):
        if parent.__module__ != cls.__module__:
            texts.append(f"{parent.__module__}.{parent.__qualname__}")
            continue
        texts += [f"{name}={text}" for name, text in _constants(parent, form)]
        for name, function in functions_of(parent):
            if function.__globals__ is home and not _is_generated(parent, function.__code__):
                codes.append(function.__code__)
                texts.append(f"{name}: {code_text(function.__code__)}")
    return codes, " ".join(texts)


def _constants(cls: type, form: Callable[[Any], str]) -> Iterator[tuple[str, str]]:
    fields = vars(cls).get("__dataclass_fields__")
    if fields is not None:
        yield "fields", form(tuple(fields))
    members = vars(cls).get("_member_map_", {})
    for name, value in vars(cls).items():
        plain = getattr(value, "_value_", value) if name in members else value
        if not (name.startswith("__") and name.endswith("__")) and is_constant(plain):
            yield name, form(plain)


def functions_of(cls: type) -> Iterator[tuple[str, FunctionType]]:
    """Yield the names of a class's own methods and properties, each with the function in it."""
    for name, value in vars(cls).items():
        if isinstance(value, property):
            candidates: tuple[Any, ...] = (value.fget, value.fset, value.fdel)
        elif isinstance(value, cached_property):
            candidates = (value.func,)
        else:
            candidates = (getattr(value, "__func__", value),)
        for function in candidates:
            inner = function
            while hasattr(inner, "__wrapped__"):
                inner = inner.__wrapped__
            if isinstance(inner, FunctionType):
                yield name, inner


def _is_generated(cls: type, code: CodeType) -> bool:
    """Return whether dataclasses or attrs made a method, of fields that count already."""
    return ("__dataclass_fields__" in vars(cls) and code.co_filename == "<string>") or code.co_filename.startswith(
        "<attrs generated"
    )
