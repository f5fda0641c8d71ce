"""Location of a store's file, and its checks before SQLite may open it.

Nothing here ever opens a file that may be a live database: closing any descriptor of it would drop the
POSIX locks of every connection in this process (https://www.sqlite.org/howtocorrupt.html, section 2.2).
"""

from __future__ import annotations

import contextlib
import os
import stat
import time

from sqlitedict_kv.engines.sqlite.files.filesystems import unsafe_type
from sqlitedict_kv.errors import LocationError, NotADatabaseError, OpenError, StoreNotFoundError, UnsafeFilesystemError

SECOND = 10**9  # nanoseconds
FINE_TICK = SECOND // 20  # more than the tick of a kernel, by which file systems keep their times
COARSE_TICK = 3 * SECOND  # more than that of file systems with whole seconds: FAT's is 2 s
LONGEST_NAME = 255  # bytes, on all common file systems
VALUES = "-values"  # ends the name of the folder in which large values are kept
PRIVATE_FILE = 0o600
PRIVATE_DIRECTORY = 0o700
PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-~")  # of a URI's path


class Location:
    """The real path of a database file."""

    __slots__ = ("path", "shm", "wal")

    def __init__(self, path: str, *, allow_unsafe_filesystem: bool) -> None:
        """Resolve *path* and refuse places where a store cannot be safe.

        Raises:
            UnsafeFilesystemError: it is on a network or virtual file system.
            LocationError: it is no regular file, has several names, or is a link to nothing.
            NotADatabaseError: it holds one byte.
        """
        if os.path.islink(path) and not os.path.exists(path):
            raise LocationError(f"{path} is a link to a file that does not exist; make the file there by its own path")
        self.path = os.path.realpath(path)
        self.wal = self.path + "-wal"  # the write-ahead log
        self.shm = self.path + "-shm"  # its index
        kind = None if allow_unsafe_filesystem else unsafe_type(self.path)
        if kind:
            raise UnsafeFilesystemError(
                f"{path} is on a file system of type {kind}, on which SQLite's write-ahead log can lose data; "
                f"use a local disk, or pass allow_unsafe_filesystem=True if just one machine ever opens it"
            )
        if len(os.fsencode(os.path.basename(self.path) + "-journal")) > LONGEST_NAME:
            raise LocationError(f"{path}: the name is too long for SQLite to add -journal to it")
        self._refuse_odd_files()

    def _refuse_odd_files(self) -> None:
        """Raise unless the path is free or an ordinary file with one name."""
        try:
            status = os.lstat(self.path)
        except FileNotFoundError:
            return
        except OSError as error:
            raise OpenError(f"cannot look at {self.path}: {error}") from error
        if not stat.S_ISREG(status.st_mode):
            raise LocationError(f"{self.path} is not a regular file")
        if status.st_size == 1:
            raise NotADatabaseError(f"{self.path} holds a single byte, which SQLite would take for nothing; delete it")
        if status.st_nlink > 1:
            raise LocationError(
                f"{self.path} has {status.st_nlink} hard links; SQLite would keep a log for each name and lose data"
            )

    def inode(self) -> tuple[int, int] | None:
        """Return device and inode of the database file, None if there is none."""
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise OpenError(f"cannot look at {self.path}: {error}") from error
        return status.st_dev, status.st_ino

    def uri(self, mode: str) -> str:
        """Return SQLite's URI for the path, in which every character means itself."""
        return uri_of(self.path, mode)

    def create(self) -> None:
        """Make an empty file that only its owner can read, and the directories above it; keep one that is there.

        Raises:
            OpenError: the operating system refuses.
        """
        try:
            _make_directories(os.path.dirname(self.path))
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0)
            os.close(os.open(self.path, flags, PRIVATE_FILE))
        except FileExistsError:
            return
        except OSError as error:
            raise OpenError(f"cannot make {self.path}: {error}") from error

    def has_log(self) -> bool:
        """Return whether there is a log with something in it."""
        try:
            return os.stat(self.wal).st_size > 0
        except FileNotFoundError:
            return False

    def has_companions(self) -> bool:
        """Return whether there is a log or a journal, so that the file alone does not tell its state."""
        return os.path.lexists(self.wal) or os.path.lexists(self.path + "-journal")

    def require(self) -> None:
        """Raise StoreNotFoundError unless there is a file."""
        if not os.path.exists(self.path):
            raise StoreNotFoundError(f"there is no store at {self.path}, and readonly=True makes none")


def uri_of(path: str, mode: str) -> str:
    """Return SQLite's URI for a real path, in which every character means itself."""
    plain = path.replace(os.sep, "/")
    raw = os.fsencode(plain if plain.startswith("/") else "/" + plain)
    quoted = "".join(chr(byte) if byte in PLAIN else f"%{byte:02X}" for byte in raw)
    return f"file:{quoted}?{mode}"


class FileIdentity:
    """Which file and which log were open at a time, to see whether they still are.

    Somebody may delete or replace them; and when this process loses its POSIX locks, another one, alone by
    its reckoning, removes the log. What is written after that is lost, so every write asks first.

    A look at both costs as much as a third of a small write. But no name in a directory changes its file
    without a change to the directory's own times, so mostly a look at those is enough; and through an open
    descriptor that takes half as long as by its path. A directory that was moved has a new ctime.
    """

    __slots__ = ("_directory", "_inodes", "_location", "_seen")

    def __init__(self, location: Location) -> None:
        """Remember what is open now."""
        self._location = location
        self._directory = _open_directory(os.path.dirname(location.path))
        self._seen: tuple[int, int] | None = None
        try:
            self._inodes = self._look()
        except BaseException:
            self.close()
            raise

    def has_changed(self) -> bool:
        """Return whether the file or the log is another one now, or gone."""
        try:
            status = os.stat(self._directory)
            seen = (status.st_mtime_ns, status.st_ctime_ns)
            if seen == self._seen:
                return False
        except FileNotFoundError:
            return True
        same = self.is_here()
        # A time that is too young could stay the same through another change within the clock's tick.
        newest = max(seen)
        tick = FINE_TICK if newest % SECOND else COARSE_TICK
        if same and time.time_ns() - newest > tick:
            self._seen = seen
        return not same

    def is_here(self) -> bool:
        """Return whether the path leads to the same file and log as ever: also if a directory far above was moved."""
        try:
            return self._look() == self._inodes
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Let go of the directory."""
        if isinstance(self._directory, int):
            os.close(self._directory)
            self._directory = ""  # a path that leads nowhere

    def _look(self) -> tuple[int, int | None]:
        try:
            wal = os.stat(self._location.wal).st_ino
        except FileNotFoundError:  # none yet, or on a read-only medium
            wal = None
        return os.stat(self._location.path).st_ino, wal


def _open_directory(directory: str) -> int | str:
    """Return a descriptor of a directory; where the system gives none, as Windows, its path serves."""
    try:
        return os.open(directory, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0))
    except PermissionError:
        return directory


def _make_directories(directory: str) -> None:
    """Make missing directories for their owner alone, and make their names survive a power cut."""
    if os.path.isdir(directory):
        return
    parent = os.path.dirname(directory)
    _make_directories(parent)
    with contextlib.suppress(FileExistsError):
        os.mkdir(directory, PRIVATE_DIRECTORY)
    sync_directory(parent)


def sync_directory(directory: str) -> None:
    """Make the names in a directory survive a power cut, where the system has a way to."""
    if os.name != "posix":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
