"""When each row was: one scale for numbers, dates and dates that are written as text."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.contract.table import as_numbers

if TYPE_CHECKING:
    import pandas as pd

#: A day and a month in either order, then a year.
_NUMERIC_DATE: Final = r"^\s*(\d{1,2})([./-])\d{1,2}[./-]\d{2,4}"
#: Microseconds in the unit of a column of numbers, by their size: seconds, milliseconds, microseconds since 1970.
_UNITS: Final = ((3e8, 1e10, 1e6), (3e11, 1e13, 1e3), (3e14, 1e16, 1.0))
#: Share of the distinct texts that must read as dates; else they are ordered as texts.
_DATES: Final = 0.9


def timestamps(column: pd.Series) -> NDArray[np.float64]:
    """float64 that sort as the column does in time; NaN for null and for what is no date among dates.

    Numbers are themselves, dates are microseconds since 1970, texts that are no dates ("2024-W07") their rank. To
    compare two tables, ask of both at once: whether a day or a month stands first is told by all the dates together.
    """
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column.dtype):
        return as_numbers(column)
    place, distinct = pd.factorize(column.astype(object) if column.dtype.kind == "O" else column)
    kinds = pd.Series(distinct)
    values = _times(kinds)
    if np.isfinite(values).mean() < _DATES:
        values = kinds.astype(str).rank(method="dense").to_numpy(dtype=np.float64)
    return np.asarray(np.append(values, np.nan)[place], dtype=np.float64)


def moments(column: pd.Series) -> NDArray[np.float64]:
    """Microseconds since 1970, each value by itself, so that it does not matter where a table is cut: dates, ISO 8601 text (what
    names no zone is UTC), and numbers as seconds, milliseconds or microseconds by their size. NaN for anything else."""
    import pandas as pd

    kind = column.dtype
    if pd.api.types.is_datetime64_any_dtype(kind):
        return _microseconds(pd.to_datetime(column, utc=True))
    if pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind):
        return in_microseconds(as_numbers(column), each=True)
    numbers = as_numbers(pd.to_numeric(column, errors="coerce"))
    dates = _microseconds(pd.to_datetime(column.astype(str), errors="coerce", utc=True, format="ISO8601"))
    return np.where(np.isfinite(numbers), in_microseconds(numbers, each=True), dates)


def in_microseconds(values: NDArray[np.float64], *, each: bool = False) -> NDArray[np.float64]:
    """Numbers that count seconds, milliseconds or microseconds since 1970; NaN where they count neither. each: the unit is told by
    each number's size, not by that of their median."""
    size = np.abs(values)
    if not each:
        known = size[np.isfinite(size)]
        size = np.full(len(values), float(np.median(known)) if len(known) else 0.0)
    scale = np.full(len(values), np.nan)
    for least, most, unit in _UNITS:
        scale[(least <= size) & (size < most)] = unit
    found: NDArray[np.float64] = values * scale
    return found


def _times(kinds: pd.Series) -> NDArray[np.float64]:
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(kinds.dtype):
        return _microseconds(pd.to_datetime(kinds, utc=True))
    parts = kinds.astype(str).str.extract(_NUMERIC_DATE)
    day_first = bool((parts[1] == ".").any() or (pd.to_numeric(parts[0]) > 12).any())
    values, numeric = np.full(len(kinds), np.nan), parts[0].notna().to_numpy()
    for rows, first in ((numeric, day_first), (~numeric, False)):
        if rows.any():
            values[rows] = _read(kinds[rows], first)
    return values


def _read(kinds: pd.Series, day_first: bool) -> NDArray[np.float64]:
    """By the form of the first value, which is quick; what has another form, one by one."""
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that no form was found is no fault: then each is read for itself
        values = _microseconds(pd.to_datetime(kinds, errors="coerce", utc=True, dayfirst=day_first))
    rest = np.isnan(values)
    if rest.any():
        others = pd.to_datetime(kinds[rest], errors="coerce", utc=True, format="mixed", dayfirst=day_first)
        values[rest] = _microseconds(others)
    return values


def _microseconds(times: pd.Series) -> NDArray[np.float64]:
    values = times.dt.as_unit("us").to_numpy(dtype="datetime64[us]").astype(np.float64)
    return np.where(times.isna().to_numpy(), np.nan, values)
