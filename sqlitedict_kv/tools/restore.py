"""Return of a file to the state of a backup: ``sqlitedict_kv.tools.restore.restore(store, backup)``."""

from __future__ import annotations

import os
from typing import NamedTuple

from sqlitedict_kv.engines.sqlite import SQLiteEngine
from sqlitedict_kv.engines.sqlite.administration.restore_backup import replace_entries
from sqlitedict_kv.errors import CorruptStoreError, UnsupportedError
from sqlitedict_kv.options import MEMORY
from sqlitedict_kv.store import Store
from sqlitedict_kv.validation import check_path

SHOWN_PROBLEMS = 3


class RestoreReport(NamedTuple):
    """What a restore did.

    Attributes:
        entries: how many entries the store has now, expired ones included.
        namespaces: the names of those that have entries.
    """

    entries: int
    namespaces: tuple[str, ...]


def restore(store: Store, backup: str | os.PathLike[str]) -> RestoreReport:
    """Replace all entries of a store by those of a backup, in one step.

    Other threads and processes may have the store open: they read what was there until the end, and the backup from
    then on, from memory too; their writes wait. If it fails or is interrupted, everything stays as it was. To put the
    file of a backup in the place of the other one is not the same: a log that lies beside it brings the old state
    back, and programs that have the old file open go on with that.

    Each entry gets a version above all that its namespace gave before, so that a version that a caller still holds
    matches nothing. In a namespace that has never been used, entries have the versions that the backup has.

    Args:
        store: a store in a file, opened for writing.
        backup: a file that ``backup()`` wrote, or any other store in a file that nobody writes to. It is read whole
            first, and refused if it is damaged.

    Returns:
        How many entries there are now, and in which namespaces.

    Raises:
        OpenError: the backup is not a store, or does not exist.
        CorruptStoreError: the backup is damaged.
        UnsupportedError: the store is not in a file.
        ValueError: the backup is the store itself.
    """
    engine = store._engine  # noqa: SLF001 - below the codecs, as copy() works
    if not isinstance(engine, SQLiteEngine) or engine.label == MEMORY:
        raise UnsupportedError(f"restore() is for files; for {engine.label} use copy()")
    path = check_path(backup, "backup")
    with Store(path, readonly=True) as source:
        if os.path.samefile(path, engine.label):
            raise ValueError(f"backup is the store itself, {path}")
        _require_sound(source, path)
        entries = replace_entries(engine._database, os.path.abspath(path), engine._files)  # noqa: SLF001
    return RestoreReport(entries, tuple(store.namespaces()))


def _require_sound(source: Store, path: str) -> None:
    """Raise for a damaged backup; values that this store has no codec for are none of its damage."""
    report = source._engine.check(lambda *_: None)  # type: ignore[attr-defined] # noqa: SLF001 - checksums alone
    if not report.ok:
        raise CorruptStoreError(
            f"{path} is damaged and nothing was changed: {'; '.join(report.problems[:SHOWN_PROBLEMS])}"
        )
