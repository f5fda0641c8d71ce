"""Transfer of value files between the folders of two stores."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable

from sqlitedict_kv.codecs.file_reference import new_name
from sqlitedict_kv.engines.sqlite.value_files.catalog import KnownFile
from sqlitedict_kv.engines.sqlite.value_files.folder import TEMPORARY, OpenFolder, sync_file
from sqlitedict_kv.engines.sqlite.value_files.reading import NONBLOCK, FileDamageError, check_regular
from sqlitedict_kv.engines.sqlite.value_files.writing import write_all
from sqlitedict_kv.errors import DamagedEntryError, MissingFileError, OpenError

COPY_BYTES = 2**20  # at once
RANGE_BYTES = 2**30  # likewise, where the system copies
# Where the system cannot copy between these two files by itself.
NO_RANGE = frozenset({errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EBADF, errno.EPERM})
NO_LINK = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP})


def transfer(source: OpenFolder, target: OpenFolder, files: Iterable[KnownFile], *, link: bool = False) -> None:
    """Copy files into another folder, or give them a second name there; they are on the disk at the end.

    Raises:
        MissingFileError: a file is not there.
        DamagedEntryError: what is there is not a file of the right size.
        OpenError: the file system has no links between the two folders.
        OSError: the operating system refuses.
    """
    for file in files:
        try:
            descriptor = source.open(file.name, os.O_RDONLY | NONBLOCK)
        except FileNotFoundError:
            problem = f"its file {file.name} is not in {source.path}"
            raise MissingFileError(file.namespace, file.key, problem) from None
        try:
            check_regular(os.fstat(descriptor), file.size)
            if link:
                sync_file(descriptor)
                _link(source, target, file)
            else:
                _copy(descriptor, target, file)
        except FileDamageError as error:
            raise DamagedEntryError(file.namespace, file.key, str(error)) from None
        finally:
            os.close(descriptor)
    target.sync()


def _link(source: OpenFolder, target: OpenFolder, file: KnownFile) -> None:
    try:
        source.link_into(target, file.name)
    except OSError as error:
        if error.errno not in NO_LINK:
            raise
        raise OpenError(f"cannot link files of {source.path} to {target.path}: {error}; leave out link=True") from error


def _copy(descriptor: int, target: OpenFolder, file: KnownFile) -> None:
    """Copy under another name first: whoever finds the name finds the whole file."""
    temporary = TEMPORARY + new_name()
    copy = target.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        try:
            copied = copy_bytes(descriptor, copy, file.size)
            if copied != file.size:
                raise FileDamageError(f"its file ends after {copied} bytes")
            sync_file(copy)
        finally:
            os.close(copy)
        target.rename(temporary, file.name)
    except BaseException:
        target.unlink(temporary)
        raise


def copy_bytes(source: int, target: int, size: int) -> int:
    """Copy from one descriptor to another, not through this process if the system can; return how much it was."""
    done = 0
    by_system = hasattr(os, "copy_file_range")
    while done < size:
        if by_system:
            try:
                count = os.copy_file_range(source, target, min(RANGE_BYTES, size - done))
            except OSError as error:
                if error.errno not in NO_RANGE:
                    raise
                by_system = False
                continue
        else:
            data = os.read(source, min(COPY_BYTES, size - done))
            write_all(target, memoryview(data))
            count = len(data)
        if not count:
            break
        done += count
    return done
