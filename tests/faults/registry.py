"""All campaigns, in the order in which they run."""

from __future__ import annotations

from tests.faults import full_disk, io_errors, power_cuts
from tests.faults.campaign import Campaign

CAMPAIGNS: tuple[Campaign, ...] = (
    *power_cuts.CAMPAIGNS,
    io_errors.CAMPAIGN,
    full_disk.CAMPAIGN,
)
