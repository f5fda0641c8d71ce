"""Which file systems can carry SQLite's write-ahead log.

WAL needs memory that all processes share and POSIX locks that work
(https://www.sqlite.org/wal.html#noshm). Network and virtual file systems promise one or the other only
sometimes, and corruption follows, so they are refused unless the caller insists.
"""

from __future__ import annotations

import os
import re

MOUNT_TABLE = "/proc/self/mountinfo"  # proc(5); other systems have none and are not checked

UNSAFE_TYPES = frozenset(
    {
        "9p", "afs", "afpfs", "acfs", "beegfs", "ceph", "cifs", "coda", "davfs", "drvfs", "fuse", "fuseblk",
        "gfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs",
        "prl_fs", "pvfs2", "smb2", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs",
    }
)  # fmt: skip


def unsafe_type(path: str, mount_table: str = MOUNT_TABLE) -> str | None:
    """Return the type of the file system of *path* if WAL is not safe on it, else None."""
    try:
        with open(mount_table, encoding="utf-8", errors="surrogateescape") as file:
            table = file.read()
    except FileNotFoundError:
        return None
    kind = _type_at(path, table)
    return kind if kind.split(".")[0] in UNSAFE_TYPES else None


def _type_at(path: str, table: str) -> str:
    """Return the type of the mount with the longest matching mount point; the later one shadows the earlier."""
    best, kind = -1, ""
    for line in table.splitlines():
        fields, _, tail = line.partition(" - ")
        point = _unescape(fields.split()[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= best:
            best, kind = len(point), tail.split()[0]
    return kind


def _unescape(text: str) -> str:
    """Undo the octal escapes of white space and backslashes in a mount table."""
    if "\\" not in text:
        return text
    raw = re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), os.fsencode(text))
    return os.fsdecode(raw)
