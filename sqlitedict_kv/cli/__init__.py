"""Commands of ``python -m sqlitedict_kv``, a module each."""

from __future__ import annotations

import sys
from importlib import import_module

COMMANDS = ("copy", "diagnose")
USAGE = """usage: python -m sqlitedict_kv COMMAND ...

commands:
  copy      copy the entries of a store to another one
  diagnose  describe a file, its problems and how to solve them

'python -m sqlitedict_kv COMMAND --help' describes a command.
"""


def run(arguments: list[str]) -> int:
    """Run the command that *arguments* name; return its exit status, 2 for wrong arguments."""
    if arguments[:1] in (["-h"], ["--help"]):
        sys.stdout.write(USAGE)
        return 0
    if not arguments or arguments[0] not in COMMANDS:
        sys.stderr.write(USAGE)
        return 2
    status: int = import_module(f"sqlitedict_kv.cli.{arguments[0]}").main(arguments[1:])
    return status
