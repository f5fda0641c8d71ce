"""Migration of the results in a directory of ``joblib.Memory``, as data: memoized functions do not look for them."""

from __future__ import annotations

import json
import os
import time
import zlib
from pathlib import Path
from typing import Any

from sqlitedict_kv import Namespace
from sqlitedict_kv.adapters._compat.migration import (
    Loads,
    Moved,
    Progress,
    Unpickle,
    UnreadableError,
    choose_loads,
    load_pickle,
)
from sqlitedict_kv.adapters.migration.old_entries import Moving, OldEntry, read_file

RESULT = "output.pkl"
DESCRIPTION = "metadata.json"
FOLDER = "joblib"  # below the location
MOST_SHOWN = 200  # characters of the arguments
LARGEST = 512 * 2**20  # bytes, decompressed
ZLIB = b"x"  # the first byte of what joblib compresses


def move_joblib_memory(
    location: str | os.PathLike[str],
    namespace: Namespace[str, Any],
    *,
    unpickle: Unpickle = "plain",
    progress: Progress | None = None,
) -> Moved:
    """Copy the results of all functions; the directory stays as it is.

    A result is kept under ``module.function(arguments)#hash``, with the arguments as joblib shows them and the first
    characters of its hash of them. Functions that are memoized here compute again; this is for results that are worth
    keeping.

    Args:
        location: that of the ``Memory``.
        namespace: where to; entries that are there stay.
        unpickle: as for :func:`move_shelf`. Arrays are read with True alone, and by joblib, which must be installed.
        progress: called with how many results were looked at, and how many there are.

    Raises:
        ValueError: there are no results of joblib.
    """
    loads = choose_loads(unpickle)
    root = root_of(Path(location))
    if root is None:
        raise ValueError(f"there are no results of joblib in {location}")
    files = sorted(root.rglob(RESULT))
    entries = (_entry(file, root, loads, runs_code=unpickle is True) for file in files)
    return Moving(namespace, os.fspath(location), time.time).run(entries, len(files), progress)


def root_of(location: Path) -> Path | None:
    """Return the directory below which the results are, None if there are none."""
    for root in (location / FOLDER, location):
        if root.is_dir() and next(root.rglob(RESULT), None) is not None:
            return root
    return None


def _entry(file: Path, root: Path, loads: Loads | None, *, runs_code: bool) -> OldEntry:
    def load() -> tuple[str, Any, None]:
        return _key_of(file, root), _load(file) if runs_code else _load_plainly(file, loads), None

    return OldEntry(str(file.parent.relative_to(root)), load)


def _key_of(file: Path, root: Path) -> str:
    *function, digest = file.parent.relative_to(root).parts
    name = ".".join(part for part in function if part)
    return f"{name}({_arguments_of(file.with_name(DESCRIPTION))})#{digest[:8]}"


def _arguments_of(description: Path) -> str:
    try:
        found = json.loads(read_file(description))["input_args"]
        text = ", ".join(f"{name}={value}" for name, value in found.items())
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError, UnreadableError):
        return "..."
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def _load_plainly(file: Path, loads: Loads | None) -> Any:
    content = read_file(file)
    if content[:1] == ZLIB:
        stream = zlib.decompressobj()
        try:
            content = stream.decompress(content, LARGEST)
        except zlib.error:
            raise UnreadableError("its file is compressed, and damaged") from None
        if not stream.eof:
            raise UnreadableError(f"its file is compressed, and cut off or more than {LARGEST:,} bytes")
    return load_pickle(content, "value", loads)


def _load(file: Path) -> Any:
    try:
        import joblib  # type: ignore[import-untyped,unused-ignore] # noqa: PLC0415 - not for plain data
    except ImportError:
        raise UnreadableError("joblib is not installed, which reads its results") from None
    read_file(file)  # raises for what is not a file
    try:
        return joblib.load(file)
    except Exception as error:  # a pickle can raise anything
        raise UnreadableError(f"its value is a pickle that fails: {type(error).__name__}") from error
