"""Command ``diagnose``, which needs no extra; the function is :func:`sqlitedict_kv.diagnose`."""

from __future__ import annotations

import sys

from sqlitedict_kv.cli.exit_status import FAILED, WRONG_ARGUMENTS
from sqlitedict_kv.cli.printable import LINES, printable
from sqlitedict_kv.tools.diagnose import diagnose

SUMMARY = "Describe a file, its problems and how to solve them."
USAGE = "usage: sqlitedict-kv diagnose STORE\n"
HELP = f"""{USAGE}
{SUMMARY} It may be in use, damaged, another application's or missing.
All of it is read, and nothing is changed. The exit status is 1 if something is wrong with it.

example:
  sqlitedict-kv diagnose app.db
"""


def main(arguments: list[str]) -> int:
    """Print the diagnosis; return 0 if nothing is wrong, 1 if something is, 2 for wrong arguments."""
    if arguments[:1] in (["-h"], ["--help"]):
        sys.stdout.write(HELP)
        return 0
    if len(arguments) != 1:
        sys.stderr.write(USAGE)
        return WRONG_ARGUMENTS
    try:
        found = diagnose(arguments[0])
    except ValueError as error:
        sys.stderr.write(f"{printable(str(error))}\n")
        return WRONG_ARGUMENTS
    sys.stdout.write(f"{printable(str(found), kept=LINES)}\n")
    return 0 if found.ok else FAILED
