"""Command ``stats``: the figures of a store."""

from __future__ import annotations

import click

from sqlitedict_kv.cli.opening import existing, open_store
from sqlitedict_kv.cli.parameters import examples, json_option, optional_namespace, store_argument
from sqlitedict_kv.cli.table import Column, print_facts
from sqlitedict_kv.display.figures import number, size

COLUMNS = (
    Column("store"),
    Column("engine"),
    Column("namespaces", number),
    Column("entries", number),
    Column("expired", number),
    Column("bytes_on_disk", size),
    Column("free_bytes", size),
)
OF_NAMESPACE = (Column("namespace"), Column("entries", number), Column("expired", number))


@click.command(epilog=examples("sqlitedict-kv stats app.db", "sqlitedict-kv stats app.db users --json"))
@store_argument
@optional_namespace
@json_option
def command(store: str, namespace: str | None, as_json: bool) -> None:  # noqa: FBT001 - click passes by name
    """Print the figures of STORE, or of one NAMESPACE: how many entries, how many of them expired, and their space."""
    with open_store(store) as opened:
        if namespace is not None:
            print_facts(OF_NAMESPACE, (namespace, *existing(opened, namespace).stats()), as_json=as_json)
            return
        figures = opened.stats()
        label = opened._engine.label  # noqa: SLF001 - without a password
        row = (label, figures.engine_version, figures.namespaces, figures.entries, figures.expired)
        print_facts(COLUMNS, (*row, figures.bytes_on_disk, figures.free_bytes), as_json=as_json)
