"""Forms of tables and their columns: pandas, polars and Arrow."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

from sqlitedict_kv.memoization.digests import NoCanonicalFormError, digest_of, digest_of_bytes

Form = Callable[[Any], str]

# dtypes of pandas whose cells its own hash tells apart: each has values of one type, and says which
HASHED = ("Int", "UInt", "Float", "boolean", "datetime64[", "period[", "str")


def _refused(value: Any) -> NoCanonicalFormError:
    kind = type(value)
    return NoCanonicalFormError(f"a {kind.__module__}.{kind.__qualname__}")


def _cells(values: Iterable[Any], form: Form) -> str:
    return digest_of(", ".join(map(form, values)))


# -- pandas


def pandas_form(value: Any, form: Form) -> str:
    """Return the form of a frame, a series, an index or a scalar of pandas."""
    pandas = sys.modules["pandas"]
    if isinstance(value, pandas.DataFrame):
        columns = ", ".join(_column_form(value.iloc[:, place], form) for place in range(value.shape[1]))
        labels = f"{_index_form(value.index, form)}, {_index_form(value.columns, form)}"
        return f"{type(value).__name__}({value.shape!r}, {labels}, [{columns}]{_attributes(value, form)})"
    if isinstance(value, pandas.Series):
        labels = f"{_index_form(value.index, form)}, {form(value.name)}"
        return f"{type(value).__name__}({labels}, {_column_form(value, form)}{_attributes(value, form)})"
    if isinstance(value, pandas.Index):
        return _index_form(value, form)
    return _pandas_scalar_form(value, form, pandas)


def _attributes(value: Any, form: Form) -> str:
    return f", {form(value.attrs)}" if value.attrs else ""


def _index_form(index: Any, form: Form) -> str:
    pandas = sys.modules["pandas"]
    names = form(list(index.names))
    if isinstance(index, pandas.RangeIndex):
        return f"RangeIndex({names}, {index.start}, {index.stop}, {index.step})"
    if isinstance(index, pandas.MultiIndex):
        levels = ", ".join(_column_form(index.get_level_values(level), form) for level in range(index.nlevels))
        return f"MultiIndex({names}, [{levels}])"
    frequency = getattr(index, "freqstr", None)
    return f"{type(index).__name__}({names}, {frequency}, {_column_form(index, form)})"


def _column_form(column: Any, form: Form) -> str:
    """Return the dtype and a digest of a column; pandas' own hash takes 1 and "1" of an object column for the same."""
    pandas = sys.modules["pandas"]
    dtype = column.dtype
    name = str(dtype)
    if isinstance(dtype, pandas.CategoricalDtype):
        codes = column.cat.codes if isinstance(column, pandas.Series) else column.codes
        kind = f"{_index_form(dtype.categories, form)}, {dtype.ordered}"
        return f"category({kind}, {digest_of_bytes(pandas.array(codes).to_numpy('int64').tobytes())})"
    if hasattr(dtype, "hasobject") and not dtype.hasobject:
        return f"{dtype.str}({len(column)}, {digest_of_bytes(column.to_numpy().tobytes())})"
    if name.startswith(HASHED) and "pyarrow" not in name:
        hashes = pandas.util.hash_pandas_object(column, index=False).to_numpy()
        absent = column.isna()
        return f"{dtype!r}({len(column)}, {digest_of_bytes(hashes.tobytes() + _bytes_of_bools(absent))})"
    return f"{dtype!r}({len(column)}, {_cells(column.tolist(), form)})"


def _bytes_of_bools(values: Any) -> bytes:
    return bytes(sys.modules["numpy"].asarray(values).tobytes())


def _pandas_scalar_form(value: Any, form: Form, pandas: Any) -> str:  # noqa: PLR0911 - a list of kinds
    kind = type(value).__name__
    if value is pandas.NaT or value is pandas.NA:
        return f"pandas.{value}"
    if isinstance(value, pandas.Timestamp):
        return f"Timestamp({value.isoformat()}, {value.tz}{', fold' if value.fold else ''})"
    if isinstance(value, pandas.Timedelta):
        return f"Timedelta({value.isoformat()})"
    if isinstance(value, pandas.Period):
        return f"Period({value.ordinal}, {value.freqstr})"
    if isinstance(value, pandas.Interval):
        return f"Interval({form(value.left)}, {form(value.right)}, {value.closed})"
    if isinstance(value, pandas.CategoricalDtype):
        return f"category({_index_form(value.categories, form)}, {value.ordered})"
    if isinstance(value, pandas.api.extensions.ExtensionDtype):
        return f"{kind}({value})"
    if isinstance(value, pandas.api.extensions.ExtensionArray):
        return f"{kind}({_column_form(pandas.Series(value), form)})"
    if isinstance(value, pandas.tseries.offsets.BaseOffset):
        return f"{kind}({value.freqstr}, {form(value.kwds)})"
    raise _refused(value)


# -- polars


def polars_form(value: Any, form: Form) -> str:
    """Return the form of a frame or a series of polars; its own hash differs between releases."""
    polars = sys.modules["polars"]
    if isinstance(value, polars.DataFrame):
        columns = ", ".join(_polars_column_form(column, form, polars) for column in value.get_columns())
        return f"polars.DataFrame({value.height}, [{columns}])"
    if isinstance(value, polars.Series):
        return f"polars.Series({_polars_column_form(value, form, polars)})"
    if isinstance(value, polars.DataType) or (isinstance(value, type) and issubclass(value, polars.DataType)):
        return f"polars.{value!r}"
    raise _refused(value)


def _polars_column_form(column: Any, form: Form, polars: Any) -> str:
    """Return name, dtype and digest of a column: which cells are null, and the others."""
    dtype = column.dtype
    nulls = column.is_null().to_numpy().tobytes()
    if dtype.is_temporal():
        column = column.to_physical()
    elif isinstance(dtype, polars.Categorical | polars.Enum):
        column = column.cast(polars.String)
    if column.dtype == polars.String:
        texts = [text.encode() for text in column.fill_null("").to_list()]
        body = digest_of_bytes(nulls + b",".join(str(len(text)).encode() for text in texts) + b";" + b"".join(texts))
    elif column.dtype.is_integer() or column.dtype.is_float():
        body = digest_of_bytes(nulls + column.fill_null(0).to_numpy().tobytes())
    elif isinstance(column.dtype, polars.Boolean):
        body = digest_of_bytes(nulls + column.fill_null(value=False).to_numpy().tobytes())
    else:
        body = _cells(column.to_list(), form)
    return f"{form(column.name)}: {dtype!r} {body}"


# -- Arrow


def arrow_form(value: Any, form: Form) -> str:
    """Return the form of a table, a batch or an array of Arrow, in however many chunks it is."""
    arrow = sys.modules["pyarrow"]
    kind = type(value).__name__
    if isinstance(value, arrow.Table | arrow.RecordBatch):
        columns = ", ".join(
            f"{form(field.name)}: {field.type} {field.nullable} {_cells(column.to_pylist(), form)}"
            for field, column in zip(value.schema, value.columns, strict=True)
        )
        return f"{kind}({value.num_rows}, [{columns}], {form(value.schema.metadata)})"
    if isinstance(value, arrow.Array | arrow.ChunkedArray):
        return f"{kind}({value.type}, {len(value)}, {_cells(value.to_pylist(), form)})"
    if isinstance(value, arrow.Scalar):
        return f"{kind}({value.type}, {form(value.as_py())})"
    if isinstance(value, arrow.DataType | arrow.Schema | arrow.Field):
        return f"{kind}({value})"
    raise _refused(value)
