"""The canonical key of a call: readable text that is the same in every process and run.

A key is ``module.function@version(arguments)``. Arguments are bound to the signature, so all spellings of a call
are one key, and each is written in a form that neither Python's hash nor the repr of an object has a part in.
"""

from __future__ import annotations

import datetime
import inspect
import re
import sys
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum, Flag
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlitedict_kv.codecs.qualified_name import qualified_name

MAX_ARGUMENTS = 200  # characters, at most 4 bytes each; what is longer is hashed
MAX_NAME_BYTES = 200  # with the above and two brackets, below the 1,024 bytes of a key
DIGEST_BYTES = 20
MAX_DECIMAL_BITS = 1024  # Python limits how many digits an int is written in, by a setting that can change

# Types whose repr is canonical, of str that of pure ASCII without a backslash; bool is no int here.
PLAIN = frozenset({str, int, float, bool, bytes, type(None)})
PLAIN_UNTYPED = frozenset({str, bytes, type(None)})
DISTINCT = frozenset({str, int, bool, bytes, type(None)})  # whose values differ if they are unequal: 0.0 equals -0.0
REMEMBERED = 1024  # keys of a function

PLAIN_TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f'\\\ud800-\udfff]*")
VERSION = re.compile(r"[\w.+-]{1,50}")

Form = Callable[[Any], str]  # writes a value, and the values in it


class NoCanonicalFormError(TypeError):
    """Says that a value cannot be a part of a key; for the use of this package, users get a TypeError."""


def canonical(value: Any) -> str:
    """Return the canonical text of a value; values that differ in type or in content differ in text.

    Raises:
        NoCanonicalFormError: it has none.
    """
    write = FORMS.get(type(value))
    return _other(value, canonical) if write is None else write(value, canonical)


def canonical_untyped(value: Any) -> str:
    """Return the same, but the same text for numbers that are equal."""
    plain = _number(value)
    write = FORMS.get(type(plain))
    return _other(plain, canonical_untyped) if write is None else write(plain, canonical_untyped)


