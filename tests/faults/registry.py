"""All campaigns, in the order in which they run."""

from __future__ import annotations

from tests.faults import (
    damage,
    detached,
    forked,
    full_disk,
    hostile,
    io_errors,
    kill9,
    linearizable,
    model,
    openrace,
    power_cuts,
    threads,
    untrusted,
    walreset,
)
from tests.faults.campaign import Campaign

CAMPAIGNS: tuple[Campaign, ...] = (
    kill9.CAMPAIGN,
    *power_cuts.CAMPAIGNS,
    io_errors.CAMPAIGN,
    full_disk.CAMPAIGN,
    openrace.CAMPAIGN,
    forked.CAMPAIGN,
    detached.CAMPAIGN,
    walreset.CAMPAIGN,
    threads.CAMPAIGN,
    linearizable.CAMPAIGN,
    damage.CAMPAIGN,
    model.CAMPAIGN,
    *untrusted.CAMPAIGNS,
    hostile.CAMPAIGN,
)
