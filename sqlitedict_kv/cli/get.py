"""Command ``get``: the value of an entry."""

from __future__ import annotations

import click

from sqlitedict_kv.cli.exit_status import NotFoundError
from sqlitedict_kv.cli.opening import existing, open_store
from sqlitedict_kv.cli.parameters import examples, json_option, key_argument, namespace_argument, store_argument
from sqlitedict_kv.cli.table import Column, print_facts, print_json
from sqlitedict_kv.cli.value_output import value_for_json, write_bytes, write_value
from sqlitedict_kv.display.figures import ago, from_now, iso, size
from sqlitedict_kv.engines.record import Record
from sqlitedict_kv.operations.optional import whole_body
from sqlitedict_kv.store import Store
from sqlitedict_kv.tools.stored_values import decode_record, read_record
from sqlitedict_kv.tools.summaries import summary_of_record

FACTS = (
    Column("key"),
    Column("size", size),
    Column("content_type"),
    Column("version"),
    Column("expires", from_now),
    Column("updated", ago),
)


@click.command(
    epilog=examples(
        "sqlitedict-kv get app.db users ada",
        "sqlitedict-kv get app.db images logo.png --raw > logo.png",
        "sqlitedict-kv get app.db users ada --json | jq .version",
    )
)
@store_argument
@namespace_argument
@key_argument
@click.option("--raw", is_flag=True, help="The encoded bytes as they are stored, whatever they are.")
@click.option("--meta", is_flag=True, help="Version, content type, size and times in place of the value.")
@json_option
def command(
    store: str,
    namespace: str,
    key: str,
    raw: bool,  # noqa: FBT001 - click passes by name
    meta: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
) -> None:
    """Print the value under KEY.

    Text and bytes are printed as they are, anything else as JSON; arrays, frames and objects are told by their type,
    shape and fields. On a terminal, characters that would control it are shown escaped. --json prints the value with
    its version, content type and times.
    """
    with open_store(store) as opened:
        record = _record_of(opened, namespace, key)
        if raw:
            write_bytes(_encoded(opened, namespace, key, record))
        elif meta and not as_json:
            print_facts(FACTS, summary_of_record(namespace, key, record)[1:], as_json=False)
        elif as_json:
            print_json(_described(opened, namespace, key, record, with_value=not meta))
        else:
            write_value(decode_record(opened, namespace, key, record))


def _record_of(store: Store, namespace: str, key: str) -> Record:
    record = read_record(store, namespace, key)
    if record is None:
        existing(store, namespace)
        raise NotFoundError(f"there is no entry {key!r} in namespace {namespace!r}")
    return record


def _encoded(store: Store, namespace: str, key: str, record: Record) -> bytes | memoryview:
    """Return the encoded value, be it in a file of its own."""
    body, _ = whole_body(store._engine, namespace, key, record)  # noqa: SLF001 - below the codecs
    return body


def _described(store: Store, namespace: str, key: str, record: Record, *, with_value: bool) -> dict[str, object]:
    summary = summary_of_record(namespace, key, record)
    return {
        "namespace": namespace,
        "key": key,
        "version": summary.version,
        "content_type": summary.content_type,
        "bytes": summary.size,
        "updated_at": iso(summary.updated_at),
        "expires_at": iso(summary.expires_at),
        **(value_for_json(decode_record(store, namespace, key, record)) if with_value else {}),
    }
