"""Kinds of values of libraries: one module per library, imported when its first value is met."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from sqlitedict_kv.concurrency.imports import import_when_needed
from sqlitedict_kv.errors import NotKeptHereError

STDLIB = ("array", "collections", "datetime", "fractions", "ipaddress", "pathlib", "types", "zoneinfo")
MODULES = {
    **dict.fromkeys(STDLIB, "stdlib_kinds"),
    "PIL": "pillow_kinds",
    "django": "django_kinds",
    "numpy": "numpy_kinds",
    "pandas": "pandas_kinds",
    "polars": "polars_kinds",
    "pyarrow": "arrow_kinds",
    "pytz": "timezone_kinds",
    "rest_framework": "rest_framework_kinds",
    "scipy": "scipy_kinds",
    "shapely": "shapely_kinds",
    "sklearn": "sklearn_kinds",
    "torch": "torch_kinds",
}  # the first word of a class's module, or of a stored name -> the module here that keeps it


class LibraryKind(NamedTuple):
    """How values of one kind are taken apart, and made again.

    Attributes:
        name: what an entry calls the kind; it begins with the library's name, and never changes.
        take_apart: returns the parts of a value. A part is any value that the store keeps, or a contiguous
            memoryview, which is kept as a buffer. It raises CodecError if the parts would not make an equal value.
        build: makes a value of parts that come from a file: anybody may have chosen them. It checks their types
            before it uses them, allocates no more than they are large, and raises for what does not fit.
            A buffer is bytes or a memoryview here; what build makes of it is its own copy.
        raw_parts: whether parts may be memoryviews; False for a container, whose parts are the user's.
        fields: the names of the parts, if they are to be stored with the name.
    """

    name: str
    take_apart: Callable[[Any], list[Any]]
    build: Callable[[list[Any]], Any]
    raw_parts: bool = True
    fields: tuple[str, ...] = ()


def kind_of(cls: type) -> LibraryKind | None:
    """Return how values of exactly this class are kept, None if no module here does."""
    module = MODULES.get(str(cls.__module__).partition(".")[0])
    return _load(module).kind_of(cls) if module else None


def kind_named(name: str) -> LibraryKind | None:
    """Return how values of a stored name are made, None if no module here does.

    Raises:
        DecodeError: the library cannot be imported.
    """
    library = name.partition(".")[0]
    module = MODULES.get(library)
    try:
        return _load(module).kind_named(name) if module else None
    except ImportError:
        raise NotKeptHereError(f"holds {name}, and {library} cannot be imported here; install it") from None


def _load(module: str) -> Any:
    return import_when_needed(f"sqlitedict_kv.codecs.{module}")
