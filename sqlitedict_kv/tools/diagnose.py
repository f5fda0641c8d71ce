"""What can be said about a file without changing it: ``sqlitedict_kv.diagnose(path)``."""

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
from sqlitedict_kv.engines.address import is_address
from sqlitedict_kv.engines.protocol import CheckReport
from sqlitedict_kv.engines.sqlite import SQLiteEngine
from sqlitedict_kv.engines.sqlite.filesystems import is_unsafe, type_of
from sqlitedict_kv.engines.sqlite.location import uri_of
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

LOCK_TABLE = "/proc/locks"  # proc(5)
PATIENCE = 2.0  # seconds to wait for others
LARGE_LOG = 64 * 2**20  # bytes; a checkpoint comes at 8 MB
MUCH_FREE = 4 * 2**20  # bytes
SHOWN_PROBLEMS = 10
OTHERS = stat.S_IRWXG | stat.S_IRWXO

DURABILITY = (
    "durability='process', the default: what was acknowledged survives the kill of any process, and a power cut takes "
    "the last commits at most, in order. durability='power': it survives a power cut too. Each process that opens the "
    "file chooses for its own writes; the file does not say."
)

RESTORE = (
    "Restore it from a backup; or close it everywhere and open it with on_corrupt='quarantine', which puts it aside "
    "and keeps every entry that matches its checksum. A single damaged entry can be deleted or written anew."
)
GUARDED = (
    "has the WAL-reset bug (mended in 3.51.3, 3.50.7 and 3.44.6). Stores make their checkpoints under the write lock "
    "and so do not meet it; let no other program make checkpoints in this file, and upgrade when you can."
)
SHRINK = (
    "The log is large: somebody has been reading one moment of the file for long, or died; it shrinks when that has "
    "ended and a store writes again."
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


class Diagnosis(NamedTuple):
    """What was found; ``str()`` of it is a page to read.

    Attributes:
        path: the real path that was looked at.
        kind: ``"store"``, or why the file cannot be used as one: ``"missing"``, ``"not a database"``, ``"foreign"``,
            ``"newer"``, ``"misplaced"``, ``"damaged"``, ``"busy"``, ``"unreadable"``.
        problems: what is wrong, in words that show no value; empty if all is well.
        advice: what to do, in sentences.
        sqlite_version: the release of SQLite at work here.
        wal_reset_bug: whether that release has the WAL-reset bug, against which every checkpoint of a store is guarded.
        filesystem: the type of the file system; None where the system does not tell.
        filesystem_is_safe: whether SQLite's log is safe on it; None where that is not known.
        application_id: the mark of the application in the file; None where it could not be read.
        format: the number of the file's format, likewise.
        durability: what acknowledged writes survive, in words.
        file_bytes: the size of the database file.
        log_bytes: the size of the log beside it.
        page_bytes: the size of a page; 0 where it could not be read.
        pages: how many there are.
        free_pages: how many of them are free.
        entries: rows that could be read, expired ones included.
        unchecked: rows without a checksum, written by another program.
        damaged: how many problems the check of pages and checksums found.
        mode: the permissions of the file, as in ``0o600``; None where there is none.
        directory_mode: those of its directory.
        hard_links: how many names the file has.
        openers: the processes that hold locks on the file now, this one included; None where the system does not tell.
        limits: the limits of the library, in bytes, by name.
    """

    path: str
    kind: str
    problems: tuple[str, ...]
    advice: tuple[str, ...]
    sqlite_version: str
    wal_reset_bug: bool
    filesystem: str | None
    filesystem_is_safe: bool | None
    application_id: int | None
    format: int | None
    durability: str
    file_bytes: int
    log_bytes: int
    page_bytes: int
    pages: int
    free_pages: int
    entries: int
    unchecked: int
    damaged: int
    mode: int | None
    directory_mode: int | None
    hard_links: int
    openers: tuple[int, ...] | None
    limits: dict[str, int]

    @property
    def ok(self) -> bool:
        """Whether the file is a store with which nothing is wrong."""
        return self.kind == "store" and not self.problems

    def __str__(self) -> str:
        """Return a page to read."""
        safety = {True: "safe for the log", False: "NOT safe for the log", None: "unknown"}[self.filesystem_is_safe]
        bug = (
            "has the WAL-reset bug; stores are guarded against it"
            if self.wal_reset_bug
            else "no known bug that matters"
        )
        lines = [
            f"{self.path}: {'all is well' if self.ok else self.kind}",
            f"  SQLite        {self.sqlite_version}: {bug}",
            f"  file system   {self.filesystem or 'not told by this system'}: {safety}",
            f"  format        {_shown(self.format)}, application_id {_shown(self.application_id, hexadecimal=True)}",
            f"  file          {self.file_bytes:,} bytes: {self.pages:,} pages of {self.page_bytes:,}",
            f"  free pages    {self.free_pages:,}",
            f"  log           {self.log_bytes:,} bytes",
            f"  entries       {self.entries:,}, {self.unchecked:,} without a checksum; {self.damaged:,} problems found",
            f"  permissions   {_octal(self.mode)} in {_octal(self.directory_mode)}; {self.hard_links} names",
            f"  open in       {_listed(self.openers)}",
            f"  limits        {', '.join(f'{name} {size:,}' for name, size in self.limits.items())} bytes",
            f"  durability    {self.durability}",
            *(f"  PROBLEM       {problem}" for problem in self.problems[:SHOWN_PROBLEMS]),
            *(f"  advice        {sentence}" for sentence in self.advice),
        ]
        return "\n".join(lines)


def diagnose(path: str | os.PathLike[str]) -> Diagnosis:
    """Look at a file that is, was or should be a store, and change nothing.

    It may be in use, damaged, another application's or missing. All of it is read, which takes long for a large file.
    Where a process was killed, its log is read through an index that SQLite makes beside it; the file stays as it is.

    Args:
        path: the file.

    Returns:
        What was found, and advice in words.

    Raises:
        TypeError, ValueError: *path* is no path of a file.
    """
    text = validation.checked_path(path)
    if text == ":memory:":
        raise ValueError("path must be that of a file; memory has nothing to look at")
    if is_address(text):
        raise ValueError("path must be that of a file; of servers, ask a Store: healthcheck(), stats() and check()")
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
    )
    wrong = [text for applies, text in _wrongs(facts) if applies]
    advice = [text for applies, text in _advice(facts) if applies]
    return facts._replace(problems=(*facts.problems, *wrong), advice=tuple(advice))


