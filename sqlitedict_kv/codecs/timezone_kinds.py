"""Time zones of pytz, which pandas 2 uses, by their name."""

from __future__ import annotations

from typing import Any

import pytz

from sqlitedict_kv.codecs.library_kinds import LibraryKind
from sqlitedict_kv.codecs.parts import require
from sqlitedict_kv.errors import CodecError


def take_zone(value: Any) -> list[Any]:
    """Return the name of a zone."""
    if value.zone is None:
        raise CodecError("a fixed offset of pytz cannot be kept; use datetime.timezone")
    return [value.zone]


def build_zone(parts: list[Any]) -> Any:
    """Return a zone of pytz's own database."""
    require(len(parts) == 1 and parts[0] in pytz.all_timezones_set)
    return pytz.timezone(parts[0])


ZONE = LibraryKind("pytz.timezone", take_zone, build_zone)


def kind_of(cls: type) -> LibraryKind | None:
    """Return the kind of a zone; pytz makes a class for each."""
    return ZONE if issubclass(cls, pytz.tzinfo.BaseTzInfo) else None


def kind_named(name: str) -> LibraryKind | None:
    """Return the kind of a stored name."""
    return ZONE if name == ZONE.name else None
