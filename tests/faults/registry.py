"""All campaigns, in the order in which they run."""

from __future__ import annotations

from tests.faults import damage, full_disk, hostile, io_errors, model, power_cuts, untrusted
from tests.faults.campaign import Campaign

CAMPAIGNS: tuple[Campaign, ...] = (
    *power_cuts.CAMPAIGNS,
    io_errors.CAMPAIGN,
    full_disk.CAMPAIGN,
    damage.CAMPAIGN,
    model.CAMPAIGN,
    *untrusted.CAMPAIGNS,
    hostile.CAMPAIGN,
)
