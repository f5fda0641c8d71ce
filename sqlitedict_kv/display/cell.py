"""The cell of a notebook that is running."""

from __future__ import annotations

import sys


def running_cell() -> int | None:
    """Return the number of the cell that IPython runs; None outside of it."""
    shell = sys.modules.get("IPython")
    get_ipython = getattr(shell, "get_ipython", None)
    running = None if get_ipython is None else get_ipython()
    number = getattr(running, "execution_count", None)
    return number if type(number) is int else None


def advice(cell: int | None) -> str:
    """Return what to do about a store that works no more and was opened in a cell, as the end of a sentence."""
    return "" if cell is None else f"; run cell [{cell}] again, which opened it"
