"""Functions for ``memoize(key={"path": ...})``, which make a result depend on what a file holds."""

from __future__ import annotations

import os

PIECE = 1 << 20  # bytes that are read at once


def file_content(path: str | os.PathLike[str]) -> str:
    """Return a digest of all that a file holds, which is read for each call; its path does not count.

    Raises:
        OSError: the file cannot be read.
    """
    from hashlib import blake2b  # noqa: PLC0415 - it takes long to import

    digest = blake2b(digest_size=20)
    with open(path, "rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()


def file_mtime(path: str | os.PathLike[str]) -> tuple[str, int, int]:
    """Return the path of a file, its size, and the time of its last change in nanoseconds.

    Faster than :func:`file_content`, and blind for a change that keeps both, or that is undone.

    Raises:
        OSError: there is no such file.
    """
    status = os.stat(path)
    return os.fspath(path), status.st_size, status.st_mtime_ns
