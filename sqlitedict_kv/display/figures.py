"""Figures as people read them: numbers, sizes, moments and spans of time."""

from __future__ import annotations

from datetime import UTC, datetime

KIB = 1024
SIZES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
# Times that a datetime cannot hold, as a damaged or hostile file may have them; no time in milliseconds is either.
EARLIEST = datetime.min.replace(microsecond=1, tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)
BEYOND = {EARLIEST: "before the year 1", LATEST: "after the year 9999"}
SPANS = ((86_400 * 365, "y"), (86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
MOST_PARTS = 2


def number(count: int, *, at_least: bool = False) -> str:
    """Return a number with separators; *at_least* says that counting was not finished."""
    return f"{'≥ ' if at_least else ''}{count:,}"


def counted(count: int, one: str = "entry", more: str = "entries") -> str:
    """Return a number with its noun."""
    return f"{count:,} {one if count == 1 else more}"


def size(count: int, *, at_least: bool = False) -> str:
    """Return a number of bytes in the unit that fits."""
    shown = float(count)
    unit = 0
    while shown >= KIB and unit < len(SIZES) - 1:
        shown /= KIB
        unit += 1
    digits = 0 if unit == 0 or shown >= 100 else 1  # noqa: PLR2004 - three digits are enough
    return f"{'≥ ' if at_least else ''}{shown:,.{digits}f} {SIZES[unit]}"


def span(seconds: float) -> str:
    """Return a time span in its two largest units."""
    left = round(max(0.0, seconds))
    parts: list[str] = []
    for length, unit in SPANS:
        if left >= length and len(parts) < MOST_PARTS:
            parts.append(f"{left // length}{unit}")
            left %= length
        elif parts:
            break
    return " ".join(parts) or f"{max(0.0, seconds):.1f}s"


def from_now(moment: datetime | None, now: datetime | None = None) -> str:
    """Return when something is to happen, None is never."""
    if moment is None:
        return "never"
    if moment in BEYOND:
        return BEYOND[moment]
    left = (moment - (now or datetime.now(UTC))).total_seconds()
    return f"in {span(left)}" if left > 0 else "now"


def ago(moment: datetime | None, now: datetime | None = None) -> str:
    """Return how long ago something happened."""
    if moment is None:
        return ""
    if moment in BEYOND:
        return BEYOND[moment]
    return f"{span(((now or datetime.now(UTC)) - moment).total_seconds())} ago"


def date(moment: datetime) -> str:
    """Return a moment for people, to the second."""
    return BEYOND.get(moment) or f"{moment:%Y-%m-%d %H:%M:%S %Z}"


def iso(moment: datetime | None) -> str | None:
    """Return a moment for programs, in UTC to the millisecond; one that no calendar has in words."""
    if moment in BEYOND:
        return BEYOND[moment]
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
