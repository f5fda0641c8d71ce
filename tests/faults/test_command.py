"""The command of the campaigns, with campaigns that take no time."""

from __future__ import annotations

import json
import sqlite3

import pytest

from tests.faults import command, threads
from tests.faults.campaign import Campaign, UnavailableError


def campaign(name="small", twins=("broken",), peers=(), fault_at=None, unavailable=None, blind=False, crash=False):
    """A campaign that counts its tries, and finds a fault in the round of one seed and in its twins."""

    def run(round_):
        assert list(round_.directory.iterdir()) == []
        (round_.directory / "file").touch()
        if unavailable:
            raise UnavailableError(unavailable)
        if crash:
            raise ZeroDivisionError("the harness")
        round_.count("tries", round_.size)
        round_.count("bytes", 7)
        if (round_.sabotage and not blind) or round_.seed == fault_at:
            round_.fail("something was lost")

    return Campaign(name, f"{name} is kept", "tries", run, ci=10, nightly=35, release=10**9, twins=twins, peers=peers)


@pytest.fixture
def go(tmp_path, capsys):
    """Run the command; return its exit code, its output and its report."""

    def run(*arguments, campaigns=None):
        code = command.main([*arguments, "--report", str(tmp_path / "report")], campaigns or (campaign(),))
        report = json.loads((tmp_path / "report" / "report.json").read_text())
        text = (tmp_path / "report" / "report.md").read_text()
        return code, capsys.readouterr().out, report, text

    return run


def test_a_size_is_reached_in_rounds_with_seeds_of_their_own(go):
    code, out, report, text = go("--size", "nightly", "--seed", "100")
    assert code == 0
    (found,) = report["campaigns"]
    assert found["figures"] == {"tries": 35, "bytes": 28}
    assert found["seeds"] == [100, 101, 102, 103]
    assert (found["target"], found["reached"], found["verdict"]) == (35, 35, "kept")
    assert [(twin["broken by"], twin["caught"]) for twin in found["twins"]] == [("broken", True)]
    assert "small: 20 of 35 tries" in out
    assert "| small | sqlitedict_kv | 35 of 35 tries | kept | 1 of 1 caught |" in text
    assert "seeds: 100 to 103" in text


def test_the_report_says_on_what_it_was_measured(go):
    _, _, report, text = go("--seed", "1")
    assert report["versions"]["sqlite"] == sqlite3.sqlite_version
    assert set(report["versions"]) >= {"library", "commit", "python", "system", "file system", "processors"}
    assert "--seed 1" in report["command"]
    assert sqlite3.sqlite_version in text


def test_the_budget_ends_a_campaign_that_would_take_longer(go):
    code, _, report, _ = go("--budget", "0.2s", campaigns=(campaign("a"), campaign("b")))
    assert code == 0
    assert [found["target"] for found in report["campaigns"]] == [10**9] * 2
    assert all(10 <= found["reached"] < 10**9 for found in report["campaigns"])


def test_a_fault_shows_how_to_see_it_again_and_the_others_run_on(go):
    pair = (campaign("bad", fault_at=12), campaign("good"))
    code, out, report, text = go("--size", "nightly", "--seed", "10", campaigns=pair)
    assert code == 1
    assert "bad: BROKEN with seed 12" in out
    replay = "python -m tests.faults --only bad --seed 12 --tries 10"
    assert replay in out
    assert replay in text
    bad, good = report["campaigns"]
    assert (bad["verdict"], good["verdict"]) == ("BROKEN", "kept")
    assert good["reached"] == 35

    code, out, _, _ = go(*replay.split()[3:], campaigns=pair)  # as it was printed
    assert code == 1
    assert "something was lost" in out
    assert go("--only", "bad", "--seed", "11", "--tries", "10", campaigns=pair)[0] == 0


def test_a_campaign_whose_twin_passes_is_a_failure(go):
    code, out, report, text = go(campaigns=(campaign(blind=True),))
    assert code == 1
    assert "twin 'broken': NOT caught" in out
    assert "NOT caught" in report["campaigns"][0]["verdict"]
    assert "twin, broken: NOT caught" in text
    assert go("--no-twins", campaigns=(campaign(blind=True),))[0] == 0


def test_a_harness_that_breaks_has_neither_kept_nor_caught_anything(go):
    code, out, report, _ = go(campaigns=(campaign(crash=True),))
    assert code == 1
    assert "ZeroDivisionError" in out
    assert report["campaigns"][0]["verdict"] == "BROKEN"
    assert not report["campaigns"][0]["twins"][0]["caught"]


def test_what_cannot_run_here_is_shown_as_not_run(go):
    code, out, report, text = go(campaigns=(campaign(unavailable="needs a moon"), campaign("other")))
    assert code == 0
    assert "small: not run: needs a moon" in out
    assert (report["campaigns"][0]["verdict"], report["campaigns"][0]["reached"]) == ("not run", 0)
    assert "- not run: needs a moon" in text


def test_one_twin_can_be_run_alone_and_shows_what_it_lost(go):
    code, out, report, _ = go("--only", "small", "--sabotage", "broken", "--seed", "3", "--tries", "5")
    assert code == 0
    assert "something was lost" in out
    assert "--seed 3 --tries 5 --sabotage 'broken'" in out
    assert report["campaigns"][0]["verdict"] == "twins only"
    assert go("--only", "small", "--sabotage", "broken", campaigns=(campaign(blind=True),))[0] == 1


def test_a_peer_runs_only_where_it_can_and_without_twins(go):
    code, _, report, _ = go("--peer", "diskcache", campaigns=(campaign("a", peers=("diskcache",)), campaign("b")))
    assert code == 0
    assert [(found["name"], found["store"]) for found in report["campaigns"]] == [("a", "diskcache")]
    assert report["campaigns"][0]["twins"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "smal"], "no campaign is called smal; there are small"),
        (["--only", "small", "--sabotage", "brokn"], "takes a twin"),
        (["--peer", "diskcache"], "can only run"),
        (["--budget", "2 weeks"], "no duration"),
        (["--tries", "0"], "at least 1"),
        (["--size", "huge"], "invalid choice"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, said, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        command.main([*arguments, "--report", str(tmp_path / "report")], (campaign(),))
    assert caught.value.code == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "report").exists()


def test_durations_are_understood():
    assert [command._duration(text) for text in ("90", "90s", "1.5m", "2h")] == [90, 90, 90, 7200]


def test_a_real_campaign_goes_through_the_command(go):
    code, out, report, _ = go("--only", "threads", "--tries", "500", campaigns=(threads.CAMPAIGN,))
    assert code == 0, out
    assert report["campaigns"][0]["reached"] >= 500
