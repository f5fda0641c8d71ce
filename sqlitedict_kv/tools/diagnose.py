"""Inspection of a file without changing it: ``sqlitedict_kv.diagnose(path)``."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from sqlitedict_kv import validation
from sqlitedict_kv.codecs.registry import Codecs
from sqlitedict_kv.engines.protocol import CheckReport
from sqlitedict_kv.engines.registry import is_address
from sqlitedict_kv.engines.sqlite import SQLiteEngine
from sqlitedict_kv.engines.sqlite.files.filesystems import is_unsafe, type_of
from sqlitedict_kv.engines.sqlite.files.location import VALUES, uri_of
from sqlitedict_kv.errors import (
    CorruptStoreError,
    ForeignDatabaseError,
    KVError,
    LocationError,
    NewerFormatError,
    NotADatabaseError,
    StoreBusyError,
    StoreNotFoundError,
)
from sqlitedict_kv.tools.advice import find_advice, find_problems
from sqlitedict_kv.tools.diagnosis import Diagnosis

__all__ = ["Diagnosis", "diagnose"]

LOCK_TABLE = "/proc/locks"  # proc(5)
BUSY_TIMEOUT = 2.0  # seconds

DURABILITY = (
    "durability='process', the default: what was acknowledged survives the kill of any process, and a power cut takes "
    "the last commits at most, in order. durability='power': it survives a power cut too. Each process that opens the "
    "file chooses for its own writes; the file does not say."
)

KINDS: tuple[tuple[type[KVError], str], ...] = (
    (StoreNotFoundError, "missing"),
    (NotADatabaseError, "not a database"),
    (ForeignDatabaseError, "foreign"),
    (NewerFormatError, "newer"),
    (LocationError, "misplaced"),
    (CorruptStoreError, "damaged"),
    (StoreBusyError, "busy"),
    (KVError, "unreadable"),
)


def diagnose(path: str | os.PathLike[str]) -> Diagnosis:
    """Inspect a file that is, was or should be a store, and change nothing.

    It may be in use, damaged, another application's or missing. All of it is read, which takes long if it is large.
    Where a process was killed, its log is read through an index that SQLite makes beside it; the file stays as it is.

    Args:
        path: the file.

    Returns:
        The facts, the problems and the advice.

    Raises:
        TypeError, ValueError: *path* is not the path of a file.
    """
    text = validation.check_path(path)
    if text == ":memory:":
        raise ValueError("path must be that of a file, not memory")
    if is_address(text):
        raise ValueError(
            "path must be that of a file, not servers; for those use healthcheck(), stats() and check() of a Store"
        )
    real = os.path.realpath(text)
    status = _status(real)
    filesystem = type_of(real)
    found = _look(real)
    facts = Diagnosis(
        path=real,
        kind=found.kind,
        problems=found.problems,
        advice=(),
        sqlite_version=sqlite3.sqlite_version,
        wal_reset_bug=has_wal_reset_bug(sqlite3.sqlite_version_info),
        filesystem=filesystem,
        filesystem_is_safe=None if filesystem is None else not is_unsafe(filesystem),
        application_id=found.header.get("application_id"),
        format=found.header.get("user_version"),
        durability=DURABILITY,
        file_bytes=status.st_size if status else 0,
        log_bytes=_size(f"{real}-wal"),
        page_bytes=found.header.get("page_size", 0),
        pages=found.header.get("page_count", 0),
        free_pages=found.header.get("freelist_count", 0),
        entries=found.report.entries,
        unchecked=found.report.unchecked,
        damaged=len(found.report.problems),
        mode=stat.S_IMODE(status.st_mode) if status else None,
        directory_mode=_mode(os.path.dirname(real)),
        hard_links=status.st_nlink if status else 0,
        openers=_openers(real),
        limits={
            "key": validation.MAX_KEY_BYTES,
            "namespace": validation.MAX_NAMESPACE_BYTES,
            "value": validation.MAX_VALUE_BYTES,
        },
        files=found.report.files,
        unknown_files=found.report.unknown_files,
        folder_bytes=_folder_bytes(real + VALUES),
        folder_mode=_mode(real + VALUES),
    )
    return facts._replace(problems=(*facts.problems, *find_problems(facts)), advice=find_advice(facts))


def has_wal_reset_bug(version: tuple[int, int, int]) -> bool:
    """Return whether a release of SQLite may lose data when two connections make checkpoints at the same time.

    Releases 3.7.0 to 3.51.2 have it, except for 3.44.6, 3.50.7 and later patches of those (https://www.sqlite.org/wal.html#walresetbug).
    """
    mended = version[:2] == (3, 44) and version >= (3, 44, 6)
    mended |= version[:2] == (3, 50) and version >= (3, 50, 7)
    return (3, 7, 0) <= version < (3, 51, 3) and not mended


# -- reading


class _Found(NamedTuple):
    """The result of reading the file."""

    kind: str
    problems: tuple[str, ...]
    header: dict[str, int]
    report: CheckReport


NOTHING = CheckReport(ok=True, entries=0, unchecked=0, problems=())


def _look(path: str) -> _Found:
    """Read the file as immutable if it has no log, because that leaves no traces; otherwise as usual."""
    logged = os.path.lexists(f"{path}-wal")
    found = _read(path, connect=partial(_connected, immutable=not logged))
    if found.kind == "store" and not found.problems:
        return found
    if not logged and os.path.lexists(f"{path}-wal"):  # it came into use meanwhile
        return _read(path, connect=partial(_connected, immutable=False))
    return found


def _read(path: str, connect: Callable[..., sqlite3.Connection]) -> _Found:
    header: dict[str, int] = {}
    try:
        engine = SQLiteEngine(path, readonly=True, timeout=BUSY_TIMEOUT, allow_unsafe_filesystem=True, connect=connect)
    except KVError as error:
        if os.path.isfile(path):
            header = _header(path, connect)
        return _Found(_kind_of(error), (str(error),), header, NOTHING)
    try:
        header = _header(path, connect)
        report = engine.check(Codecs().decode)
    except KVError as error:
        return _Found(_kind_of(error), (str(error),), header, NOTHING)
    finally:
        engine.close()
    unknown = [text for text in report.problems if "for which this store has no codec" in text]
    problems = [text for text in report.problems if text not in unknown]
    kind = "damaged" if problems else "store"
    return _Found(kind, tuple(problems), header, report._replace(problems=tuple(problems)))


def _connected(name: str, *, immutable: bool, **options: Any) -> sqlite3.Connection:
    """Connect as sqlite3 does; *immutable* promises that nothing changes the file."""
    chosen = f"{name}&immutable=1" if immutable and "immutable=1" not in name else name
    raw: sqlite3.Connection = sqlite3.connect(chosen, **options)
    return raw


def _header(path: str, connect: Callable[..., sqlite3.Connection]) -> dict[str, int]:
    """Return what the header of the file says, as far as it can be read."""
    header: dict[str, int] = {}
    with contextlib.suppress(sqlite3.Error):
        raw = connect(uri_of(path, "mode=ro"), uri=True, timeout=BUSY_TIMEOUT)
        with contextlib.closing(raw):
            for name in ("application_id", "user_version", "page_size", "page_count", "freelist_count"):
                (header[name],) = raw.execute(f"PRAGMA {name}").fetchone()
    return header


def _kind_of(error: KVError) -> str:
    return next(kind for error_type, kind in KINDS if isinstance(error, error_type))


def _status(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except OSError:
        return None


def _size(path: str) -> int:
    status = _status(path)
    return status.st_size if status else 0


def _folder_bytes(path: str) -> int:
    """Return the size of the files in a folder, 0 if there is none."""
    try:
        with os.scandir(path) as entries:
            return sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
    except OSError:
        return 0


def _mode(path: str) -> int | None:
    status = _status(path)
    return stat.S_IMODE(status.st_mode) if status else None


def _openers(path: str) -> tuple[int, ...] | None:
    """Return the processes with locks on the file or its log's index; every open store has one."""
    try:
        with open(LOCK_TABLE, encoding="ascii") as file:
            rows = [line.split() for line in file]
    except (OSError, UnicodeDecodeError):
        return None
    wanted = set()
    for name in (path, f"{path}-shm"):
        status = _status(name)
        if status:
            wanted.add(f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}")
    # 1: POSIX  ADVISORY  READ 1234 08:02:131330 1073741826 1073742335
    found = {int(row[4]) for row in rows if len(row) > 5 and row[1] == "POSIX" and row[5] in wanted}  # noqa: PLR2004
    return tuple(sorted(found))
