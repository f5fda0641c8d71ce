"""Compare sqlitedict_kv with other stores: one run, one table of medians and ratios.

python benchmarks/compare.py --help tells the options; README.md beside this file, what is measured and how.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import sys
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from crowds import Crowd, run_crowds
from measure import Samples, clear, import_times, operate, prepare, reopen, size_of
from peers import BY_NAME, PEERS, Peer
from table import Row, main_table, number, spread, targets, targets_table, waits_table
from workload import MANY, OPERATIONS

DEFAULT_ENTRIES = 10_000
MIXED_WRITES = 0.1
PER_PROCESS_ROUND = 10  # rounds of single calls for one round of processes
PER_IMPORT_ROUND = 5  # likewise for imports
SMALL = "small"
FIGURES = "figures"
DISTRIBUTIONS = ("sqlitedict-kv", "orjson", "diskcache", "sqlitedict", "lmdb", "rocksdict")
OTHER_ROWS = ("writers", "mixed", "reopen", "import")
HEADING = """Medians; in brackets, how many times the time that sqlitedict_kv takes: above 1, the peer is slower.
A lone "-": not possible, or not measured. Numbers in square brackets are notes below the table."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print the tables."""
    options = _options(arguments)
    kinds, absent = _chosen(options.peers)
    directory = Path(tempfile.mkdtemp(prefix="kv-benchmark-", dir=options.dir))
    try:
        results, crowds, sizes = _measure(options, kinds, directory)
    finally:
        clear(directory)
    text = _document(options, kinds, absent, results, crowds, sizes)
    print(text)
    if options.markdown:
        options.markdown.write_text(text + "\n", encoding="utf-8")
    if options.json:
        options.json.write_text(
            json.dumps(_figures(options, results, crowds, sizes), indent=2) + "\n", encoding="utf-8"
        )
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    slugs = [*(operation.slug for operation in OPERATIONS), *OTHER_ROWS]
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--entries", type=_at_least(MANY), default=DEFAULT_ENTRIES, help="10000 or 1000000; any from 1000"
    )
    parser.add_argument("--only", type=_some_of(slugs), default=slugs, metavar="OP,...", help=", ".join(slugs))
    parser.add_argument("--peers", type=_some_of([*BY_NAME]), metavar="PEER,...", help=", ".join(BY_NAME))
    parser.add_argument("--rounds", type=_at_least(1), default=50, help="of each operation and peer")
    parser.add_argument("--processes", type=_at_least(1), default=4, help="that work at the same time")
    parser.add_argument("--seconds", type=float, default=2.0, help="of one round of processes")
    parser.add_argument("--dir", type=Path, help="where to put the stores; a directory is made there, and removed")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there, too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser.parse_args(arguments)


def _at_least(lowest: int):
    def parse(text: str) -> int:
        if int(text) < lowest:
            raise argparse.ArgumentTypeError(f"must be at least {lowest}")
        return int(text)

    return parse


def _some_of(names: Sequence[str]):
    def parse(text: str) -> list[str]:
        chosen = text.split(",")
        if unknown := [name for name in chosen if name not in names]:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not one of {', '.join(names)}")
        return chosen

    return parse


def _chosen(names: Sequence[str] | None) -> tuple[list[type[Peer]], dict[str, str]]:
    """Return the peers to run, in the order of the table, and why the others are absent."""
    wanted = [kind for kind in PEERS if names is None or kind.name in names]
    absent = {kind.name: reason for kind in wanted if (reason := kind.lacking())}
    if absent and (names is not None or PEERS[0].name in absent):
        raise SystemExit("cannot run " + "; ".join(f"{name}: {reason}" for name, reason in absent.items()))
    return [kind for kind in wanted if kind.name not in absent], absent


