"""Checks of what callers pass in, made before anything is touched."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from types import GenericAlias, UnionType
from typing import Any, Final, NewType, TypeVar, get_origin

from sqlitedict_kv.codecs.catalog import is_built_in
from sqlitedict_kv.codecs.kinds import Kind
from sqlitedict_kv.codecs.objects import object_kind
from sqlitedict_kv.codecs.registry import Codec, Codecs
from sqlitedict_kv.errors import TooLargeError

T = TypeVar("T")

MAX_KEY_BYTES = 1024
MAX_NAMESPACE_BYTES = 255
MAX_TAG_BYTES = 255
MAX_TAGS = 1000  # of an entry
MAX_VALUE_BYTES = 512 * 2**20
MAX_TTL = 100 * 366 * 24 * 3600.0  # seconds; a longer one is never
MAX_LIMIT = 2**31 - 1
MAX_VERSION = 2**63 - 1
MIN_MAX_BYTES = 256 * 2**10  # an empty file already takes some pages
MIN_FILES_ABOVE = 2**16

UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}

Duration = float | timedelta | str  # seconds, or text such as "90 s", "30 min", "1.5h", "1 day 12 hours"
UNITS_OF_TIME = {"s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hr": 3600, "hour": 3600,
                 "d": 86_400, "day": 86_400, "w": 604_800, "week": 604_800}  # fmt: skip
ONE_DURATION = re.compile(r"\s*(\d{1,18}(?:\.\d{1,18})?)\s*([a-z]+)\s*", re.IGNORECASE | re.ASCII)


class Default:
    """The type of :data:`DEFAULT`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "DEFAULT"

    def __reduce__(self) -> str:
        """Pickle by name: it is compared by identity."""
        return "DEFAULT"


DEFAULT: Final = Default()  # "not given", where None has a meaning of its own

NO_TAGS: Final = ()

HOME = ("~/", "~\\") if os.name == "nt" else "~/"  # what stands for the home directory at the beginning of a path


def check_key(key: object, name: str = "key") -> str:
    """Return a key as a plain str; raise TypeError or ValueError if it is none."""
    if not isinstance(key, str):
        hint = _hint(type(key)) if name in ("key", "keys") else "convert it, with str() for example"
        raise TypeError(f"{name} must be a str, not {type(key).__name__}; {hint}")
    return _check_text(key, name, MAX_KEY_BYTES)


def _hint(kind: type) -> str:
    if kind.__name__ in ("int", "float", "bytes", "bool", "date", "datetime", "time", "UUID", "tuple"):
        return f"a namespace with such keys is store.ns(name, keys={kind.__name__})"
    return "convert it, with str() for example, or declare the type of the keys: store.ns(name, keys=object)"


def check_namespace(name: object, argument: str = "name") -> str:
    """Return the name of a namespace as a plain str."""
    if not isinstance(name, str):
        raise TypeError(f"{argument} must be a str, not {type(name).__name__}")
    if not name:
        raise ValueError(f"{argument} must not be empty")
    return _check_text(name, argument, MAX_NAMESPACE_BYTES)


def _check_text(text: str, name: str, limit: int) -> str:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise ValueError(f"{name} holds a lone surrogate and has no UTF-8 form; encode it some other way") from None
    if size > limit:
        raise TooLargeError(f"{name} is {size} bytes of UTF-8, and {limit} is the limit; hash what is longer")
    return str.__str__(text)  # of a subclass, such as a StrEnum, the text alone


def check_prefix(prefix: object) -> str:
    """Return the prefix of a listing."""
    return check_key(prefix, "prefix")


def check_keys(keys: object) -> list[str]:
    """Return an iterable of keys as a list without repetitions."""
    if isinstance(keys, str | bytes) or not isinstance(keys, Iterable):
        raise TypeError(f"keys must be an iterable of str, not {type(keys).__name__}")
    return list(dict.fromkeys(check_key(key, "keys") for key in keys))


def check_tag(tag: object, name: str = "tag") -> str:
    """Return a tag as a plain str."""
    if not isinstance(tag, str):
        raise TypeError(f"{name} must be a str, not {type(tag).__name__}; convert it, with str() for example")
    if not tag:
        raise ValueError(f"{name} must not be empty")
    return _check_text(tag, name, MAX_TAG_BYTES)