class CallKeys:
    """Makes the keys of one function's calls."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        version: str | int | None = None,
        ignore: Collection[str] = (),
        typed: bool = True,
        key: Callable[..., Any] | None = None,
    ) -> None:
        """Prepare for *function*; the arguments are those of memoize.

        Raises:
            TypeError, ValueError: an argument is not as described there.
        """
        self.name = _checked_name(function, name)
        self.prefix = _shortened(self.name if version is None else f"{self.name}@{_checked_version(version)}")
        self._key = key
        self._form = canonical if typed else canonical_untyped
        self._plain = PLAIN if typed else PLAIN_UNTYPED
        self._signature = inspect.signature(function)
        self._parameters = tuple(self._signature.parameters.values())
        self._ignored = _checked_ignore(ignore, self._parameters)
        kinds = [parameter.kind for parameter in self._parameters]
        self._variable = inspect.Parameter.VAR_POSITIONAL in kinds or inspect.Parameter.VAR_KEYWORD in kinds
        self._keyword_only = kinds.count(inspect.Parameter.KEYWORD_ONLY)
        self._positional_only = kinds.count(inspect.Parameter.POSITIONAL_ONLY)
        self._slots = tuple((parameter.name, parameter.default) for parameter in self._parameters)
        self._positional = len(kinds) - self._keyword_only
        self.of = self._quick()

    def _quick(self) -> Callable[[tuple[Any, ...], dict[str, Any]], str]:
        """Return :meth:`key_of` with a short way for calls of plain arguments by position.

        The keys of late are remembered, which takes a third of the time to write one. It is a closure because
        each look at an attribute of self would cost 3 % more.
        """
        key_of, prefix, short_text = self.key_of, self.prefix, self._short_text()
        if short_text is None:
            return key_of
        remembered: dict[tuple[Any, ...], str] = {}
        are_distinct = (self._plain & DISTINCT).issuperset

        def of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
            if kwargs:
                return key_of(args, kwargs)
            types = tuple(map(type, args))
            distinct = are_distinct(types)  # and have a hash
            key = remembered.get((args, types)) if distinct else None
            if key is None:
                text = short_text(args)
                key = key_of(args, kwargs) if text is None else prefix + text
                if distinct and text is not None:
                    if len(remembered) >= REMEMBERED:
                        remembered.clear()
                    remembered[args, types] = key
            return key

        return of

    def _short_text(self) -> Callable[[tuple[Any, ...]], str | None] | None:
        """Return a function that writes arguments by position, if they are plain and short; or None.

        C writes their tuple at once, in a quarter of the time.
        """
        fills, are_plain, tail = self._fills_by_count(), self._plain.issuperset, self._keyword_only_text()
        if tail is None:
            return None

        def short_text(args: tuple[Any, ...]) -> str | None:
            if len(args) not in fills:
                return None
            full = args + fills[len(args)]
            if not are_plain(map(type, full)):
                return None
            try:
                text = repr(full) if len(full) != 1 else f"({full[0]!r})"
            except ValueError:  # an int of too many digits
                return None
            if tail:
                text = f"{text[:-1]}, {tail})" if full else f"({tail})"
            return text if len(text) <= MAX_ARGUMENTS and text.isascii() and "\\" not in text else None

        return short_text

    def _fills_by_count(self) -> dict[int, tuple[Any, ...]]:
        """Return, by the number of positional arguments of a call, the defaults that complete it."""
        defaults = [default for _, default in self._slots[: len(self._slots) - self._keyword_only]]
        required = defaults.count(inspect.Parameter.empty)
        return {count: tuple(defaults[count:]) for count in range(required, len(defaults) + 1)}

    def _keyword_only_text(self) -> str | None:
        """Return the text of the defaults of keyword-only parameters; None where there is no short way."""
        defaults = self._slots[len(self._slots) - self._keyword_only :]
        if (
            self._key
            or self._ignored
            or self._variable
            or not self._plain.issuperset(type(item) for _, item in defaults)
        ):
            return None
        return ", ".join(f"{name}={self._form(default)}" for name, default in defaults)

    def key_of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """Return the key of a call.

        Raises:
            TypeError: the call does not fit the signature, or an argument has no canonical form.
        """
        text = self._bound_text(args, kwargs) if self._key is None else self._chosen_text(self._key(*args, **kwargs))
        if len(text) > MAX_ARGUMENTS - 2:
            text = f"#{_digest(text)}"
        return f"{self.prefix}({text})"

    def _chosen_text(self, chosen: Any) -> str:
        try:
            return self._form(chosen)
        except NoCanonicalFormError as error:
            raise TypeError(f"key= of {self.name} returned {error}; let it return a str, or a tuple of them") from None

    def _bound_text(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        if self._variable:
            return self._variable_text(args, kwargs)
        text, ignored, positional = self._text, self._ignored, self._positional
        return ", ".join(
            [
                text(name, value) if place < positional else f"{name}={text(name, value)}"
                for place, ((name, _), value) in enumerate(zip(self._slots, self._bind(args, kwargs), strict=True))
                if name not in ignored
            ]
        )

    def _variable_text(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        parts = []
        for parameter, value in zip(self._parameters, self._bind_any(args, kwargs), strict=True):
            name = parameter.name
            if name in self._ignored:
                continue
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                parts += [self._text(name, item) for item in value]
            elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
                names = sorted(set(value) - self._ignored)
                # a keyword that is no name, as in f(**{"a=1, b": 2}), is quoted
                parts += [f"{_identifier(other)}={self._text(other, value[other])}" for other in names]
            elif parameter.kind is inspect.Parameter.KEYWORD_ONLY:
                parts.append(f"{name}={self._text(name, value)}")
            else:
                parts.append(self._text(name, value))
        return ", ".join(parts)

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        """Return a value for each parameter; Signature.bind does it four times as slowly."""
        count = len(args)
        if count < self._positional_only or count > self._positional:
            return self._bind_any(args, kwargs)
        values = [*args]
        unused = len(kwargs)
        for name, default in self._slots[count:]:
            if name in kwargs:
                values.append(kwargs[name])
                unused -= 1
            elif default is inspect.Parameter.empty:
                return self._bind_any(args, kwargs)
            else:
                values.append(default)
        return self._bind_any(args, kwargs) if unused else values

    def _bind_any(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.name}(): {error}") from None
        bound.apply_defaults()
        return [bound.arguments[parameter.name] for parameter in self._parameters]

    def _text(self, name: str, value: Any) -> str:
        try:
            return self._form(value)
        except NoCanonicalFormError as error:
            raise TypeError(
                f"argument {name!r} of {self.name} cannot be a part of a cache key: it is or holds {error}. Say what "
                f"the result depends on with memoize(key=lambda ...: ...), or leave the argument out with "
                f"memoize(ignore=({name!r},)); a class of yours may define __cache_key__(self)"
            ) from None
        except RecursionError:
            raise TypeError(
                f"argument {name!r} of {self.name} is nested too deeply to be a part of a cache key"
            ) from None


def _checked_name(function: Callable[..., Any], name: str | None) -> str:
    if name is not None:
        if not isinstance(name, str):
            raise TypeError(f"name must be a str, not {type(name).__name__}")
        if not re.fullmatch(r"[\w.<>:/-]+", name):
            raise ValueError(f"name must be letters, digits and any of _ . : / - < >, not {name!r}")
        return name
    if not hasattr(function, "__qualname__") or not hasattr(function, "__module__"):
        raise TypeError(f"a {type(function).__name__} has no name that lasts; give one with memoize(name=...)")
    if "<lambda>" in function.__qualname__:
        raise ValueError("all lambdas of a module share one name; use def, or give one with memoize(name=...)")
    return qualified_name(function)


def _checked_version(version: object) -> str:
    if isinstance(version, bool) or not isinstance(version, str | int):
        raise TypeError(f"version must be a str or an int, not {type(version).__name__}")
    if not VERSION.fullmatch(str(version)):
        raise ValueError(f"version must be 1 to 50 letters, digits and any of _ . + -, not {version!r}")
    return str(version)


def _checked_ignore(ignore: object, parameters: tuple[inspect.Parameter, ...]) -> frozenset[str]:
    if isinstance(ignore, str) or not isinstance(ignore, Collection):
        raise TypeError(f"ignore must be a collection of names such as ('self',), not {type(ignore).__name__}")
    known = {parameter.name for parameter in parameters}
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)
    for name in ignore:
        if not isinstance(name, str):
            raise TypeError(f"ignore must hold names of parameters, not {type(name).__name__}")
        if name not in known and not takes_any:
            raise ValueError(f"ignore names {name!r}, and the parameters are {', '.join(sorted(known)) or 'none'}")
    return frozenset(ignore)


def _shortened(name: str) -> str:
    body = name.encode()
    if len(body) <= MAX_NAME_BYTES:
        return name
    digest = _digest(name)
    return f"{body[: MAX_NAME_BYTES - len(digest) - 1].decode(errors='ignore')}#{digest}"


def _digest(text: str) -> str:
    return _blake2(text.encode(), DIGEST_BYTES)


def _blake2(body: bytes, size: int) -> str:
    from hashlib import blake2b  # noqa: PLC0415 - few keys are long, and it takes long to import

    return blake2b(body, digest_size=size).hexdigest()


# -- the forms; each writes a type, and takes how to write what is inside


def _text_form(value: str, _: Form) -> str:
    # Not repr: which characters it escapes depends on the release of Unicode.
    return f"'{value}'" if PLAIN_TEXT.fullmatch(value) else ascii(value)


def _int_form(value: int, _: Form) -> str:
    return repr(value) if value.bit_length() <= MAX_DECIMAL_BITS else hex(value)


def _float_form(value: float, _: Form) -> str:
    return repr(value)


def _list_form(value: list[Any], form: Form) -> str:
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
        return f", {_text_form(zone.tzname(None), canonical)}"
    raise NoCanonicalFormError(f"a time zone of type {type(zone).__qualname__}")


def _moment_form(value: datetime.datetime | datetime.time, _: Form) -> str:
    rest = f"{_zone_form(value.tzinfo)}{', fold' if value.fold else ''}"
    return f"{type(value).__name__}({value.isoformat()}{rest})"


FORMS: dict[type, Callable[[Any, Form], str]] = {
    str: _text_form,
    int: _int_form,
    float: _float_form,
    bool: lambda value, _: repr(value),
    type(None): lambda value, _: repr(value),
    bytes: lambda value, _: repr(value),
    bytearray: lambda value, _: f"bytearray({bytes(value)!r})",
    complex: lambda value, _: f"complex({value.real!r}, {value.imag!r})",
    list: _list_form,
    tuple: _tuple_form,
    set: _set_form,
    frozenset: _set_form,
    dict: _dict_form,
    OrderedDict: lambda value, form: f"OrderedDict({_list_form(list(value.items()), form)})",
    range: lambda value, _: f"range({value.start}, {value.stop}, {value.step})",
    Decimal: lambda value, _: f"Decimal({value})",
    UUID: lambda value, _: f"UUID({value})",
    datetime.date: lambda value, _: f"date({value.isoformat()})",
    datetime.datetime: _moment_form,
    datetime.time: _moment_form,
    datetime.timedelta: lambda value, _: f"timedelta({value.days}, {value.seconds}, {value.microseconds})",
}


def _other(value: Any, form: Form) -> str:  # noqa: PLR0911 - a list of kinds
    """Return the form of a value whose class is somebody's own."""
    kind = type(value)
    if isinstance(value, type):
        return f"<{qualified_name(value)}>"
    if hasattr(kind, "__cache_key__"):
        return f"{qualified_name(kind)}({form(kind.__cache_key__(value))})"
    if isinstance(value, Enum):
        return f"{qualified_name(kind)}.{canonical(value.value) if isinstance(value, Flag) else value.name}"
    if is_dataclass(value):
        return _fields_form(
            kind, {field.name: getattr(value, field.name) for field in fields(value) if field.compare}, form
        )
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return _fields_form(kind, dict(zip(kind._fields, value, strict=True)), form)
    if _is_fraction(value):
        return f"Fraction({value})"
    pathlib = sys.modules.get("pathlib")  # it takes long to import, and a path comes from one that is
    if pathlib is not None and isinstance(value, pathlib.PurePath):
        return f"Path({_text_form(value.as_posix(), form)})"
    if kind.__module__ == "numpy":
        return _numpy_form(value, form)
    raise NoCanonicalFormError(f"a {kind.__module__}.{kind.__qualname__}")


