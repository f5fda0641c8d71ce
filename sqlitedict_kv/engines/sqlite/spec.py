"""The SQLite engine as a store opens it: by a path, or in memory."""

from __future__ import annotations

from typing import Any

from sqlitedict_kv import validation
from sqlitedict_kv.engines.spec import EngineSpec, Options
from sqlitedict_kv.engines.sqlite.engine import SQLiteEngine
from sqlitedict_kv.errors import UnsupportedError

MEMORY = ":memory:"


def check_options(path: str, options: Options) -> None:
    """Raise ValueError for options that do not go together."""
    if options["readonly"] and path == MEMORY:
        raise ValueError("readonly=True needs the path of a file; memory would stay empty")
    if options["files_above"] is not None and path == MEMORY:
        raise UnsupportedError("files_above needs a store in a file; one in memory keeps all values in memory")
    if options["readonly"] and options["on_corrupt"] == "quarantine":
        raise ValueError("on_corrupt='quarantine' needs to write; open without readonly=True")


def open_file(path: str, options: Options) -> SQLiteEngine:
    """Open the file at *path*, or memory."""
    engine = SQLiteEngine(None if path == MEMORY else path, **options)
    if engine.quarantined is not None:
        _warn(engine)
    return engine


def _warn(engine: SQLiteEngine) -> None:
    import logging  # noqa: PLC0415 - rarely needed, and a tenth of the time to import us

    done = engine.quarantined
    assert done is not None
    logging.getLogger("sqlitedict_kv").warning(
        "%s was damaged; it lies at %s now. %d entries were saved, %s%d were lost",
        engine.label,
        done.path,
        done.salvaged,
        "" if done.complete else "at least ",
        done.lost,
    )


def _check_durability(value: Any) -> object:
    return validation.check_choice(value, "durability", ("process", "power"))


def _check_on_corrupt(value: Any) -> object:
    return validation.check_choice(value, "on_corrupt", ("raise", "quarantine"))


SPEC = EngineSpec(
    name="a file",
    schemes=(),
    options={
        "readonly": lambda value: validation.check_bool(value, "readonly"),
        "on_corrupt": _check_on_corrupt,
        "max_bytes": lambda value: validation.check_size(value, "max_bytes", lowest=validation.MIN_MAX_BYTES),
        "files_above": lambda value: validation.check_size(value, "files_above", lowest=validation.MIN_FILES_ABOVE),
        "durability": _check_durability,
        "timeout": validation.check_timeout,
        "max_entries": lambda value: validation.check_optional_int(value, "max_entries", lowest=1),
        "allow_unsafe_filesystem": lambda value: validation.check_bool(value, "allow_unsafe_filesystem"),
    },
    open=open_file,
    refusals={
        "prefix": "a file is a store of its own; take another file, or other namespaces",
        "confirm": "a file has no replicas; durability='power' lets writes survive a power cut",
        "lru_staleness": "the LRU in front of a file is never stale; leave it out",
    },
    check=check_options,
)
