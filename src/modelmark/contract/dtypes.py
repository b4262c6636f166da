"""The few dtypes that a table's columns have once it is read, whatever the file's own were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pandas as pd

#: Whole numbers at or beyond this are not exact in float64.
EXACT: Final = 2**53


def with_columns(frame: pd.DataFrame, columns: Mapping[str, Any]) -> pd.DataFrame:
    """The table with these columns in it, new or in place of others; a column may be called `self`, which `assign` cannot."""
    changed = frame.copy(deep=False)
    for name, values in columns.items():
        changed[name] = values
    return changed


def normalised(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with every column in bool, int64, float64, str or datetime64, and no null of pandas' own.

    Truth values beside null are Python's, dtype object. Whole numbers beside null are float64 while that is exact, else
    text; decimals are float64. Anything else (days, periods, intervals, lengths of time) is its text.
    """
    return with_columns(
        frame, {name: _normal(frame[name]) for name in frame.columns if not _is_normal(frame[name].dtype)}
    )


def _is_normal(dtype: Any) -> bool:
    import numpy as np

    return str(dtype) == "str" or (
        isinstance(dtype, np.dtype) and (dtype in ("bool", "int64", "float64") or dtype.kind == "M")
    )


def _normal(column: pd.Series) -> pd.Series:
    import numpy as np
    import pandas as pd

    kinds = pd.api.types
    if isinstance(column.dtype, pd.CategoricalDtype):
        plain = column.dtype.categories.dtype
        return _normal(column.astype("str" if kinds.is_string_dtype(plain) else object))
    null = column.isna()
    if kinds.is_object_dtype(column.dtype):
        return _of_objects(column.where(~null, None))
    if kinds.is_bool_dtype(column.dtype):
        return column.astype(object).where(~null, None) if null.any() else column.astype(bool)
    if kinds.is_integer_dtype(column.dtype):
        return _whole(column, null)
    if kinds.is_float_dtype(column.dtype):
        return pd.Series(column.to_numpy(np.float64, na_value=np.nan), index=column.index)
    if kinds.is_datetime64_any_dtype(column.dtype):
        return _moments(column)
    if kinds.is_string_dtype(column.dtype) and isinstance(column.dropna().head(1).squeeze(), str):
        return column.astype("str")
    return _of_objects(column.astype(object).where(~null, None))


def _whole(column: pd.Series, null: pd.Series) -> pd.Series:
    known = column[~null].astype(object)
    low, high = (int(known.min()), int(known.max())) if len(known) else (0, 0)
    if not null.any() and low >= -(2**63) and high < 2**63:
        return column.astype("int64")
    if low > -EXACT and high < EXACT:
        return column.astype("float64")
    return known.map(str).reindex(column.index).astype("str")


def _moments(column: pd.Series) -> pd.Series:
    """Without a zone: moments of one column are compared with each other, and UTC keeps their order."""
    import pandas as pd

    found = pd.to_datetime(column)
    return found.dt.tz_convert(None) if found.dt.tz is not None else found


def _of_objects(column: pd.Series) -> pd.Series:
    """What Python's own values amount to; None is null."""
    import decimal

    import pandas as pd

    known = column.dropna()
    kinds = {type(value) for value in known}
    if not kinds:
        return column.astype("float64")
    if kinds == {bool}:
        return column if len(known) < len(column) else column.astype(bool)
    if kinds == {int}:
        return _whole(column, column.isna())
    if kinds <= {int, float, decimal.Decimal}:
        return pd.to_numeric(known.map(float)).reindex(column.index).astype("float64")
    return known.map(_text).reindex(column.index).astype("str")


def _text(value: Any) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
