"""Line charts with both axes logarithmic, as SVG that is readable on light and dark pages."""

from __future__ import annotations

import math
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 210, 64, 44
APART = 16  # pixels between two names at the right
COLOURS = 6
OURS = "sqlitedict_kv"

STYLE = """
  .card { fill: #ffffff; stroke: #d0d7de; } text { font: 13px system-ui, sans-serif; fill: #1f2328; }
  .title { font-size: 15px; font-weight: 600; } .small { fill: #59636e; font-size: 12px; }
  .grid { stroke: #d0d7de; stroke-width: .6; } path { fill: none; stroke-width: 1.6; stroke-linejoin: round; }
  .ours { stroke-width: 3; }
  .c0 { stroke: #00796b; } .c1 { stroke: #1f6feb; } .c2 { stroke: #9a6700; }
  .c3 { stroke: #8250df; } .c4 { stroke: #cf222e; } .c5 { stroke: #6e7781; }
  @media (prefers-color-scheme: dark) {
    .card { fill: #161b22; stroke: #3d444d; } text { fill: #f0f6fc; } .small { fill: #9198a1; }
    .grid { stroke: #3d444d; }
    .c0 { stroke: #2dd4bf; } .c1 { stroke: #79c0ff; } .c2 { stroke: #e3b341; }
    .c3 { stroke: #d2a8ff; } .c4 { stroke: #ff7b72; } .c5 { stroke: #9198a1; }
  }
"""


class Lines(NamedTuple):
    """What a picture shows: figures of several libraries at several sizes."""

    name: str
    title: str
    note: str
    places: list[tuple[str, float]]  # how a size is called, and the size
    series: dict[str, list[float | None]]


def draw_lines(chart: Lines) -> str:
    """Return a chart as SVG."""
    figures = [figure for line in chart.series.values() for figure in line if figure is not None]
    low, high = math.floor(math.log10(min(figures))), math.ceil(math.log10(max(figures)))
    first, last = (math.log10(chart.places[at][1]) for at in (0, -1))

    def across(size: float) -> float:
        return LEFT + (math.log10(size) - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def down(figure: float) -> float:
        return HEIGHT - BOTTOM - (math.log10(figure) - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    lines = []
    for power in range(low, high + 1):
        y = down(10.0**power)
        lines += [
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>',
            f'<text class="small" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g} ms</text>',
        ]
    for shown, size in chart.places:
        x = across(size)
        lines += [
            f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>',
            f'<text class="small" x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{escape(shown)}</text>',
        ]
    ends = []
    for number, (name, series) in enumerate(chart.series.items()):
        points = [
            (across(size), down(figure))
            for (_, size), figure in zip(chart.places, series, strict=True)
            if figure is not None
        ]
        drawn = " ".join(f"{'L' if at else 'M'}{x:.1f} {y:.1f}" for at, (x, y) in enumerate(points))
        colour = f"c{number % COLOURS}"
        lines.append(f'<path class="{colour}{" ours" if name == OURS else ""}" d="{drawn}"/>')
        ends.append((points[-1][1], name, colour))
    return _page(chart, [*lines, *_names(ends)])


def _names(ends: list[tuple[float, str, str]]) -> list[str]:
    """Return the names at the ends of the lines, none over another."""
    lines, lowest = [], 0.0
    for end, name, colour in sorted(ends):
        y = max(end, lowest + APART)
        lowest = y
        x = WIDTH - RIGHT + 8
        lines += [
            f'<path class="{colour}" d="M{x - 6} {end:.1f} L{x + 8} {y:.1f} L{x + 18} {y:.1f}"/>',
            f'<text class="small" x="{x + 22}" y="{y + 4:.1f}">{escape(name)}</text>',
        ]
    return lines


def _page(chart: Lines, lines: list[str]) -> str:
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
            f"<title>{escape(chart.title)}: {escape(chart.note)}</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="card" x=".5" y=".5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="8"/>',
            f'<text class="title" x="16" y="26">{escape(chart.title)}</text>',
            f'<text class="small" x="16" y="43">{escape(chart.note)}</text>',
            *lines,
            "</svg>\n",
        ]
    )
