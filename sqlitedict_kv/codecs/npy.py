"""The NPY format of numpy, for an array that is a whole entry."""

from __future__ import annotations

import ast
import io
import math
import struct
from collections.abc import Iterator
from functools import partial
from typing import Any, Literal

import numpy as np

from sqlitedict_kv.codecs.body_parts import Pieces
from sqlitedict_kv.codecs.numpy_kinds import describe_dtype, own
from sqlitedict_kv.codecs.parts import require
from sqlitedict_kv.errors import CodecError

MAGIC = b"\x93NUMPY"
LENGTHS = {1: struct.Struct("<H"), 2: struct.Struct("<I"), 3: struct.Struct("<I")}  # of the header, by version
PIECE = 2**18  # bytes
MAX_HEADER = 10_000  # characters, as numpy has it: Python's parser is not made for hostile ones


def parts(value: np.ndarray[Any, Any]) -> tuple[bytes, memoryview | Pieces]:
    """Return header and memory of an array in the NPY format; raise CodecError for a dtype that it cannot hold."""
    describe_dtype(value.dtype)
    header = np.lib.format.header_data_from_array_1_0(value)
    made: Any = np.lib.format.descr_to_dtype(header["descr"])
    if made != value.dtype or made.char != value.dtype.char or made.isalignedstruct != value.dtype.isalignedstruct:
        raise CodecError(f"the NPY format cannot keep the dtype {value.dtype} exactly")
    head = io.BytesIO()
    try:
        np.lib.format.write_array_header_1_0(head, header)
    except ValueError:  # names of fields that are not Latin-1, or too many of them
        raise CodecError(f"the NPY format cannot keep the dtype {value.dtype}") from None
    order: Literal["C", "F"] = "F" if header["fortran_order"] else "C"
    if order == "C" and not value.flags.c_contiguous:
        return head.getvalue(), Pieces(value.nbytes, partial(_pieces, value))
    return head.getvalue(), memoryview(value.reshape(-1, order=order).view(np.uint8))


def _pieces(value: np.ndarray[Any, Any]) -> Iterator[bytes]:
    """Yield the bytes of an array with gaps, or in another order, without a copy of all of it."""
    items = max(1, PIECE // value.itemsize)
    flags: Any = ["external_loop", "buffered", "zerosize_ok"]
    for piece in np.nditer(value, flags, order="C", buffersize=items):
        yield piece.tobytes()


def decode(body: bytes | memoryview) -> np.ndarray[Any, Any]:
    """Return the array of an NPY body, one that the caller may change; nothing is allocated that is not in it.

    A body that may be changed belongs to the array alone, which then is a view of it.
    """
    require(body[:6] == MAGIC)
    version = body[6]
    layout = LENGTHS[version]
    (length,) = layout.unpack_from(body, 8)
    start = 8 + layout.size
    require(length <= MAX_HEADER)
    encoding = "utf-8" if version == 3 else "latin-1"  # noqa: PLR2004 - the first that allows it
    header = ast.literal_eval(str(body[start : start + length], encoding))
    order: Literal["C", "F"] = "F" if header["fortran_order"] else "C"
    shape = header["shape"]
    dtype: Any = np.lib.format.descr_to_dtype(header["descr"])
    require(not dtype.hasobject and all(type(size) is int and size >= 0 for size in shape))
    content = memoryview(body)[start + length :]
    require(math.prod(shape) * dtype.itemsize == len(content) and (dtype.itemsize or math.prod(shape) <= len(body)))
    if not len(content):
        return np.zeros(shape, dtype, order=order)
    return own(np.ndarray(shape, dtype, content, order=order), order)
