"""Program ``sqlitedict-kv``, also ``python -m sqlitedict_kv``: its commands, a module each."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TextIO

WITHOUT_EXTRA = ("copy", "diagnose")  # those that need nothing but the library
EXTRA = ("click", "rich")
MISSING = (
    "sqlitedict-kv needs {name}, which is not installed: pip install 'sqlitedict-kv[cli]'. "
    "Without it there are 'copy' and 'diagnose' alone, see 'sqlitedict-kv copy --help'.\n"
)


def main() -> int:
    """Run the program with the arguments of the process; return its exit status."""
    return run(sys.argv[1:])


def run(arguments: list[str]) -> int:
    """Run the command that *arguments* name; return its exit status."""
    for stream in (sys.stdout, sys.stderr):
        _prepare(stream)
    if arguments and arguments[0] in WITHOUT_EXTRA:
        command = import_module(f"sqlitedict_kv.cli.{arguments[0]}")
        return int(command.main(arguments[1:]))
    try:
        program = import_module("sqlitedict_kv.cli.program")
    except ModuleNotFoundError as error:
        if error.name not in EXTRA:
            raise
        sys.stderr.write(MISSING.format(name=error.name))
        return 2
    return int(program.run(arguments))


def _prepare(stream: TextIO) -> None:
    """Write UTF-8 to files and pipes, and in no encoding fail for a character that it lacks."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:  # the streams of a test may be of another kind
        shown = stream.isatty() and os.name == "posix"
        reconfigure(encoding=None if shown else "utf-8", errors="backslashreplace")
