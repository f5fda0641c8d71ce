"""Forms of objects: by their fields, by their standard-library class, or as a user registers them."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from sqlitedict_kv.codecs.qualified_name import qualified_name
from sqlitedict_kv.memoization.code_text import code_text
from sqlitedict_kv.memoization.digests import NoCanonicalFormError, digest_of_bytes

Form = Callable[[Any], str]
Writer = Callable[[Any, Form], str]

_registered: dict[type, Callable[[Any], Any]] = {}


def register_key(cls: type, function: Callable[[Any], Any]) -> None:
    """Say what arguments of a class depend on, for every memoized function of this process.

    ::

        register_key(Client, lambda client: client.base_url)

    Args:
        cls: the class; its subclasses are served too, unless they have a registration of their own.
        function: takes an object and returns what results depend on: a str, a number, a tuple of such values, or
            anything else that may be an argument.

    Raises:
        TypeError: an argument is not as described.
        ValueError: another function is registered for the class.
    """
    if not isinstance(cls, type):
        raise TypeError(f"cls must be a class, not {type(cls).__name__}")
    if cls.__module__ == "builtins":
        raise TypeError(f"{cls.__name__} has a form that cannot be replaced; register a class of your own")
    if not callable(function):
        raise TypeError(f"function must be callable, not {type(function).__name__}")
    other = _registered.get(cls)
    # The same code again is a cell that was run again, or a module that was reloaded.
    if other is not None and _code_of(other) != _code_of(function):
        raise ValueError(f"{qualified_name(cls)} has another key function already; register one in one place")
    _registered[cls] = function


def _code_of(function: Callable[..., Any]) -> object:
    code = getattr(function, "__code__", None)
    return function if code is None else code_text(code)


def registered(kind: type) -> Callable[[Any], Any] | None:
    """Return the function that is registered for a class, or for the nearest class that it inherits from."""
    if not _registered:
        return None
    return next((_registered[parent] for parent in kind.__mro__ if parent in _registered), None)


def fields_form(value: Any, names: Iterable[str], form: Form) -> str:
    """Return class and fields of an object."""
    kind = type(value)
    try:
        return named_form(kind, [(name, getattr(value, name)) for name in names], form)
    except AttributeError as error:
        unset = error.name
        raise NoCanonicalFormError(f"a {qualified_name(kind)} whose field {unset!r} is not set") from None


def named_form(kind: type, items: Iterable[tuple[str, Any]], form: Form) -> str:
    """Return class and named parts."""
    return f"{class_name(kind, form)}({', '.join(f'{name}={form(item)}' for name, item in items)})"


def class_name(kind: type, form: Form) -> str:
    """Return the name of an object's class; if that was made in a function, what tells it from others of that name."""
    return form(kind)[1:-1] if "<locals>" in kind.__qualname__ else qualified_name(kind)


def find(kind: type) -> Writer | None:  # noqa: PLR0911 - a list of kinds
    """Return how objects of a class are written; libraries that define them are not imported for it."""
    by_name = STANDARD.get(f"{kind.__module__}.{kind.__qualname__}")
    if by_name is not None:
        return by_name
    if hasattr(kind, "__pydantic_fields__") and hasattr(kind, "__pydantic_core_schema__"):
        return _pydantic_form
    if "__attrs_attrs__" in dir(kind):
        return _attrs_form
    if hasattr(kind, "__struct_fields__"):
        return lambda value, form: fields_form(value, kind.__struct_fields__, form)
    if issubclass(kind, BaseException):
        return _exception_form
    pathlib = sys.modules.get("pathlib")  # it takes long to import, and a path comes from one that is
    if pathlib is not None and issubclass(kind, pathlib.PurePath):
        return lambda value, form: f"Path({form(value.as_posix())})"
    return None


def _pydantic_form(value: Any, form: Form) -> str:
    """Return fields in their order and extra ones by name, not which were set: models that are equal are one."""
    extra = sorted((value.__pydantic_extra__ or {}).items())
    names = list(type(value).__pydantic_fields__)
    return named_form(type(value), [*((name, vars(value)[name]) for name in names), *extra], form)


def _attrs_form(value: Any, form: Form) -> str:
    return fields_form(value, [field.name for field in type(value).__attrs_attrs__ if field.eq], form)


def _exception_form(value: BaseException, form: Form) -> str:
    kept = {name: item for name, item in vars(value).items() if name != "__notes__"}
    return named_form(type(value), [("args", value.args), *sorted(kept.items())], form)


def _text_of(value: Any, _: Form) -> str:
    return f"{type(value).__name__}({value})"


def _reduced_form(value: Any, form: Form) -> str:
    kind, arguments = value.__reduce__()[:2]
    return f"{kind.__name__}{form(arguments)}"


def _array_form(value: Any, _: Form) -> str:
    return f"array({value.typecode}, {len(value)}, {digest_of_bytes(value.tobytes())})"


def _memoryview_form(value: memoryview, _: Form) -> str:
    return f"memoryview({value.format}, {value.shape!r}, {digest_of_bytes(value.tobytes())})"


def _generic_form(value: Any, form: Form) -> str:
    """Return ``list[int]`` by its parts; text is a forward reference."""
    return f"generic({form(value.__origin__)}, {form(value.__args__)})"


STANDARD: dict[str, Writer] = {
    "fractions.Fraction": _text_of,
    "re.Pattern": lambda value, form: f"Pattern({form(value.pattern)}, {value.flags})",
    "array.array": _array_form,
    "builtins.memoryview": _memoryview_form,
    "types.GenericAlias": _generic_form,
    "types.UnionType": lambda value, form: f"union({form(value.__args__)})",
    "builtins.mappingproxy": lambda value, form: f"mappingproxy({form(dict(value))})",
    "collections.ChainMap": lambda value, form: f"ChainMap({form(value.maps)})",
    **dict.fromkeys(
        (f"ipaddress.IPv{version}{what}" for version in (4, 6) for what in ("Address", "Network", "Interface")),
        _text_of,
    ),
    **dict.fromkeys(
        (f"operator.{kind.__name__}" for kind in (operator.itemgetter, operator.attrgetter)), _reduced_form
    ),
    "operator.methodcaller": _reduced_form,
}


# -- numbers that are equal


def number(value: Any) -> Any:
    """Return one of all numbers that are equal; anything else as it is."""
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()
    kind = type(value)
    if kind is bool:
        return int(value)
    if kind is complex and value.imag == 0:
        value, kind = value.real, float
    try:
        if kind is float or kind is Decimal or is_fraction(value):
            whole = int(value)
            if whole == value:
                return whole
            if kind is not float and float(value) == value:
                return float(value)
    except (ValueError, OverflowError):  # not a number, or infinite
        return float(value) if kind is Decimal and value.is_infinite() else value
    return value


def is_fraction(value: Any) -> bool:
    """Return whether a value is a Fraction, without importing them."""
    fractions = sys.modules.get("fractions")
    return fractions is not None and type(value) is fractions.Fraction
