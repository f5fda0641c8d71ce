"""Arrays and scalars of numpy as parts: dtype, shape, order and one buffer."""

from __future__ import annotations

import math
import re
from typing import Any, Literal

import numpy as np

from sqlitedict_kv.codecs.library_kinds import LibraryKind
from sqlitedict_kv.codecs.parts import require
from sqlitedict_kv.errors import CodecError

DTYPE = re.compile(r"[<>|][a-zA-Z]\d{0,9}(\[\d{0,9}[a-zA-Z]{1,2}\])?")
BIT_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")
BUFFER, WORDS = 4, 624  # numbers that Philox and MT19937 draw at once
SMALLEST_VIEW = 2**16  # bytes of an array that is not copied out of a buffer of its own
MAX_POOL = 64  # words of entropy that a seed mixes; numpy's default is 4


# -- dtypes


def describe_dtype(dtype: np.dtype[Any]) -> Any:
    """Return the text of a dtype, or a dict of its fields, of which :func:`make_dtype` makes an equal one.

    Raises:
        CodecError: nothing would do that, as for objects, metadata and the dtypes of other libraries.
    """
    if dtype is np.dtype(dtype.str):  # the numbers, which are singletons
        return dtype.str
    try:
        description = _describe(dtype)
        made = make_dtype(description)
    except (TypeError, ValueError):
        made = None
    if made is None or made != dtype or _has_metadata(dtype) or _traits(made) != _traits(dtype):
        raise CodecError(f"an array of the dtype {dtype} cannot be kept; give it a plain dtype")
    return description


def _describe(dtype: np.dtype[Any]) -> Any:
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return {"base": _describe(base), "shape": list(shape)}
    if dtype.names is None:
        same = np.dtype(dtype.str).char == dtype.char
        return dtype.str if same else dtype.str[0] + dtype.char  # long long is a type of its own, beside an equal long
    fields = [dtype.fields[name] for name in dtype.names]
    return {
        "names": list(dtype.names),
        "formats": [_describe(field[0]) for field in fields],
        "offsets": [field[1] for field in fields],
        "itemsize": dtype.itemsize,
        "aligned": dtype.isalignedstruct,
    }


def _has_metadata(dtype: np.dtype[Any]) -> bool:
    """Return whether metadata hangs on a dtype or on one of its fields; it does not count when they are compared."""
    return bool(dtype.metadata) or any(_has_metadata(field[0]) for field in (dtype.fields or {}).values())


def _traits(dtype: np.dtype[Any]) -> Any:
    return dtype.char, dtype.type, dtype.isalignedstruct


def make_dtype(description: Any) -> np.dtype[Any]:
    """Return the dtype of a description from a file."""
    dtype = _make(description)
    require(not dtype.hasobject and dtype.itemsize)
    return dtype


def _make(description: Any) -> Any:
    if type(description) is str:
        require(DTYPE.fullmatch(description))
        return np.dtype(description)
    require(type(description) is dict)
    if "base" in description:
        return np.dtype((_make(description["base"]), tuple(description["shape"])))
    plain = {name: description[name] for name in ("names", "offsets", "itemsize")}
    formats = [_make(part) for part in description["formats"]]
    return np.dtype({**plain, "formats": formats}, align=description["aligned"])


# -- arrays


def take_array(value: np.ndarray[Any, Any]) -> list[Any]:
    """Return dtype, shape, order and buffer; the items themselves where they are objects."""
    order = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
    shape = list(value.shape)
    if value.dtype.hasobject or value.dtype.char == "T":  # T: strings of any length
        return [_describe_objects(value.dtype), shape, order, value.ravel(order).tolist()]
    contiguous = np.asarray(value, order=order)
    flat = contiguous.reshape(-1, order=order)
    return [describe_dtype(value.dtype), shape, order, memoryview(flat.view(np.uint8))]


def _describe_objects(dtype: np.dtype[Any]) -> str:
    if dtype in (np.dtype("O"), STRINGS) and not dtype.metadata:
        return str(dtype.char)
    raise CodecError(f"an array of the dtype {dtype} cannot be kept; give it a plain dtype, or object")


STRINGS = np.dtypes.StringDType() if hasattr(np.dtypes, "StringDType") else None  # since numpy 2


