"""Structs of msgspec that the tests keep."""

from __future__ import annotations

import msgspec


class Struct(msgspec.Struct):
    a: int
    b: str


class FrozenStruct(msgspec.Struct, frozen=True):
    x: int


class Tagged(msgspec.Struct, tag="t", kw_only=False):
    x: float


CLASSES = [Struct, FrozenStruct, Tagged]
