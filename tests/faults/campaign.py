"""A campaign: one kind of fault, tried a number of times from a seed, and twins that must be caught.

A campaign goes through the public API of the library, as its users do. Its twins are the same harness on a store
that is broken on purpose; if one of them passes, the campaign proves nothing and has failed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn


class FaultError(AssertionError):
    """Says that a promise was broken, and how to see it again."""


class UnavailableError(Exception):
    """Says why a campaign cannot run on this machine; it counts as skipped, never as passed."""


@dataclass(frozen=True)
class Campaign:
    """One kind of fault."""

    name: str  # as in `python -m tests.faults --only NAME`
    promise: str  # what the library promises, as a sentence for the report
    unit: str  # what is counted: "kills", "crash states", ...
    run: Callable[[Round], None]  # makes round.size tries; raises FaultError
    ci: int  # tries of the round that each test run makes
    nightly: int  # tries of the nightly command, in rounds of `ci` tries
    release: int
    twins: tuple[str, ...]  # what `round.sabotage` may be; each must raise FaultError within a round of `twin` tries
    twin: int = 0  # tries of a twin's round; 0: as many as `ci`
    peers: tuple[str, ...] = ()  # other libraries that the same harness can be run on, as `round.peer`


@dataclass
class Round:
    """One run of a campaign: how much, from which seed, in which directory, and what was counted."""

    campaign: Campaign
    size: int
    seed: int
    directory: Path  # empty, and removed afterwards
    sabotage: str | None = None
    peer: str | None = None  # None is our own store
    figures: Counter[str] = field(default_factory=Counter)

    def count(self, what: str, by: int = 1) -> None:
        """Add to a figure of the report; `round.campaign.unit` is counted like any other."""
        self.figures[what] += by

    def fail(self, what: str) -> NoReturn:
        """Raise FaultError with what is needed to see it again."""
        command = f"python -m tests.faults --only {self.campaign.name} --seed {self.seed} --tries {self.size}"
        if self.sabotage:
            command += f" --sabotage '{self.sabotage}'"
        if self.peer:
            command += f" --peer {self.peer}"
        raise FaultError(f"{what}\nreplay: {command}")
