"""Body of an entry as buffers in a row, which nobody has copied together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any


class BodyParts:
    """An encoded value as it lies in memory: a header, then the memory of the value itself.

    It is valid as long as the value is not changed, so whoever writes it copies each piece once and sums the copy.
    """

    __slots__ = ("_buffers", "_size")

    def __init__(self, buffers: Iterable[Any]) -> None:
        """Take what has the buffer protocol; raise TypeError or BufferError for anything else."""
        self._buffers = tuple(map(_as_bytes, buffers))
        self._size = sum(map(len, self._buffers))

    def __len__(self) -> int:
        """Return the number of bytes."""
        return self._size

    def __iter__(self) -> Iterator[memoryview]:
        """Yield the buffers in their order, each a view of single bytes."""
        return iter(self._buffers)

    def join(self) -> bytes:
        """Return all of it as one body; this is the only copy."""
        return b"".join(self._buffers)


def _as_bytes(buffer: Any) -> memoryview:
    view = memoryview(buffer)
    if view.ndim == 1 and view.itemsize == 1 and view.c_contiguous:
        return view
    try:
        return view.cast("B")
    except (TypeError, ValueError):  # with gaps, of a format that cannot be cast, or empty
        return memoryview(view.tobytes())


def parts_of(body: bytes | BodyParts) -> BodyParts:
    """Return an encoded value as parts; bytes are one part."""
    return body if type(body) is BodyParts else BodyParts((body,))
