"""Command ``restore``: a store as it was when a backup was made."""

from __future__ import annotations

import os
import sys

import click

from sqlitedict_kv.cli.opening import is_file, open_store
from sqlitedict_kv.cli.parameters import complete_store, demand_consent, examples, store_argument, yes_option
from sqlitedict_kv.display.figures import counted
from sqlitedict_kv.errors import StoreNotFoundError, UnsupportedError
from sqlitedict_kv.tools.restore import restore


@click.command(epilog=examples("sqlitedict-kv restore app.db backups/app-2026-11-30.db"))
@store_argument
@click.argument("backup", metavar="BACKUP", shell_complete=complete_store)
@click.option("--quarantine", is_flag=True, help="If STORE is damaged, move it aside first.")
@yes_option("replacing what is in STORE")
def command(store: str, backup: str, quarantine: bool, sure: bool) -> None:  # noqa: FBT001 - click passes by name
    """Replace all entries of STORE by those of BACKUP, in one step. It writes; a missing file is made.

    Programs may have STORE open: they see what was there until the end, and the backup from then on. BACKUP is
    checked first, and stays as it is. Never move a backup over STORE by hand: the log that lies beside STORE would
    silently bring the old state back.
    """
    if not is_file(store):
        raise UnsupportedError("restore is for files; for servers use copy")
    if not os.path.isfile(backup):
        raise StoreNotFoundError(f"there is no file {backup}")
    if os.path.exists(store):
        demand_consent(f"Replace all that is in {store} by what is in {backup}?", sure=sure)
    with open_store(store, writes=True, creates=True, quarantines=quarantine) as opened:
        report = restore(opened, backup)
    sys.stdout.write(
        f"{store} has {counted(report.entries)} of {counted(len(report.namespaces), 'namespace', 'namespaces')} now\n"
    )
