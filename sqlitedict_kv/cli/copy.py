"""Command ``python -m sqlitedict_kv copy``; the function is :func:`sqlitedict_kv.copy`."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from sqlitedict_kv.errors import KVError
from sqlitedict_kv.options import MEMORY
from sqlitedict_kv.store import Store
from sqlitedict_kv.tools.copy import CopyReport, copy


def parser() -> ArgumentParser:
    """Return what reads the arguments."""
    reads = ArgumentParser(
        prog="python -m sqlitedict_kv copy",
        description="Copies the entries of a store to another one. If it is interrupted, the same command goes on.",
    )
    reads.add_argument(
        "source",
        metavar="SOURCE",
        help="the path of a file, or the address of servers, with ?prefix= where that is another; opened to read",
    )
    reads.add_argument(
        "target", metavar="TARGET", help="likewise; a file is made if there is none, and other entries stay as they are"
    )
    reads.add_argument(
        "--namespace", action="append", metavar="N", help="a namespace to copy, may be repeated; else all are copied"
    )
    reads.add_argument("--afresh", action="store_true", help="begin anew even if a copy was interrupted")
    return reads


def main(arguments: list[str]) -> int:
    """Copy and print how much; return 0 if all is well, 1 if not, 2 if that is not how it is called."""
    options = parser().parse_args(arguments)
    if options.target == MEMORY:
        sys.stderr.write("TARGET must be a file or servers, for memory would be gone at once\n")
        return 2
    try:
        with Store(options.source, readonly=True) as source, Store(options.target) as target:
            report = _copy(source, target, options)
            sys.stdout.write(
                f"{report.copied:,} entries were copied from {source!r} to {target!r}, {report.resumed:,} before; "
                f"namespaces: {len(report.namespaces):,}\n"
            )
    except (KVError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1 if isinstance(error, KVError) else 2
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted; the same command goes on\n")
        return 1
    return 0


def _copy(source: Store, target: Store, options: Namespace) -> CopyReport:
    if not sys.stderr.isatty():
        return copy(source, target, options.namespace, afresh=options.afresh)

    def show(namespace: str, copied: int, total: int | None) -> None:
        sys.stderr.write(f"\r\x1b[K{namespace}: {copied:,} of {'?' if total is None else f'{total:,}'}")

    try:
        return copy(source, target, options.namespace, show, afresh=options.afresh)
    finally:
        sys.stderr.write("\n")
