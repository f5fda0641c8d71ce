"""Progress of a command that takes long: a bar with an estimate, on a terminal alone."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from sqlitedict_kv.operations.progress import Report, bar_of_rich

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
    tell: Report | None = None
    with ExitStack() as stack:

        def advance(done: int, total: int | None) -> None:
            nonlocal tell
            if tell is None and time.monotonic() >= begin:
                from rich.console import Console  # noqa: PLC0415 - takes as long to import as many commands take

                tell = stack.enter_context(bar_of_rich(title, console=Console(stderr=True), transient=True))
            if tell is not None:
                tell(done, total)

        yield advance
