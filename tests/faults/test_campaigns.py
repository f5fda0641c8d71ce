"""Every campaign at the size of a test run, and each of its twins, which must be caught."""

from __future__ import annotations

import pytest

from tests.faults.campaign import FaultError, Round, UnavailableError
from tests.faults.registry import CAMPAIGNS

pytestmark = pytest.mark.slow

SEED = 20_261_124

TWINS = [(campaign, sabotage) for campaign in CAMPAIGNS for sabotage in campaign.twins]


def run(round_):
    try:
        round_.campaign.run(round_)
    except UnavailableError as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize("campaign", CAMPAIGNS, ids=lambda campaign: campaign.name)
def test_the_promise_holds(campaign, tmp_path):
    round_ = Round(campaign, campaign.ci, SEED, tmp_path)
    run(round_)
    assert round_.figures[campaign.unit] >= campaign.ci


@pytest.mark.parametrize(("campaign", "sabotage"), TWINS, ids=[f"{c.name}-{s}" for c, s in TWINS])
def test_a_store_that_is_broken_on_purpose_is_caught(campaign, sabotage, tmp_path):
    with pytest.raises(FaultError, match="replay: "):
        run(Round(campaign, campaign.twin or campaign.ci, SEED, tmp_path, sabotage))


def test_every_campaign_has_a_twin():
    assert [campaign.name for campaign in CAMPAIGNS if not campaign.twins] == []
