"""Functions with arguments bound to them: partials, methods of objects, objects that are called."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from types import BuiltinMethodType, FunctionType, MethodType, MethodWrapperType, ModuleType
from typing import Any, NamedTuple

IN_C = (BuiltinMethodType, MethodWrapperType)


class BoundFunction(NamedTuple):
    """A function and what is passed to it before the arguments of a call.

    Attributes:
        function: what is called in the end.
        receiver: the object whose method it is, none or one.
        args: further arguments by position.
        kwargs: arguments by name, which a call may replace.
    """

    function: Callable[..., Any]
    receiver: tuple[Any, ...]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Parameter(NamedTuple):
    """A parameter; one of inspect takes six times as long to make."""

    name: str
    kind: inspect._ParameterKind
    default: Any = inspect.Parameter.empty


def unbind(function: Callable[..., Any]) -> BoundFunction:
    """Return what a callable calls, and what it passes."""
    receiver: tuple[Any, ...] = ()
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    while not receiver:
        if isinstance(function, partial):
            args, kwargs, function = function.args + args, {**function.keywords, **kwargs}, function.func
        elif isinstance(function, MethodType):
            receiver, function = (function.__self__,), function.__func__
        elif isinstance(function, IN_C) and not isinstance(function.__self__, ModuleType | None):
            receiver = (function.__self__,)
        elif is_called_object(function):
            receiver, function = (function,), type(function).__call__
        else:
            break
    return BoundFunction(function, receiver, args, kwargs)


def is_called_object(function: Any) -> bool:
    """Return whether it is an object of a class with ``__call__``, and neither a function nor a wrapper of one."""
    kind = type(function)
    return (
        isinstance(getattr(kind, "__call__", None), FunctionType)  # noqa: B004 - the method itself is needed
        and not isinstance(function, type | FunctionType)
        and not hasattr(function, "__wrapped__")
    )


def name_of_method(function: Any, receiver: Any) -> str:
    """Return ``re.Pattern.findall`` of a method in C."""
    home = receiver if isinstance(receiver, type) else type(receiver)
    return f"{home.__module__}.{function.__qualname__}"


def parameters_of(function: Callable[..., Any]) -> list[Parameter]:
    """Return the parameters of what is called, which are not always those that inspect.signature shows.

    That shows the innermost function; a wrapper with parameters and defaults of its own is bound to them. One that
    takes anything is taken to pass it on.

    Raises:
        ValueError: a function in C does not say what its parameters are.
    """
    while isinstance(function, FunctionType):
        own = _parameters_of_code(function)
        inner = getattr(function, "__wrapped__", None)
        if not all(parameter.kind in ANYTHING for parameter in own) or not own:
            return own
        stated = vars(function).get("__signature__")
        if isinstance(stated, inspect.Signature):
            return _parameters_of_signature(stated)
        if inner is None:
            return own
        function = inner
    return _parameters_of_signature(inspect.signature(function))


def _parameters_of_signature(signature: inspect.Signature) -> list[Parameter]:
    return [Parameter(each.name, each.kind, each.default) for each in signature.parameters.values()]


BY_PLACE, BY_PLACE_OR_NAME = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
ANYTHING = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _parameters_of_code(function: FunctionType) -> list[Parameter]:
    """Return the parameters of a function itself, without inspect.signature, which takes many times as long."""
    code, empty = function.__code__, inspect.Parameter.empty
    count, only_named = code.co_argcount, code.co_kwonlyargcount
    names = code.co_varnames
    defaults = function.__defaults__ or ()
    values = [empty] * (count - len(defaults)) + list(defaults)
    only_by_place = code.co_posonlyargcount
    parameters = [
        Parameter(name, BY_PLACE if place < only_by_place else BY_PLACE_OR_NAME, value)
        for place, (name, value) in enumerate(zip(names, values, strict=False))
    ]
    rest = count + only_named
    if code.co_flags & inspect.CO_VARARGS:
        parameters.append(Parameter(names[rest], inspect.Parameter.VAR_POSITIONAL))
        rest += 1
    named = function.__kwdefaults__ or {}
    parameters += [
        Parameter(name, inspect.Parameter.KEYWORD_ONLY, named.get(name, empty))
        for name in names[count : count + only_named]
    ]
    if code.co_flags & inspect.CO_VARKEYWORDS:
        parameters.append(Parameter(names[rest], inspect.Parameter.VAR_KEYWORD))
    return parameters
