"""Forms of arguments: canonical text in which values that differ in type or in content differ.

Neither Python's hash nor the repr of an object has a part in them, so they are the same in every process and run.
"""

from __future__ import annotations

import datetime
import re
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum, Flag
from functools import partial
from types import BuiltinMethodType, FunctionType, MethodType, MethodWrapperType, ModuleType, SimpleNamespace
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary
from zoneinfo import ZoneInfo

from sqlitedict_kv.codecs.qualified_name import qualified_name
from sqlitedict_kv.memoization import function_forms, library_forms, object_forms
from sqlitedict_kv.memoization.digests import NoCanonicalFormError

MAX_DECIMAL_BITS = 1024  # Python limits how many digits an int is written in, by a setting that can change
PLAIN_TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f'\\\ud800-\udfff]*")

Form = Callable[[Any], str]  # writes a value, and the values in it
KeyFunctions = Mapping[type, Callable[[Any], Any]]


def canonical(value: Any) -> str:
    """Return the canonical text of a value; values that differ in type or in content differ in text.

    Raises:
        NoCanonicalFormError: it has none.
    """
    write = FORMS.get(type(value))
    return other_form(value, canonical) if write is None else write(value, canonical)


def canonical_untyped(value: Any) -> str:
    """Return the same, but the same text for numbers that are equal."""
    plain = object_forms.number(value)
    write = FORMS.get(type(plain))
    return other_form(plain, canonical_untyped) if write is None else write(plain, canonical_untyped)


def make_form(*, typed: bool = True, key_functions: KeyFunctions | None = None) -> Form:
    """Return how a store writes arguments; *key_functions* are those of its kinds, by exact class."""
    if not key_functions:
        return canonical if typed else canonical_untyped

    def form(value: Any) -> str:
        plain = value if typed else object_forms.number(value)
        function = key_functions.get(type(plain))
        if function is not None and not hasattr(type(plain), "__cache_key__"):
            return f"{qualified_name(type(plain))}({form(function(plain))})"
        write = FORMS.get(type(plain))
        return other_form(plain, form) if write is None else write(plain, form)

    form.key_functions = key_functions  # type: ignore[attr-defined] # for what is closed over
    return form


# -- the forms; each writes a type, and takes how to write what is inside


def text_form(value: str, _: Form) -> str:
    """Return a str in quotes; not repr, for which characters that escapes depends on the release of Unicode."""
    return f"'{value}'" if PLAIN_TEXT.fullmatch(value) else ascii(value)


def _int_form(value: int, _: Form) -> str:
    return repr(value) if value.bit_length() <= MAX_DECIMAL_BITS else hex(value)


def _repr_form(value: Any, _: Form) -> str:
    return repr(value)


def _list_form(value: Any, form: Form) -> str:
    return f"[{', '.join(map(form, value))}]"


def _tuple_form(value: tuple[Any, ...], form: Form) -> str:
    return f"({form(value[0])},)" if len(value) == 1 else f"({', '.join(map(form, value))})"


def _set_form(value: set[Any] | frozenset[Any], form: Form) -> str:
    return f"{type(value).__name__}({', '.join(sorted(map(form, value)))})"


def _dict_form(value: Mapping[Any, Any], form: Form) -> str:
    """Return the items in the order of their text: dicts that are equal are one, whatever their order."""
    return f"{{{', '.join(sorted(f'{form(key)}: {form(item)}' for key, item in value.items()))}}}"


def _zone_form(zone: datetime.tzinfo | None) -> str:
    if zone is None:
        return ""
    if type(zone) is ZoneInfo and zone.key:
        return f", {zone.key}"
    if type(zone) is datetime.timezone:
        return f", {text_form(zone.tzname(None), canonical)}"
    raise NoCanonicalFormError(f"a time zone of type {type(zone).__qualname__}")


def _moment_form(value: datetime.datetime | datetime.time, _: Form) -> str:
    rest = f"{_zone_form(value.tzinfo)}{', fold' if value.fold else ''}"
    return f"{type(value).__name__}({value.isoformat()}{rest})"


def _partial_form(value: partial[Any], form: Form) -> str:
    return f"partial({form(value.func)}, {form(value.args)}, {form(value.keywords)})"


def _deque_form(value: deque[Any], form: Form) -> str:
    return f"deque({_list_form(value, form)}{'' if value.maxlen is None else f', {value.maxlen}'})"


def _namespace_form(value: SimpleNamespace, form: Form) -> str:
    return f"SimpleNamespace({_dict_form(vars(value), form)})"