def has_wal_reset_bug(version: tuple[int, int, int]) -> bool:
    """Return whether a release of SQLite may lose data when two connections make checkpoints at the same time.

    It is there from 3.7.0 to 3.51.2, and mended in 3.44.6 and 3.50.7 too (https://www.sqlite.org/wal.html#walresetbug).
    """
    mended = version[:2] == (3, 44) and version >= (3, 44, 6)
    mended |= version[:2] == (3, 50) and version >= (3, 50, 7)
    return (3, 7, 0) <= version < (3, 51, 3) and not mended


# -- looking


class _Found(NamedTuple):
    """What reading the file gave."""

    kind: str
    problems: tuple[str, ...]
    header: dict[str, int]
    report: CheckReport


NOTHING = CheckReport(ok=True, entries=0, unchecked=0, problems=())


def _look(path: str) -> _Found:
    """Read the file as one that nobody changes if it has no log, for that leaves no traces; else as others do."""
    logged = os.path.lexists(f"{path}-wal")
    found = _read(path, connect=partial(_connected, immutable=not logged))
    if found.kind == "store" and not found.problems:
        return found
    if not logged and os.path.lexists(f"{path}-wal"):  # somebody has begun to use it meanwhile
        return _read(path, connect=partial(_connected, immutable=False))
    return found


