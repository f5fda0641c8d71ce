"""Mapping of a value's file into memory, verified whole the first time in a process."""

from __future__ import annotations

import mmap
import os
import sys
from weakref import WeakSet

from sqlitedict_kv.codecs.file_reference import FileReference
from sqlitedict_kv.engines.sqlite.value_files.folder import ValueFolder
from sqlitedict_kv.engines.sqlite.value_files.reading import open_file, read_file, verify

if sys.platform != "win32":
    import resource

MOST_VERIFIED = 10_000  # files that are remembered
SHARE_OF_DESCRIPTORS = 4  # maps take no more than one in so many

# Maps keep a descriptor each before Python 3.13, which can do without: https://docs.python.org/3/library/mmap.html
WITHOUT_DESCRIPTOR = {"trackfd": False} if sys.version_info >= (3, 13) else {}

_verified: set[tuple[FileReference, int, int, int]] = set()  # with device, inode and time of the last change
_maps: WeakSet[mmap.mmap] = WeakSet()


def map_file(folder: ValueFolder, reference: FileReference) -> memoryview:
    """Return the content of a file as memory that is the file's until it is changed, which is for the caller alone.

    Where the system cannot map it, or too many are mapped, it is read. Errors as of :func:`read_file`.
    """
    mapped = _map(folder, reference) if _may_map() else None
    return read_file(folder, reference) if mapped is None else memoryview(mapped)


def _map(folder: ValueFolder, reference: FileReference) -> mmap.mmap | None:
    descriptor = open_file(folder, reference)
    try:
        status = os.fstat(descriptor)
        known = (reference, status.st_dev, status.st_ino, status.st_mtime_ns)
        if known not in _verified:  # by reading, for an error of the disk is an exception there
            verify(descriptor, reference)
            if len(_verified) >= MOST_VERIFIED:
                _verified.clear()
            _verified.add(known)
        try:
            mapped = mmap.mmap(descriptor, reference.size, access=mmap.ACCESS_COPY, **WITHOUT_DESCRIPTOR)
        except OSError:
            return None
    finally:
        os.close(descriptor)
    _maps.add(mapped)
    return mapped


def _may_map() -> bool:
    if sys.platform == "win32" or WITHOUT_DESCRIPTOR:
        return True
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most == resource.RLIM_INFINITY or len(_maps) < most // SHARE_OF_DESCRIPTORS
