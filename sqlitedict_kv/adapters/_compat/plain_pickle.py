"""Pickles of plain data, read without importing anything and without calling what the pickle names."""

from __future__ import annotations

import io
import pickle
from collections import deque
from typing import Any, NoReturn

MOST_PARTS = 10_000_000  # of a value; a pickle may name one part any number of times


class _PlainUnpickler(pickle.Unpickler):
    """Refuses all that is not built into the format: no class, no function, no persistent object."""

    def find_class(self, module: str, name: str) -> NoReturn:
        """Refuse to look anything up."""
        raise _NamedError(f"it needs {module}.{name}")


class _NamedError(pickle.UnpicklingError):
    """Says that a pickle names something."""


def plain_loads(pickled: bytes) -> Any:
    """Return the value of a pickle of plain data.

    That is None, bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset, the types of
    ``datetime``, Decimal, Fraction, UUID, paths, OrderedDict, deque and Counter.

    Raises:
        pickle.UnpicklingError: it holds something else, or a small pickle would become a huge value.
    """
    try:
        value = _PlainUnpickler(io.BytesIO(pickled)).load()
    except _NamedError:
        from sqlitedict_kv.adapters._compat.named_pickle import NamedUnpickler  # noqa: PLC0415 - mostly not needed

        value = NamedUnpickler(pickled, MOST_PARTS).load()
    try:
        parts = _parts(value, {})
    except RecursionError:
        raise pickle.UnpicklingError("it is nested too deeply, or holds itself") from None
    if parts > MOST_PARTS:
        raise pickle.UnpicklingError(f"it becomes more than {MOST_PARTS} parts")
    return value


def _parts(value: Any, known: dict[int, int]) -> int:
    """Return how many parts a value has when each is written out; shared ones are counted as often as they occur."""
    if not isinstance(value, list | tuple | dict | set | frozenset | deque):
        return 1
    if id(value) not in known:
        inside = [part for pair in value.items() for part in pair] if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_parts(part, known) for part in inside)
    return known[id(value)]
