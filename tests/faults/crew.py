"""The processes of a campaign: forked from a server that has imported what they need, heard of, and killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, Self

from tests.faults.campaign import FaultError, UnavailableError

PATIENCE = 120.0  # seconds until a process that says nothing is a failure
# Imported once, by the server, so that a process costs a few milliseconds.
PRELOADED = ["__main__", "sqlitedict_kv", "tests.faults.registry"]


class Hand:
    """One process, seen from the campaign."""

    def __init__(self, process: Any, end: Connection) -> None:
        self.process = process
        self.end = end

    def hear(self, patience: float = PATIENCE) -> Any:
        """Return the next thing that the process says; raise FaultError if it fails, ends or hangs instead."""
        if not self.end.poll(patience):
            raise FaultError(f"process {self.process.pid} said nothing for {patience:g} s")
        try:
            kind, said = self.end.recv()
        except (EOFError, ConnectionResetError):
            self.process.join(PATIENCE)
            raise FaultError(f"a process ended by itself, with code {self.process.exitcode}") from None
        if kind == "fault":
            raise FaultError(said)
        if kind == "failed":
            raise FaultError(f"a process failed: {said}")
        return said

    def say(self, what: Any) -> None:
        """Send something to the process."""
        self.end.send(what)

    def kill(self) -> None:
        """Kill the process at this instant and wait for its end."""
        signal_at_once([self])
        self.process.join(PATIENCE)
        self.end.close()

    def finish(self) -> None:
        """Wait until the process has ended in peace; raise FaultError if it does not."""
        self.process.join(PATIENCE)
        if self.process.exitcode != 0:
            raise FaultError(f"a process ended with code {self.process.exitcode}")
        self.end.close()


def signal_at_once(hands: list[Hand], what: int = getattr(signal, "SIGKILL", signal.SIGTERM)) -> None:
    """Send a signal to all of them, one right after the other."""
    for hand in hands:
        with suppress(ProcessLookupError):
            os.kill(hand.process.pid, what)


class Crew:
    """All processes of a round; they are dead when it is over."""

    def __init__(self) -> None:
        """Start the server if it does not run yet."""
        if "forkserver" not in multiprocessing.get_all_start_methods():
            raise UnavailableError("needs fork and kill -9, which this system does not have")
        from multiprocessing import forkserver  # there is none on Windows

        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOADED)
        # Who is killed cannot write what coverage found; and a tracer would change when things happen.
        hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("COVERAGE")}
        try:
            forkserver.ensure_running()
        finally:
            os.environ.update(hidden)
        self._hands: list[Hand] = []

    def start(self, work: Callable[..., None], *arguments: Any) -> Hand:
        """Run ``work(voice, *arguments)`` in a new process; *voice* has `say` and `hear`."""
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_run, args=(work, theirs, arguments))
        process.start()
        theirs.close()
        hand = Hand(process, ours)
        self._hands = [other for other in self._hands if not other.end.closed] + [hand]
        return hand

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        alive = [hand for hand in self._hands if not hand.end.closed]
        signal_at_once(alive)
        for hand in alive:
            hand.kill()


class Voice:
    """The campaign, seen from one of its processes."""

    def __init__(self, end: Connection) -> None:
        self._end = end

    def say(self, what: Any) -> None:
        """Tell the campaign something."""
        self._end.send(("said", what))

    def hear(self) -> Any:
        """Return what the campaign says next."""
        return self._end.recv()

    def is_spoken_to(self) -> bool:
        """Return whether `hear` would return at once."""
        return self._end.poll(0)


def _run(work: Callable[..., None], end: Connection, arguments: tuple[Any, ...]) -> None:
    try:
        work(Voice(end), *arguments)
    except FaultError as error:
        end.send(("fault", str(error)))
        os._exit(1)
    except BaseException as error:
        with suppress(OSError):  # the campaign may be over
            end.send(("failed", "".join(traceback.format_exception(error))))
        os._exit(1)


def first_failure(hands: list[Hand], seconds: float) -> None:
    """Wait for some time; raise FaultError as soon as one of them fails or ends."""
    deadline = time.monotonic() + seconds
    by_end = {hand.end: hand for hand in hands}
    while (left := deadline - time.monotonic()) > 0:
        for end in wait(list(by_end), left):
            by_end[end].hear()


class Acks:
    """A file in which a process notes what it was acknowledged, and which outlives it."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, line: str) -> None:
        """Add a line: in the hands of the system when this returns, whatever happens to the process."""
        os.write(self._file, f"{line}\n".encode())


def noted(path: str) -> list[str]:
    """Return the whole lines of such a file."""
    try:
        with open(path, encoding="utf-8") as file:
            return [line[:-1] for line in file if line.endswith("\n")]
    except FileNotFoundError:
        return []
