"""The figures as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from crowds import Crowd
from measure import Samples
from peers import Peer

OURS = "sqlitedict_kv"
NONE = "-"
THOUSAND = 1000

Results = Mapping[str, Mapping[str, Samples]]  # by operation and peer


@dataclass(frozen=True)
class Row:
    """One row: an operation in a unit.

    Attributes:
        slug: the operation.
        title: what the row is called.
        unit: that of the figures.
        divisor: of the measured microseconds, to get the unit.
        verb: the peer's attribute, under which its notes are.
        is_rate: whether more is better.
    """

    slug: str
    title: str
    unit: str
    divisor: float = 1
    verb: str = ""
    is_rate: bool = False


@dataclass(frozen=True)
class Target:
    """A figure to reach."""

    title: str
    reached: float
    limit: float
    at_least: bool = False

    @property
    def is_met(self) -> bool:
        """Whether it is reached."""
        return self.reached >= self.limit if self.at_least else self.reached <= self.limit


def main_table(rows: Sequence[Row], kinds: Sequence[type[Peer]], results: Results) -> str:
    """Return the table of medians, with the ratio to ours in brackets, and its footnotes."""
    footnotes: list[str] = []
    lines = [_line(["", "unit", *(kind.name for kind in kinds)]), _line(["---", "---", *["---:"] * len(kinds)])]
    for row in rows:
        ours = results[row.slug].get(OURS)
        cells = [_cell(row, kind, results[row.slug].get(kind.name), ours, footnotes) for kind in kinds]
        lines.append(_line([row.title, row.unit, *cells]))
    return "\n".join([*lines, "", *footnotes])


def _cell(row: Row, kind: type[Peer], own: Samples | None, ours: Samples | None, footnotes: list[str]) -> str:
    if own is None or not own.values:
        return NONE
    figure = own.median()
    text = number(figure / row.divisor)
    if ours is not None and kind.name != OURS:
        ratio = ours.median() / figure if row.is_rate else figure / ours.median()
        text += f" ({number(ratio)})"
    note = kind.notes.get(row.verb)
    if note is None:
        return text
    footnote = f"{row.verb}: {note}"
    known = [line.partition(". ")[2] for line in footnotes]
    if footnote not in known:
        footnotes.append(f"{len(footnotes) + 1}. {footnote}")
        known.append(footnote)
    return f"{text} [{known.index(footnote) + 1}]"


def waits_table(crowds: Mapping[str, Crowd]) -> str:
    """Return how long single writes took while several processes wrote."""
    lines = [
        _line(["", "writes", "p50 ms", "p99 ms", "p99.9 ms", "longest ms", "failed"]),
        _line(["---", *["---:"] * 6]),
    ]
    for name, crowd in crowds.items():
        waits = sorted(crowd.waits)
        if not waits:
            continue
        figures = [waits[min(len(waits) - 1, int(len(waits) * share))] / 1e6 for share in (0.5, 0.99, 0.999, 1)]
        lines.append(_line([name, f"{len(waits):,}", *map(number, figures), str(crowd.failed)]))
    return "\n".join(lines)


def targets(results: Results, crowds: Mapping[str, Crowd]) -> list[Target]:
    """Return the targets for which everything was measured."""
    found: list[Target] = []

    def add(title: str, limit: float, reached: Callable[[], float], *, at_least: bool = False) -> None:
        try:
            found.append(Target(title, reached(), limit, at_least))
        except KeyError:  # not measured, or a peer is not there
            return

    def of(slug: str, name: str = OURS) -> float:
        return results[slug][name].median()

    def longest() -> float:
        return max(crowds[OURS].waits) / 1e6

    add("get: times raw sqlite3", 1.3, lambda: of("get") / of("get", "raw sqlite3"))
    add("get: times as fast as diskcache", 1.1, lambda: of("get", "diskcache") / of("get"), at_least=True)
    add("set, existing: times as fast as diskcache", 2.4, lambda: of("set", "diskcache") / of("set"), at_least=True)
    add("set, new: times as fast as diskcache", 2.4, lambda: of("set-new", "diskcache") / of("set-new"), at_least=True)
    add("set_many of 1,000 in a row: us an entry", 4.5, lambda: of("set-many-row") / THOUSAND)
    add("set_many of 1,000 all over the keys: us an entry", 4.5, lambda: of("set-many") / THOUSAND)
    add("processes writing: times diskcache", 3, lambda: of("writers") / of("writers", "diskcache"), at_least=True)
    add("get: times that among 10,000 entries", 1.5, lambda: of("get") / of("get-small"))
    add("import: ms", 60, lambda: of("import") / THOUSAND)
    add("re-open and first get: ms", 1, lambda: of("reopen") / THOUSAND)
    add("longest wait of a write among processes: ms", 50, longest)
    return found


def targets_table(found: Sequence[Target]) -> str:
    """Return what was to be reached and what was."""
    lines = [_line(["target", "wanted", "reached", "met"]), _line(["---", "---:", "---:", "---"])]
    for target in found:
        wanted = f"{'≥' if target.at_least else '≤'} {target.limit:g}"
        lines.append(_line([target.title, wanted, number(target.reached), "yes" if target.is_met else "**no**"]))
    return "\n".join(lines)


def number(figure: float) -> str:
    """Return a number with three digits that say something."""
    if figure >= THOUSAND:
        return f"{figure:,.0f}"
    return f"{figure:.3g}" if figure < 100 else f"{figure:.0f}"


def spread(values: Sequence[float]) -> float:
    """Return how far the middle half of the figures is apart, in parts of the median."""
    ordered = sorted(values)
    quarter = len(ordered) // 4
    return (ordered[-1 - quarter] - ordered[quarter]) / median(ordered)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
