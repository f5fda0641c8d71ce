"""Body of an entry as buffers in a row, which nobody has copied together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, NamedTuple


class Pieces(NamedTuple):
    """Bytes that do not lie in a row in memory, and are made piece by piece when they are written.

    Attributes:
        size: how many bytes all of them are.
        make: yields them in their order, from the first one at each call.
    """

    size: int
    make: Callable[[], Iterator[bytes]]


class BodyParts:
    """An encoded value as it lies in memory: a header, then the memory of the value itself.

    It is valid as long as the value is not changed, so whoever writes it copies each piece once and sums the copy.
    """

    __slots__ = ("_parts", "_size")

    def __init__(self, buffers: Iterable[Any]) -> None:
        """Take what has the buffer protocol, and pieces; raise TypeError or BufferError for anything else."""
        self._parts = tuple(part if type(part) is Pieces else _as_bytes(part) for part in buffers)
        self._size = sum(part.size if isinstance(part, Pieces) else len(part) for part in self._parts)

    def __len__(self) -> int:
        """Return the number of bytes."""
        return self._size

    def __iter__(self) -> Iterator[memoryview]:
        """Yield the buffers in their order, each a view of single bytes."""
        return chain.from_iterable(
            map(memoryview, part.make()) if isinstance(part, Pieces) else (part,) for part in self._parts
        )

    def join(self) -> bytes:
        """Return all of it as one body; this is the only copy."""
        return b"".join(self)


def _as_bytes(buffer: Any) -> memoryview:
    view = memoryview(buffer)
    if view.format == "B" and view.ndim == 1 and view.c_contiguous:
        return view
    try:
        return view.cast("B")
    except (TypeError, ValueError):  # with gaps, of a format that cannot be cast, or empty
        return memoryview(view.tobytes())


def parts_of(body: bytes | BodyParts) -> BodyParts:
    """Return an encoded value as parts; bytes are one part."""
    return body if type(body) is BodyParts else BodyParts((body,))
