"""The command line of the campaigns: which to run, for how long, and what is said meanwhile."""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.campaign import Campaign, FaultError, Round, UnavailableError
from tests.faults.registry import CAMPAIGNS
from tests.faults.report import Finding, Outcome, write

UNITS = {"s": 1, "m": 60, "h": 3600, "": 1}
DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smh]?)")


@dataclass
class Options:
    """What is asked for."""

    campaigns: list[Campaign]
    budget: float | None  # seconds, None is without end
    size: str  # ci, nightly or release
    seed: int
    tries: int | None  # of one round, instead of a size
    sabotage: str | None
    peer: str | None
    twins: bool
    report: Path


def main(arguments: list[str] | None = None, campaigns: Sequence[Campaign] = CAMPAIGNS) -> int:
    """Run what is asked for, and write a report; return the exit code, 0 if every promise was kept."""
    options = _options(arguments, campaigns)
    started = time.monotonic()
    outcomes = []
    for index, campaign in enumerate(options.campaigns):
        share = None
        if options.budget is not None:
            left = options.budget - (time.monotonic() - started)
            share = max(0.0, left) / (len(options.campaigns) - index)
        outcomes.append(_outcome(campaign, options, share))
    write(options.report, outcomes, time.monotonic() - started, arguments or sys.argv[1:])
    say(f"report: {options.report / 'report.md'} and {options.report / 'report.json'}")
    broken = [outcome.campaign.name for outcome in outcomes if outcome.is_broken()]
    missed = [outcome.campaign.name for outcome in outcomes if outcome.missed()]
    say(f"broken: {', '.join(broken) or 'none'}; twins that nobody caught: {', '.join(missed) or 'none'}")
    return 1 if broken or missed else 0


def _outcome(campaign: Campaign, options: Options, share: float | None) -> Outcome:
    """Run the rounds of one campaign, and its twins."""
    outcome = Outcome(campaign, options.peer)
    started = time.monotonic()
    if options.sabotage is None:
        outcome.target = options.tries or getattr(campaign, options.size)
        for size, seed in _rounds(options, outcome, started, share):
            finding = _round(Round(campaign, size, seed, Path(), None, options.peer), outcome)
            outcome.seconds = time.monotonic() - started
            _tell(outcome, finding)
            if outcome.reason or outcome.is_broken():
                break
    if options.peer is None and not outcome.reason:
        for sabotage in [options.sabotage] if options.sabotage else campaign.twins if options.twins else ():
            round_ = Round(campaign, options.tries or campaign.twin or campaign.ci, options.seed, Path(), sabotage)
            finding = _round(round_, None)
            outcome.twins.append(finding)
            verdict = f"not run: {finding.unavailable}" if finding.unavailable else f"NOT caught {finding.crash or ''}"
            say(f"  {campaign.name}, twin {sabotage!r}: {'caught' if finding.fault else verdict}")
            if options.sabotage and finding.fault:
                say(finding.fault)
    return outcome


def _rounds(options: Options, outcome: Outcome, started: float, share: float | None) -> Iterator[tuple[int, int]]:
    """Yield size and seed of each round; the first one in any case, however small the budget."""
    seed = options.seed
    if options.tries:
        yield options.tries, seed
        return
    while outcome.reached() < outcome.target and outcome.reason is None:
        left = outcome.target - outcome.reached()
        yield min(outcome.campaign.ci, left), seed
        seed += 1
        if share is not None and time.monotonic() - started >= share:
            return


def _round(round_: Round, outcome: Outcome | None) -> Finding:
    """Run one round in a directory of its own, and add its figures to those of the campaign."""
    finding = Finding(round_.seed, round_.size, round_.sabotage)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as directory:
        round_.directory = Path(directory)
        try:
            round_.campaign.run(round_)
        except UnavailableError as reason:
            finding.unavailable = str(reason)
        except FaultError as fault:
            finding.fault = str(fault)
        except Exception:  # of the harness itself: neither kept nor caught
            finding.crash = traceback.format_exc()
        else:
            if not round_.figures[round_.campaign.unit] and not round_.sabotage:
                finding.crash = f"the campaign counted no {round_.campaign.unit}"
    finding.seconds = time.monotonic() - started
    if outcome is not None:
        outcome.add(finding, round_.figures)
    return finding


def _tell(outcome: Outcome, finding: Finding) -> None:
    campaign = outcome.campaign
    name = f"{campaign.name} on {outcome.peer}" if outcome.peer else campaign.name
    if finding.unavailable:
        say(f"{name}: not run: {finding.unavailable}")
    elif finding.crash:
        say(f"{name}: BROKEN, and not by what it looks for: {finding.crash}")
    elif finding.fault:
        say(f"{name}: BROKEN with seed {finding.seed}: {finding.fault}")
    else:
        done = f"{outcome.reached():,} of {outcome.target:,} {campaign.unit}"
        say(f"{name}: {done}, {outcome.seconds:,.0f} s, seed {finding.seed}")


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _options(arguments: list[str] | None, campaigns: Sequence[Campaign]) -> Options:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description="Try to break what the library promises, and report what was tried.",
        epilog="The campaigns: " + ", ".join(campaign.name for campaign in campaigns),
    )
    parser.add_argument("--budget", type=_duration, help="how long in all: 90s, 30m, 2h")
    parser.add_argument("--size", choices=("ci", "nightly", "release"), help="how much (ci; with --budget, release)")
    parser.add_argument("--only", help="names of campaigns, with commas between them")
    parser.add_argument("--seed", type=int, help="of the first round; the next ones follow (the time)")
    parser.add_argument("--tries", type=int, help="one round of this many tries: with --seed, a replay")
    parser.add_argument("--sabotage", metavar="TWIN", help="run just this twin of the one campaign of --only")
    parser.add_argument("--peer", help="run another library instead of ours, where a campaign can: diskcache")
    parser.add_argument("--no-twins", action="store_true", help="leave the broken stores out")
    parser.add_argument("--report", type=Path, default=Path("fault-report"), help="the directory of the report")
    given = parser.parse_args(arguments)
    by_name = {campaign.name: campaign for campaign in campaigns}
    names = given.only.split(",") if given.only else list(by_name)
    unknown = [name for name in names if name not in by_name]
    if unknown:
        parser.error(f"no campaign is called {', '.join(unknown)}; there are {', '.join(by_name)}")
    chosen = [by_name[name] for name in names]
    if given.peer:
        able = [campaign for campaign in chosen if given.peer in campaign.peers]
        if not able or (given.only and len(able) < len(chosen)):
            parser.error(f"{given.peer} can only run {', '.join(c.name for c in campaigns if given.peer in c.peers)}")
        chosen = able
    if given.sabotage and (len(chosen) != 1 or given.sabotage not in chosen[0].twins):
        parser.error("--sabotage takes a twin of the one campaign that --only names")
    if given.sabotage and given.peer:
        parser.error("--sabotage breaks our store, and --peer runs another one")
    if given.tries is not None and given.tries < 1:
        parser.error("--tries must be at least 1")
    return Options(
        campaigns=chosen,
        budget=given.budget,
        size=given.size or ("release" if given.budget is not None else "ci"),
        seed=int(time.time()) if given.seed is None else given.seed,
        tries=given.tries,
        sabotage=given.sabotage,
        peer=given.peer,
        # A replay is of one round, and has no need of them.
        twins=not given.no_twins and not given.tries,
        report=given.report,
    )


def _duration(text: str) -> float:
    found = DURATION.fullmatch(text.strip())
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration such as 90s, 30m or 2h")
    return float(found[1]) * UNITS[found[2]]
