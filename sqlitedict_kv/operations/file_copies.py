"""Copies of files into values, and of values into files."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
from collections.abc import Iterator
from typing import Any, BinaryIO

from sqlitedict_kv.operations.progress import Progress, report
from sqlitedict_kv.operations.streams import ValueWriter

PIECE_BYTES = 2**20
FileOrPath = str | os.PathLike[str] | BinaryIO


def copy_in(source: FileOrPath, writer: ValueWriter, progress: Progress | None) -> int:
    """Copy a file into a value and return its version; raise TypeError for what is no file."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(writer)
        stream = source if hasattr(source, "read") else stack.enter_context(open(source, "rb"))
        tell = stack.enter_context(report(progress, "set_file"))
        done, total = 0, _size_of(stream)
        while piece := stream.read(PIECE_BYTES):
            if isinstance(piece, str):
                raise TypeError("source must be opened to read bytes: open(..., 'rb')")
            writer.write(piece)
            done += len(piece)
            tell(done, None if total is None else max(total, done))
    assert writer.version is not None
    return writer.version


def _size_of(stream: Any) -> int | None:
    """Return how many bytes are left in a file, None if that is not known."""
    try:
        status = os.fstat(stream.fileno())
        return max(0, status.st_size - stream.tell()) if stat.S_ISREG(status.st_mode) else None
    except (AttributeError, OSError, ValueError):
        return None


def copy_out(stream: io.BufferedReader, target: FileOrPath, progress: Progress | None) -> int:
    """Copy a value into a new file, or into one that is open, and return how many bytes it has."""
    total = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    with report(progress, "get_file") as tell, _output(target) as output:
        done = 0
        while piece := stream.read(PIECE_BYTES):
            output.write(piece)
            done += len(piece)
            tell(done, total)
    return done


@contextlib.contextmanager
def _output(target: FileOrPath) -> Iterator[Any]:
    """Give a file to write to; one with a path gets its name when it is whole, and never replaces another."""
    if hasattr(target, "write"):
        yield target
        return
    path = os.fsdecode(target)
    if os.path.lexists(path):
        raise _occupied(path)
    partial = f"{path}.{os.urandom(8).hex()}.partial"
    try:
        with open(partial, "xb") as output:
            yield output
        _give_name(partial, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)


def _give_name(partial: str, path: str) -> None:
    try:
        os.link(partial, path)
    except FileExistsError:
        raise _occupied(path) from None
    except OSError:  # a file system without links
        if os.path.lexists(path):
            raise _occupied(path) from None
        os.rename(partial, path)


def _occupied(path: str) -> FileExistsError:
    return FileExistsError(errno.EEXIST, "there is a file already, and it stays", path)
