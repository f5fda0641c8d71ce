"""All campaigns, in the order in which they run."""

from __future__ import annotations

from tests.faults import bounded, clocks, damage, formats, hostile, model, mount_tables, untrusted
from tests.faults.campaign import Campaign

CAMPAIGNS: tuple[Campaign, ...] = (
    damage.CAMPAIGN,
    model.CAMPAIGN,
    *untrusted.CAMPAIGNS,
    hostile.CAMPAIGN,
    formats.CAMPAIGN,
    mount_tables.CAMPAIGN,
    clocks.CAMPAIGN,
    bounded.CAMPAIGN,
)
