"""The report of a run of the campaigns, for people (Markdown) and for programs (JSON)."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlitedict_kv
from sqlitedict_kv.engines.sqlite.files.filesystems import MOUNT_TABLE, _type_at
from tests.faults.campaign import Campaign


@dataclass
class Finding:
    """What one round found."""

    seed: int
    size: int
    sabotage: str | None
    seconds: float = 0.0
    fault: str | None = None  # with the command that shows it again
    unavailable: str | None = None
    crash: str | None = None  # of the harness


@dataclass
class Outcome:
    """What all rounds of a campaign found, and its twins."""

    campaign: Campaign
    peer: str | None = None
    target: int = 0
    seconds: float = 0.0
    reason: str | None = None  # why it was not run, or not to its end
    figures: Counter[str] = field(default_factory=Counter)
    rounds: list[Finding] = field(default_factory=list)
    twins: list[Finding] = field(default_factory=list)

    def add(self, finding: Finding, figures: Counter[str]) -> None:
        """Add a round."""
        self.rounds.append(finding)
        self.figures += figures
        if finding.unavailable:
            self.reason = finding.unavailable

    def reached(self) -> int:
        """Return how many tries there were."""
        return self.figures[self.campaign.unit]

    def is_broken(self) -> bool:
        """Return whether a promise was broken, or the harness was."""
        return any(finding.fault or finding.crash for finding in self.rounds)

    def missed(self) -> list[str | None]:
        """Return the twins that nobody caught, which proves that the campaign is blind."""
        return [twin.sabotage for twin in self.twins if not twin.fault and not twin.unavailable]

    def verdict(self) -> str:
        """Return the result in a word or two."""
        if self.is_broken():
            return "BROKEN"
        if not self.rounds:
            return "twins only"
        if self.reason:
            return "not run"
        return "kept" if not self.missed() else "kept, but a twin was NOT caught"


def versions() -> dict[str, Any]:
    """Return all that the figures depend on."""
    return {
        "library": sqlitedict_kv.__version__,
        "commit": _commit(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sqlite": sqlite3.sqlite_version,
        "system": platform.platform(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "file system": _file_system(tempfile.gettempdir()),
    }


def _commit() -> str | None:
    place = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", "-C", str(place), "describe", "--always", "--dirty", "--abbrev=40", "--exclude", "*"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _file_system(path: str) -> str | None:
    try:
        return _type_at(os.path.realpath(path), Path(MOUNT_TABLE).read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None


def write(directory: Path, outcomes: Sequence[Outcome], seconds: float, arguments: Sequence[str]) -> None:
    """Write report.md and report.json."""
    directory.mkdir(parents=True, exist_ok=True)
    command = " ".join(["python -m tests.faults", *arguments])
    content = {
        "command": command,
        "seconds": round(seconds, 1),
        "versions": versions(),
        "campaigns": [_as_data(outcome) for outcome in outcomes],
    }
    (directory / "report.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    (directory / "report.md").write_text(_as_markdown(content), encoding="utf-8")


def _as_data(outcome: Outcome) -> dict[str, Any]:
    campaign = outcome.campaign
    return {
        "name": campaign.name,
        "promise": campaign.promise,
        "store": outcome.peer or "sqlitedict_kv",
        "verdict": outcome.verdict(),
        "reason": outcome.reason,
        "unit": campaign.unit,
        "target": outcome.target,
        "reached": outcome.reached(),
        "figures": dict(outcome.figures),
        "seconds": round(outcome.seconds, 1),
        "seeds": [finding.seed for finding in outcome.rounds],
        "tries of a round": campaign.ci,
        "faults": [finding.fault or finding.crash for finding in outcome.rounds if finding.fault or finding.crash],
        "twins": [
            {
                "broken by": twin.sabotage,
                "caught": bool(twin.fault),
                "not run": twin.unavailable,
                "seconds": round(twin.seconds, 1),
                "seed": twin.seed,
                "what was seen": twin.fault or twin.crash,
            }
            for twin in outcome.twins
        ],
    }


def _as_markdown(content: dict[str, Any]) -> str:
    lines = ["# Fault campaigns", "", f"`{content['command']}`, {content['seconds']:,.0f} s", ""]
    lines += ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in content["versions"].items()), ""]
    lines += ["| campaign | store | tried | verdict | twins | seconds |", "|---|---|---|---|---|---|"]
    for each in content["campaigns"]:
        caught = sum(twin["caught"] for twin in each["twins"])
        asked = sum(not twin["not run"] for twin in each["twins"])
        tried = f"{each['reached']:,} of {each['target']:,} {each['unit']}"
        cells = [each["name"], each["store"], tried, each["verdict"], f"{caught} of {asked} caught"]
        lines.append(f"| {' | '.join(cells)} | {each['seconds']:,.0f} |")
    for each in content["campaigns"]:
        lines += ["", f"## {each['name']}", "", f"{each['promise']}.", ""]
        if each["reason"]:
            lines.append(f"- not run: {each['reason']}")
        lines += [f"- {what}: {number:,}" for what, number in each["figures"].items()]
        if each["seeds"]:
            first, last = each["seeds"][0], each["seeds"][-1]
            lines.append(f"- seeds: {first}" + (f" to {last}" if last != first else ""))
        for twin in each["twins"]:
            verdict = "caught" if twin["caught"] else f"not run: {twin['not run']}" if twin["not run"] else "NOT caught"
            lines.append(f"- twin, {twin['broken by']}: {verdict} in {twin['seconds']} s")
        for fault in each["faults"]:
            lines += ["", "```", fault.rstrip(), "```"]
    return "\n".join(lines) + "\n"
