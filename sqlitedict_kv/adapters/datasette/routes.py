"""Addresses of the pages, and their answers: HTML that runs nothing, read from the store in another thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import quote, unquote, urlencode

from datasette.utils.asgi import Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from sqlitedict_kv import KVError, Store
from sqlitedict_kv.adapters.datasette.configuration import Configuration
from sqlitedict_kv.adapters.datasette.pages import PAGES, Shown, missing
from sqlitedict_kv.display.figures import ago, from_now, number, size
from sqlitedict_kv.display.short import kind_of

ROOT = "/-/kv"
# No script at all, no frame, nothing of another server: whatever a value holds, it is text or pixels.
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
HTML = "text/html; charset=utf-8"
STYLE = "style.css"

TEMPLATES = Environment(
    loader=PackageLoader(__package__), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


def routes(*, at_home: bool) -> list[tuple[str, Callable[..., Any]]]:
    """Return the patterns of addresses with what answers each; *at_home* has them from the home page too."""
    known = "|".join(name for name in PAGES if name)
    found: list[tuple[str, Callable[..., Any]]] = [
        (rf"^{ROOT}/?$", answer_home),
        (rf"^{ROOT}/-/{STYLE}$", answer_style),
        (rf"^{ROOT}/(?P<store>[^/]+)(?:/(?P<page>{known}))?$", answer_page),
    ]
    return [("^/$", answer_home), *found] if at_home else found


async def answer_home(request: Any, datasette: Any) -> Any:
    """Return the page of all stores."""
    await datasette.ensure_permissions(request.actor, ["view-instance"])
    stores = Configuration.of(datasette).stores
    return _response(datasette, "", Shown("stores.html", {"stores": sorted(stores)}))


async def answer_style() -> Any:
    """Return the style of the pages."""
    return Response(TEMPLATES.get_template(STYLE).render(), headers=HEADERS, content_type="text/css; charset=utf-8")


async def answer_page(request: Any, datasette: Any) -> Any:
    """Return a page of a store."""
    await datasette.ensure_permissions(request.actor, ["view-instance"])
    name, page = unquote(request.url_vars["store"]), request.url_vars["page"] or ""
    address = Configuration.of(datasette).stores.get(name)
    if address is None:
        return _response(datasette, "", missing("there is no store of this name"))
    arguments = {each: request.args.get(each) for each in request.args}
    shown = await asyncio.to_thread(_look, address, page, arguments)
    return await asyncio.to_thread(_response, datasette, name, shown)


def _look(address: str, page: str, arguments: dict[str, str]) -> Shown:
    """Return what a page shows; the store is opened for it alone, so that it is the file that is there now."""
    try:
        with Store(address, readonly=True) as store:
            return PAGES[page](store, arguments)
    except KVError as error:
        return missing(f"{type(error).__name__}: {error}", 500)
    except (ValueError, TypeError) as error:  # of an argument in the address
        return missing(str(error), 400)


def _response(datasette: Any, name: str, shown: Shown) -> Any:
    root = datasette.urls.path(ROOT)
    tools = {
        "link": partial(_link, root, name),
        "store_link": partial(_link, root),
        "style": f"{root}/-/{STYLE}",
        "root": root,
        "store": name,
        "ago": ago,
        "from_now": from_now,
        "number": number,
        "size": size,
        "kind_of": kind_of,
    }
    text = TEMPLATES.get_template(shown.template).render(**tools, **shown.values)
    body = text.encode(errors="backslashreplace").decode()  # half of a surrogate pair cannot be sent
    return Response(body, status=shown.status, headers=HEADERS, content_type=HTML)


def _link(root: str, store: str, page: str = "", **arguments: str | None) -> str:
    """Return the address of a page; arguments that are None are left out."""
    given = {name: value for name, value in arguments.items() if value is not None}
    path = f"{root}/{quote(store, safe='')}{'/' if page else ''}{page}"
    return f"{path}?{urlencode(given, errors='backslashreplace')}" if given else path
