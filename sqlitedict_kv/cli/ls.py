"""Command ``ls``: the namespaces of a store."""

from __future__ import annotations

import click

from sqlitedict_kv.cli.figures import number
from sqlitedict_kv.cli.opening import open_store
from sqlitedict_kv.cli.parameters import examples, json_option, store_argument
from sqlitedict_kv.cli.table import Column, print_table

COLUMNS = (Column("namespace"), Column("entries", number, right=True), Column("expired", number, right=True))


@click.command(epilog=examples("sqlitedict-kv ls app.db", "sqlitedict-kv ls valkey://localhost:6379 --json"))
@store_argument
@json_option
def command(store: str, as_json: bool) -> None:  # noqa: FBT001 - click passes by name
    """List the namespaces of STORE, with how many entries each has."""
    with open_store(store) as opened:
        rows = [(name, *opened.ns(name).stats()) for name in opened.namespaces()]
        print_table(COLUMNS, rows, as_json=as_json)
