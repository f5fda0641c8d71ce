"""Memoization of functions, under the keys that diskcache makes: name, arguments, None, keywords in order."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from sqlitedict_kv.adapters.diskcache.values import ENOVAL

T = TypeVar("T")


def full_name(function: Callable[..., Any]) -> str:
    """Return the module and the qualified name of a function."""
    return f"{function.__module__}.{function.__qualname__}"


def key_maker(
    function: Callable[..., Any], name: str | None, *, typed: bool, ignore: Collection[int | str]
) -> Callable[..., tuple[Any, ...]]:
    """Return a function that returns the key of a call with its arguments."""
    base = (full_name(function) if name is None else name,)

    def make(*args: Any, **kwargs: Any) -> tuple[Any, ...]:
        return args_to_key(base, args, kwargs, typed, ignore)

    return make


def args_to_key(
    base: tuple[Any, ...], args: tuple[Any, ...], kwargs: dict[str, Any], typed: bool, ignore: Collection[int | str]
) -> tuple[Any, ...]:
    """Return the key of a call: *base*, arguments, None, keywords in order, and the names of all types if *typed*."""
    kept = [value for index, value in enumerate(args) if index not in ignore]
    named = sorted((key, value) for key, value in kwargs.items() if key not in ignore)
    key = [*base, *kept, None]
    for pair in named:
        key += pair
    if typed:
        key += [_type_name(value) for value in (*kept, *(value for _, value in named))]
    return tuple(key)


def memoizer(
    cache: Any, name: str | None, *, typed: bool, expire: float | None, tag: Any, ignore: Collection[int | str]
) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Return the decorator of ``memoize`` for a cache."""
    if callable(name):
        raise TypeError("name cannot be callable")

    def decorate(function: Callable[..., T]) -> Callable[..., T]:
        make_key = key_maker(function, name, typed=typed, ignore=ignore)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            key = make_key(*args, **kwargs)
            result = cache.get(key, ENOVAL, retry=True)
            if result is ENOVAL:
                result = function(*args, **kwargs)
                if expire is None or expire > 0:
                    cache.set(key, result, expire, tag=tag, retry=True)
            return result

        call.__cache_key__ = make_key  # type: ignore[attr-defined] # diskcache's name
        return call

    return decorate


def _type_name(value: Any) -> str:
    """Return what stands for a type: a key cannot hold the type itself."""
    return f"{type(value).__module__}.{type(value).__qualname__}"
