"""Command ``ls``: the namespaces of a store."""

from __future__ import annotations

import os
from typing import Any

import click

from sqlitedict_kv.cli.opening import is_file, open_store
from sqlitedict_kv.cli.parameters import examples, json_option, store_argument
from sqlitedict_kv.cli.progress import Advance, show_progress
from sqlitedict_kv.cli.table import Column, print_table
from sqlitedict_kv.display.figures import ago, from_now, iso, number, size
from sqlitedict_kv.operations.usage import StoreUsage, Usage
from sqlitedict_kv.store import Store

DEADLINE = 0.06  # seconds of walking through entries; with imports and all, a list is there in 300 ms
FEW = 1000  # entries, which are all looked at
QUICKLY_COUNTED = 2**30  # bytes of a file whose keys are counted in some more milliseconds

COLUMNS = (
    Column("namespace"),
    Column("entries", right=True),
    Column("size", right=True),
    Column("written"),
    Column("next_expiry"),
)
JSON_COLUMNS = tuple(map(Column, ("namespace", "entries", "bytes", "newest", "next_expiry", "complete")))


@click.command(
    epilog=examples(
        "sqlitedict-kv ls app.db",
        "sqlitedict-kv ls app.db --exact",
        "sqlitedict-kv ls valkey://localhost:6379 --json",
    )
)
@store_argument
@click.option("--exact", is_flag=True, help="Look at all entries, however long it takes.")
@json_option
def command(store: str, exact: bool, as_json: bool) -> None:  # noqa: FBT001 - click passes by name
    """List the namespaces of STORE: how many entries each has, the size of its values, and when they change.

    It takes a fraction of a second, however large the store is: what could not be counted in that time is shown as
    "≥", at least, and in JSON "complete" is false. 'usage' tells more.
    """
    with open_store(store) as opened, show_progress("ls") as advance:
        found, counts = _look_at_all(opened, advance) if exact else _look(store, opened)
        rows = [(name, counts.get(name), usage) for name, usage in found.namespaces.items()]
    rows = [row for row in rows if row[1] or row[2].entries or not row[2].complete]
    if as_json:
        print_table(JSON_COLUMNS, [_for_json(*row) for row in rows], as_json=True)
    else:
        print_table(COLUMNS, [_for_people(*row) for row in rows], as_json=False)


def _look_at_all(store: Store, advance: Advance | None) -> tuple[StoreUsage, dict[str, int]]:
    return store.usage(progress=advance), {}


def _look(address: str, store: Store) -> tuple[StoreUsage, dict[str, int]]:
    """Return what is known soon: sizes, and how many entries there are where these are not complete."""
    found = store.usage(deadline=DEADLINE)
    if found.complete:
        return found, {}
    counts = _count(address, store)
    if counts and sum(counts.values()) <= FEW:  # it was the machine that was slow
        return _look_at_all(store, None)
    return found, counts


def _count(address: str, store: Store) -> dict[str, int]:
    """Return how many entries the namespaces have, where that is known soon."""
    if is_file(address) and os.stat(address).st_size > QUICKLY_COUNTED:
        return {}
    return {name: store.ns(name).stats().entries for name in store.namespaces()}


def _for_people(name: str, count: int | None, usage: Usage) -> tuple[Any, ...]:
    partly = not usage.complete
    entries = number(usage.entries, at_least=partly) if count is None else number(count)
    # The newest and the next to expire are not known before all were looked at.
    newest, expiry = ("", "") if partly else (ago(usage.newest), from_now(usage.next_expiry))
    return name, entries, size(usage.bytes, at_least=partly), newest, expiry


def _for_json(name: str, count: int | None, usage: Usage) -> tuple[Any, ...]:
    entries = usage.entries if count is None else count
    return name, entries, usage.bytes, iso(usage.newest), iso(usage.next_expiry), usage.complete
