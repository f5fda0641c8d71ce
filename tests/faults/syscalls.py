"""The calls by which a process changes its files: recorded in one order for all processes, or made to fail.

A small library in C is loaded before all others (LD_PRELOAD), so that the store, the interpreter, the sqlite3 module
and SQLite are what users have, and several processes can be recorded as well as one. What it makes visible is the
border to the operating system, where power cuts and bad disks do their harm.
"""

from __future__ import annotations

import atexit
import ctypes
import errno
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from tests.faults.campaign import UnavailableError
from tests.support.processes import PACKAGE_PARENT, Worker

SOURCES = [str(Path(__file__).with_name(name)) for name in ("syscalls.c", "syscalls_names.c")]
# With which a worker finds the package under test, and these modules.
PATHS = {"PYTHONPATH": f"{PACKAGE_PARENT}:{Path(__file__).parents[2]}"}


OPERATIONS = (
    *("read", "write", "sync", "dirsync", "truncate", "map", "lock", "open", "unlink", "stat", "rename"),
    *("link", "mkdir", "list"),
)
EVERYTHING = frozenset(OPERATIONS)
HALF = -1  # times a code: a write does half of its work before it fails

HEADER = Struct("=cbhiqqq")
SIGNALLED = 1000  # plus a signal: the process gets that just before the call, which does its work


class Event(NamedTuple):
    """One call that succeeded, or a note of the process itself."""

    kind: str  # one of KINDS
    failed: bool  # of a sync only
    inode: int
    offset: int  # of a write; of a truncate the size; of a note the process
    text: str  # the path from the directory on, which itself is ""; or the note
    data: bytes  # of a write; of a rename the new path, from the directory on


KINDS = {
    b"c": "create",
    b"o": "create nameless",  # O_TMPFILE; the path is that of its directory
    b"w": "write",
    b"t": "truncate",
    b"s": "sync",
    b"d": "dirsync",
    b"u": "unlink",
    b"r": "rename",
    b"l": "link",
    b"m": "mkdir",
    b"n": "note",
}


@functools.cache
def library() -> str:
    """Compile the library and return its path; it is removed when the process ends."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if sys.platform != "linux" or compiler is None:
        raise UnavailableError("recording system calls needs Linux and a C compiler")
    directory = tempfile.mkdtemp(prefix="faults-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    path = f"{directory}/syscalls.so"
    done = subprocess.run(
        [compiler, "-O2", "-shared", "-fPIC", "-o", path, *SOURCES, "-ldl", "-lpthread"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise UnavailableError(f"the recorder of system calls does not compile here: {done.stderr}")
    return path


def watched(code: str, *arguments: object, directory: Path, trace: Path | None = None) -> Worker:
    """Start a worker whose calls on files below *directory* are recorded in *trace*, or can be made to fail."""
    variables = PATHS | {"LD_PRELOAD": library(), "FAULTS_DIRECTORY": str(directory)}
    if trace is not None:
        variables["FAULTS_TRACE"] = str(trace)
    return Worker(code, *arguments, measured=False, variables=variables)


def lines_of(worker: Worker) -> list[str]:
    """Return what a worker says until it says "end", however long that takes on a busy machine."""
    lines = list(iter(worker.hear, "end"))
    return lines + worker.finish()


def read_trace(path: Path) -> Iterator[Event]:
    """Return what was recorded, in order."""
    content = path.read_bytes()
    position = 0
    while position < len(content):
        kind, failed, _, text, inode, offset, data = HEADER.unpack_from(content, position)
        position += HEADER.size
        name = os.fsdecode(content[position : position + text])
        position += text
        yield Event(KINDS[kind], bool(failed), inode, offset, name, content[position : position + data])
        position += data


# -- within a worker


@functools.cache
def _loaded() -> ctypes.CDLL:
    loaded = ctypes.CDLL(None)
    loaded.faults_fired.restype = loaded.faults_seen.restype = loaded.faults_calls.restype = ctypes.c_long
    loaded.faults_arm.argtypes = [ctypes.c_uint, ctypes.c_long, ctypes.c_int, ctypes.c_uint, ctypes.c_char_p]
    return loaded


def note(text: str) -> None:
    """Put a note into the record, between the calls that came before and those that come after it."""
    _loaded().faults_note(text.encode())


def arm(
    operations: set[str] | frozenset[str], number: int, code: int, later: set[str] | frozenset[str], pattern: str = ""
) -> None:
    """Fail the *number*-th call among *operations* from now on with *code*, and every one of *later* after it.

    A *code* is an error number, HALF times one, or SIGNALLED plus a signal.

    With a *pattern*, as of `fnmatch` for whole paths, only calls on such paths count.
    """
    _loaded().faults_arm(_bits(operations), number, code, _bits(later), pattern.encode())


def disarm() -> None:
    """Let every call do its work."""
    arm(frozenset(), 0, errno.EIO, frozenset())


def fired() -> int:
    """Return how many calls have failed since the library was armed."""
    return int(_loaded().faults_fired())


def seen() -> int:
    """Return how many calls have counted since then."""
    return int(_loaded().faults_seen())


def calls() -> dict[str, int]:
    """Return how often each operation was asked for since then."""
    return {operation: int(_loaded().faults_calls(number)) for number, operation in enumerate(OPERATIONS)}


def _bits(operations: set[str] | frozenset[str]) -> int:
    return sum(1 << OPERATIONS.index(operation) for operation in operations)
