"""Retry of one call after an attempt failed."""

from __future__ import annotations

import time
from typing import NoReturn

from sqlitedict_kv.concurrency.backoff import Backoff
from sqlitedict_kv.concurrency.deadline import Deadline
from sqlitedict_kv.engines.valkey.client.error_mapping import (
    Verdict,
    code_of,
    error_text,
    redirection,
    translate,
    verdict_of,
)
from sqlitedict_kv.engines.valkey.client.pipeline import FailedAttempt
from sqlitedict_kv.engines.valkey.client.pool import Node
from sqlitedict_kv.engines.valkey.client.protocol import Call
from sqlitedict_kv.engines.valkey.client.redis_py import LostError
from sqlitedict_kv.engines.valkey.client.topology import Topology
from sqlitedict_kv.errors import OutcomeUnknownError, UnreachableError

BACKOFF = Backoff(0.005, 0.25)
REDIRECTIONS = 5  # in a row that are followed without a pause


class Retry:
    """Decides after each failed attempt of a call whether and where it is sent again."""

    def __init__(
        self, topology: Topology, label: str, call: Call, deadline: Deadline, *, doubtful: bool = False
    ) -> None:
        """Begin where the slot is served; *doubtful* says that an attempt before may have been executed."""
        self.target: Node | None = None  # None: where the slot is served
        self.asking = False  # the next attempt begins with ASKING
        self.source = False  # the next attempt brings the source of its script
        self._deadline = deadline
        self._topology = topology
        self._label = label
        self._call = call
        self._begun = time.monotonic()  # of the attempt that is made
        self._doubtful = doubtful
        self._redirections = 0

    def after(self, failure: FailedAttempt, node: Node) -> None:
        """Prepare the next attempt after one at *node*.

        Raises an error of ours if another would not help, or if the time is up.
        """
        error = failure.error
        verdict = verdict_of(error)
        if verdict is Verdict.FATAL:
            self._raise_fatal(error)
        target, self.target, self.asking = self.target, None, False
        if verdict is Verdict.SOURCE and not self.source:
            self.source, self.target = True, target
        elif verdict in (Verdict.MOVED, Verdict.ASK):
            self._follow(error, node, once=verdict is Verdict.ASK)
        else:
            lost = verdict is Verdict.LOST and failure.sent
            self._doubtful |= lost and self._call.writes
            if isinstance(error, LostError):
                node.drop()
            if not (lost and failure.reused):
                self._pause(error)
            self._topology.relocate(node, self._begun, self._deadline.remaining())
        if not self._deadline.remaining():
            self._give_up(error)
        self._begun = time.monotonic()

    def _follow(self, error: Exception, node: Node, *, once: bool) -> None:
        """Go where a server of a cluster sends us."""
        if not self._topology.clustered:
            self._raise_fatal(error)
        self._redirections += 1
        if self._redirections > REDIRECTIONS:
            self._pause(error)
        endpoint = redirection(error, node.host)
        if endpoint is None:
            self._topology.relocate(node, self._begun, self._deadline.remaining())
            return
        self._topology.detour()
        self.target = self._topology.node_at(*endpoint)
        self.asking = once
        if not once:
            self._topology.moved(self._call.slot, self.target)

    def _pause(self, error: Exception) -> None:
        if not self._deadline.pause():
            self._give_up(error)

    def _raise_fatal(self, error: Exception) -> NoReturn:
        """Raise what an error means; an attempt before may have been executed all the same."""
        if self._doubtful:
            raise OutcomeUnknownError(
                f"{self._label}: no server says whether the write was done, as an answer was lost "
                f"and then: {translate(error, self._label)}"
            ) from error
        raise translate(error, self._label) from error

    def _give_up(self, error: Exception) -> NoReturn:
        if self._doubtful:
            raise OutcomeUnknownError(
                f"{self._label}: no server answered within {self._deadline.timeout:g} s after a write was sent; it was "
                f"done, or it was not: read before you write again (last error: {error_text(error)})"
            ) from error
        if code_of(error) == "NOREPLICAS":
            raise translate(error, self._label) from error
        done = "nothing was written; " if self._call.writes else ""
        raise UnreachableError(
            f"{self._label}: no server answered within {self._deadline.timeout:g} s; {done}see whether it runs and "
            f"can be reached, or open the store with a larger timeout (last error: {error_text(error)})"
        ) from error
