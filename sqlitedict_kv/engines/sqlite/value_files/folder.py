"""Folder of a store's value files, and the calls on the files in it, each by the folder's descriptor."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterator
from typing import Any

from sqlitedict_kv.codecs.file_reference import new_name
from sqlitedict_kv.engines.sqlite.files.location import VALUES
from sqlitedict_kv.errors import LocationError

if sys.platform != "win32":
    import fcntl

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
STORE = "STORE"  # the file that says whose folder it is
LOCK = ".reap"  # held exclusively by what removes files, shared by what copies them
TEMPORARY = "tmp-"  # begins the name of a file that is being written, where files cannot be without a name

NO_NAMELESS = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL})
READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
BY_DESCRIPTOR = os.open in os.supports_dir_fd
NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
PLAIN = NOFOLLOW | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
# A link to a file without a name goes through /proc.
NAMELESS = getattr(os, "O_TMPFILE", 0) if BY_DESCRIPTOR and os.path.isdir("/proc/self/fd") else 0


def sync_file(descriptor: int) -> None:
    """Wait until a file is on the disk."""
    if sys.platform == "darwin":  # a plain fsync stops at the drive's cache
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fsync(descriptor)


def sync_folder(path: str) -> None:
    """Wait until the names in a folder are on the disk."""
    if BY_DESCRIPTOR:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class OpenFolder:
    """The folder, open for a few calls."""

    def __init__(self, path: str, descriptor: int | None) -> None:
        """Work by the *descriptor*; None is by the path, where there are no calls by descriptors."""
        self.path = path
        self._descriptor = descriptor

    def _at(self, name: str) -> tuple[str, dict[str, Any]]:
        if self._descriptor is None:
            return os.path.join(self.path, name), {}
        return name, {"dir_fd": self._descriptor}

    def open(self, name: str, flags: int) -> int:
        """Return a descriptor of a file in the folder, never of what a link there refers to."""
        path, options = self._at(name)
        return os.open(path, flags | PLAIN, PRIVATE_FILE, **options)

    def create(self, prefix: str) -> tuple[int, str | None]:
        """Return a descriptor of a new file, and the name that it has meanwhile, None where a file needs none."""
        if NAMELESS:
            flags = NAMELESS | os.O_RDWR | os.O_CLOEXEC
            try:
                return os.open(".", flags, PRIVATE_FILE, dir_fd=self._descriptor), None
            except OSError as error:
                if error.errno not in NO_NAMELESS:
                    raise
        name = f"{prefix}{new_name()}"
        return self.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL), name

    def link(self, descriptor: int, name: str) -> None:
        """Give a file without a name its name."""
        os.link(f"/proc/self/fd/{descriptor}", name, dst_dir_fd=self._descriptor, follow_symlinks=True)

    def link_into(self, other: OpenFolder, name: str) -> None:
        """Give a file a second name, the same one in another folder."""
        path, options = self._at(name)
        target, more = other._at(name)
        given = {"src_dir_fd": options["dir_fd"], "dst_dir_fd": more["dir_fd"]} if options and more else {}
        os.link(path, target, follow_symlinks=False, **given)

    def rename(self, old: str, new: str) -> None:
        """Give a file its name in place of another."""
        if self._descriptor is None:
            os.rename(os.path.join(self.path, old), os.path.join(self.path, new))
        else:
            os.rename(old, new, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)

    def unlink(self, name: str) -> bool:
        """Remove a file, if it is there; return whether it is gone, for on Windows one that is mapped cannot go."""
        path, options = self._at(name)
        try:
            os.unlink(path, **options)
        except FileNotFoundError:
            pass
        except PermissionError:
            if sys.platform == "win32":
                return False
            raise
        return True

    def sync(self) -> None:
        """Wait until the names are on the disk."""
        if self._descriptor is not None:
            os.fsync(self._descriptor)

    def names(self) -> Iterator[str]:
        """Yield the names of what is in the folder, in no order."""
        with os.scandir(self.path if self._descriptor is None else self._descriptor) as entries:
            for entry in entries:
                yield entry.name

    def owner(self) -> str | None:
        """Return the id of the store whose folder this is; None if nobody has claimed it."""
        try:
            descriptor = self.open(STORE, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a pipe would wait
        except FileNotFoundError:
            return None
        try:
            return os.read(descriptor, 64).decode("ascii", errors="replace")
        finally:
            os.close(descriptor)

    def claim(self, owner: str) -> None:
        """Say whose folder this is."""
        descriptor, temporary = self.create(f"{STORE}.")
        try:
            try:
                os.write(descriptor, owner.encode())
                sync_file(descriptor)
                if temporary is None:
                    self.link(descriptor, STORE)
            finally:
                os.close(descriptor)
            if temporary is not None:
                self.rename(temporary, STORE)
        except BaseException as error:
            if temporary is not None:
                with contextlib.suppress(OSError):
                    self.unlink(temporary)
            others = isinstance(error, FileExistsError | FileNotFoundError)  # another process claimed it first
            if not others or self.owner() != owner:
                raise
        self.sync()


class OpenFile:
    """A file in the folder that is open to be synced."""

    def __init__(self, folder: OpenFolder, name: str) -> None:
        """Open it; raise FileNotFoundError if it is not there."""
        self._descriptor = folder.open(name, os.O_RDONLY)

    def sync(self) -> None:
        """Wait until it is on the disk."""
        sync_file(self._descriptor)

    def close(self) -> None:
        """Let it go."""
        os.close(self._descriptor)


class ValueFolder:
    """The folder beside a database, which need not be there."""

    def __init__(self, database_path: str) -> None:
        """Belong to the database at a real path."""
        self.path = database_path + VALUES

    def is_claimed(self) -> bool:
        """Return whether the folder is there, and says whose it is."""
        return os.path.lexists(os.path.join(self.path, STORE))

    @contextlib.contextmanager
    def opened(self) -> Iterator[OpenFolder]:
        """Give the folder; raise FileNotFoundError if there is none, LocationError if it is something else."""
        if not BY_DESCRIPTOR:
            if not stat.S_ISDIR(os.lstat(self.path).st_mode):
                raise LocationError(f"{self.path} is not a directory; move it away, for large values are kept there")
            yield OpenFolder(self.path, None)
            return
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | PLAIN)
        except NotADirectoryError:  # a link to one, too
            raise LocationError(
                f"{self.path} is not a directory; move it away, for large values are kept there"
            ) from None
        try:
            yield OpenFolder(self.path, descriptor)
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def made(self) -> Iterator[OpenFolder]:
        """Give the folder, and make it if there is none."""
        try:
            os.mkdir(self.path, PRIVATE_FOLDER)
        except FileExistsError:
            pass
        else:
            sync_folder(os.path.dirname(self.path))  # or a power cut could take it away with all that is in it
        with self.opened() as folder:
            yield folder

    @contextlib.contextmanager
    def locked(self, folder: OpenFolder, *, shared: bool, waiting: bool) -> Iterator[bool]:
        """Hold the lock against the removal of files, and give whether it is held."""
        if sys.platform == "win32":
            yield True
            return
        descriptor = folder.open(LOCK, os.O_RDWR | os.O_CREAT)
        try:
            try:
                how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
                fcntl.flock(descriptor, how if waiting else how | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def kept(self) -> Iterator[OpenFolder | None]:
        """Give the folder, from which nothing is removed meanwhile; None if there is none."""
        with contextlib.ExitStack() as stack:
            try:
                folder = stack.enter_context(self.opened())
            except FileNotFoundError:
                yield None
                return
            try:
                stack.enter_context(self.locked(folder, shared=True, waiting=True))
            except OSError as error:
                if error.errno not in READ_ONLY:  # where nothing can be written, nothing is removed
                    raise
            yield folder
