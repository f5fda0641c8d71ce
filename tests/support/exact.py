"""Comparison of values with their types at every depth, stricter than == and than the libraries' own."""

from __future__ import annotations

import collections
import datetime
import enum
import math
import struct
import sys
from typing import Any


def assert_same(wanted: Any, got: Any, place: str = "the value") -> None:
    """Raise AssertionError, which says where, unless two values are equal and of the same types at every depth."""
    assert type(got) is type(wanted), f"{place}: {type(got)} instead of {type(wanted)}"
    comparison_of(wanted)(wanted, got, place)


def comparison_of(value: Any) -> Any:
    """Return what compares values like this one."""
    library = type(value).__module__.partition(".")[0]
    if compare := BY_TYPE.get(type(value)) or (BY_LIBRARY.get(library) if library in sys.modules else None):
        return compare
    if isinstance(value, enum.Enum):
        return same_enum
    if isinstance(value, tuple):
        return same_sequence
    return same_in_pydantic if hasattr(type(value), "__pydantic_private__") else same_object


def same_float(wanted: float, got: float, place: str) -> None:
    nan = math.isnan(wanted) and math.isnan(got)
    assert nan or struct.pack("d", wanted) == struct.pack("d", got), f"{place}: {got!r} instead of {wanted!r}"


def same_complex(wanted: complex, got: complex, place: str) -> None:
    same_float(wanted.real, got.real, place)
    same_float(wanted.imag, got.imag, place)


def same_sequence(wanted: Any, got: Any, place: str) -> None:
    assert len(wanted) == len(got), f"{place}: {len(got)} items instead of {len(wanted)}"
    assert getattr(wanted, "maxlen", None) == getattr(got, "maxlen", None), place
    for number, (one, other) in enumerate(zip(wanted, got, strict=True)):
        assert_same(one, other, f"{place}[{number}]")


def same_set(wanted: Any, got: Any, place: str) -> None:
    assert wanted == got, f"{place}: {got!r} instead of {wanted!r}"
    assert collections.Counter(map(repr, wanted)) == collections.Counter(map(repr, got)), place


def same_mapping(wanted: Any, got: Any, place: str) -> None:
    same_sequence(list(wanted), list(got), f"the keys of {place}")
    assert getattr(wanted, "default_factory", None) is getattr(got, "default_factory", None), place
    for (key, one), other in zip(wanted.items(), got.values(), strict=True):
        assert_same(one, other, f"{place}[{key!r}]")


def same_time(wanted: Any, got: Any, place: str) -> None:
    assert (wanted, wanted.fold) == (got, got.fold), f"{place}: {got!r} instead of {wanted!r}"
    assert type(wanted.tzinfo) is type(got.tzinfo), f"{place}: another kind of zone"
    assert repr(wanted) == repr(got), place


def same_object(wanted: Any, got: Any, place: str) -> None:
    """Compare the attributes of objects that have some, and the values of those that do not."""
    names = [
        *getattr(wanted, "__dict__", ()),
        *getattr(wanted, "__struct_fields__", ()),
        *(name for cls in type(wanted).__mro__ for name in slots_of(cls)),
    ]
    for name in names:
        assert hasattr(wanted, name) == hasattr(got, name), f"{place}.{name} is missing, or too much"
        if hasattr(wanted, name):
            assert_same(getattr(wanted, name), getattr(got, name), f"{place}.{name}")
    assert set(getattr(got, "__dict__", ())) == set(getattr(wanted, "__dict__", ())), f"the attributes of {place}"
    if not names:
        same_plain(wanted, got, place)


def same_plain(wanted: Any, got: Any, place: str) -> None:
    assert wanted == got, f"{place}: {got!r} instead of {wanted!r}"
    assert repr(wanted) == repr(got), f"{place}: {got!r} instead of {wanted!r}"


def slots_of(cls: type) -> tuple[str, ...]:
    slots = cls.__dict__.get("__slots__", ())
    return tuple(name for name in ([slots] if isinstance(slots, str) else slots) if not name.startswith("__"))


def same_enum(wanted: Any, got: Any, place: str) -> None:
    assert wanted is got or wanted == got, f"{place}: {got!r} instead of {wanted!r}"


def same_in_pydantic(wanted: Any, got: Any, place: str) -> None:
    for name in ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__"):
        assert_same(getattr(wanted, name), getattr(got, name), f"{place}.{name}")


