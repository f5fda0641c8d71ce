"""The views that ``keys()``, ``values()`` and ``items()`` of a namespace return.

Those of :mod:`collections.abc` look every key up while they iterate, one by one, and fail when another
process removes one in between; these walk through the records by pages.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from typing import Any

from sqlitedict_kv.operations.type_variables import K, V


class NamespaceKeys(KeysView[K]):
    """The live keys, as a set that follows the namespace."""

    _mapping: Any

    def __contains__(self, key: object) -> bool:
        return key in self._mapping

    def __reversed__(self) -> Iterator[K]:
        backwards: Iterator[K] = reversed(self._mapping)
        return backwards

    def __repr__(self) -> str:
        return f"{self._mapping!r}.keys()"


class NamespaceValues(ValuesView[V]):
    """The live values, in the order of their keys."""

    _mapping: Any

    def __iter__(self) -> Iterator[V]:
        return (value for _, value in self._mapping.walk())

    def __reversed__(self) -> Iterator[V]:
        return (value for _, value in self._mapping.walk(reverse=True))

    def __contains__(self, value: object) -> bool:
        return any(value is found or value == found for found in self)

    def __repr__(self) -> str:
        return f"{self._mapping!r}.values()"


class NamespaceItems(ItemsView[K, V]):
    """The live keys with their values, as a set that follows the namespace."""

    _mapping: Any

    def __contains__(self, item: object) -> bool:
        pair: Any = item
        try:
            key, _ = pair
        except (TypeError, ValueError):
            return False
        return key in self._mapping and super().__contains__(pair)

    def __iter__(self) -> Iterator[tuple[K, V]]:
        walk: Iterator[tuple[K, V]] = self._mapping.walk()
        return walk

    def __reversed__(self) -> Iterator[tuple[K, V]]:
        walk: Iterator[tuple[K, V]] = self._mapping.walk(reverse=True)
        return walk

    def __repr__(self) -> str:
        return f"{self._mapping!r}.items()"
