"""Progress of a command that takes long: a bar with an estimate, on a terminal alone."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

Advance = Callable[[int, int | None], None]

DELAY = 0.5  # seconds before there is a bar: what takes less needs none


@contextmanager
def show_progress(title: str) -> Iterator[Advance | None]:
    """Give a function that takes how much is done, and how much there is or None; None where nobody looks.

    The bar is on the output of errors, and gone when the block ends.
    """
    if not sys.stderr.isatty():
        yield None
        return
    begin = time.monotonic() + DELAY
    tell: Advance | None = None
    with ExitStack() as stack:

        def advance(done: int, total: int | None) -> None:
            nonlocal tell
            if tell is None and time.monotonic() >= begin:
                tell = stack.enter_context(_bar(title))
            if tell is not None:
                tell(done, total)

        yield advance


@contextmanager
def _bar(title: str) -> Iterator[Advance]:
    from rich.console import Console  # noqa: PLC0415 - takes as long to import as many commands take
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
