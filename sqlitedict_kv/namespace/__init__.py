"""Views of one namespace of a store, as mappings."""

from __future__ import annotations

from typing import Any

from sqlitedict_kv.codecs.key_types import KeyType, key_type_of
from sqlitedict_kv.namespace.keyed import KeyedNamespace
from sqlitedict_kv.namespace.namespace import Namespace
from sqlitedict_kv.namespace.reader import NamespaceReader
from sqlitedict_kv.operations.context import Defaults, StoreContext
from sqlitedict_kv.operations.statistics import NamespaceStats

__all__ = ["KeyType", "KeyedNamespace", "Namespace", "NamespaceReader", "NamespaceStats", "make_namespace"]


def make_namespace(context: StoreContext, name: str, defaults: Defaults, keys: Any = str) -> Namespace[Any, Any]:
    """Return a view of a namespace; *name* and *defaults* are checked already, *keys* is the declared type of keys."""
    key_type = key_type_of(keys)
    return Namespace(context, name, defaults) if key_type is None else KeyedNamespace(context, name, defaults, key_type)
