"""File systems, and whether SQLite's write-ahead log works on them.

WAL needs memory that all processes share and POSIX locks that work
(https://www.sqlite.org/wal.html#noshm). Network and virtual file systems promise one or the other only
sometimes, and corruption follows, so they are refused unless the caller insists.
"""

from __future__ import annotations

import os
import re

NOWHERE = ""  # where a walk begins
MOUNT_TABLE = "/proc/self/mountinfo"  # proc(5); other systems have none and are not checked

UNSAFE_TYPES = frozenset(
    {
        "9p", "afs", "afpfs", "acfs", "beegfs", "ceph", "cifs", "coda", "davfs", "drvfs", "fuse", "fuseblk",
        "gfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs",
        "prl_fs", "pvfs2", "smb2", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs",
    }
)  # fmt: skip


def type_of(path: str, mount_table: str = MOUNT_TABLE) -> str | None:
    """Return the type of the file system of an absolute path without links; None where there is no mount table."""
    try:
        with open(mount_table, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            return _type_at(path, file.read())
    except FileNotFoundError:
        return None


def unsafe_type(path: str, mount_table: str = MOUNT_TABLE) -> str | None:
    """Return the type of the file system of *path* if WAL is not safe on it, else None."""
    kind = type_of(path, mount_table)
    return kind if kind is not None and is_unsafe(kind) else None


def is_unsafe(kind: str) -> bool:
    """Return whether WAL is not safe on a type of file system; ``fuse.sshfs`` is a kind of ``fuse``."""
    return kind.split(".", maxsplit=1)[0] in UNSAFE_TYPES


def _type_at(path: str, table: str) -> str:
    """Return the type of the mount that a walk down the path ends in.

    The longest mount point would not do: one below a directory that was mounted over later is out of reach. So each
    step goes on only to a mount whose parent is the one where the walk is.
    """
    at: dict[tuple[str, str], str] = {}  # a mount by its parent and its point; the later one is on top
    kinds: dict[str, str] = {NOWHERE: ""}
    # The kernel escapes blanks, tabs and ends of lines, and no other white space that Python would split at.
    for line in filter(None, table.split("\n")):
        fields, _, tail = line.partition(" - ")
        number, parent, _, _, point = fields.split(" ")[:5]
        at[parent, _unescape(point)] = number
        kinds[number] = tail.split(" ")[0]
    # Those whose parents are not in the table: the root, and in a chroot perhaps others in its place.
    at |= {
        (NOWHERE, point): number for (parent, point), number in at.items() if parent not in kinds or parent == number
    }
    current = NOWHERE
    for place in _places(path):
        seen = {current}
        while (above := at.get((current, place), current)) not in seen:
            seen.add(above)
            current = above
    return kinds[current]


def _places(path: str) -> list[str]:
    """Return the directories on the way down to a path, and the path itself."""
    parts = [part for part in path.split("/") if part]
    return ["/", *("/" + "/".join(parts[: depth + 1]) for depth in range(len(parts)))]


def _unescape(text: str) -> str:
    """Undo the octal escapes of white space and backslashes in a mount table."""
    if "\\" not in text:
        return text
    raw = re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), os.fsencode(text))
    return os.fsdecode(raw)
