"""All campaigns, in the order in which they run."""

from __future__ import annotations

from tests.faults import detached, forked, kill9, linearizable, openrace, threads, walreset
from tests.faults.campaign import Campaign

CAMPAIGNS: tuple[Campaign, ...] = (
    kill9.CAMPAIGN,
    openrace.CAMPAIGN,
    forked.CAMPAIGN,
    detached.CAMPAIGN,
    walreset.CAMPAIGN,
    threads.CAMPAIGN,
    linearizable.CAMPAIGN,
)