def check_tags(tags: object) -> tuple[str, ...]:
    """Return the tags of an entry, in order and without repetitions."""
    if isinstance(tags, str | bytes) or not isinstance(tags, Iterable):
        raise TypeError(f"tags must be a list of str, not {type(tags).__name__}")
    found = sorted({check_tag(tag, "a tag") for tag in tags})
    if len(found) > MAX_TAGS:
        raise ValueError(f"an entry has at most {MAX_TAGS} tags, not {len(found)}; give it one that stands for many")
    return tuple(found)


def check_ttl(ttl: object) -> float | None:
    """Return a time to live in seconds, None if it never ends."""
    return None if ttl is None else check_duration(ttl, "ttl", "; None is never")


def check_duration(value: object, name: str, hint: str = "") -> float:
    """Return a number of seconds more than 0, given as :func:`duration_seconds` takes it."""
    seconds = duration_seconds(value, name, hint)
    if not 0 < seconds <= MAX_TTL:  # NaN fails too
        raise ValueError(
            f"{name} must be more than 0 and at most {MAX_TTL:.0f} seconds, not {show_number(seconds)}{hint}"
        )
    return float(seconds)


def duration_seconds(value: object, name: str, hint: str = "") -> float:
    """Return the seconds of a number, a timedelta or text such as ``"30 min"``, however many they are."""
    if isinstance(value, str):
        return _parse_duration(value, name)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        kind = type(value).__name__
        raise TypeError(f"{name} must be a number of seconds, a timedelta or text such as '30 min', not {kind}{hint}")
    return value


@lru_cache(256)
def _parse_duration(text: str, name: str) -> float:
    """Return the seconds of a text; each text is parsed once."""
    total, place = 0.0, 0
    for match in ONE_DURATION.finditer(text):
        unit = match[2].lower()
        factor = UNITS_OF_TIME.get(unit) or UNITS_OF_TIME.get(unit.removesuffix("s"))
        if match.start() != place or factor is None:
            break
        total, place = total + float(match[1]) * factor, match.end()
    if text and place == len(text):
        return total
    if text.strip().replace(".", "", 1).isdigit():
        raise TypeError(f"{name} must be a number of seconds or text with a unit, such as '30 min', not {text[:40]!r}")
    raise ValueError(f"{name} must be text such as '90 s', '30 min', '1.5h' or '1 day 12 hours', not {text[:40]!r}")


def check_version(version: object, *, lowest: int = 0) -> int:
    """Return a version to compare with."""
    return check_int(version, "version", lowest=lowest, highest=MAX_VERSION)


def check_int(value: object, name: str, *, lowest: int, highest: int = MAX_LIMIT) -> int:
    """Return an int within bounds."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if not lowest <= value <= highest:
        raise ValueError(f"{name} must be from {lowest} to {highest}, not {show_number(value)}")
    return int(value)


def check_optional_int(value: object, name: str, *, lowest: int) -> int | None:
    """Return an int of at least *lowest*, or None."""
    return None if value is None else check_int(value, name, lowest=lowest)


def check_number(value: object, name: str) -> int | float:
    """Return an int or a finite float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be an int or a float, not {type(value).__name__}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} must be finite, not {value}")
    return value


def show_number(number: float) -> str:
    """Return a number for a message; Python refuses to print the longest."""
    if abs(number) < 10**30:
        return str(number)
    return f"{number:.1e}" if isinstance(number, float) else f"an int of {number.bit_length()} bits"


