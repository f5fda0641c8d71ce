"""Table of results: on a terminal drawn, into a pipe separated by tabs, for programs as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from sqlitedict_kv.cli.printable import printable


def plain(value: Any) -> str:
    """Return a value of a cell as text; None is an empty cell."""
    return "" if value is None else str(value)


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        name: of the member in JSON, and with spaces the title.
        show: returns the text of a value for people.
        right: whether it is aligned to the right, as numbers are.
    """

    name: str
    show: Callable[[Any], str] = plain
    right: bool = False

    @property
    def title(self) -> str:
        """What stands above the column."""
        return self.name.replace("_", " ")


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[Any]], *, as_json: bool) -> None:
    """Print rows of values, one for each column."""
    if as_json:
        names = [column.name for column in columns]
        print_json_list(dict(zip(names, row, strict=True)) for row in rows)
    elif sys.stdout.isatty():
        _draw(columns, [_cells(columns, row) for row in rows])
    else:
        sys.stdout.write("\t".join(column.title for column in columns) + "\n")
        for row in rows:
            sys.stdout.write("\t".join(_cells(columns, row)) + "\n")


def print_facts(columns: Sequence[Column], values: Sequence[Any], *, as_json: bool) -> None:
    """Print one row as a list of names and values."""
    if as_json:
        print_json({column.name: value for column, value in zip(columns, values, strict=True)})
        return
    width = max(len(column.title) for column in columns)
    for column, cell in zip(columns, _cells(columns, values), strict=True):
        sys.stdout.write(f"{column.title:<{width}}  {cell}\n")


def print_json(value: Any) -> None:
    """Print a value as JSON, in which characters that a terminal would obey are escaped."""
    sys.stdout.write(_json(value, indent=2) + "\n")


def print_json_list(values: Iterable[Any]) -> None:
    """Print a JSON list, an item a line, without holding all of them."""
    lead = "[\n"
    for value in values:
        sys.stdout.write(f"{lead}{_json(value)}")
        lead = ",\n"
    sys.stdout.write("\n]\n" if lead == ",\n" else "[]\n")


def _json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=True, indent=indent)


def _cells(columns: Sequence[Column], row: Sequence[Any]) -> list[str]:
    return [printable(column.show(value)) for column, value in zip(columns, row, strict=True)]


def _draw(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    from rich import box  # noqa: PLC0415 - takes as long to import as a small table to read
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        drawn.add_column(Text(column.title), justify="right" if column.right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*map(Text, row))
    Console(soft_wrap=False).print(drawn)
