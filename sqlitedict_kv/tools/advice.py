"""Problems and advice that follow from the facts about a file."""

from __future__ import annotations

import os
import stat

from sqlitedict_kv.tools.diagnosis import Diagnosis, list_processes

LARGE_LOG = 64 * 2**20  # bytes; a checkpoint comes at 8 MB
MUCH_FREE = 4 * 2**20  # bytes
OTHERS = stat.S_IRWXG | stat.S_IRWXO

RESTORE = (
    "Restore it from a backup; or close it everywhere and open it with on_corrupt='quarantine', which puts it aside "
    "and keeps every entry that matches its checksum. A single damaged entry can be deleted or written again."
)
GUARDED = (
    "has the WAL-reset bug (mended in 3.51.3, 3.50.7 and 3.44.6). Stores make their checkpoints under the write lock, "
    "which avoids the bug. Do not let other programs make checkpoints in this file, and upgrade when you can."
)
SHRINK = (
    "The log is large: a process has kept a read transaction open for long, or was killed. The log shrinks when the "
    "transaction has ended and a store writes again."
)


def find_problems(facts: Diagnosis) -> tuple[str, ...]:
    """Return what is wrong with the place, the names and the permissions of a file."""
    return tuple(sentence for applies, sentence in _problems(facts) if applies)


def find_advice(facts: Diagnosis) -> tuple[str, ...]:
    """Return what to do, in sentences."""
    return tuple(sentence for applies, sentence in _advice(facts) if applies)


def _problems(facts: Diagnosis) -> list[tuple[bool, str]]:
    return [
        (
            facts.kind != "missing" and facts.filesystem_is_safe is False,
            f"it is on a file system of type {facts.filesystem}, on which SQLite's log can lose data",
        ),
        (facts.hard_links > 1 and facts.kind != "misplaced", f"it has {facts.hard_links} names (hard links)"),
        (
            facts.mode is not None and os.name == "posix" and bool(facts.mode & stat.S_IWOTH),
            "everybody on this machine can write to it, and so change what is read",
        ),
    ]


def _advice(facts: Diagnosis) -> list[tuple[bool, str]]:
    ours = facts.kind in ("store", "damaged", "newer", "busy")
    others = [number for number in facts.openers or () if number != os.getpid()]
    return [
        (facts.kind == "missing", "The file does not exist; Store(path) makes one that only you can read."),
        (
            facts.kind in ("foreign", "not a database"),
            "Take another path: this file is not a store of this library, and no store will change it.",
        ),
        (facts.kind == "newer", "Upgrade sqlitedict_kv to open it."),
        (facts.kind == "misplaced", "Move it to a path of its own, as an ordinary file with one name."),
        (facts.kind == "busy", "Others held the file for too long; try again later."),
        (facts.kind == "unreadable", "Allow this user to read the file and its directory."),
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
            "The type of the file system is unknown on this system; make sure that it is a local one.",
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
            f"{facts.unchecked:,} entries have no checksum, for another program wrote them; the next write adds it.",
        ),
        (
            ours and facts.mode is not None and os.name == "posix" and bool(facts.mode & OTHERS),
            "Users other than its owner can access the file; chmod 600 prevents that.",
        ),
        (
            facts.directory_mode is not None
            and os.name == "posix"
            and bool(facts.directory_mode & stat.S_IWOTH)
            and not facts.directory_mode & stat.S_ISVTX,
            "Every user can replace files in this directory; choose a directory of your own.",
        ),
        (
            bool(others),
            f"It is open in {list_processes(tuple(others))}; do not copy, move or delete it now; use backup().",
        ),
    ]
