"""Listener of one server: a connection that receives invalidations and proves that it received all of them."""

from __future__ import annotations

import contextlib
import re
import ssl
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from sqlitedict_kv.engines.valkey.client.protocol import command
from sqlitedict_kv.engines.valkey.client.redis_py import LostError, Socket, socket_of
from sqlitedict_kv.engines.valkey.tracking.resp3 import ERRORS, PUSH, Message, Reader

CHUNK = 1 << 16  # bytes that are read at once
PATIENCE = 5.0  # seconds that a server may take to answer; then the connection counts as lost
PING = command([b"PING"])
CLUSTER_INFO = command([b"CLUSTER", b"INFO"])
CHUNKS = 16  # that are taken in before anything else gets its turn
EPOCH: Final = re.compile(rb"cluster_current_epoch:(\d+)")
NOTHING_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


# What an error begins with that another attempt would not change: no such command, or not for this user.
REFUSALS = ("ERR", "NOPERM", "NOPROTO", "NOAUTH")


class RefusedError(Exception):
    """Says that a server does not tell this user what changes, and why."""


class ServerError(Exception):
    """Says that a server answered with an error."""


class Listener:
    """One server's connection.

    A server answers in the order of what it is asked, and writes what it has to tell of a change before it
    acknowledges the change to the client that made it (``beforeSleep`` of the server: invalidations, then replies; it
    was watched on Redis 7.0 and Valkey 9.1 with ``tests/engines/valkey/test_tracking.py``). So the answer to a question
    that was sent after a change was acknowledged comes behind the message that tells of the change.
    """

    def __init__(self, connection: Socket, clock: Callable[[], float], *, clustered: bool) -> None:
        """Take a connection that speaks RESP3 and has no other reader."""
        self.asked = 0.0  # when the last question was sent
        self.proven = 0.0  # up to when all changes that were acknowledged were told
        self._connection = connection
        self._socket = socket_of(connection)
        self._clock = clock
        self._question = CLUSTER_INFO if clustered else PING
        self._clustered = clustered
        self._reader = Reader()
        self._waits = False  # for an answer
        self._epoch: bytes | None = None  # of a cluster, as this node knew it at first

    def fileno(self) -> int:
        """Return the descriptor of the socket."""
        return self._socket.fileno()

    def begin(self, prefixes: Sequence[bytes], channel: bytes) -> None:
        """Have the server tell of each key that begins with one of *prefixes*, and ask the first question.

        Raises:
            RefusedError: the server cannot, or does not let this user.
        """
        # A subscriber is disconnected when too much waits for it (client-output-buffer-limit pubsub). Else
        # a process that sleeps would have the server collect what it is to be told without any limit.
        self._send(command([b"SUBSCRIBE", channel]))
        with contextlib.suppress(ServerError):  # not allowed; then it goes without
            self._answer()
        wanted = [part for prefix in prefixes for part in (b"PREFIX", prefix)]
        try:
            self._send(command([b"CLIENT", b"TRACKING", b"ON", b"BCAST", *wanted]))
            self._answer()
            self.ask()
            self._take(self._answer())
        except ServerError as error:
            raise (RefusedError if str(error).startswith(REFUSALS) else LostError)(str(error)) from error
        self._socket.settimeout(0)

    def _answer(self) -> Message:
        """Wait for the answer to a command and return it; messages before it came before the subscription."""
        while True:
            for message in self._reader.feed(self._received()):
                if message.kind in ERRORS:
                    raise ServerError(message.value.decode(errors="replace"))
                if message.kind != PUSH or message.value[0] == b"subscribe":
                    return message

    def _received(self) -> bytes:
        data = self._socket.recv(CHUNK)
        if not data:
            raise LostError("the server closed the connection")
        return data

    def _send(self, message: bytes) -> None:
        before = self._socket.gettimeout()
        self._socket.settimeout(PATIENCE)
        self._socket.sendall(message)
        self._socket.settimeout(before)

    def ask(self, interval: float = 0.0) -> None:
        """Ask whether all was told, unless it did so less than *interval* seconds ago or waits for the answer.

        Raises:
            LostError: the answer does not come.
        """
        now = self._clock()
        if self._waits:
            if now - self.asked > PATIENCE:
                raise LostError("the server does not answer")
        elif now - self.asked >= interval:
            self.asked = now
            self._waits = True
            self._send(self._question)

    def heard(self) -> Iterator[list[bytes] | None]:
        """Yield the names of the keys that changed, as far as that was told; None is all of them."""
        for _ in range(CHUNKS):
            try:
                data = self._received()
            except NOTHING_YET:
                return
            for message in self._reader.feed(data):
                if message.kind != PUSH:
                    self._take(message)
                elif message.value[0] == b"invalidate":
                    yield message.value[1]

    def _take(self, answer: Message) -> None:
        """Note what an answer proves; an error, as of a server that is busy with a script, proves nothing."""
        self._waits = False
        if answer.kind in ERRORS:
            return
        if self._clustered:
            # A replica is made a primary by a majority of the primaries, which agree on a new epoch before it takes
            # a write. One that is cut off from them says after its node timeout that the cluster is down.
            match = EPOCH.search(answer.value)
            epoch = match[1] if match else b""
            if self._epoch is None:
                self._epoch = epoch
            if epoch != self._epoch:
                raise LostError("the cluster has other primaries")
            if b"cluster_state:ok" not in answer.value:
                return
        self.proven = self.asked

    def close(self) -> None:
        """Close the connection; in a child that was forked, the parent's goes on."""
        self._connection.disconnect()

    __del__ = close
