"""Exceptions as values that can be kept, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sqlitedict_kv.codecs.qualified_name import qualified_name


def take_apart(error: Exception) -> dict[str, Any]:
    """Return the name of its class, its arguments and its attributes."""
    return {"type": qualified_name(type(error)), "args": _arguments(error), "state": _state(error)}


def rebuild(kept: dict[str, Any], classes: Iterable[type[Exception]]) -> Exception | None:
    """Return an exception like the one that was raised, None if its class is not below *classes* any more."""
    for named in classes:
        for kind in _with_subclasses(named):
            if qualified_name(kind) == kept["type"]:
                try:
                    error = kind(*kept["args"])
                except Exception:  # its __init__ takes something else than args
                    error = kind.__new__(kind, *kept["args"])
                    error.args = tuple(kept["args"])
                error.__dict__.update(kept["state"])
                return error
    return None


def _arguments(error: Exception) -> tuple[Any, ...]:
    """Return what its class is called with, which pickle asks for too: OSError.args lacks the names of its files."""
    reduced = error.__reduce__()
    return reduced[1] if isinstance(reduced, tuple) and reduced[0] is type(error) else error.args


def _state(error: Exception) -> dict[str, Any]:
    return {name: value for name, value in vars(error).items() if name != "__notes__"}


def _with_subclasses(kind: type[Exception]) -> Iterator[type[Exception]]:
    yield kind
    for subclass in kind.__subclasses__():
        yield from _with_subclasses(subclass)
