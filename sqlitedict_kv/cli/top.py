"""Command ``top``: the largest entries."""

from __future__ import annotations

import click

from sqlitedict_kv.cli.opening import existing, open_store
from sqlitedict_kv.cli.parameters import examples, json_option, optional_namespace, store_argument
from sqlitedict_kv.cli.progress import show_progress
from sqlitedict_kv.cli.table import Column, print_table
from sqlitedict_kv.display.figures import ago, from_now, iso, size

COLUMNS = (
    Column("namespace"),
    Column("key"),
    Column("size", size, right=True),
    Column("content_type"),
    Column("version", right=True),
    Column("expires", from_now),
    Column("updated", ago),
)
NAMES = ("namespace", "key", "bytes", "content_type", "version", "expires_at", "updated_at")
JSON_COLUMNS = tuple(map(Column, NAMES))


@click.command(epilog=examples("sqlitedict-kv top app.db", "sqlitedict-kv top app.db images -n 50 --json"))
@store_argument
@optional_namespace
@click.option("--number", "-n", "most", type=click.IntRange(1), default=10, show_default=True, help="How many.")
@json_option
def command(store: str, namespace: str | None, most: int, as_json: bool) -> None:  # noqa: FBT001
    """List the largest entries of STORE, or of one NAMESPACE, the largest first.

    All entries are looked at, but no value is read.
    """
    with open_store(store) as opened, show_progress("top") as advance:
        place = opened if namespace is None else existing(opened, namespace)
        found = place.largest(most, progress=advance)
    if as_json:
        rows = [(*each[:5], iso(each.expires_at), iso(each.updated_at)) for each in found]
        print_table(JSON_COLUMNS, rows, as_json=True)
    else:
        print_table(COLUMNS, found, as_json=False)
