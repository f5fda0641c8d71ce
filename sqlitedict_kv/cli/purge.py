"""Command ``purge``: the removal of expired entries."""

from __future__ import annotations

import sys

import click

from sqlitedict_kv.cli.opening import open_store
from sqlitedict_kv.cli.parameters import examples, optional_namespace, store_argument
from sqlitedict_kv.cli.progress import show_progress
from sqlitedict_kv.display.figures import counted


@click.command(epilog=examples("sqlitedict-kv purge app.db", "sqlitedict-kv purge app.db sessions --limit 10000"))
@store_argument
@optional_namespace
@click.option("--limit", type=click.IntRange(1), help="As many at most.")
def command(store: str, namespace: str | None, limit: int | None) -> None:
    """Remove entries that have expired, of all namespaces or of one. It writes.

    Programs that write to the store remove them too, a few at a time; nobody can read them in any case.
    """
    with open_store(store, writes=True) as opened, show_progress("purge") as advance:
        removed = (opened if namespace is None else opened.ns(namespace)).purge_expired(limit, progress=advance)
    sys.stdout.write(f"{counted(removed, 'expired entry', 'expired entries')} removed\n")
