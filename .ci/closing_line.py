"""Sum of the closing lines of several runs of pytest, as pytest writes it: python closing_line.py LOG..."""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

CLOSING = re.compile(r"^=* ?(\d+ [a-z]+(?:, \d+ [a-z]+)*) in ([\d.]+)s\b")
COUNTED = ("failed", "passed", "skipped", "xfailed", "xpassed", "error", "errors")


def closing_line(logs: list[str]) -> str | None:
    """Return one closing line for all logs, None if no run came to its end."""
    counts: Counter[str] = Counter()
    seconds = 0.0
    for log in logs:
        found = [match for line in log.splitlines() if (match := CLOSING.match(line))]
        if found:
            for number, what in re.findall(r"(\d+) ([a-z]+)", found[-1][1]):
                counts[what] += int(number)
            seconds += float(found[-1][2])
    outcome = ", ".join(f"{counts[what]} {what}" for what in COUNTED if counts[what])
    minutes, rest = divmod(round(seconds), 60)
    return (
        f" {outcome} in {seconds:.2f}s ({minutes // 60}:{minutes % 60:02}:{rest:02}) ".center(80, "=")
        if outcome
        else None
    )


if __name__ == "__main__":
    paths = [Path(name) for name in sys.argv[1:] if Path(name).exists()]
    if line := closing_line([path.read_text(encoding="utf-8") for path in paths]):
        print(line)
