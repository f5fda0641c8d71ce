"""Bundle of a head and large buffers, each of them copied once; the container of values that hold arrays.

``b"KVB1"``, the number of buffers and the length of the head as u32, the sizes of the buffers as u64, the head, then
the buffers, each at a multiple of 64 bytes; all numbers are little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

MAGIC = b"KVB1"
FIXED = struct.Struct("<4sII")
ALIGNMENT = 64


def pack(head: bytes, buffers: Sequence[memoryview]) -> bytes:
    """Return the bundle of a head and its buffers, which are contiguous."""
    return b"".join(parts(head, buffers))


def parts(head: bytes, buffers: Sequence[memoryview]) -> list[bytes | memoryview]:
    """Return what the bundle of a head and its buffers consists of: a header, then the buffers and what aligns them."""
    sizes = [buffer.nbytes for buffer in buffers]
    pieces: list[bytes | memoryview] = [
        FIXED.pack(MAGIC, len(buffers), len(head)),
        struct.pack(f"<{len(sizes)}Q", *sizes),
        head,
    ]
    end = FIXED.size + 8 * len(sizes) + len(head)
    for buffer in buffers:
        pieces.append(bytes(-end % ALIGNMENT))
        pieces.append(buffer)
        end += -end % ALIGNMENT + buffer.nbytes
    return pieces


def unpack(body: bytes | memoryview) -> tuple[bytes, list[memoryview]]:
    """Return the head and the buffers, which are views of *body*; raise ValueError if it is malformed."""
    if len(body) < FIXED.size:
        raise ValueError("a bundle that is cut off")
    magic, count, length = FIXED.unpack_from(body)
    end = FIXED.size + 8 * count
    if magic != MAGIC or end + length > len(body):
        raise ValueError("not a bundle, or one that is cut off")
    sizes = struct.unpack_from(f"<{count}Q", body, FIXED.size)
    head, view = bytes(body[end : end + length]), memoryview(body)
    end += length
    buffers = []
    for size in sizes:
        start = end + -end % ALIGNMENT
        end = start + size
        if end > len(body):
            raise ValueError("a bundle that is cut off")
        buffers.append(view[start:end])
    if end != len(body):
        raise ValueError("a bundle with something behind its end")
    return head, buffers
