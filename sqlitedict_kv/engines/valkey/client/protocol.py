"""Wire protocol: calls, and the bytes that are sent for them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from sqlitedict_kv.engines.valkey.client.redis_py import Socket

Endpoint = tuple[str, int]  # host and port, or the path of a Unix socket and 0
LARGE = 1 << 20  # bytes; more is sent in slices of this size, so that a timeout is one of progress


class Script(NamedTuple):
    """A Lua script."""

    source: bytes
    sha: bytes  # its SHA-1 in hexadecimal digits, by which a server that has it knows it

    @classmethod
    def of(cls, source: str) -> Script:
        """Return a script of this source."""
        raw = source.encode()
        return cls(raw, hashlib.sha1(raw, usedforsecurity=False).hexdigest().encode())


class Call(NamedTuple):
    """One command, or one script, for the keys of one slot.

    A write is repeated with the same bytes where its reply was lost, so it must know itself again. With
    ``confirm``, one that knows itself again must still write something (its session): WAIT waits for
    what its own connection has written.
    """

    slot: int
    script: Script | None  # None: *parts* is the whole command, else numkeys, keys and arguments
    parts: Sequence[bytes]
    writes: bool


class Link(Protocol):
    """The way to the servers of a store."""

    label: str  # the URL without user and password
    clustered: bool  # the keys of one call must share a slot
    confirm: int  # replicas that must have a write before it is done

    def one(self, call: Call) -> Any:
        """Return the reply: bytes, ints, lists or None; raise an error of ours."""
        ...

    def many(self, calls: Sequence[Call]) -> list[Any]:
        """Return the replies in order; every server gets one pipeline."""
        ...

    def on_every_server(self, command: Sequence[bytes]) -> list[Any]:
        """Return the reply of each primary."""
        ...

    # What follows is for the feed of invalidations.

    @property
    def changes(self) -> int:
        """Another number as soon as calls for any slot go to another server."""
        ...

    @property
    def detours(self) -> int:
        """Another number before a call goes where :meth:`endpoints` may not say."""
        ...

    def endpoints(self) -> frozenset[Endpoint]:
        """Return where writes go, as far as is known; no server is asked."""
        ...

    def refresh(self) -> None:
        """Ask the servers where writes go; raise what the driver raises."""
        ...

    def listener(self, endpoint: Endpoint) -> Socket:
        """Return a new connection by RESP3; raise what the driver raises."""
        ...

    def close(self) -> None:
        """Close the connections that are ours; later calls raise StoreClosedError."""
        ...


def pack(call: Call, *, source: bool = False) -> bytes:
    """Return a call as bytes, with the *source* of the script where the server does not have it."""
    script = call.script
    if script is None:
        return command(call.parts)
    head = (b"EVAL", script.source) if source else (b"EVALSHA", script.sha)
    return command((*head, *call.parts))


def command(parts: Sequence[bytes]) -> bytes:
    r"""Return a command as RESP.

    >>> command([b"GET", b"k"])
    b'*2\r\n$3\r\nGET\r\n$1\r\nk\r\n'
    """
    return b"*%d\r\n%b" % (len(parts), b"".join([b"$%d\r\n%b\r\n" % (len(part), part) for part in parts]))


def sendable(messages: Iterable[bytes]) -> list[bytes | memoryview]:
    """Return messages as what is handed to the socket one after the other: small ones together, large ones sliced."""
    chunks: list[bytes | memoryview] = []
    small: list[bytes] = []
    size = 0
    for message in messages:
        if size + len(message) > LARGE and small:
            chunks.append(b"".join(small))
            small, size = [], 0
        if len(message) > LARGE:
            view = memoryview(message)
            chunks.extend(view[start : start + LARGE] for start in range(0, len(message), LARGE))
        else:
            small.append(message)
            size += len(message)
    if small:
        chunks.append(b"".join(small))
    return chunks
