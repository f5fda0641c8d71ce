"""Client of the servers: sends calls, follows redirections, and retries until the deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlitedict_kv.concurrency.deadline import Deadline
from sqlitedict_kv.display.cell import advice, running_cell
from sqlitedict_kv.engines.valkey.client.error_mapping import error_text, is_redirection
from sqlitedict_kv.engines.valkey.client.pipeline import FailedAttempt, Pipeline, exchange
from sqlitedict_kv.engines.valkey.client.pool import Node
from sqlitedict_kv.engines.valkey.client.protocol import LARGE, Call, Endpoint, command, pack
from sqlitedict_kv.engines.valkey.client.redis_py import DRIVER_ERRORS, ResponseError, Socket
from sqlitedict_kv.engines.valkey.client.retry import BACKOFF, Retry
from sqlitedict_kv.engines.valkey.client.topology import Topology
from sqlitedict_kv.errors import NotConfirmedError, StoreClosedError

ASKING = command([b"ASKING"])


class ServerClient:
    """Sends calls to servers by redis-py's connections; a ``Link`` of :mod:`.protocol`."""

    def __init__(
        self,
        topology: Topology,
        label: str,
        *,
        timeout: float,
        attempt: float,
        confirm: int,
        release: Callable[[], None],
    ) -> None:
        """Take the topology; *timeout* is for a call with all its attempts, *attempt* for one of them, in seconds."""
        self.label = label
        self.clustered = topology.clustered
        self.confirm = confirm
        self._topology = topology
        self._timeout = timeout
        self._attempt = attempt
        self._release = release
        self._closed = False
        self._cell = running_cell()

    def one(self, call: Call) -> Any:
        """Return the reply of one call."""
        # Flat, without Retry and Pipeline: they would add 4 to the 25 us of a GET on the loopback.
        since = time.monotonic()
        node = self._topology.slots[call.slot]
        message = pack(call)
        if len(message) > LARGE or (self.confirm and call.writes):
            return self._persist(call, Deadline(self._timeout, BACKOFF))
        try:
            connection = node.free.pop()
        except IndexError:
            return self._persist(call, Deadline(self._timeout, BACKOFF))
        try:
            connection.send_packed_command([message], check_health=False)
            reply = connection.read_response(disable_decoding=True)
        except ResponseError as error:
            node.free.append(connection)
            failure = FailedAttempt(error)
        except DRIVER_ERRORS as error:
            connection.disconnect()
            failure = FailedAttempt(error, reused=True)
        except BaseException:  # an interrupt: the reply would be taken for that of the next call
            connection.disconnect()
            raise
        else:
            node.free.append(connection)
            return reply
        return self._persist(call, Deadline(self._timeout, BACKOFF, since=since), failure, node)

    def many(self, calls: Sequence[Call]) -> list[Any]:
        """Return the replies of calls in order; every server gets one pipeline, and all get theirs before one is read.

        Raises the first error; other calls were made all the same, or not.
        """
        deadline = Deadline(self._timeout, BACKOFF)
        replies: list[Any] = [None] * len(calls)
        pending: Sequence[int] = range(len(calls))
        doubtful: set[int] = set()  # those that an attempt without an answer may have executed
        unconfirmed: list[NotConfirmedError] = []
        while pending:
            self._check_open()
            again: list[int] = []
            for node, numbers, answers in self._exchange(calls, pending, deadline, unconfirmed):
                waited = False
                for number, answer in zip(numbers, answers, strict=True):
                    if not isinstance(answer, FailedAttempt):
                        replies[number] = answer
                    elif waited:
                        # The first one has waited until the server serves; the others go out together again.
                        again.append(number)
                        if answer.sent and not isinstance(answer.error, ResponseError):
                            doubtful.add(number)
                    else:
                        waited = not is_redirection(answer.error)
                        try:
                            replies[number] = self._persist(
                                calls[number], deadline, answer, node, doubtful=number in doubtful
                            )
                        except NotConfirmedError as error:
                            unconfirmed.append(error)
            pending = again
        if unconfirmed:
            raise unconfirmed[0]
        return replies

    def on_every_server(self, command: Sequence[bytes]) -> list[Any]:
        """Return the reply of each primary."""
        slots = list(self._topology.primaries().values())
        return self.many([Call(slot, None, command, writes=False) for slot in slots])

    # -- for the feed of invalidations

    @property
    def changes(self) -> int:
        """Another number as soon as calls for any slot go to another server."""
        return self._topology.changes

    @property
    def detours(self) -> int:
        """Another number before a call goes where :meth:`endpoints` may not say."""
        return self._topology.detours

    def endpoints(self) -> frozenset[Endpoint]:
        """Return where writes go, as far as is known; no server is asked."""
        return self._topology.endpoints()

    def refresh(self) -> None:
        """Ask the servers where writes go; raise what the driver raises."""
        self._topology.refresh()

    def listener(self, endpoint: Endpoint) -> Socket:
        """Return a new connection by RESP3; raise what the driver raises."""
        return self._topology.listener(endpoint)

    def close(self) -> None:
        """Close the connections that are ours."""
        if not self._closed:
            self._closed = True
            self._topology.close()
            self._release()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosedError(f"{self.label}: the store is closed{advice(self._cell)}")

    # -- attempts

    def _persist(
        self,
        call: Call,
        deadline: Deadline,
        failure: FailedAttempt | None = None,
        node: Node | None = None,
        *,
        doubtful: bool = False,
    ) -> Any:
        """Return the reply of a call that may have failure it at *node* already."""
        retry = Retry(self._topology, self.label, call, deadline, doubtful=doubtful)
        while True:
            self._check_open()
            if failure is not None:
                assert node is not None
                retry.after(failure, node)
            node = retry.target or self._topology.slots[call.slot]
            message = pack(call, source=retry.source)
            reply, failure = self._try_once(node, [ASKING, message] if retry.asking else [message], call, deadline)
            if failure is None:
                return reply

    def _try_once(
        self, node: Node, messages: list[bytes], call: Call, deadline: Deadline
    ) -> tuple[Any, FailedAttempt | None]:
        """Return the reply of one attempt, or what stands in its place."""
        confirming = bool(self.confirm and call.writes)
        ((*answers,),) = exchange([self._pipeline(node, messages, deadline, confirming=confirming)])
        confirmed = answers.pop() if confirming else None
        reply = answers[-1]
        if isinstance(reply, FailedAttempt):
            return None, reply
        if isinstance(confirmed, FailedAttempt) and not isinstance(confirmed.error, ResponseError):
            return None, confirmed
        if confirming:
            self._check(confirmed)
        return reply, None

    def _pipeline(self, node: Node, messages: list[bytes], deadline: Deadline, *, confirming: bool) -> Pipeline:
        if not confirming:
            return Pipeline(node, messages, within=self._attempt)
        milliseconds = max(1, int(deadline.remaining() * 1000))  # 0 would be without limit
        wait = command([b"WAIT", b"%d" % self.confirm, b"%d" % milliseconds])
        return Pipeline(node, [*messages, wait], within=self._attempt, waits=milliseconds / 1000)

    def _exchange(
        self, calls: Sequence[Call], pending: Sequence[int], deadline: Deadline, unconfirmed: list[NotConfirmedError]
    ) -> Iterator[tuple[Node, list[int], list[Any]]]:
        """Yield each server, the numbers of the calls that went there, and what came for them."""
        by_node: dict[Node, list[int]] = {}
        for number in pending:
            by_node.setdefault(self._topology.slots[calls[number].slot], []).append(number)
        confirming = {
            node: bool(self.confirm) and any(calls[number].writes for number in numbers)
            for node, numbers in by_node.items()
        }
        came = exchange(
            [
                self._pipeline(node, [pack(calls[number]) for number in numbers], deadline, confirming=confirming[node])
                for node, numbers in by_node.items()
            ]
        )
        for (node, numbers), answers in zip(by_node.items(), came, strict=True):
            if confirming[node]:
                confirmed = answers.pop()
                if confirmed is None:
                    pass  # not one of them was a success
                elif isinstance(confirmed, FailedAttempt) and not isinstance(confirmed.error, ResponseError):
                    answers[:] = [confirmed] * len(numbers)  # which replicas have them is unknown: all are sent again
                else:
                    try:
                        self._check(confirmed)
                    except NotConfirmedError as error:
                        unconfirmed.append(error)
            yield node, numbers, answers

    def _check(self, confirmed: Any) -> None:
        """Raise unless enough replicas have what was written."""
        if isinstance(confirmed, FailedAttempt):
            raise NotConfirmedError(
                f"{self.label}: the write was done and not confirmed (the server says: {error_text(confirmed.error)})"
            ) from confirmed.error
        if confirmed < self.confirm:
            raise NotConfirmedError(
                f"{self.label}: the write was done, and {confirmed} of {self.confirm} replicas confirmed it within "
                f"{self._timeout:g} s; a failover may lose it"
            )
