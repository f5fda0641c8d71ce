"""Program ``sqlitedict-kv``, also ``python -m sqlitedict_kv``: its commands, a module each."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import TextIO

STANDARD_INPUT, STANDARD_OUTPUT, STANDARD_ERROR = 0, 1, 2
CANNOT_PRINT = (errno.EBADF, errno.ENOSPC, errno.EPIPE, errno.EIO)  # closed, full, without a reader, gone
WITHOUT_EXTRA = ("copy", "diagnose")  # those that need nothing but the library
EXTRA = ("click", "rich")
MISSING = (
    "sqlitedict-kv needs {name}, which is not installed: pip install 'sqlitedict-kv[cli]'. "
    "Without it there are 'copy' and 'diagnose' alone, see 'sqlitedict-kv copy --help'.\n"
)


def main() -> int:
    """Run the program with the arguments of the process; return its exit status."""
    _open_closed_streams()
    return run(sys.argv[1:])


def run(arguments: list[str]) -> int:
    """Run the command that *arguments* name; return its exit status."""
    for stream in (sys.stdout, sys.stderr):
        _prepare(stream)
    if arguments and arguments[0] in WITHOUT_EXTRA:
        command = import_module(f"sqlitedict_kv.cli.{arguments[0]}")
        return _print_all(lambda: int(command.main(arguments[1:])))
    try:
        program = import_module("sqlitedict_kv.cli.program")
    except ModuleNotFoundError as error:
        if error.name not in EXTRA:
            raise
        sys.stderr.write(MISSING.format(name=error.name))
        return 2
    return int(program.run(arguments))


def _open_closed_streams() -> None:
    """Let there be standard streams, as after ``>&-`` Python has None, and SQLite would get their descriptors.

    Input is empty, errors are lost, and to print anything fails as it does for every other program.
    """
    if None not in (sys.stdin, sys.stdout, sys.stderr):
        return
    while (opened := os.open(os.devnull, os.O_RDWR)) <= STANDARD_ERROR:  # always the lowest that is closed
        pass
    os.close(opened)
    sys.stdin = sys.stdin or open(STANDARD_INPUT, encoding="utf-8")  # noqa: SIM115 - open as long as the process
    sys.stderr = sys.stderr or open(STANDARD_ERROR, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stdout is None:
        os.dup2(os.open(os.devnull, os.O_RDONLY), STANDARD_OUTPUT)
        sys.stdout = open(STANDARD_OUTPUT, "w", encoding="utf-8")  # noqa: SIM115


def _print_all(command: Callable[[], int]) -> int:
    """Run a command that prints; return its exit status, which says if that fails."""
    try:
        status = command()
        sys.stdout.flush()
    except OSError as error:
        if error.errno not in CANNOT_PRINT:
            raise
        sys.stderr.write(f"{error.strerror}\n")
        give_up_output()
        return 1
    return status


def give_up_output() -> bool:
    """Let nothing be written any more to a standard output that takes nothing; return whether that is possible."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        return False
    return True


def _prepare(stream: TextIO) -> None:
    """Write UTF-8 to files and pipes, and in no encoding fail for a character that it lacks."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:  # the streams of a test may be of another kind
        shown = stream.isatty() and os.name == "posix"
        reconfigure(encoding=None if shown else "utf-8", errors="backslashreplace")
