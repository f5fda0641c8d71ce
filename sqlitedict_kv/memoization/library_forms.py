"""Forms of arrays, frames and other values of libraries, which are never imported for it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from sqlitedict_kv.codecs import library_kinds
from sqlitedict_kv.errors import CodecError
from sqlitedict_kv.memoization import frame_forms
from sqlitedict_kv.memoization.digests import NoCanonicalFormError, digest_of, digest_of_bytes
from sqlitedict_kv.memoization.function_forms import global_form

Form = Callable[[Any], str]
Writer = Callable[[Any, Form], str]


def find(kind: type) -> Writer | None:
    """Return how values of a library's class are written, by its module, or the first word of that."""
    module = kind.__module__
    return LIBRARIES.get(module.partition(".")[0]) or LIBRARIES.get(module)


# -- numpy


def _numpy_form(value: Any, form: Form) -> str:  # noqa: PLR0911 - a list of kinds
    numpy = sys.modules["numpy"]
    if value is numpy.ma.masked:
        return "masked"
    if isinstance(value, numpy.ma.MaskedArray):
        return _masked_form(value, form, numpy)
    if isinstance(value, numpy.ndarray):
        return array_form(value, form)
    if isinstance(value, numpy.dtype):
        return f"dtype({_dtype_text(value)})"
    if isinstance(value, numpy.void):
        return f"{type(value).__name__}({_dtype_text(value.dtype)}, {form(value.item())})"
    if isinstance(value, numpy.generic):
        item = value.item()
        if type(item).__module__ == "numpy":  # a number of more bits than Python's
            return f"{value.dtype.str}({value!r})"
        return f"{value.dtype.str}({form(item)})"
    name = getattr(value, "__name__", "")
    if isinstance(value, numpy.ufunc) and getattr(numpy, name, None) is value:
        return f"function(numpy.{name})"
    return parts_form(value, form)


def array_form(value: Any, form: Form) -> str:
    """Return type, shape and digest of an array; layout and strides are no part of it."""
    name, dtype = type(value).__name__, value.dtype
    if dtype.hasobject or dtype.names:
        return f"{name}({_dtype_text(dtype)}, {value.shape!r}, {digest_of(_cells_text(value, form))})"
    return f"{name}({dtype.str}, {value.shape!r}, {digest_of_bytes(value.tobytes())})"


def _cells_text(value: Any, form: Form) -> str:
    """Return the cells of an array of objects or of records; what lies between the fields of a record is garbage."""
    if value.dtype.names:
        return ", ".join(array_form(sys.modules["numpy"].asarray(value[name]), form) for name in value.dtype.names)
    return ", ".join(map(form, value.ravel().tolist()))


def _dtype_text(dtype: Any) -> str:
    if dtype.names:
        return f"[{', '.join(f'{name!a}: {_dtype_text(dtype[name])}' for name in dtype.names)}]"
    if dtype.subdtype:
        return f"{_dtype_text(dtype.subdtype[0])}{dtype.subdtype[1]}"
    return str(dtype.str)


def _masked_form(value: Any, form: Form, numpy: Any) -> str:
    """Return data, mask and what stands for the masked; what lies under the mask is no part of it."""
    mask = numpy.ma.getmaskarray(value)
    data = numpy.array(value.data, copy=True)
    data[mask] = numpy.zeros((), dtype=data.dtype)
    fill = numpy.asarray(value.fill_value)
    return f"MaskedArray({', '.join(array_form(part, form) for part in (data, numpy.asarray(mask), fill))})"


# -- others


def _scipy_form(value: Any, form: Form) -> str:
    sparse = sys.modules.get("scipy.sparse")
    if sparse is None or not sparse.issparse(value):
        return global_form(value)
    # Sorted, and what stands twice in one place added up: matrices that are equal are one.
    entries = value.tocoo(copy=True)
    entries.sum_duplicates()
    parts = [*entries.coords, entries.data] if hasattr(entries, "coords") else [entries.row, entries.col, entries.data]
    text = ", ".join(array_form(part.astype("int64") if part is not parts[-1] else part, form) for part in parts)
    return f"{type(value).__name__}({value.shape!r}, {text})"


def _torch_form(value: Any, _: Form) -> str:
    torch = sys.modules["torch"]
    if isinstance(value, torch.Size):
        return f"Size({tuple(value)!r})"
    if isinstance(value, torch.dtype | torch.device):
        return f"{type(value).__name__}({value})"
    if not isinstance(value, torch.Tensor) or value.layout is not torch.strided:
        return global_form(value)
    body = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return f"{type(value).__name__}({value.dtype}, {tuple(value.shape)!r}, {digest_of_bytes(body)})"


def _pillow_form(value: Any, form: Form) -> str:
    if not hasattr(value, "tobytes") or not hasattr(value, "getpalette"):
        return global_form(value)
    palette = None if value.palette is None else (value.palette.mode, bytes(value.palette.palette))
    parts = f"{value.mode}, {value.size!r}, {digest_of_bytes(value.tobytes())}"
    return f"{type(value).__name__}({parts}, {form(palette)}, {form(value.info)})"


def parts_form(value: Any, form: Form) -> str:
    """Return the form of what is kept as a value by its parts: estimators, geometries, generators of random numbers."""
    kind = library_kinds.kind_of(type(value))
    if kind is None:
        return global_form(value)
    try:
        parts = kind.take_apart(value)
    except CodecError:
        raise NoCanonicalFormError(f"a {kind.name} that cannot be taken apart") from None
    return f"{kind.name}({', '.join(map(form, parts))})"


LIBRARIES: dict[str, Writer] = {
    "numpy": _numpy_form,
    "pandas": frame_forms.pandas_form,
    "polars": frame_forms.polars_form,
    "pyarrow": frame_forms.arrow_form,
    "scipy": _scipy_form,
    "torch": _torch_form,
    "PIL": _pillow_form,
    "sklearn": parts_form,
    "shapely": parts_form,
    "django.utils.safestring": parts_form,  # other classes of Django are objects like any
    "pytz": parts_form,
}
