"""Command ``ttl``: the time that an entry has left."""

from __future__ import annotations

import sys
from typing import Any

import click

from sqlitedict_kv.cli.exit_status import NotFoundError
from sqlitedict_kv.cli.opening import existing, open_store
from sqlitedict_kv.cli.parameters import examples, json_option, key_argument, namespace_argument, store_argument
from sqlitedict_kv.cli.set import duration_of
from sqlitedict_kv.cli.table import print_json
from sqlitedict_kv.display.figures import from_now, iso
from sqlitedict_kv.operations.context import moment
from sqlitedict_kv.store import Store

NEVER = "never"


@click.command(
    epilog=examples(
        "sqlitedict-kv ttl app.db sessions token",
        "sqlitedict-kv ttl app.db sessions token '30 min'",
        "sqlitedict-kv ttl app.db sessions token never",
    )
)
@store_argument
@namespace_argument
@key_argument
@click.argument("duration", metavar="[DURATION]", required=False)
@json_option
def command(store: str, namespace: str, key: str, duration: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Print when the entry under KEY expires; with DURATION, let it expire so much later than now.

    DURATION is a number of seconds, text such as '30 min', or never. With it, the command writes; value and version
    of the entry stay.
    """
    with open_store(store, writes=duration is not None) as opened:
        if duration is not None and not opened.ns(namespace).touch(key, _lifetime(duration)):
            raise _missing(opened, namespace, key)
        _show(opened, namespace, key, as_json=as_json)


def _lifetime(duration: str) -> float | str | None:
    return None if duration == NEVER else duration_of(duration)


def _missing(store: Store, namespace: str, key: str) -> NotFoundError:
    existing(store, namespace)
    return NotFoundError(f"there is no entry {key!r} in namespace {namespace!r}")


def _show(store: Store, namespace: str, key: str, *, as_json: bool) -> None:
    record = store._context.read(namespace, key)  # noqa: SLF001 - the value is of no interest, and may not decode
    if record is None:
        raise _missing(store, namespace, key)
    expires_at = None if record.expires_at is None else moment(record.expires_at)
    if as_json:
        left: Any = None if record.expires_at is None else max(0.0, record.expires_at / 1000 - store.clock())
        print_json({"namespace": namespace, "key": key, "expires_at": iso(expires_at), "seconds": left})
    else:
        sys.stdout.write(f"{from_now(expires_at)}\n")
