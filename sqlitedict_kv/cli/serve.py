"""Command ``serve``: the pages of a store for a browser on this machine."""

from __future__ import annotations

import os
import re
import socket
import sys
from typing import Any

import click

from sqlitedict_kv.cli.opening import is_file, open_store
from sqlitedict_kv.cli.parameters import examples, store_argument

HOST = "127.0.0.1"
MISSING = "serve needs {name}, which is not installed: pip install 'sqlitedict-kv[browse]'"
EXTRA = ("datasette", "uvicorn", "jinja2")


@click.command(
    epilog=examples(
        "sqlitedict-kv serve app.db",
        "sqlitedict-kv serve app.db --open",
        "sqlitedict-kv serve valkey://localhost:6379 --port 8080",
    )
)
@store_argument
@click.option(
    "--port", "-p", type=click.IntRange(0, 65_535), default=8001, show_default=True, help="0 takes a free one."
)
@click.option("--open", "-o", "opens", is_flag=True, help="Open the page in the browser.")
def command(store: str, port: int, opens: bool) -> None:  # noqa: FBT001 - click passes by name
    """Show STORE in a browser on this machine, until Ctrl-C.

    The pages are a plugin of Datasette. They only read, and the server is reached from this machine alone, by each of
    its users.
    """
    server, name = _load(store), _name_of(store)
    with open_store(store):  # a mistake is told before there is a server
        pass
    with socket.create_server((HOST, port)) as listening:
        address = f"http://{HOST}:{listening.getsockname()[1]}/-/kv/{name}"
        sys.stdout.write(f"{address}\n")
        sys.stdout.flush()
        if opens:
            click.launch(address)
        server(name, listening)


def _load(store: str) -> Any:
    """Return what serves a store under a name at a socket."""
    try:
        from sqlitedict_kv.adapters.datasette.server import serve  # noqa: PLC0415 - needs an extra
    except ModuleNotFoundError as error:
        if error.name not in EXTRA:
            raise
        raise click.UsageError(MISSING.format(name=error.name)) from None
    path = os.path.abspath(os.path.expanduser(store)) if is_file(store) else store
    return lambda name, listening: serve({name: path}, listening)


def _name_of(store: str) -> str:
    """Return the name of a store in addresses of pages."""
    stem = os.path.splitext(os.path.basename(store))[0] if is_file(store) else "store"
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-") or "store"
