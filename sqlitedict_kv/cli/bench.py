"""Command ``bench``: the speed of the user's own disk, or servers."""

from __future__ import annotations

import os
from typing import Any

import click

from sqlitedict_kv.cli.opening import is_file
from sqlitedict_kv.cli.parameters import complete_store, examples, json_option
from sqlitedict_kv.cli.table import Column, print_table
from sqlitedict_kv.tools.disk_benchmark import Timing, measure

MICRO = 1e6


def _microseconds(seconds: Any) -> str:
    return f"{seconds * MICRO:,.1f} us"


COLUMNS = (
    Column("operation"),
    Column("median", _microseconds, right=True),
    Column("99_%", _microseconds, right=True),
    Column("per_second", lambda rate: f"{rate:,.0f}", right=True),
)
JSON_COLUMNS = tuple(map(Column, Timing._fields))


@click.command(epilog=examples("sqlitedict-kv bench app.db", "sqlitedict-kv bench /mnt/data --seconds 30 --json"))
@click.argument("store", metavar="STORE", shell_complete=complete_store)
@click.option("--seconds", type=click.FloatRange(0.1, 3600), default=10.0, show_default=True, help="How long, about.")
@json_option
def command(store: str, seconds: float, as_json: bool) -> None:  # noqa: FBT001 - click passes by name
    """Measure how fast stores are where STORE is: on the disk of that file or directory, or on these servers.

    It makes a store of its own in the same directory, or a namespace of its own on the servers, with 10,000 entries
    of 1 kB, and removes it. STORE itself is not read.
    """
    if is_file(store) and not os.path.isdir(os.path.dirname(os.path.abspath(store))):
        raise FileNotFoundError(f"there is no directory for {store}")
    timings = list(measure(store, seconds))
    if as_json:
        print_table(JSON_COLUMNS, timings, as_json=True)
        return
    rows = [(each.operation, each.median, each.slowest, each.per_second) for each in timings]
    print_table(COLUMNS, rows, as_json=False)
