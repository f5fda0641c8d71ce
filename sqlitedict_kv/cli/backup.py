"""Command ``backup``: a consistent copy of a file."""

from __future__ import annotations

import os
import sys

import click

from sqlitedict_kv.cli.opening import open_store
from sqlitedict_kv.cli.parameters import complete_store, examples, store_argument
from sqlitedict_kv.cli.progress import show_progress
from sqlitedict_kv.display.figures import size


@click.command(epilog=examples("sqlitedict-kv backup app.db backups/app-$(date +%F).db"))
@store_argument
@click.argument("target", metavar="FILE", shell_complete=complete_store)
def command(store: str, target: str) -> None:
    """Write a consistent copy of STORE to a new FILE, while others read and write.

    FILE must not exist. The copy is a store like any other; 'restore' brings it back.
    """
    with open_store(store) as opened, show_progress("backup") as advance:
        opened.backup(target, progress=advance)
    sys.stdout.write(f"{target}: {size(os.stat(target).st_size)}\n")
