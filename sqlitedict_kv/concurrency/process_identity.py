"""Identities of processes, by which others on the same machine know that one is gone.

The number of a process is used again, so its start time belongs to it; and it means something only on one machine, in
one namespace of process numbers, since its last boot. Where the system does not tell all that, no process is known to
be gone.
"""

from __future__ import annotations

import os
import zlib
from contextlib import suppress

UNKNOWN = "-"


def identity() -> str:
    """Return the identity of this process."""
    pid = os.getpid()
    if _known.get("pid") != str(pid):  # a child of a fork is another process
        _known.update(pid=str(pid), text=f"{_machine()}.{pid}.{_start_of(pid) or UNKNOWN}")
    return _known["text"]


def identity_of(pid: int) -> str | None:
    """Return the identity of another process on this machine, None if it is not known."""
    start = _start_of(pid)
    return None if start is None or _machine() == UNKNOWN else f"{_machine()}.{pid}.{start}"


def is_gone(text: str) -> bool:
    """Return whether the process of an identity was on this machine, and does not run any more."""
    machine, _, process = text.partition(".")
    pid, _, start = process.partition(".")
    if machine == UNKNOWN or machine != identity().partition(".")[0] or start in ("", UNKNOWN) or not pid.isdecimal():
        return False
    return _start_of(int(pid)) != start


def describe(text: str) -> str:
    """Return which process an identity is that of, for a reader."""
    machine, _, process = text.partition(".")
    where = "" if machine == identity().partition(".")[0] else " of another machine"
    return f"process {process.partition('.')[0]}{where}"


_known: dict[str, str] = {}


def _machine() -> str:
    """Return the boot of this machine and the namespace of process numbers, hashed."""
    with suppress(OSError):
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read()
        return f"{zlib.crc32((boot + os.readlink('/proc/self/ns/pid')).encode()):08x}"
    return UNKNOWN


def _start_of(pid: int) -> str | None:
    """Return when a process started, in ticks since the boot; None if there is none, or only what is left of one."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()  # after the name, which may hold anything
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else fields[19].decode()
