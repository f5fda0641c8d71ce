"""Putting a damaged file aside, and a new one with all that can be saved in its place.

The new file is made beside the old one while a lock keeps everybody out, and takes its place in one step. So
others see the damaged file or the whole new one, and a process that dies in between leaves the old one as it was; or
with a second name, by which the next quarantine knows that it must be undone first.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import sqlite3
import stat
import time
from collections.abc import Iterator
from typing import NoReturn

from sqlitedict_kv.concurrency.backoff import Backoff
from sqlitedict_kv.concurrency.deadline import Deadline
from sqlitedict_kv.engines.optional import Quarantine
from sqlitedict_kv.engines.sqlite import schema
from sqlitedict_kv.engines.sqlite.error_mapping import primary_code
from sqlitedict_kv.engines.sqlite.files.location import PRIVATE_FILE, VALUES, Location
from sqlitedict_kv.engines.sqlite.recovery.salvage import Connect, Salvage, fill, open_damaged
from sqlitedict_kv.engines.sqlite.recovery.saved_files import link_files, read_owner, swap_folders, undo_folders
from sqlitedict_kv.errors import CorruptStoreError, KVError, NotADatabaseError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # what stands for it is never called

WAIT = 2.0  # seconds for the lock, which those who only look at the file hold for moments
BACKOFF = Backoff(0.005, 0.01)

# https://www.sqlite.org/src/file/src/os.h: the bytes PENDING, RESERVED and the 510 of SHARED, on which every
# connection in WAL mode holds a lock for as long as it is open.
LOCK_START, LOCK_BYTES = 0x4000_0000, 512

COMPANIONS = ("-wal", "-shm")
JOURNAL = "-journal"
MARKER = ".corrupt-"  # between the path and the time

# https://www.sqlite.org/fileformat.html#the_database_header
MAGIC = b"SQLite format 3\0"
USER_VERSION = slice(60, 64)
APPLICATION_ID = slice(68, 72)
HEAD_BYTES = 2**16  # the largest page, the first one of which holds the schema
# The beginning of our table in that page: no script or text has these words run together.
OUR_TABLE = re.compile(rb"tablekvkv.{1,9}?CREATE TABLE kv\s*\(\s*ns\s+TEXT", re.IGNORECASE | re.DOTALL)

QUICK_CHECK = "PRAGMA quick_check(5)"


def is_damage(error: BaseException) -> bool:
    """Return whether what an opening raised may mean a damaged store."""
    if isinstance(error, CorruptStoreError | NotADatabaseError):
        return True
    cause = error.__cause__
    if not isinstance(cause, sqlite3.Error):
        return False
    return primary_code(cause) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "decode to UTF-8" in str(cause)


def damage_in(connection: sqlite3.Connection) -> list[str]:
    """Return what SQLite finds wrong with the pages of a file, nothing if all is well."""
    try:
        return [text for (text,) in connection.execute(QUICK_CHECK).fetchall() if text != "ok"]
    except sqlite3.DatabaseError as error:
        if primary_code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return [str(error)]
        raise


def quarantine(
    location: Location,
    inode: tuple[int, int] | None,
    error: KVError,
    *,
    in_use: bool,
    connect: Connect = sqlite3.connect,
    wait: float = WAIT,
) -> Quarantine | None:
    """Put a damaged file aside and a new one with what could be saved in its place.

    Args:
        location: where the file is.
        inode: which file was found damaged.
        error: what the opening raised; raised again, with a note, where the file must stay.
        in_use: whether a store of this process has the file open.
        connect: opens connections.
        wait: seconds to wait for others who look at the file.

    Returns:
        What was done; None if there is another file by now or this one is in order, so that it can be opened.
    """
    if in_use:
        _refuse(error, "another store of this process has it open; close it first")
    try:
        with _sole_owner(location.path, inode, error, wait) as descriptor:
            if descriptor is None:
                return None
            if os.path.lexists(location.path + JOURNAL):
                _refuse(error, "it has a rollback journal, without which it cannot be judged")
            _refuse_strangers(location, descriptor, error)
            return _replace(location, descriptor, connect)
    except (OSError, sqlite3.Error) as failure:
        _refuse(error, f"that failed ({failure}); the file is where it was", failure)


def undo_interrupted(path: str) -> None:
    """Give a file back its only name, if somebody died while putting it aside; it is still damaged, and complete."""
    real = os.path.realpath(path)
    aside = _second_name(real)
    if aside is None:
        return
    status = os.stat(real)
    note = NotADatabaseError(real)  # not raised further
    with (
        contextlib.suppress(NotADatabaseError, OSError),
        _sole_owner(real, (status.st_dev, status.st_ino), note, WAIT) as descriptor,
    ):
        if descriptor is None or _second_name(real) != aside:
            return
        moved = [suffix for suffix in COMPANIONS if os.path.lexists(aside + suffix)]
        for suffix in moved:
            if not os.path.lexists(real + suffix):
                os.link(aside + suffix, real + suffix)
            elif not os.path.samefile(aside + suffix, real + suffix):
                return  # somebody else has opened it since
        undo_folders(real, aside)
        _sync_directory(real)
        for suffix in moved:
            os.unlink(aside + suffix)
        os.unlink(aside)
        _sync_directory(real)


# -- who owns the file


def _refuse(error: KVError, reason: str, cause: BaseException | None = None) -> NoReturn:
    error.add_note(f"It was not put into quarantine: {reason}.")
    if cause is None or error.__cause__ is not None:
        raise error
    raise error from cause


@contextlib.contextmanager
def _sole_owner(path: str, inode: tuple[int, int] | None, error: KVError, wait: float) -> Iterator[int | None]:
    """Give a descriptor of the file under a lock that keeps every connection out; None if it is another file now."""
    if fcntl is None:
        _refuse(error, "this system cannot tell whether others have it open")
    if inode in _descriptors_here():
        _refuse(error, "something in this process still has it open; try again in a new process")
    # To open and close a file drops all locks that the process holds on it (location.py), so this is safe only
    # because the process has no connection to it, as was just seen, and the caller keeps its stores from
    # opening it meanwhile.
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:  # somebody was faster
        yield None
        return
    try:
        _lock(descriptor, error, wait)
        # SQLite's readers of the file take no locks (salvage.py), so none is dropped before their end.
        same = _identity(os.fstat(descriptor)) == inode and _is_at(path, inode)
        yield descriptor if same else None
    finally:
        os.close(descriptor)


def _lock(descriptor: int, error: KVError, wait: float) -> None:
    deadline = Deadline(wait, BACKOFF)
    while True:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, LOCK_BYTES, LOCK_START)
        except OSError as failure:
            if failure.errno not in (errno.EACCES, errno.EAGAIN):
                raise
            if not deadline.pause():
                _refuse(error, "others have it open; close it everywhere first")
        else:
            return


def _descriptors_here() -> set[tuple[int, int]]:
    """Return what this process has open, by device and inode; an empty set where the system does not tell."""
    found = set()
    for directory in ("/proc/self/fd", "/dev/fd"):
        with contextlib.suppress(OSError):
            for name in os.listdir(directory):
                with contextlib.suppress(OSError, ValueError):
                    found.add(_identity(os.fstat(int(name))))
            break
    return found


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _is_at(path: str, inode: tuple[int, int] | None) -> bool:
    try:
        return _identity(os.stat(path)) == inode
    except FileNotFoundError:
        return False


# -- whose file it is


def _refuse_strangers(location: Location, descriptor: int, error: KVError) -> None:
    """Raise *error* unless something says that the file was a store of ours."""
    head = os.pread(descriptor, HEAD_BYTES, 0)
    application = int.from_bytes(head[APPLICATION_ID], "big")
    if head.startswith(MAGIC):
        if application not in (0, schema.APPLICATION_ID):
            _refuse(error, "it belongs to another application")
        if application and int.from_bytes(head[USER_VERSION], "big") > schema.NEWEST:
            _refuse(error, "a later release wrote it")
        if application:
            return
    log = b""
    with contextlib.suppress(FileNotFoundError), open(location.wal, "rb") as file:  # nobody locks the log itself
        log = file.read(HEAD_BYTES)
    if not OUR_TABLE.search(head) and not OUR_TABLE.search(log):
        _refuse(error, "nothing in it says that it was a store")


# -- the new file


def _replace(location: Location, descriptor: int, connect: Connect) -> Quarantine | None:
    """Make the new file and put it in the place of the old one; None if the old one is in order."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = _free_name(f"{location.path}{MARKER}{stamp}")
    status = os.fstat(descriptor)
    with contextlib.ExitStack() as stack:
        fresh = _scratch(f"{location.path}.salvage-{stamp}", stack)
        os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE_FILE))
        reader, problems = open_damaged(location, descriptor, lambda: _scratch(fresh + ".copy", stack), connect, stack)
        if reader is not None:
            problems += damage_in(reader)
            if not problems:
                return None
        salvage = Salvage(reader, problems)
        owner = read_owner(location.path)
        fill(fresh, salvage, connect, owner)
        stack.callback(shutil.rmtree, fresh + VALUES, ignore_errors=True)
        missing = link_files(location.path, fresh, owner)
        if missing:
            salvage.problems.append(f"the files of {missing} entries are missing")
        with contextlib.suppress(PermissionError):
            os.chown(fresh, status.st_uid, status.st_gid)
        os.chmod(fresh, stat.S_IMODE(status.st_mode))
        _swap(location.path, aside, fresh)
        # The readers are closed only now: with their descriptors the process loses its lock.
    return Quarantine(aside, salvage.salvaged, salvage.lost, salvage.complete, tuple(salvage.problems))


