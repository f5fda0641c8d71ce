"""Restriction of a server on loopback to requests that name this machine.

A page from elsewhere may let its own host name stand for 127.0.0.1 and would then read what is served there.
"""

from __future__ import annotations

from typing import Any

LOCAL = ("127.0.0.1", "localhost", "[::1]")


def only_local(app: Any) -> Any:
    """Return an application of ASGI that refuses requests for other hosts."""

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan" or _is_local(scope.get("headers", ())):
            await app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"This server answers for this machine alone."})

    return guarded


def _is_local(headers: Any) -> bool:
    """Return whether there is one Host, and it is this machine."""
    hosts = [value.decode("latin-1") for name, value in headers if name.lower() == b"host"]
    if len(hosts) != 1:
        return False
    name, colon, port = hosts[0].rpartition(":")
    without_port = name if colon and port.isdigit() else hosts[0]
    return without_port.lower() in LOCAL
