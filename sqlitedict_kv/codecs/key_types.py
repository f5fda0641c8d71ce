"""Declared types of keys: ``int``, ``tuple[str, int]``, ``date | None``, ``object``."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable
from datetime import date, datetime, time
from typing import Any, Union, get_args, get_origin
from uuid import UUID

from sqlitedict_kv.codecs.key_encoding import decode_key, encode_key, encode_prefix

PLAIN = frozenset({str, int, bytes, bool, UUID, date, datetime, time, type(None)})
Fit = Callable[[Any], Any]  # returns a key as one of the declared type, raises TypeError if it is none


class KeyType:
    """Keys of a declared type, as the texts that the store keeps and back."""

    __slots__ = ("_declared", "_fit", "name")

    def __init__(self, declared: Any) -> None:
        """Take a type of keys: see :meth:`sqlitedict_kv.Store.ns`.

        Raises:
            TypeError: keys of this type cannot be kept.
        """
        self.name = declared.__name__ if type(declared) is type else str(declared)
        self._declared = declared
        self._fit = _fit_of(declared)

    def __reduce__(self) -> tuple[type[KeyType], tuple[Any]]:
        """Pickle as the declared type."""
        return KeyType, (self._declared,)

    def encode(self, key: Any) -> str:
        """Return the text of a key.

        Raises:
            TypeError: it is not of the declared type.
            ValueError: no text can stand for it, as for NaN.
        """
        try:
            fitting = self._fit(key)
        except TypeError:
            raise TypeError(f"key must be {self.name} in a namespace with keys={self.name}, not {_show(key)}") from None
        return encode_key(fitting)

    def encode_many(self, keys: Any) -> dict[str, Any]:
        """Return keys by their texts."""
        if isinstance(keys, str | bytes) or not isinstance(keys, Iterable):
            raise TypeError(f"keys must be an iterable of {self.name}, not {type(keys).__name__}")
        return {self.encode(key): key for key in keys}

    def encode_or_none(self, key: Any) -> str | None:
        """Return the text of a key, None for what cannot be one."""
        try:
            return self.encode(key)
        except (TypeError, ValueError):
            return None

    def encode_bounds(self, prefix: Any, start: Any, stop: Any) -> tuple[Any, Any, Any]:
        """Return the limits of a listing as texts; of tuples, they may be the first items of one."""
        return (
            "" if isinstance(prefix, str) and not prefix else encode_prefix(prefix),
            None if start is None else self._encode_bound(start),
            None if stop is None else self._encode_bound(stop),
        )

    def _encode_bound(self, key: Any) -> str:
        return encode_key(key) if type(key) is tuple else self.encode(key)

    def decode(self, text: str) -> Any:
        """Return the key that a text stands for.

        Raises:
            ValueError: it stands for none of the declared type.
        """
        key = decode_key(text)
        try:
            return self._fit(key)
        except TypeError:
            raise ValueError(f"it is {_show(key)}") from None


def key_type_of(declared: Any) -> KeyType | None:
    """Return what encodes keys of a declared type; None for str, which need no encoding."""
    return None if declared is str else KeyType(declared)


def _show(key: object) -> str:
    return f"a {type(key).__name__}"


def _fit_of(declared: Any) -> Fit:
    if declared is object or declared is Any:
        return lambda key: key
    if declared is float:
        return _fit_float
    if declared is None or declared in PLAIN:
        return _fit_exactly(type(None) if declared is None else declared)
    origin, arguments = get_origin(declared), get_args(declared)
    if origin in (Union, types.UnionType):
        return _fit_any([_fit_of(argument) for argument in arguments])
    if declared is tuple or (origin is tuple and arguments[1:] == (...,)):
        return _fit_items(_fit_of(arguments[0] if arguments else object))
    if origin is tuple:
        return _fit_each([_fit_of(argument) for argument in arguments])
    raise TypeError(
        f"keys must be str, int, float, bytes, bool, date, datetime, time, UUID, a tuple[...] or union of these, "
        f"or object, not {declared!r}"
    )


def _fit_exactly(cls: type) -> Fit:
    def fit(key: Any) -> Any:
        if type(key) is not cls:
            raise TypeError
        return key

    return fit


def _fit_float(key: Any) -> float:
    if type(key) is float:
        return key
    if type(key) is int and abs(key) <= 2**53:
        return float(key)  # the same key, as in a dict
    raise TypeError


def _fit_any(fits: list[Fit]) -> Fit:
    def fit(key: Any) -> Any:
        for one in fits:
            try:
                return one(key)
            except TypeError:
                continue
        raise TypeError

    return fit


def _fit_items(item: Fit) -> Fit:
    def fit(key: Any) -> Any:
        if type(key) is not tuple:
            raise TypeError
        return tuple([item(part) for part in key])

    return fit


def _fit_each(items: list[Fit]) -> Fit:
    def fit(key: Any) -> Any:
        if type(key) is not tuple or len(key) != len(items):
            raise TypeError
        return tuple([item(part) for item, part in zip(items, key, strict=True)])

    return fit
