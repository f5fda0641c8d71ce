"""Progress of a statement whose length nobody knows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlitedict_kv.engines.protocol import Advance

INSTRUCTIONS = 100_000  # of SQLite's machine between two reports, some milliseconds


@contextmanager
def counting_steps(cursor: sqlite3.Cursor, advance: Advance | None) -> Iterator[None]:
    """Report again and again while the block's statements run, with a number that grows."""
    if advance is None:
        yield
        return
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        advance(steps)
        return 0  # go on

    cursor.connection.set_progress_handler(step, INSTRUCTIONS)
    try:
        yield
    finally:
        cursor.connection.set_progress_handler(None, 0)
