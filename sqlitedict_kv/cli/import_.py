"""Command ``import``: entries from lines of JSON."""

from __future__ import annotations

import sys
from typing import IO

import click

from sqlitedict_kv.cli.exit_status import IN_PART
from sqlitedict_kv.cli.opening import open_store
from sqlitedict_kv.cli.parameters import examples, store_argument
from sqlitedict_kv.cli.progress import show_progress
from sqlitedict_kv.display.figures import counted
from sqlitedict_kv.tools.exchange import ImportReport, import_lines


@click.command(
    epilog=examples(
        "sqlitedict-kv import app.db app.jsonl",
        "sqlitedict-kv import app.db app.jsonl --rename users people",
        "sqlitedict-kv export old.db | sqlitedict-kv import valkey://localhost:6379 -",
    )
)
@store_argument
@click.argument("file", metavar="FILE", type=click.File("rb"))
@click.option("--namespace", "namespaces", multiple=True, help="Only this namespace of FILE; may be repeated.")
@click.option("--rename", nargs=2, multiple=True, metavar="OLD NEW", help="The name of a namespace; may be repeated.")
def command(store: str, file: IO[bytes], namespaces: tuple[str, ...], rename: tuple[tuple[str, str], ...]) -> int:
    """Write the entries of FILE, which 'export' wrote, to STORE; - is the input. It writes; a missing file is made.

    An entry that is there is replaced, others stay. In a file, entries keep their versions, unless their namespace has
    given these before. If it is interrupted, run it again.
    """
    with open_store(store, writes=True, creates=True) as opened, show_progress("import") as advance:
        report = import_lines(opened, file, namespaces or None, dict(rename), advance)
    return _tell(store, report)


def _tell(store: str, report: ImportReport) -> int:
    names = counted(len(report.namespaces), "namespace", "namespaces")
    expired = f"; {counted(report.expired)} had expired" if report.expired else ""
    sys.stdout.write(f"{counted(report.entries)} of {names} imported into {store}{expired}\n")
    if report.complete:
        return 0
    sys.stderr.write("the file has no last line: it was cut off, and entries may be missing\n")
    return IN_PART
