"""Charts as shapes in SVG's coordinates: bars of sizes, lines and histograms of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

WIDTH, HEIGHT = 600, 120
BINS = 40


class Bar(NamedTuple):
    """A rectangle of a histogram."""

    x: float
    y: float
    width: float
    height: float


class Plot(NamedTuple):
    """A drawing of numbers: the points of a line, or bars; with the least and the greatest number."""

    points: str
    bars: tuple[Bar, ...]
    low: str
    high: str
    width: int = WIDTH
    height: int = HEIGHT


def draw_line(numbers: Sequence[float]) -> Plot | None:
    """Return a line through numbers that are all finite; None if there are fewer than two."""
    if len(numbers) < 2:  # noqa: PLR2004 - a line has two ends
        return None
    low, high = min(numbers), max(numbers)
    across = WIDTH / (len(numbers) - 1)
    points = [
        f"{index * across:.1f},{HEIGHT * (1 - _share(each, low, high)):.1f}" for index, each in enumerate(numbers)
    ]
    return Plot(" ".join(points), (), f"{low:g}", f"{high:g}")


def draw_histogram(numbers: Sequence[float]) -> Plot | None:
    """Return how often numbers lie where; None if there are fewer than two."""
    if len(numbers) < 2:  # noqa: PLR2004 - one bar would say nothing
        return None
    low, high = min(numbers), max(numbers)
    counts = [0] * BINS
    for each in numbers:
        counts[min(int(_share(each, low, high) * BINS), BINS - 1)] += 1
    wide, most = WIDTH / BINS, max(counts)
    bars = [
        Bar(index * wide, HEIGHT * (1 - count / most), wide - 1, HEIGHT * count / most)
        for index, count in enumerate(counts)
        if count
    ]
    return Plot("", tuple(bars), f"{low:g}", f"{high:g}")


def _share(each: float, low: float, high: float) -> float:
    """Return where a number lies between two others, 0 to 1; halves keep their difference finite."""
    spread = high / 2 - low / 2
    return min(1.0, max(0.0, (each / 2 - low / 2) / spread)) if spread > 0 else 0.5
