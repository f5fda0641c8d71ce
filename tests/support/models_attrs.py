"""Classes of attrs that the tests keep."""

from __future__ import annotations

from typing import Any

import attrs


@attrs.define
class Attrs:
    a: int
    b: str


@attrs.frozen
class FrozenAttrs:
    x: int
    doubled: int = attrs.field(init=False, default=0)


@attrs.define(slots=False)
class DictAttrs:
    items: list[Any]
    more: dict[str, Any] = attrs.field(factory=dict, eq=False)


@attrs.define
class PrivateAttrs:
    _x: int


CLASSES = [Attrs, FrozenAttrs, DictAttrs, PrivateAttrs]
