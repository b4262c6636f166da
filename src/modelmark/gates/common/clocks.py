"""Columns that only ever go forward with time, such as a year: by nature train and holdout differ in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.contract.proposals.row_order import BACK, KNOWN, is_dated
from modelmark.contract.timestamps import timestamps

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
ROW_ORDER: Final = "row_order"


def clocks(train: pd.DataFrame, holdout: pd.DataFrame, names: Sequence[str], time: str | None) -> tuple[str, ...]:
    """Those of the columns that are the time itself, or never go back in it over train and holdout together."""
    import pandas as pd

    if time is None or (time != ROW_ORDER and not (time in train and time in holdout)):
        return ()

    def both(name: str) -> Array:
        return timestamps(pd.concat([train[name], holdout[name]], ignore_index=True))

    at = np.arange(float(len(train) + len(holdout))) if time == ROW_ORDER else both(time)
    found = [name for name in names if name == time]
    for name in names:
        if name != time and is_dated(train[name]) and _goes_with(both(name), at):
            found.append(name)
    return tuple(name for name in names if name in found)


def _goes_with(values: Array, at: Array) -> bool:
    """Whether no value is below one of an earlier time, and not all are equal. Rows of one time may stand in any order."""
    known = np.isfinite(values) & np.isfinite(at)
    if known.mean() < KNOWN:
        return False
    values, (times, place) = values[known], np.unique(at[known], return_inverse=True)
    highest = np.full(len(times), -np.inf)
    np.maximum.at(highest, place, values)
    before = np.concatenate([[-np.inf], np.maximum.accumulate(highest)[:-1]])[place]
    return bool((values < before).mean() <= BACK and values.min() < values.max())