def _is_fraction(value: Any) -> bool:
    fractions = sys.modules.get("fractions")
    return fractions is not None and type(value) is fractions.Fraction


def _fields_form(kind: type, items: dict[str, Any], form: Form) -> str:
    return f"{qualified_name(kind)}({', '.join(f'{name}={form(item)}' for name, item in items.items())})"


def _numpy_form(value: Any, form: Form) -> str:
    """Return type, shape and digest of an array, or the Python value of a scalar; numpy itself is not imported."""
    name = type(value).__name__
    dtype = getattr(value, "dtype", None)
    if dtype is None or dtype.hasobject or dtype.names:
        raise NoCanonicalFormError(f"a numpy.{name} of {'objects or records' if dtype is not None else 'its own kind'}")
    if name == "ndarray":
        digest = _blake2(value.tobytes(), DIGEST_BYTES)
        return f"ndarray({dtype.str}, {value.shape!r}, {digest})"
    item = value.item() if hasattr(value, "item") else None
    if type(item) not in FORMS or getattr(value, "shape", None) != ():
        raise NoCanonicalFormError(f"a numpy.{name}")
    return f"{dtype.str}({form(item)})"


def _number(value: Any) -> Any:
    """Return one of all numbers that are equal; anything else as it is."""
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()
    kind = type(value)
    if kind is bool:
        return int(value)
    if kind is complex and value.imag == 0:
        value, kind = value.real, float
    try:
        if kind is float or kind is Decimal or _is_fraction(value):
            whole = int(value)
            if whole == value:
                return whole
            if kind is not float and float(value) == value:
                return float(value)
    except (ValueError, OverflowError):  # not a number, or infinite
        return float(value) if kind is Decimal and value.is_infinite() else value
    return value


def _identifier(name: str) -> str:
    return name if name.isascii() and name.isidentifier() else ascii(name)
