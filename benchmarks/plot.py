"""Bar charts of the recorded figures, as SVG that is readable on light and dark pages.

    python benchmarks/plot.py

reads the tables of docs/benchmarks.md, which the other programs printed, and draws docs/pictures/*.svg again.
"""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import NamedTuple

from line_plot import Lines, draw_lines

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "docs" / "benchmarks.md"
PICTURES = ROOT / "docs" / "pictures"

OURS = ("sqlitedict_kv", "AsyncStore", "LRU hit", "adapter")  # what the name of one of our bars begins with

LARGE = ("sqlitedict_kv", "np.save, np.load", "joblib", "diskcache", "safetensors")
SIZE = re.compile(r"\d+ (kB|MB)")
BYTES = {"kB": 1e3, "MB": 1e6}

WIDTH = 760
LABELS = 210  # the room for names, left of the bars
FIGURE = 150  # that for figures, right of the longest bar
BAR, STEP, GROUP = 15, 19, 14  # height of a bar, from bar to bar, between groups
TOP = 60

STYLE = """
  .card { fill: #ffffff; stroke: #d0d7de; } text { font: 13px system-ui, sans-serif; fill: #1f2328; }
  .title { font-size: 15px; font-weight: 600; } .small { fill: #59636e; font-size: 12px; }
  .ours { fill: #00796b; } .theirs { fill: #9aa4af; }
  @media (prefers-color-scheme: dark) {
    .card { fill: #161b22; stroke: #3d444d; } text { fill: #f0f6fc; } .small { fill: #9198a1; }
    .ours { fill: #2dd4bf; } .theirs { fill: #656c76; }
  }
"""


class Bar(NamedTuple):
    """One figure of one library."""

    name: str
    figure: float


class Chart(NamedTuple):
    """What a picture shows: bars in groups, the shortest the fastest unless it says so."""

    name: str
    title: str
    note: str
    groups: list[tuple[str, list[Bar]]]


def tables(page: str) -> dict[str, list[list[str]]]:
    """Return the rows of each table of a page, by the first cells of its head and the heading above it."""
    found: dict[str, list[list[str]]] = {}
    heading = ""
    for part in re.split(r"\n{2,}", page):
        if part.startswith("#"):
            heading = part.splitlines()[-1].lstrip("# ")
        elif part.startswith("|"):
            rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))] for line in part.splitlines()]
            found[f"{heading}: {rows[0][0]}"] = [rows[0], *rows[2:]]
    return found


def figure(cell: str) -> float | None:
    """Return the first number of a cell such as ``55.1 (2.08) [1]``, None if nothing was measured."""
    match = re.match(r"[\d,.]+", cell)
    return float(match[0].replace(",", "")) if match else None


def of_rows(rows: list[list[str]], names: dict[str, str], columns: list[str]) -> list[tuple[str, list[Bar]]]:
    """Return a group for each row that is named, with a bar for each column."""
    head, groups = rows[0], []
    by_name = {row[0]: row for row in rows[1:]}
    for name, shown in names.items():
        cells = [(column, figure(by_name[name][head.index(column)])) for column in columns]
        groups.append((shown, [Bar(column, value) for column, value in cells if value is not None]))
    return groups


def of_column(rows: list[list[str]], names: dict[str, dict[str, str]]) -> list[tuple[str, list[Bar]]]:
    """Return groups of bars whose figures are all in the second column."""
    by_name = {row[0]: figure(row[1]) or 0.0 for row in rows[1:]}
    return [(group, [Bar(shown, by_name[name]) for name, shown in bars.items()]) for group, bars in names.items()]


