"""Command ``python -m sqlitedict_kv diagnose``; the function is :func:`sqlitedict_kv.diagnose`."""

from __future__ import annotations

import sys

from sqlitedict_kv.tools.diagnose import diagnose

USAGE = "usage: python -m sqlitedict_kv diagnose FILE\n"


def main(arguments: list[str]) -> int:
    """Print the diagnosis; return 0 if nothing is wrong, 1 if something is, 2 for wrong arguments."""
    if len(arguments) != 1 or arguments[0] in ("-h", "--help"):
        sys.stderr.write(USAGE)
        return 2
    try:
        found = diagnose(arguments[0])
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{found}\n")
    return 0 if found.ok else 1