# -- libraries


def same_in_numpy(wanted: Any, got: Any, place: str) -> None:
    import numpy as np

    if wanted is np.ma.masked:
        return
    if isinstance(wanted, (np.random.Generator, np.random.RandomState)):
        states = [getattr(source, "bit_generator", source).__getstate__() for source in (wanted, got)]
        assert repr(states[0]) == repr(states[1]), f"{place}: other random numbers"
        return
    if not isinstance(wanted, (np.ndarray, np.generic)):
        assert wanted == got or repr(wanted) == repr(got), place
        return
    assert (wanted.dtype, wanted.dtype.char, wanted.shape) == (got.dtype, got.dtype.char, got.shape), place
    assert wanted.dtype.isalignedstruct == got.dtype.isalignedstruct, place
    if isinstance(wanted, np.ma.MaskedArray):
        same_masked(wanted, got, place)
    elif isinstance(wanted, np.ndarray):
        assert got.flags.writeable or not wanted.flags.writeable, f"{place} cannot be changed"
        contiguous = wanted.flags.c_contiguous or wanted.flags.f_contiguous
        assert not contiguous or wanted.flags.f_contiguous == got.flags.f_contiguous, f"{place}: another order"
        if wanted.dtype.hasobject or wanted.dtype.char == "T":
            same_sequence(wanted.ravel().tolist(), got.ravel().tolist(), place)
            return
    if wanted.dtype.names:  # there can be anything between the fields
        wanted, got = repr(wanted.tolist()).encode(), repr(got.tolist()).encode()
    same = wanted == got if isinstance(wanted, bytes) else wanted.tobytes() == got.tobytes()
    assert same, f"{place}: {got!r} instead of {wanted!r}"


def same_masked(wanted: Any, got: Any, place: str) -> None:
    import numpy as np

    assert (wanted.mask is np.ma.nomask) == (got.mask is np.ma.nomask), f"{place}: a mask too much, or missing"
    assert_same(np.asarray(wanted.mask), np.asarray(got.mask), f"the mask of {place}")
    assert_same(wanted.fill_value, got.fill_value, f"the fill value of {place}")


def same_in_pandas(wanted: Any, got: Any, place: str) -> None:
    import pandas as pd

    if isinstance(wanted, pd.DataFrame):
        assert wanted.shape == got.shape, place
        assert_same(wanted.columns, got.columns, f"the columns of {place}")
        assert_same(wanted.index, got.index, f"the index of {place}")
        for number in range(wanted.shape[1]):
            assert_same(wanted.iloc[:, number], got.iloc[:, number], f"the column {number} of {place}")
        same_extras(wanted, got, place)
    elif isinstance(wanted, pd.MultiIndex):
        same_sequence(list(wanted.levels), list(got.levels), f"the levels of {place}")
        assert [list(codes) for codes in wanted.codes] == [list(codes) for codes in got.codes], place
        assert_same(list(wanted.names), list(got.names), f"the names of {place}")
    elif isinstance(wanted, (pd.Series, pd.Index)):
        same_labelled(wanted, got, place)
    elif isinstance(wanted, pd.api.extensions.ExtensionArray):
        assert repr(wanted.dtype) == repr(got.dtype), place
        same_zone(wanted, got, place)
        pd.testing.assert_extension_array_equal(wanted, got, check_exact=True)
    elif wanted is not got:
        assert wanted == got, f"{place}: {got!r} instead of {wanted!r}"
        assert repr(wanted) == repr(got), place
        assert type(getattr(wanted, "tz", None)) is type(getattr(got, "tz", None)), f"{place}: another kind of zone"


def same_labelled(wanted: Any, got: Any, place: str) -> None:
    """Compare series and indexes: the array, the name, and what only one of them has."""
    import numpy as np
    import pandas as pd

    assert repr(wanted.dtype) == repr(got.dtype), f"{place}: {got.dtype!r} instead of {wanted.dtype!r}"
    same_zone(wanted, got, place)
    assert_same(wanted.name, got.name, f"the name of {place}")
    assert getattr(wanted, "freq", None) == getattr(got, "freq", None), f"the freq of {place}"
    if isinstance(wanted, pd.RangeIndex):
        assert (wanted.start, wanted.stop, wanted.step) == (got.start, got.stop, got.step), place
    elif isinstance(wanted.dtype, np.dtype):
        same_in_numpy(wanted.to_numpy(copy=True), got.to_numpy(copy=True), place)
    else:
        assert_same(wanted.array, got.array, place)
    if isinstance(wanted, pd.Series):
        assert_same(wanted.index, got.index, f"the index of {place}")
        same_extras(wanted, got, place)


