"""Models of pydantic that the tests keep."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pydantic


class Model(pydantic.BaseModel):
    a: int
    day: dt.date
    note: str = "none"


class Outer(pydantic.BaseModel):
    inner: Model
    many: list[Model] = []


class Hidden(pydantic.BaseModel):
    x: int
    secret: str = pydantic.Field(default="s", exclude=True)
    _seen: int = pydantic.PrivateAttr(default=0)

    def remember(self, number: int) -> Hidden:
        self._seen = number
        self.secret = "changed"
        return self


class Extra(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    x: int


class FrozenModel(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True)
    x: int


class Numbers(pydantic.RootModel[list[int]]):
    pass


class Anything(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    it: Any


CLASSES = [Model, Outer, Hidden, Extra, FrozenModel, Numbers, Anything]