FORMS: dict[type, Callable[[Any, Form], str]] = {
    # types whose repr is canonical; bool is no int here
    str: text_form,
    int: _int_form,
    float: _repr_form,
    bool: _repr_form,
    type(None): _repr_form,
    bytes: _repr_form,
    bytearray: lambda value, _: f"bytearray({bytes(value)!r})",
    complex: lambda value, _: f"complex({value.real!r}, {value.imag!r})",
    list: _list_form,
    tuple: _tuple_form,
    set: _set_form,
    frozenset: _set_form,
    dict: _dict_form,
    OrderedDict: lambda value, form: f"OrderedDict({_list_form(value.items(), form)})",
    defaultdict: lambda value, form: f"defaultdict({form(value.default_factory)}, {_dict_form(value, form)})",
    Counter: lambda value, form: f"Counter({_dict_form(value, form)})",
    deque: _deque_form,
    SimpleNamespace: _namespace_form,
    range: lambda value, _: f"range({value.start}, {value.stop}, {value.step})",
    slice: lambda value, form: f"slice({form(value.start)}, {form(value.stop)}, {form(value.step)})",
    type(...): _repr_form,
    Decimal: lambda value, _: f"Decimal({value})",
    UUID: lambda value, _: f"UUID({value})",
    datetime.date: lambda value, _: f"date({value.isoformat()})",
    datetime.datetime: _moment_form,
    datetime.time: _moment_form,
    datetime.timedelta: lambda value, _: f"timedelta({value.days}, {value.seconds}, {value.microseconds})",
    datetime.timezone: lambda value, _: f"timezone({_zone_form(value)[2:]})",
    ZoneInfo: lambda value, _: f"ZoneInfo({_zone_form(value)[2:]})",
    type({}.keys()): lambda value, form: f"dict_keys({', '.join(sorted(map(form, value)))})",
    type({}.values()): lambda value, form: f"dict_values({_list_form(value, form)})",
    type({}.items()): lambda value, form: f"dict_items({', '.join(sorted(map(form, value)))})",
    FunctionType: lambda value, form: function_forms.function_form(value, closure_form_of(form)),
    MethodType: lambda value, form: f"method({form(value.__func__)}, {form(value.__self__)})",
    BuiltinMethodType: function_forms.builtin_form,
    MethodWrapperType: function_forms.builtin_form,
    ModuleType: lambda value, _: f"module({value.__name__})",
    partial: _partial_form,
}


def other_form(value: Any, form: Form) -> str:  # noqa: PLR0911 - a list of kinds
    """Return the form of a value whose class is not in FORMS."""
    kind = type(value)
    if isinstance(value, type):
        return _class_form(value, closure_form_of(form))
    if hasattr(kind, "__cache_key__"):
        return f"{qualified_name(kind)}({form(kind.__cache_key__(value))})"
    if (function := object_forms.registered(kind)) is not None:
        return f"{qualified_name(kind)}({form(function(value))})"
    if isinstance(value, Enum):
        member = canonical(value.value) if isinstance(value, Flag) else value.name
        return f"{object_forms.class_name(kind, form)}.{member}"
    if is_dataclass(value):
        return object_forms.fields_form(value, [field.name for field in fields(value) if field.compare], form)
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return object_forms.named_form(kind, zip(kind._fields, value, strict=True), form)
    write = library_forms.find(kind) or object_forms.find(kind)
    if write is not None:
        return write(value, form)
    if isinstance(value, datetime.date) and not getattr(value, "__dict__", None):
        base = datetime.datetime if isinstance(value, datetime.datetime) else datetime.date
        return f"{qualified_name(kind)}({FORMS[base](value, form)})"
    return function_forms.global_form(value)


def _class_form(cls: type, form: ClosureForm) -> str:
    """Return the form of a class; of one that was made in a function, what it closed over when it was first seen."""
    if "<locals>" not in cls.__qualname__ or form.open:
        return function_forms.class_form(cls, form)
    seen = _local_classes.setdefault(cls, {})
    text = seen.get(form.base)
    if text is None:
        text = function_forms.class_form(cls, form)
        if form.complete:
            seen[form.base] = text
    return text


_local_classes: WeakKeyDictionary[type, dict[Form, str]] = WeakKeyDictionary()


class ClosureForm:
    """Writes what functions close over and read, and remembers the variables: see :class:`function_forms.Reading`."""

    def __init__(self, form: Form = canonical) -> None:
        """Write as *form* does, and what does work but decides nothing about results by its class alone."""
        self.base = form
        self.variables: list[function_forms.Variable] = []
        self.open: list[FunctionType | type] = []
        self.complete = True

    def __call__(self, value: Any, /) -> str:
        """Return the form of a value."""
        if function_forms.decides_nothing(value):
            return type(value).__name__
        key_functions = getattr(self.base, "key_functions", None)
        if key_functions is not None and type(value) in key_functions:
            return self.base(value)
        write = FORMS.get(type(value))
        return other_form(value, self) if write is None else write(value, self)


def closure_form_of(form: Form) -> ClosureForm:
    """Return how to write what a function in a value closes over."""
    return form if isinstance(form, ClosureForm) else ClosureForm(form)