def same_zone(wanted: Any, got: Any, place: str) -> None:
    zones = [type(getattr(thing.dtype, "tz", None)) for thing in (wanted, got)]
    assert zones[0] is zones[1], f"{place}: a zone of {zones[1]} instead of {zones[0]}"


def same_extras(wanted: Any, got: Any, place: str) -> None:
    assert_same(wanted.attrs, got.attrs, f"the attrs of {place}")
    assert wanted.flags == got.flags, f"the flags of {place}"


def same_in_polars(wanted: Any, got: Any, place: str) -> None:
    schemas = [thing.schema if hasattr(thing, "schema") else (thing.name, thing.dtype) for thing in (wanted, got)]
    assert schemas[0] == schemas[1], place
    assert wanted.equals(got), place


def same_in_pyarrow(wanted: Any, got: Any, place: str) -> None:
    schemas = [thing.schema if hasattr(thing, "schema") else getattr(thing, "type", thing) for thing in (wanted, got)]
    assert schemas[0].equals(schemas[1]), place
    assert wanted.equals(got), place


def same_in_scipy(wanted: Any, got: Any, place: str) -> None:
    assert (wanted.shape, wanted.dtype) == (got.shape, got.dtype), place
    for name in ("data", "indices", "indptr", "row", "col", "offsets"):
        if hasattr(wanted, name) and wanted.ndim > 1:
            assert_same(getattr(wanted, name), getattr(got, name), f"{place}.{name}")
    assert_same(wanted.toarray(), got.toarray(), place)


def same_in_sklearn(wanted: Any, got: Any, place: str) -> None:
    """Compare attributes; of what is compiled, the state that it would be pickled as."""
    if type(wanted).__name__ == "Bunch":
        same_mapping(wanted, got, place)
    elif type(wanted).__name__ in {"KDTree", "BallTree"}:
        assert_same(wanted.__getstate__()[:8], got.__getstate__()[:8], f"the state of {place}")  # then, what it counted
    elif hasattr(wanted, "__dict__"):
        assert_same(vars(wanted), vars(got), f"the state of {place}")
    else:
        states = [[part for part in made.__reduce__()[1:] if part is not type(made)] for made in (wanted, got)]
        assert repr(states[0]) == repr(states[1]), place


def same_in_torch(wanted: Any, got: Any, place: str) -> None:
    import torch

    if isinstance(wanted, torch.Tensor):
        assert (wanted.dtype, wanted.requires_grad) == (got.dtype, got.requires_grad), place
        assert torch.equal(wanted, got), place
    else:
        assert wanted == got, place


def same_image(wanted: Any, got: Any, place: str) -> None:
    assert (wanted.mode, wanted.size, wanted.tobytes()) == (got.mode, got.size, got.tobytes()), place
    assert wanted.getpalette() == got.getpalette(), place
    assert_same(wanted.info, got.info, f"the info of {place}")


def same_geometry(wanted: Any, got: Any, place: str) -> None:
    import shapely

    assert wanted.wkt == got.wkt, place
    assert shapely.get_srid(wanted) == shapely.get_srid(got), place


BY_TYPE = {
    float: same_float,
    complex: same_complex,
    list: same_sequence,
    tuple: same_sequence,
    collections.deque: same_sequence,
    set: same_set,
    frozenset: same_set,
    dict: same_mapping,
    collections.OrderedDict: same_mapping,
    collections.defaultdict: same_mapping,
    collections.Counter: same_mapping,
    datetime.datetime: same_time,
    datetime.time: same_time,
}
BY_LIBRARY = {
    **dict.fromkeys(("array", "decimal", "fractions", "ipaddress", "pathlib", "uuid", "zoneinfo"), same_plain),
    "numpy": same_in_numpy,
    "pandas": same_in_pandas,
    "polars": same_in_polars,
    "pyarrow": same_in_pyarrow,
    "scipy": same_in_scipy,
    "sklearn": same_in_sklearn,
    "torch": same_in_torch,
    "PIL": same_image,
    "shapely": same_geometry,
}