def check_bool(value: object, name: str) -> bool:
    """Return a bool; other truth values are refused, for they are mostly slips."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {type(value).__name__}")
    return value


def check_content_type(content_type: object, codecs: Codecs) -> str | None:
    """Return a content type that the store has a codec for, or None."""
    if content_type is None:
        return None
    if not isinstance(content_type, str):
        raise TypeError(f"content_type must be a str or None, not {type(content_type).__name__}")
    if content_type not in codecs:
        raise ValueError(f"content_type {content_type!r} has no codec in this store; open it with codecs=[...]")
    return content_type


def check_type(kind: object) -> object:
    """Return the type of the values of a view: a class, a generic one, a union, or another name of one."""
    if isinstance(kind, type | GenericAlias | UnionType | NewType | TypeVar) or get_origin(kind) is not None:
        return kind
    if kind is Any or type(kind).__name__ == "TypeAliasType":
        return kind
    hint = f"the class itself, not {kind!r:.80}" if isinstance(kind, str) else f"not {type(kind).__name__}"
    raise TypeError(f"type must be a type such as User or list[User], {hint}")


def check_types(types: object) -> tuple[Kind, ...]:
    """Return the kinds of classes that a user allows."""
    if isinstance(types, type | str) or not isinstance(types, Iterable):
        raise TypeError(f"types must be a sequence of classes or Kind objects, not {type(types).__name__}")
    kinds = tuple(given if isinstance(given, Kind) else _kind_of(given) for given in types)
    names: dict[str, type] = {}
    for kind in kinds:
        name = object_kind(kind).name
        if is_built_in(kind.cls, name):
            raise ValueError(f"types must not have {name}, which is kept without")
        if names.setdefault(name, kind.cls) is not kind.cls or [other.cls for other in kinds].count(kind.cls) > 1:
            raise ValueError(f"types has {name} twice; give one of them a Kind with a name of its own")
    return kinds


def _kind_of(given: object) -> Kind:
    if not isinstance(given, type):
        raise TypeError(f"types must hold classes or Kind objects, not {type(given).__name__}")
    return Kind(given)


def check_codecs(codecs: object) -> tuple[Codec, ...]:
    """Return codecs that a user registers."""
    if isinstance(codecs, str) or not isinstance(codecs, Iterable):
        raise TypeError(f"codecs must be a sequence of Codec, not {type(codecs).__name__}")
    chosen = tuple(codecs)
    for codec in chosen:
        if not isinstance(codec, Codec):
            raise TypeError(f"codecs must hold Codec objects, not {type(codec).__name__}")
        if not isinstance(codec.content_type, str) or not codec.content_type:
            raise ValueError("codecs must each have a content_type, a str that is not empty")
        _check_text(codec.content_type, "codecs: content_type", MAX_NAMESPACE_BYTES)
        if codec.content_type in Codecs():
            raise ValueError(f"codecs must not replace {codec.content_type}, which is built in; choose another name")
        check_callable(codec.encode, "codecs: encode")
        check_callable(codec.decode, "codecs: decode")
        for name, function in (("parts", codec.parts), ("view", codec.view)):
            if function is not None:
                check_callable(function, f"codecs: {name}")
        if not isinstance(codec.types, tuple) or not all(isinstance(kind, type) for kind in codec.types):
            raise TypeError("codecs must give their types as a tuple of classes")
    if len({codec.content_type for codec in chosen}) < len(chosen):
        raise ValueError("codecs must each have a content_type of their own")
    return chosen


def check_callable(function: object, name: str) -> Callable[..., Any]:
    """Return something that can be called."""
    if not callable(function):
        raise TypeError(f"{name} must be callable, not {type(function).__name__}")
    return function


def check_mapping(mapping: object, name: str) -> Mapping[Any, Any]:
    """Return a mapping."""
    if not isinstance(mapping, Mapping):
        raise TypeError(f"{name} must be a mapping of keys to values, not {type(mapping).__name__}")
    return mapping


def check_path(path: object, name: str = "path") -> str:
    """Return a path as a str."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"{name} must be a str or a pathlib.Path, not {type(path).__name__}")
    text = os.fspath(path)
    if isinstance(text, str) and text.startswith(HOME):
        text = os.path.expanduser(text)
    if not isinstance(text, str):
        raise TypeError(f"{name} must be text, not {type(text).__name__}")
    if not text:
        raise ValueError(f"{name} must not be empty")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise ValueError(f"{name} holds a lone surrogate, which no file name can have") from None
    if "\0" in text:
        raise ValueError(f"{name} must not hold a null character")
    return text


def check_choice(value: object, name: str, choices: tuple[T, ...]) -> T:
    """Return *value* if it is one of *choices*."""
    for choice in choices:
        if type(value) is type(choice) and value == choice:
            return choice
    raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, not {value!r}")


def check_timeout(timeout: object, name: str = "timeout") -> float:
    """Return a number of seconds to wait, 0 for not at all."""
    number = check_number(timeout, name)
    if not 0 <= number <= MAX_TTL:
        raise ValueError(f"{name} must be from 0 to {MAX_TTL:.0f} seconds, not {show_number(number)}")
    return float(number)


def check_size(size: object, name: str, *, lowest: int) -> int | None:
    """Return a number of bytes, given as an int or as text such as ``"64 MB"``; None stays None."""
    if size is None:
        return None
    if isinstance(size, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", size)
        unit = UNITS.get(match[2].lower()) if match else None
        if match is None or unit is None:
            raise ValueError(f"{name} must be bytes or text such as '64 MB' or '1 GiB', not {size[:40]!r}")
        size = int(Decimal(match[1]) * unit)
    return check_int(size, name, lowest=lowest, highest=2**62)
