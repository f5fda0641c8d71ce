"""Command ``keys``: the keys of a namespace."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

import click

from sqlitedict_kv.cli.opening import existing, open_store
from sqlitedict_kv.cli.parameters import examples, json_option, namespace_argument, store_argument
from sqlitedict_kv.cli.printable import printable
from sqlitedict_kv.cli.table import Column, print_json_list, print_table
from sqlitedict_kv.display.figures import ago, from_now, iso, size
from sqlitedict_kv.namespace import Namespace
from sqlitedict_kv.operations.usage import EntrySummary
from sqlitedict_kv.tools.summaries import walk_summaries

KEYS_PER_PAGE = 1000
COLUMNS = (
    Column("key"),
    Column("size", size, right=True),
    Column("content_type"),
    Column("version", right=True),
    Column("expires", from_now),
    Column("updated", ago),
)
JSON_COLUMNS = tuple(map(Column, ("key", "bytes", "content_type", "version", "expires_at", "updated_at")))


@click.command(
    epilog=examples(
        "sqlitedict-kv keys app.db users",
        "sqlitedict-kv keys app.db users --prefix a --limit 20 --long",
        "sqlitedict-kv keys app.db users --null | xargs -0 -n 1 echo",
    )
)
@store_argument
@namespace_argument
@click.option("--prefix", default="", help="Only keys that begin with this text.")
@click.option("--limit", type=click.IntRange(1), help="As many at most.")
@click.option("--reverse", is_flag=True, help="From the last to the first.")
@click.option("--long", "-l", "detailed", is_flag=True, help="With version, content type and times.")
@click.option("--null", "-0", is_flag=True, help="As they are, each ended by a null character, for xargs -0.")
@json_option
def command(
    store: str,
    namespace: str,
    prefix: str,
    limit: int | None,
    reverse: bool,  # noqa: FBT001 - click passes by name
    detailed: bool,  # noqa: FBT001
    null: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
) -> None:
    """List the keys of NAMESPACE in order.

    Characters that would control the terminal are shown escaped. The keys of a namespace that was opened with keys=
    are shown as the text that is stored.
    """
    with open_store(store) as opened:
        entries = existing(opened, namespace)
        if detailed:
            summaries = walk_summaries(opened, namespace, prefix, reverse=reverse)
            _print_summaries(islice(summaries, limit), as_json=as_json)
            return
        keys = islice(walk_keys(entries, prefix, reverse=reverse), limit)
        if as_json:
            print_json_list(keys)
        elif null:
            _write_raw(keys)
        else:
            sys.stdout.writelines(f"{printable(key)}\n" for key in keys)


def walk_keys(entries: Namespace[str, Any], prefix: str, *, reverse: bool = False) -> Iterator[str]:
    """Yield keys by pages."""
    cursor = None
    while True:
        page = entries.list(prefix, limit=KEYS_PER_PAGE, cursor=cursor, reverse=reverse)
        yield from page.keys
        cursor = page.cursor
        if cursor is None:
            return


def _print_summaries(summaries: Iterator[EntrySummary[str]], *, as_json: bool) -> None:
    if as_json:
        rows = ((*each[1:5], iso(each.expires_at), iso(each.updated_at)) for each in summaries)
        print_table(JSON_COLUMNS, rows, as_json=True)
    else:
        print_table(COLUMNS, (each[1:] for each in summaries), as_json=False)


def _write_raw(keys: Iterator[str]) -> None:
    for key in keys:
        sys.stdout.buffer.write(key.encode() + b"\0")
