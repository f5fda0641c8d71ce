"""Outcomes of flights whose results were not kept, for those who wait."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Final, NamedTuple


class Shared(NamedTuple):
    """The outcome of a flight whose result was not kept: of this value each passenger makes a copy."""

    value: Any

    @classmethod
    def twice(cls, value: Any) -> tuple[Any, Shared]:
        """Return a result that was not computed now, and the outcome for those who wait."""
        return value, cls(value)


class Alone:
    """The outcome of a flight whose result can neither be kept nor copied: each passenger computes its own."""


ALONE: Final = Alone()


def share(outcome: Any, passengers: int) -> Any:
    """Return the outcome for those who wait, made before the one who computed can change its result."""
    if not isinstance(outcome, Shared) or passengers < 2:  # noqa: PLR2004 - the one who computed, and another
        return outcome
    try:
        return Shared(deepcopy(outcome.value))
    except Exception:
        return ALONE
