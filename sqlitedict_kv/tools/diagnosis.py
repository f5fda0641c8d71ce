"""Diagnosis of a file: the facts that were found, the problems, and the advice."""

from __future__ import annotations

from typing import NamedTuple

SHOWN_PROBLEMS = 10


class Diagnosis(NamedTuple):
    """Facts about a file, with problems and advice; ``str()`` of it is a report to read.

    Attributes:
        path: the real path that was looked at.
        kind: ``"store"``, or why the file cannot be used as one: ``"missing"``, ``"not a database"``, ``"foreign"``,
            ``"newer"``, ``"misplaced"``, ``"damaged"``, ``"busy"``, ``"unreadable"``.
        problems: sentences that show no value; empty if nothing is wrong.
        advice: sentences that say what to do.
        sqlite_version: the release of SQLite at work here.
        wal_reset_bug: whether that release has the WAL-reset bug, against which every checkpoint of a store is guarded.
        filesystem: the type of the file system; None where the system does not tell.
        filesystem_is_safe: whether SQLite's log is safe on it; None where that is not known.
        application_id: the mark of the application in the file; None where it could not be read.
        format: the number of the file's format; None where it could not be read.
        durability: what acknowledged writes survive, in words.
        file_bytes: the size of the database file.
        log_bytes: the size of the log beside it.
        page_bytes: the size of a page; 0 where it could not be read.
        pages: how many pages the file has.
        free_pages: how many of them are free.
        entries: rows that could be read, expired ones included.
        unchecked: rows without a checksum, written by another program.
        damaged: how many problems the check of pages and checksums found.
        mode: the permissions of the file, as in ``0o600``; None if the file is missing.
        directory_mode: those of its directory.
        hard_links: how many names the file has.
        openers: the processes that hold locks on the file now, this one included; None where the system does not tell.
        limits: the limits of the library, in bytes, by name.
        files: how many large values in files of their own were read and compared with their checksums.
        unknown_files: how many files in their folder nothing refers to.
        folder_bytes: the size of all that is in their folder.
        folder_mode: the permissions of their folder; None if there is none.
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
    files: int = 0
    unknown_files: int = 0
    folder_bytes: int = 0
    folder_mode: int | None = None

    @property
    def ok(self) -> bool:
        """Whether the file is a store with which nothing is wrong."""
        return self.kind == "store" and not self.problems

    @property
    def _directories(self) -> str:
        of_values = "" if self.folder_mode is None else f", value files in {_octal(self.folder_mode)}"
        return _octal(self.directory_mode) + of_values

    def __str__(self) -> str:
        """Return the report."""
        safety = {True: "safe for the log", False: "NOT safe for the log", None: "unknown"}[self.filesystem_is_safe]
        bug = (
            "has the WAL-reset bug; stores are guarded against it"
            if self.wal_reset_bug
            else "no known bug that matters"
        )
        lines = [
            f"{self.path}: {'all is well' if self.ok else self.kind}",
            f"  SQLite        {self.sqlite_version}: {bug}",
            f"  file system   {self.filesystem or 'unknown on this system'}: {safety}",
            f"  format        {_shown(self.format)}, application_id {_shown(self.application_id, hexadecimal=True)}",
            f"  file          {self.file_bytes:,} bytes: {self.pages:,} pages of {self.page_bytes:,}",
            f"  free pages    {self.free_pages:,}",
            f"  log           {self.log_bytes:,} bytes",
            f"  entries       {self.entries:,}, {self.unchecked:,} without a checksum; {self.damaged:,} problems found",
            f"  value files   {self.files:,}, {self.unknown_files:,} unknown; {self.folder_bytes:,} bytes in all",
            f"  permissions   {_octal(self.mode)} in {self._directories}; {self.hard_links} names",
            f"  open in       {list_processes(self.openers)}",
            f"  limits        {', '.join(f'{name} {size:,}' for name, size in self.limits.items())} bytes",
            f"  durability    {self.durability}",
            *(f"  PROBLEM       {problem}" for problem in self.problems[:SHOWN_PROBLEMS]),
            *(f"  advice        {sentence}" for sentence in self.advice),
        ]
        return "\n".join(lines)


def _shown(number: int | None, *, hexadecimal: bool = False) -> str:
    if number is None:
        return "unknown"
    return f"{number:#x}" if hexadecimal else str(number)


def _octal(mode: int | None) -> str:
    return "none" if mode is None else f"{mode:04o}"


def list_processes(processes: tuple[int, ...] | None) -> str:
    """Return the numbers of processes for a sentence."""
    if processes is None:
        return "unknown on this system"
    return f"process {', '.join(map(str, processes))}" if processes else "no process"