def _read(path: str, connect: Callable[..., sqlite3.Connection]) -> _Found:
    header: dict[str, int] = {}
    try:
        engine = SQLiteEngine(path, readonly=True, timeout=PATIENCE, allow_unsafe_filesystem=True, connect=connect)
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
    """Connect as sqlite3 does, to a file that nobody changes if it is *immutable*."""
    chosen = f"{name}&immutable=1" if immutable and "immutable=1" not in name else name
    raw: sqlite3.Connection = sqlite3.connect(chosen, **options)
    return raw


def _header(path: str, connect: Callable[..., sqlite3.Connection]) -> dict[str, int]:
    """Return what the header of the file says, as far as it can be read."""
    header: dict[str, int] = {}
    with contextlib.suppress(sqlite3.Error):
        raw = connect(uri_of(path, "mode=ro"), uri=True, timeout=PATIENCE)
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


# -- judging


def _wrongs(facts: Diagnosis) -> list[tuple[bool, str]]:
    return [
        (
            facts.kind != "missing" and facts.filesystem_is_safe is False,
            f"it is on a file system of type {facts.filesystem}, on which SQLite's log can lose data",
        ),
        (facts.hard_links > 1 and facts.kind != "misplaced", f"it has {facts.hard_links} names (hard links)"),
        (
            facts.mode is not None and os.name == "posix" and bool(facts.mode & stat.S_IWOTH),
            "everybody on this machine can write it, and so change what is read",
        ),
    ]


def _advice(facts: Diagnosis) -> list[tuple[bool, str]]:
    ours = facts.kind in ("store", "damaged", "newer", "busy")
    others = [number for number in facts.openers or () if number != os.getpid()]
    return [
        (facts.kind == "missing", "There is no store here; Store(path) makes one that only you can read."),
        (
            facts.kind in ("foreign", "not a database"),
            "Take another path: this file is not a store of this library, and none will touch it.",
        ),
        (facts.kind == "newer", "Upgrade sqlitedict_kv to open it."),
        (facts.kind == "misplaced", "Move it to a path of its own, an ordinary file with one name."),
        (facts.kind == "busy", "Others held the file for too long; try again when they have written."),
        (facts.kind == "unreadable", "See to it that this user may read the file and its directory."),
        (
            facts.kind == "damaged",
            RESTORE,
        ),
        (
            facts.wal_reset_bug,
            f"SQLite {facts.sqlite_version} {GUARDED}",
        ),
        (
            facts.filesystem_is_safe is False,
            "Use a local disk; allow_unsafe_filesystem=True is safe only if a single machine ever opens the file.",
        ),
        (
            facts.filesystem is None,
            "This system does not tell the type of the file system; mind that it is a local one.",
        ),
        (
            facts.log_bytes > LARGE_LOG,
            SHRINK,
        ),
        (
            ours and facts.free_pages * facts.page_bytes > max(MUCH_FREE, facts.file_bytes // 4),
            "Much of the file is free and will be used again; vacuum() gives it back to the system.",
        ),
        (
            facts.unchecked > 0,
            f"{facts.unchecked:,} entries have no checksum, as another program wrote them; written anew they get one.",
        ),
        (
            ours and facts.mode is not None and os.name == "posix" and bool(facts.mode & OTHERS),
            "Others than its owner have access to the file; chmod 600 ends that.",
        ),
        (
            facts.directory_mode is not None
            and os.name == "posix"
            and bool(facts.directory_mode & stat.S_IWOTH)
            and not facts.directory_mode & stat.S_ISVTX,
            "Everybody can replace files in this directory; take one of your own.",
        ),
        (
            bool(others),
            f"It is open in {_listed(tuple(others))}; do not copy, move or delete it meanwhile, use backup().",
        ),
    ]


def _shown(number: int | None, *, hexadecimal: bool = False) -> str:
    if number is None:
        return "unknown"
    return f"{number:#x}" if hexadecimal else str(number)


def _octal(mode: int | None) -> str:
    return "none" if mode is None else f"{mode:04o}"


def _listed(processes: tuple[int, ...] | None) -> str:
    if processes is None:
        return "not told by this system"
    return f"process {', '.join(map(str, processes))}" if processes else "no process"
