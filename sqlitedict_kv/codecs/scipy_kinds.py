"""Sparse matrices and arrays of scipy as their arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from sqlitedict_kv.codecs.library_kinds import LibraryKind
from sqlitedict_kv.codecs.parts import require
from sqlitedict_kv.errors import CodecError

COMPRESSED = (
    sparse.csr_matrix, sparse.csr_array, sparse.csc_matrix, sparse.csc_array, sparse.bsr_matrix, sparse.bsr_array,
)  # fmt: skip
COORDINATES = (sparse.coo_matrix, sparse.coo_array)
DIAGONALS = (sparse.dia_matrix, sparse.dia_array)


def take_compressed(value: Any) -> list[Any]:
    """Return shape, items, and where they stand."""
    return [list(value.shape), value.data, value.indices, value.indptr]


def build_compressed(cls: Any) -> Any:
    """Return what builds a matrix of one of the compressed formats."""

    def build(parts: list[Any]) -> Any:
        shape, items, indices, starts = parts
        require(_is_shape(shape) and _are_arrays(items, indices, starts) and _are_integers(indices, starts))
        require(len(starts) and items.dtype.kind in "biufc")
        made = cls((items, indices, starts), shape=tuple(shape), copy=False)
        made.indices, made.indptr = indices, starts  # which scipy may have made smaller
        made.check_format(full_check=True)  # places that are out of range would be written to
        return made

    return build


def take_coordinates(value: Any) -> list[Any]:
    """Return shape, items and the coordinates of each axis."""
    coordinates = value.coords if hasattr(value, "coords") else (value.row, value.col)
    return [list(value.shape), value.data, list(coordinates)]


def build_coordinates(cls: Any) -> Any:
    """Return what builds a matrix of coordinates; scipy looks whether they are within the shape."""

    def build(parts: list[Any]) -> Any:
        shape, items, coordinates = parts
        require(_is_shape(shape) and type(coordinates) is list and _are_arrays(items, *coordinates))
        require(_are_integers(*coordinates) and items.dtype.kind in "biufc" and len(coordinates) == len(shape))
        require(
            all(
                not len(axis) or (axis.min() >= 0 and axis.max() < size)
                for axis, size in zip(coordinates, shape, strict=True)
            )
        )
        made = cls((items, tuple(coordinates)), shape=tuple(shape), copy=False)
        made.coords = tuple(coordinates)
        return made

    return build


def build_diagonals(cls: Any) -> Any:
    """Return what builds a matrix of diagonals."""

    def build(parts: list[Any]) -> Any:
        shape, items, offsets = parts
        require(_is_shape(shape) and type(items) is np.ndarray and items.ndim == 2)  # noqa: PLR2004 - diagonals
        require(_are_arrays(offsets) and _are_integers(offsets) and items.dtype.kind in "biufc")
        made = cls((items, offsets), shape=tuple(shape), copy=False)
        made.offsets = offsets
        return made

    return build


def _is_shape(shape: Any) -> bool:
    return type(shape) is list and all(type(size) is int and 0 <= size < 2**63 for size in shape)


def _are_arrays(*arrays: Any) -> bool:
    return all(type(array) is np.ndarray for array in arrays)


def _are_integers(*arrays: Any) -> bool:
    return all(array.dtype in (np.int32, np.int64) and array.ndim == 1 for array in arrays)


def refuse(value: Any) -> list[Any]:
    """Raise CodecError for a format that is made for changes."""
    raise CodecError(f"a {type(value).__name__} cannot be kept; keep .tocsr() of it")


def _kinds(classes: tuple[type, ...], take_apart: Any, build: Any) -> dict[type, LibraryKind]:
    return {cls: LibraryKind(f"scipy.sparse.{cls.__name__}", take_apart, build(cls)) for cls in classes}


KINDS = (
    _kinds(COMPRESSED, take_compressed, build_compressed)
    | _kinds(COORDINATES, take_coordinates, build_coordinates)
    | _kinds(DIAGONALS, lambda value: [list(value.shape), value.data, value.offsets], build_diagonals)
)
BY_NAME = {kind.name: kind for kind in KINDS.values()}
REFUSED = LibraryKind("scipy.sparse", refuse, refuse)


def kind_of(cls: type) -> LibraryKind | None:
    """Return the kind of a class of scipy.sparse."""
    return KINDS.get(cls) or (REFUSED if issubclass(cls, (sparse.sparray, sparse.spmatrix)) else None)


def kind_named(name: str) -> LibraryKind | None:
    """Return the kind of a stored name."""
    return BY_NAME.get(name)