def _measure(
    options: argparse.Namespace, kinds: list[type[Peer]], directory: Path
) -> tuple[dict[str, dict[str, Samples]], dict[str, Crowd], dict[str, int]]:
    results: dict[str, dict[str, Samples]] = {}
    only, rounds, count = options.only, options.rounds, options.entries
    if "import" in only:
        results["import"] = import_times(kinds, max(1, rounds // PER_IMPORT_ROUND))
    if set(only) <= {"import"}:
        return results, {}, {}
    prepare(kinds, directory, count, _progress)
    sizes = {kind.name: size_of(directory / kind.name) for kind in kinds}
    wants_small = "get-small" in only and count > DEFAULT_ENTRIES
    if wants_small:
        prepare(kinds, directory / SMALL, DEFAULT_ENTRIES, lambda _: None)
    peers = [kind(directory / kind.name) for kind in kinds]
    small = [kind(directory / SMALL / kind.name) for kind in kinds] if wants_small else []
    for operation in OPERATIONS:
        if operation.slug in only and (wants_small or not operation.small):
            _progress(operation.title)
            where, size = (small, DEFAULT_ENTRIES) if operation.small else (peers, count)
            results[operation.slug] = operate(operation, where, size, rounds)
    for peer in (*peers, *small):
        peer.close()
    if "reopen" in only:
        _progress("re-opening")
        results["reopen"] = reopen(kinds, directory, count, rounds)
    together = [kind for kind in kinds if kind.many_processes]
    writers: dict[str, Crowd] = {}
    for slug, writes in (("writers", 1.0), ("mixed", MIXED_WRITES)):
        if slug in only:
            _progress(f"{options.processes} processes: {slug}")
            crowds = run_crowds(
                together,
                directory,
                count=count,
                processes=options.processes,
                writes=writes,
                seconds=options.seconds,
                rounds=max(1, rounds // PER_PROCESS_ROUND),
            )
            results[slug] = {name: Samples(found.rates) for name, found in crowds.items()}
            writers = crowds if slug == "writers" else writers
    return results, writers, sizes


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _rows(options: argparse.Namespace, measured: dict[str, dict[str, Samples]]) -> list[Row]:
    rows: list[Row] = []
    for operation in OPERATIONS:
        rows.append(Row(operation.slug, operation.title, "us", verb=operation.verb))
        if operation.verb == "set_many":
            rows.append(Row(operation.slug, f"{operation.title}, per entry", "us", MANY, operation.verb))
    share = f"{MIXED_WRITES:.0%} writes".replace("%", " %")
    rows.append(Row("writers", f"{options.processes} processes writing", "ops/s", is_rate=True))
    rows.append(Row("mixed", f"{options.processes} processes, {share}", "ops/s", is_rate=True))
    rows.append(Row("reopen", "re-open, and first get", "ms", 1000))
    rows.append(Row("import", "import", "ms", 1000))
    return [row for row in rows if row.slug in measured]


def _document(
    options: argparse.Namespace,
    kinds: list[type[Peer]],
    absent: dict[str, str],
    results: dict[str, dict[str, Samples]],
    crowds: dict[str, Crowd],
    sizes: dict[str, int],
) -> str:
    parts = [f"## {options.entries:,} entries", _environment(), HEADING]
    parts.append(main_table(_rows(options, results), kinds, results))
    if sizes:
        parts.append(
            "Size on disk, in MB: " + ", ".join(f"{name} {number(size / 1e6)}" for name, size in sizes.items())
        )
    parts.append("\n".join(f"- {kind.name}: {kind.about}" for kind in kinds))
    parts.append("\n".join(f"- not run: {name} ({reason})" for name, reason in absent.items()))
    if crowds:
        parts += [f"### Single writes while {options.processes} processes write", waits_table(crowds)]
    if found := targets(results, crowds):
        parts += ["### Targets", targets_table(found)]
    return "\n\n".join(part for part in parts if part)


def _environment() -> str:
    return (
        f"{platform.python_implementation()} {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores; "
        + ", ".join(f"{name} {version}" for name, version in _versions().items())
    )


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # it is not there, or is run from a checkout
            continue
    return found


def _figures(
    options: argparse.Namespace,
    results: dict[str, dict[str, Samples]],
    crowds: dict[str, Crowd],
    sizes: dict[str, int],
) -> dict[str, object]:
    return {
        "environment": _environment(),
        "load": os.getloadavg() if hasattr(os, "getloadavg") else None,
        "entries": options.entries,
        "processes": options.processes,
        "unit": "microseconds a call; writers and mixed: operations a second",
        FIGURES: {
            slug: {name: own.summary() | {"spread": spread(own.values)} for name, own in by_peer.items() if own.values}
            for slug, by_peer in results.items()
        },
        "failed_writes": {name: found.failed for name, found in crowds.items()},
        "longest_wait_ms": {name: max(found.waits) / 1e6 for name, found in crowds.items() if found.waits},
        "targets": {
            target.title: {"limit": target.limit, "reached": target.reached, "met": target.is_met}
            for target in targets(results, crowds)
        },
        "bytes_on_disk": sizes,
    }


if __name__ == "__main__":
    sys.exit(main())
