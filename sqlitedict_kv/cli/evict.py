"""Command ``evict``: a store brought down to limits."""

from __future__ import annotations

import sys

import click

from sqlitedict_kv.cli.opening import open_store
from sqlitedict_kv.cli.parameters import demand_consent, examples, store_argument, yes_option
from sqlitedict_kv.display.figures import counted
from sqlitedict_kv.tools.evict import evict


@click.command(
    epilog=examples(
        "sqlitedict-kv evict cache.db --max-entries 100000",
        "sqlitedict-kv evict cache.db --max-bytes '1 GB' --yes && sqlitedict-kv vacuum cache.db",
    )
)
@store_argument
@click.option("--max-entries", type=click.IntRange(1), help="How many entries may stay.")
@click.option("--max-bytes", metavar="SIZE", help="How much of the file may be in use, such as '500 MB'.")
@yes_option("removing entries")
def command(store: str, max_entries: int | None, max_bytes: str | None, sure: bool) -> None:  # noqa: FBT001
    """Remove entries until STORE is within limits: of those created longest ago the ones written longest ago.

    It writes. The file gets smaller with 'vacuum' alone; its space is used again. Programs that open a store with
    max_entries or max_bytes evict by themselves, as they write.
    """
    if max_entries is None and max_bytes is None:
        raise click.UsageError("give --max-entries or --max-bytes")
    with open_store(store, writes=True) as opened:
        demand_consent(f"Remove the oldest entries of {store}?", sure=sure)
        evicted = evict(opened, max_entries=max_entries, max_bytes=max_bytes)
    sys.stdout.write(f"{counted(evicted)} removed\n")
