"""Helpers that run pieces of a test in real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from types import TracebackType
from typing import Self

import sqlitedict_kv

PACKAGE_PARENT = str(Path(sqlitedict_kv.__file__).resolve().parents[1])
PATIENCE = 60.0  # seconds until a worker that does not end is a failure


class Worker:
    """A process that runs Python code and talks with its parent by lines."""

    def __init__(
        self, code: str, *arguments: object, measured: bool = True, variables: Mapping[str, str] | None = None
    ) -> None:
        """Start *code*; it finds *arguments* in sys.argv[1:], *variables* in its environment, may `say` and `hear`."""
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", PROLOGUE + dedent(code), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(measured=measured) | (variables or {}),
        )

    def hear(self) -> str:
        """Return the next line that the process says; fail if it ends instead."""
        line = self._process.stdout.readline()
        if not line:
            self._process.wait(PATIENCE)
            raise AssertionError(f"worker ended ({self._process.returncode}): {self._process.stderr.read()}")
        return line.rstrip("\n")

    def say(self, line: object = "") -> None:
        """Send a line to the process."""
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def finish(self) -> list[str]:
        """Wait for the end of the process; return the lines it still said, or fail with its error."""
        out, err = self._process.communicate(timeout=PATIENCE)
        assert self._process.returncode == 0, f"worker failed ({self._process.returncode}): {err}"
        assert not err, err
        return out.splitlines()

    def kill(self) -> list[str]:
        """Kill the process at once and return the whole lines that it had said."""
        self._process.kill()
        out = self._process.stdout.read()  # not communicate(), which would pass by what hear() has in its buffer
        self._process.wait(PATIENCE)
        return [line.rstrip("\n") for line in out.splitlines(keepends=True) if line.endswith("\n")]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()


PROLOGUE = """
import os, sys
from sqlitedict_kv import *

def say(line=""):
    os.write(1, f"{line}\\n".encode())

def hear():
    return sys.stdin.readline().rstrip("\\n")

"""


def environment(*, measured: bool = True) -> dict[str, str]:
    """Return an environment in which the package under test can be imported, and its coverage measured."""
    variables = os.environ | {"PYTHONPATH": PACKAGE_PARENT, "PYTHONDONTWRITEBYTECODE": "1"}
    return {name: value for name, value in variables.items() if measured or not name.startswith("COVERAGE")}


def run(code: str, *arguments: object, measured: bool = True) -> list[str]:
    """Run code in a new process and return the lines that it says; fail with its error if it fails."""
    with Worker(code, *arguments, measured=measured) as worker:
        return worker.finish()


def take_interrupts() -> None:
    """Let a new process take SIGINT, which shells let the programs that they start in the background ignore."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def forked(work) -> int:
    """Call *work* in a forked child that ends at once; return its exit code: 0, or 1 if it raised."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException as error:
            os.write(2, f"child {os.getpid()}: {error!r}\n".encode())
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