def _free_name(name: str) -> str:
    candidate, number = name, 0
    while any(os.path.lexists(candidate + suffix) for suffix in ("", *COMPANIONS, JOURNAL, VALUES)):
        number += 1
        candidate = f"{name}-{number}"
    return candidate


def _scratch(name: str, stack: contextlib.ExitStack) -> str:
    """Return a free name for a file that is removed in the end."""
    free = _free_name(name)
    stack.callback(_remove, free)
    return free


def _remove(path: str) -> None:
    for suffix in ("", *COMPANIONS, JOURNAL):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path + suffix)


def _swap(path: str, aside: str, fresh: str) -> None:
    """Give the old files their new names, and the new file theirs.

    The old log goes before the new file comes, or SQLite would apply it to that. The old file without its log
    would be another one too: so it has two names by then, and no store opens it (Location).
    """
    present = [suffix for suffix in COMPANIONS if os.path.lexists(path + suffix)]
    made: list[str] = []
    try:
        for suffix in (*present, ""):
            os.link(path + suffix, aside + suffix)
            made.append(aside + suffix)
        _sync_directory(path)
    except BaseException:  # a file system without links, say
        for name in reversed(made):
            os.unlink(name)
        raise
    swap_folders(path, aside, fresh)
    _sync_directory(path)
    for suffix in present:
        os.unlink(path + suffix)
    os.replace(fresh, path)
    _sync_directory(path)


def _second_name(path: str) -> str | None:
    """Return the other name of a file that was being put aside."""
    try:
        status = os.lstat(path)
        if status.st_nlink != 2 or not stat.S_ISREG(status.st_mode):  # noqa: PLR2004 - two names
            return None
        directory, name = os.path.split(path)
        for other in os.listdir(directory):
            found = os.path.join(directory, other)
            if other.startswith(name + MARKER) and os.path.samestat(status, os.lstat(found)):
                return found
    except OSError:
        pass
    return None


def _sync_directory(path: str) -> None:
    descriptor = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
