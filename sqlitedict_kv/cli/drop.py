"""Command ``drop``: the removal of a whole namespace."""

from __future__ import annotations

import sys

import click

from sqlitedict_kv.cli.opening import existing, open_store
from sqlitedict_kv.cli.parameters import demand_consent, examples, namespace_argument, store_argument, yes_option
from sqlitedict_kv.cli.progress import show_progress
from sqlitedict_kv.display.figures import counted


@click.command(epilog=examples("sqlitedict-kv drop app.db sessions", "sqlitedict-kv drop app.db sessions --yes"))
@store_argument
@namespace_argument
@yes_option("removing the namespace")
def command(store: str, namespace: str, sure: bool) -> None:  # noqa: FBT001 - click passes by name
    """Remove all entries of NAMESPACE, in steps that let others write meanwhile. It writes."""
    with open_store(store, writes=True) as opened:
        entries = existing(opened, namespace)
        if not sure:
            demand_consent(f"Remove {counted(len(entries))} of namespace {namespace!r}?", sure=sure)
        with show_progress("drop") as advance:
            removed = opened.drop(namespace, progress=advance)
    sys.stdout.write(f"{counted(removed)} removed\n")
