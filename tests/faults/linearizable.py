"""Histories of threads and processes that read through the LRU, which one plain dict must be able to explain."""

from __future__ import annotations

import random

from tests.faults.campaign import Campaign, Round
from tests.support.linearizability import Plan, first_fault, record


def run(round_: Round) -> None:
    """Record a history of the round's size and look for an order that explains it."""
    dice = random.Random(round_.seed)
    processes, threads = dice.choice([(2, 2), (3, 2), (2, 3), (4, 1), (2, 4)])
    each = processes * threads
    plan = Plan(
        path=str(round_.directory / "store.db"),
        operations=-(-round_.size // each) * each,
        processes=processes,
        threads=threads,
        keys=dice.randint(3, 12),
        seed=round_.seed,
        reads=dice.choice([0.5, 0.8, 0.9]),
        sabotage="stale" if round_.sabotage == "stale LRU" else None,
    )
    try:
        history, hits = record(plan)
    except AssertionError as error:
        round_.fail(str(error))
    fault = first_fault(history)
    if fault:
        round_.fail(f"{plan}: no order explains what was seen of {fault[0]!r}")
    round_.count("operations", len(history))
    round_.count("reads served by the LRU", hits)
    round_.count("histories")


CAMPAIGN = Campaign(
    name="linearizability",
    promise="What threads and processes see, LRU included, is what one plain dict could have shown them",
    unit="operations",
    run=run,
    ci=20_000,
    nightly=1_000_000,
    release=10_000_000,
    twins=("stale LRU",),
)
