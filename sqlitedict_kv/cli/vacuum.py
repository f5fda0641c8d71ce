"""Command ``vacuum``: free space given back to the system."""

from __future__ import annotations

import os
import sys

import click

from sqlitedict_kv.cli.opening import open_store
from sqlitedict_kv.cli.parameters import examples, store_argument
from sqlitedict_kv.cli.progress import show_progress
from sqlitedict_kv.display.figures import size


@click.command(epilog=examples("sqlitedict-kv vacuum app.db"))
@store_argument
def command(store: str) -> None:
    """Give the free space of a file back to the system. It writes, and other writers wait meanwhile."""
    with open_store(store, writes=True) as opened:
        before = opened.stats().bytes_on_disk
        with show_progress("vacuum") as advance:
            opened.vacuum(progress=advance)
    sys.stdout.write(f"{size(before)} before, {size(os.stat(store).st_size)} now\n")
