"""Command ``rm``: the removal of entries."""

from __future__ import annotations

import sys
from typing import Any

import click

from sqlitedict_kv.cli.exit_status import NOT_FOUND
from sqlitedict_kv.cli.keys import KEYS_PER_PAGE
from sqlitedict_kv.cli.opening import existing, open_store
from sqlitedict_kv.cli.parameters import (
    complete_key,
    demand_consent,
    examples,
    namespace_argument,
    store_argument,
    yes_option,
)
from sqlitedict_kv.cli.printable import printable
from sqlitedict_kv.display.figures import counted
from sqlitedict_kv.namespace import Namespace


@click.command(
    epilog=examples(
        "sqlitedict-kv rm app.db users ada bob",
        "sqlitedict-kv rm app.db users ada --version 7",
        "sqlitedict-kv rm app.db pages --prefix /old/ --yes",
    )
)
@store_argument
@namespace_argument
@click.argument("keys", metavar="[KEY]...", nargs=-1, shell_complete=complete_key)
@click.option("--prefix", help="All entries whose keys begin with this text.")
@click.option("--version", type=click.IntRange(1), help="Only if the entry is at this version.")
@yes_option("removing all entries with a prefix")
def command(
    store: str,
    namespace: str,
    keys: tuple[str, ...],
    prefix: str | None,
    version: int | None,
    sure: bool,  # noqa: FBT001 - click passes by name
) -> int:
    """Remove entries. It writes."""
    if bool(keys) == (prefix is not None):
        raise click.UsageError("give either keys or --prefix")
    if version is not None and len(keys) != 1:
        raise click.UsageError("--version is for one key")
    with open_store(store, writes=True) as opened:
        entries = existing(opened, namespace)
        if prefix is not None:
            question = f"Remove all entries of {namespace!r} whose keys begin with {printable(prefix)!r}?"
            demand_consent(question, sure=sure)
            sys.stdout.write(f"{counted(_remove_all(entries, prefix))} removed\n")
            return 0
        return _remove(entries, keys, version)


def _remove(entries: Namespace[str, Any], keys: tuple[str, ...], version: int | None) -> int:
    missing = [key for key in keys if not entries.delete(key, version=version)]
    for key in missing:
        sys.stderr.write(f"there is no entry {printable(key)!r}\n")
    sys.stdout.write(f"{counted(len(keys) - len(missing))} removed\n")
    return NOT_FOUND if missing else 0


def _remove_all(entries: Namespace[str, Any], prefix: str) -> int:
    removed = 0
    while keys := entries.list(prefix, limit=KEYS_PER_PAGE).keys:
        removed += entries.delete_many(keys)
    return removed
