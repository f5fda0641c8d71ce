"""All campaigns, in the order in which they run."""

from __future__ import annotations

from tests.faults import cancel
from tests.faults.campaign import Campaign

CAMPAIGNS: tuple[Campaign, ...] = (cancel.CAMPAIGN,)
