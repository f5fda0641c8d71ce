"""Command ``export``: entries as lines of JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable

import click

from sqlitedict_kv.cli.opening import existing, open_store
from sqlitedict_kv.cli.parameters import examples, optional_namespace, store_argument
from sqlitedict_kv.cli.progress import show_progress
from sqlitedict_kv.tools.exchange import export_lines


@click.command(
    epilog=examples(
        "sqlitedict-kv export app.db > app.jsonl",
        "sqlitedict-kv export app.db users --prefix a | jq .value",
        "sqlitedict-kv export app.db | gzip > app.jsonl.gz",
    )
)
@store_argument
@optional_namespace
@click.option("--prefix", default="", help="Only keys that begin with this text.")
def command(store: str, namespace: str | None, prefix: str) -> None:
    """Write the entries of STORE, or of one NAMESPACE, to the output: a line of JSON each.

    A line has namespace, key, version, updated_at and expires_at (Unix times in milliseconds), content_type, and the
    value: as "value" where it is JSON, else as "text" or "base64" of the encoded bytes. 'import' brings them back
    byte for byte. What has expired is left out.
    """
    with open_store(store) as opened, show_progress("export") as advance:
        names = None
        if namespace is not None:
            existing(opened, namespace)
            names = [namespace]
        _write(export_lines(opened, names, prefix, advance))


def _write(pages: Iterable[bytes]) -> None:
    on_terminal = sys.stdout.isatty()
    for page in pages:
        if on_terminal:
            sys.stdout.write(_escape(page.decode()))
        else:
            sys.stdout.buffer.write(page)
    sys.stdout.flush()


def _escape(lines: str) -> str:
    r"""Write what a terminal would obey as JSON does, ``\u009b``."""
    return "".join(one if one.isprintable() or one == "\n" else json.dumps(one)[1:-1] for one in lines)
