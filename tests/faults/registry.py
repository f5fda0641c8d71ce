"""All campaigns, in the order in which they run."""

from __future__ import annotations

from tests.faults import (
    bounded,
    cancel,
    clocks,
    damage,
    detached,
    forked,
    formats,
    full_disk,
    hostile,
    io_errors,
    kill9,
    linearizable,
    model,
    mount_tables,
    openrace,
    power_cuts,
    results,
    threads,
    untrusted,
    untrusted_kinds,
    walreset,
)
from tests.faults.campaign import Campaign
from tests.faults.value_files import cancel as cancel_of_files
from tests.faults.value_files import changing, each_call, errors
from tests.faults.value_files import damage as damage_of_files
from tests.faults.value_files import kill9 as kill9_of_files
from tests.faults.value_files import power_cuts as power_cuts_of_files

CAMPAIGNS: tuple[Campaign, ...] = (
    kill9.CAMPAIGN,
    *power_cuts.CAMPAIGNS,
    *power_cuts_of_files.CAMPAIGNS,
    *each_call.CAMPAIGNS,
    kill9_of_files.CAMPAIGN,
    *errors.CAMPAIGNS,
    damage_of_files.CAMPAIGN,
    forked.CAMPAIGN_OF_FILES,
    cancel_of_files.CAMPAIGN,
    changing.CAMPAIGN,
    io_errors.CAMPAIGN,
    full_disk.CAMPAIGN,
    openrace.CAMPAIGN,
    forked.CAMPAIGN,
    detached.CAMPAIGN,
    walreset.CAMPAIGN,
    threads.CAMPAIGN,
    linearizable.CAMPAIGN,
    cancel.CAMPAIGN,
    results.CAMPAIGN,
    damage.CAMPAIGN,
    model.CAMPAIGN,
    *untrusted.CAMPAIGNS,
    untrusted_kinds.CAMPAIGN,
    hostile.CAMPAIGN,
    formats.CAMPAIGN,
    mount_tables.CAMPAIGN,
    clocks.CAMPAIGN,
    bounded.CAMPAIGN,
)
