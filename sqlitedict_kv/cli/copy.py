"""Command ``copy``, which needs no extra; the function is :func:`sqlitedict_kv.copy`."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter

from sqlitedict_kv.cli.exit_status import INTERRUPTED, describe, status_of
from sqlitedict_kv.cli.printable import printable
from sqlitedict_kv.display.figures import counted
from sqlitedict_kv.errors import KVError
from sqlitedict_kv.options import MEMORY
from sqlitedict_kv.store import Store
from sqlitedict_kv.tools.copy import CopyReport, copy

SUMMARY = "Copy the entries of a store to another one. If interrupted, run it again to continue."
EXAMPLES = """
examples:
  sqlitedict-kv copy app.db new.db
  sqlitedict-kv copy app.db "valkey+cluster://node1,node2,node3" --namespace users
"""


def parser() -> ArgumentParser:
    """Return the parser of the arguments."""
    arguments = ArgumentParser(
        prog="sqlitedict-kv copy",
        description=f"{SUMMARY} It writes to TARGET.",
        epilog=EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    arguments.add_argument(
        "source",
        metavar="SOURCE",
        help="the path of a file, or the address of servers, with ?prefix= if they use another one; opened for reading",
    )
    arguments.add_argument(
        "target",
        metavar="TARGET",
        help="a path or an address, as above; a missing file is created, and other entries stay",
    )
    arguments.add_argument(
        "--namespace",
        action="append",
        metavar="N",
        help="a namespace to copy, may be repeated; default: all namespaces",
    )
    arguments.add_argument("--afresh", action="store_true", help="start again even if a copy was interrupted")
    return arguments


def main(arguments: list[str]) -> int:
    """Copy and print how much; return the exit status."""
    options = parser().parse_args(arguments)
    if options.target == MEMORY:
        sys.stderr.write("TARGET must be a file or servers: memory would be lost at the end of the command\n")
        return 2
    try:
        with Store(options.source, readonly=True) as source, Store(options.target) as target:
            report = _copy(source, target, options)
            sys.stdout.write(
                f"{counted(report.copied)} were copied from {source!r} to {target!r}, {report.resumed:,} before; "
                f"namespaces: {len(report.namespaces):,}\n"
            )
    except (KVError, ValueError) as error:
        sys.stderr.write(f"{describe(error)}\n")
        return status_of(error)
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted; run the same command again to continue\n")
        return INTERRUPTED
    return 0


def _copy(source: Store, target: Store, options: Namespace) -> CopyReport:
    if not sys.stderr.isatty():
        return copy(source, target, options.namespace, afresh=options.afresh)

    def show(namespace: str, copied: int, total: int | None) -> None:
        sys.stderr.write(f"\r\x1b[K{printable(namespace)}: {copied:,} of {'?' if total is None else f'{total:,}'}")

    try:
        return copy(source, target, options.namespace, show, afresh=options.afresh)
    finally:
        sys.stderr.write("\n")
