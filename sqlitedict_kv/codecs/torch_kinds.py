"""Tensors of torch as arrays of numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from sqlitedict_kv.codecs.library_kinds import LibraryKind
from sqlitedict_kv.codecs.parts import require
from sqlitedict_kv.errors import CodecError

AS_BITS = {torch.bfloat16: (torch.int16, np.int16)}  # which numpy does not have, and what has its size
DTYPES = {
    str(dtype): dtype
    for dtype in (
        torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.float32,
        torch.float64, torch.complex64, torch.complex128, torch.bfloat16,
    )
}  # fmt: skip


def take_tensor(value: torch.Tensor) -> list[Any]:
    """Return the dtype's name, the array, and whether gradients are computed.

    Raises:
        CodecError: it is on a device, sparse, quantized, or the result of a computation that is still to be derived.
    """
    if value.device.type != "cpu" or value.layout != torch.strided:
        raise CodecError("a tensor that is sparse or on a device cannot be kept; keep .to_dense().cpu() of it")
    if value.grad_fn is not None or value.grad is not None:
        raise CodecError("a tensor with a gradient cannot be kept; keep .detach() of it")
    if str(value.dtype) not in DTYPES:
        raise CodecError(f"a tensor of {value.dtype} cannot be kept")
    plain = value.detach().resolve_conj().resolve_neg()
    bits = AS_BITS.get(value.dtype)
    return [str(value.dtype), (plain.view(bits[0]) if bits else plain).numpy(), value.requires_grad]


def build_tensor(parts: list[Any]) -> torch.Tensor:
    """Return a tensor that owns its memory."""
    name, array, requires_grad = parts
    require(type(array) is np.ndarray and array.dtype.isnative and type(requires_grad) is bool)
    dtype = DTYPES[name]
    tensor = torch.from_numpy(array)
    if bits := AS_BITS.get(dtype):
        require(array.dtype == bits[1])
        tensor = tensor.view(dtype)
    require(tensor.dtype == dtype)
    return tensor.requires_grad_(requires_grad)


def take_size(value: Any) -> list[Any]:
    """Return the sizes of a shape."""
    return [list(value)]


def build_size(parts: list[Any]) -> Any:
    """Return a shape."""
    (sizes,) = parts
    require(type(sizes) is list and all(type(size) is int for size in sizes))
    return torch.Size(sizes)


KINDS: dict[type, LibraryKind] = {
    torch.Tensor: LibraryKind("torch.Tensor", take_tensor, build_tensor),
    torch.Size: LibraryKind("torch.Size", take_size, build_size),
}
BY_NAME = {kind.name: kind for kind in KINDS.values()}


def kind_of(cls: type) -> LibraryKind | None:
    """Return the kind of a class of torch."""
    return KINDS.get(cls)


def kind_named(name: str) -> LibraryKind | None:
    """Return the kind of a stored name."""
    return BY_NAME.get(name)
