"""Pipeline of calls to one server: all are sent, then all replies are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlitedict_kv.engines.valkey.client.pool import Node
from sqlitedict_kv.engines.valkey.client.protocol import sendable
from sqlitedict_kv.engines.valkey.client.redis_py import DRIVER_ERRORS, ResponseError, SlowError, Socket

SLOWEST = 10 * 2**20  # bytes a second that a server is trusted to take in, beyond its time for a small call


class FailedAttempt(NamedTuple):
    """What stands in the place of a reply that did not come, or that is an error."""

    error: Exception
    sent: bool = True  # the call may have reached the server
    reused: bool = False  # the connection was used before, so it may have been closed long ago


class Pipeline:
    """Messages on a connection of its own; it goes back to the pool only if every reply was read."""

    def __init__(self, node: Node, messages: Sequence[bytes], *, within: float, waits: float = 0) -> None:
        """Take a server and what it is sent.

        Args:
            node: the server.
            messages: one or more commands, packed.
            within: the seconds that a connection waits for a reply by itself.
            waits: the last message is a WAIT for so many seconds.
        """
        self.node = node
        self._messages = messages
        self._within = within
        self._waits_for = waits
        self._connection: Socket | None = None
        self._missed: FailedAttempt | None = None
        self._reused = False

    def send(self) -> None:
        """Send everything; what goes wrong stands in the place of the replies."""
        self._reused = bool(self.node.free)
        try:
            self._connection = self.node.take()
        except DRIVER_ERRORS as error:
            self._missed = FailedAttempt(error, sent=False)
            return
        try:
            self._connection.send_packed_command(sendable(self._messages), check_health=False)
        except DRIVER_ERRORS as error:
            self._lose(error)

    def receive(self) -> list[Any]:
        """Return what came for each message: its reply, or a FailedAttempt."""
        replies: list[Any] = []
        connection = self._connection
        if connection is not None:
            try:
                for number, within in enumerate(self._timeouts()):
                    if self._waits_for and number == len(self._messages) - 1 and all_failed(replies):
                        return self._unawaited(replies)
                    replies.append(_reply(connection, within))
            except DRIVER_ERRORS as error:
                self._lose(error)
            else:
                self._connection = None
                self.node.free.append(connection)
        return replies + [self._missed] * (len(self._messages) - len(replies))

    def _timeouts(self) -> list[float]:
        """Return the seconds that each reply may take, 0 where the connection's own do."""
        seconds = [0.0] * len(self._messages)
        spare = sum(map(len, self._messages)) / SLOWEST
        if spare > 1:
            seconds[0] = self._within + spare
        if self._waits_for:
            seconds[-1] = self._within + self._waits_for
        return seconds

    def _unawaited(self, replies: list[Any]) -> list[Any]:
        """Return replies that are all errors: nothing was written, so there is nothing to confirm."""
        self.abandon()
        return [*replies, None]

    def _lose(self, error: Exception) -> None:
        self._missed = FailedAttempt(error, reused=self._reused)
        self.abandon()

    def abandon(self) -> None:
        """Close the connection unless every reply was read: the next call would take one for its own."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()


def exchange(pipelines: Sequence[Pipeline]) -> list[list[Any]]:
    """Return what came through each pipeline; all are sent before one is read, so that the servers work at once."""
    try:
        for pipeline in pipelines:
            pipeline.send()
        return [pipeline.receive() for pipeline in pipelines]
    except BaseException:  # such as an interrupt
        for pipeline in pipelines:
            pipeline.abandon()
        raise


def all_failed(replies: Sequence[Any]) -> bool:
    """Return whether no reply is one."""
    return all(isinstance(reply, FailedAttempt) for reply in replies)


def _reply(connection: Socket, within: float) -> Any:
    """Return the next reply, which may take so many seconds; 0 is what the connection allows."""
    if within and not connection.can_read(timeout=within):
        raise SlowError("the server did not answer in time")
    try:
        return connection.read_response(disable_decoding=True)
    except ResponseError as error:
        return FailedAttempt(error)
