"""Command ``watch``: changes of entries, as they happen."""

from __future__ import annotations

import json
import sys
from itertools import islice

import click

from sqlitedict_kv.cli.opening import open_store
from sqlitedict_kv.cli.parameters import examples, json_option, optional_namespace, store_argument
from sqlitedict_kv.cli.printable import printable
from sqlitedict_kv.display.figures import from_now, iso, size
from sqlitedict_kv.tools.changes import INTERVAL, Changed, watch


@click.command(
    epilog=examples(
        "sqlitedict-kv watch app.db",
        "sqlitedict-kv watch app.db sessions --json | jq -r .key",
        "sqlitedict-kv watch valkey://localhost:6379 jobs --prefix mail: --interval 0.2",
    )
)
@store_argument
@optional_namespace
@click.option("--prefix", default="", help="Only keys that begin with this text.")
@click.option("--count", type=click.IntRange(1), help="End after so many changes.")
@click.option(
    "--interval",
    type=click.FloatRange(0.05, 3600),
    default=INTERVAL,
    show_default=True,
    help="Seconds between two looks at servers; of a file, commits are noticed by themselves.",
)
@json_option
def command(
    store: str,
    namespace: str | None,
    prefix: str,
    count: int | None,
    interval: float,
    as_json: bool,  # noqa: FBT001 - click passes by name
) -> None:
    """Print the changes of entries until it is interrupted: created, written, touched, removed, expired.

    It says on the output of errors when it has begun. An entry that is written several times between two looks is one
    change. It holds in memory what it knows of all entries that it watches: name a NAMESPACE or a --prefix of a large
    store. With --json, each line is an object.
    """
    with open_store(store) as opened:
        found = watch(opened, None if namespace is None else [namespace], prefix, interval)
        next(found)
        sys.stderr.write(f"watching {printable(store)}\n")
        sys.stderr.flush()
        changes = (change for change in found if change is not None)
        for change in islice(changes, count):
            sys.stdout.write(_as_json(change) if as_json else _as_line(change))
            sys.stdout.flush()


def _as_line(change: Changed) -> str:
    moment = change.at.strftime("%H:%M:%S")
    about = [change.kind, change.namespace, change.key]
    if change.kind not in ("removed", "expired"):
        summary = change.summary
        about += [f"version {summary.version}", size(summary.size), summary.content_type]
        if summary.expires_at is not None:
            about.append(f"expires {from_now(summary.expires_at, change.at)}")
    return "\t".join([moment, *map(printable, about)]) + "\n"


def _as_json(change: Changed) -> str:
    summary = change.summary
    shown = {
        "at": iso(change.at),
        "change": change.kind,
        "namespace": change.namespace,
        "key": change.key,
        "version": summary.version,
        "content_type": summary.content_type,
        "bytes": summary.size,
        "updated_at": iso(summary.updated_at),
        "expires_at": iso(summary.expires_at),
    }
    return json.dumps(shown) + "\n"
