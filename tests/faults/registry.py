"""All campaigns, in the order in which they run."""

from __future__ import annotations

from tests.faults import detached, kill9, openrace
from tests.faults.campaign import Campaign

CAMPAIGNS: tuple[Campaign, ...] = (kill9.CAMPAIGN, openrace.CAMPAIGN, detached.CAMPAIGN)
