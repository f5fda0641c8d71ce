"""Rows of a table in the order of their rowids, read past damaged pages."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any, NamedTuple

ROWS_AT_ONCE = 200
FIRST, LAST = -(2**63), 2**63 - 1  # of all rowids
STEPS: tuple[int, ...] = tuple(2**exponent for exponent in range(64))


class Gap(NamedTuple):
    """Rows that cannot be read because their pages are damaged.

    Attributes:
        first: the lowest rowid that they can have.
        last: the highest one; LAST if nothing behind them can be read.
    """

    first: int
    last: int

    def __str__(self) -> str:
        """Return the rowids for a report."""
        start = "the first row" if self.first == FIRST else f"row {self.first}"
        return f"from {start} {'on' if self.last == LAST else f'to {self.last}'}"


class TableRows:
    """Reads a table by a query that begins at a rowid; the rowid is the first column."""

    def __init__(self, connection: sqlite3.Connection, query: str) -> None:
        """Read by *query*, which takes the lowest rowid and the number of rows, in the order of the rowids."""
        self._connection = connection
        self._query = query

    def __iter__(self) -> Iterator[tuple[Any, ...] | Gap]:
        """Yield the rows, and a gap in place of those that cannot be read."""
        start, at_once = FIRST, ROWS_AT_ONCE
        while True:
            found = self._read(start, at_once)
            if found is None:
                if at_once > 1:  # up to the damaged page one by one
                    at_once = 1
                    continue
                gap = Gap(start, self._next_readable(start) - 1)
                yield gap
                if gap.last == LAST:
                    return
                start, at_once = gap.last + 1, ROWS_AT_ONCE
                continue
            yield from found
            if len(found) < at_once or found[-1][0] == LAST:
                return
            start = found[-1][0] + 1

    def _read(self, start: int, at_once: int) -> list[tuple[Any, ...]] | None:
        """Return the rows from *start* on; None if they cannot be read, or are out of order."""
        try:
            found = self._connection.execute(self._query, (start, at_once)).fetchall()
        except sqlite3.DatabaseError:
            return None
        return None if found and found[0][0] < start else found

    def _is_readable(self, start: int) -> bool:
        return self._read(start, 1) is not None

    def _next_readable(self, start: int) -> int:
        """Return the lowest rowid above *start* from which a row can be read again; LAST + 1 if there is none."""
        base = max(start, 0)  # ordinary rowids begin at 1
        step = next((step for step in STEPS if self._is_readable(min(base + step, LAST))), None)
        if step is None:
            return LAST + 1
        low, high = base + step // 2, min(base + step, LAST)
        while high - low > 1:  # low cannot be read, high can
            middle = (low + high) // 2
            low, high = (low, middle) if self._is_readable(middle) else (middle, high)
        return high
