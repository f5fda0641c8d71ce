"""Server of the pages of stores on a socket, without any database of Datasette's own."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

import uvicorn
from datasette.app import Datasette
from datasette.plugins import pm

from sqlitedict_kv.adapters import datasette as plugin
from sqlitedict_kv.adapters.datasette.configuration import NAME


def make_datasette(stores: Mapping[str, str], *, loopback: bool = True) -> Any:
    """Return a Datasette that shows stores and nothing else.

    Args:
        stores: paths or addresses by name.
        loopback: whether requests for other hosts than this machine are refused.
    """
    if not pm.is_registered(plugin):  # where the package is used from its source
        pm.register(plugin, NAME)
    configuration = {"stores": dict(stores), "loopback": loopback}
    return Datasette(
        metadata={"plugins": {NAME: configuration}},
        settings={"default_allow_sql": False, "allow_download": False},
    )


def serve(stores: Mapping[str, str], listening: socket.socket) -> None:
    """Serve stores on a socket until the process is told to end.

    Args:
        stores: paths or addresses by name.
        listening: a socket that listens.
    """
    config = uvicorn.Config(make_datasette(stores).app(), log_level="warning", lifespan="on")
    uvicorn.Server(config).run(sockets=[listening])