def charts(page: str) -> list[Chart | Lines]:
    """Return the charts of the recorded figures."""
    found = tables(page)
    compared = found["10,000 entries: "]
    peers = ["sqlitedict_kv", "raw sqlite3", "diskcache", "sqlitedict"]
    one = {"get": "get", "set, existing key": "set, existing key", "set, new key": "set, new key", "delete": "delete"}
    many = {"4 processes writing": "all write", "4 processes, 10 % writes": "10 % writes"}
    waits = {"longest ms": {name: name for name in (*peers, "py-lmdb")}}
    longest = [[row[0], row[5]] for row in found["Single writes while 4 processes write: "]]
    reads = {
        "a dict": {"LRU hit, a dict": "LRU hit", "no LRU, a dict": "from the file", "diskcache, a dict": "diskcache"},
        "bytes": {"LRU hit, bytes": "LRU hit", "diskcache, bytes": "diskcache"},
    }
    hits = found["memoize.py: us"]
    hits[0] = [name.replace(", lru_bytes='64 MB'", " with an LRU") for name in hits[0]]
    decorators = ["sqlitedict_kv", "sqlitedict_kv with an LRU", "diskcache", "joblib", "cachetools, in memory"]
    tasks = found["aio.py 15: us a call, median (times ours)"]
    calls = {name: name for name in ("1,000 sets at once", "1,000 gets at once", "a lone set", "a lone get")}
    faces = ["AsyncStore", "Store, asyncio.to_thread", "aiosqlite, autocommit", "diskcache, asyncio.to_thread"]
    less, more = "µs, less is better", "operations a second, more is better"
    return [
        Chart("one-entry", "One entry", f"{less}; 10,000 entries", of_rows(compared, one, peers)),
        Chart("processes", "4 processes", more, of_rows(compared, many, [*peers, "py-lmdb"])),
        Chart(
            "waits",
            "Longest wait of a write while 4 processes write",
            "ms, less is better",
            of_column(longest, {"": waits["longest ms"]}),
        ),
        Chart("lru", "A read, with and without the LRU", less, of_column(found["lru.py: read"], reads)),
        Chart(
            "memoize",
            "A hit of a memoized function",
            less,
            of_rows(hits, {"hit, two arguments by position": ""}, decorators),
        ),
        Chart("asyncio", "A call in asyncio", less, of_rows(tasks, calls, faces)),
        *large_values(found),
    ]


def large_values(found: dict[str, list[list[str]]]) -> list[Chart | Lines]:
    """Return the charts of large values: time over size."""
    made: list[Chart | Lines] = []
    for verb in ("set", "get", "mapped"):
        rows = found[f"large_values.py: {verb}, ms (CPU)"]
        sizes = [(cell, at) for at, cell in enumerate(rows[0]) if SIZE.fullmatch(cell)]
        places = [(cell, float(cell.split()[0]) * BYTES[cell.split()[1]]) for cell, _ in sizes]
        series = {row[0]: [figure(row[at]) for _, at in sizes] for row in rows[1:] if row[0] in LARGE}
        shown = {name: line for name, line in series.items() if any(line)}
        if LARGE[0] in shown:
            made.append(Lines(f"large-{verb}", f"{verb} of an array", "ms by size; both logarithmic", places, shown))
    return made


def drawn(chart: Chart | Lines) -> str:
    """Return a chart as SVG."""
    if isinstance(chart, Lines):
        return draw_lines(chart)
    longest = max(bar.figure for _, bars in chart.groups for bar in bars)
    lines, y = [], TOP
    for group, bars in chart.groups:
        if group:
            lines.append(f'<text x="16" y="{y + 12}">{escape(group)}</text>')
            y += STEP
        for bar in bars:
            length = max(2.0, bar.figure / longest * (WIDTH - LABELS - FIGURE))
            kind = "ours" if bar.name.startswith(OURS) and bar.name != "sqlitedict" else "theirs"
            shown = f"{bar.figure:,.0f}" if bar.figure >= 1000 else f"{bar.figure:g}"
            lines += [
                f'<text class="small" x="{LABELS - 8}" y="{y + 12}" text-anchor="end">{escape(bar.name)}</text>',
                f'<rect class="{kind}" x="{LABELS}" y="{y}" width="{length:.1f}" height="{BAR}" rx="2"/>',
                f'<text x="{LABELS + length + 6:.1f}" y="{y + 12}">{shown}</text>',
            ]
            y += STEP
        y += GROUP
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}">',
            f"<title>{escape(chart.title)}: {escape(chart.note)}</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="card" x=".5" y=".5" width="{WIDTH - 1}" height="{y - 1}" rx="8"/>',
            f'<text class="title" x="16" y="26">{escape(chart.title)}</text>',
            f'<text class="small" x="16" y="43">{escape(chart.note)}</text>',
            *lines,
            "</svg>\n",
        ]
    )


def main() -> None:
    """Draw all of them."""
    PICTURES.mkdir(exist_ok=True)
    for chart in charts(FIGURES.read_text(encoding="utf-8")):
        (PICTURES / f"{chart.name}.svg").write_text(drawn(chart), encoding="utf-8")
        print(f"docs/pictures/{chart.name}.svg")


if __name__ == "__main__":
    main()
