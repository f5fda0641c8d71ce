"""The views that ``keys()``, ``values()`` and ``items()`` of a namespace return.

Those of :mod:`collections.abc` look every key up while they iterate, one by one, and fail when another
process removes one in between; these walk through the records by pages.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from typing import Any


class NamespaceKeys(KeysView[str]):
    """The live keys, as a set that follows the namespace."""

    _mapping: Any

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key in self._mapping

    def __reversed__(self) -> Iterator[str]:
        backwards: Iterator[str] = reversed(self._mapping)
        return backwards

    def __repr__(self) -> str:
        return f"{self._mapping!r}.keys()"


class NamespaceValues(ValuesView[Any]):
    """The live values, in the order of their keys."""

    _mapping: Any

    def __iter__(self) -> Iterator[Any]:
        return (value for _, value in self._mapping.walk())

    def __reversed__(self) -> Iterator[Any]:
        return (value for _, value in self._mapping.walk(reverse=True))

    def __contains__(self, value: object) -> bool:
        return any(value is found or value == found for found in self)

    def __repr__(self) -> str:
        return f"{self._mapping!r}.values()"


class NamespaceItems(ItemsView[str, Any]):
    """The live keys with their values, as a set that follows the namespace."""

    _mapping: Any

    def __contains__(self, item: object) -> bool:
        return isinstance(item, tuple) and len(item) > 0 and isinstance(item[0], str) and super().__contains__(item)

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        walk: Iterator[tuple[str, Any]] = self._mapping.walk()
        return walk

    def __reversed__(self) -> Iterator[tuple[str, Any]]:
        walk: Iterator[tuple[str, Any]] = self._mapping.walk(reverse=True)
        return walk

    def __repr__(self) -> str:
        return f"{self._mapping!r}.items()"
