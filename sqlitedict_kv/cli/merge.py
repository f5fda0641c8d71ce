"""Command ``merge``: what is newer in another store."""

from __future__ import annotations

import sys

import click

from sqlitedict_kv.cli.opening import open_store
from sqlitedict_kv.cli.parameters import complete_store, examples, store_argument
from sqlitedict_kv.cli.progress import show_progress
from sqlitedict_kv.display.figures import counted


@click.command(
    epilog=examples(
        "sqlitedict-kv merge app.db laptop.db",
        "sqlitedict-kv merge valkey://localhost:6379 app.db --namespace users",
    )
)
@store_argument
@click.argument("other", metavar="OTHER", shell_complete=complete_store)
@click.option("--namespace", "namespaces", multiple=True, help="Only this namespace; may be repeated.")
def command(store: str, other: str, namespaces: tuple[str, ...]) -> None:
    """Take over into STORE what was written later in OTHER than there. It writes; a missing file is made.

    Entries keep their types, their expiry and when they were written. What OTHER has not stays. If it is interrupted,
    run it again.
    """
    with open_store(other) as source, open_store(store, writes=True, creates=True) as target:
        with show_progress("merge") as advance:
            merged = target.merge(source, namespaces or None, progress=advance)
        sys.stdout.write(f"{counted(merged)} taken over from {other} into {store}\n")
