"""Plugin for Datasette: pages on the entries of stores, read-only.

The stores are named in the configuration, by path or address::

    plugins:
      sqlitedict-kv:
        stores:
          app: /srv/app.db
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from datasette import hookimpl

from sqlitedict_kv.adapters.datasette.configuration import Configuration
from sqlitedict_kv.adapters.datasette.loopback import only_local
from sqlitedict_kv.adapters.datasette.routes import ROOT, routes


@hookimpl
def register_routes(datasette: Any) -> list[tuple[str, Callable[..., Any]]]:
    """Return the addresses of the pages."""
    return routes(at_home=Configuration.of(datasette).loopback)


@hookimpl
def menu_links(datasette: Any) -> list[dict[str, str]]:
    """Return the entry of Datasette's menu."""
    return [{"href": datasette.urls.path(ROOT), "label": "Key-value stores"}]


@hookimpl
def asgi_wrapper(datasette: Any) -> Callable[[Any], Any]:
    """Return what refuses requests for other hosts where Datasette serves this machine alone."""
    return only_local if Configuration.of(datasette).loopback else _unchanged


def _unchanged(app: Any) -> Any:
    return app
