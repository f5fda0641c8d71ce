"""Command ``check``: the search for damage."""

from __future__ import annotations

import sys

import click

from sqlitedict_kv.cli.exit_status import FAILED
from sqlitedict_kv.cli.opening import open_store
from sqlitedict_kv.cli.parameters import examples, json_option, store_argument
from sqlitedict_kv.cli.printable import printable
from sqlitedict_kv.cli.progress import show_progress
from sqlitedict_kv.cli.table import print_json
from sqlitedict_kv.display.figures import counted


@click.command(epilog=examples("sqlitedict-kv check app.db && sqlitedict-kv backup app.db app.backup"))
@store_argument
@json_option
def command(store: str, as_json: bool) -> int:  # noqa: FBT001 - click passes by name
    """Read all of STORE and print what is damaged: pages, checksums, values that do not decode.

    The exit status is 1 if something is. 'diagnose' tells more about a file, one that cannot be opened included.
    """
    with open_store(store) as opened, show_progress("check") as advance:
        report = opened.check(progress=advance)
    if as_json:
        print_json(report._asdict())
    else:
        sys.stdout.writelines(f"{printable(problem)}\n" for problem in report.problems)
        unchecked = f", {report.unchecked:,} of them without a checksum" if report.unchecked else ""
        found = f"{counted(len(report.problems), 'problem', 'problems')}" if report.problems else "no damage"
        sys.stdout.write(f"{counted(report.entries)} read{unchecked}: {found}\n")
    return 0 if report.ok else FAILED
