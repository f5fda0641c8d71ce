"""Pauses between attempts, which grow up to a limit."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple


class Backoff(NamedTuple):
    """How the pauses grow; iterating over it begins with the shortest one.

    Each pause is shortened at random by up to a half, so that several that wait do not all come back at once.

    Attributes:
        shortest: the first pause in seconds.
        longest: the limit in seconds.
        growth: the factor from one pause to the next.
    """

    shortest: float
    longest: float
    growth: float = 2.0

    def pauses(self) -> Iterator[float]:
        """Yield pauses in seconds, without end."""
        pause = self.shortest
        while True:
            yield pause * random.uniform(0.5, 1)  # noqa: S311 - not a secret
            pause = min(pause * self.growth, self.longest)
