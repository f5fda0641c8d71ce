"""Handshake: whether the servers answer, and whether they are of the kind that the address says."""

from __future__ import annotations

import time

from sqlitedict_kv.concurrency.deadline import Deadline
from sqlitedict_kv.engines.valkey.client.error_mapping import Verdict, error_text, translate, verdict_of
from sqlitedict_kv.engines.valkey.client.protocol import Call, Link
from sqlitedict_kv.engines.valkey.client.redis_py import DRIVER_ERRORS, ResponseError
from sqlitedict_kv.engines.valkey.client.retry import BACKOFF
from sqlitedict_kv.engines.valkey.client.topology import Topology
from sqlitedict_kv.errors import AccessDeniedError, OpenError, StoreError, UnreachableError

INFO = Call(0, None, (b"INFO",), writes=False)
PING = Call(0, None, (b"PING",), writes=False)


def greet(link: Link, topology: Topology, timeout: float, *, sentinel: bool) -> None:
    """Reach the servers once.

    Raises:
        OpenError: the server is another kind than the URL says, or a replica.
        AccessDeniedError: it refuses the user or the password.
        UnreachableError: no server answered for the whole timeout.
    """
    deadline = Deadline(timeout, BACKOFF)
    _locate(link, topology, deadline)
    if link.clustered:
        return
    while True:
        about = _about(link)
        kind = about.get("server_mode") or about.get("redis_mode")  # Valkey 9 and Redis
        if kind == "cluster":
            raise OpenError(f"{link.label}: the server is a node of a cluster; open it with valkey+cluster://")
        if kind == "sentinel":
            raise OpenError(f"{link.label}: the server is a sentinel; open valkey+sentinel://hosts/service")
        if about.get("role") != "slave":
            return
        if not sentinel:
            primary = f"{about.get('master_host')}:{about.get('master_port')}"
            raise OpenError(f"{link.label}: the server is a replica; open its primary {primary}, or the sentinels")
        if not deadline.pause():
            raise UnreachableError(f"{link.label}: the sentinels name a replica, and did so for {timeout:g} s")
        topology.relocate(topology.slots[0], time.monotonic(), deadline.remaining())


def _locate(link: Link, topology: Topology, deadline: Deadline) -> None:
    """Find the servers."""
    while True:
        try:
            topology.locate(within=deadline.remaining())
        except DRIVER_ERRORS as error:
            if "cluster support disabled" in str(error):
                raise OpenError(f"{link.label}: the server is not part of a cluster; open it with valkey://") from error
            if "unknown command" in str(error):
                raise OpenError(f"{link.label}: the server is not a sentinel ({error_text(error)})") from error
            if verdict_of(error) is Verdict.FATAL:
                raise _as_open_error(translate(error, link.label)) from error
            if not deadline.pause():
                raise UnreachableError(
                    f"{link.label}: no server answered within {deadline.timeout:g} s; see whether it runs and can be "
                    f"reached (last error: {error_text(error)})"
                ) from error
        else:
            return


def _about(link: Link) -> dict[str, str]:
    """Return what the server says of itself; nothing if the user may not ask."""
    try:
        text = link.one(INFO)
    except AccessDeniedError as error:
        if not isinstance(error.__cause__, ResponseError):
            raise
        link.one(PING)
        return {}
    except UnreachableError:
        raise
    except StoreError as error:
        raise _as_open_error(error) from error
    lines = text.decode(errors="replace").splitlines()
    return {name: value for name, _, value in (line.partition(":") for line in lines)}


def _as_open_error(error: Exception) -> OpenError:
    return error if isinstance(error, OpenError) else OpenError(str(error))
