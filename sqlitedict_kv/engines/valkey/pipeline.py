"""The calls that go to one server together: all are sent, then all replies are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlitedict_kv.engines.valkey.driver import DRIVER_ERRORS, ResponseError, SlowError, Socket
from sqlitedict_kv.engines.valkey.node import Node
from sqlitedict_kv.engines.valkey.wire import sendable

SLOWEST = 10 * 2**20  # bytes a second that a server is trusted to take in, beyond its time for a small call


class Missed(NamedTuple):
    """What stands in the place of a reply that did not come."""

    error: Exception
    sent: bool  # the call may have reached the server
    reused: bool  # the connection was used before, so it may have been closed long ago


class Pipeline:
    """Messages on a connection that nobody else has meanwhile; it is given back only if every reply was read."""

    def __init__(self, node: Node, messages: Sequence[bytes], *, within: float) -> None:
        """Take a server, and the seconds that it may take for one small call."""
        self.node = node
        self._messages = messages
        self._within = within
        self._connection: Socket | None = None
        self._missed: Missed | None = None
        self._reused = False

    def send(self) -> None:
        """Send everything; what goes wrong is found again in the place of the replies."""
        self._reused = bool(self.node.free)
        try:
            self._connection = self.node.take()
        except DRIVER_ERRORS as error:
            self._missed = Missed(error, sent=False, reused=False)
            return
        try:
            self._connection.send_packed_command(sendable(self._messages), check_health=False)
        except DRIVER_ERRORS as error:
            self._lose(error)

    def receive(self, *, last_within: float = 0) -> list[Any]:
        """Return a reply for each message, a ResponseError or a Missed in its place where there is none.

        Args:
            last_within: seconds for the last reply, where those of a small call are too few.
        """
        replies: list[Any] = []
        connection = self._connection
        spare = sum(map(len, self._messages)) / SLOWEST
        within = self._within + spare if spare > self._within else 0
        last = len(self._messages) - 1
        try:
            for number in range(len(self._messages) if connection else 0):
                assert connection is not None
                if number == last and last_within:
                    within = self._within + last_within
                replies.append(_reply(connection, within))
                within = 0
        except DRIVER_ERRORS as error:
            self._lose(error)
        if self._missed:
            replies += [self._missed] * (len(self._messages) - len(replies))
        elif connection:
            self._connection = None
            self.node.free.append(connection)
        return replies

    def _lose(self, error: Exception) -> None:
        self._missed = Missed(error, sent=True, reused=self._reused)
        self.abandon()

    def abandon(self) -> None:
        """Close the connection if not every reply was read: the next call would take one for its own."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()


def _reply(connection: Socket, within: float) -> Any:
    """Return the next reply; *within* so many seconds where the socket's own are too few."""
    if within and not connection.can_read(timeout=within):
        raise SlowError("the server did not answer in time")
    try:
        return connection.read_response(disable_decoding=True)
    except ResponseError as error:
        return error
