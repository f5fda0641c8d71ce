"""The way to the servers: calls are sent, followed where they are sent on, and repeated until their time is up."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from sqlitedict_kv.engines.valkey.course import Course
from sqlitedict_kv.engines.valkey.driver import DRIVER_ERRORS, ResponseError, SlowError, Socket
from sqlitedict_kv.engines.valkey.failures import said
from sqlitedict_kv.engines.valkey.node import Node
from sqlitedict_kv.engines.valkey.patience import Patience
from sqlitedict_kv.engines.valkey.routes import Routes
from sqlitedict_kv.engines.valkey.wire import LARGE, Call, Endpoint, command, packed, sendable
from sqlitedict_kv.errors import NotConfirmedError, StoreClosedError

SLOWEST = 10 * 2**20  # bytes a second that a server is trusted to take in, beyond its time for a small call
ASKING = command([b"ASKING"])


class ServerLink:
    """Sends calls to servers by redis-py's connections; see :class:`sqlitedict_kv.engines.valkey.wire.Link`."""

    def __init__(
        self, routes: Routes, label: str, *, timeout: float, attempt: float, confirm: int, release: Callable[[], None]
    ) -> None:
        """Take the routes; *timeout* is for a call with all its attempts, *attempt* for one of them, in seconds."""
        self.label = label
        self.clustered = routes.clustered
        self.confirm = confirm
        self._routes = routes
        self._timeout = timeout
        self._attempt = attempt
        self._release = release
        self._closed = False

    # -- calls

    def one(self, call: Call) -> Any:
        """Return the reply of one call."""
        # Flat, without Patience and _ask: they would add XX to the YY us of a GET.
        since = time.monotonic()
        node = self._routes.slots[call.slot]
        message = packed(call)
        if len(message) > LARGE or (self.confirm and call.writes):
            return self._persist(call, Patience(self._timeout))
        try:
            connection = node.free.pop()
        except IndexError:
            return self._persist(call, Patience(self._timeout))
        try:
            connection.send_packed_command([message], check_health=False)
            reply = connection.read_response(disable_decoding=True)
        except ResponseError as error:
            node.free.append(connection)
            failure: Exception = error
        except DRIVER_ERRORS as error:
            connection.disconnect()
            failure = error
        except BaseException:  # an interrupt: the reply would be taken for that of the next call
            connection.disconnect()
            raise
        else:
            node.free.append(connection)
            return reply
        return self._persist(call, Patience(self._timeout, since), failure, node)

    def many(self, calls: Sequence[Call]) -> list[Any]:
        """Return the replies of calls in order; every server gets one pipeline, and all get theirs before one is read.

        Raises the first error after every call was sent; the others may have been executed.
        """
        bulk = Bulk(calls, Patience(self._timeout))
        while bulk.pending:
            missed = self._exchange(bulk)
            # One call of each server waits until that serves again; then the others go out together once more.
            for number, (node, miss) in missed.items():
                if bulk.goes_alone(node, miss):
                    bulk.answer(number, self._persist(calls[number], bulk.patience, miss, node))
        bulk.check_confirmed()
        return bulk.replies

    def everywhere(self, command: Sequence[bytes]) -> list[Any]:
        """Return the reply of each primary."""
        slots = list(self._routes.primaries().values())
        return [self.one(Call(slot, None, command, writes=False)) for slot in slots]

    # -- for who listens to the servers

    @property
    def changes(self) -> int:
        """Another number as soon as calls for any slot go to another server."""
        return self._routes.changes

    @property
    def detours(self) -> int:
        """Another number before a call goes where :meth:`endpoints` may not say."""
        return self._routes.detours

    def endpoints(self) -> frozenset[Endpoint]:
        """Return where writes go, as far as is known; nobody is asked."""
        return self._routes.endpoints()

    def refresh(self) -> None:
        """Ask the servers where writes go; raise what the driver raises."""
        self._routes.refresh()

    def listener(self, endpoint: Endpoint) -> Socket:
        """Return a new connection by RESP3; raise what the driver raises."""
        return self._routes.listener(endpoint)

    # -- attempts

    def _persist(
        self, call: Call, patience: Patience, failure: Exception | None = None, node: Node | None = None
    ) -> Any:
        """Return the reply of a call that may have failed with *failure* at *node* already."""
        course = Course(self._routes, self.label, call, patience)
        if failure is not None and node is not None:
            course.failed(failure, node, reused=True)
        while True:
            if self._closed:
                raise StoreClosedError(f"{self.label}: the store is closed")
            node = course.target or self._routes.slots[call.slot]
            reused = bool(node.free)
            try:
                connection = node.take()
            except DRIVER_ERRORS as error:
                course.failed(error, node, sent=False)
                continue
            try:
                return self._ask(connection, node, call, course)
            except DRIVER_ERRORS as error:
                course.failed(error, node, reused=reused)

    def _ask(self, connection: Socket, node: Node, call: Call, course: Course) -> Any:
        """Return the reply to one attempt; the connection is given back only if it is in step."""
        message = packed(call, source=course.source)
        confirm = self.confirm if call.writes else 0
        messages = [ASKING, message] if course.asking else [message]
        milliseconds = max(1, int(course.patience.remaining() * 1000))  # 0 would be for ever
        if confirm:
            messages.append(command([b"WAIT", b"%d" % confirm, b"%d" % milliseconds]))
        replies: list[Any] = []
        try:
            connection.send_packed_command(sendable(messages), check_health=False)
            for number in range(len(messages)):
                if number == 0:
                    spare = len(message) / SLOWEST
                else:
                    spare = milliseconds / 1000 if confirm and number == len(messages) - 1 else 0
                replies.append(reply_of(connection, self._attempt + spare if spare else 0))
        except BaseException:
            connection.disconnect()
            raise
        node.free.append(connection)
        reply = replies[1] if course.asking else replies[0]
        if isinstance(reply, ResponseError):
            raise reply
        if confirm:
            self._check(replies[-1])
        return reply

    def _check(self, confirmed: Any) -> None:
        """Raise unless enough replicas have what was written."""
        if isinstance(confirmed, ResponseError):
            raise NotConfirmedError(
                f"{self.label}: the write was done, but not confirmed (the server says: {said(confirmed)})"
            ) from confirmed
        if confirmed < self.confirm:
            raise NotConfirmedError(
                f"{self.label}: the write was done, and {confirmed} of {self.confirm} replicas confirmed it within "
                f"{self._timeout:g} s; a failover may lose it"
            )

    def close(self) -> None:
        """Close the connections that are ours."""
        if not self._closed:
            self._closed = True
            self._routes.close()
            self._release()


def reply_of(connection: Socket, within: float) -> Any:
    """Return the next reply, an error of the server as an object; *within* seconds where the socket's own are too few."""
    if within and not connection.can_read(timeout=within):
        raise SlowError("the server did not answer in time")
    try:
        return connection.read_response(disable_decoding=True)
    except ResponseError as error:
        return error
