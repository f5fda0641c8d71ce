"""Command ``move``: the entries of another library's files."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import click

from sqlitedict_kv.adapters._compat.migration import Moved, Unpickle
from sqlitedict_kv.adapters.migration.detection import KINDS, Kind, detect_kind
from sqlitedict_kv.cli.exit_status import IN_PART
from sqlitedict_kv.cli.opening import is_file, open_store
from sqlitedict_kv.cli.parameters import complete_store, demand_consent, examples, store_argument
from sqlitedict_kv.cli.printable import LINES, printable
from sqlitedict_kv.cli.progress import Advance, show_progress
from sqlitedict_kv.errors import UnsupportedError

NAMESPACES: dict[Kind, str] = {"shelve": "shelve", "joblib": "joblib", "cachelib": "cachelib", "django": "django"}
WITH_HASHED_KEYS = ("cachelib", "django")
PICKLES: dict[str, Unpickle] = {"plain": "plain", "all": True, "none": False}


class Wanted(NamedTuple):
    """What the arguments of the command say."""

    store: str
    source: str
    namespace: str | None
    unpickle: Unpickle
    keys: tuple[str, ...]


@click.command(
    epilog=examples(
        "sqlitedict-kv move new-cache old-cache",
        "sqlitedict-kv move new.db old.sqlite",
        "sqlitedict-kv move app.db old.shelf --namespace settings",
        "sqlitedict-kv move cache.db /var/tmp/django_cache --keys keys.txt",
    )
)
@store_argument
@click.argument("source", metavar="SOURCE", shell_complete=complete_store)
@click.option("--from", "kind", type=click.Choice(KINDS), help="Which library made SOURCE; found out if left out.")
@click.option("--namespace", help="Where the entries go; that of the adapter, or the name of the library, if left out.")
@click.option(
    "--unpickle",
    type=click.Choice(list(PICKLES)),
    default="plain",
    show_default=True,
    help="Which pickles to read: plain data, without running code; all, which runs whatever code they contain; none.",
)
@click.option(
    "--keys",
    "keys",
    type=click.File(encoding="utf-8"),
    help="A file with a key a line, for caches whose files have only hashes of the keys: cachelib and django.",
)
@click.option("--yes", "-y", "sure", is_flag=True, help="Do not ask before code in pickles is run.")
def command(
    store: str,
    source: str,
    kind: Kind | None,
    namespace: str | None,
    unpickle: str,
    keys: Any,
    sure: bool,  # noqa: FBT001 - click passes by name
) -> int:
    """Copy the entries of SOURCE, made by another library, to STORE. It writes; SOURCE stays as it is.

    SOURCE is a directory of diskcache, diskcache-community, joblib, cachelib's FileSystemCache or Django's
    FileBasedCache, or a file of sqlitedict or shelve. STORE is a file or servers; for diskcache it is a directory, and
    for sqlitedict a file, which their adapters open. Entries that STORE has stay, so a second run goes on where the
    first was interrupted. The exit status is 6 if some entries were skipped; a summary says why.
    """
    found = kind or detect_kind(source)
    if found is None:
        missing = "" if os.path.lexists(source) else ", for it does not exist"
        raise ValueError(f"nobody can tell which library made {source}{missing}; say it with --from")
    if keys is not None and found not in WITH_HASHED_KEYS:
        raise click.UsageError("--keys is for cachelib and django")
    if unpickle == "all":
        demand_consent(f"Run whatever code the pickles in {source} contain?", sure=sure)
    named = () if keys is None else tuple(line.rstrip("\r\n") for line in keys)
    wanted = Wanted(store, source, namespace, PICKLES[unpickle], named)
    with show_progress(f"move from {found}") as advance, warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # it is what was asked for
        report = _move(found, wanted, advance)
    sys.stdout.write(f"{printable(str(report), kept=LINES)}\n")
    return IN_PART if report.skipped or report.damaged else 0


def _move(kind: Kind, wanted: Wanted, advance: Advance | None) -> Moved:
    if kind in NAMESPACES:
        with open_store(wanted.store, writes=True, creates=True) as opened:
            move = _mover(kind, wanted.keys)
            entries = opened.ns(wanted.namespace or NAMESPACES[kind])
            return move(wanted.source, entries, unpickle=wanted.unpickle, progress=advance)
    if wanted.namespace is not None or not is_file(wanted.store):
        raise UnsupportedError(f"a move from {kind} makes what its adapter opens: a {_target_of(kind)}, no --namespace")
    if kind == "diskcache":
        from sqlitedict_kv.adapters.diskcache.move import move as move_directory  # noqa: PLC0415 - one of many

        return move_directory(wanted.source, wanted.store, unpickle=wanted.unpickle, progress=advance)
    from sqlitedict_kv.adapters.sqlitedict.move import move as move_file  # noqa: PLC0415

    return move_file(wanted.source, wanted.store, unpickle=wanted.unpickle, progress=advance)


def _target_of(kind: Kind) -> str:
    return "directory" if kind == "diskcache" else "file"


def _mover(kind: Kind, keys: tuple[str, ...]) -> Callable[..., Moved]:
    from sqlitedict_kv.adapters import migration  # noqa: PLC0415

    if kind == "shelve":
        return migration.move_shelf
    if kind == "joblib":
        return migration.move_joblib_memory
    return partial(migration.move_cachelib_files if kind == "cachelib" else migration.move_django_files, keys=keys)