def build_array(parts: list[Any]) -> np.ndarray[Any, Any]:
    """Return an array that owns its memory and may be changed."""
    description, shape, order, content = parts
    require(order in ("C", "F") and type(shape) is list and all(type(size) is int and size >= 0 for size in shape))
    if type(content) is list:
        require(description in ("O", "T") and math.prod(shape) == len(content))
        return _fill(content, np.dtype(description)).reshape(shape, order=order)
    require(type(content) in (bytes, memoryview))
    dtype = make_dtype(description)
    require(math.prod(shape) * dtype.itemsize == len(content))
    return own(np.ndarray(tuple(shape), dtype, content, order=order), order)


def own(array: np.ndarray[Any, Any], order: Literal["C", "F"]) -> np.ndarray[Any, Any]:
    """Return an array over a buffer as one that the caller may change.

    A buffer that may be changed belongs to the value alone. A small array is copied out of it nonetheless: it would
    keep all of it in memory when it is the last that is needed of the value.
    """
    if array.flags.writeable and array.flags.aligned and array.nbytes >= SMALLEST_VIEW:
        return array
    return array.copy(order)


def _fill(items: list[Any], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Return an array of one dimension; one by one, as numpy takes a list of lists for a table."""
    array = np.empty(len(items), dtype)
    for place, item in enumerate(items):
        require(dtype.char == "O" or type(item) is str)
        array[place] = item
    return array


def build_view(cls: type) -> Any:
    """Return what builds an array of a subclass, such as np.recarray."""
    return lambda parts: build_array(parts).view(cls)


def take_record_array(value: Any) -> list[Any]:
    """Return the parts of a record array, if a view of the plain one has the same dtype."""
    if value.dtype.type is not np.record:
        raise CodecError("a recarray of other items than records cannot be kept; keep np.asarray() of it")
    return take_array(value.view(np.ndarray).view(_plain_records(value.dtype)))


def _plain_records(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype((np.void, dtype))


def take_masked(value: Any) -> list[Any]:
    """Return data, mask, fill value and whether the mask is hard."""
    mask = None if value.mask is np.ma.nomask else np.asarray(value.mask)
    return [np.asarray(value.data), mask, np.asarray(value.fill_value), bool(value.hardmask)]


def build_masked(parts: list[Any]) -> Any:
    """Return a masked array."""
    data, mask, fill, hard = parts
    require(type(data) is np.ndarray and type(fill) is np.ndarray and type(hard) is bool)
    require(fill.shape == () and (mask is None or (type(mask) is np.ndarray and mask.shape == data.shape)))
    return np.ma.MaskedArray(data, np.ma.nomask if mask is None else mask, fill_value=fill[()], hard_mask=hard)


# -- scalars


def take_scalar(value: Any) -> list[Any]:
    """Return dtype and bytes."""
    return [describe_dtype(value.dtype), value.tobytes()]


def build_scalar(cls: type) -> Any:
    """Return what builds a scalar of a class."""

    def build(parts: list[Any]) -> Any:
        description, content = parts
        require(type(content) is bytes)
        dtype = make_dtype(description)
        require(len(content) == dtype.itemsize and issubclass(dtype.type, cls))
        return np.ndarray((1,), dtype, content).copy()[0]

    return build


def take_record(value: Any) -> list[Any]:
    """Return dtype and bytes of an item of a recarray."""
    return [describe_dtype(_plain_records(value.dtype)), value.tobytes()]


def build_record(parts: list[Any]) -> Any:
    """Return a record, as an item of a recarray is."""
    description, content = parts
    require(type(content) is bytes)
    dtype = make_dtype(description)
    require(len(content) == dtype.itemsize)
    return np.ndarray((1,), dtype, content).copy().view(np.recarray)[0]


def build_text(cls: type, plain: type) -> Any:
    """Return what builds a scalar that is a str or bytes as well."""

    def build(parts: list[Any]) -> Any:
        require(len(parts) == 1 and type(parts[0]) is plain)
        return cls(parts[0])

    return build


# -- dtypes and sources of random numbers as values


def take_dtype(value: np.dtype[Any]) -> list[Any]:
    """Return the description of a dtype that is a value itself."""
    return [value.char if value.char in "OT" else describe_dtype(value)]


def build_dtype(parts: list[Any]) -> Any:
    """Return a dtype."""
    require(len(parts) == 1)
    return np.dtype(parts[0]) if parts[0] in ("O", "T") else make_dtype(parts[0])


def take_random_state(value: np.random.RandomState) -> list[Any]:
    """Return the state; what was drawn so far does not matter."""
    state: Any = value.get_state(legacy=False)
    if state["bit_generator"] != "MT19937":
        raise CodecError("a RandomState of another bit generator cannot be kept; use np.random.Generator")
    return [state]


def build_random_state(parts: list[Any]) -> np.random.RandomState:
    """Return a RandomState that goes on where the kept one was."""
    require(len(parts) == 1)
    _require_positions(parts[0])
    made = np.random.RandomState(0)
    made.set_state(parts[0])
    return made


def _require_positions(state: Any) -> None:
    """Raise unless the positions lie within the buffers, which numpy reads without a further look."""
    require(type(state) is dict and type(state["state"]) is dict)
    require(state.get("buffer_pos", 0) in range(BUFFER + 1) and state["state"].get("pos", 0) in range(WORDS + 1))


def take_generator(value: np.random.Generator) -> list[Any]:
    """Return the name and the state of the bit generator, and the seed from which children are spawned."""
    bits: Any = value.bit_generator
    seed = bits.seed_seq
    if type(bits).__name__ not in BIT_GENERATORS or type(seed) is not np.random.SeedSequence:
        raise CodecError("a Generator of a bit generator outside numpy cannot be kept")
    return [type(bits).__name__, bits.state, seed.state]


def build_generator(parts: list[Any]) -> np.random.Generator:
    """Return a Generator that goes on where the kept one was."""
    name, state, seed = parts
    require(
        name in BIT_GENERATORS and type(state) is dict and type(seed) is dict and seed["pool_size"] in range(MAX_POOL)
    )
    bits = getattr(np.random, name)(np.random.SeedSequence(**seed))
    bits.state = state
    return np.random.Generator(bits)


def build_calendar(parts: list[Any]) -> np.busdaycalendar:
    """Return a calendar of business days."""
    week, holidays = parts
    require(type(week) is np.ndarray and type(holidays) is np.ndarray and holidays.dtype == "M8[D]")
    return np.busdaycalendar(week, holidays)


# -- the table

SCALARS = (
    np.bool_, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64, np.longlong,
    np.ulonglong, np.float16, np.float32, np.float64, np.longdouble, np.complex64, np.complex128, np.clongdouble,
    np.datetime64, np.timedelta64, np.void,
)  # fmt: skip


def _constant(name: str, value: Any) -> LibraryKind:
    """Return the kind of a value that there is once."""

    def build(parts: list[Any]) -> Any:
        require(not parts)
        return value

    return LibraryKind(name, lambda _: [], build)


KINDS: dict[type, LibraryKind] = {
    np.ndarray: LibraryKind("numpy.ndarray", take_array, build_array),
    np.recarray: LibraryKind("numpy.recarray", take_record_array, build_view(np.recarray)),
    np.matrix: LibraryKind("numpy.matrix", take_array, build_view(np.matrix)),
    np.ma.MaskedArray: LibraryKind("numpy.MaskedArray", take_masked, build_masked),
    type(np.ma.masked): _constant("numpy.masked", np.ma.masked),
    np.str_: LibraryKind("numpy.str_", lambda value: [str(value)], build_text(np.str_, str)),
    np.bytes_: LibraryKind("numpy.bytes_", lambda value: [bytes(value)], build_text(np.bytes_, bytes)),
    np.busdaycalendar: LibraryKind(
        "numpy.busdaycalendar", lambda value: [value.weekmask, value.holidays], build_calendar
    ),
    np.record: LibraryKind("numpy.record", take_record, build_record),
    np.random.RandomState: LibraryKind("numpy.RandomState", take_random_state, build_random_state),
    np.random.Generator: LibraryKind("numpy.Generator", take_generator, build_generator),
    **{cls: LibraryKind(f"numpy.{cls.__name__}", take_scalar, build_scalar(cls)) for cls in SCALARS},
}
DTYPES = LibraryKind("numpy.dtype", take_dtype, build_dtype)
BY_NAME = {kind.name: kind for kind in (*KINDS.values(), DTYPES)}


def kind_of(cls: type) -> LibraryKind | None:
    """Return the kind of a class of numpy."""
    return KINDS.get(cls) or (DTYPES if issubclass(cls, np.dtype) else None)


def kind_named(name: str) -> LibraryKind | None:
    """Return the kind of a stored name."""
    return BY_NAME.get(name)
