"""Buffers that a value may have for itself."""

from __future__ import annotations

import ctypes

ALIGNMENT = 64


def own_buffer(body: bytes) -> memoryview:
    """Return a copy of a body that may be changed and begins at a multiple of 64."""
    memory = bytearray(len(body) + ALIGNMENT)
    start = -ctypes.addressof(ctypes.c_char.from_buffer(memory)) % ALIGNMENT
    memory[start : start + len(body)] = body
    return memoryview(memory)[start : start + len(body)]
