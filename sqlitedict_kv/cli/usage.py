"""Command ``usage``: what takes the space."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from sqlitedict_kv.cli.opening import existing, open_store
from sqlitedict_kv.cli.parameters import examples, json_option, optional_namespace, store_argument
from sqlitedict_kv.cli.progress import show_progress
from sqlitedict_kv.cli.table import Column, print_json, print_table
from sqlitedict_kv.display.figures import ago, from_now, iso, number, size
from sqlitedict_kv.operations.usage import StoreUsage, Usage

COLUMNS = (
    Column("namespace"),
    Column("entries", number, right=True),
    Column("size", size, right=True),
    Column("in_files", size, right=True),
    Column("expired", number, right=True),
    Column("oldest", ago),
    Column("newest", ago),
    Column("next_expiry", from_now),
)
TYPES = (Column("content_type"), Column("entries", number, right=True), Column("size", size, right=True))
TOTAL = "(total)"


@click.command(
    epilog=examples(
        "sqlitedict-kv usage app.db",
        "sqlitedict-kv usage app.db users --types",
        "sqlitedict-kv usage app.db --json | jq .bytes",
    )
)
@store_argument
@optional_namespace
@click.option("--types", "by_type", is_flag=True, help="By content type, not by namespace.")
@json_option
def command(store: str, namespace: str | None, by_type: bool, as_json: bool) -> None:  # noqa: FBT001
    """Tell what takes the space in STORE, or in one NAMESPACE: entries, bytes of values, ages, content types.

    All entries are looked at, but no value is read. Bytes are those of the encoded values; what lies in files of its
    own beside the database is shown apart too. 'stats' tells the size of the file.
    """
    with open_store(store) as opened, show_progress("usage") as advance:
        if namespace is None:
            found: Usage | StoreUsage = opened.usage(progress=advance)
        else:
            found = existing(opened, namespace).usage(progress=advance)
    if as_json:
        print_json(_for_json(found))
    elif by_type:
        rows = [(name, *sums) for name, sums in found.by_content_type.items()]
        print_table(TYPES, rows, as_json=False)
    else:
        print_table(COLUMNS, _rows(found, namespace), as_json=False)


def _rows(found: Usage | StoreUsage, namespace: str | None) -> Iterable[tuple[Any, ...]]:
    if isinstance(found, StoreUsage):
        for name, usage in sorted(found.namespaces.items(), key=lambda item: -item[1].bytes):
            yield _row(name, usage)
    yield _row(namespace or TOTAL, found)


def _row(name: str, usage: Usage | StoreUsage) -> tuple[Any, ...]:
    times = usage.oldest, usage.newest, usage.next_expiry
    return name, usage.entries, usage.bytes, usage.file_bytes, usage.expired, *times


def _for_json(usage: Usage | StoreUsage) -> dict[str, Any]:
    shown: dict[str, Any] = usage._asdict()
    for name in ("oldest", "newest", "next_expiry"):
        shown[name] = iso(shown[name])
    shown["by_content_type"] = {name: sums._asdict() for name, sums in usage.by_content_type.items()}
    if isinstance(usage, StoreUsage):
        shown["namespaces"] = {name: _for_json(each) for name, each in usage.namespaces.items()}
    return shown
