"""Command ``set``: the write of an entry."""

from __future__ import annotations

import sys
from typing import Any

import click

from sqlitedict_kv.cli.opening import open_store
from sqlitedict_kv.cli.parameters import examples, key_argument, namespace_argument, store_argument
from sqlitedict_kv.codecs.json_engine import loads
from sqlitedict_kv.namespace import Namespace


@click.command(
    epilog=examples(
        'sqlitedict-kv set app.db users ada \'{"name": "Ada"}\'',
        "sqlitedict-kv set app.db sessions token abc --ttl '30 min'",
        "sqlitedict-kv set app.db images logo.png --file logo.png",
        "curl https://example.org | sqlitedict-kv set app.db pages home --file - --text",
    )
)
@store_argument
@namespace_argument
@key_argument
@click.argument("value", metavar="[VALUE]", required=False)
@click.option("--file", "source", type=click.Path(dir_okay=False), help="Take the value from a file; - is the input.")
@click.option("--text", is_flag=True, help="The value is text, even if it looks like JSON.")
@click.option("--ttl", metavar="DURATION", help="When it expires: seconds, or text such as '30 min'; never by default.")
@click.option("--add", "only_new", is_flag=True, help="Only if there is no entry under KEY.")
@click.option("--version", type=click.IntRange(0), help="Only if the entry is at this version; 0: if there is none.")
def command(
    store: str,
    namespace: str,
    key: str,
    value: str | None,
    source: str | None,
    text: bool,  # noqa: FBT001 - click passes by name
    ttl: str | None,
    only_new: bool,  # noqa: FBT001
    version: int | None,
) -> int:
    """Write VALUE under KEY and print its version. It writes; a missing file is made.

    VALUE is JSON if it can be read as such, and text else: 7 is a number, '"7"' and --text 7 are text. The contents
    of a --file are bytes, with --text they are text.
    """
    if (value is None) == (source is None):
        raise click.UsageError("give either VALUE or --file")
    if only_new and version is not None:
        raise click.UsageError("--add is --version 0: give one of them")
    wanted = _value_of(value, source, as_text=text)
    lifetime = duration_of(ttl)
    with open_store(store, writes=True, creates=True) as opened:
        written = _write(opened.ns(namespace), key, wanted, lifetime, 0 if only_new else version)
    sys.stdout.write(f"{written}\n")
    return 0


def _write(entries: Namespace[str, Any], key: str, value: object, ttl: float | str | None, version: int | None) -> int:
    if version is None:
        return entries.set(key, value, ttl=ttl)
    return entries.cas_set(key, value, version, ttl=ttl)


def _value_of(value: str | None, source: str | None, *, as_text: bool) -> object:
    if value is None:
        content = _read(source or "-")
        return content.decode() if as_text else content
    if as_text:
        return value
    try:
        return loads(value.encode())
    except (ValueError, RecursionError):
        return value


def _read(source: str) -> bytes:
    if source == "-":
        return sys.stdin.buffer.read()
    with open(source, "rb") as file:
        return file.read()


def duration_of(text: str | None) -> float | str | None:
    """Return a time to live as the library takes it: a number of seconds, or text with a unit."""
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        return text
