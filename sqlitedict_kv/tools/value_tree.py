"""Tree of a value: what JSON can say of it, for people and programs that only look.

Nothing of the value is called: arrays and frames are told by their type, shape and first items, other objects by their
fields or their class.
"""

from __future__ import annotations

import dataclasses
import datetime
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from math import isfinite
from pathlib import PurePath
from typing import Any
from uuid import UUID

FIRST_ITEMS = 10  # of an array
DEEPEST = 100  # levels
AS_TEXT = (Decimal, Fraction, UUID, PurePath, datetime.timedelta, complex)
MOMENTS = (datetime.datetime, datetime.date, datetime.time)
PLAIN = (bool, int, str)
SEQUENCES = (list, tuple, set, frozenset, deque)


def tree_of(value: Any, depth: int = 0) -> Any:
    """Return a value of JSON's types that shows *value*; it cannot be turned back."""
    if value is None or type(value) in PLAIN:
        return value
    if type(value) is float:
        return value if isfinite(value) else str(value)
    if depth < DEEPEST and isinstance(value, Mapping):
        return {_name(key): tree_of(item, depth + 1) for key, item in value.items()}
    if depth < DEEPEST and isinstance(value, SEQUENCES):
        return [tree_of(item, depth + 1) for item in value]
    return _leaf(value, depth)


def _leaf(value: Any, depth: int) -> Any:
    if isinstance(value, bytes | bytearray):
        return {"type": class_of(value), "base64": b64encode(value).decode("ascii")}
    if isinstance(value, MOMENTS):
        return value.isoformat()
    if isinstance(value, AS_TEXT):
        return str(value)
    if isinstance(value, Enum):
        return {"type": class_of(value), "name": value.name, "value": tree_of(value.value, depth + 1)}
    return _described(value, depth)


def _described(value: Any, depth: int) -> dict[str, Any]:
    shown: dict[str, Any] = {"type": class_of(value)}
    if dataclasses.is_dataclass(value) and depth < DEEPEST:
        fields = dataclasses.fields(value)
        return shown | {field.name: tree_of(getattr(value, field.name), depth + 1) for field in fields}
    show = LIBRARIES.get(type(value).__module__.partition(".")[0])
    return shown if show is None else shown | show(value)


def class_of(value: Any) -> str:
    """Return the name of a value's class, with its module unless it is built in."""
    cls = type(value)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def _name(key: Any) -> str:
    return key if type(key) is str else repr(key)


def _array(value: Any) -> dict[str, Any]:
    shown: dict[str, Any] = {"dtype": str(value.dtype), "shape": list(value.shape)}
    if value.dtype.kind in "biufSU":
        shown["first"] = [tree_of(item.item()) for item in value.reshape(-1)[:FIRST_ITEMS]]
    return shown


def _frame(value: Any) -> dict[str, Any]:
    shape = getattr(value, "shape", None)
    columns = getattr(value, "column_names", None) or getattr(value, "columns", None)
    shown: dict[str, Any] = {} if shape is None else {"shape": list(shape)}
    return shown if columns is None else {**shown, "columns": [str(column) for column in columns]}


def _image(value: Any) -> dict[str, Any]:
    return {"mode": value.mode, "size": list(value.size)}


def _tensor(value: Any) -> dict[str, Any]:
    return {"dtype": str(value.dtype), "shape": list(value.shape)}


def _numpy(value: Any) -> dict[str, Any]:
    return _array(value) if hasattr(value, "reshape") else {"value": str(value)}


LIBRARIES: dict[str, Callable[[Any], dict[str, Any]]] = {
    "numpy": _numpy,
    "pandas": _frame,
    "polars": _frame,
    "pyarrow": _frame,
    "torch": _tensor,
    "PIL": _image,
}
